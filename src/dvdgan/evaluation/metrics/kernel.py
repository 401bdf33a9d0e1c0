"""Kernel distance: the unbiased squared maximum mean discrepancy with a cubic kernel (KID, Binkowski et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dvdgan.evaluation.record import Measured
from dvdgan.randomness import numpy_generator

_BLOCK = 1 << 22  # kernel values that are held at once


def kernel_distance(real: np.ndarray, generated: np.ndarray, resamples: int = 500, seed: int = 0) -> Measured:
    """The unbiased estimate of MMD² over all clips, which can come out a little below 0, and its bootstrap interval.

    With ``k(x, y) = (x·y / D + 1)³``: mean of k over pairs of different real clips, plus the same of generated ones,
    less twice the mean over pairs of a real and a generated clip (Binkowski et al. 2018, eq. 4). A clip of several
    vectors counts as the mean over them (k of two clips is the mean of k over the pairs of their vectors), so that
    pairs of frames of one clip, which are alike, never enter and the estimate stays unbiased.

    The interval resamples clips of both sides with replacement; pairs of a clip with itself stay out, so that it is
    centred on the estimate. Where the two sides are alike it is too wide rather than too narrow.

    Args:
        real: features ``[N, D]`` or ``[N, T', D]``.
        generated: features ``[M, D]`` or ``[M, T', D]``.
        resamples: how many resamples for the interval; 0 for none.
        seed: of the resamples.

    Returns:
        Without a value with fewer than 2 clips on a side.
    """
    if min(len(real), len(generated)) < 2:
        return Measured(missing=f"{len(real)} real and {len(generated)} generated clips; it needs 2 of each")
    weights = []
    for side, clips in enumerate((len(real), len(generated))):
        rng = numpy_generator(seed, "kernel distance", side)
        drawn = rng.multinomial(clips, np.full(clips, 1 / clips), size=resamples).T
        weights.append(np.concatenate([np.ones((clips, 1)), drawn], axis=1))
    values = _weighted(real, generated, *weights)
    value, resampled = float(values[0]), values[1:]
    resampled = resampled[np.isfinite(resampled)]  # a resample of one clip alone has no pairs
    if len(resampled) < 2:
        return Measured(value=value)
    low, high = np.quantile(resampled, (0.025, 0.975))
    spread = resampled.std(ddof=1)
    return Measured(value=value, spread=spread, low=low, high=high, over="95 % interval, clips resampled")


def _weighted(real: np.ndarray, generated: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """MMD² ``[R]`` with clips counted so often as R columns of weights say, u ``[N, R]`` and v ``[M, R]``.

    NaN where the weights leave no pair of different clips.
    """
    x, y = (side.reshape(len(side), -1, side.shape[-1]) for side in (real, generated))
    pairs = [weights.sum(0) ** 2 - (weights**2).sum(0) for weights in (u, v)]
    with np.errstate(invalid="ignore"):
        own = _own_sum(x, u) / pairs[0] + _own_sum(y, v) / pairs[1]
    between = np.zeros(u.shape[1])
    for rows, columns, kernel in _blocks(x, y):
        between += (u[rows] * (kernel @ v[columns])).sum(0)
    return own - 2 * between / (u.sum(0) * v.sum(0))


def _own_sum(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted sum ``[R]`` of the kernel over ordered pairs of different clips of one side."""
    total = np.zeros(weights.shape[1])
    for rows, columns, kernel in _blocks(x, x, symmetric=True):
        if rows == columns:
            np.fill_diagonal(kernel, 0.0)
        total += (1 if rows == columns else 2) * (weights[rows] * (kernel @ weights[columns])).sum(0)
    return total


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
