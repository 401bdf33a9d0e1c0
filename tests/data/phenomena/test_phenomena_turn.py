from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from dvdgan.data.phenomena import CLASSES, turn
from dvdgan.data.phenomena.scene import scene_rng
from support.measures import spread


@cache
def draw(index, size=32, frames=12, seed=0):
    return turn.render(scene_rng(seed, "train", CLASSES.index("turn"), index), size, frames)


def silhouettes(clip):
    """What differs from the backdrop, drawn across each row between the frame's sides: bool [T, H, W]."""
    colour = clip / 255
    margin = max(clip.shape[1] // 16, 1)
    left, right = colour[:, :, :margin].mean(2), colour[:, :, -margin:].mean(2)
    along = np.linspace(0, 1, clip.shape[2])[:, None]
    backdrop = left[:, :, None] * (1 - along) + right[:, :, None] * along
    return np.abs(colour - backdrop).max(-1) > 0.1


def flows(clip, mask):
    """Horizontal shift from each frame to the next, in frame widths, inside the middle of the mask: best match."""
    size = clip.shape[1]
    inner = mask & np.roll(mask, size // 10, axis=1) & np.roll(mask, -(size // 10), axis=1)
    picture = clip / 255 - (clip / 255).mean(0)
    fine = np.arange(size)
    steps = np.arange(-0.12, 0.1201, 0.01) * size
    found = []
    for now, after in pairwise(picture):
        errors = []
        for step in steps:
            at = np.clip(fine - step, 0, size - 1)
            low = np.minimum(at.astype(int), size - 2)
            part = (at - low)[None, :, None]
            moved = now[:, low] * (1 - part) + now[:, low + 1] * part
            errors.append(((moved - after)[inner] ** 2).mean())
        found.append(steps[int(np.argmin(errors))] / size)
    return np.array(found)


def measure(clip):
    """The behaviour on pixels: what it fails, an empty list for a clip that shows it."""
    shape = silhouettes(clip)
    size = clip.shape[1]
    area = shape.sum((1, 2))
    if area.min() < 0.05 * size**2:
        return ["no object"]
    place = (np.arange(size) + 0.5) / size
    centre = np.stack([(shape.sum(1) @ place) / area, (shape.sum(2) @ place) / area], axis=1)
    speeds = flows(clip, shape.mean(0) > 0.7)
    checks = {
        "centroid": np.linalg.norm(centre - centre[0], axis=1).max() <= 0.05,
        "area": np.abs(area / np.median(area) - 1).max() <= 0.25,
        "flow": (speeds > 0.005).mean() >= 0.8,
    }
    return [name for name, passed in checks.items() if not passed]


@pytest.mark.parametrize(("size", "frames"), [(32, 12), (64, 16)])
def test_behaviour_is_on_the_pixels(size, frames):
    failed = {i: measure(draw(i, size, frames)[0]) for i in range(20)}
    assert not {i: f for i, f in failed.items() if f}


def test_controls_fail():
    for i in range(8):
        clip = draw(i)[0]
        assert measure(clip[::-1])
        assert measure(clip[:, :, ::-1])
        assert measure(np.broadcast_to(clip[:1], clip.shape))
    shuffled = [measure(draw(i)[0][np.random.default_rng(i).permutation(12)]) for i in range(20)]
    assert sum(bool(failed) for failed in shuffled) >= 17  # by chance a few pairs agree


def test_truth_agrees_with_the_pixels():
    for i in range(8):
        clip, truth = draw(i, 64, 16)
        mask, angle = truth["mask"], truth["angle"]
        rows = np.flatnonzero(mask.any(1))
        assert rows[-1] - rows[0] >= 0.55 * 64
        step = np.degrees(np.diff(angle))
        assert step.min() >= 8
        assert step.max() <= 18
        moving = np.ptp(clip.astype(int), axis=0).max(-1) > 0
        assert not (moving & ~spread(mask, 1.5)).any()  # nothing else moves
        assert (flows(clip, mask) > 0).mean() >= 0.8
