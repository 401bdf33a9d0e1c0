"""The packed store: a data set as one file of raw uint8 frames, mapped into memory, and an index.

A store is a directory of two files::

    frames.u8    the frames of all clips, one after another, each uint8 [H, W, 3]
    index.json   format and version, size, classes, what the clips are, one entry per clip, length and SHA-256 of frames

Frames keep their aspect ratio; their short side is the store's size, so that training can crop where it likes. A store
is written to a temporary directory beside its place and renamed when it is whole.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from dvdgan.data.errors import DataError

try:
    import fcntl
except ImportError:  # Windows: directories that a killed process left behind stay
    fcntl = None  # type: ignore[assignment]

FORMAT = "dvdgan-store"
VERSION = 1

_FRAMES = "frames.u8"
_INDEX = "index.json"
_CLIP_FIELDS = {"label": int, "source": str, "frames": int, "height": int, "width": int, "offset": int, "fps": float}


class StoreError(DataError):
    """A packed store that cannot be used; the message is one line that names the path, the fault and the mend."""

    def __init__(self, path: str | Path, reason: str) -> None:
        """Say what is wrong with which store."""
        super().__init__(f"{path}: {reason}")


class StoreWriter:
    """Writes a store; use it as a context manager.

    Leaving the block puts the store in its place (over a store that was there before); an exception leaves nothing.

    Args:
        path: the store's directory. What is there already must be a store or an empty directory.
        size: short side of every frame, in pixels.
        classes: names of the classes; empty if the clips have none.
        about: what the clips are and how they were made, as JSON values; `ClipStore.about` gives it back.

    Raises:
        StoreError: something else stands at `path`, or no clip was added.
    """

    def __init__(self, path: str | Path, size: int, classes: Iterable[str], about: dict[str, Any]) -> None:
        """Begin a store in a temporary directory beside its place."""
        self.path = Path(os.path.abspath(path))  # "." has no name to put a temporary directory beside
        self.size = size
        self.classes = list(classes)
        self.about = about
        self.skipped: list[dict[str, str]] = []
        self._clips: list[dict[str, Any]] = []
        self._hash = hashlib.sha256()
        self._length = 0
        if self.path.exists() and not is_store(self.path) and not _is_empty_directory(self.path):
            raise StoreError(self.path, "exists and is not a dvdgan store; choose another place")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(self.path)
        self._partial = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}.partial")
        self._partial.mkdir()
        self._file: IO[bytes] = open(self._partial / _FRAMES, "wb")  # noqa: SIM115 (closed by __exit__)
        _lock(self._file)

    def add(self, frames: Iterable[np.ndarray], label: int, source: str, fps: float) -> int:
        """Append one clip. If reading its frames fails, the store is as it was before.

        Args:
            frames: uint8 ``[H, W, 3]`` each, all of one shape with a short side of `size`; at least one.
            label: index of the class; 0 if there are no classes.
            source: where the clip comes from, for people.
            fps: frames per second.

        Returns:
            The number of frames that were added.

        Raises:
            ValueError: frames of another shape, no frames, or no such label.
        """
        if not 0 <= label < max(1, len(self.classes)):
            raise ValueError(f"{source}: label {label} is not one of {len(self.classes)} classes")
        offset, digest, count, shape = self._length, self._hash.copy(), 0, None
        try:
            for frame in frames:
                _check_frame(frame, self.size, source)
                if shape is not None and frame.shape != shape:
                    raise ValueError(f"{source}: the size of its frames changes on the way")
                shape = frame.shape
                data = np.ascontiguousarray(frame).data
                self._file.write(data)
                self._hash.update(data)
                self._length += frame.size
                count += 1
            if shape is None:
                raise ValueError(f"{source}: no frames")
        except BaseException:
            self._file.seek(offset)
            self._file.truncate()
            self._length, self._hash = offset, digest
            raise
        self._clips.append(
            {
                "label": label,
                "source": source,
                "frames": count,
                "height": shape[0],
                "width": shape[1],
                "offset": offset,
                "fps": float(fps),
            }
        )
        return count

    def skip(self, source: str, reason: str) -> None:
        """Note a clip that could not be used; the index keeps the list."""
        self.skipped.append({"source": source, "reason": reason})

    def drop_unused_classes(self) -> list[str]:
        """Forget classes without a clip, and number the labels anew. Returns the names that were dropped."""
        used = sorted({clip["label"] for clip in self._clips})
        dropped = [name for label, name in enumerate(self.classes) if label not in used]
        if dropped:
            self.classes = [self.classes[label] for label in used]
            for clip in self._clips:
                clip["label"] = used.index(clip["label"])
        return dropped

    def __len__(self) -> int:
        """How many clips were added."""
        return len(self._clips)

    def __enter__(self) -> StoreWriter:
        """The writer itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the store in its place, or, after an exception, remove what was written."""
        try:
            if kind is None:
                self._commit()
        finally:
            self._file.close()
            shutil.rmtree(self._partial, ignore_errors=True)

    def _commit(self) -> None:
        if not self._clips:
            raise StoreError(self.path, "no clips to pack")
        _sync(self._file)
        index = {
            "format": FORMAT,
            "version": VERSION,
            "size": self.size,
            "classes": self.classes,
            "about": self.about,
            "bytes": self._length,
            "sha256": self._hash.hexdigest(),
            "skipped": self.skipped,
            "clips": self._clips,
        }
        with open(self._partial / _INDEX, "w", encoding="utf-8") as file:
            json.dump(index, file, ensure_ascii=False)
            _sync(file)
        self._file.close()  # Windows renames no directory with an open file in it
        old = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}.old")
        if self.path.exists():
            os.rename(self.path, old)
        try:
            os.rename(self._partial, self.path)
        except OSError:
            if old.exists():
                os.rename(old, self.path)
            raise
        shutil.rmtree(old, ignore_errors=True)


class ClipStore:
    """A packed store, opened for reading; frames are read from the mapped file when they are asked for.

    Attributes:
        path: the directory.
        size: short side of every frame, in pixels.
        classes: names of the classes; empty if the clips have none.
        about: what the clips are and how they were made.
        skipped: ``source`` and ``reason`` of each clip that could not be packed.
        sources: where each clip comes from.
        labels: int64 ``[N]``, indices into `classes` (0 without classes).
        lengths: int64 ``[N]``, frames per clip.
        heights: int64 ``[N]``, in pixels.
        widths: int64 ``[N]``, in pixels.
        fps: float64 ``[N]``, frames per second.
        identity: SHA-256 of the frames as the index has it, in hex: two stores with the same frames share it.
    """

    def __init__(self, path: Path, index: dict[str, Any]) -> None:
        """Use `ClipStore.open`."""
        clips = index["clips"]
        self.path = path
        self.size: int = index["size"]
        self.classes: list[str] = index["classes"]
        self.about: dict[str, Any] = index["about"]
        self.skipped: list[dict[str, str]] = index["skipped"]
        self.sources: list[str] = [clip["source"] for clip in clips]
        self.labels, self.lengths, self.heights, self.widths, self._offsets = (
            np.array([clip[name] for clip in clips], np.int64)
            for name in ("label", "frames", "height", "width", "offset")
        )
        self.fps = np.array([clip["fps"] for clip in clips], np.float64)
        self.identity: str = index["sha256"]
        self._bytes = np.memmap(path / _FRAMES, np.uint8, "r")

    @classmethod
    def open(cls, path: str | Path) -> ClipStore:
        """Open a store and check its index and its length (`verify` checks every byte).

        Raises:
            StoreError: no store, one of another version, or a damaged one.
        """
        path = Path(path)
        index = _read_index(path)
        _check_index(path, index)
        return cls(path, index)

    def __len__(self) -> int:
        """How many clips there are."""
        return len(self.labels)

    def clip(self, index: int) -> np.ndarray:
        """All frames of a clip as a read-only view of the file, uint8 ``[T, H, W, 3]``; nothing is read yet."""
        shape = (int(self.lengths[index]), int(self.heights[index]), int(self.widths[index]), 3)
        offset = int(self._offsets[index])
        return np.asarray(self._bytes[offset : offset + int(np.prod(shape))]).reshape(shape)

    def window(self, index: int, start: int, frames: int, stride: int, top: int, left: int) -> np.ndarray:
        """A square of `size` pixels cut from `frames` frames, as a view, uint8 ``[frames, size, size, 3]``.

        Args:
            index: the clip.
            start: its first frame.
            frames: how many frames.
            stride: take every stride-th frame.
            top: first row.
            left: first column.
        """
        stop = start + (frames - 1) * stride + 1
        return self.clip(index)[start:stop:stride, top : top + self.size, left : left + self.size]

    def verify(self) -> None:
        """Read every byte and compare the checksum.

        Raises:
            StoreError: the frames are not those that were packed.
        """
        digest = hashlib.sha256()
        with open(self.path / _FRAMES, "rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
        if digest.hexdigest() != self.identity:
            raise StoreError(self.path, f"{_FRAMES} is damaged (its checksum differs); pack the clips again")


def is_store(path: str | Path) -> bool:
    """Whether a directory is a packed store, whole or damaged."""
    path = Path(path)
    if (path / _FRAMES).is_file():
        return True
    try:
        return _read_index(path).get("format") == FORMAT
    except StoreError:
        return False


def _read_index(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise StoreError(path, "no such store")
    try:
        index = json.loads((path / _INDEX).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(path, f"not a packed store: there is no {_INDEX} in it") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        reason = " ".join(str(error).split())
        raise StoreError(path, f"{_INDEX} cannot be read ({reason}); pack the clips again") from None
    if not isinstance(index, dict):
        raise StoreError(path, f"{_INDEX} is not the index of a dvdgan store")
    return index


def _check_index(path: Path, index: dict[str, Any]) -> None:
    if index.get("format") != FORMAT:
        raise StoreError(path, f"{_INDEX} is not the index of a dvdgan store")
    if index.get("version") != VERSION:
        mend = "upgrade dvdgan" if str(index.get("version")) > str(VERSION) else "pack the clips again"
        raise StoreError(path, f"is of version {index.get('version')}, this dvdgan reads version {VERSION}; {mend}")
    fields = {"size": int, "classes": list, "about": dict, "bytes": int, "sha256": str, "skipped": list, "clips": list}
    wrong = [name for name, kind in fields.items() if not isinstance(index.get(name), kind)]
    clips = index["clips"] if "clips" not in wrong else []
    wrong += sorted(
        {
            f"clips.{name}"
            for clip in clips
            for name, kind in _CLIP_FIELDS.items()
            if not isinstance(clip, dict) or not isinstance(clip.get(name), kind)
        }
    )
    if wrong:
        raise StoreError(path, f"{_INDEX} is damaged ({', '.join(wrong)}); pack the clips again")
    try:
        length = (path / _FRAMES).stat().st_size
    except OSError:
        raise StoreError(path, f"{_FRAMES} is missing; pack the clips again") from None
    if length != index["bytes"]:
        raise StoreError(path, f"{_FRAMES} has {length} bytes instead of {index['bytes']}; pack the clips again")
    for clip in clips:
        bytes_needed = clip["frames"] * clip["height"] * clip["width"] * 3
        inside = clip["offset"] >= 0 and clip["offset"] + bytes_needed <= length and bytes_needed > 0
        right = min(clip["height"], clip["width"]) == index["size"]
        if not (inside and right and 0 <= clip["label"] < max(1, len(index["classes"]))):
            raise StoreError(path, f"{_INDEX} is damaged (clip {clip['source']}); pack the clips again")
    if not clips:
        raise StoreError(path, "has no clips; pack the clips again")


def _check_frame(frame: np.ndarray, size: int, source: str) -> None:
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] != 3 or min(frame.shape[:2]) != size:
        raise ValueError(
            f"{source}: a frame is uint8 [H, W, 3] with a short side of {size}, not {frame.dtype} {list(frame.shape)}"
        )


def _is_empty_directory(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _sync(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _lock(file: IO[bytes]) -> bool:
    """Hold the file for as long as it is open; False if another process holds it."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_abandoned(path: Path) -> None:
    """Remove half-written directories of this store whose process has ended: nobody holds their file.

    A store that was moved aside by a process that ended before it put the new one in its place goes back first.
    """
    name = glob.escape(path.name)
    for old in path.parent.glob(f".{name}.*.old"):
        if is_store(old) and not path.exists():
            os.rename(old, path)
        else:  # replaced already
            shutil.rmtree(old, ignore_errors=True)
    for partial in path.parent.glob(f".{name}.*.partial"):
        try:
            with open(partial / _FRAMES, "r+b") as file:
                abandoned = _lock(file)
        except OSError:
            continue
        if abandoned:
            shutil.rmtree(partial, ignore_errors=True)
