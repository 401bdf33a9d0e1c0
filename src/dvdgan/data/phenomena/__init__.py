"""Phenomena: the data set that dvdgan renders itself, nine kinds of motion with known truth.

Every clip is a function of (class, index, seed, split), the same scene at any size and length.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dvdgan.data.phenomena import bounce, camera, flow, passing, pen, turn
from dvdgan.data.phenomena.scene import SPLITS, Rendered, scene_rng

__all__ = ["CLASSES", "FLIP_LABELS", "SPLITS", "Rendered", "render"]

# Renderers take (rng, size, frames) and return (clip uint8 [T, H, W, 3], truth).
_RENDERERS: dict[str, Callable[[np.random.Generator, int, int], tuple[np.ndarray, dict]]] = {
    "pen": pen.render,
    "zoom-in": camera.render_zoom_in,
    "zoom-out": camera.render_zoom_out,
    "pan-left": camera.render_pan_left,
    "pan-right": camera.render_pan_right,
    "passing": passing.render,
    "bounce": bounce.render,
    "turn": turn.render,
    "flow": flow.render,
}

CLASSES: tuple[str, ...] = tuple(_RENDERERS)

FLIP_LABELS: dict[str, str | None] = {
    "pen": None,  # three in four pens lean to the right, as in a right hand, and script begins from left to right
    "pan-left": "pan-right",  # worlds, lights and paths are drawn alike for both
    "pan-right": "pan-left",
    "turn": None,  # the near side always moves to the right; no class turns the other way
}
"""Which class a clip shows once mirrored; None: none at all, so clips of this class are never mirrored.

The classes that are not named stay themselves: zooms move alike to both sides; whatever passes comes from either side,
faces where it goes and is lit as its scene is; balls start and drift either way; smoke leans and drifts either way; and
light falls from either side. Only the noise in their textures has a slight tilt, which goes with no class.
"""


def render(
    label: str, index: int, *, seed: int = 0, size: int = 64, frames: int = 16, split: str = "train"
) -> Rendered:
    """Render one clip.

    Args:
        label: the class, one of ``CLASSES``.
        index: the clip's number within its class and split, >= 0.
        seed: the data set's seed, >= 0.
        size: height and width in pixels, 32 to 256.
        frames: number of frames, >= 2.
        split: ``train`` or ``heldout``.

    Returns:
        The clip, uint8 ``[frames, size, size, 3]``, its label, and its truth.

    Raises:
        ValueError: an argument is out of its range.
    """
    if label not in _RENDERERS:
        raise ValueError(f"phenomena has no class {label!r}; its classes are {', '.join(CLASSES)}")
    if not 32 <= size <= 256:
        raise ValueError(f"phenomena renders sizes from 32 to 256 pixels, not {size}")
    if frames < 2:
        raise ValueError(f"a phenomenon needs at least 2 frames, not {frames}")
    rng = scene_rng(seed, split, CLASSES.index(label), index)
    clip, truth = _RENDERERS[label](rng, size, frames)
    return Rendered(clip=clip, label=label, truth=truth)
