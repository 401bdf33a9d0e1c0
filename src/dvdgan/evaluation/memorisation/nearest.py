"""The nearest training clip of each clip, exactly, over all windows that stand for a training clip.

Distances are Euclidean between features in units of the training clips' spread, dimension by dimension, so that they do
not hang on a network's arbitrary scales and zero points. (Cosines do: mean features of frames all point nearly the same
way.) They are divided by the square root of the number of dimensions: two unrelated training clips are about 1.4 apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dvdgan.data.progress import with_progress
from dvdgan.evaluation.errors import EvaluationError

_AROUND = 20  # groups that the nearest training clip is compared with
_ROWS, _COLUMNS = 512, 4096  # clips and training windows of a block: 16 MiB of distances
_CELLS = 1 << 23  # distances of clips to groups that are kept at a time: 64 MiB
_LEAST_SPREAD = 0.1  # of the root mean square of all: dimensions that hardly vary in training cannot outweigh all
_EQUAL = 1e-4  # distance within which features are of one clip, but for rounding


@dataclass(frozen=True)
class References:
    """Features of training clips, each clip in one or more windows.

    Attributes:
        features: float32 ``[M, D]``, a row per window.
        clips: int64 ``[M]``, the number of each window's clip, 0 to K − 1, each at least once.
        shifts: int64 ``[M]``, frames of the source by which each begins later than the middle one; for the report.
        flipped: bool ``[M]``, whether each is mirrored; for the report.
        groups: of each of the K clips, what its near copies share; None makes each clip a group of its own.

    Raises:
        EvaluationError: shapes that do not fit together, no clips, or features that are not finite.
    """

    features: np.ndarray
    clips: np.ndarray
    shifts: np.ndarray
    flipped: np.ndarray
    groups: Sequence[str] | None = None
    codes: np.ndarray = field(init=False, repr=False)
    """int64 ``[M]``, a number for the group of each window's clip."""

    def __post_init__(self) -> None:
        """Check, and number the groups."""
        check_features(self.features, "training clips")
        columns = self.clips, self.shifts, self.flipped
        if any(column.shape != (len(self.features),) for column in columns):
            raise EvaluationError(f"training clips: {len(self.features)} windows need as many clips, shifts and flips")
        if not np.array_equal(np.unique(self.clips), np.arange(self.count)):
            raise EvaluationError("training clips: their numbers are 0, 1, … without gaps")
        if self.groups is not None and len(self.groups) != self.count:
            raise EvaluationError(f"training clips: {len(self.groups)} groups for {self.count} clips")
        codes = np.arange(self.count) if self.groups is None else np.unique(list(self.groups), return_inverse=True)[1]
        object.__setattr__(self, "codes", codes[self.clips])

    @property
    def count(self) -> int:
        """How many training clips there are, K."""
        return int(self.clips.max()) + 1

    @classmethod
    def plain(cls, features: np.ndarray, groups: Sequence[str] | None = None) -> References:
        """Training clips that stand in one window each, float32 ``[K, D]``."""
        rows = np.arange(len(features))
        return cls(features, rows, np.zeros_like(rows), np.zeros(len(rows), bool), groups)


