import json

import numpy as np
import pytest

from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.metrics.classification import class_fidelity, inception_score
from dvdgan.evaluation.metrics.scores import Counts


def test_inception_score_by_hand():
    # exp(0.9 ln 1.8 + 0.1 ln 0.2)
    found = inception_score(np.array([[0.9, 0.1], [0.1, 0.9]]), "classifier", splits=1)
    assert found.value == pytest.approx(1.4449348, abs=1e-7)
    assert found.spread is None
    assert found.counts == Counts(0, 2, 0, 2, 2)


def test_inception_score_of_known_sets():
    clear = np.eye(5)[np.repeat(np.arange(5), 8)]
    assert inception_score(clear, "classifier", splits=1).value == pytest.approx(5)
    assert inception_score(np.full((40, 5), 0.2), "classifier").value == pytest.approx(1)
    assert inception_score(clear[:8], "classifier").value == pytest.approx(1)  # one class only
    uneven = np.eye(5)[[0, 0, 0, 1]]
    assert inception_score(uneven, "classifier", splits=1).value == pytest.approx(4 / 3**0.75)  # exp of the entropy


def test_inception_score_does_not_depend_on_order_by_class():
    clear = np.eye(4, dtype=np.float32)[np.repeat(np.arange(4), 250)]
    found = inception_score(clear, "classifier")
    assert found.value > 3.9  # parts in the order that they came would have one class or two each
    assert found.spread.kind == "standard deviation over 10 splits"
    assert found.spread.low <= found.value <= found.spread.high < 4
    assert found.details == {"splits": 10, "over_all": pytest.approx(4)}
    assert found.warnings == ()
    assert inception_score(clear, "classifier") == found


def test_inception_score_of_small_splits_is_warned_of():
    found = inception_score(np.eye(20), "classifier")
    assert found.value == pytest.approx(2)  # two clips in each of ten splits
    assert found.details["over_all"] == pytest.approx(20)
    assert "each of 10 splits has 2 clips for 20 classes" in found.warnings[0]
    assert inception_score(np.eye(5), "classifier").details["splits"] == 2


def test_inception_score_is_divided_by_the_number_of_splits():
    p = np.random.default_rng(0).dirichlet(np.ones(3), size=4)
    found = inception_score(p, "classifier", splits=2)
    assert found.spread.deviation == pytest.approx((found.spread.high - found.spread.low) / 2)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((0, 3)), np.ones(3), np.ones((2, 3)), np.array([[1.5, -0.5]]), np.array([[np.nan, 1.0]])],
)
def test_inception_score_wants_probabilities(wrong):
    with pytest.raises(EvaluationError, match="probabilities are"):
        inception_score(wrong, "classifier")


def test_fidelity_by_hand():
    labels, taken = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 0, 0])
    found = class_fidelity(taken, labels, ["a", "b", "c", "d"], "classifier")
    assert found.confusion.tolist() == [[2, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert found.scores.overall.value == 0.5
    assert (found.scores.overall.spread.low, found.scores.overall.spread.high) == pytest.approx(
        (0.18761, 0.81239), abs=1e-5
    )
    by_class = {name: score.value for name, score in found.scores.by_class.items()}
    assert by_class == {"a": pytest.approx(2 / 3), "b": 0.5, "c": 0, "d": None}
    assert found.scores.by_class["d"].reason == "no clips of the class"
    assert found.scores.mean == pytest.approx((2 / 3 + 1 / 2) / 3)
    tree = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert tree["confusion"][0] == [2, 1, 0, 0]
    assert tree["overall"]["counts"]["generated"] == 6


def test_fidelity_from_probabilities():
    p = np.array([[0.2, 0.8], [0.9, 0.1]])
    found = class_fidelity(p, np.array([1, 1]), ["a", "b"], "classifier")
    assert found.confusion.tolist() == [[0, 0], [1, 1]]


def test_fidelity_of_no_clips():
    nothing = np.zeros(0, np.int64)
    assert class_fidelity(nothing, nothing, ["a"], "classifier").scores.overall.value is None


@pytest.mark.parametrize(
    ("predictions", "labels", "words"),
    [
        ([0, 1], [0], "2 predictions for 1 labels"),
        ([0, 3], [0, 1], "predictions: 3 is no class"),
        ([0, 1], [0, -1], "labels: -1 is no class"),
        ([[0.1, 0.2, 0.7]], [0], "3 classes, but there are 2"),
        ([[np.nan, 1.0]], [0], "not finite"),
        ([0.5], [0], "whole numbers"),
    ],
)
def test_fidelity_wants_what_fits(predictions, labels, words):
    with pytest.raises(EvaluationError, match=words):
        class_fidelity(np.array(predictions), np.array(labels), ["a", "b"], "classifier")
