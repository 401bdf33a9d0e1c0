"""zoom-in, zoom-out, pan-left, pan-right: the whole picture grows, shrinks, or moves to a side.

A shift and a scale are fitted from each frame to the one two frames later (see `alignment`). Aligned frames correlate
at least 0.8 times as much as the median real clip's, and by 0.05 more than as they are. For a zoom, the sum of log
scales has the right sign and at least half the size of the real 10th percentile, and 80 % of pairs agree; for a pan
the same of the horizontal shift, with a vertical one of at most 0.3 of it and a sum of log scales of at most 0.05 in
size. Beyond that definition: of the pixels that differ a share of at least 0.65 times the median real clip's differs
less once aligned, or what follows an object that passes would be taken for a camera; no pair moves by more than twice
the real 95th percentile of the largest pair, or shuffled zooms would pass now and then; where real cameras are slow
the gain of 0.05 becomes half their 5th percentile; and in clips of 36 frames and more pairs are farther apart.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dvdgan.evaluation.behaviours.alignment import align
from dvdgan.evaluation.behaviours.behaviour import Behaviour, Limits, Measured, Numbers, Percentile, first_failure
from dvdgan.evaluation.behaviours.pixels import luma


def stride(frames: int) -> int:
    """How many frames apart the compared ones are: 2 in clips of up to 35 frames, a twelfth of longer ones."""
    return max(2, frames // 12)


def measure(clip: np.ndarray) -> Measured:
    """How the picture moves as a whole.

    Numbers, over the pairs of frames t and t + ``stride(T)``: ``aligned``, the mean correlation once the fitted motion
    is undone, and ``gain``, by how much that is more than as they are; ``explained``, of the pixels that differ, the
    mean share that then differ less; ``scale``, ``right`` and ``down``, the sums of log scale and of shifts in H,
    counted as if two frames apart, so about twice the camera's way; ``growing`` and ``to_right``, the share of pairs in
    which they are positive; ``largest_scale`` and ``largest_shift``, the largest of any pair's, per two frames.
    """
    y, step = luma(clip), stride(len(clip))
    fit = align(y[:-step], y[step:])
    total = 2 / step
    return Measured(
        {
            "aligned": float(fit.after.mean()),
            "explained": float(fit.explained.mean()),
            "gain": float((fit.after - fit.before).mean()),
            "scale": total * float(fit.log_scale.sum()),
            "right": total * float(fit.shift[:, 0].sum()),
            "down": total * float(fit.shift[:, 1].sum()),
            "largest_scale": total * float(np.abs(fit.log_scale).max()),
            "largest_shift": total * float(np.abs(fit.shift).max()),
            "growing": float((fit.log_scale > 0).mean()),
            "to_right": float((fit.shift[:, 0] > 0).mean()),
        }
    )


def _camera(
    about: str, moving: str, largest: str, ahead: str, sign: int, check_rest: Callable[[Numbers], str]
) -> Behaviour:
    """A camera whose number ``moving`` has this sign, and pairs that agree by the share ``ahead``."""

    def limits(percentile: Percentile) -> Limits:
        least = percentile(moving, 10) if sign > 0 else -percentile(moving, 90)
        return {
            "least_aligned": 0.8 * percentile("aligned", 50),
            "least_gain": min(0.05, 0.5 * percentile("gain", 5)),
            "least_explained": 0.65 * percentile("explained", 50),
            "least_motion": 0.5 * least,
            "most_at_once": 2 * percentile(largest, 95),
        }

    def check(numbers: Numbers, limits: Limits) -> str:
        agree = numbers[ahead] if sign > 0 else 1 - numbers[ahead]
        return (
            first_failure(
                "valid",
                [
                    (numbers["aligned"] >= limits["least_aligned"], "frames do not follow by a camera's motion"),
                    (numbers["gain"] >= limits["least_gain"], "no motion of the whole picture"),
                    (numbers["explained"] >= limits["least_explained"], "only a part of the picture moves so"),
                ],
            )
            or first_failure(
                "behaviour",
                [
                    (sign * numbers[moving] >= limits["least_motion"], "not that way, or not that far"),
                    (agree >= 0.8, "not one way throughout"),
                    (numbers[largest] <= limits["most_at_once"], "the picture jumps"),
                ],
            )
            or check_rest(numbers)
        )

    return Behaviour(about, measure, limits, check, fewest_frames=8)


def _no_rest(numbers: Numbers) -> str:
    return ""


def _level(numbers: Numbers) -> str:
    return first_failure(
        "behaviour",
        [
            (abs(numbers["down"]) <= 0.3 * abs(numbers["right"]), "moves up or down too"),
            (abs(numbers["scale"]) <= 0.05, "zooms too"),
        ],
    )


_ZOOM, _PAN = ("scale", "largest_scale", "growing"), ("right", "largest_shift", "to_right")
ZOOM_IN = _camera("The whole picture grows, as when the camera comes closer.", *_ZOOM, 1, _no_rest)
ZOOM_OUT = _camera("The whole picture shrinks, as when the camera backs away.", *_ZOOM, -1, _no_rest)
PAN_LEFT = _camera("The whole picture moves to the right, as when the camera goes left.", *_PAN, 1, _level)
PAN_RIGHT = _camera("The whole picture moves to the left, as when the camera goes right.", *_PAN, -1, _level)
