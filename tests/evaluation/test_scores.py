import json
import math

import numpy as np
import pytest

from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.metrics.scores import ClassScores, Counts, Score, Spread, by_class

COUNTS = Counts(10, 20, 10, 20, 4)


def score(value=1.5, **changes) -> Score:
    return Score(**{"name": "S", "measured_with": "net", "value": value, "better": "lower", "counts": COUNTS} | changes)


def test_json_and_back():
    made = score(
        spread=Spread("95 % interval", None, 1.0, 2.0),
        warnings=("few clips",),
        details={"k": np.int64(3), "list": np.array([0.5, math.nan]), "nested": {"x": (1, 2)}},
    )
    tree = json.loads(json.dumps(made.to_json(), allow_nan=False))
    assert tree["details"] == {"k": 3, "list": [0.5, None], "nested": {"x": [1, 2]}}
    assert tree["spread"] == {"kind": "95 % interval", "deviation": None, "low": 1.0, "high": 2.0}
    read = Score.from_json(tree)
    assert read.to_json() == made.to_json()
    assert (read.counts, read.spread, read.warnings) == (made.counts, made.spread, made.warnings)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_never_nan(value):
    made = score(value, spread=Spread("x", value, value, value))
    assert made.value is None
    assert made.spread is None
    assert str(value) in made.reason
    json.dumps(made.to_json(), allow_nan=False)


def test_no_value_needs_a_reason():
    with pytest.raises(ValueError, match="reason"):
        score(None)
    with pytest.raises(ValueError, match="reason"):
        score(1.0, reason="but there is a value")
    assert score(None, reason="no clips").value is None


def test_not_a_score():
    tree = score().to_json()
    for wrong in (
        {**tree, "extra": 1},
        {name: tree[name] for name in tree if name != "counts"},
        {**tree, "value": None},
    ):
        with pytest.raises(EvaluationError, match="not a score"):
            Score.from_json(wrong)


def test_warnings_are_not_repeated():
    assert score(warnings=("a",)).with_warnings("b", "a").warnings == ("a", "b")


def test_counts_of_features():
    assert Counts.of(np.zeros((3, 7)), np.zeros((5, 2, 7))) == Counts(3, 5, 3, 10, 7)
    assert Counts.of(None, np.zeros((5, 4))) == Counts(0, 5, 0, 5, 4)


def measured(real_rows, generated_rows) -> Score:
    """A score that shows which rows it was given."""
    counts = Counts(len(real_rows), len(generated_rows), 2 * len(real_rows), len(generated_rows), 4)
    return score(float(real_rows.sum() + 100 * generated_rows.sum()), counts=counts)


def test_class_by_class():
    found = by_class(measured, np.array([0, 1, 0, 1, 2]), np.array([1, 0, 0, 2, 2, 1]), ["a", "b", "c", "d"])
    assert found.overall.value == 10 + 100 * 15
    assert {name: s.value for name, s in found.by_class.items()} == {"a": 302, "b": 504, "c": None, "d": None}
    assert found.by_class["c"].reason == "1 real and 2 generated clips of the class; it needs 2 of each"
    assert found.by_class["c"].counts == Counts(1, 2, 2, 2, 4)
    assert found.mean == 403
    tree = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert tree["mean"] == 403
    assert list(tree["by_class"]) == ["a", "b", "c", "d"]


def test_class_by_class_wants_enough_clips():
    labels = np.repeat([0, 1], 3)
    assert by_class(measured, labels, labels, ["a", "b"], fewest=4).mean is None
    assert by_class(measured, labels, labels, ["a", "b"], fewest=3).mean is not None
    assert by_class(measured, labels, labels[:5], ["a", "b"], fewest=3).by_class["b"].value is None
    assert by_class(measured, labels[:5], labels, ["a", "b"], fewest=3).by_class["b"].value is None


def test_without_classes_only_overall():
    found = by_class(measured, np.zeros(3, np.int64), np.zeros(2, np.int64), [])
    assert found == ClassScores(found.overall, {})
    assert found.overall.value == 103


@pytest.mark.parametrize("labels", [[0, 2], [-1, 0], [0.0, 1.0], [[0, 1]]])
def test_wrong_labels_are_refused(labels):
    with pytest.raises(EvaluationError, match="labels of generated clips"):
        by_class(lambda real, generated: score(), np.array([0, 1]), np.array(labels), ["a", "b"])
