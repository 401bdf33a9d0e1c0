"""zoom-in, zoom-out, pan-left, pan-right: the whole picture grows, shrinks, or moves to a side.

Shift and scale are fitted between frames that are 1, 2 and a third of the clip apart (see `follow`). The picture has to
follow from frame to frame, and most of it over a third of the clip, by one such motion that goes one way throughout and
as far as in real clips.

In a zoom the middle and the rim of the frame grow alike, or rings would pass. The other motion (to the side in a zoom,
up and down in a pan) and changes of colour have absolute limits beside those of real clips, as generated pictures are
not free of noise.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dvdgan.evaluation.behaviours import follow
from dvdgan.evaluation.behaviours.behaviour import Behaviour, Limits, Measurements, Numbers, Percentile, first_failure

_INNER = 0.22  # H from the middle to each side


def _middle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(x), np.abs(y)) < _INNER


def _rim(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return ~_middle(x, y)


def measure_zoom(clip: np.ndarray) -> Measurements:
    """How the picture grows.

    Numbers: those of `follow.follow`, those of `follow.steadiness` for the log scale, ``scale``, its sum, ``aside``,
    the largest shift of a pair in H, and ``rim``, the growth of the frame's middle over that of its rim (medians over
    frames a third of the clip apart).
    """
    found = follow.follow(clip)
    middle, rim = (float(np.median(fit.log_scale)) for fit in found.parts([_middle, _rim]))
    numbers = found.numbers | follow.steadiness(found.ones.log_scale, found.twos.log_scale)
    return Measurements(
        numbers
        | {
            "scale": float(found.ones.log_scale.sum()),
            "aside": float(np.abs(found.ones.shift).max()),
            "rim": float(np.clip(middle / np.copysign(max(abs(rim), 1e-3), rim), -100, 100)),
        }
    )


def measure_pan(clip: np.ndarray) -> Measurements:
    """How the picture moves to a side.

    Numbers: those of `follow.follow`, those of `follow.steadiness` for the horizontal shift, ``right`` and ``down``,
    the sums of shifts in H, ``scale``, that of log scales, and ``aside``, the largest vertical shift of a pair in H.
    """
    found = follow.follow(clip)
    shift = found.ones.shift
    return Measurements(
        found.numbers
        | follow.steadiness(shift[:, 0], found.twos.shift[:, 0])
        | {
            "right": float(shift[:, 0].sum()),
            "down": float(shift[:, 1].sum()),
            "scale": float(found.ones.log_scale.sum()),
            "aside": float(np.abs(shift[:, 1]).max()),
        }
    )


def _camera(
    about: str,
    measure: Callable[[np.ndarray], Measurements],
    moving: str,
    sign: int,
    rest: Callable[[Numbers], list[tuple[bool, str]]],
) -> Behaviour:
    """A camera whose number ``moving`` has this sign."""

    def limits(percentile: Percentile) -> Limits:
        least = percentile(moving, 10) if sign > 0 else -percentile(moving, 90)
        return {
            **follow.limits(percentile),
            "least_far": 0.85 * percentile("far", 1),
            "least_motion": 0.5 * least,
            "most_at_once": 1.5 * percentile("largest", 99),
            "most_aside": max(0.03, 2 * percentile("aside", 99)),
        }

    def check(numbers: Numbers, limits: Limits) -> str:
        one_picture = numbers["far"] >= limits["least_far"], "it is not one picture that moves"
        return first_failure("valid", [*follow.checks(numbers, limits), one_picture]) or first_failure(
            "behaviour",
            [
                (sign * numbers[moving] >= limits["least_motion"], "not that way, or not that far"),
                *follow.steadiness_checks(numbers, limits),
                (numbers["aside"] <= limits["most_aside"], "the camera shakes"),
                *rest(numbers),
            ],
        )

    return Behaviour(about, measure, limits, check, fewest_frames=8)


def _all_grows(numbers: Numbers) -> list[tuple[bool, str]]:
    return [(0.7 <= numbers["rim"] <= 1.3, "middle and rim do not grow alike")]


def _level(numbers: Numbers) -> list[tuple[bool, str]]:
    return [
        (abs(numbers["down"]) <= 0.3 * abs(numbers["right"]), "moves up or down too"),
        (abs(numbers["scale"]) <= 0.05, "zooms too"),
    ]


_ZOOM, _PAN = (measure_zoom, "scale"), (measure_pan, "right")
ZOOM_IN = _camera("The whole picture grows, as when the camera comes closer.", *_ZOOM, 1, _all_grows)
ZOOM_OUT = _camera("The whole picture shrinks, as when the camera backs away.", *_ZOOM, -1, _all_grows)
PAN_LEFT = _camera("The whole picture moves to the right, as when the camera goes left.", *_PAN, 1, _level)
PAN_RIGHT = _camera("The whole picture moves to the left, as when the camera goes right.", *_PAN, -1, _level)
