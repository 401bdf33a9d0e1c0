from functools import cache

import numpy as np

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


def test_smoke_rises_at_its_speed():
    for index in range(40):
        clip, truth = rendered(index)
        y = luma(clip)
        shifts = [vertical_shift(y[t], y[t + 3], 6)[0] for t in range(9)]
        velocity = np.mean(shifts) / 3 / 32
        assert truth["velocity"] < 0
        assert truth["substance"] == "smoke"
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
