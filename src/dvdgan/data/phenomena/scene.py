"""What every rendered clip has in common: its pixels, its class, its truth, and where its randomness comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

SPLITS = ("train", "heldout")


@dataclass(frozen=True)
class Rendered:
    """One rendered clip and what is true of it.

    Attributes:
        clip: uint8 ``[T, H, W, 3]``, sRGB.
        label: the class name, one of ``dvdgan.data.phenomena.CLASSES``.
        truth: arrays that say what happens in the clip (positions, scale, ink mask, camera path); lengths are
            in units of the frame's height H, x to the right and y downward from the top left corner.
    """

    clip: np.ndarray
    label: str
    truth: dict[str, Any] = field(default_factory=dict)


def scene_rng(seed: int, split: str, label: int, index: int) -> np.random.Generator:
    """The random generator of one scene. The same four arguments give the same scene at every size and length.

    Args:
        seed: the data set's seed, >= 0.
        split: ``train`` or ``heldout``; the two never share a scene.
        label: index of the class. Classes that look alike in single frames (zoom-in and zoom-out, pan-left and
            pan-right) have the same kinds of scenes but never the same scene.
        index: the clip's number within its class, >= 0.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
    if seed < 0 or index < 0:
        raise ValueError(f"seed and index must be 0 or more, not {seed} and {index}")
    return np.random.default_rng([seed, SPLITS.index(split), label, index])
