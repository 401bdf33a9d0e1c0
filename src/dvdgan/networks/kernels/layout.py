"""The memory layout of activations and of their gradients."""

from __future__ import annotations

import torch
from torch import Tensor


def memory_layout(x: Tensor) -> torch.memory_format:
    """Channels last or contiguous, whichever ``[N, C, H, W]`` is, for tensors of the same layout."""
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


def gradient_like(x: Tensor) -> Tensor:
    """``[N, C, H, W]`` unchanged; its gradient is brought into the memory layout of x.

    The discriminators' gradient of a clip has another layout than G's last convolution, whose backward pass would take
    three times as long.
    """
    return _GradientLike.apply(x)


class _GradientLike(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # type: ignore[override]
        ctx.layout = memory_layout(x)
        return x.view_as(x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, d_x: Tensor) -> Tensor:  # type: ignore[override]
        return d_x.contiguous(memory_format=ctx.layout)
