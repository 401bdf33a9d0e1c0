"""Resizing before a feature network, always antialiased: aliasing changes every score (Parmar et al. 2022)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def resize(pixels: np.ndarray, size: tuple[int, int], device: torch.device | None = None) -> Tensor:
    """Resize frames, bilinear; where a side shrinks, the kernel widens with it, so that no detail folds into a coarser
    one.

    Args:
        pixels: uint8 ``[..., H, W, 3]``, RGB; frames of the size already are left as they are.
        size: height and width to make, in pixels; the aspect ratio follows them.
        device: where to compute; None is the CPU.

    Returns:
        float32 ``[..., 3, height, width]``, 0 to 255, not rounded.
    """
    frames = torch.from_numpy(np.ascontiguousarray(pixels)).to(device).flatten(0, -4)  # [M, H, W, 3]
    frames = frames.permute(0, 3, 1, 2).float()
    if frames.shape[-2:] != size:
        frames = F.interpolate(frames, size, mode="bilinear", align_corners=False, antialias=True).clamp_(0, 255)
    return frames.reshape(*pixels.shape[:-3], 3, *size)


def resize_name(size: tuple[int, int]) -> str:
    """How frames are resized, for reports: ``224 x 224, bilinear, antialiased``."""
    return f"{size[0]} x {size[1]}, bilinear, antialiased"
