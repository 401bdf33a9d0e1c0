"""Training clips as they are looked up: in windows over all of their time, as they are and mirrored."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from dvdgan.data.windows import Window
from dvdgan.evaluation.clipsets import content_key
from dvdgan.evaluation.clipsets_data import DatasetSet, _id, _key
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.memorisation.nearest import References

STARTS = 5
"""Windows of a clip, evenly over its time, if it is long enough to have so many."""


class TrainingWindows(DatasetSet):
    """A `ClipSet` of training clips in all the windows that stand for them, read when they are asked for.

    A clip that is as long as a window has one, and one mirrored. A longer one has up to `starts` windows, from its
    first to its last one; a shorter one, which training repeats (``data.short``), begins at up to `starts` frames of
    its round.

    Args:
        training: the training clips; one window of each.
        starts: how many windows of a clip at most.
        mirrored: whether each window comes mirrored as well, next to it as it is.

    Attributes:
        clips: int64 ``[M]``, each window's clip, by its number in `training`.
        shifts: int64 ``[M]``, frames of the source by which it begins later than the clip's window in `training`.
        flipped: bool ``[M]``, whether it is mirrored.
        step: frames of the source between the windows of a clip, at the most; 0 with one window per clip.

    Raises:
        EvaluationError: `starts` below 1.
    """

    def __init__(self, training: DatasetSet, starts: int = STARTS, mirrored: bool = True) -> None:
        """Lay down the windows."""
        if starts < 1:
            raise EvaluationError(f"windows of a training clip must be 1 or more, not {starts}")
        dataset, flips = training.dataset, (False, True) if mirrored else (False,)
        clips, shifts, flipped, windows, self.step = [], [], [], [], 0
        for number, member in enumerate(training.members.tolist()):
            middle = dataset.fixed_window(member, training.place)
            length = int(dataset.store.lengths[middle.clip])
            begins = _begins(dataset._starts(length), starts, int(middle.times[0]), length < dataset._span)
            self.step = max([self.step, *(after - before for before, after in pairwise(begins))])
            for begin in begins:
                window = Window(middle.clip, dataset._times(middle.clip, begin), middle.top, middle.left)
                for flip in flips:
                    clips.append(number)
                    shifts.append(begin - int(middle.times[0]))
                    flipped.append(flip)
                    windows.append(window)
        name = f"{training.name}, in windows"
        members = training.members[clips] if clips else training.members
        super().__init__(dataset, training.part, members, training.place, training._fallback_fps, name)
        self.clips, self.shifts, self.flipped = np.array(clips, np.int64), np.array(shifts), np.array(flipped, bool)
        self._windows = windows
        self.ids = [_id(dataset, window) + (", mirrored" if flip else "") for window, flip in zip(windows, flipped)]
        self.key = content_key("training windows", _key(dataset, windows), flipped)

    def read(self, rows: Sequence[int]) -> np.ndarray:
        """Windows by their numbers, uint8 ``[n, T, S, S, 3]``.

        Raises:
            EvaluationError: the file of a clip, which is named, cannot be read.
        """
        clips = super().read(rows)
        mirrored = self.flipped[list(rows)]
        clips[mirrored] = clips[mirrored, :, :, ::-1]
        return clips

    def references(self, features: np.ndarray) -> References:
        """Features of all windows, float32 ``[M, D]``, as what clips are compared with; groups are the store's.

        Raises:
            EvaluationError: not as many features as windows, or features that are not finite.
        """
        first = np.unique(self.clips, return_index=True)[1]
        groups = np.array(groups_of(self), dtype=str)[first].tolist()
        return References(features, self.clips, self.shifts, self.flipped, groups)

    def about(self) -> str:
        """Over what the nearest training clip is sought, in a few words."""
        count, windows = int(self.clips[-1]) + 1, len(self)
        apart = f", at most {self.step} frames apart" if self.step else ""
        mirrored = ", as they are and mirrored" if self.flipped.any() else ""
        return f"{count} training clips in {windows} windows{apart}{mirrored}"


def groups_of(clips: DatasetSet) -> list[str]:
    """What each clip shares with its near copies, by the data's own groups; its source if it is a group of its own."""
    store, numbers = clips.dataset.store, [window.clip for window in clips._windows]
    return [store.groups[number] or store.sources[number] for number in numbers]


def clip_vectors(features: np.ndarray) -> np.ndarray:
    """One vector per clip: a clip's own, or the mean and the standard deviation of its frames' vectors.

    What the frames show, and how much it changes. Their order is left out; a copy that is shifted in time stays near.

    Args:
        features: float32 ``[N, D]``, which stay as they are, or ``[N, T, D]``.

    Returns:
        float32 ``[N, D]`` or ``[N, 2 D]``.

    Raises:
        EvaluationError: features of another shape.
    """
    if features.ndim == 2:
        return features
    if features.ndim != 3 or not features.shape[1]:
        raise EvaluationError(f"features of clips are [N, D] or [N, T, D], not {list(features.shape)}")
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
