"""How many generated clips lie among real ones, and how many real ones among generated: balls round each clip.

Precision and recall after Kynkäänniemi et al. 2019; density and coverage after Naeem et al. 2020.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.spatial.distance import cdist

from dvdgan.evaluation.measured import Measured

NEIGHBOURS, DENSITY_NEIGHBOURS = 3, 5
"""A clip's ball reaches to its k-th nearest other clip of its own side: k of precision and recall, and of density and
coverage, as published."""

FAR = 100.0
"""A ball of more than so many times the median radius comes of an outlier: it holds all that lies between."""

_OVER = "95 % interval over {} clips"
_BLOCK = 1 << 22  # distances that are held at once


def radii(features: np.ndarray) -> np.ndarray:
    """Squared radii of the balls, float64 ``[2, N]``, for both numbers of neighbours, of features ``[N, D]``."""
    found = np.empty((2, len(features)))
    ranks = [min(k, len(features) - 1) for k in (NEIGHBOURS, DENSITY_NEIGHBOURS)]  # each clip is its own nearest one
    for rows, squared in _squared_distances(features, features):
        found[:, rows] = np.partition(squared, ranks, axis=1)[:, ranks].T
    return found


def manifold_scores(
    real: np.ndarray, generated: np.ndarray, reach: np.ndarray, own_reach: np.ndarray
) -> dict[str, Measured]:
    """Precision, recall, density and coverage of features ``[N, D]`` and ``[M, D]``, one vector a clip.

    - precision: share of generated clips that lie in any real clip's ball: are they realistic?
    - recall: share of real clips that lie in any generated clip's ball: is there nothing missing?
    - density: in how many real balls a generated clip lies, as a share of `DENSITY_NEIGHBOURS`; about 1 for clips that
      are distributed like the real ones, and more where they crowd in the middle.
    - coverage: share of real clips whose ball has a generated clip; about ``1 − 2^(−5)`` for equally many clips that
      are distributed like the real ones.

    Intervals take the balls for given, so that they tell how sure the share is, not how sure the balls are. All four
    depend on the counts: compare at equal ones.

    Args:
        real: features of real clips.
        generated: features of generated clips.
        reach: `radii` of the real clips.
        own_reach: of the generated ones.

    Returns:
        Without values where a side has too few clips for the neighbours.
    """
    if min(len(real), len(generated)) <= DENSITY_NEIGHBOURS:
        few = f"{len(real)} real and {len(generated)} generated clips"
        missing = f"{few}; {DENSITY_NEIGHBOURS} neighbours need {DENSITY_NEIGHBOURS + 1} of each"
        return {name: Measured(missing=missing) for name in ("precision", "recall", "density", "coverage")}
    (near, far), own = reach, own_reach[0]
    inside, balls = np.zeros(len(generated), bool), np.zeros(len(generated), np.int64)
    recalled, covered = np.zeros(len(real), bool), np.zeros(len(real), bool)
    for rows, squared in _squared_distances(generated, real):
        inside[rows] = (squared <= near).any(1)
        recalled |= (squared <= own[rows, None]).any(0)
        within = squared <= far
        balls[rows] = within.sum(1)
        covered |= within.any(0)
    return {
        "precision": _share(inside, "generated"),
        "recall": _share(recalled, "real"),
        "density": _mean(balls / DENSITY_NEIGHBOURS),
        "coverage": _share(covered, "real"),
    }


def outliers(reach: np.ndarray) -> int:
    """How many balls, of squared radii ``[2, N]``, are so large that precision or recall says nothing, see `FAR`."""
    positive = reach[0][reach[0] > 0]  # equal clips have balls of no size
    return int((positive > FAR**2 * np.median(positive)).sum()) if len(positive) else 0


def diversity(features: np.ndarray, labels: np.ndarray) -> Measured:
    """Mean distance of each clip ``[N, D]`` to the nearest other clip of its class, int64 ``[N]``.

    0 where each clip of a class comes twice or more; classes of one clip do not count. It depends on the counts:
    compare at equal ones.
    """
    nearest = []
    for label in np.unique(labels):
        some = features[labels == label]
        for _, squared in _squared_distances(some, some):
            if len(some) > 1:
                nearest.append(np.partition(squared, 1, axis=1)[:, 1])  # each clip is its own nearest one
    if not nearest:
        return Measured(missing="no class has two clips")
    return Measured(value=np.sqrt(np.concatenate(nearest)).mean())


def _share(hits: np.ndarray, what: str) -> Measured:
    return Measured.share(int(hits.sum()), len(hits), _OVER.format(what))


def _mean(values: np.ndarray) -> Measured:
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(len(values))
    low, high = max(0.0, mean - 1.96 * error), mean + 1.96 * error
    return Measured(value=mean, spread=error, low=low, high=high, over=_OVER.format("generated"))


def _squared_distances(x: np.ndarray, y: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Squared distances of x ``[N, D]`` from all of y ``[M, D]`` in fp64, block by block of rows."""
    rows = max(1, _BLOCK // len(y))
    for start in range(0, len(x), rows):
        some = x[start : start + rows]
        yield slice(start, start + len(some)), cdist(some, y, "sqeuclidean")
