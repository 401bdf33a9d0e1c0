"""flow: smoke rises, and changes its shape as real smoke does.

A shift and a scale are fitted from each frame to the one two frames later (see `alignment`). The mean shift is
upward, by at least half the real 10th percentile, and upward in at least 80 % of pairs; aligned frames correlate and
explain as for a camera; the mean shift to a side is at most 0.6 of that upward. The mean correlation r of each frame
with the next is within the real range. Beyond the first definition: that range is from half the 5th to twice the 95th
percentile of 1 − r, as a tenth of real clips are outside the percentiles.
"""

from __future__ import annotations

import numpy as np

from dvdgan.evaluation.behaviours.alignment import align
from dvdgan.evaluation.behaviours.behaviour import Behaviour, Limits, Measured, Numbers, Percentile, first_failure
from dvdgan.evaluation.behaviours.pixels import correlation, luma

_ABOUT = "Smoke rises throughout, and changes as fast as real smoke."
_STEP = 2  # frames between the compared ones


def measure(clip: np.ndarray) -> Measured:
    """How a substance moves.

    Numbers: ``down``, the mean vertical shift in H per frame, from pairs of frames t and t + 2; ``upward``, the share
    of pairs that rise; ``aligned``, their mean correlation once aligned, ``gain``, by how much that is more than as
    they are, and ``explained``, of the pixels that differ, the mean share that then differ less; ``lag_1``, the mean
    correlation of each frame with the next; ``aside``, the mean horizontal shift like ``down``.
    """
    y = luma(clip)
    fit = align(y[:-_STEP], y[_STEP:])
    return Measured(
        {
            "down": float(fit.shift[:, 1].mean()) / _STEP,
            "aside": float(fit.shift[:, 0].mean()) / _STEP,
            "upward": float((fit.shift[:, 1] < 0).mean()),
            "aligned": float(fit.after.mean()),
            "explained": float(fit.explained.mean()),
            "gain": float((fit.after - fit.before).mean()),
            "lag_1": float(correlation(y[:-1], y[1:]).mean()),
        }
    )


def _limits(percentile: Percentile) -> Limits:
    return {
        "least_aligned": 0.8 * percentile("aligned", 50),
        "least_gain": min(0.05, 0.5 * percentile("gain", 5)),
        "least_explained": 0.65 * percentile("explained", 50),
        "least_rise": -0.5 * percentile("down", 90),
        "least_lag_1": 1 - 2 * (1 - percentile("lag_1", 5)),
        "most_lag_1": 1 - 0.5 * (1 - percentile("lag_1", 95)),
    }


def _check(numbers: Numbers, limits: Limits) -> str:
    return first_failure(
        "valid",
        [
            (numbers["aligned"] >= limits["least_aligned"], "frames do not follow by a motion"),
            (numbers["gain"] >= limits["least_gain"], "no motion of the whole substance"),
            (numbers["explained"] >= limits["least_explained"], "only a part of the substance moves so"),
        ],
    ) or first_failure(
        "behaviour",
        [
            (-numbers["down"] >= limits["least_rise"], "it does not rise"),
            (numbers["upward"] >= 0.8, "it does not rise throughout"),
            (abs(numbers["aside"]) <= -0.6 * numbers["down"], "it moves to the side"),
            (numbers["lag_1"] >= limits["least_lag_1"], "it changes too fast"),
            (numbers["lag_1"] <= limits["most_lag_1"], "it hardly changes"),
        ],
    )


FLOW = Behaviour(_ABOUT, measure, _limits, _check, fewest_frames=8)
