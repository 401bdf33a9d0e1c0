"""How many generated clips lie among real ones, and how many real ones among generated: balls round each clip.

Precision and recall after Kynkäänniemi et al. 2019; density and coverage after Naeem et al. 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.metrics.intervals import wilson_spread
from dvdgan.evaluation.metrics.scores import Counts, Score, Spread
from dvdgan.evaluation.metrics.statistics import checked_features

_BLOCK = 1 << 22  # distances that are held at once
_ROUNDING = 1e-12  # of squared lengths: what lies on a ball's surface counts as inside


@dataclass(frozen=True, eq=False)
class Membership:
    """Which clips lie in whose balls; a clip's ball reaches to its k-th nearest other clip of its own side.

    Attributes:
        generated_inside: bool ``[M]``, generated clips in the ball of any real one.
        real_inside: bool ``[N]``, real clips in the ball of any generated one.
        balls: int64 ``[M]``, in how many real clips' balls each generated clip lies.
        covered: bool ``[N]``, real clips whose ball has any generated clip.
    """

    generated_inside: np.ndarray
    real_inside: np.ndarray
    balls: np.ndarray
    covered: np.ndarray


def membership(real: np.ndarray, generated: np.ndarray, k: int = 3, k_density: int = 5) -> Membership:
    """Compare all pairs, in blocks, in fp64.

    Args:
        real: features ``[N, D]``, one vector a clip.
        generated: features ``[M, D]``.
        k: neighbours that reach of balls for ``generated_inside`` and ``real_inside`` (3 in Kynkäänniemi et al.).
        k_density: the same for ``balls`` and ``covered`` (5 in Naeem et al.).

    Raises:
        EvaluationError: features of another shape, or too few clips for the neighbours.
    """
    for what, side in (("real clips", real), ("generated clips", generated)):
        if checked_features(side, what).ndim != 2:
            raise EvaluationError(f"{what}: features are one vector a clip [N, D] here; average them over the frames")
    if real.shape[1] != generated.shape[1]:
        raise EvaluationError(
            f"features of {real.shape[1]} and of {generated.shape[1]} numbers have no distance; "
            "use one extractor for both"
        )
    if min(k, k_density) < 1 or len(real) <= max(k, k_density) or len(generated) <= k:
        raise EvaluationError(
            f"{len(real)} real and {len(generated)} generated clips are too few for {k} and {k_density} neighbours"
        )
    centre = real.mean(0, np.float64)
    x, y = real - centre, generated - centre
    near, reach = _radii(x, (k, k_density))
    (own,) = _radii(y, (k,))
    lengths = (x**2).sum(1)
    found = Membership(
        np.zeros(len(y), bool), np.zeros(len(x), bool), np.zeros(len(y), np.int64), np.zeros(len(x), bool)
    )
    for rows, squared in _squared_distances(y, x):
        squared -= _ROUNDING * (lengths + (y[rows] ** 2).sum(1)[:, None])
        found.generated_inside[rows] = (squared <= near).any(1)
        found.real_inside[:] |= (squared <= own[rows, None]).any(0)
        inside = squared <= reach
        found.balls[rows] = inside.sum(1)
        found.covered[:] |= inside.any(0)
    return found


def manifold_scores(
    real: np.ndarray, generated: np.ndarray, measured_with: str, k: int = 3, k_density: int = 5
) -> dict[str, Score]:
    """Precision, recall, density and coverage, by these names, of features ``[N, D]`` and ``[M, D]``.

    - Precision: share of generated clips that lie in any real clip's ball: are they realistic?
    - Recall: share of real clips that lie in any generated clip's ball: is there nothing missing?
    - Density: in how many real balls a generated clip lies, as a share of ``k_density``; about 1 for clips that are
      distributed like the real ones, and more where they crowd in the middle.
    - Coverage: share of real clips whose ball has a generated clip; about ``1 − 2^(−k_density)`` for equally many clips
      that are distributed like the real ones.

    Intervals take the balls for given, so that they tell how sure the share is, not how sure the balls are. All four
    depend on the counts: compare at equal ones.

    Returns:
        Scores without values where a side has too few clips for the neighbours.
    """
    counts = Counts.of(real, generated)
    names = ("Precision", "Recall", "Density", "Coverage")
    settings: list[dict[str, Any]] = [{"k": k}, {"k": k}, {"k": k_density}, {"k": k_density}]
    most = max(k, k_density)
    if min(len(real), len(generated)) <= most:
        reason = f"{len(real)} real and {len(generated)} generated clips; {most} neighbours need {most + 1} of each"
        return {
            name: Score(name, measured_with, None, "higher", counts, reason=reason, details=details)
            for name, details in zip(names, settings)
        }
    found = membership(real, generated, k, k_density)
    per_clip = found.balls / k_density
    mean, error = float(per_clip.mean()), float(per_clip.std(ddof=1)) / np.sqrt(len(per_clip))
    over = "95 % interval over {} clips"
    spreads = [
        wilson_spread(int(found.generated_inside.sum()), counts.generated, over.format("generated")),
        wilson_spread(int(found.real_inside.sum()), counts.real, over.format("real")),
        Spread(over.format("generated"), float(error), max(0.0, mean - 1.96 * error), mean + 1.96 * error),
        wilson_spread(int(found.covered.sum()), counts.real, over.format("real")),
    ]
    values = [float(found.generated_inside.mean()), float(found.real_inside.mean()), mean, float(found.covered.mean())]
    return {
        name: Score(name, measured_with, value, "higher", counts, spread, details=details)
        for name, value, spread, details in zip(names, values, spreads, settings)
    }


def _squared_distances(x: np.ndarray, y: np.ndarray):
    """Squared distances of x ``[N, D]`` from all of y ``[M, D]``, block by block of rows."""
    rows = max(1, _BLOCK // len(y))
    lengths = (y**2).sum(1)
    for start in range(0, len(x), rows):
        some = x[start : start + rows]
        yield slice(start, start + len(some)), (some**2).sum(1)[:, None] + lengths - 2 * (some @ y.T)


def _radii(x: np.ndarray, neighbours: tuple[int, ...]) -> list[np.ndarray]:
    """Squared distances ``[N]`` of each of x ``[N, D]`` from its k-th nearest other one, for each k."""
    radii = [np.empty(len(x)) for _ in neighbours]
    for rows, squared in _squared_distances(x, x):
        here = np.arange(rows.start, rows.stop)
        squared[here - rows.start, here] = np.inf
        nearest = np.partition(squared, sorted({k - 1 for k in neighbours}), axis=1)
        for radius, k in zip(radii, neighbours):
            radius[rows] = np.maximum(nearest[:, k - 1], 0)
    return radii
