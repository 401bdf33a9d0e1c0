"""passing: one object crosses a still scene from one side to the other, and stays as it is.

The background B is the median over time; the object is the largest part of what differs from B in colour by more than
0.08 (in Y it would lose windows and stripes of B's brightness), opened, with what is within 1/32 H of it and its holes
filled. Pixels that are never within 3/32 H of it (3 pixels of 32) are the scene, which has to stay still.

A pixel may be covered in 45 % of frames: 5 of 12, which shadows reach in 2 % of real clips. "One way" is a travel of at
least 0.9 of the length of the path, of steps of a twelfth of the clip. What differs beside the object covers at most
what it does in real clips, or two objects would pass. A reversed clip shows an object that crosses the other way, so it
may pass.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from dvdgan.evaluation.behaviours.behaviour import Behaviour, Limits, Measurements, Numbers, Percentile, first_failure
from dvdgan.evaluation.behaviours.pixels import centre_of, large_parts, luma, opened, widened

_ABOUT = "One object crosses the frame, one way and unchanged, before a background that stays as it is."
_DIFFERENT = 0.08 * 255  # of a channel, between the object and what is behind it
_OBJECT_SHARE = 0.004  # of the frame: the least that counts as the object
_REACH = 3 / 32  # how far around the object a pixel may change, in H


def measure(clip: np.ndarray) -> Measurements:
    """How an object moves before a background.

    Numbers: ``spread``, the background's standard deviation in luma; ``found``, the share of frames with an object;
    ``covered``, the most that any pixel is covered, as a share of the frames; ``unrest``, the root mean square of
    Y − B over the pixels that are never covered (1 where there are none); ``gaps``, frames without the object between
    its first and its last; ``travel``, how far it goes to the right (negative: left), in W; ``one_way``, how far that
    is over the length of its path; ``step``, the longest step between neighbours, in W; ``beside``, the largest share
    of a frame that differs away from it. Of frames that show all of it: ``wholly``, their number, ``rise``, the range
    of its height, and ``bob``, the largest step up or down, in H; ``area_change``, the largest departure from the
    median area, as a share of it; ``colour_change``, the same of its mean colour, of a channel in [0, 1].
    """
    frames, height, width = clip.shape[:3]
    behind = np.median(clip, axis=0)
    different = np.abs(clip - behind).max(-1) > _DIFFERENT
    solid = opened(different)
    whole_object = large_parts(widened(solid, max(1, height / 32)), 1.0)  # what hangs on it by a thread belongs to it
    parts = np.stack([ndimage.binary_fill_holes(one) for one in whole_object & solid])
    x, v, area = centre_of(parts)
    found = np.flatnonzero(area >= _OBJECT_SHARE * height * width)
    scene = luma(behind)
    numbers = {"spread": float(scene.std()), "found": len(found) / frames}
    if len(found) < max(3, 0.6 * frames):
        return Measurements(numbers, "no object in most frames")
    reached = widened(parts, max(_REACH * height, 1))
    never = ~reached.any(0)
    x = x * height / width
    steps = np.diff(x[found][:: max(1, frames // 12)])
    travel = float(steps.sum())
    inner = np.zeros((height, width), bool)
    inner[1:-1, 1:-1] = True
    whole = [t for t in found if not (parts[t] & ~inner).any()]
    if len(whole) < 3:
        return Measurements(numbers, "no object that is ever wholly in the frame")
    colour = np.stack([clip[t][parts[t]].mean(0) / 255 for t in whole])
    return Measurements(
        numbers
        | {
            "covered": float(parts.mean(0).max()),
            "unrest": float(np.sqrt(((luma(clip) - scene)[:, never] ** 2).mean())) if never.any() else 1.0,
            "gaps": float(found[-1] - found[0] + 1 - len(found)),
            "travel": travel,
            "one_way": abs(travel) / max(float(np.abs(steps).sum()), 1e-6),
            "step": float((np.abs(np.diff(x[found])) / np.diff(found)).max()),
            "beside": float((solid & ~reached).mean((1, 2)).max()),
            "wholly": float(len(whole)),
            "rise": float(np.ptp(v[whole])),
            "bob": float(np.abs(np.diff(v[whole])).max()),
            "area_change": float(np.abs(area[whole] / np.median(area[whole]) - 1).max()),
            "colour_change": float(np.abs(colour - np.median(colour, axis=0)).max()),
        }
    )


def _limits(percentile: Percentile) -> Limits:
    names = ("step", "beside", "rise", "bob", "area_change", "colour_change")
    return {"least_spread": 0.5 * percentile("spread", 5), **{f"most_{n}": 1.5 * percentile(n, 99) for n in names}}


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
            (numbers["gaps"] == 0, "the object comes and goes"),
            (abs(numbers["travel"]) >= 0.4, "the object does not cross"),
            (numbers["one_way"] >= 0.9, "the object does not keep its way"),
            (numbers["step"] <= limits["most_step"], "the object leaps"),
            (numbers["rise"] <= limits["most_rise"], "the object goes up or down"),
            (numbers["bob"] <= limits["most_bob"], "the object jumps up or down"),
            (numbers["area_change"] <= limits["most_area_change"], "the object changes its size"),
            (numbers["colour_change"] <= limits["most_colour_change"], "the object changes its colour"),
            (numbers["beside"] <= limits["most_beside"], "something else moves"),
            (numbers["unrest"] <= 3 / 255, "the background is not still"),
        ],
    )


PASSING = Behaviour(_ABOUT, measure, _limits, _check, fewest_frames=6, may_pass=("reversed",))
