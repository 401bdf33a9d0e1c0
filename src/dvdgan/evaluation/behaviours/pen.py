"""pen: ink appears under the pen's red tip, along its path, and stays.

Paper is the largest 3×3-median luma of each pixel over time; a pixel is ink once it is darker than that by half the
ink's contrast for three frames, and lost when it is darker by less than 0.35 of it, or when its colour departs from its
own median over time by more than 0.2 in a channel (shadow falls on it). Pixels under the red, widened by two pixels
(1/32 H where that is more), do not count. New ink is near the tip within 0.06 H of where the red went between two
frames: it is moved from one to the next in short steps; half a pixel is added, as pixels are seen at their middles. The
red's foot is where it is lowest, and writes.

The red covers at most 1.5 times what it covers in real clips, or red smoke and red vases would pass.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy import ndimage

from dvdgan.data.phenomena.pen import TIP_HUE
from dvdgan.evaluation.behaviours.behaviour import Behaviour, Limits, Measurements, Numbers, Percentile, first_failure
from dvdgan.evaluation.behaviours.pixels import (
    centre_of,
    hue_gap,
    hue_saturation_value,
    large_parts,
    luma,
    median3,
    rank_correlation,
    widened,
)

_ABOUT = "Dark ink appears along the path of the pen's red tip, grows steadily, and stays."
_CONTRAST = 0.15  # luma between paper and ink
_TIP_SHARE = 0.002  # of the frame: the least that is the pen's
_RUN = 3  # frames of darkness that make ink
_SAME = 0.2  # of a channel: within it ink has its colour
_NEAR = 0.06  # H, around the red, where ink may appear
_FOOT = 0.025  # H from the lowest red to the point that writes
_STEPS = 8  # from frame to frame


def measure(clip: np.ndarray) -> Measurements:
    """How ink comes and stays.

    Numbers: ``contrast`` of ink and paper in luma; ``tip_share``, the pen's smallest share of a frame, and
    ``mean_tip_share``; ``one_tip``, the smallest share of the red that its largest part has; ``persistence``, the share
    of later uncovered pixel-frames that are still ink, of the same colour; ``growth``, ink at the end over ink at T/4;
    ``area_rank``, rank correlation of the ink's area with time; ``at_tip``, the share of new ink near the tip's way;
    ``step``, the longest step of the foot in H; ``path``, the share of its path that is ink at the end; ``paper``, the
    largest change of the paper's mean colour, of a channel in [0, 1].
    """
    frames, size = clip.shape[:2]
    y = luma(clip)
    dark = median3(y).max(0) - y
    contrast = float(np.percentile(dark[-1], 95))
    hue, saturation, value = hue_saturation_value(clip)
    tip = (hue_gap(hue, TIP_HUE) < 25) & (saturation > 0.5) & (value > 0.4)
    numbers = {"contrast": contrast, "tip_share": float(tip.mean((1, 2)).min()), "mean_tip_share": float(tip.mean())}
    if contrast < _CONTRAST:
        return Measurements(numbers, "no ink on light paper")
    if numbers["tip_share"] < _TIP_SHARE:
        return Measurements(numbers, "no red tip in every frame")
    covered = widened(tip, max(2, size / 32))
    laid = _laid(dark, covered, contrast)
    inked = (laid <= np.arange(frames)[:, None, None]) & ~covered
    own = np.where(inked[..., None], clip, np.nan)
    ever = inked.any(0)
    own[:, ~ever] = 0
    same = np.abs(clip - np.nanmedian(own, axis=0)).max(-1) <= 255 * _SAME
    area = np.array([(laid <= t).sum() for t in range(frames)])
    new = (laid > 0) & (laid < frames)
    at_tip = np.take_along_axis(_near_way(tip, _NEAR * size + 0.5), np.minimum(laid, frames - 1)[None], 0)[0][new]
    foot = _foot(tip)
    bare = (widened(dark > 0.35 * contrast, max(2, size / 16)) | widened(tip, 0.2 * size)).any(0)
    tone = clip[:, ~bare].mean(1) / 255 if not bare.all() else np.zeros((frames, 3))
    numbers |= {
        "one_tip": float((large_parts(tip, 1.0).sum((1, 2)) / tip.sum((1, 2))).min()),
        "persistence": float((same & (dark >= 0.35 * contrast))[inked].mean()) if inked.any() else 0.0,
        "growth": float(area[-1] / max(area[frames // 4], 1)),
        "area_rank": rank_correlation(area),
        "at_tip": float(at_tip.mean()) if len(at_tip) else 0.0,
        "step": float(np.hypot(*np.diff(foot, axis=0).T).max()),
        "path": _inked_path(foot, (dark[-1] > 0.5 * contrast) | (laid < frames), covered[-1]),
        "paper": float(np.ptp(tone, axis=0).max()),
    }
    return Measurements(numbers)


def _laid(dark: np.ndarray, covered: np.ndarray, contrast: float) -> np.ndarray:
    """From which frame each pixel is ink, int ``[H, W]``; T: never."""
    frames = len(dark)
    laid = np.full(dark.shape[1:], frames)
    run, begun = np.zeros(laid.shape, int), np.zeros(laid.shape, int)
    for t in range(frames):
        over = dark[t] > 0.5 * contrast
        begun = np.where(over & ~covered[t] & (run == 0), t, begun)
        run = np.where(covered[t], run, np.where(over, run + 1, 0))
        laid = np.where((run >= _RUN) & (laid == frames), begun, laid)
    return laid


def _near_way(tip: np.ndarray, reach: float) -> np.ndarray:
    """Bool ``[T, H, W]``, within ``reach`` pixels of where the red went from the frame before to each frame."""
    size = tip.shape[1]
    x, y, _ = centre_of(tip)
    way = tip.copy()
    for t in range(1, len(tip)):
        step = size * np.array([y[t] - y[t - 1], x[t] - x[t - 1]])
        for k in range(_STEPS):
            way[t] |= _moved(tip[t - 1], np.rint(step * k / _STEPS).astype(int))
    return widened(way, reach)


def _moved(mask: np.ndarray, step: np.ndarray) -> np.ndarray:
    """A mask moved by whole pixels down and to the right; nothing comes in."""
    return ndimage.shift(mask.astype(np.uint8), step, order=0, cval=0) > 0


def _foot(tip: np.ndarray) -> np.ndarray:
    """Where the red is lowest, ``[T, 2]``, x and y in H."""
    frames, size = tip.shape[:2]
    foot = np.empty((frames, 2))
    for t, mask in enumerate(tip):
        rows, columns = np.nonzero(mask)
        lowest = rows >= rows.max() - max(1, round(0.03 * size))
        foot[t] = (columns[lowest].mean() + 0.5) / size, (rows.max() + 1) / size - _FOOT
    return foot


def _inked_path(foot: np.ndarray, ink: np.ndarray, covered: np.ndarray) -> float:
    """The share of the foot's path, where nothing covers it, that is within a pixel or 1/32 H of ink."""
    size = len(ink)
    share = (np.arange(_STEPS) / _STEPS)[:, None]
    points = np.concatenate([a + (b - a) * share for a, b in pairwise(foot)])
    column, row = np.clip((points * size).astype(int), 0, size - 1).T
    seen = ~covered[row, column]
    near = widened(ink[None], max(1.5, size / 24))[0]
    return float(near[row, column][seen].mean()) if seen.any() else 0.0


