import numpy as np
import pytest

from dvdgan.data.sampler import shuffled, shuffled_within

LABELS = np.array([0] * 40 + [1] * 25 + [2] * 7)[np.random.default_rng(0).permutation(72)]
SHARDS = np.repeat(np.arange(6), [12, 20, 5, 15, 10, 10])


def visited(rng):
    """The clips shard by shard, with the same draw of the shards."""
    return shuffled_within(rng, SHARDS, LABELS, 1)


@pytest.mark.parametrize("buffer", [1, 2, 10, 1000])
def test_no_clip_moves_further_than_the_buffer(buffer):
    moved = 0
    for seed in range(20):
        order = shuffled_within(np.random.default_rng(seed), SHARDS, LABELS, buffer)
        assert sorted(order) == list(range(72))
        places = np.argsort(visited(np.random.default_rng(seed)))  # of each clip
        distance = np.abs(places[order] - np.arange(72)).max()
        assert distance < buffer
        moved = max(moved, distance)
    assert moved >= 0.5 * min(buffer - 1, 72)


@pytest.mark.parametrize("group", [2, 3, 8])
def test_groups_are_of_one_class_and_miss_no_clip(group):
    for order in (
        shuffled(np.random.default_rng(1), LABELS, group),
        shuffled_within(np.random.default_rng(1), SHARDS, LABELS, 10, group),
    ):
        groups = order.reshape(-1, group)
        assert len(groups) == sum(-(-count // group) for count in (40, 25, 7))
        assert (LABELS[groups] == LABELS[groups[:, :1]]).all()
        assert set(order) == set(range(72))
        full = [row for row in groups.tolist() if len(set(row)) == group]
        assert len(full) >= len(groups) - (group > 7)  # class 2 has seven clips


def test_a_group_comes_where_its_last_clip_would():
    group, buffer = 3, 10
    alone = shuffled_within(np.random.default_rng(4), SHARDS, LABELS, buffer)
    places = np.argsort(alone)
    groups = shuffled_within(np.random.default_rng(4), SHARDS, LABELS, buffer, group).reshape(-1, group)
    last = places[groups].max(axis=1)
    assert (np.diff(last) > 0).all()
    for label in range(3):
        own = groups[LABELS[groups[:, 0]] == label]
        in_order = places[own].ravel()[: np.bincount(LABELS)[label]]
        assert (np.diff(in_order) > 0).all()
