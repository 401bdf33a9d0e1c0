from functools import cache

import numpy as np
import pytest

from dvdgan.data.phenomena import camera
from support.measures import aligned, best_shift, luma

RENDERERS = {
    "zoom-in": camera.render_zoom_in,
    "zoom-out": camera.render_zoom_out,
    "pan-left": camera.render_pan_left,
    "pan-right": camera.render_pan_right,
}


@cache
def rendered(label, index, size=32, frames=12):
    return RENDERERS[label](np.random.default_rng([5, index]), size, frames)


def best_scale(before, after):
    """The log scale, and its correlation, that with a small shift brings the first picture to the second."""
    shifts = [(x, y) for x in (-0.8, 0, 0.8) for y in (-0.8, 0, 0.8)]
    scores = {s: max(aligned(before, after, s, d) for d in shifts) for s in np.arange(-0.2, 0.21, 0.04)}
    best = max(scores, key=scores.get)
    return best, scores[best]


@pytest.mark.parametrize(("label", "sign"), [("zoom-in", 1), ("zoom-out", -1)])
def test_zoom_changes_the_scale_one_way(label, sign):
    for index in range(12):
        clip, truth = rendered(label, index)
        assert (sign * np.diff(truth["log_scale"]) > 0).all()
        assert 0.5 <= abs(truth["log_scale"][-1] - truth["log_scale"][0]) <= 0.95
        y = luma(clip)
        found = [best_scale(y[t], y[t + 2]) for t in (0, 3, 6, 9)]
        assert all(sign * s > 0 for s, _ in found), index
        unaligned = [aligned(y[t], y[t + 2], 0.0, (0, 0)) for t in (0, 3, 6, 9)]
        assert np.mean([c for _, c in found]) - np.mean(unaligned) >= 0.05, index


@pytest.mark.parametrize(("label", "sign"), [("pan-left", 1), ("pan-right", -1)])
def test_pan_moves_the_content_the_other_way(label, sign):
    for index in range(12):
        clip, truth = rendered(label, index)
        path = truth["center"]
        assert (-sign * np.diff(path[:, 0]) > 0).all()
        assert np.ptp(path[:, 1]) < 0.1 * np.ptp(path[:, 0])
        assert np.ptp(truth["log_scale"]) == 0
        y = luma(clip)
        found = [best_shift(y[t], y[t + 2]) for t in (0, 3, 6, 9)]
        moves = np.array([s for s, _ in found])
        assert (sign * moves[:, 0] > 0).all(), index
        assert abs(moves[:, 1].sum()) < 0.3 * abs(moves[:, 0].sum()), index
        assert np.mean([c for _, c in found]) > 0.9, index


@pytest.mark.parametrize(("one", "other"), [("zoom-in", "zoom-out"), ("pan-left", "pan-right")])
def test_opposite_classes_show_the_same_pictures_in_reverse_order(one, other):
    # The easing is symmetric, so the same seed gives one class the other's frames, last first.
    for index in range(4):
        forward, backward = rendered(one, index)[0], rendered(other, index)[0][::-1]
        assert np.abs(forward.astype(float) - backward).max() <= 30
        assert np.abs(forward.astype(float) - backward).mean() < 1


@pytest.mark.parametrize("label", RENDERERS)
@pytest.mark.parametrize(("size", "frames", "count"), [(48, 6, 10), (32, 100, 6)])
def test_the_frame_has_no_border(label, size, frames, count):
    for index in range(count):
        y = luma(rendered(label, index, size, frames)[0])
        for steps in (np.abs(np.diff(y, axis=1)).mean((0, 2)), np.abs(np.diff(y, axis=2)).mean((0, 1))):
            assert max(steps[0], steps[-1]) < 3 * np.median(steps[1:-1]), index


@pytest.mark.parametrize("label", RENDERERS)
def test_a_long_clip_goes_no_farther_only_slower(label):
    for index in range(6):
        usual, long = (rendered(label, index, 32, frames) for frames in (48, 100))
        for name in ("center", "log_scale"):
            np.testing.assert_allclose(long[1][name][[0, -1]], usual[1][name][[0, -1]], atol=1e-9)
        assert np.abs(long[0][[0, -1]].astype(int) - usual[0][[0, -1]]).max() <= 1
        assert (np.abs(np.diff(luma(long[0]), axis=0)).mean((1, 2)) > 0.001).all()
