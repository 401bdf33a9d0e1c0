from math import comb

import numpy as np
import pytest

from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.metrics.intervals import class_warnings, dimension_warnings, over_seeds, wilson, wilson_spread
from dvdgan.evaluation.metrics.scores import Counts, Score


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [
        (8, 10, 0.4901625, 0.9433178),
        (0, 10, 0.0, 0.2775328),
        (10, 10, 0.7224672, 1.0),
        (50, 100, 0.4038315, 0.5961685),
        (1, 1, 0.2065493, 1.0),
        (0, 0, 0.0, 1.0),
    ],
)
def test_wilson(hits, count, low, high):
    assert wilson(hits, count) == pytest.approx((low, high), abs=1e-7)
    spread = wilson_spread(hits, count)
    assert (spread.low, spread.high, spread.kind) == (*wilson(hits, count), "95 % interval")


def test_wilson_ends_solve_its_equation():
    """At each end p the share lies 1.96 of p's own standard deviations away."""
    for p in wilson(7, 33):
        assert abs(7 / 33 - p) == pytest.approx(1.959963985 * np.sqrt(p * (1 - p) / 33), rel=1e-8)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9])
def test_wilson_holds_the_true_share_about_95_times_in_100(share):
    n = 40
    chances = [comb(n, hits) * share**hits * (1 - share) ** (n - hits) for hits in range(n + 1)]
    held = sum(c for hits, c in enumerate(chances) if wilson(hits, n)[0] <= share <= wilson(hits, n)[1])
    assert 0.92 < held < 0.98


@pytest.mark.parametrize(("hits", "count"), [(3, 2), (-1, 2)])
def test_wilson_refuses_what_is_no_share(hits, count):
    with pytest.raises(EvaluationError, match="no share"):
        wilson(hits, count)


def score(value, **changes) -> Score:
    fields = {"name": "S", "measured_with": "net", "better": "lower", "counts": Counts(9, 9, 9, 9, 4)}
    return Score(**fields | {"value": value} | changes)


def test_over_seeds():
    found = over_seeds([score(1.0, warnings=("a",)), score(2.0, warnings=("a", "b")), score(6.0)])
    assert found.value == 3
    assert found.spread.deviation == pytest.approx(7**0.5)
    assert (found.spread.low, found.spread.high) == (1, 6)
    assert found.spread.kind == "standard deviation over 3 seeds"
    assert found.warnings == ("a", "b")
    assert found.details == {"seeds": [1.0, 2.0, 6.0]}


def test_one_seed_is_warned_of():
    found = over_seeds([score(1.0)])
    assert (found.value, found.spread) == (1, None)
    assert "one seed only" in found.warnings[0]


def test_seed_without_value():
    found = over_seeds([score(1.0), score(None, reason="no clips")])
    assert (found.value, found.reason, found.details["seeds"]) == (None, "no clips", [1.0, None])


def test_seeds_that_do_not_belong_together_are_refused():
    for other in (score(1.0, name="T"), score(1.0, measured_with="x"), score(1.0, counts=Counts(9, 8, 9, 8, 4))):
        with pytest.raises(EvaluationError, match="measure them alike"):
            over_seeds([score(1.0), other])
    with pytest.raises(EvaluationError, match="no scores"):
        over_seeds([])


def test_dimension_warnings_go_by_clips():
    assert dimension_warnings(Counts(100, 100, 100, 100, 10)) == ()
    (few,) = dimension_warnings(Counts(99, 100, 99, 100, 10))
    assert few.startswith("99 real clips for 10 dimensions: the distance is too high")
    real, generated = dimension_warnings(Counts(10, 11, 10, 11, 10))
    assert "10 real clips for 10 dimensions: the covariance is singular" in real
    assert "singular" not in generated
    (frames,) = dimension_warnings(Counts(100, 10, 100, 200, 10))
    assert "10 generated clips (200 vectors, but frames of one clip are alike)" in frames
    assert "close to singular" in frames


def test_class_warnings():
    labels = np.repeat(np.arange(4), [5, 2, 0, 9])
    assert class_warnings(labels, list("abcd"), 5, "generated") == (
        "2 of 4 classes have fewer than 5 generated clips (c 0, b 2)",
    )
    assert class_warnings(labels[labels == 3], list("abcd"), 1, "real") == (
        "3 of 4 classes have fewer than 1 real clips (a 0, b 0, c 0)",
    )
    many = class_warnings(np.arange(9), [f"k{n}" for n in range(9)], 2, "real")
    assert many == ("9 of 9 classes have fewer than 2 real clips (k0 1, k1 1, k2 1, k3 1, k4 1 and 4 more)",)
    assert class_warnings(np.repeat([0, 1], 3), ["a", "b"], 3, "real") == ()
    assert class_warnings(np.zeros(2, np.int64), [], 3, "real") == ()
    with pytest.raises(EvaluationError, match="labels of real clips: 4 is no class"):
        class_warnings(np.array([4]), ["a"], 3, "real")
