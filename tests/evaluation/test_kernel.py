import numpy as np
import pytest

from dvdgan.evaluation.metrics import kernel
from dvdgan.evaluation.metrics.kernel import KernelSide, kernel_distance


def column(*values):
    return np.array(values, np.float32)[:, None]


def drawn(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def side(clips, labels=None):
    return KernelSide.of(clips, np.zeros(len(clips), int) if labels is None else labels)


def distance(real, generated):
    return kernel_distance(side(real), side(generated))


def value(real, generated):
    return kernel_distance(side(real), side(generated), interval=False).value


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


def dealt(rng, count, moved=0.0):
    """Clips of nine classes, equally many of each, as the two sides of an evaluation are dealt."""
    labels = np.arange(count) % 9
    centres = 2 * np.random.default_rng(99).normal(size=(9, 8))
    return side(centres[labels] + rng.normal(size=(count, 8)) + moved, labels)


@pytest.mark.parametrize("moved", [0.0, 0.3])
def test_dealt_classes_make_no_bias_and_the_interval_holds_the_truth(moved):
    """Without strata the mean of 45 against 45 alike is six standard errors below 0."""
    found = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        found.append(kernel_distance(dealt(rng, 90), dealt(rng, 45, moved)))
    values = np.array([one.value for one in found])
    truth = 0.0 if moved == 0 else values.mean()
    if moved == 0:
        assert abs(values.mean()) < 2.5 * values.std() / np.sqrt(len(values))
    assert 0.89 <= np.mean([one.low <= truth <= one.high for one in found]) <= 0.985
    assert np.mean([one.spread for one in found]) == pytest.approx(values.std(), rel=0.15)


def test_classes_of_one_clip_are_one_together():
    rng = np.random.default_rng(0)
    clips, others = rng.normal(size=(12, 3)), side(rng.normal(size=(9, 3)))
    labels = np.array([0] * 5 + [1] * 5 + [2, 3])
    alone = np.array([0] * 7 + [1] * 4 + [2])  # it goes with the smallest of the others
    for some, joined in ((labels, np.minimum(labels, 2)), (alone, np.minimum(alone, 1))):
        found, expected = (kernel_distance(side(clips, one), others) for one in (some, joined))
        assert (found.value, found.low) == pytest.approx((expected.value, expected.low))
    assert np.isfinite(kernel_distance(side(clips, np.arange(12)), others).low)


@pytest.mark.parametrize("block", [1, 30, 500])
def test_blocks_change_nothing(block, monkeypatch):
    a, b, labels = drawn(0, 13, 2, 3), drawn(1, 9, 4, 3), np.arange(13) % 3
    whole = kernel_distance(side(a, labels), side(b))
    monkeypatch.setattr(kernel, "_BLOCK", block)
    parts = kernel_distance(side(a, labels), side(b))
    assert (parts.value, parts.low, parts.spread) == pytest.approx((whole.value, whole.low, whole.spread))


def test_interval_holds_0_where_sides_are_alike_and_narrows_with_clips():
    few, many = (distance(drawn(5, n, 4), drawn(6, n, 4)) for n in (30, 300))
    for found in (few, many):
        assert found.low < 0 < found.high
        assert found.over == "standard error over clips, and 95 % interval"
    assert many.spread < few.spread / 2


def test_few_clips():
    found = distance(column(0, 1), column(1, 2))
    assert found.value == pytest.approx(9.5)
    assert np.isfinite([found.low, found.high]).all()
    assert distance(column(0), column(1, 2)).missing == "1 real and 2 generated clips; it needs 2 of each"
