"""A 3x3 convolution fused with the nearest-neighbour upsampling before it.

Of the nine large pixels under the kernel at most four differ. A 2x2 kernel of sums on the small picture gives the same:
one such kernel for each of the four pixels that a small pixel becomes, with 16 products instead of 36.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from dvdgan.networks.kernels.layout import memory_layout

_ROWS = (((1, 0, 0), (0, 1, 1)), ((1, 1, 0), (0, 0, 1)))
"""Which of a kernel's three rows fall on each of the two small rows that an even, and an odd, large row sees."""


def upsampled_convolution(x: Tensor, kernel: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
    """``conv2d(interpolate(x, scale_factor=2, mode="nearest"), kernel, bias, padding=1)``.

    Args:
        x: ``[N, in, H, W]``.
        kernel: ``[out, in, 3, 3]``; sums of its entries are rounded to `dtype` once.
        bias: ``[out]`` or None.
        dtype: the type of the convolution.

    Returns:
        ``[N, out, 2 * H, 2 * W]``.
    """
    kernels = small_kernels(kernel).to(dtype, memory_format=memory_layout(kernel))
    return _Interleave.apply(F.conv2d(x, kernels, None if bias is None else bias.repeat(4), padding=1))


def small_kernels(kernel: Tensor) -> Tensor:
    """``[out, in, 3, 3]`` to ``[4 * out, in, 2, 2]``: for even and odd rows, in each for even and odd columns."""
    rows = torch.tensor(_ROWS, dtype=kernel.dtype, device=kernel.device)  # [parity, small row, row of the kernel]
    return torch.einsum("apk,bql,oikl->aboipq", rows, rows, kernel).flatten(0, 2)


class _Interleave(torch.autograd.Function):
    """``[N, 4 * C, H + 1, W + 1]`` to ``[N, C, 2 * H, 2 * W]``.

    Pixel (2i + a, 2j + b) of the large picture is pixel (i + a, j + b) of part (a, b).
    """

    @staticmethod
    def forward(ctx, parts: Tensor) -> Tensor:  # type: ignore[override]
        """Put the four parts in their places."""
        images, channels, height, width = parts.shape
        large = _room(parts, (images, channels // 4, 2 * height - 2, 2 * width - 2))
        for place, part in _places(large, parts):
            place.copy_(part)
        return large

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, d_large: Tensor) -> Tensor:  # type: ignore[override]
        """Take them apart; what lies beyond the picture's edge has no gradient."""
        images, channels, height, width = d_large.shape
        d_parts = _room(d_large, (images, 4 * channels, height // 2 + 1, width // 2 + 1)).zero_()
        for place, part in _places(d_large, d_parts):
            part.copy_(place)
        return d_parts


def _room(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=memory_layout(like))


def _places(large: Tensor, parts: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """For each parity of rows and columns: its pixels in the large picture, and the part that holds them."""
    channels, height, width = large.shape[1], large.shape[2] // 2, large.shape[3] // 2
    for index, part in enumerate(parts.split(channels, 1)):
        a, b = divmod(index, 2)
        yield large[:, :, a::2, b::2], part[:, :, a : a + height, b : b + width]
