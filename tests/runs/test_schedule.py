import pytest

from dvdgan.runs.schedule import decay_factor


def test_learning_rate_decay():
    assert decay_factor(5, 10, 0, "none") == 1.0
    assert [decay_factor(step, 10, 5, "linear") for step in (0, 5, 10)] == [1.0, 1.0, 0.0]
    assert decay_factor(5, 10, 0, "cosine") == pytest.approx(0.5)
