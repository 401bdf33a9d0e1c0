from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from dvdgan.data.phenomena import CLASSES, bounce
from dvdgan.data.phenomena.palettes import srgb_to_linear
from dvdgan.data.phenomena.scene import scene_rng
from dvdgan.data.phenomena.shapes import hsv, hue_gap
from support.measures import luma


@cache
def draw(index, size=32, frames=12, seed=0):
    return bounce.render(scene_rng(seed, "train", CLASSES.index("bounce"), index), size, frames)


def ball_hues(clip):
    """The hues of the balls: peaks of the histogram of what moves and is vivid, 60 degrees apart."""
    hue, saturation, value = hsv(srgb_to_linear(clip / 255))
    vivid = (saturation > 0.45) & (value > 0.3)
    moves = np.ptp(clip.astype(float), axis=0).max(-1) > 40
    weight = np.histogram(hue[vivid & moves], bins=72, range=(0, 360))[0].astype(float)
    weight = sum(np.roll(weight, k) * (1 - abs(k) / 6) for k in range(-5, 6)) / len(clip)
    peaks = []
    for k in np.argsort(-weight):
        near = [hue_gap(k * 5 + 2.5, p) < 60 for p in peaks]
        if weight[k] >= 0.015 * clip.shape[1] ** 2 and not any(near):
            peaks.append(k * 5 + 2.5)
    return peaks


def track(clip, hue):
    """Centre x, y and area of one ball per frame, in frame heights."""
    size = clip.shape[1]
    found, saturation, value = hsv(srgb_to_linear(clip / 255))
    near = np.abs((found - hue + 180) % 360 - 180) < 28
    weight = near * np.clip((saturation - 0.32) / 0.15, 0, 1) * np.clip((value - 0.08) / 0.08, 0, 1)
    place = (np.arange(size) + 0.5) / size
    total = np.maximum(weight.sum((1, 2)), 1e-9)
    return (weight.sum(1) @ place) / total, (weight.sum(2) @ place) / total, total / size**2


def turns(path):
    """The frames in which a coordinate turns, and the sign of its speed before; speeds under 0.01 don't count."""
    speed = np.diff(path)
    moving = np.flatnonzero(np.abs(speed) >= 0.01)
    found = []
    for a, b in pairwise(moving):
        if speed[a] * speed[b] < 0:
            between = np.arange(a + 1, b + 1)
            found.append((between[np.argmax(np.sign(speed[a]) * path[between])], np.sign(speed[a])))
    return found


def measure(clip):
    """The behaviour on pixels: what it fails, an empty list for a clip that shows it."""
    hues = ball_hues(clip)
    if not 1 <= len(hues) <= 2:
        return ["balls"]
    failed = set()
    for hue in hues:
        x, y, area = track(clip, hue)
        radius = np.sqrt(np.median(area) / np.pi)
        if np.abs(area / np.median(area) - 1).max() > 0.3:
            failed.add("area")
        vertical = turns(y)
        low = [abs(y[t] + radius - bounce.FLOOR_Y) <= 0.05 for t, sign in vertical if sign > 0]
        if not low:
            failed.add("no floor turn")
        if not all(low):
            failed.add("turn in mid-air")
        side = [min(x[t] - radius, 1 - x[t] - radius) <= 0.05 for t, _ in turns(x)]
        if side and np.mean(side) < 0.9:
            failed.add("sideways turn")
        bends = y[4:] - 2 * y[2:-2] + y[:-4]  # over two frames either way: four times the acceleration, the same noise
        low = y + radius > bounce.FLOOR_Y - 0.07
        free = [t for t in range(len(bends)) if not low[t : t + 5].any()]
        if len(free) >= 2:
            fall = bends[free]
            if fall.mean() <= 0 or fall.std() / fall.mean() > 0.5:
                failed.add("acceleration")
        else:
            failed.add("acceleration")
    return sorted(failed)


@pytest.mark.parametrize(("size", "frames"), [(32, 12), (64, 16), (32, 48)])
def test_behaviour_is_on_the_pixels(size, frames):
    failed = {i: measure(draw(i, size, frames)[0]) for i in range(30)}
    assert not {i: f for i, f in failed.items() if f}


def test_controls_fail():
    for i in range(10):
        clip = draw(i)[0]
        assert measure(clip[:, ::-1])
        assert measure(clip[np.random.default_rng(i).permutation(12)])
        assert measure(np.broadcast_to(clip[:1], clip.shape))


def test_truth_obeys_the_rules():
    for i in range(60):
        truth = draw(i, 32, 48)[1]
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
            first = {sign for _, sign in turns(centre[:12, b, 1])}
            assert first == {-1.0, 1.0}
            assert np.ptp(centre[-16:, b, 1]) >= 0.08  # still bouncing


def test_balls_go_on_bouncing_at_any_length():
    for i in range(20):
        centre = draw(i, 32, 130)[1]["center"]
        for b in range(centre.shape[1]):
            heights = [np.ptp(centre[t : t + 10, b, 1]) for t in range(0, 120, 10)]
            assert min(heights) >= 0.03, i
            assert np.ptp(centre[-12:, b, 1]) >= 0.05, i  # flights of 6 frames
    clip = draw(0, 32, 300)[0]
    assert clip.shape == (300, 32, 32, 3)
    assert np.array_equal(draw(0, 32, 48)[0], clip[:48])
    assert np.abs(np.diff(luma(clip[-8:]), axis=0)).mean() >= 0.002
