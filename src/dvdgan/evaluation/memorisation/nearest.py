"""The nearest training clip of each clip, exactly, over all windows that stand for a training clip.

Distances are Euclidean between features in units of the training clips' spread, dimension by dimension, so that they do
not hang on a network's arbitrary scales and zero points. (Cosines do: mean features of frames all point nearly the same
way.) They are divided by the square root of the number of dimensions: two unrelated training clips are about 1.4 apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dvdgan.data.progress import with_progress

_AROUND = 20  # groups that the nearest training clip is compared with
_ROWS, _COLUMNS = 512, 4096  # clips and training windows of a block: 16 MiB of distances
_CELLS = 1 << 23  # distances of clips to groups that are kept at a time: 64 MiB
_LEAST_SPREAD = 0.1  # of the root mean square of all: dimensions that hardly vary in training cannot outweigh all


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


def nearest(features: np.ndarray, references: np.ndarray, groups: Sequence[str], scale: Scale) -> Nearest:
    """Compare every clip with every window of every training clip.

    N clips and M windows of D dimensions take 2 N M D floating-point operations and, beside the features, some hundred
    megabytes. The distances to the nearest come from differences, so an equal clip's is exactly 0. (Those to all come
    from one matrix product, which is many times as quick as `scipy.spatial.distance.cdist`.)

    Args:
        features: float32 ``[N, D]``.
        references: float32 ``[M, D]``, of the training clips' windows.
        groups: of each of the M windows, what its clip's near copies share.
        scale: units of the distances.
    """
    codes = np.unique(np.array(groups, dtype=str), return_inverse=True)[1]
    order = np.argsort(codes, kind="stable")
    codes = codes[order]
    count = int(codes[-1]) + 1
    starts = np.searchsorted(codes, np.arange(count + 1))
    rows_at_once = max(1, min(_ROWS, _CELLS // count))
    firsts = range(0, len(features), rows_at_once)
    rows, distances, around = [], [], []
    for first in with_progress(firsts, f"nearest training clips, {rows_at_once} at a time"):
        points = scale(features[first : first + rows_at_once])
        squares = _by_group(points, references, order, codes, scale)
        for point, group in zip(points, squares.argmin(1)):
            members = order[starts[group] : starts[group + 1]]
            parts = [members[column : column + _COLUMNS] for column in range(0, len(members), _COLUMNS)]
            squared = np.concatenate([((point - scale(references[part])) ** 2).sum(1) for part in parts])
            rows.append(members[squared.argmin()])
            distances.append(np.sqrt(squared.min()))
        if count > 1:
            others = np.partition(squares, min(_AROUND, count - 1), axis=1)[:, : _AROUND + 1]
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


def _blocks(features: np.ndarray) -> list[np.ndarray]:
    return [features[first : first + _COLUMNS] for first in range(0, len(features), _COLUMNS)]
