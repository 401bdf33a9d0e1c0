import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.metrics.baselines import affordable, real_floor
from dvdgan.evaluation.metrics.frechet import frechet_of_features
from dvdgan.evaluation.metrics.scores import Counts, Score


class Recorder:
    """A measure that keeps the rows that it is given, and says 1, 2, 3, …"""

    def __init__(self):
        self.draws = []

    def __call__(self, reference, standins):
        self.draws.append((reference, standins))
        return float(len(self.draws))


@pytest.mark.parametrize(
    ("asked", "got"), [((6, 4), (6, 4)), ((8, 8), (5, 5)), ((30, 10), (8, 2)), ((10, 900), (1, 9)), ((900, 1), (9, 1))]
)
def test_affordable(asked, got):
    assert affordable(10, *asked) == got


def test_sets_share_no_clip_and_have_the_counts():
    measure = Recorder()
    found = real_floor(measure, 50, 30, 20, repeats=4)
    for reference, standins in measure.draws:
        assert sorted([*reference, *standins]) == list(range(50))
        assert (len(reference), len(standins)) == (30, 20)
        assert (np.diff(reference) > 0).all()
    assert len({tuple(standins) for _, standins in measure.draws}) == 4
    assert (found.mean, found.low, found.high, found.draws) == (2.5, 1, 4, 4)
    assert found.deviation == pytest.approx(np.std([1, 2, 3, 4], ddof=1))
    assert (found.matched, found.note) == (True, None)
    json.dumps(found.to_json(), allow_nan=False)


def test_draws_are_keyed():
    first, again, other = Recorder(), Recorder(), Recorder()
    for measure, seed in ((first, 0), (again, 0), (other, 1)):
        real_floor(measure, 20, 5, 5, repeats=2, seed=seed)
    assert str(first.draws) == str(again.draws) != str(other.draws)


def test_too_few_clips_are_said():
    measure = Recorder()
    found = real_floor(measure, 50, 40, 40, repeats=2)
    assert (found.reference, found.standins, found.matched) == (25, 25, False)
    assert "50 real clips are too few for 40 against 40 that share no clip" in found.note
    assert "25 against 25" in found.note


def test_classes_have_the_pool_s_shares():
    labels = np.repeat([0, 1, 2], [30, 20, 10])
    measure = Recorder()
    found = real_floor(measure, 60, 24, 12, repeats=3, labels=labels)
    assert found.matched
    for reference, standins in measure.draws:
        assert np.bincount(labels[reference]).tolist() == [12, 8, 4]
        assert np.bincount(labels[standins]).tolist() == [6, 4, 2]
        assert not set(reference) & set(standins)


@settings(max_examples=150, deadline=None)
@given(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=6), data=st.data())
def test_classes_of_any_sizes_fill_the_counts_that_fit(sizes, data):
    labels, pool = np.repeat(np.arange(len(sizes)), sizes), sum(sizes)
    assume(pool > 1)
    reference = data.draw(st.integers(1, pool - 1))
    standins = data.draw(st.integers(1, pool - reference))
    measure = Recorder()
    assert real_floor(measure, pool, reference, standins, repeats=1, labels=labels).matched
    ((first, other),) = measure.draws
    assert (len(first), len(other)) == (reference, standins)
    assert len({*first, *other}) == reference + standins
    for side in (first, other):
        assert (np.abs(np.bincount(labels[side], minlength=len(sizes)) - np.array(sizes) * len(side) / pool) < 2).all()


def test_groups_are_not_parted():
    groups = np.repeat(np.arange(20), 3)
    measure = Recorder()
    found = real_floor(measure, 60, 30, 20, repeats=5, groups=groups)
    for reference, standins in measure.draws:
        assert not set(groups[reference]) & set(groups[standins])
        assert (len(reference), len(standins)) == (30, 20)
    assert found.matched
    whole = real_floor(Recorder(), 60, 40, 20, groups=groups)  # 20 stand-ins take 7 groups, one clip is left over
    assert (whole.reference, whole.standins, whole.matched) == (39, 20, False)
    assert "and no group" in whole.note


def test_one_group_has_no_floor():
    found = real_floor(Recorder(), 6, 3, 3, groups=np.zeros(6, np.int64))
    assert (found.mean, found.draws) == (None, 0)
    assert "could be measured" in found.note


def test_held_out_clips_stand_in():
    measure = Recorder()
    found = real_floor(measure, 30, 30, 8, repeats=3, held_out=10)
    for reference, standins in measure.draws:
        assert reference.tolist() == list(range(30))
        assert len(standins) == 8
        assert standins.max() < 10
    assert found.matched
    assert found.draws == 3


def test_too_few_held_out_clips_are_said_and_measured_once():
    measure = Recorder()
    found = real_floor(measure, 30, 30, 20, repeats=3, held_out=10)
    assert (found.draws, found.standins, found.matched, found.deviation) == (1, 10, False, None)
    assert "30 real and 10 held-out clips are too few for 30 against 20" in found.note


def test_scores_without_value_are_left_out():
    def measure(reference, standins):
        if 0 in reference:
            return Score("S", "net", None, "lower", Counts(1, 1, 1, 1, 1), reason="no")
        return Score("S", "net", 7.0, "lower", Counts(1, 1, 1, 1, 1))

    found = real_floor(measure, 10, 5, 5, repeats=12)
    assert (found.mean, found.low, found.high) == (7, 7, 7)
    assert 0 < found.draws < 12
    assert real_floor(lambda reference, standins: None, 10, 5, 5).mean is None


def test_floor_is_what_a_perfect_model_scores():
    rng = np.random.default_rng(0)
    real, perfect = rng.normal(size=(400, 20)), rng.normal(size=(200, 20))
    found = real_floor(lambda a, b: frechet_of_features(real[a], real[b]), 400, 200, 200)
    assert found.low < frechet_of_features(real[:200], perfect) < found.high
    small = real_floor(lambda a, b: frechet_of_features(real[a], real[b]), 400, 50, 50)
    assert small.mean > 3 * found.mean


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"pool": 1}, "there are 1"),
        ({"standins": 0}, "of 3 against 0"),
        ({"held_out": 0}, "needs real clips"),
        ({"labels": np.zeros(3)}, "3 labels for 10 real clips"),
        ({"groups": np.zeros(10), "held_out": 5}, "leave them out"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, words):
    with pytest.raises(EvaluationError, match=words):
        real_floor(Recorder(), **{"pool": 10, "reference": 3, "standins": 3} | arguments)


def test_standins_have_the_classes_of_the_held_out_clips():
    labels = np.repeat([0, 1, 2], [6, 12, 2])
    drawn = []

    def measure(reference, standins):
        drawn.append(np.bincount(labels[standins], minlength=3).tolist())
        return float(standins.sum())

    floor = real_floor(measure, 5, 5, 10, 8, held_out=20, held_out_labels=labels)
    assert drawn == [[3, 6, 1]] * 8
    assert floor.matched
    assert floor.deviation > 0
    same = [None, np.zeros(20, np.int64)]
    plain = [real_floor(lambda a, b: float(b.sum()), 5, 5, 10, 8, held_out=20, held_out_labels=one) for one in same]
    assert plain[0] == plain[1]
    with pytest.raises(EvaluationError, match="3 labels for 20"):
        real_floor(measure, 5, 5, 10, held_out=20, held_out_labels=labels[:3])