@dataclass(frozen=True)
class Scale:
    """The units of distances: what a difference in each dimension counts for.

    Attributes:
        centre: float64 ``[D]``.
        factors: float64 ``[D]``.
    """

    centre: np.ndarray
    factors: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> Scale:
        """The spread of these features, float32 ``[M, D]``, dimension by dimension; see the module."""
        dimension = features.shape[1]
        centre = sum((part.sum(0, np.float64) for part in _blocks(features)), np.zeros(dimension)) / len(features)
        variance = sum((((part - centre) ** 2).sum(0) for part in _blocks(features)), np.zeros(dimension))
        variance = variance / len(features)
        mean = float(variance.mean())
        return cls(centre, 1 / np.sqrt(dimension * (variance + _LEAST_SPREAD**2 * mean + (mean == 0))))

    @classmethod
    def none(cls, dimension: int) -> Scale:
        """Distances between features as they are."""
        return cls(np.zeros(dimension), np.ones(dimension))

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Features ``[n, D]`` in these units, float64."""
        return (features - self.centre) * self.factors


@dataclass(frozen=True)
class Nearest:
    """What lies nearest to each of N clips.

    Attributes:
        rows: int64 ``[N]``, the nearest row of the references, the first of several.
        distances: float64 ``[N]``, to it.
        around: float64 ``[N]``, mean distance to the 20 nearest other groups (all others, if fewer); None where there
            is but one group.
    """

    rows: np.ndarray
    distances: np.ndarray
    around: np.ndarray | None

    @property
    def ratios(self) -> np.ndarray | None:
        """How near the nearest is, as a share of how near the next ones are: 0 is a copy, 1 as near; ``[N]``."""
        return None if self.around is None else self.distances / np.maximum(self.around, np.finfo(float).tiny)


def nearest(features: np.ndarray, references: References, scale: Scale, progress: bool = False) -> Nearest:
    """Compare every clip with every window of every training clip.

    N clips and M windows of D dimensions take 2 N M D floating-point operations and, beside the features, some hundred
    megabytes. The distances to the nearest come from differences, so an equal clip's is exactly 0.

    Args:
        features: float32 ``[N, D]``.
        references: the training clips.
        scale: units of the distances.
        progress: show a progress bar on stderr.

    Raises:
        EvaluationError: features of another dimension, or that are not finite.
    """
    check_features(features, "clips to compare", references.features.shape[1])
    order = np.argsort(references.codes, kind="stable")
    codes = references.codes[order]
    groups = int(codes[-1]) + 1
    starts = np.searchsorted(codes, np.arange(groups + 1))
    rows_at_once = max(1, min(_ROWS, _CELLS // groups))
    firsts = range(0, len(features), rows_at_once)
    rows, distances, around = [], [], []
    for first in with_progress(firsts, f"nearest training clips, {rows_at_once} at a time", progress):
        points = scale(features[first : first + rows_at_once])
        squares = _by_group(points, references.features, order, codes, scale)
        for point, group in zip(points, squares.argmin(1)):
            members = order[starts[group] : starts[group + 1]]
            parts = [members[column : column + _COLUMNS] for column in range(0, len(members), _COLUMNS)]
            apart = [((point - scale(references.features[part])) ** 2).sum(1) for part in parts]
            squared = np.concatenate(apart)
            rows.append(members[squared.argmin()])
            distances.append(np.sqrt(squared.min()))
        if groups > 1:
            others = np.partition(squares, min(_AROUND, groups - 1), axis=1)[:, : _AROUND + 1]
            others = np.sort(others, axis=1)[:, 1:] + (points**2).sum(1)[:, None]
            around.append(np.sqrt(np.maximum(others, 0)).mean(1))
    return Nearest(np.array(rows, np.int64), np.array(distances), np.concatenate(around) if around else None)


def _by_group(
    points: np.ndarray, references: np.ndarray, order: np.ndarray, codes: np.ndarray, scale: Scale
) -> np.ndarray:
    """Squared distance of each point to each group's nearest row, less the point's squared length, ``[n, groups]``.

    Args:
        points: float64 ``[n, D]``, in the units of `scale`.
        references: float32 ``[M, D]``.
        order: int64 ``[M]``, rows of the references, group by group.
        codes: int64 ``[M]``, the groups of these rows, from 0 without gaps.
        scale: units of the distances.
    """
    found = np.full((len(points), int(codes[-1]) + 1), np.inf)
    for column in range(0, len(order), _COLUMNS):
        part = slice(column, column + _COLUMNS)
        windows = scale(references[order[part]])
        squares = (windows**2).sum(1) - 2 * points @ windows.T
        starts = np.flatnonzero(np.diff(codes[part], prepend=-1))
        own = found[:, codes[column] : codes[part][-1] + 1]  # a group may go on in the next block
        np.minimum(own, np.minimum.reduceat(squares, starts, axis=1), out=own)
    return found


def shared(held_out: Sequence[str], training: Sequence[str]) -> np.ndarray:
    """Which held-out clips have near copies in training, by their groups, bool ``[N]``; they are not held out."""
    return np.isin(np.array(list(held_out), dtype=str), np.array(list(training), dtype=str))


def equal(found: Nearest) -> np.ndarray:
    """Which clips a training clip is equal to, but for rounding, bool ``[N]``."""
    return found.distances <= _EQUAL


def check_features(features: np.ndarray, what: str, dimension: int | None = None) -> None:
    """Refuse what are no features of clips.

    Raises:
        EvaluationError: not floating-point ``[N, D]`` with N and D from 1, not of `dimension`, or not finite.
    """
    if features.ndim != 2 or not features.size or not np.issubdtype(features.dtype, np.floating):
        raise EvaluationError(
            f"{what}: features are floating-point [N, D], not {features.dtype} {list(features.shape)}"
        )
    if dimension is not None and features.shape[1] != dimension:
        raise EvaluationError(f"{what}: features have {features.shape[1]} dimensions, those of training {dimension}")
    if not all(np.isfinite(part).all() for part in _blocks(features)):
        raise EvaluationError(f"{what}: some features are not finite")


def _blocks(features: np.ndarray) -> list[np.ndarray]:
    return [features[first : first + _COLUMNS] for first in range(0, len(features), _COLUMNS)]
