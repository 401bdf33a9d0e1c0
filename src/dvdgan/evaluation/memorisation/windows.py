"""Training clips as they are looked up: in windows over all of their time, as they are and mirrored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from dvdgan.data.windows import Window
from dvdgan.evaluation.clip_set import ClipSet, content_key
from dvdgan.evaluation.real_clips import RealClips, real_clips

STARTS = 5
"""Windows of a clip, evenly over its time, if it is long enough to have so many."""


@dataclass(frozen=True, eq=False)
class TrainingWindows:
    """Training clips in all the windows that stand for them.

    Attributes:
        clips: the M windows, read when they are asked for.
        count: how many training clips they are of.
        shifts: M numbers, frames of the source by which each begins later than its clip's middle window.
        flipped: bool ``[M]``, whether it is mirrored.
        groups: of each, what its clip shares with its near copies.
        step: frames of the source between the windows of a clip, at the most; 0 with one window per clip.
    """

    clips: ClipSet
    count: int
    shifts: list[int]
    flipped: np.ndarray
    groups: list[str]
    step: int

    def about(self) -> str:
        """Over what the nearest training clip is sought, in a few words."""
        apart = f", at most {self.step} frames apart" if self.step else ""
        mirrored = ", as they are and mirrored" if self.flipped.any() else ""
        return f"{self.count} training clips in {len(self.clips)} windows{apart}{mirrored}"


def training_windows(training: RealClips, starts: int = STARTS, mirrored: bool = True) -> TrainingWindows:
    """Lay down the windows.

    A clip that is as long as a window has one, and one mirrored. A longer one has up to `starts` windows, from its
    first to its last one; a shorter one, which training repeats (``data.short``), begins at up to `starts` frames of
    its round.

    Args:
        training: the training clips; the middle window of each.
        starts: how many windows of a clip at most, 1 or more.
        mirrored: whether each window comes mirrored as well, next to it as it is.
    """
    dataset = training.dataset
    windows: list[Window] = []
    rows, shifts, step = [], [], 0
    for row, middle in enumerate(training.windows):
        length, first = int(dataset.store.lengths[middle.clip]), int(middle.times[0])
        begins = _begins(dataset.starts(length), starts, first, length < dataset.span)
        step = max([step, *(after - before for before, after in pairwise(begins))])
        for begin in begins:
            window = Window(middle.clip, dataset.times(middle.clip, begin), middle.top, middle.left)
            for _ in range(1 + mirrored):
                rows.append(row)
                shifts.append(begin - first)
                windows.append(window)
    flipped = np.arange(len(windows)) % (1 + mirrored) == 1
    plain = real_clips(dataset, windows, training.labels[rows], f"{training.name}, in windows", training.fps)

    def read(some: Sequence[int]) -> np.ndarray:
        clips = plain.read(some)
        clips[flipped[list(some)]] = clips[flipped[list(some)], :, :, ::-1]
        return clips

    ids = [name + (", mirrored" if flip else "") for name, flip in zip(plain.ids, flipped)]
    clips = replace(plain, ids=ids, key=content_key("training windows", plain.key, flipped.tolist()), read=read)
    return TrainingWindows(clips, len(training), shifts, flipped, plain.groups, step)


def clip_vectors(features: np.ndarray) -> np.ndarray:
    """One vector per clip: a clip's own, or the mean and the standard deviation of its frames' vectors.

    What the frames show, and how much it changes. Their order is left out; a copy that is shifted in time stays near.

    Args:
        features: float32 ``[N, D]``, which stay as they are, or ``[N, T, D]``.

    Returns:
        float32 ``[N, D]`` or ``[N, 2 D]``.
    """
    if features.ndim == 2:
        return features
    return np.concatenate([features.mean(1), features.std(1)], axis=1).astype(np.float32)


def _begins(count: int, most: int, middle: int, repeated: bool) -> list[int]:
    """First frames of a clip's windows, ascending and evenly over the `count` that there are; `middle` is one.

    In a clip that is repeated, the last of them is next to the first, and windows are spread over the round.
    """
    if most == 1 or count <= 1:
        return [middle]
    even = np.linspace(0, count - 1 + repeated, min(most, count), endpoint=not repeated).round().astype(int).tolist()
    closest = int(np.argmin([abs(begin - middle) for begin in even]))
    even[closest] = middle
    return even
