"""passing: one object crosses a still scene from one side to the other.

The background B is the median over time; the object is the largest part of |Y − B| > 0.08 after opening. Pixels that
are never within 3/32 H of it (3 pixels of 32) stay within a root mean square of 3/255 of B, B's spread is at least
half the 5th percentile of real ones, and the object travels at least 0.4 W. Beyond that definition: a pixel may be
covered in 45 % of frames instead of 40 % (5 of 12, which shadows reach in 2 % of real clips); "one way" is a travel
of at least 0.9 of the length of the path, of steps of a twelfth of the clip; the object is there in at least 60 % of
frames, and rises or falls by at most 0.25 H, or drifting balls that bounce would pass. A reversed clip shows an
object that crosses the other way, so it may pass.
"""

from __future__ import annotations

import numpy as np

from dvdgan.evaluation.behaviours.behaviour import Behaviour, Limits, Measured, Numbers, Percentile, first_failure
from dvdgan.evaluation.behaviours.pixels import centre_of, large_parts, luma, opened, widened

_ABOUT = "One object crosses the frame, one way, before a background that stays as it is."
_DIFFERENT = 0.08  # luma between the object and what is behind it
_OBJECT_SHARE = 0.004  # of the frame: the least that counts as the object
_REACH = 3 / 32  # how far around the object a pixel may change, in H


def measure(clip: np.ndarray) -> Measured:
    """How an object moves before a background.

    Numbers: ``spread``, the background's standard deviation in luma; ``found``, the share of frames with an object;
    ``covered``, the most that any pixel is covered, as a share of the frames; ``unrest``, the root mean square of
    Y − B over the pixels that are never covered (1 where there are none); ``travel``, how far the object goes to the
    right (negative: left), in W; ``one_way``, how far that is over the length of its path; ``rise``, its range
    in height, in H.
    """
    frames, height, width = clip.shape[:3]
    y = luma(clip)
    behind = np.median(y, axis=0)
    different = np.abs(y - behind)
    parts = large_parts(opened(different > _DIFFERENT), 1.0)
    x, v, area = centre_of(parts)
    found = np.flatnonzero(area >= _OBJECT_SHARE * height * width)
    numbers = {"spread": float(behind.std()), "found": len(found) / frames}
    if len(found) < max(3, 0.6 * frames):
        return Measured(numbers, "no object in most frames")
    never = ~widened(parts, max(_REACH * height, 1)).any(0)
    steps = np.diff(x[found][:: max(1, frames // 12)]) * height / width
    travel = float(steps.sum())
    numbers |= {
        "covered": float(parts.mean(0).max()),
        "unrest": float(np.sqrt((different[:, never] ** 2).mean())) if never.any() else 1.0,
        "travel": travel,
        "one_way": abs(travel) / max(float(np.abs(steps).sum()), 1e-6),
        "rise": float(np.ptp(v[found])),
    }
    return Measured(numbers)


def _limits(percentile: Percentile) -> Limits:
    return {"least_spread": 0.5 * percentile("spread", 5)}


def _check(numbers: Numbers, limits: Limits) -> str:
    return first_failure(
        "valid",
        [
            (numbers["covered"] <= 0.45, "the object stays over a place"),
            (numbers["spread"] >= limits["least_spread"], "an empty background"),
        ],
    ) or first_failure(
        "behaviour",
        [
            (abs(numbers["travel"]) >= 0.4, "the object does not cross"),
            (numbers["one_way"] >= 0.9, "the object does not keep its way"),
            (numbers["rise"] <= 0.25, "the object goes up or down"),
            (numbers["unrest"] <= 3 / 255, "the background is not still"),
        ],
    )


PASSING = Behaviour(_ABOUT, measure, _limits, _check, fewest_frames=6, may_pass=("reversed",))