def _limits(percentile: Percentile) -> Limits:
    return {
        "most_tip_share": 1.5 * percentile("mean_tip_share", 95),
        "least_one_tip": min(0.8, 0.9 * percentile("one_tip", 1)),
        "most_step": 1.25 * percentile("step", 99),
        "least_path": min(0.8, 0.9 * percentile("path", 1)),
        "most_paper": max(0.02, 1.5 * percentile("paper", 99)),
    }


def _check(numbers: Numbers, limits: Limits) -> str:
    return first_failure(
        "valid",
        [
            (numbers["mean_tip_share"] <= limits["most_tip_share"], "more red than a pen has"),
            (numbers["one_tip"] >= limits["least_one_tip"], "more than one tip"),
            (numbers["paper"] <= limits["most_paper"], "the paper's colour does not hold"),
        ],
    ) or first_failure(
        "behaviour",
        [
            (numbers["growth"] >= 1.5, "the ink does not grow"),
            (numbers["area_rank"] >= 0.8, "the ink does not grow steadily"),
            (numbers["persistence"] >= 0.95, "ink vanishes, or changes its colour"),
            (numbers["at_tip"] >= 0.8, "ink appears away from the tip"),
            (numbers["step"] <= limits["most_step"], "the tip leaps"),
            (numbers["path"] >= limits["least_path"], "ink does not follow the tip's path"),
        ],
    )


PEN = Behaviour(_ABOUT, measure, _limits, _check, fewest_frames=10)
