from functools import cache

import numpy as np
import pytest

from dvdgan.data.phenomena import passing
from support.measures import luma, spread


@cache
def rendered(index, size=32, frames=12):
    return passing.render(np.random.default_rng([6, index]), size, frames)


@pytest.mark.parametrize(("size", "frames"), [(32, 12), (64, 16)])
def test_one_object_crosses_a_still_scene(size, frames):
    for index in range(40 if size == 32 else 10):
        clip, truth = rendered(index, size, frames)
        y, mask = luma(clip), truth["mask"]
        behind = np.median(y, 0)
        different = np.abs(y - behind) > 0.08

        assert mask.mean(0).max() <= 0.4, index
        assert mask.any((1, 2)).mean() >= 0.8, index
        assert different[mask].mean() >= 0.7, index
        never = ~spread((different | mask).any(0), 4.3)
        assert never.mean() > 0.2, index
        assert np.sqrt(((y - behind)[:, never] ** 2).mean()) <= 3 / 255, index
        assert behind.std() > 0.02, index

        # Seen on the pixels alone: the middle of what differs goes one way, far.
        columns = np.arange(size) / size
        middle = [(d.sum(0) * columns).sum() / d.sum() for d in different if d.sum() > 0.02 * size * size]
        steps = np.diff(middle)
        assert abs(middle[-1] - middle[0]) >= 0.4, index
        assert (steps > 0).all() or (steps < 0).all(), index
        assert np.sign(steps[0]) == np.sign(truth["center"][-1, 0] - truth["center"][0, 0])


def test_pixels_far_from_the_object_never_change():
    for index in range(20):
        clip, truth = rendered(index, 64, 12)
        y = (np.arange(64) + 0.5) / 64
        reach = 1.85 * truth["radius"] + 2 / 64
        far = (y < truth["center"][:, 1].min() - reach) | (y > truth["center"][:, 1].max() + reach)
        assert far.any()
        assert (clip[:, far] == clip[:1, far]).all(), index


@pytest.mark.parametrize("name", passing._OBJECTS)
def test_no_object_is_cut_by_its_window(name):
    edge = np.linspace(-passing._REACH, passing._REACH, 257)
    side = np.full_like(edge, passing._REACH)
    u, v = np.concatenate([[edge, side], [edge, -side], [side, edge], [-side, edge]], axis=1)[:, None].astype(
        np.float32
    )
    tones, light = np.full((2, 3), 0.5, np.float32), np.array([0.5, -0.5, 0.7], np.float32)
    for turn in np.linspace(0, 2 * np.pi, 9):
        for inside, _ in passing._OBJECTS[name][1](u, v, tones, light, turn):
            assert np.broadcast_to(inside, u.shape).max() < 0


def test_objects_go_both_ways_and_come_in_many_kinds():
    truths = [rendered(i, 32, 2)[1] for i in range(60)]
    right = np.mean([t["center"][-1, 0] > t["center"][0, 0] for t in truths])
    assert 0.2 < right < 0.8
    assert len({t["object"] for t in truths}) >= 5
