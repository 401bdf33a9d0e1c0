"""Kernel distance: the unbiased squared maximum mean discrepancy with a cubic kernel (KID, Binkowski et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.metrics.scores import Counts, Score, Spread
from dvdgan.evaluation.metrics.statistics import checked_features
from dvdgan.randomness import keyed_rng

_BLOCK = 1 << 22  # kernel values that are held at once


def kernel_distance(real: np.ndarray, generated: np.ndarray) -> float:
    """The unbiased estimate of MMD² over all clips, which can come out a little below 0.

    With ``k(x, y) = (x·y / D + 1)³``: mean of k over pairs of different real clips, plus the same of generated ones,
    less twice the mean over pairs of a real and a generated clip (Binkowski et al. 2018, eq. 4). A clip of several
    vectors counts as the mean over them (k of two clips is the mean of k over the pairs of their vectors), so that
    pairs of frames of one clip, which are alike, never enter and the estimate stays unbiased.

    Args:
        real: features ``[N, D]`` or ``[N, T', D]``, N >= 2.
        generated: features ``[M, D]`` or ``[M, T', D]``, M >= 2.

    Raises:
        EvaluationError: fewer clips, other shapes, or numbers that are not finite.
    """
    return float(_weighted(real, generated, np.ones((len(real), 1)), np.ones((len(generated), 1)))[0])


def kernel_score(
    real: np.ndarray,
    generated: np.ndarray,
    measured_with: str,
    name: str = "Kernel distance",
    subsets: int = 100,
    subset_size: int = 1000,
    resamples: int = 500,
    seed: int = 0,
) -> Score:
    """`kernel_distance` over all clips, its bootstrap interval, and its mean and deviation over subsets.

    The interval resamples clips of both sides with replacement; pairs of a clip with itself stay out, so that it is
    centred on the estimate. Where the two sides are alike it is too wide rather than too narrow.

    Args:
        real: features ``[N, D]`` or ``[N, T', D]``.
        generated: features ``[M, D]`` or ``[M, T', D]``.
        measured_with: the extractor's name.
        name: "KID" only with the field's own network.
        subsets: how many subsets, drawn without replacement, for the published mean ± deviation; 0 for none.
        subset_size: clips of a subset on each side; at most half of the smaller side, since subsets that are nearly
            everything would all be the same.
        resamples: how many resamples for the interval; 0 for none.
        seed: of the draws.

    Returns:
        A score whose ``details`` are ``subsets``, ``subset_size``, ``subset_mean`` and ``subset_deviation`` (as
        published, divided by the number of subsets); without a value with fewer than 2 clips on a side.
    """
    counts = Counts.of(real, generated)
    if min(len(real), len(generated)) < 2:
        reason = f"{len(real)} real and {len(generated)} generated clips; it needs 2 of each"
        return Score(name, measured_with, None, "lower", counts, reason=reason)
    size = min(subset_size, len(real) // 2, len(generated) // 2)
    subsets = subsets if size >= 2 else 0
    weights = []
    for side, clips in enumerate((len(real), len(generated))):
        rng = keyed_rng(seed, "kernel distance", side)
        chosen = np.argsort(rng.random((clips, subsets)), axis=0) < size
        drawn = rng.multinomial(clips, np.full(clips, 1 / clips), size=resamples).T
        weights.append(np.concatenate([np.ones((clips, 1)), chosen, drawn], axis=1))
    values = _weighted(real, generated, *weights)
    over_subsets, resampled = values[1 : 1 + subsets], values[1 + subsets :]
    resampled = resampled[np.isfinite(resampled)]  # a resample of one clip alone has no pairs
    spread = None
    if len(resampled):
        low, high = np.quantile(resampled, (0.025, 0.975))
        kind = "95 % interval, clips resampled"
        spread = Spread(kind, float(resampled.std(ddof=1)) if len(resampled) > 1 else None, float(low), float(high))
    details: dict[str, float | int] = {"subsets": subsets, "subset_size": size}
    if subsets:
        details |= {"subset_mean": float(over_subsets.mean()), "subset_deviation": float(over_subsets.std())}
    return Score(name, measured_with, float(values[0]), "lower", counts, spread, details=details)


def _weighted(real: np.ndarray, generated: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """MMD² ``[R]`` with clips counted so often as R columns of weights say, u ``[N, R]`` and v ``[M, R]``.

    NaN where the weights leave no pair of different clips.
    """
    real, generated = checked_features(real, "real clips"), checked_features(generated, "generated clips")
    if min(len(real), len(generated)) < 2:
        raise EvaluationError(
            f"{len(real)} real and {len(generated)} generated clips; the kernel distance needs 2 of each"
        )
    if real.shape[-1] != generated.shape[-1]:
        raise EvaluationError(
            f"features of {real.shape[-1]} and of {generated.shape[-1]} numbers have no distance; "
            "use one extractor for both"
        )
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
