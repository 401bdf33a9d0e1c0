"""DiffAugment for clips (Zhao et al. 2020): the same transform for all frames of a clip, differentiable.

There is one random number per clip and transform: both discriminators, all frames, and a resumed run see the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

NUMBERS = 7  # uniform numbers per clip: brightness, saturation, contrast, shift y and x, cutout y and x


def diff_augment(clip: Tensor, transforms: Sequence[str], uniform: np.ndarray) -> Tensor:
    """Apply transforms to clips.

    Args:
        clip: ``[B, T, 3, H, W]`` in [−1, 1].
        transforms: any of ``color`` (brightness, saturation, contrast), ``translation`` (up to 1/8 of the size, zeros
            come in) and ``cutout`` (a zero square of half the size).
        uniform: ``[B, NUMBERS]`` in [0, 1), random numbers of each clip.
    """
    draw = torch.from_numpy(uniform.astype(np.float32)).to(clip.device)
    if "color" in transforms:
        clip = _color(clip, draw[:, :3])
    if "translation" in transforms:
        clip = _translate(clip, uniform[:, 3:5])
    if "cutout" in transforms:
        clip = _cutout(clip, draw[:, 5:7])
    return clip


def _color(clip: Tensor, draw: Tensor) -> Tensor:
    brightness, saturation, contrast = (draw[:, i].view(-1, 1, 1, 1, 1) for i in range(3))
    clip = clip + (brightness - 0.5)
    grey = clip.mean(2, keepdim=True)
    clip = (clip - grey) * (2 * saturation) + grey
    mean = clip.mean((1, 2, 3, 4), keepdim=True)
    return (clip - mean) * (contrast + 0.5) + mean


def _translate(clip: Tensor, uniform: np.ndarray) -> Tensor:
    size = clip.shape[-1]
    reach = max(size // 8, 1)
    shift = (uniform * (2 * reach + 1)).astype(int) - reach  # [B, 2], whole pixels
    padded = F.pad(clip, (reach, reach, reach, reach))
    return torch.stack(
        [
            padded[b, ..., reach + y : reach + y + size, reach + x : reach + x + size]
            for b, (y, x) in enumerate(shift.tolist())
        ]
    )


def _cutout(clip: Tensor, draw: Tensor) -> Tensor:
    size = clip.shape[-1]
    hole = size // 2
    corner = (draw * (size + 1)).long() - hole // 2  # [B, 2], may lie partly outside
    axis = torch.arange(size, device=clip.device)
    inside = (axis >= corner[..., None]) & (axis < corner[..., None] + hole)  # [B, 2, size]
    mask = ~(inside[:, 0, :, None] & inside[:, 1, None, :])
    return clip * mask[:, None, None].to(clip.dtype)
