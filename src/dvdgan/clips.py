"""Generated clips on their way to memory or to files, a batch of frames at a time."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast, get_args

import numpy as np
from PIL import Image

from dvdgan.atomic import check_writable
from dvdgan.capacity import free_disk, gib
from dvdgan.data.write.encode import check_fps, clip_writer, signed_path
from dvdgan.data.write.mark import check_free
from dvdgan.data.write.sheets import clip_grid, clip_sheet, sheet_times, write_image

SUFFIXES = (".mp4", ".gif", ".webp", ".png", ".npz")
_LARGEST = {"": 8192, ".mp4": 8192, ".gif": 16_384, ".webp": 16_383, ".png": 65_535}  # pixels a side; players' limits
_GAP = 4  # pixels between the clips of a mosaic
_MOST_NAME = 120  # bytes of a file's name that a label may take: file systems end at 255
_SHEET_BYTES = 4 << 30  # of the pixels of a sheet, which is drawn whole
_HELD = 1 << 30  # bytes of clips that are held at once where a file wants one clip after the other


class OutputError(ValueError):
    """Clips that cannot be written so; the message is one line and names the mend."""


OutputType = Literal["clips", "np", "pt", "pil"]

Batch = tuple[range, Iterator[np.ndarray]]
"""Numbers of the clips of a batch, and their frames, some at a time: uint8 ``[b, t, H, W, 3]``, in order."""


@dataclass
class ClipStream:
    """Clips that are made while they are written: memory holds some frames of one batch, however many there are.

    Attributes:
        labels: what each clip is asked to be, such as ``pen`` or ``pen 50%, flow 50%``.
        seeds: the seed of each clip's noise.
        fps: frames per second for files.
        frames: T.
        size: height and width of a frame, in pixels.
        batches: makes the clips in order; called with the most clips that a batch may have, or None for no limit.
        progress: if set, called with the number of frames that were made since it was last called.
        given: how many first frames were given and not made; mosaics and sheets mark them beside the picture.
    """

    labels: list[str]
    seeds: list[int]
    fps: float
    frames: int
    size: int
    batches: Callable[[int | None], Iterator[Batch]]
    progress: Callable[[int], None] | None = None
    given: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    def read(self) -> Clips:
        """All clips, made and held in memory."""
        video = np.empty((len(self), self.frames, self.size, self.size, 3), np.uint8)
        for numbers, pieces in self._counted(None):
            start = 0
            for piece in pieces:
                video[numbers.start : numbers.stop, start : start + piece.shape[1]] = piece
                start += piece.shape[1]
        return Clips(video, self.labels, self.seeds, self.fps, self.given)

    def read_as(self, output_type: OutputType) -> Any:
        """All clips, made and held in memory, as `Clips.as_type` gives them.

        Raises:
            OutputError: there is no such type; before any clip is made.
        """
        check_output_type(output_type)
        return self.read().as_type(output_type)

    def save(self, path: str | Path, scale: int = 1) -> list[Path]:
        """Make the clips and write them.

        Args:
            path: ``.mp4``, ``.gif`` or ``.webp`` (several clips become a mosaic), ``.png`` (a sheet: a row per clip,
                time to the right), ``.npz`` (arrays video, labels, seeds, fps, given), or a directory, which gets an
                MP4 per clip.
            scale: whole-number enlargement, except for npz.

        Returns:
            The files written.

        Raises:
            OutputError: the suffix is none of these, the format cannot hold so many or so large clips, or the place
                cannot be written; before any clip is made.
            DataError: a file is there that was not made with dvdgan, or the format has no such fps; likewise.
            OSError: a full disk and the like. Clips of a directory that are whole stay.
        """
        path = Path(path)
        check_output(path, len(self), self.frames, self.size, scale)
        check_fps(path, self.fps)
        suffix = output_kind(path)
        if suffix == "":
            return self._save_directory(path, scale)
        check_free(path)
        try:
            check_writable(path)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written ({error.strerror}); name another place") from None
        if suffix == ".npz":
            self._save_npz(path)
        elif suffix == ".png":
            self._save_sheet(path, scale)
        else:
            self._save_mosaic(path, scale)
        return [path]

    def _counted(self, most: int | None) -> Iterator[Batch]:
        """The batches, reporting progress at each piece."""

        def reported(pieces: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
            for piece in pieces:
                if self.progress is not None:
                    self.progress(piece.shape[0] * piece.shape[1])
                yield piece

        for numbers, pieces in self.batches(most):
            yield numbers, reported(pieces)

    def _save_directory(self, path: Path, scale: int) -> list[Path]:
        path.mkdir(parents=True, exist_ok=True)
        digits = max(4, len(str(len(self) - 1)))
        names = [
            f"{number:0{digits}}-{_file_name(label)}-seed{seed}.mp4"
            for number, (label, seed) in enumerate(zip(self.labels, self.seeds))
        ]
        for name in {entry.name for entry in path.iterdir()}.intersection(names):
            check_free(path / name)
        written: list[Path] = []
        for numbers, pieces in self._counted(None):
            files = [path / names[number] for number in numbers]
            side = self.size * scale
            with ExitStack() as stack:
                writers = [stack.enter_context(clip_writer(file, side, side, self.fps)) for file in files]
                for piece in pieces:
                    for write, clip in zip(writers, piece):
                        write(clip_grid(clip[None], columns=1, scale=scale, gap=0))
            written += files
        return written

    def _save_mosaic(self, path: Path, scale: int) -> None:
        columns = ceil(sqrt(len(self)))
        gap = _GAP if len(self) > 1 or self.given else 0
        batches = [pieces for _, pieces in self._counted(None)]  # all of them go on side by side
        with ExitStack() as stack:
            write: Callable[[np.ndarray], None] | None = None
            shown = 0
            for pieces in zip(*batches):
                clips = np.concatenate(pieces)  # [N, t, H, W, 3]
                for time in range(clips.shape[1]):
                    mosaic = clip_grid(clips[:, time : time + 1], columns, scale, gap, marked=shown < self.given)
                    shown += 1
                    if write is None:
                        _, height, width, _ = mosaic.shape
                        write = stack.enter_context(clip_writer(path, height, width, self.fps))
                    write(mosaic)

    def _save_sheet(self, path: Path, scale: int) -> None:
        times = sheet_times(self.frames, 16)
        shown = np.empty((len(self), len(times), self.size, self.size, 3), np.uint8)
        for numbers, pieces in self._counted(None):
            start = 0
            for piece in pieces:
                for column, time in enumerate(times):
                    if start <= time < start + piece.shape[1]:
                        shown[numbers.start : numbers.stop, column] = piece[:, time - start]
                start += piece.shape[1]
        write_image(path, clip_sheet(shown, self.labels, len(times), scale, times, self.given))

    def _save_npz(self, path: Path) -> None:
        shape = (len(self), self.frames, self.size, self.size, 3)
        most = max(1, _HELD // (self.frames * self.size**2 * 3))
        with signed_path(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            with archive.open("video.npy", "w", force_zip64=True) as file:
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(cast(BinaryIO, file), header)
                for numbers, pieces in self._counted(most):
                    # one clip goes out as it is made; of several, each wants all its frames in a row
                    for piece in pieces if len(numbers) == 1 else [np.concatenate(list(pieces), axis=1)]:
                        file.write(np.ascontiguousarray(piece).data)
            arrays = {"labels": np.array(self.labels), "seeds": np.array(self.seeds), "fps": np.array(self.fps)}
            arrays["given"] = np.array(self.given)
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w") as file:
                    np.lib.format.write_array(cast(BinaryIO, file), array, allow_pickle=False)


@dataclass
class Clips:
    """Generated clips in memory.

    Attributes:
        video: uint8 ``[N, T, H, W, 3]``, RGB.
        labels: see `ClipStream`.
        seeds: see `ClipStream`.
        fps: frames per second for files.
        given: see `ClipStream`.
    """

    video: np.ndarray
    labels: list[str]
    seeds: list[int]
    fps: float
    given: int = 0

    def __len__(self) -> int:
        return len(self.video)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.video[index]

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self.video)

    def as_type(self, output_type: OutputType) -> Any:
        """The clips as ``output_type`` names them.

        Args:
            output_type: ``clips`` are these; ``np`` is float32 ``[N, T, H, W, 3]`` in [0, 1]; ``pt`` a tensor of the
                same values, ``[N, T, 3, H, W]``; ``pil`` a list for each clip of the images of its frames.

        Raises:
            OutputError: none of these.
        """
        check_output_type(output_type)
        if output_type == "clips":
            return self
        if output_type == "pil":
            return [[Image.fromarray(frame) for frame in clip] for clip in self]
        from torch import from_numpy  # here, so that a command's checks of its output need no torch

        scaled = self.video.astype(np.float32) / 255
        return scaled if output_type == "np" else from_numpy(scaled).permute(0, 1, 4, 2, 3)

    def save(self, path: str | Path, scale: int = 1) -> list[Path]:
        """Write the clips; see `ClipStream.save`."""
        frames, size = self.video.shape[1:3]
        stream = ClipStream(
            self.labels, self.seeds, self.fps, frames, size, lambda _: iter([(range(len(self)), iter([self.video]))])
        )
        stream.given = self.given
        return stream.save(path, scale)


def check_output_type(output_type: OutputType) -> None:
    """Refuse an ``output_type`` that there is not.

    Raises:
        OutputError: it is none of those.
    """
    if output_type not in get_args(OutputType):
        raise OutputError(f"output_type is one of {', '.join(get_args(OutputType))}, not {output_type!r}")


def output_kind(path: Path) -> str:
    """What is written at a path: its suffix in lower case, or nothing for a directory.

    Raises:
        OutputError: no such kind of file is written, a suffix has no name before it, or a file stands in a directory's
            place.
    """
    if path.name.lower() in SUFFIXES and not path.is_dir():
        raise OutputError(f"{path}: is a suffix without a name; name the file, such as clips{path.name.lower()}")
    suffix = "" if path.is_dir() else path.suffix.lower()
    if not suffix and path.exists() and not path.is_dir():
        raise OutputError(f"{path}: is a file without a suffix; name a directory, or a file with {', '.join(SUFFIXES)}")
    if suffix and suffix not in SUFFIXES:
        raise OutputError(f"{path}: cannot write {suffix} files; use {', '.join(SUFFIXES)}, or a directory")
    return suffix


def check_output(path: Path, count: int, frames: int, size: int, scale: int = 1) -> None:
    """Refuse what a format cannot hold, before any work.

    Args:
        path: where the clips are to be written.
        count: clips.
        frames: of each.
        size: height and width of a frame, in pixels.
        scale: enlargement.

    Raises:
        OutputError: the suffix is unknown, arrays are larger than what the disk has free, or a frame, mosaic or sheet
            is larger than its format or a reader holds.
    """
    suffix = output_kind(path)
    if suffix == ".npz":
        needed, free = 3 * count * frames * size**2, free_disk(path)
        if needed > free:
            raise OutputError(
                f"{path}: {count} clips of {frames} frames may take {gib(needed)}, and the disk has {gib(free)} "
                f"free; lower --num or --frames, or write .mp4"
            )
        return
    cell, kind = size * scale + _GAP, suffix or "MP4"
    columns = {"": 1, ".png": min(frames, 16)}.get(suffix, ceil(sqrt(count)))
    rows = 1 if suffix == "" else ceil(count / columns) if suffix != ".png" else count
    most = _LARGEST[suffix]
    mend = "lower --scale" if suffix == "" else "write a directory, or lower --num or --scale"
    if max(columns, rows) * cell > most:
        raise OutputError(
            f"{path}: {'a clip' if suffix == '' else f'{count} clips in one {kind}'} would be "
            f"{max(columns, rows) * cell} pixels, over {most}; {mend}"
        )
    if suffix == ".png" and (needed := 3 * columns * rows * cell**2) > _SHEET_BYTES:
        raise OutputError(f"{path}: the sheet would have {gib(needed)} of pixels; {mend}")


def _file_name(label: str) -> str:
    name = "".join(c if c.isalnum() or c in "-_" else "_" for c in label)
    return name.encode()[:_MOST_NAME].decode(errors="ignore")
