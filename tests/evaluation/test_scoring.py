from dataclasses import replace
from math import comb
from types import SimpleNamespace

import numpy as np
import pytest

from dvdgan.evaluation import scoring
from dvdgan.evaluation.measured import Measured, wilson
from dvdgan.evaluation.metrics.frechet import few_clips
from dvdgan.evaluation.metrics.registry import Metric, MetricGroup, Side
from dvdgan.evaluation.record import Space
from dvdgan.evaluation.scoring import over_seeds
from dvdgan.evaluation.settings import EvaluationSettings
from dvdgan.evaluation.spaces import FeatureSpace


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [
        (8, 10, 0.4901625, 0.9433178),
        (0, 10, 0.0, 0.2775328),
        (10, 10, 0.7224672, 1.0),
        (50, 100, 0.4038315, 0.5961685),
        (1, 1, 0.2065493, 1.0),
    ],
)
def test_wilson(hits, count, low, high):
    assert wilson(hits, count) == pytest.approx((low, high), abs=1e-7)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_wilson_holds_the_true_share_about_95_times_in_100(share):
    n = 40
    chances = [comb(n, hits) * share**hits * (1 - share) ** (n - hits) for hits in range(n + 1)]
    held = sum(c for hits, c in enumerate(chances) if wilson(hits, n)[0] <= share <= wilson(hits, n)[1])
    assert 0.92 < held < 0.98


def test_over_seeds():
    found = over_seeds([Measured(value=value) for value in (1.0, 2.0, 6.0)])
    assert (found.value, found.low, found.high) == (3, 1, 6)
    assert found.spread == pytest.approx(7**0.5)
    assert found.over == "standard deviation over 3 seeds"
    one = Measured(value=1.0, low=0.5, high=2.0, over="95 % interval")
    assert over_seeds([one]) == one
    assert over_seeds([one, Measured(missing="no clips")]) == Measured(missing="no clips")


def test_few_clips_are_warned_of():
    def warnings(real, generated):
        return few_clips(np.zeros(real), np.zeros(generated))

    assert warnings((100, 10), (100, 10)) == []
    (few,) = warnings((99, 10), (100, 10))
    assert few.startswith("99 real clips for 10 dimensions")
    real, generated = warnings((10, 10), (11, 10))
    assert "singular" in real
    assert "singular" not in generated
    (frames,) = warnings((100, 1, 10), (10, 20, 10))
    assert "10 generated clips (200 vectors" in frames


def gap(real, generated, interval):
    """The difference of means."""
    return {"gap": Measured(value=abs(float(real.features.mean() - generated.features.mean())))}


METRIC = Metric("gap", "Gap", "lower", "apart")
SPACE = FeatureSpace("x", Space(name="X", key="00", dimension=1, unit="clip"), None, [])


def scored(real, held_out, generated, controls=None, classes=("a", "b"), by_class=True, **settings):
    def side(values, labels):
        return Side(np.array(values, np.float32)[:, None], np.array(labels))

    made = {"reference": side(*real), "held_out": side(*held_out), "generated": [side(*some) for some in generated]}
    controls = {name: side(*some) for name, some in (controls or {}).items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "side", lambda space, features, cache: features)
        group = MetricGroup([METRIC], gap, by_class, lambda real, generated: {"gap": ["only a mean"]})
        space = replace(SPACE, groups=[group])
        sets = SimpleNamespace(**made, classes=list(classes))
        return scoring.score_space(space, sets, controls, EvaluationSettings(**settings), None)[0]


def test_a_score_over_seeds_with_its_baseline_controls_and_classes():
    labels = [0, 1] * 6
    real, held_out = ([0.0, 10.0] * 6, labels), ([1.0, 12.0] * 6, labels)
    generated = [([2.0, 10.0] * 4, labels[:8]), ([4.0, 10.0] * 4, labels[:8])]
    found = scored(real, held_out, generated, {"cut": ([3.0, 13.0] * 4, labels[:8])}, baseline_repeats=4)
    assert (found.key, found.space, found.name, found.better) == ("x/gap", "X", "Gap", "lower")
    assert (found.generated_count, found.real_count) == (8, 12)
    assert (found.overall.value, found.overall.low, found.overall.high) == (1.5, 1.0, 2.0)
    assert found.baseline.mean == 1.5
    assert (found.baseline.repeats, found.baseline.counts, found.baseline.note) == (4, (8, 12), "")
    assert found.controls["cut"].value == 3.0
    a, b = found.per_class["a"], found.per_class["b"]
    assert (a.value, a.baseline, a.counts) == (3.0, None, (4, 6))  # four draws are too few for a baseline
    assert (b.value, b.baseline) == (0.0, None)
    a, b = scored(real, held_out, generated, baseline_repeats=5).per_class.values()
    assert (a.baseline, b.baseline) == (1.0, 2.0)
    assert found.warnings == ["only a mean"]


def test_what_is_too_few_is_said():
    labels = [0, 1, 0, 1, 0, 1, 0]
    real = held_out = (range(7), labels)
    found = scored(real, held_out, [(range(9), [0] * 8 + [1])])
    assert "7 against 9" in found.baseline.note
    assert found.warnings[-1] == found.baseline.note
    assert len(found.warnings) == 3
    assert (found.baseline.counts, found.baseline.repeats) == ((7, 7), 1)
    few = found.per_class["b"]
    assert (few.value, few.missing) == (None, "3 real and 1 generated clips of the class; it needs 4 of each")
    assert found.per_class["a"].baseline is None  # 4 held-out clips are fewer than the 8 that are generated
    assert scored(real, held_out, [real], by_class=False).per_class == {}


def test_of_seeds_that_have_other_counts_of_a_class_the_first_counts():
    labels = [0, 1] * 5
    same, other = (np.ones(10), labels), (np.full(10, 3.0), [0] * 5 + [1] * 4 + [0])
    found = scored((np.zeros(10), labels), (np.zeros(10), labels), [same, other])
    assert found.overall.value == 2.0
    assert found.per_class["a"].value == 1.0
