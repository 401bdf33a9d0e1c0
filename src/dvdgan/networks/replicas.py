"""Batch statistics over the replicas of a network in several processes, over `torch.distributed`.

All replicas have the same number of clips, so that moments over all clips are plain means.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def mean_over_replicas(x: Tensor) -> Tensor:
    """The mean of a tensor over the replicas, in x's type and equal in all, with gradient to each of them."""
    return _Sum.apply(x) / dist.get_world_size()


def pooled_moments(mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance over the clips of all replicas, from those of each, of any one shape."""
    pooled = mean_over_replicas(mean)
    return pooled, mean_over_replicas(var + (mean - pooled).square())


class _Sum(torch.autograd.Function):
    """The sum over the replicas; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # type: ignore[override]
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, d_total: Tensor) -> Tensor:  # type: ignore[override]
        return _Sum.apply(d_total)
