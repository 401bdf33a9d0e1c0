"""Activation checkpointing: less memory for a second forward pass (Chen et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

Made = TypeVar("Made")


class Recomputed(nn.Module):
    """A part of a network whose activations may be computed again in the backward pass instead of being stored.

    Only its inputs are then stored. Running twice changes nothing else: forward passes in training update neither
    statistics of batch norms nor singular vectors.

    Attributes:
        recomputes: whether it does so, where gradients are needed.
    """

    recomputes = False

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call `forward`."""
        call = super().__call__
        if not (self.recomputes and torch.is_grad_enabled()):
            return call(*arguments, **options)
        return recomputed(call, *arguments, **options)


def recomputed(call: Callable[..., Made], *arguments: Any, **options: Any) -> Made:
    """The result of a call; for gradients only its arguments are stored, and the backward pass calls it again."""
    if not torch.is_grad_enabled():
        return call(*arguments, **options)
    return checkpoint(call, *arguments, use_reentrant=False, preserve_rng_state=False, **options)  # type: ignore


def recompute(network: nn.Module, recomputes: bool) -> None:
    """Set whether all such parts of a network compute their activations again."""
    for module in network.modules():
        if isinstance(module, Recomputed):
            module.recomputes = recomputes
