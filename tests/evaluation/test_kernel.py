import numpy as np
import pytest

from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.metrics import kernel
from dvdgan.evaluation.metrics.kernel import kernel_distance, kernel_score


def column(*values):
    return np.array(values, np.float32)[:, None]


def drawn(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def test_by_hand_in_one_dimension():
    # (x y + 1)³: 1 among {0, 1}; 27 among {1, 2}; 1, 1, 8, 27 between them
    assert kernel_distance(column(0, 1), column(1, 2)) == pytest.approx(1 + 27 - 2 * 37 / 4)


def test_by_hand_in_two_dimensions():
    # (x·y / 2 + 1)³: 1; 8; 1.5³, 2³, 1.5³, 1
    real, generated = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 1.0], [2.0, 0.0]])
    assert kernel_distance(real, generated) == pytest.approx(1 + 8 - 2 * 3.9375)


def test_by_hand_with_several_vectors_a_clip():
    # pairs of vectors of one clip never enter
    real, generated = np.array([[0.0, 1.0], [1.0, 2.0]])[..., None], np.array([[0.0, 0.0], [1.0, 1.0]])[..., None]
    assert kernel_distance(real, generated) == pytest.approx(37 / 4 + 1 - 2 * 6)


def test_sides_may_differ_in_vectors_a_clip():
    real, generated = np.array([[0.0, 1.0], [1.0, 2.0]])[..., None], column(0, 1)
    assert kernel_distance(real, generated) == pytest.approx(37 / 4 + 1 - 2 * 6)


def test_symmetric():
    a, b = drawn(0, 12, 3), drawn(1, 9, 3)
    assert kernel_distance(a, b) == pytest.approx(kernel_distance(b, a))


@pytest.mark.parametrize("frames", [(), (4,)])
def test_unbiased(frames):
    """Of two samples of one distribution the mean is 0, also where frames of a clip are alike."""

    def clips(rng):
        own = rng.normal(size=(10, *(1 for _ in frames), 3))
        return own + 0.1 * rng.normal(size=(10, *frames, 3))

    values = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        values.append(kernel_distance(clips(rng), clips(rng)))
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 2.5 * error
    assert min(values) < 0
    assert error < 0.1


@pytest.mark.parametrize("block", [1, 30, 500])
def test_blocks_change_nothing(block, monkeypatch):
    a, b = drawn(0, 13, 2, 3), drawn(1, 9, 4, 3)
    whole = kernel_score(a, b, "net")
    monkeypatch.setattr(kernel, "_BLOCK", block)
    parts = kernel_score(a, b, "net")
    assert parts.value == pytest.approx(whole.value)
    assert parts.spread.low == pytest.approx(whole.spread.low)
    assert parts.details == pytest.approx(whole.details)


def test_weights_of_0_and_1_choose_clips():
    a, b = drawn(0, 8, 3), drawn(1, 7, 3) + 1
    rows, columns = [0, 3, 4, 7], [1, 2, 6]
    u, v = np.zeros((8, 1)), np.zeros((7, 1))
    u[rows], v[columns] = 1, 1
    assert kernel._weighted(a, b, u, v)[0] == pytest.approx(kernel_distance(a[rows], b[columns]))


def test_score():
    a, b = drawn(0, 60, 4), drawn(1, 40, 4) + 0.7
    found = kernel_score(a, b, "net", subsets=400)
    assert found.value == pytest.approx(kernel_distance(a, b))
    assert found.spread.low < found.value < found.spread.high
    assert found.spread.low > 0
    assert (found.counts.real, found.counts.generated, found.counts.dimension) == (60, 40, 4)
    assert (found.details["subsets"], found.details["subset_size"]) == (400, 20)
    error = found.details["subset_deviation"] / 20
    assert found.details["subset_mean"] == pytest.approx(found.value, abs=4 * error)
    assert kernel_score(a, b, "net", subsets=400) == found
    assert kernel_score(a, b, "net", subsets=400, seed=1).spread != found.spread


def test_interval_holds_0_where_sides_are_alike_and_narrows_with_clips():
    few, many = (kernel_score(drawn(5, n, 4), drawn(6, n, 4), "net") for n in (30, 300))
    for found in (few, many):
        assert found.spread.low < 0 < found.spread.high
    assert many.spread.deviation < few.spread.deviation / 2


def test_subsets_are_as_large_as_asked():
    found = kernel_score(drawn(0, 60, 4), drawn(1, 40, 4), "net", subset_size=7)
    assert found.details["subset_size"] == 7


def test_few_clips():
    found = kernel_score(column(0, 1), column(1, 2), "net")
    assert found.value == pytest.approx(9.5)
    assert found.details == {"subsets": 0, "subset_size": 1}
    assert np.isfinite([found.spread.low, found.spread.high]).all()
    assert kernel_score(column(0), column(1, 2), "net").reason == "1 real and 2 generated clips; it needs 2 of each"


def test_what_does_not_fit_is_refused():
    with pytest.raises(EvaluationError, match="needs 2 of each"):
        kernel_distance(column(0), column(1, 2))
    with pytest.raises(EvaluationError, match="1 and of 3 numbers"):
        kernel_distance(column(0, 1), np.zeros((4, 3)))
    with pytest.raises(EvaluationError, match="generated clips: the features of clip 1"):
        kernel_distance(column(0, 1), column(0, np.nan))
