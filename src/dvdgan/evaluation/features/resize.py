"""Resizing before a feature network, always antialiased: aliasing changes every score (Parmar et al. 2022)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dvdgan.evaluation.errors import EvaluationError

Kernel = Literal["bilinear", "bicubic"]


def resize(
    pixels: np.ndarray,
    size: tuple[int, int],
    device: torch.device | None = None,
    kernel: Kernel = "bilinear",
) -> Tensor:
    """Resize frames; where a side shrinks, the kernel widens with it, so that no detail folds into a coarser one.

    Frames of that size already are left as they are.

    Args:
        pixels: uint8 ``[..., H, W, 3]``, RGB.
        size: height and width to make, in pixels; the aspect ratio follows them.
        device: where to compute; None is the CPU.
        kernel: ``bilinear``, or ``bicubic`` (a = −0.5, as Pillow's), whose overshoot is cut off.

    Returns:
        float32 ``[..., 3, height, width]``, 0 to 255, not rounded.

    Raises:
        EvaluationError: the pixels are of another kind, or the size is not above 0.
    """
    if pixels.dtype != np.uint8 or pixels.ndim < 3 or pixels.shape[-1] != 3:
        raise EvaluationError(f"frames are uint8 [..., H, W, 3], not {pixels.dtype} {list(pixels.shape)}")
    if min(size) < 1:
        raise EvaluationError(f"a size to resize to is 1 or more pixels high and wide, not {size[0]} x {size[1]}")
    tensor = torch.from_numpy(np.ascontiguousarray(pixels)).to(device)
    frames = tensor.flatten(0, -4) if tensor.ndim > 3 else tensor[None]  # [M, H, W, 3]
    frames = frames.permute(0, 3, 1, 2).float()
    if frames.shape[-2:] != size:
        frames = F.interpolate(frames, size, mode=kernel, align_corners=False, antialias=True).clamp_(0, 255)
    return frames.reshape(*pixels.shape[:-3], 3, *size)


def resize_name(size: tuple[int, int], kernel: Kernel = "bilinear") -> str:
    """How frames are resized, for reports: ``224 x 224, bilinear, antialiased``."""
    return f"{size[0]} x {size[1]}, {kernel}, antialiased"
