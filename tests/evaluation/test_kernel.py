import numpy as np
import pytest

from dvdgan.evaluation.metrics import kernel
from dvdgan.evaluation.metrics.kernel import kernel_distance


def column(*values):
    return np.array(values, np.float32)[:, None]


def drawn(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def value(real, generated):
    return kernel_distance(real, generated, resamples=0).value


def test_by_hand_in_one_dimension():
    # (x y + 1)³: 1 among {0, 1}; 27 among {1, 2}; 1, 1, 8, 27 between them
    assert value(column(0, 1), column(1, 2)) == pytest.approx(1 + 27 - 2 * 37 / 4)


def test_by_hand_in_two_dimensions():
    # (x·y / 2 + 1)³: 1; 8; 1.5³, 2³, 1.5³, 1
    real, generated = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 1.0], [2.0, 0.0]])
    assert value(real, generated) == pytest.approx(1 + 8 - 2 * 3.9375)


def test_by_hand_with_several_vectors_a_clip():
    # pairs of vectors of one clip never enter
    real, generated = np.array([[0.0, 1.0], [1.0, 2.0]])[..., None], np.array([[0.0, 0.0], [1.0, 1.0]])[..., None]
    assert value(real, generated) == pytest.approx(37 / 4 + 1 - 2 * 6)


def test_sides_may_differ_in_vectors_a_clip():
    real, generated = np.array([[0.0, 1.0], [1.0, 2.0]])[..., None], column(0, 1)
    assert value(real, generated) == pytest.approx(37 / 4 + 1 - 2 * 6)


def test_symmetric():
    a, b = drawn(0, 12, 3), drawn(1, 9, 3)
    assert value(a, b) == pytest.approx(value(b, a))


@pytest.mark.parametrize("frames", [(), (4,)])
def test_unbiased(frames):
    """Of two samples of one distribution the mean is 0, also where frames of a clip are alike."""

    def clips(rng):
        own = rng.normal(size=(10, *(1 for _ in frames), 3))
        return own + 0.1 * rng.normal(size=(10, *frames, 3))

    values = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        values.append(value(clips(rng), clips(rng)))
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 2.5 * error
    assert min(values) < 0
    assert error < 0.1


@pytest.mark.parametrize("block", [1, 30, 500])
def test_blocks_change_nothing(block, monkeypatch):
    a, b = drawn(0, 13, 2, 3), drawn(1, 9, 4, 3)
    whole = kernel_distance(a, b, 20)
    monkeypatch.setattr(kernel, "_BLOCK", block)
    parts = kernel_distance(a, b, 20)
    assert (parts.value, parts.low, parts.spread) == pytest.approx((whole.value, whole.low, whole.spread))


def test_weights_of_0_and_1_choose_clips():
    a, b = drawn(0, 8, 3), drawn(1, 7, 3) + 1
    rows, columns = [0, 3, 4, 7], [1, 2, 6]
    u, v = np.zeros((8, 1)), np.zeros((7, 1))
    u[rows], v[columns] = 1, 1
    assert kernel._weighted(a, b, u, v)[0] == pytest.approx(value(a[rows], b[columns]))


def test_interval_is_keyed_and_holds_the_estimate():
    a, b = drawn(0, 60, 4), drawn(1, 40, 4) + 0.7
    found = kernel_distance(a, b)
    assert 0 < found.low < found.value < found.high
    assert found.over == "95 % interval, clips resampled"
    assert kernel_distance(a, b) == found
    assert kernel_distance(a, b, seed=1).low != found.low


def test_interval_holds_0_where_sides_are_alike_and_narrows_with_clips():
    few, many = (kernel_distance(drawn(5, n, 4), drawn(6, n, 4), 200) for n in (30, 300))
    for found in (few, many):
        assert found.low < 0 < found.high
    assert many.spread < few.spread / 2


def test_few_clips():
    found = kernel_distance(column(0, 1), column(1, 2))
    assert found.value == pytest.approx(9.5)
    assert np.isfinite([found.low, found.high]).all()
    assert kernel_distance(column(0), column(1, 2)).missing == "1 real and 2 generated clips; it needs 2 of each"
