import numpy as np

from dvdgan.data.phenomena import bounce, render
from dvdgan.data.phenomena.shapes import hue_gap
from support.measures import luma


def test_truth_obeys_the_rules():
    for i in range(60):
        truth = render("bounce", i, size=32, frames=48).truth
        centre, radius, hue = truth["center"], truth["radius"], truth["hue"]
        assert truth["floor"] == bounce.FLOOR_Y
        assert radius.min() >= 0.08
        assert (np.linalg.norm(np.diff(centre, axis=0), axis=2) <= 1.2 * radius).all()
        assert (centre[:, :, 0] >= radius - 1e-9).all()
        assert (centre[:, :, 0] <= 1 - radius + 1e-9).all()
        assert (centre[:, :, 1] >= radius).all()
        assert (centre[:, :, 1] <= bounce.FLOOR_Y - radius + 1e-9).all()
        if len(radius) == 2:
            assert hue_gap(*hue) >= 60
            assert np.linalg.norm(centre[:, 0] - centre[:, 1], axis=1).min() > radius.sum()
        for b in range(len(radius)):
            bends = np.diff(centre[:, b, 1], 2)
            gravity = np.median(bends)
            assert (np.abs(bends - gravity) < 1e-9).mean() >= 0.6
            assert bends.max() <= gravity + 1e-9  # a contact only ever pushes up
            speed = np.diff(centre[:12, b, 1])
            speed = speed[np.abs(speed) >= 0.01]
            assert set(np.sign(speed[:-1][speed[:-1] * speed[1:] < 0])) == {-1.0, 1.0}  # the floor, and an apex
            assert np.ptp(centre[-16:, b, 1]) >= 0.08  # still bouncing


def test_balls_go_on_bouncing_at_any_length():
    for i in range(20):
        centre = render("bounce", i, size=32, frames=130).truth["center"]
        for b in range(centre.shape[1]):
            heights = [np.ptp(centre[t : t + 10, b, 1]) for t in range(0, 120, 10)]
            assert min(heights) >= 0.03, i
            assert np.ptp(centre[-12:, b, 1]) >= 0.05, i  # flights of 6 frames
    clip = render("bounce", 0, size=32, frames=300).clip
    assert clip.shape == (300, 32, 32, 3)
    assert np.array_equal(render("bounce", 0, size=32, frames=48).clip, clip[:48])
    assert np.abs(np.diff(luma(clip[-8:]), axis=0)).mean() >= 0.002
