"""Sets of real clips, and of clips in a folder: one fixed window of each, as a training would see it but for chance."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from dvdgan.config import DataConfig
from dvdgan.data.dataset import ClipDataset
from dvdgan.data.sources import open_dataset
from dvdgan.data.store.clip_store import ClipStore
from dvdgan.data.windows import Window
from dvdgan.data.write.encode import atomic_path
from dvdgan.evaluation.clipsets import content_key
from dvdgan.evaluation.errors import EvaluationError

Part = Literal["train", "test", "all"]

_VERSION = 1  # raised whenever other pixels are read
_AT_ONCE = 16  # clips that are decoded together
_BACKGROUND = "evaluation: background"


class DatasetSet:
    """A `ClipSet` of a data set's clips: one window of each, in the middle of the picture, never mirrored.

    Where transparent pixels get a random background in training, each clip gets one here, drawn from the data set's
    seed and the clip's number in its store.

    Args:
        dataset: the clips, their length, size and stride.
        part: which part of the data these clips are, for reports and for those who must not mix them.
        members: numbers of the data set's clips; None is all of them.
        place: where in a clip longer than the window the window is: 0 at its start, 1 at its end.
        fps: frames per second of clips at their own speed, for sources that do not say it; windows are watched at a
            stride's share of it.
        name: what the report calls the set; None names the source and the part.

    Attributes:
        dataset: see above.
        part: see above.
        members: int64 ``[N]``, see above.
        stride: every how many frames of the source are taken.
        (And those of a `ClipSet`. The key of packed clips follows from the SHA-256 of their frames; that of clips that
        are decoded when read, from the names, sizes and times of their files.)

    Raises:
        EvaluationError: a number out of its range.
    """

    def __init__(
        self,
        dataset: ClipDataset,
        part: Part = "all",
        members: Sequence[int] | np.ndarray | None = None,
        place: float = 0.5,
        fps: float = 12.0,
        name: str | None = None,
    ) -> None:
        """Lay down the windows."""
        if not 0 <= place <= 1:
            raise EvaluationError(f"a window's place in its clip is from 0 to 1, not {place}")
        self.dataset, self.part, self.place = dataset, part, place
        self.members = np.arange(len(dataset)) if members is None else np.asarray(members, np.int64)
        self.name = _name(dataset, part) if name is None else name
        if ((self.members < 0) | (self.members >= len(dataset))).any():
            raise EvaluationError(f"{self.name}: its clips are numbered from 0 to {len(dataset) - 1}")
        self.classes, self.labels = dataset.classes, dataset.labels[self.members]
        self.frames, self.size, self.stride = dataset.frames, dataset.size, dataset.stride
        self._windows = [dataset.fixed_window(member, place) for member in self.members.tolist()]
        self._fallback_fps = fps
        rates = getattr(dataset.store, "fps", None)
        if rates is not None and self._windows:
            fps = float(np.median(rates[[window.clip for window in self._windows]]))
        self.fps = fps / self.stride
        self.ids = [_id(dataset, window) for window in self._windows]
        self.key = _key(dataset, self._windows)

    @classmethod
    def open(
        cls,
        config: DataConfig,
        size: int,
        frames: int,
        cache: str | Path,
        part: Part = "test",
        progress: bool = True,
        seed: int = 0,
        keep: bool = False,
    ) -> DatasetSet:
        """Open a part of the clips that a configuration names; see `open_dataset` for the arguments and errors.

        Args:
            config: the source and how it is read and divided; its split, crop and flips make no difference.
            size: height and width, in pixels.
            frames: frames per clip.
            cache: directory of the packed store that may be made.
            part: which part of the clips.
            progress: show a progress bar on stderr while rendering or packing.
            seed: of random backgrounds.
            keep: use a store at `cache` as it stands.
        """
        plain = config.model_copy(update={"split": part, "crop": "center", "flip": False, "flip_labels": {}})
        return cls(open_dataset(plain, size, frames, cache, progress, seed, keep), part, fps=config.fps)

    def only(self, rows: Sequence[int] | np.ndarray, name: str | None = None) -> DatasetSet:
        """Some of these clips; the key follows from them alone."""
        members = self.members[np.asarray(rows, np.int64)]
        name = self.name if name is None else name
        return DatasetSet(self.dataset, self.part, members, self.place, self._fallback_fps, name)

    def at(self, place: float) -> DatasetSet:
        """Windows of the same clips at another time: 0 at their start, 1 at their end."""
        return DatasetSet(self.dataset, self.part, self.members, place, self._fallback_fps, self.name)

    def __len__(self) -> int:
        """How many clips there are."""
        return len(self.members)

    def windows(self, rows: Sequence[int]) -> list[Window]:
        """The windows of clips by their numbers."""
        return [self._windows[row] for row in rows]

    def read(self, rows: Sequence[int]) -> np.ndarray:
        """Clips by their numbers, uint8 ``[n, T, S, S, 3]``.

        Raises:
            EvaluationError: the file of a clip, which is named, cannot be read.
        """
        windows = self.windows(rows)
        clips = np.empty((len(windows), self.frames, self.size, self.size, 3), np.uint8)
        for number, (window, pixels) in enumerate(zip(windows, self.dataset.store.read(windows))):
            if pixels is None:
                source = self.dataset.store.sources[window.clip]
                raise EvaluationError(f"{self.dataset.store.path}: {source} cannot be read; mend it or take it out")
            clips[number] = self.dataset.on_background(pixels, _BACKGROUND, window.clip)
        return clips


def readable(clips: DatasetSet, cache: str | Path) -> np.ndarray:
    """Numbers of the clips whose files can be decoded, int64, ascending.

    Packed clips were decoded when they were packed, so they are not read; others are, once: what was found is kept.

    Args:
        clips: the clips.
        cache: the folder of kept features.
    """
    if isinstance(clips.dataset.store, ClipStore):
        return np.arange(len(clips))
    path = Path(cache) / f"readable-{clips.key}.json"
    if path.is_file():
        try:
            return np.array(json.loads(path.read_text(encoding="utf-8")), np.int64)
        except (OSError, ValueError, TypeError):
            path.unlink(missing_ok=True)
    found: list[int] = []
    for start in range(0, len(clips), _AT_ONCE):
        rows = range(start, min(start + _AT_ONCE, len(clips)))
        pixels = clips.dataset.store.read(clips.windows(rows))
        found += [row for row, frames in zip(rows, pixels) if frames is not None]
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(found), encoding="utf-8")
    return np.array(found, np.int64)


def open_folder(
    path: str | Path,
    size: int,
    frames: int,
    cache: str | Path,
    data: DataConfig | None = None,
    progress: bool = True,
) -> DatasetSet:
    """Clips in a folder (or list, or packed store), such as another model's samples; see `open_dataset`.

    Args:
        path: the folder; class folders in it give the clips their classes.
        size: height and width, in pixels; the short side is resized to it, and the middle cut out.
        frames: frames per clip; of a longer clip, the middle ones.
        cache: directory of the packed store that is made, outside the folder.
        data: how files are read (stride, background, …); its source and how that is divided make no difference. None is
            as they are, every frame.
        progress: show a progress bar on stderr.

    Raises:
        DataError: there is no such folder, or nothing in it can be used.
    """
    reset = {"source": str(path), "layout": "auto", "list_file": None, "test_fraction": 0.0, "group": None}
    config = (data or DataConfig()).model_copy(update=reset)
    opened = DatasetSet.open(config, size, frames, cache, "all", progress)
    opened.name = str(path)
    return opened


def _name(dataset: ClipDataset, part: Part) -> str:
    source = dataset.store.about.get("source")
    name = str(dataset.store.about.get("root", dataset.store.path)) if source in (None, "files") else str(source)
    return name if part == "all" else f"{name}, {part} part"


def _id(dataset: ClipDataset, window: Window) -> str:
    """The source of a clip and the first and last frame of its window, from 0."""
    stride = f" by {dataset.stride}" if dataset.stride > 1 else ""
    return f"{dataset.store.sources[window.clip]}, frames {window.times[0]} to {window.times[-1]}{stride}"


def _key(dataset: ClipDataset, windows: list[Window]) -> str:
    store = dataset.store
    background = list(dataset.background) if dataset.background is not None else ["random", dataset.seed]
    if isinstance(store, ClipStore):
        shapes = np.stack([store.heights, store.widths, store.channels], 1)
        known = [[store.hashes[window.clip], *shapes[window.clip].tolist()] for window in windows]
        if any(row[3] == 4 for row in known) and dataset.background is None:
            known = [[*row, window.clip] for row, window in zip(known, windows)]  # which the background is drawn from
        elif all(row[3] == 3 for row in known):
            background = []
    else:
        known = [[store.identity, store.sources[window.clip], window.clip] for window in windows]
    cuts = [[window.times.tolist(), window.top, window.left] for window in windows]
    return content_key("dataset", _VERSION, dataset.size, background, known, cuts)
