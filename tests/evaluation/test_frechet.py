import numpy as np
import pytest

from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.metrics.frechet import extrapolated_frechet, frechet_distance, frechet_of_features, frechet_score
from dvdgan.evaluation.metrics.statistics import Gaussian, gaussian


def normal(mean, covariance, count=1000) -> Gaussian:
    return Gaussian(np.array(mean, np.float64), np.array(covariance, np.float64), count, count)


def random_covariance(size, seed, rank=None):
    factor = np.random.default_rng(seed).normal(size=(size, rank or size))
    return factor @ factor.T


def root_by_newton(matrix):
    """Square root of a matrix by the product form of Denman and Beavers' iteration, in extended precision."""
    m, x, one = (np.array(part, np.longdouble) for part in (matrix, matrix, np.eye(len(matrix))))
    for _ in range(30):
        inverse = inverse_of(m)
        x = x @ (one + inverse) / 2
        m = (one + (m + inverse) / 2) / 2
    return x


def inverse_of(matrix):
    """Gauss and Jordan's elimination, since NumPy's own is in double precision."""
    size = len(matrix)
    both = np.concatenate([matrix, np.eye(size, dtype=np.longdouble)], 1)
    for row in range(size):
        pivot = row + int(np.abs(both[row:, row]).argmax())
        both[[row, pivot]] = both[[pivot, row]]
        both[row] /= both[row, row]
        for other in range(size):
            if other != row:
                both[other] -= both[other, row] * both[row]
    return both[:, size:]


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
    found = frechet_distance(
        normal(np.zeros(6), rotation * a @ rotation.T), normal(np.ones(6), rotation * b @ rotation.T)
    )
    assert found == pytest.approx(6 + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum(), rel=1e-12)


def test_two_dimensions_that_do_not_commute():
    # the optimal map T = [[2, 1], [1, 2]] takes Σ₁ to Σ₂ = T Σ₁ T, and moves by Tr (T − 1) Σ₁ (T − 1) = 14
    first, transport = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[2.0, 1.0], [1.0, 2.0]])
    found = frechet_distance(normal([0, 0], first), normal([0, 2], transport @ first @ transport))
    assert found == pytest.approx(14 + 4, rel=1e-14)


@pytest.mark.parametrize("seed", range(3))
def test_general_against_extended_precision(seed):
    a, b = random_covariance(9, seed) + np.eye(9) / 10, random_covariance(9, seed + 50) + np.eye(9) / 10
    reference = np.trace(a) + np.trace(b) - 2 * np.trace(root_by_newton(a.astype(np.longdouble) @ b))
    found = frechet_distance(normal(np.zeros(9), a), normal(np.zeros(9), b))
    assert found == pytest.approx(float(reference), rel=1e-11)


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
    assert frechet_of_features(some, moved) == pytest.approx(300 / 4, rel=1e-12)
    assert frechet_distance(gaussian(some), gaussian(moved)) == pytest.approx(300 / 4, rel=1e-9)
    apart = np.zeros((20, 300)), np.zeros((20, 300))  # in subspaces that meet in a point
    apart[0][:, :150], apart[1][:, 150:] = some[:, :150], some[:, 150:]
    a, b = (gaussian(side) for side in apart)
    expected = ((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance) + np.trace(b.covariance)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_of_features(*apart) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("n", "m"), [(10, 15), (10, 80), (80, 10), (80, 90), (2, 2)])
def test_features_and_statistics_agree(n, m):
    rng = np.random.default_rng(n + m)
    a, b = rng.normal(size=(n, 40)), 2 * rng.normal(size=(m, 40)) + 1
    assert frechet_of_features(a, b) == pytest.approx(frechet_distance(gaussian(a), gaussian(b)), rel=1e-6)


