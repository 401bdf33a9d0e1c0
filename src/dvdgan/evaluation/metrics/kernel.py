"""Kernel distance: the unbiased squared maximum mean discrepancy with a cubic kernel (KID, Binkowski et al. 2018).

Clips of an evaluation are dealt by class, so many of each, and are no independent draws from all classes together: the
plain estimate would come out too low by about 1/n. So it is stratified: pairs within a class and pairs across classes
are averaged apart, and weighted as often as the classes come. With one class that is the published estimate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dvdgan.evaluation.measured import Measured

_BLOCK = 1 << 22  # kernel values that are held at once


@dataclass(frozen=True, eq=False)
class KernelSide:
    """Clips of one side, with the kernel's sums over their own pairs.

    Attributes:
        clips: float ``[N, T', D]``.
        strata: float64 ``[N, C]``, 1 where a clip is of a class; each class has two clips or more.
        sums: of the kernel over pairs of different clips.
    """

    clips: np.ndarray
    strata: np.ndarray
    sums: _Sums

    @classmethod
    def of(cls, features: np.ndarray, labels: np.ndarray) -> KernelSide:
        """The side of features ``[N, D]`` or ``[N, T', D]`` with classes int64 ``[N]``."""
        clips, strata = features.reshape(len(features), -1, features.shape[-1]), _strata(labels)
        return cls(clips, strata, _sums(clips, clips, strata, strata, own=True))

    @property
    def counts(self) -> np.ndarray:
        """Clips of each class, ``[C]``."""
        return self.strata.sum(0)

    @property
    def shares(self) -> np.ndarray:
        """How often each class comes, ``[C]``."""
        return self.strata.mean(0)


@dataclass(frozen=True, eq=False)
class _Sums:
    """Sums of the kernel over pairs of clips x and y, which are of C and C' classes.

    Attributes:
        rows: of each clip x over each class of y, ``[N, C']``.
        columns: of each clip y over each class of x, ``[M, C]``.
        squares: of the squared kernel over the pairs of two classes, ``[C, C']``.
    """

    rows: np.ndarray
    columns: np.ndarray
    squares: np.ndarray


def kernel_distance(real: KernelSide, generated: KernelSide, interval: bool = True) -> Measured:
    """The unbiased estimate of MMD² over all clips, which can come out a little below 0, and its 95 % interval.

    With ``k(x, y) = (x·y / D + 1)³``: mean of k over pairs of different real clips, plus the same of generated ones,
    less twice the mean over pairs of a real and a generated clip (Binkowski et al. 2018, eq. 4), each stratified by
    class. A clip of several vectors counts as the mean over them (k of two clips is the mean of k over the pairs of
    their vectors), so that pairs of frames of one clip, which are alike, never enter and the estimate stays unbiased.

    The interval is the estimate ± 1.96 standard errors, of which there are two parts (Hoeffding's decomposition): what
    each clip adds by itself, and what pairs add, which is all that is left where the two sides are alike.

    Returns:
        Without a value with fewer than 2 clips on a side.
    """
    sizes = len(real.clips), len(generated.clips)
    if min(sizes) < 2:
        return Measured(missing=f"{sizes[0]} real and {sizes[1]} generated clips; it needs 2 of each")
    p, q = real.shares, generated.shares
    between = _sums(real.clips, generated.clips, real.strata, generated.strata)
    means = _own_means(real), _own_means(generated)
    # how far each clip lies from its own side's others, less how far from the other side
    x = means[0] @ p - between.rows @ (q / generated.counts)
    y = means[1] @ q - between.columns @ (p / real.counts)
    value = float(x.mean() + y.mean())
    if not interval:
        return Measured(value=value)
    own = [_own_remainder(side) for side in (real, generated)]
    cross = 4 * p**2 @ _remainder(between, real, generated) @ q**2
    # the variance of what pairs add, and of what clips add, in which the former is once more and, of few clips of a
    # class, somewhat more
    pairs = 2 * (own[0].sum() + own[1].sum()) + cross
    more = sum(2 * np.diagonal(one) @ (2 / np.maximum(side.counts - 2, 1)) for one, side in zip(own, (real, generated)))
    alone = 4 * (_spread(real, means[0], x) + _spread(generated, means[1], y)) - pairs - more
    error = float(np.sqrt(max(alone, 0.75 * pairs, 0)))  # `alone` has no bias, but can come out far too low
    low, high = value - 1.96 * error, value + 1.96 * error
    return Measured(value=value, spread=error, low=low, high=high, over="standard error over clips, and 95 % interval")


def _own_means(side: KernelSide) -> np.ndarray:
    """Mean of the kernel of each clip with the others of each class, ``[N, C]``."""
    return side.sums.rows / (side.counts - side.strata)


def _spread(side: KernelSide, means: np.ndarray, values: np.ndarray) -> float:
    """Variance of the mean of values ``[N]`` whose classes have fixed counts.

    A clip is missing in its own mean over the others of its class, which shrinks its departure from the class by
    ``(n − 2) / (n − 1)``; that is made up for.
    """
    n = side.counts
    own = (means * side.strata).sum(1)
    own = own - side.strata @ (side.strata.T @ own / n)
    values = values + own * (side.strata @ (side.shares * (n > 2) / np.maximum(n - 2, 1)))
    centred = values - side.strata @ (side.strata.T @ values / n)
    return float(side.shares**2 @ (side.strata.T @ centred**2 / (n * (n - 1))))


def _remainder(sums: _Sums, x: KernelSide, y: KernelSide) -> np.ndarray:
    """Mean squares of the kernel that neither clip of a pair explains, over the number of pairs, ``[C, C']``."""
    n, m = x.counts[:, None], y.counts
    total = x.strata.T @ sums.rows
    rows, columns = x.strata.T @ sums.rows**2, (y.strata.T @ sums.columns**2).T
    squares = sums.squares - rows / m - columns / n + total**2 / (n * m)
    return squares / ((n - 1) * (m - 1) * n * m)


def _own_remainder(side: KernelSide) -> np.ndarray:
    """The same of one side, times its classes' squared shares, ``[C, C]``; no clip makes a pair with itself.

    Within a class that is the unbiased estimate of Székely and Rizzo 2014, eq. 2.3; 0 for one of fewer than four clips,
    which makes the interval too wide rather than too narrow.
    """
    found, n = _remainder(side.sums, side, side), side.counts
    own = (side.sums.rows * side.strata).sum(1)
    rows, total = side.strata.T @ own**2, side.strata.T @ own
    few = n < 4
    m = np.where(few, 4, n)
    squares = np.diagonal(side.sums.squares) - 2 * rows / (m - 2) + total**2 / ((m - 1) * (m - 2))
    np.fill_diagonal(found, np.where(few, 0.0, squares / (m * (m - 3) * m * (m - 1))))
    return found * np.outer(side.shares**2, side.shares**2)


def _sums(x: np.ndarray, y: np.ndarray, p: np.ndarray, q: np.ndarray, own: bool = False) -> _Sums:
    """Sums over clips x ``[N, T, D]`` and y ``[M, T', D]`` of classes p ``[N, C]`` and q ``[M, C']``.

    `own`: both are the same side; pairs of a clip with itself are left out, and only half of the pairs is looked at.
    """
    sums = _Sums(np.zeros((len(x), q.shape[1])), np.zeros((len(y), p.shape[1])), np.zeros((p.shape[1], q.shape[1])))
    for rows, columns, kernel in _blocks(x, y, symmetric=own):
        if own and rows == columns:
            np.fill_diagonal(kernel, 0.0)
        sums.rows[rows] += kernel @ q[columns]
        squares = p[rows].T @ kernel**2 @ q[columns]
        sums.squares[:] += squares
        if not own:
            sums.columns[columns] += kernel.T @ p[rows]
        elif rows != columns:
            sums.rows[columns] += kernel.T @ q[rows]
            sums.squares[:] += squares.T
    return _Sums(sums.rows, sums.rows, sums.squares) if own else sums


def _strata(labels: np.ndarray) -> np.ndarray:
    """1 where a clip ``[N]`` is of a class, float64 ``[N, C]``; classes of a single clip count as one together."""
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if (counts == 1).any() and len(counts) > 1:
        joined = counts == 1
        if joined.sum() == 1:
            joined[np.argmin(np.where(joined, len(labels) + 1, counts))] = True
        codes = np.unique(np.where(joined[codes], -1, codes), return_inverse=True)[1]
    return np.eye(codes.max() + 1)[codes]


def _blocks(x: np.ndarray, y: np.ndarray, symmetric: bool = False) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """The kernel of clips x ``[N, T, D]`` and y ``[M, T', D]`` in square blocks; of a symmetric one the upper half."""
    side = max(1, int((_BLOCK / (x.shape[1] * y.shape[1])) ** 0.5))
    for row in range(0, len(x), side):
        some = x[row : row + side].astype(np.float64)
        for column in range(row if symmetric else 0, len(y), side):
            others = y[column : column + side].astype(np.float64)
            kernel = some.reshape(-1, some.shape[-1]) @ others.reshape(-1, others.shape[-1]).T
            kernel = (kernel / x.shape[-1] + 1) ** 3
            kernel = kernel.reshape(len(some), x.shape[1], len(others), y.shape[1]).mean((1, 3))
            yield slice(row, row + len(some)), slice(column, column + len(others)), kernel
