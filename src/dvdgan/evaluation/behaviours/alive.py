"""Alive: the picture changes from frame to frame about as much as in real clips of its class."""

from __future__ import annotations

import numpy as np

from dvdgan.evaluation.behaviours.behaviour import Limits, Numbers, Percentile, first_failure
from dvdgan.evaluation.behaviours.pixels import luma


def change(clip: np.ndarray) -> float:
    """The median over time of the mean |Y(t + 1) − Y(t)| of uint8 ``[T, H, W, 3]``; 0 for a single frame."""
    steps = np.abs(np.diff(luma(clip), axis=0)).mean((1, 2))
    return float(np.median(steps)) if len(steps) else 0.0


def limits(percentile: Percentile) -> Limits:
    """From half the real 5th to twice the real 95th percentile."""
    return {"least_change": 0.5 * percentile("change", 5), "most_change": 2 * percentile("change", 95)}


def check(numbers: Numbers, limits: Limits) -> str:
    """Why a clip is not alive; empty where it is."""
    return first_failure(
        "alive",
        [
            (numbers["change"] >= limits["least_change"], "hardly changes"),
            (numbers["change"] <= limits["most_change"], "changes too much"),
        ],
    )
