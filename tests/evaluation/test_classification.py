import numpy as np
import pytest

from dvdgan.evaluation.classifier.results import confusion
from dvdgan.evaluation.metrics import classification
from dvdgan.evaluation.metrics.classification import few_in_a_split, inception_score


@pytest.fixture
def _whole(monkeypatch):
    monkeypatch.setattr(classification, "SPLITS", 1)


@pytest.mark.usefixtures("_whole")
def test_inception_score_by_hand():
    # exp(0.9 ln 1.8 + 0.1 ln 0.2)
    found = inception_score(np.array([[0.9, 0.1], [0.1, 0.9]]))
    assert found.value == pytest.approx(1.4449348, abs=1e-7)
    assert found.spread is None


@pytest.mark.usefixtures("_whole")
def test_inception_score_of_known_sets():
    clear = np.eye(5)[np.repeat(np.arange(5), 8)]
    assert inception_score(clear).value == pytest.approx(5)
    assert inception_score(np.full((40, 5), 0.2)).value == pytest.approx(1)
    assert inception_score(clear[:8]).value == pytest.approx(1)  # one class only
    assert inception_score(np.eye(5)[[0, 0, 0, 1]]).value == pytest.approx(4 / 3**0.75)  # exp of the entropy


def test_inception_score_does_not_depend_on_order_by_class():
    clear = np.eye(4, dtype=np.float32)[np.repeat(np.arange(4), 250)]
    found = inception_score(clear)
    assert found.value > 3.9  # parts in the order that they came would have one class or two each
    assert found.over == "standard deviation over 10 splits"
    assert found.low <= found.value <= found.high < 4
    assert few_in_a_split(1000, 4) == []
    assert inception_score(clear) == found


def test_inception_score_of_small_splits_is_warned_of():
    assert inception_score(np.eye(20)).value == pytest.approx(2)  # two clips in each of ten splits
    (warning,) = few_in_a_split(20, 20)
    assert "10 splits" in warning
    assert inception_score(np.eye(5)).over == "standard deviation over 2 splits"


def test_inception_score_is_divided_by_the_number_of_splits():
    found = inception_score(np.random.default_rng(0).dirichlet(np.ones(3), size=4))
    assert found.spread == pytest.approx((found.high - found.low) / 2)


def test_confusion():
    labels, taken = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 0, 0])
    assert confusion(taken, labels, 4).tolist() == [[2, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
