"""Fréchet distance of two Gaussians: exact, also for singular covariances.

Its bias. An estimate from finite counts is too high, also where real clips are measured against real ones. For large
counts n and m, independent vectors and covariance eigenvalues λ, two samples of one Gaussian score about

    (1/n + 1/m) · (Σᵢ λᵢ + Σᵢⱼ λᵢ λⱼ (1 + δᵢⱼ) / (2 (λᵢ + λⱼ))),

which grows with the square of the dimension (second-order expansion of the distance with the covariance of a Wishart
matrix). Below about as many clips as dimensions even that does not hold. So two distances compare only at equal counts,
and each is shown beside the baseline of real clips at the same counts. Resampling clips with replacement does not show
the error: each resample has about 63 % of the clips, hence more bias than the estimate, and its interval need not
contain the estimate at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dvdgan.evaluation.errors import EvaluationError

ENOUGH = 10
"""Clips per dimension from which a Gaussian of them is trusted without a warning. At that count two white samples of
one distribution are about a twentieth of its variance apart."""

_CHUNK_BYTES = 1 << 26  # of fp64 features that are summed at once


@dataclass(frozen=True, eq=False)
class Gaussian:
    """A Gaussian in the form that distances are computed from.

    Attributes:
        mean: float64 ``[D]``.
        factor: float64 ``[D, r]``, F with ``F Fᵀ`` the covariance, of rank r; unbiased (divided by the count − 1).
    """

    mean: np.ndarray
    factor: np.ndarray

    @property
    def trace(self) -> float:
        """Of the covariance."""
        return float((self.factor**2).sum())


def gaussian(features: np.ndarray) -> Gaussian:
    """The Gaussian of features ``[N, D]`` or ``[N, T', D]`` (several vectors for each of N clips), in fp64.

    The factor comes of a QR decomposition, so the covariance is never formed: its small variances would drown in the
    rounding of large ones.

    Raises:
        EvaluationError: fewer than two vectors, which have no covariance.
    """
    vectors = features.reshape(-1, features.shape[-1])
    count, dimension = vectors.shape
    if count < 2:
        raise EvaluationError("one feature vector has no covariance; give at least 2 clips")
    mean = vectors.mean(0, np.float64)
    if count <= dimension:
        return Gaussian(mean, (vectors - mean).T / np.sqrt(count - 1))
    triangle, rows = np.zeros((0, dimension)), max(dimension, _CHUNK_BYTES // (8 * dimension))
    for start in range(0, count, rows):
        chunk = vectors[start : start + rows] - mean
        triangle = np.linalg.qr(np.concatenate([triangle, chunk])).R
    return Gaussian(mean, triangle.T / np.sqrt(count - 1))


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """The squared Fréchet (2-Wasserstein) distance, as FID and FVD use it, >= 0; no square root is taken of it.

    ``|μ₁ − μ₂|² + Tr Σ₁ + Tr Σ₂ − 2 Tr (Σ₁ Σ₂)^½`` (Dowson and Landau 1982; Heusel et al. 2017, eq. 6). The last trace
    is the sum of the singular values of ``F₁ᵀ F₂``, so that singular covariances do no harm.
    """
    gap, factors = a.mean - b.mean, a.factor.T @ b.factor
    cross = float(np.linalg.svd(factors, compute_uv=False).sum()) if factors.size else 0.0
    return max(0.0, float(gap @ gap) + a.trace + b.trace - 2 * cross)


def few_clips(real: np.ndarray, generated: np.ndarray) -> list[str]:
    """Warnings where clips are few for the dimension of a Gaussian of features ``[N, D]`` or ``[N, T', D]``.

    They go by clips: frames of one clip are alike, so that many frames of few clips do not make up for clips.
    """
    warnings, dimension = [], real.shape[-1]
    for what, features in (("real", real), ("generated", generated)):
        clips, vectors = len(features), int(np.prod(features.shape[:-1]))
        frames = f" ({vectors} vectors, but frames of one clip are alike)" if vectors > clips else ""
        if clips <= dimension:
            singular = "the covariance is singular" if vectors <= dimension else "the covariance is close to singular"
            warnings.append(
                f"{clips} {what} clips{frames} for {dimension} dimensions: {singular} and the distance far too high; "
                "only the baseline at the same counts tells what it means"
            )
        elif clips < ENOUGH * dimension:
            warnings.append(
                f"{clips} {what} clips{frames} for {dimension} dimensions: the distance is too high; from "
                f"{ENOUGH * dimension} clips, {ENOUGH} per dimension, that matters less"
            )
    return warnings
