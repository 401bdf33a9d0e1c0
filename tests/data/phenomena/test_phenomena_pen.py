import numpy as np

from dvdgan.data.phenomena import pen, render
from dvdgan.data.phenomena.palettes import srgb_to_linear
from dvdgan.data.phenomena.shapes import hsv
from support.measures import luma, spread


def tip_mask(clip):
    hue, saturation, value = hsv(srgb_to_linear(clip / 255))
    return (np.abs((hue - pen.TIP_HUE + 180) % 360 - 180) < 25) & (saturation > 0.5) & (value > 0.4)


def test_truth_agrees_with_the_pixels():
    for i in range(8):
        scene = render("pen", i, size=64, frames=16)
        clip, tip, ink = scene.clip, scene.truth["tip"], scene.truth["ink"]
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
