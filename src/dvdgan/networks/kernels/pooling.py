"""A convolution fused with the average pooling after it: an averaged kernel, and stride 2.

A 3x3 kernel becomes a 4x4 one, with 16 products for each output pixel instead of 36, and the large picture that would
be pooled is never computed.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MOST_CHANNELS = 64
"""Input channels up to which one 4x4 convolution is faster than a 3x3 one and the pooling; see docs/speed.md."""

MOST_CHANNELS_1X1 = 32
"""The same for a 1x1 convolution: fused, as a 2x2 one, it has four times the products of one after the pooling."""


def pooled_kernel(kernel: Tensor) -> Tensor:
    """The kernel that convolves with stride 2 and averages over 2x2 pixels as well.

    Args:
        kernel: ``[out, in, …, k, k]``, k being 1 or 3.

    Returns:
        ``[out, in, …, k + 1, k + 1]``, in the type and memory layout of the kernel.
    """
    side = kernel.shape[-1]
    rows = torch.eye(side, dtype=kernel.dtype, device=kernel.device)
    halves = (F.pad(rows, (0, 0, 0, 1)) + F.pad(rows, (0, 0, 1, 0))) / 2  # [k + 1, k]
    return torch.einsum("pk,ql,...kl->...pq", halves, halves, kernel)
