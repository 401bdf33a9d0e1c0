"""turn: a solid stands still and turns about its upright axis, so that its near side moves to the right.

The solid is what differs from the backdrop, which is drawn across each row between the frame's sides. Its surface is
unrolled: each row of the silhouette, half as wide as the solid there, is read at the angles about the axis that it
shows, along the ellipses that a look from 11 degrees above makes of them; what stays over time, light and shadow, is
taken away. The angle that matches best from frame to frame is the turn. The surface is slower towards the silhouette's
sides than in its middle: one angle for all leaves at most 1.05 times the error that one distance for all leaves, which
is what a texture that slides behind a hole would keep to (real clips leave 0.5 to 1.02 times as much, such holes 1.07
and more).

Rows of the silhouette are filled between their ends, because patterns may have the backdrop's colour, and for the same
reason drift, from the median place, and area are those of 90 % of frames. Only turns to the right count, as the class
is made, so that reversed and mirrored clips fail.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from dvdgan.evaluation.behaviours.alignment import shrunk
from dvdgan.evaluation.behaviours.behaviour import Behaviour, Limits, Measurements, Numbers, Percentile, first_failure
from dvdgan.evaluation.behaviours.pixels import centre_of, large_parts, opened, widened

_ABOUT = "A solid stays in its place and turns evenly, its near side to the right, before a still backdrop."
_DIFFERENT = 0.1  # the largest difference of a channel between the solid and the backdrop
_SOLID_SHARE = 0.08  # of the frame: the least that is the solid
_MOST_FRAMES = 90  # percent of the frames that keep place and area
_ANGLES = np.radians(np.arange(-66, 67, 3.0))  # of the surface, from the near side to the right
_TURNS = np.radians(np.arange(-30, 31, 1.5))  # from frame to frame
_TILT = np.sin(np.radians(11.0))  # of the look from above
_TURNS_RIGHT = np.radians(1.0)


def measure(clip: np.ndarray) -> Measurements:
    """How a solid turns.

    Numbers: ``share``, the solid's smallest share of a frame, and ``widest``, the largest share of its width;
    ``drift``, how far its middle departs from its median
    place in 90 % of frames, in H; ``area_change``, its area's departure from the median, likewise; ``unrest``, the root
    mean square of brightness less its median over time, outside the solid; ``rightward``, the share of pairs of frames
    in which the surface turns to the right, one or two frames apart, whichever is less; ``surface``, the median angle
    in radians per frame, ``largest``, that of any pair; ``uneven``, the median departure from it, as a share of it;
    ``explained``, the share of the surface's change that it explains; ``slides``, the error that it leaves over that
    of one distance for all of the surface.
    """
    height, width = clip.shape[1:3]
    colour = clip.astype(np.float32) / 255
    solid = _filled(large_parts(opened(_silhouettes(colour)), 0.1))
    x, y, area = centre_of(solid)
    numbers = {"share": float(area.min()) / (height * width), "widest": float(solid.any(1).mean(1).max())}
    if numbers["share"] < _SOLID_SHARE:
        return Measurements(numbers, "no solid in every frame")
    outside = ~widened(np.any(solid, axis=0)[None], max(1.5, 2 * height / 32))[0]
    grey = colour.mean(-1)
    still = np.abs(grey - np.median(grey, axis=0))[:, outside]
    place = solid.mean(0) > 0.5
    if place.mean() < 0.02:
        return Measurements(numbers, "no solid that keeps its place")
    surface = _unrolled(clip, place)
    (turns, error, slid, unmoved), (twos, *_) = _match(surface, 1), _match(surface, 2)
    middle = float(np.median(turns))
    numbers |= {
        "drift": float(np.percentile(np.hypot(x - np.median(x), y - np.median(y)), _MOST_FRAMES)),
        "area_change": float(np.percentile(np.abs(area / np.median(area) - 1), _MOST_FRAMES)),
        "unrest": float(np.sqrt((still**2).mean())) if outside.any() else 1.0,
        "rightward": float(min((turns > _TURNS_RIGHT).mean(), (twos > _TURNS_RIGHT).mean())),
        "surface": middle,
        "largest": float(np.abs(turns).max()),
        "uneven": float(np.median(np.abs(turns - middle)) / max(abs(middle), _TURNS_RIGHT)),
        "explained": float(1 - error / max(unmoved, 1e-9)),
        "slides": float(min(error / max(slid, 1e-9), 100.0)),
    }
    return Measurements(numbers)


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


def _unrolled(clip: np.ndarray, place: np.ndarray) -> np.ndarray:
    """The surface of the solid at ``place`` bool ``[H, W]``, by height and angle, less its mean over time.

    Returns:
        float32 ``[T, rows, 3, angles]``.
    """
    colour = shrunk(clip)
    step = place.shape[0] // colour.shape[2]
    place = place[::step, ::step][: colour.shape[2], : colour.shape[3]]
    rows = np.flatnonzero(place.any(1))
    rows = rows[round(0.08 * len(rows)) : max(round(0.88 * len(rows)), 1)]  # without lid and foot
    left, right = place[rows].argmax(1), place.shape[1] - 1 - place[rows, ::-1].argmax(1)
    radius = (right - left + 1)[:, None] / 2
    x = (left + right)[:, None] / 2 + radius * np.sin(_ANGLES)
    y = rows[:, None] + radius * (np.cos(_ANGLES) - 0.7) * _TILT
    read = [[ndimage.map_coordinates(c, [y, x], order=1, mode="nearest") for c in frame] for frame in colour]
    surface = np.array(read, np.float32).swapaxes(1, 2)
    return surface - surface.mean(0)


def _match(surface: np.ndarray, apart: int) -> tuple[np.ndarray, float, float, float]:
    """The turn from each frame to the one so many later that matches best, in radians per frame ``[T - apart]``.

    Returns:
        It, the error that it leaves, the error that the best distance leaves, and that of no motion.
    """
    now, after = surface[:-apart], surface[apart:]

    def errors(source: np.ndarray) -> np.ndarray:
        shown = (source >= _ANGLES[0]) & (source <= _ANGLES[-1])
        place = np.clip((source - _ANGLES[0]) / (_ANGLES[1] - _ANGLES[0]), 0, len(_ANGLES) - 1)
        sample = np.maximum(1 - np.abs(place - np.arange(len(_ANGLES))[:, None]), 0).astype(np.float32)
        weight = shown.astype(np.float32)
        return ((now @ sample - after) ** 2).sum((1, 2)) @ weight / weight.sum()

    turned = np.stack([errors(_ANGLES - apart * turn) for turn in _TURNS])
    across = np.sin(_ANGLES) - apart * _TURNS[:, None]
    inside = np.abs(across) < 1
    slid = np.stack([errors(np.where(ok, np.arcsin(np.clip(u, -1, 1)), 9)) for u, ok in zip(across, inside)])
    unmoved = turned[len(_TURNS) // 2]
    return _TURNS[turned.argmin(0)], float(turned.min(0).sum()), float(slid.min(0).sum()), float(unmoved.sum())


def _limits(percentile: Percentile) -> Limits:
    return {
        "least_explained": 0.5 * percentile("explained", 5),
        "least_surface": 0.5 * percentile("surface", 5),
        "most_surface": 1.5 * percentile("surface", 95),
        "most_at_once": 1.5 * percentile("largest", 99),
    }


def _check(numbers: Numbers, limits: Limits) -> str:
    return first_failure(
        "valid",
        [
            (numbers["widest"] <= 0.85, "the solid fills the frame"),
            (numbers["unrest"] <= 8 / 255, "the backdrop is not still"),
            (numbers["drift"] <= 0.05, "the solid moves from its place"),
            (numbers["area_change"] <= 0.25, "the solid grows or shrinks"),
        ],
    ) or first_failure(
        "behaviour",
        [
            (numbers["rightward"] >= 0.9, "the near side does not move to the right"),
            (limits["least_surface"] <= numbers["surface"] <= limits["most_surface"], "it turns too slow or too fast"),
            (numbers["uneven"] <= 0.5, "it turns unevenly"),
            (numbers["largest"] <= limits["most_at_once"], "it turns by a jerk"),
            (numbers["slides"] <= 1.05, "its surface slides as if behind a hole"),
            (numbers["explained"] >= limits["least_explained"], "the surface does not keep together"),
        ],
    )


TURN = Behaviour(_ABOUT, measure, _limits, _check, fewest_frames=8)
