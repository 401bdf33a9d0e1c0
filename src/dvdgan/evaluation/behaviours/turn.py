"""turn: a solid stands still and turns about its upright axis, so that its near side moves to the right.

The solid is what differs from the backdrop, which is drawn across each row between the frame's sides. Its middle
drifts by at most 0.05 H and its area changes by at most 25 %. The horizontal motion of its surface, once what stays
over time is taken away, is to the right in at least 80 % of pairs of frames. Beyond that definition: rows of the
silhouette are filled between their ends, because patterns may have the backdrop's colour, and for the same reason
drift, from the median place, and area are those of 90 % of frames; "of one sign" is to the right, as the class is
made, so that reversed and mirrored clips fail; outside the solid pixels stay within a root mean square of 8/255 of
their median; the motion's median is from half the 5th to 1.5 times the 95th percentile of real ones, departs from it
by at most half (median), and explains at least half as much of the surface's change as the 5th percentile of real
clips, or shuffled clips, pans and smoke would pass now and then.
"""

from __future__ import annotations

import numpy as np

from dvdgan.evaluation.behaviours.behaviour import Behaviour, Limits, Measured, Numbers, Percentile, first_failure
from dvdgan.evaluation.behaviours.pixels import centre_of, large_parts, opened, widened

_ABOUT = "A solid stays in its place and turns evenly, its near side to the right, before a still backdrop."
_DIFFERENT = 0.1  # the largest difference of a channel between the solid and the backdrop
_SOLID_SHARE = 0.08  # of the frame: the least that is the solid
_MOST_FRAMES = 90  # percent of the frames that keep place and area
_SHIFTS = np.arange(-12, 13) * 0.01  # of the surface from frame to frame, in W
_FINE = 64  # the most pixels across that motion is measured in


def measure(clip: np.ndarray) -> Measured:
    """How a solid turns.

    Numbers: ``share``, the solid's smallest share of a frame; ``drift``, how far its middle departs from its median
    place in 90 % of frames, in H; ``area_change``, its area's departure from the median, likewise; ``unrest``, the root
    mean square of brightness less its median over time, outside the solid; ``rightward``, the share of pairs of frames
    in which the surface moves to the right; ``surface``, the median of that motion in W per frame; ``uneven``, the
    median departure from it, as a share of it; ``explained``, the share of the surface's change that it explains.
    """
    height, width = clip.shape[1:3]
    colour = clip.astype(np.float32) / 255
    solid = _filled(large_parts(opened(_silhouettes(colour)), 0.1))
    x, y, area = centre_of(solid)
    numbers = {"share": float(area.min()) / (height * width)}
    if numbers["share"] < _SOLID_SHARE:
        return Measured(numbers, "no solid in every frame")
    outside = ~widened(np.any(solid, axis=0), max(1.5, 2 * height / 32))
    grey = colour.mean(-1)
    still = np.abs(grey - np.median(grey, axis=0))[:, outside]
    inner = solid.mean(0) > 0.7
    reach = height // 10
    inner &= np.roll(inner, reach, axis=1) & np.roll(inner, -reach, axis=1)
    if inner.mean() < 0.02:
        return Measured(numbers, "no solid that keeps its place")
    speeds, explained = _surface_motion(colour, inner)
    surface = float(np.median(speeds))
    numbers |= {
        "drift": float(np.percentile(np.hypot(x - np.median(x), y - np.median(y)), _MOST_FRAMES)),
        "area_change": float(np.percentile(np.abs(area / np.median(area) - 1), _MOST_FRAMES)),
        "unrest": float(np.sqrt((still**2).mean())) if outside.any() else 1.0,
        "rightward": float((speeds > 0.005).mean()),
        "surface": surface,
        "uneven": float(np.median(np.abs(speeds - surface)) / max(abs(surface), 0.005)),
        "explained": explained,
    }
    return Measured(numbers)


def _silhouettes(colour: np.ndarray) -> np.ndarray:
    """What differs from the backdrop, drawn across each row between the frame's sides: bool ``[T, H, W]``."""
    width = colour.shape[2]
    margin = max(width // 16, 1)
    left, right = colour[:, :, :margin].mean(2), colour[:, :, -margin:].mean(2)
    along = np.linspace(0, 1, width, dtype=np.float32)[:, None]
    backdrop = left[:, :, None] * (1 - along) + right[:, :, None] * along
    return np.abs(colour - backdrop).max(-1) > _DIFFERENT


def _filled(mask: np.ndarray) -> np.ndarray:
    """Masks ``[T, H, W]`` with each row filled between its ends, as a solid of revolution fills it."""
    return np.maximum.accumulate(mask, 2) & np.maximum.accumulate(mask[..., ::-1], 2)[..., ::-1]


def _surface_motion(colour: np.ndarray, inner: np.ndarray) -> tuple[np.ndarray, float]:
    """The horizontal shift from each frame to the next that matches best, in W ``[T − 1]``, and what it explains.

    What stays, light and shadow on the solid, is left out: the mean over time.
    """
    while colour.shape[2] > _FINE:
        h, w = (n // 2 * 2 for n in colour.shape[1:3])
        colour = colour[:, :h, :w].reshape(len(colour), h // 2, 2, w // 2, 2, 3).mean((2, 4))
        inner = inner[:h:2, :w:2]
    if colour.shape[1] > _FINE // 2:  # rows move alike
        h = colour.shape[1] // 2 * 2
        colour, inner = colour[:, :h].reshape(len(colour), h // 2, 2, -1, 3).mean(2), inner[:h:2]
    rows = inner.any(1)
    picture = (colour - colour.mean(0))[:, rows].swapaxes(2, 3)  # [T, rows, 3, W]
    weight = inner[rows][:, None]
    width = colour.shape[2]
    at = np.clip(np.arange(width) - _SHIFTS[:, None] * width, 0, width - 1)
    shift = np.maximum(1 - np.abs(at[..., None] - np.arange(width)), 0).astype(np.float32)
    now, after = picture[:-1], picture[1:]
    errors = np.stack([(((now @ s.T - after) ** 2) * weight).sum((1, 2, 3)) for s in shift])
    still, best = errors[len(_SHIFTS) // 2], errors.min(0)
    return _SHIFTS[errors.argmin(0)], float(1 - best.sum() / max(float(still.sum()), 1e-6))


def _limits(percentile: Percentile) -> Limits:
    return {
        "least_explained": 0.5 * percentile("explained", 5),
        "least_surface": 0.5 * percentile("surface", 5),
        "most_surface": 1.5 * percentile("surface", 95),
    }


def _check(numbers: Numbers, limits: Limits) -> str:
    return first_failure(
        "valid",
        [
            (numbers["unrest"] <= 8 / 255, "the backdrop is not still"),
            (numbers["drift"] <= 0.05, "the solid moves from its place"),
            (numbers["area_change"] <= 0.25, "the solid grows or shrinks"),
        ],
    ) or first_failure(
        "behaviour",
        [
            (numbers["rightward"] >= 0.8, "the near side does not move to the right"),
            (limits["least_surface"] <= numbers["surface"] <= limits["most_surface"], "it turns too slow or too fast"),
            (numbers["uneven"] <= 0.5, "it turns unevenly"),
            (numbers["explained"] >= limits["least_explained"], "the surface does not keep together"),
        ],
    )


TURN = Behaviour(_ABOUT, measure, _limits, _check, fewest_frames=8)
