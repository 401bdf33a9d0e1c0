"""Predictions that need no model: what a trained one has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dvdgan.evaluation.clip_set import ClipSet

_VERSION = 1  # raised whenever other pixels are made


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


NAIVE = {"copied": copied, "extrapolated": extrapolated}
"""The predictions by their names."""


def naive(given: int) -> dict[str, str]:
    """Names of the predictions that so many given frames allow, none of 0, each with a line for the report.

    Of one frame, linear extrapolation is copying, and left out.
    """
    if not given:
        return {}
    if given == 1:
        return {"copied": "the given frame, held; of a single one, linear extrapolation is the same"}
    return {
        "copied": "the last given frame, held",
        "extrapolated": "each pixel goes on as it changed between the last two given frames",
    }


def naive_set(clips: ClipSet, name: str, given: int) -> ClipSet:
    """A set's clips, each going on from its first frames by a prediction of `NAIVE`, as a control of a predictor."""

    def read(some: np.ndarray, rows: Sequence[int]) -> np.ndarray:
        return np.stack([NAIVE[name](clip, given) for clip in some])

    return clips.mapped(read, f"held-out clips, {name}", ["naive", name, given, _VERSION])
