from functools import cache

import numpy as np
import pytest

from dvdgan.data.phenomena import flow
from support.measures import correlation, luma


@cache
def rendered(index, size=32, frames=12):
    return flow.render(np.random.default_rng([7, index]), size, frames)


def vertical_shift(before, after, reach):
    """How far down, in pixels, the second picture is from the first, with the correlation there."""
    size, edge = len(before), reach + 1
    inner = after[edge : size - edge]
    scores = [correlation(before[edge - d : size - edge - d], inner) for d in range(-reach, reach + 1)]
    return int(np.argmax(scores)) - reach, max(scores)


def test_a_scene_is_a_function_of_its_seed():
    first, truth = rendered(0)
    assert first.shape == (12, 32, 32, 3)
    assert first.dtype == np.uint8
    assert truth["substance"] == "smoke"
    np.testing.assert_array_equal(first, rendered.__wrapped__(0)[0])
    assert np.abs(first.astype(float) - rendered(1)[0]).mean() > 10


@pytest.mark.parametrize("index", range(8))
def test_two_sizes_show_the_same_scene(index):
    small, small_truth = rendered(index, 64, 3)
    large, large_truth = rendered(index, 128, 3)
    shrunk = large.reshape(3, 64, 2, 64, 2, 3).mean((2, 4))
    assert np.abs(shrunk - small).mean() < 3
    assert small_truth == large_truth


def test_a_longer_clip_begins_like_a_shorter_one():
    np.testing.assert_array_equal(rendered(2, 32, 20)[0][:12], rendered(2, 32, 12)[0])


def test_smoke_rises_at_its_speed():
    for index in range(40):
        clip, truth = rendered(index)
        y = luma(clip)
        shifts = [vertical_shift(y[t], y[t + 3], 6)[0] for t in range(9)]
        velocity = np.mean(shifts) / 3 / 32
        assert truth["velocity"] < 0
        assert np.mean([s < 0 for s in shifts]) >= 0.8, index
        assert 0.4 * truth["velocity"] > velocity > 1.8 * truth["velocity"], index


def test_smoke_changes_its_shape_as_it_rises():
    evolved = []
    for index in range(20):
        y = luma(rendered(index, 48, 12)[0])
        _, next_frame = vertical_shift(y[0], y[1], 6)
        _, later = vertical_shift(y[0], y[8], 18)
        assert next_frame > 0.85, index
        evolved.append(later)
    assert np.median(evolved) < 0.9


def test_every_clip_is_alive():
    for index in range(60):
        moved = np.abs(np.diff(luma(rendered(index)[0]), axis=0)).mean((1, 2))
        assert moved.min() >= 0.006, index
        assert np.median(moved) >= 0.01, index


@pytest.mark.parametrize(("size", "frames"), [(32, 2), (256, 2), (32, 48)])
def test_extreme_sizes_and_lengths(size, frames):
    clip, _ = rendered(3, size, frames)
    assert clip.shape == (frames, size, size, 3)
    assert (np.diff(clip.astype(int), axis=0) != 0).any((1, 2, 3)).all()
