import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.metrics import frechet
from dvdgan.evaluation.metrics.frechet import Gaussian, frechet_distance, gaussian


def normal(mean, covariance) -> Gaussian:
    """The Gaussian of a mean and a covariance."""
    values, directions = np.linalg.eigh(np.array(covariance, np.float64))
    return Gaussian(np.array(mean, np.float64), directions * np.sqrt(np.maximum(values, 0)))


def covariance_of(found):
    return found.factor @ found.factor.T


def of_features(a, b):
    return frechet_distance(gaussian(a), gaussian(b))


def random_covariance(size, seed, rank=None):
    factor = np.random.default_rng(seed).normal(size=(size, rank or size))
    return factor @ factor.T


def test_equal_gaussians():
    one = normal([1, 2, 3], random_covariance(3, 0))
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-13)


def test_one_dimension():
    # (5 − 1)² + (√32 − √2)²
    assert frechet_distance(normal([1], [[2]]), normal([5], [[32]])) == pytest.approx(34, rel=1e-14)


def test_diagonal():
    # 3² + 4² + (1 − 3)² + (2 − 5)²
    assert frechet_distance(normal([0, 0], np.diag([1, 4])), normal([3, 4], np.diag([9, 25]))) == pytest.approx(38)


def test_commuting():
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(6, 6)))[0]
    a, b = np.arange(1.0, 7.0), np.array([9.0, 4.0, 1.0, 16.0, 0.0, 25.0])
    factors = rotation * np.sqrt(a), rotation * np.sqrt(b)  # a covariance would bring back the variance of 0 as 1e-15
    found = frechet_distance(Gaussian(np.zeros(6), factors[0]), Gaussian(np.ones(6), factors[1]))
    assert found == pytest.approx(6 + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum(), rel=1e-12)


def test_two_dimensions_that_do_not_commute():
    # the optimal map T = [[2, 1], [1, 2]] takes Σ₁ to Σ₂ = T Σ₁ T, and moves by Tr (T − 1) Σ₁ (T − 1) = 14
    first, transport = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[2.0, 1.0], [1.0, 2.0]])
    found = frechet_distance(normal([0, 0], first), normal([0, 2], transport @ first @ transport))
    assert found == pytest.approx(14 + 4, rel=1e-14)


@pytest.mark.parametrize("seed", range(3))
def test_general_against_the_square_root_of_a_matrix(seed):
    a, b = random_covariance(9, seed) + np.eye(9) / 10, random_covariance(9, seed + 50) + np.eye(9) / 10
    reference = np.trace(a) + np.trace(b) - 2 * np.trace(sqrtm(a @ b))
    found = frechet_distance(normal(np.zeros(9), a), normal(np.zeros(9), b))
    assert found == pytest.approx(reference, rel=1e-11)


def test_symmetric():
    a, b = normal(np.zeros(5), random_covariance(5, 1)), normal(np.ones(5), random_covariance(5, 2, rank=2))
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-12)


def test_singular_covariances():
    v, w = np.array([3.0, 4.0]), np.array([1.0, 0.0])
    # |v|² + |w|² − 2 |v·w|
    assert frechet_distance(normal([0, 0], np.outer(v, v)), normal([0, 0], np.outer(w, w))) == pytest.approx(20)
    nothing = normal([0, 0], np.zeros((2, 2)))
    assert frechet_distance(nothing, normal([1, 1], np.outer(v, v))) == pytest.approx(27)
    assert frechet_distance(nothing, nothing) == 0


def test_singular_in_many_dimensions():
    rng = np.random.default_rng(3)
    some = rng.normal(size=(20, 300)).astype(np.float32)
    moved = some.astype(np.float64) + 0.5
    assert of_features(some, moved) == pytest.approx(300 / 4, rel=1e-12)
    apart = np.zeros((20, 300)), np.zeros((20, 300))  # in subspaces that meet in a point
    apart[0][:, :150], apart[1][:, 150:] = some[:, :150], some[:, 150:]
    a, b = (gaussian(side) for side in apart)
    expected = ((a.mean - b.mean) ** 2).sum() + a.trace + b.trace
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-12)


HAND = np.array([[0, 0], [2, 0], [4, 6]], np.float32)


def test_gaussian_by_hand():
    for features in (HAND, HAND.reshape(1, 3, 2)):  # three clips, or three frames of one
        found = gaussian(features)
        assert found.mean.tolist() == [2, 2]
        assert covariance_of(found) == pytest.approx(np.array([[4, 6], [6, 12]]))
        assert found.trace == pytest.approx(16)
        assert found.mean.dtype == found.factor.dtype == np.float64


@settings(max_examples=25, deadline=None)
@given(count=st.integers(2, 60), frames=st.sampled_from([None, 3]), chunk=st.sampled_from([1, 7, 1000]))
def test_gaussian_of_few_and_of_many_vectors(count, frames, chunk):
    shape = (count, 20) if frames is None else (count, frames, 20)
    clips = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frechet, "_CHUNK_BYTES", chunk * 20 * 8)
        found = gaussian(clips)
    vectors = clips.reshape(-1, 20).astype(np.float64)
    assert np.allclose(found.mean, vectors.mean(0), rtol=0, atol=1e-14)
    assert np.allclose(covariance_of(found), np.cov(vectors, rowvar=False), rtol=0, atol=1e-12)


def test_far_from_zero_nothing_cancels():
    vectors = np.random.default_rng(1).normal(size=(1000, 3))
    assert np.allclose(covariance_of(gaussian(vectors + 1e8)), covariance_of(gaussian(vectors)), rtol=0, atol=1e-7)


def test_half_precision_is_summed_in_double():
    halves = np.full((5000, 1), 2.0, np.float16)  # a sum of 10,000 that fp16 rounds
    halves[::2] = 4.0
    found = gaussian(halves)
    assert found.mean.tolist() == [3]
    assert covariance_of(found) == pytest.approx(5000 / 4999)


def test_one_vector_has_no_covariance():
    with pytest.raises(EvaluationError, match="at least 2 clips"):
        gaussian(np.zeros((1, 4)))


def test_bias_is_what_the_module_says():
    values, n, m = np.array([4.0, 1.0, 1.0, 0.25]), 400, 200
    pairs = np.add.outer(values, values)
    expected = (1 / n + 1 / m) * (values.sum() + (np.outer(values, values) * (1 + np.eye(4)) / (2 * pairs)).sum())
    rng = np.random.default_rng(0)
    draws = [of_features(*(rng.normal(size=(count, 4)) * np.sqrt(values) for count in (n, m))) for _ in range(300)]
    assert np.mean(draws) == pytest.approx(expected, rel=0.05)


def test_small_variances_count_beside_large_ones():
    """Variances 1e14 apart: the small ones stay, in a set of many clips and in one of few."""
    rng = np.random.default_rng(4)
    for count in (20, 400):
        clips = rng.normal(size=(count, 30))
        clips[:, 0] *= 1e7
        wider = clips.copy()
        wider[:, 1:] *= 3
        expected = 4 * clips[:, 1:].var(0, ddof=1).sum() + 4 * (clips[:, 1:].mean(0) ** 2).sum()
        assert of_features(clips, wider) == pytest.approx(expected, rel=0.02)
    far = rng.normal(size=(400, 30))
    assert of_features(far, 1e7 * far) == pytest.approx(
        (1e7 - 1) ** 2 * (far.var(0, ddof=1).sum() + (far.mean(0) ** 2).sum())
    )
