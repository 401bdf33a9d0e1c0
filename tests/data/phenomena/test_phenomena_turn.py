import numpy as np

from dvdgan.data.phenomena import render
from dvdgan.evaluation.behaviours.turn import measure
from support.measures import spread


def test_truth_agrees_with_the_pixels():
    for i in range(8):
        scene = render("turn", i, size=64, frames=16)
        clip, mask, angle = scene.clip, scene.truth["mask"], scene.truth["angle"]
        rows = np.flatnonzero(mask.any(1))
        assert rows[-1] - rows[0] >= 0.55 * 64
        step = np.degrees(np.diff(angle))
        assert step.min() >= 8
        assert step.max() <= 18
        moving = np.ptp(clip.astype(int), axis=0).max(-1) > 0
        assert not (moving & ~spread(mask, 1.5)).any()  # nothing else moves
        assert 0.6 < measure(clip).numbers["surface"] / np.median(np.diff(angle)) < 1.2
