"""pen: ink appears under the pen's red tip, and stays.

Paper is the largest 3×3-median luma of each pixel over time; a pixel is ink once it is darker than that by half the
ink's contrast for three frames, and lost when it is darker by less than 0.35 of it. Pixels under the red, widened by
two pixels (1/32 H where that is more), do not count. At least 95 % of ink stays, its area at the end is at least 1.5
times that at T/4 and rises with time (rank correlation of at least 0.8), and at least 80 % of new ink is within 0.06
H of the red of its frame or the one before. Beyond that definition: the red covers at most 1.5 times what it covers
in real clips, or red smoke and red vases would pass.
"""

from __future__ import annotations

import numpy as np

from dvdgan.data.phenomena.pen import TIP_HUE
from dvdgan.evaluation.behaviours.behaviour import Behaviour, Limits, Measured, Numbers, Percentile, first_failure
from dvdgan.evaluation.behaviours.pixels import hue_gap, hue_saturation_value, luma, median3, rank_correlation, widened

_ABOUT = "Dark ink appears under the pen's red tip, grows steadily, and stays."
_CONTRAST = 0.15  # luma between paper and ink
_TIP_SHARE = 0.002  # of the frame: the least that is the pen's
_RUN = 3  # frames of darkness that make ink


def measure(clip: np.ndarray) -> Measured:
    """How ink comes and stays.

    Numbers: ``contrast`` of ink and paper in luma; ``tip_share``, the pen's smallest share of a frame, and
    ``mean_tip_share``; ``persistence``, the share of later uncovered pixel-frames that are still ink; ``growth``, ink
    at the end over ink at T/4; ``area_rank``, rank correlation of the ink's area with time; ``at_tip``, the share of
    new ink near the tip.
    """
    frames, size = clip.shape[:2]
    y = luma(clip)
    dark = median3(y).max(0) - y
    contrast = float(np.percentile(dark[-1], 95))
    hue, saturation, value = hue_saturation_value(clip)
    tip = (hue_gap(hue, TIP_HUE) < 25) & (saturation > 0.5) & (value > 0.4)
    numbers = {
        "contrast": contrast,
        "tip_share": float(tip.mean((1, 2)).min()),
        "mean_tip_share": float(tip.mean()),
    }
    if contrast < _CONTRAST:
        return Measured(numbers, "no ink on light paper")
    if numbers["tip_share"] < _TIP_SHARE:
        return Measured(numbers, "no red tip in every frame")
    covered = widened(tip, max(2, size / 32))
    laid, kept, later = _laid(dark, covered, contrast)
    area = np.array([(laid <= t).sum() for t in range(frames)])
    near = widened(tip, max(0.06 * size, 3))
    near[1:] |= near[:-1].copy()  # between two frames the tip was somewhere between
    new = (laid > 0) & (laid < frames)
    at_tip = np.take_along_axis(near, np.minimum(laid, frames - 1)[None], 0)[0][new]
    numbers |= {
        "persistence": kept / later if later else 0.0,
        "growth": float(area[-1] / max(area[frames // 4], 1)),
        "area_rank": rank_correlation(area),
        "at_tip": float(at_tip.mean()) if len(at_tip) else 0.0,
    }
    return Measured(numbers)


def _laid(dark: np.ndarray, covered: np.ndarray, contrast: float) -> tuple[np.ndarray, int, int]:
    """From which frame each pixel is ink (T: never); of the uncovered pixel-frames since, those still ink, and all."""
    frames = len(dark)
    laid = np.full(dark.shape[1:], frames)
    run, begun = np.zeros(laid.shape, int), np.zeros(laid.shape, int)
    kept = later = 0
    for t in range(frames):
        ink = (laid < frames) & ~covered[t]
        later += int(ink.sum())
        kept += int((ink & (dark[t] >= 0.35 * contrast)).sum())
        over = dark[t] > 0.5 * contrast
        begun = np.where(over & ~covered[t] & (run == 0), t, begun)
        run = np.where(covered[t], run, np.where(over, run + 1, 0))
        laid = np.where((run >= _RUN) & (laid == frames), begun, laid)
    return laid, kept, later


def _limits(percentile: Percentile) -> Limits:
    return {"most_tip_share": 1.5 * percentile("mean_tip_share", 95)}


def _check(numbers: Numbers, limits: Limits) -> str:
    return first_failure(
        "valid", [(numbers["mean_tip_share"] <= limits["most_tip_share"], "more red than a pen has")]
    ) or first_failure(
        "behaviour",
        [
            (numbers["growth"] >= 1.5, "the ink does not grow"),
            (numbers["area_rank"] >= 0.8, "the ink does not grow steadily"),
            (numbers["persistence"] >= 0.95, "ink vanishes"),
            (numbers["at_tip"] >= 0.8, "ink appears away from the tip"),
        ],
    )


PEN = Behaviour(_ABOUT, measure, _limits, _check, fewest_frames=10)
