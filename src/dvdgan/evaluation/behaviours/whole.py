"""Alive and whole: one scene from beginning to end, whose colours hold and which never stops, repeats or is cut.

Of all classes. What belongs to one class (the sign of movement, its largest step, what is still) is measured there. Of
most numbers the real 99th percentile sets the limit, with half as much again, as a clip has to pass some ten of them.
In some real clips a ball comes to where it was, and some slow down: limits of repeats and of the last third heed that.
"""

from __future__ import annotations

import numpy as np

from dvdgan.evaluation.behaviours.behaviour import Limits, Numbers, Percentile, first_failure
from dvdgan.evaluation.behaviours.pixels import luma

_STILL = 0.2  # of the median change
_FAR = 3  # frames apart


def measure(clip: np.ndarray) -> Numbers:
    """How one clip uint8 ``[T, H, W, 3]`` changes as a whole; with fewer than 2 frames nothing but ``change``, 0.

    D(s, t) is the mean |Y(s) − Y(t)|. Numbers: ``change``, the median of D(t, t + 1); ``cut``, the largest of them,
    ``farthest_two`` and ``mean_two``, the largest and the mean D(t, t + 2), and ``repeat``, the least D of frames three
    or more apart, in units of it; ``stills``, the share of pairs that hardly change; ``late``, the change in the last
    third over that in the first; ``flicker`` and ``tint``, the largest departures of a frame's mean colour from its
    neighbours' and from the first's, of a channel in [0, 1].
    """
    frames = len(clip)
    y = luma(clip).reshape(frames, -1)
    if frames < 2:
        return {"change": 0.0}
    apart = np.stack([np.abs(y - one).mean(1) for one in y])
    steps = np.diagonal(apart, 1)
    change = float(np.median(steps))
    unit = max(change, 1e-4)
    twos = np.diagonal(apart, 2) / unit if frames > 2 else np.zeros(1)
    far = apart[np.triu_indices(frames, _FAR)] / unit
    third = max(len(steps) // 3, 1)
    colour = clip.reshape(frames, -1, 3).mean(1) / 255
    bends = colour[1:-1] - (colour[:-2] + colour[2:]) / 2
    return {
        "change": change,
        "cut": float(steps.max() / unit),
        "farthest_two": float(twos.max()),
        "mean_two": float(twos.mean()),
        "repeat": float(far.min()) if len(far) else 0.0,
        "stills": float((steps < _STILL * unit).mean()),
        "late": float(min(steps[-third:].mean() / max(float(steps[:third].mean()), 1e-4), 100.0)),
        "flicker": float(np.abs(bends).max()) if frames > 2 else 0.0,
        "tint": float(np.abs(colour - colour[0]).max()),
    }


def limits(percentile: Percentile) -> Limits:
    """What real clips allow, see the module."""
    return {
        "least_change": 0.5 * percentile("change", 5),
        "most_change": 2 * percentile("change", 95),
        "most_cut": 1.5 * percentile("cut", 99),
        "most_two": 1.5 * percentile("farthest_two", 99),
        "least_two": percentile("mean_two", 1) / 1.15,
        "least_repeat": 0.35 * percentile("repeat", 1),
        "most_stills": max(0.1, percentile("stills", 99)),
        "least_late": min(1 / 3, 0.7 * percentile("late", 1)),
        "most_flicker": 1.5 * percentile("flicker", 99),
        "most_tint": 1.5 * percentile("tint", 99),
    }


def check(numbers: Numbers, limits: Limits) -> str:
    """Why a clip is not alive, or not whole; empty where it is both."""
    return first_failure(
        "alive",
        [
            (numbers["change"] >= limits["least_change"], "hardly changes"),
            (numbers["change"] <= limits["most_change"], "changes too much"),
        ],
    ) or first_failure(
        "whole",
        [
            (numbers["cut"] <= limits["most_cut"], "a cut"),
            (numbers["farthest_two"] <= limits["most_two"], "a cut"),
            (numbers["stills"] <= limits["most_stills"], "it stops in between"),
            (numbers["late"] >= limits["least_late"], "it stops before the end"),
            (numbers["mean_two"] >= limits["least_two"], "it goes back and forth"),
            (numbers["repeat"] >= limits["least_repeat"], "it repeats itself"),
            (numbers["flicker"] <= limits["most_flicker"], "its colours flicker"),
            (numbers["tint"] <= limits["most_tint"], "its colours do not hold"),
        ],
    )
