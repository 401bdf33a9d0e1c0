import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvdgan.evaluation.metrics.baselines import baseline, disjoint_splits, held_out_draws
from dvdgan.evaluation.metrics.frechet import frechet_distance, gaussian


def disjoint(count, few, labels=None, groups=None):
    labels = np.zeros(count, np.int64) if labels is None else labels
    return disjoint_splits(labels, np.arange(count) if groups is None else groups, few)


def counts(splits):
    return min(len(others) for _, others in splits), min(len(real) for real, _ in splits)


def test_sets_share_no_clip_and_have_the_counts():
    splits = disjoint(50, 20)
    for real, others in splits:
        assert sorted([*real, *others]) == list(range(50))
        assert (len(real), len(others)) == (30, 20)
        assert (np.diff(real) > 0).all()
    assert len({tuple(others) for _, others in splits}) == 10


def test_splits_are_the_same_every_time():
    assert str(disjoint(20, 5)) == str(disjoint(20, 5))


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(1, 12), min_size=2, max_size=6), data=st.data())
def test_classes_of_any_sizes_have_the_pool_s_shares(sizes, data):
    labels, pool = np.repeat(np.arange(len(sizes)), sizes), sum(sizes)
    few = data.draw(st.integers(1, pool - 1))
    first, other = disjoint(pool, few, labels)[0]
    assert (len(first), len(other)) == (pool - few, few)
    assert len({*first, *other}) == pool
    for side in (first, other):
        assert (np.abs(np.bincount(labels[side], minlength=len(sizes)) - np.array(sizes) * len(side) / pool) < 2).all()


def test_groups_are_not_divided():
    groups = np.repeat(np.arange(20), 3)
    for real, others in disjoint(60, 20, groups=groups):
        assert not set(groups[real]) & set(groups[others])
        assert (len(real), len(others)) == (39, 20)  # 20 clips take 7 groups, one clip is left over


def test_one_group_has_no_baseline():
    splits = disjoint(6, 3, groups=np.zeros(6, np.int64))
    found = baseline([None for _ in splits], counts(splits), (3, 3), "6 real clips")
    assert (found.mean, found.repeats) == (None, 0)
    assert found.missing


def test_held_out_clips_come_in_their_own_mix():
    labels = np.repeat([0, 1, 2], [6, 12, 2])
    splits = held_out_draws(5, labels, 10, 8, seed=0)
    assert len(splits) == len(set(map(tuple, splits))) == 8
    for others in splits:
        assert np.bincount(labels[others], minlength=3).tolist() == [3, 6, 1]


def test_held_out_clips_that_are_too_few_are_drawn_once_and_said():
    splits = held_out_draws(30, np.zeros(10, np.int64), 20, 3, seed=0)
    assert len(splits) == 1
    found = baseline([2.0], (len(splits[0]), 30), (20, 30), "30 real and 10 held-out clips")
    assert (found.repeats, found.counts) == (1, (10, 30))
    assert "30 real and 10 held-out clips" in found.note
    assert "30 against 10" in found.note


def test_mean_and_range_are_over_the_draws_that_have_a_value():
    splits = disjoint(10, 5)[:4]
    found = baseline([1.0, None, 4.0, float("nan")], counts(splits), (5, 5), "10 real clips")
    assert (found.mean, found.low, found.high, found.repeats, found.note) == (2.5, 1.0, 4.0, 2, "")


def test_it_is_what_a_perfect_model_scores():
    rng = np.random.default_rng(0)
    real, perfect = rng.normal(size=(400, 20)), rng.normal(size=(200, 20))

    def distance(a, b):
        return frechet_distance(gaussian(a), gaussian(b))

    splits = disjoint(400, 200)
    found = baseline([distance(real[a], real[b]) for a, b in splits], counts(splits), (200, 200), "")
    assert found.low < distance(real[:200], perfect) < found.high
    assert found.mean == pytest.approx(distance(real[:200], perfect), rel=0.3)
