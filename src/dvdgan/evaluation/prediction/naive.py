"""Predictions that need no model: what a trained one has to beat."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Naive = Callable[[np.ndarray, int], np.ndarray]


def copied(clip: np.ndarray, given: int) -> np.ndarray:
    """A clip, uint8 ``[T, H, W, 3]``, in which the last of the given frames is held."""
    return clip[np.minimum(np.arange(len(clip)), given - 1)]


def extrapolated(clip: np.ndarray, given: int) -> np.ndarray:
    """A clip, uint8 ``[T, H, W, 3]``, in which each pixel goes on as it changed last, as far as 0 to 255 reaches.

    Args:
        clip: its first frames are given.
        given: how many of them, 2 or more.
    """
    before, last = clip[given - 2 : given].astype(np.int64)
    steps = np.arange(1, len(clip) - given + 1)[:, None, None, None]
    made = np.clip(last + steps * (last - before), 0, 255).astype(np.uint8)
    return np.concatenate([clip[:given], made])


def naive(given: int) -> dict[str, Naive]:
    """Those that so many given frames allow: of one frame, extrapolation is copying, and left out."""
    return {"copied": copied} if given < 2 else {"copied": copied, "extrapolated": extrapolated}
