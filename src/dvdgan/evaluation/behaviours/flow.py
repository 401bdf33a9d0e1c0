"""flow: smoke rises, and changes its shape as real smoke does.

A shift and a scale are fitted between frames that are 1, 2 and a third of the clip apart (see `follow`). The mean shift
is upward; it is not one rigid shift, as the motion differs between the quarters of the frame; and each frame correlates
with the next as real ones do: the limits are from half the 5th to twice the 95th percentile of 1 − r, as a tenth of
real clips are outside the percentiles. Smoke thins out, so that the fit explains a smaller part of the frame (some
43 %) than a camera's does.
"""

from __future__ import annotations

import numpy as np

from dvdgan.evaluation.behaviours import follow
from dvdgan.evaluation.behaviours.alignment import Region
from dvdgan.evaluation.behaviours.behaviour import Behaviour, Limits, Measurements, Numbers, Percentile, first_failure
from dvdgan.evaluation.behaviours.pixels import correlation

_ABOUT = "Smoke rises throughout, and changes as fast as real smoke."


def _quarter(right: int, low: int) -> Region:
    return lambda x, y: (right * x > 0) & (low * y > 0)


_QUARTERS = [_quarter(right, low) for right in (-1, 1) for low in (-1, 1)]


def measure(clip: np.ndarray) -> Measurements:
    """How a substance moves.

    Numbers: those of `follow.follow`, those of `follow.steadiness` for the vertical shift, ``down`` and ``aside``, the
    mean shifts in H per frame; ``place``, the mean standard deviation of the shift over the quarters of the frame, in
    H, over a third of the clip; ``lag_1``, the mean correlation of each frame with the next.
    """
    found = follow.follow(clip)
    shift = found.ones.shift
    quarters = np.stack([fit.shift for fit in found.parts(_QUARTERS)])
    return Measurements(
        found.numbers
        | follow.steadiness(shift[:, 1], found.twos.shift[:, 1])
        | {
            "down": float(shift[:, 1].mean()),
            "aside": float(shift[:, 0].mean()),
            "place": float(quarters.std(0).mean()),
            "lag_1": float(correlation(found.luma[:-1], found.luma[1:]).mean()),
        }
    )


def _limits(percentile: Percentile) -> Limits:
    return {
        **follow.limits(percentile),
        "least_rise": -0.5 * percentile("down", 90),
        "most_at_once": 1.5 * percentile("largest", 99),
        "least_place": 0.6 * percentile("place", 5),
        "least_lag_1": 1 - 2 * (1 - percentile("lag_1", 5)),
        "most_lag_1": 1 - 0.5 * (1 - percentile("lag_1", 95)),
    }


def _check(numbers: Numbers, limits: Limits) -> str:
    return first_failure("valid", follow.checks(numbers, limits)) or first_failure(
        "behaviour",
        [
            (-numbers["down"] >= limits["least_rise"], "it does not rise"),
            *follow.steadiness_checks(numbers, limits),
            (abs(numbers["aside"]) <= -0.6 * numbers["down"], "it moves to the side"),
            (numbers["place"] >= limits["least_place"], "it moves like one rigid picture"),
            (numbers["lag_1"] >= limits["least_lag_1"], "it changes too fast"),
            (numbers["lag_1"] <= limits["most_lag_1"], "it hardly changes"),
        ],
    )


FLOW = Behaviour(_ABOUT, measure, _limits, _check, fewest_frames=8)
