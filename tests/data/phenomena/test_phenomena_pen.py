from functools import cache

import numpy as np
import pytest
from scipy.ndimage import median_filter

from dvdgan.data.phenomena import CLASSES, pen
from dvdgan.data.phenomena.palettes import srgb_to_linear
from dvdgan.data.phenomena.scene import scene_rng
from dvdgan.data.phenomena.shapes import hsv
from support.measures import luma, spread


@cache
def draw(index, size=32, frames=12, seed=0):
    return pen.render(scene_rng(seed, "train", CLASSES.index("pen"), index), size, frames)


def tip_mask(clip):
    hue, saturation, value = hsv(srgb_to_linear(clip / 255))
    return (np.abs((hue - pen.TIP_HUE + 180) % 360 - 180) < 25) & (saturation > 0.5) & (value > 0.4)


def measure(clip):
    """The pen's behaviour on pixels: what it fails, an empty list for a clip that shows it."""
    frames, size = clip.shape[:2]
    y = luma(clip)
    dark = median_filter(y, (1, 3, 3), mode="nearest").max(0) - y
    contrast = np.percentile(dark[-1], 95)
    if contrast < 0.15:
        return ["contrast"]
    tip = tip_mask(clip)
    if tip.reshape(frames, -1).sum(1).min() < 3:
        return ["tip"]
    covered = spread(tip, 2)
    laid = np.full(y.shape[1:], frames)  # the frame from which a pixel is ink
    run, begun = np.zeros(laid.shape, int), np.zeros(laid.shape, int)
    kept = seen = 0
    for t in range(frames):
        ink = laid < frames
        seen += (ink & ~covered[t]).sum()
        kept += (ink & ~covered[t] & (dark[t] >= 0.35 * contrast)).sum()
        over = dark[t] > 0.5 * contrast
        begun = np.where(over & ~covered[t] & (run == 0), t, begun)
        run = np.where(covered[t], run, np.where(over, run + 1, 0))
        laid = np.where((run >= 3) & ~ink, begun, laid)
    area = np.array([(laid <= t).sum() for t in range(frames)])
    ordered = np.sort(area)
    rank = (np.searchsorted(ordered, area) + np.searchsorted(ordered, area, "right")) / 2
    near = spread(tip, max(0.06 * size, 3))
    near[1:] |= near[:-1].copy()
    places = np.argwhere((laid < frames) & (laid > 0))
    at_tip = np.mean([near[laid[v, u], v, u] for v, u in places]) if len(places) else 0.0
    checks = {
        "persistence": seen and kept / seen >= 0.95,
        "growth": area[-1] >= 1.5 * max(area[frames // 4], 1),
        "rank": rank.std() > 0 and np.corrcoef(rank, np.arange(frames))[0, 1] >= 0.8,
        "at tip": at_tip >= 0.8,
    }
    return [name for name, passed in checks.items() if not passed]


@pytest.mark.parametrize(("size", "frames"), [(32, 12), (64, 16)])
def test_behaviour_is_on_the_pixels(size, frames):
    failed = {i: measure(draw(i, size, frames)[0]) for i in range(30)}
    assert not {i: f for i, f in failed.items() if f}


def test_controls_fail():
    for i in range(8):
        clip = draw(i)[0]
        assert measure(clip[::-1])
        assert measure(np.broadcast_to(clip[-1:], clip.shape))
        assert measure(clip[np.random.default_rng(i).permutation(12)])


def test_truth_agrees_with_the_pixels():
    for i in range(8):
        clip, truth = draw(i, 64, 16)
        tip, ink = truth["tip"], truth["ink"]
        steps = np.hypot(*np.diff(tip, axis=0).T)
        assert steps.max() <= 0.16
        assert tip.min() > 0.04
        assert tip.max() < 0.96
        assert (ink[1:] >= ink[:-1]).all()
        free = ~spread(tip_mask(clip), 4)
        y = luma(clip)
        assert np.percentile(y[~spread(~ink, 1) & free], 98) < 0.45 < y[~spread(ink, 1) & free].min()
        for t in range(16):
            v, u = np.nonzero(tip_mask(clip)[t])
            assert np.hypot((u + 0.5) / 64 - tip[t, 0], (v + 0.5) / 64 - tip[t, 1]).min() < 0.05
