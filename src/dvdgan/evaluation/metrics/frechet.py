"""Fréchet distance of two Gaussians: exact, also for singular covariances; and its extrapolation to endless clips.

Its bias. An estimate from finite counts is too high, also where real clips are measured against real ones. For large
counts n and m, independent vectors and covariance eigenvalues λ, two samples of one Gaussian score about

    (1/n + 1/m) · (Σᵢ λᵢ + Σᵢⱼ λᵢ λⱼ (1 + δᵢⱼ) / (2 (λᵢ + λⱼ))),

which grows with the square of the dimension (second-order expansion of the distance with the covariance of a Wishart
matrix). Below about as many clips as dimensions even that does not hold. So two distances compare only at equal counts,
and each is shown beside the floor of real clips at the same counts. Resampling clips with replacement does not show
the error: each resample has about 63 % of the clips, hence more bias than the estimate, and its interval need not
contain the estimate at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.metrics.intervals import dimension_warnings
from dvdgan.evaluation.metrics.scores import Counts, Score
from dvdgan.evaluation.metrics.statistics import Gaussian, checked_features, gaussian
from dvdgan.randomness import keyed_rng

BIAS = "too high by an amount that shrinks with the number of clips; compare it only at equal counts, with its floor"
"""What every Fréchet distance says of itself."""


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """The squared Fréchet (2-Wasserstein) distance, as FID and FVD use it, >= 0; no square root is taken of it.

    ``|μ₁ − μ₂|² + Tr Σ₁ + Tr Σ₂ − 2 Tr (Σ₁ Σ₂)^½`` (Dowson and Landau 1982; Heusel et al. 2017, eq. 6). The last
    trace is the sum of the singular values of ``F₁ᵀ F₂``, where the ``Fᵢ`` with ``Fᵢ Fᵢᵀ = Σᵢ`` come from symmetric
    eigendecompositions, so that singular covariances do no harm.

    Raises:
        EvaluationError: Gaussians of different dimensions.
    """
    if a.dimension != b.dimension:
        raise EvaluationError(
            f"statistics of {a.dimension} and of {b.dimension} dimensions have no distance; use one extractor for both"
        )
    return frechet_of_factored(Factored.of(a), Factored.of(b))


def frechet_of_features(a: np.ndarray, b: np.ndarray) -> float:
    """`frechet_distance` straight from features, ``[N, D]`` or ``[N, T', D]``: quicker and exacter for few vectors.

    Raises:
        EvaluationError: features that `gaussian` refuses, or of different dimensions.
    """
    if a.shape[-1] != b.shape[-1]:
        raise EvaluationError(
            f"features of {a.shape[-1]} and of {b.shape[-1]} numbers have no distance; use one extractor for both"
        )
    return frechet_of_factored(factored(a), factored(b))


@dataclass(frozen=True, eq=False)
class Factored:
    """A Gaussian in the form that distances are computed from: of a set that is compared often, made once.

    Attributes:
        mean: float64 ``[D]``.
        trace: of the covariance.
        factor: float64 ``[D, r]``, F with ``F Fᵀ`` the covariance of rank r.
    """

    mean: np.ndarray
    trace: float
    factor: np.ndarray

    @classmethod
    def of(cls, gaussian: Gaussian) -> Factored:
        """A Gaussian in this form."""
        return cls(gaussian.mean, float(np.trace(gaussian.covariance)), _factor(gaussian.covariance))


def factored(features: np.ndarray) -> Factored:
    """The Gaussian of features ``[N, D]`` or ``[N, T', D]``, with no more columns than vectors.

    Raises:
        EvaluationError: features that `gaussian` refuses.
    """
    count, dimension = int(np.prod(features.shape[:-1])), features.shape[-1]
    if count > dimension or count < 2:
        return Factored.of(gaussian(features))
    vectors = checked_features(features).reshape(-1, dimension).astype(np.float64)
    mean = vectors.mean(0)
    factor = (vectors - mean).T / np.sqrt(count - 1)
    return Factored(mean, float((factor**2).sum()), factor)


def frechet_of_factored(a: Factored, b: Factored) -> float:
    """`frechet_distance` of Gaussians in factored form, of one dimension."""
    return _distance(a.mean - b.mean, a.trace, b.trace, _nuclear_norm(a.factor, b.factor))


def frechet_score(real: Gaussian, generated: Gaussian, measured_with: str, name: str = "Fréchet distance") -> Score:
    """`frechet_distance` as a `Score`, with warnings for counts that are small for the dimension.

    Args:
        real: statistics of real clips.
        generated: statistics of generated clips.
        measured_with: the extractor's name.
        name: "FVD" or "FID" only with the field's own networks.
    """
    counts = Counts(real.clips, generated.clips, real.count, generated.count, real.dimension)
    value = frechet_distance(real, generated)
    return Score(
        name, measured_with, value, "lower", counts, warnings=dimension_warnings(counts), details={"bias": BIAS}
    )


def extrapolated_frechet(
    real: np.ndarray,
    generated: np.ndarray,
    measured_with: str,
    name: str = "Fréchet distance, extrapolated",
    parts: int = 3,
    repeats: int = 8,
    seed: int = 0,
) -> Score:
    """The Fréchet distance that endless clips would have, by a line through the distances of smaller sets.

    After FID∞ (Chong and Forsyth 2020): the distance grows about linearly with 1/n, so that the least-squares line
    through those of a whole, of halves and of thirds leads to 1/n = 0. Unlike there, both sides shrink together,
    because the real clips are a sample, too; and the smaller sets are the disjoint parts of random partitions, so that
    what one has too much of another lacks. Not biased to first order; of Gaussians hardly noisier than the plain
    distance. It can come out below 0.

    Args:
        real: features ``[N, D]`` or ``[N, T', D]``.
        generated: features ``[M, D]`` or ``[M, T', D]``.
        measured_with: the extractor's name.
        name: the score's name.
        parts: into how many parts the clips are split at most, >= 2; fewer where a part would have fewer clips than
            twice the dimension, since the line is none there.
        repeats: random partitions into each number of parts.
        seed: of the partitions.

    Returns:
        A score with ``distances``, the mean for 1, 2, … parts, in its ``details``; without a value where halves are too
        small already.
    """
    real, generated = checked_features(real, "real clips"), checked_features(generated, "generated clips")
    counts = Counts.of(real, generated)
    most = min(len(real), len(generated)) // (2 * counts.dimension)
    if most < 2:
        reason = (
            f"{len(real)} real and {len(generated)} generated clips; following the line needs 4 times the "
            f"{counts.dimension} dimensions, {4 * counts.dimension}, of each"
        )
        return Score(name, measured_with, None, "lower", counts, reason=reason)
    numbers = np.arange(1, min(max(2, parts), most) + 1)
    distances = []
    for number in numbers:
        found = []
        for repeat in range(repeats if number > 1 else 1):
            rng = keyed_rng(seed, "extrapolated Fréchet distance", int(number), repeat)
            sides = [np.array_split(rng.permutation(len(side)), number) for side in (real, generated)]
            found += [frechet_distance(gaussian(real[a]), gaussian(generated[b])) for a, b in zip(*sides)]
        distances.append(float(np.mean(found)))
    slope, value = np.polyfit(numbers, distances, 1)
    details = {"distances": distances, "slope": float(slope), "repeats": repeats}
    return Score(name, measured_with, float(value), "lower", counts, details=details)


def _distance(gap: np.ndarray, trace_a: float, trace_b: float, cross: float) -> float:
    return max(0.0, float(gap @ gap) + trace_a + trace_b - 2 * cross)


def _factor(covariance: np.ndarray) -> np.ndarray:
    """F ``[D, r]`` with ``F Fᵀ`` the covariance ``[D, D]`` of rank r.

    Eigenvalues that rounding alone can make are left out: their roots, a hundred million times larger, would count.
    """
    values, vectors = np.linalg.eigh(covariance)
    kept = values > len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)
    return vectors[:, kept] * np.sqrt(values[kept])


def _nuclear_norm(a: np.ndarray, b: np.ndarray) -> float:
    """Sum of the singular values of ``aᵀ b``."""
    return float(np.linalg.svd(a.T @ b, compute_uv=False).sum()) if a.size and b.size else 0.0
