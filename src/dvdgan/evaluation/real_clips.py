"""Sets of real clips, and of clips in a folder: one fixed window of each, as a training would see it but for chance."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from dvdgan.data.dataset import ClipDataset
from dvdgan.data.store.clip_store import ClipStore
from dvdgan.data.windows import Window
from dvdgan.documents import read_json
from dvdgan.evaluation.cache import Cache
from dvdgan.evaluation.clip_set import ClipSet, content_key
from dvdgan.evaluation.errors import EvaluationError

_VERSION = 1  # raised whenever other pixels are read
_AT_ONCE = 16  # clips that are decoded together
_KNOWN_BY = 16  # hex digits of a clip's identity
_BACKGROUND = "evaluation: background"


@dataclass(frozen=True, eq=False, kw_only=True)
class RealClips(ClipSet):
    """Windows of a data set's clips.

    The key of packed clips follows from the SHA-256 of their frames; that of clips that are decoded when read, from the
    names, sizes and times of their files.

    Attributes:
        dataset: the clips, their length, size and stride.
        windows: which window each of the N is.
    """

    dataset: ClipDataset
    windows: list[Window]

    def take(self, rows: Sequence[int] | np.ndarray, name: str | None = None) -> RealClips:
        """Some of the clips, in the order of `rows`; the key follows from them alone."""
        rows = np.asarray(rows, np.int64)
        windows, labels = [self.windows[row] for row in rows], self.labels[rows]
        made = real_clips(self.dataset, windows, labels, self.name if name is None else name, self.fps)
        return replace(made, ids=[self.ids[row] for row in rows], classes=self.classes)

    @property
    def groups(self) -> list[str]:
        """What each clip shares with its near copies, by the data's groups; its source if it is one of its own."""
        store = self.dataset.store
        return [store.groups[window.clip] or store.sources[window.clip] for window in self.windows]

    @property
    def identities(self) -> list[set[str]]:
        """What each clip is known by elsewhere: the starts of SHA-256 of its frames and of its file's place.

        Clips are equal if either is: frames that were packed at another size differ, and files may be moved.
        """
        store = self.dataset.store
        root, frames = store.about.get("root"), getattr(store, "hashes", None)
        found: list[set[str]] = []
        for clip in (window.clip for window in self.windows):
            known = [] if frames is None else [frames[clip]]
            if root is not None:
                known.append(content_key("file", root, store.sources[clip]))
            found.append({one[:_KNOWN_BY] for one in known})
        return found


def real_clips(dataset: ClipDataset, windows: list[Window], labels: np.ndarray, name: str, fps: float) -> RealClips:
    """Windows of a data set's clips as a set.

    Where transparent pixels get a random background in training, each clip gets one here, drawn from the data set's
    seed and the clip's number in its store.

    Args:
        dataset: the clips.
        windows: N windows of them.
        labels: int64 ``[N]``.
        name: what the report calls the set.
        fps: frames per second of the windows.
    """

    def read(rows: Sequence[int]) -> np.ndarray:
        some = [windows[row] for row in rows]
        clips = np.empty((len(some), dataset.frames, dataset.size, dataset.size, 3), np.uint8)
        for number, (window, pixels) in enumerate(zip(some, dataset.store.read(some))):
            if pixels is None:
                source = dataset.store.sources[window.clip]
                raise EvaluationError(f"{dataset.store.path}: {source} cannot be read; mend it or take it out")
            clips[number] = dataset.on_background(pixels, _BACKGROUND, window.clip)
        return clips

    return RealClips(
        name=name,
        ids=[_id(dataset, window) for window in windows],
        labels=labels,
        classes=dataset.classes,
        frames=dataset.frames,
        size=dataset.size,
        fps=fps,
        key=_key(dataset, windows),
        read=read,
        dataset=dataset,
        windows=windows,
    )


def middle_windows(
    dataset: ClipDataset,
    part: Literal["train", "test", "all"] = "all",
    members: Sequence[int] | np.ndarray | None = None,
    fps: float = 12.0,
    name: str | None = None,
) -> RealClips:
    """One window of each clip of a data set, in the middle of its time and of the picture, never mirrored.

    Args:
        dataset: the clips.
        part: which part of the data these clips are, for the name.
        members: numbers of the data set's clips; None is all of them.
        fps: frames per second of clips at their own speed, for sources that do not say it; windows are watched at a
            stride's share of it.
        name: what the report calls the set; None names the source and the part.
    """
    members = np.arange(len(dataset)) if members is None else np.asarray(members, np.int64)
    windows = [dataset.fixed_window(member) for member in members.tolist()]
    rates = getattr(dataset.store, "fps", None)
    if rates is not None and windows:
        fps = float(np.median(rates[[window.clip for window in windows]]))
    name = _name(dataset, part) if name is None else name
    return real_clips(dataset, windows, dataset.labels[members], name, fps / dataset.config.stride)


def readable(clips: RealClips, cache: Cache) -> np.ndarray:
    """Numbers of the clips whose files can be decoded, int64, ascending.

    Packed clips were decoded when they were packed, so they are not read; others are, once: what was found is kept.
    """
    if isinstance(store := clips.dataset.store, ClipStore):
        return np.flatnonzero([window.clip not in store.damaged for window in clips.windows])

    def look() -> list[int]:
        found: list[int] = []
        for start in range(0, len(clips), _AT_ONCE):
            pixels = clips.dataset.store.read(clips.windows[start : start + _AT_ONCE])
            found += [start + row for row, frames in enumerate(pixels) if frames is not None]
        return found

    found = cache.entry(
        f"readable-{clips.key}.json",
        look,
        read_json,
        lambda path, rows: path.write_text(json.dumps(rows), encoding="utf-8"),
    )
    return np.array(found, np.int64)


def _name(dataset: ClipDataset, part: str) -> str:
    source = dataset.store.about.get("source")
    name = str(dataset.store.about.get("root", dataset.store.path)) if source in (None, "files") else str(source)
    return name if part == "all" else f"{name}, {part} part"


def _id(dataset: ClipDataset, window: Window) -> str:
    """The source of a clip and the first and last frame of its window, from 0."""
    stride = f" by {dataset.config.stride}" if dataset.config.stride > 1 else ""
    return f"{dataset.store.sources[window.clip]}, frames {window.times[0]} to {window.times[-1]}{stride}"


def _key(dataset: ClipDataset, windows: list[Window]) -> str:
    store = dataset.store
    colour = dataset.config.background_colour
    background = list(colour) if colour is not None else ["random", dataset.seed]
    if isinstance(store, ClipStore):
        shapes = np.stack([store.heights, store.widths, store.channels], 1)
        known = [[store.hashes[window.clip], *shapes[window.clip].tolist()] for window in windows]
        if any(row[3] == 4 for row in known) and colour is None:
            known = [[*row, window.clip] for row, window in zip(known, windows)]  # which the background is drawn from
        elif all(row[3] == 3 for row in known):
            background = []
    else:
        known = [[store.identity, store.sources[window.clip], window.clip] for window in windows]
    cuts = [[window.times.tolist(), window.top, window.left] for window in windows]
    return content_key("dataset", _VERSION, dataset.size, background, known, cuts)