def test_features_of_frames():
    clips = np.random.default_rng(0).normal(size=(2, 6, 3, 5))
    found = frechet_of_features(*clips)
    assert found == pytest.approx(frechet_distance(gaussian(clips[0]), gaussian(clips[1])), rel=1e-12)
    assert found == pytest.approx(frechet_of_features(*clips.reshape(2, 18, 5)), rel=1e-12)


def test_what_does_not_fit_is_refused():
    with pytest.raises(EvaluationError, match="1 and of 2 dimensions"):
        frechet_distance(normal([0], [[1]]), normal([0, 0], np.eye(2)))
    with pytest.raises(EvaluationError, match="2 and of 3 numbers"):
        frechet_of_features(np.zeros((4, 2)), np.zeros((4, 3)))
    with pytest.raises(EvaluationError, match="covariance"):
        frechet_of_features(np.zeros((1, 2)), np.zeros((4, 2)))


def test_bias_is_what_the_module_says():
    values, n, m = np.array([4.0, 1.0, 1.0, 0.25]), 400, 200
    pairs = np.add.outer(values, values)
    expected = (1 / n + 1 / m) * (values.sum() + (np.outer(values, values) * (1 + np.eye(4)) / (2 * pairs)).sum())
    rng = np.random.default_rng(0)
    draws = [
        frechet_of_features(*(rng.normal(size=(count, 4)) * np.sqrt(values) for count in (n, m))) for _ in range(300)
    ]
    assert np.mean(draws) == pytest.approx(expected, rel=0.05)


def test_score():
    a, b = normal([1], [[2]], 30), Gaussian(np.array([5.0]), np.array([[32.0]]), 64, 8)
    found = frechet_score(a, b, "net")
    assert found.value == pytest.approx(34)
    assert (found.name, found.measured_with, found.better) == ("Fréchet distance", "net", "lower")
    assert (found.counts.real, found.counts.generated, found.counts.generated_vectors) == (30, 8, 64)
    assert "equal counts" in found.details["bias"]
    (warning,) = found.warnings
    assert "8 generated clips (64 vectors, but frames of one clip are alike) for 1 dimensions" in warning


def test_extrapolation_takes_the_bias_away():
    rng = np.random.default_rng(1)
    sets = [rng.normal(size=(2, 150, 4)) for _ in range(60)]
    plain = [frechet_of_features(*pair) for pair in sets]
    found = [extrapolated_frechet(*pair, "net", repeats=4) for pair in sets]
    values = [score.value for score in found]
    # 4 · (4 + 5) / 4 · 2 / 150, by the module's formula
    assert np.mean(plain) == pytest.approx(0.12, rel=0.15)
    assert abs(np.mean(values)) < 2.5 * np.std(values) / np.sqrt(60) < 0.03
    assert found[0].name == "Fréchet distance, extrapolated"
    assert len(found[0].details["distances"]) == 3
    assert found[0].details["distances"][0] == pytest.approx(plain[0], rel=1e-6)
    assert extrapolated_frechet(*sets[0], "net", repeats=4) == found[0]


def test_extrapolation_keeps_a_real_distance():
    rng = np.random.default_rng(2)
    real, generated = rng.normal(size=(2000, 3)), rng.normal(size=(2000, 3)) * 3 + 1
    found = extrapolated_frechet(real, generated, "net")
    assert found.value == pytest.approx(frechet_of_features(real, generated), rel=0.02)
    assert found.value == pytest.approx(3 * (1 + 2**2), rel=0.15)


def test_extrapolation_makes_no_parts_below_twice_the_dimension():
    clips = np.random.default_rng(0).normal(size=(2, 24, 5))
    found = extrapolated_frechet(*clips, "net")
    whole, half = found.details["distances"]
    assert found.value == pytest.approx(2 * whole - half)  # the line through two points


def test_extrapolation_needs_clips():
    found = extrapolated_frechet(np.zeros((19, 30, 5)), np.zeros((40, 30, 5)), "net")
    assert found.value is None
    assert "19 real and 40 generated clips" in found.reason
