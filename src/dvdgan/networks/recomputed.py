"""Activation checkpointing: less memory for about a third more time (Chen et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

Made = TypeVar("Made")


class Recomputed(nn.Module):
    """A part of a network whose activations may be computed again in the backward pass instead of being kept.

    Only its inputs are then kept. Running twice changes nothing else: batch norms in training keep no statistics, and
    forward passes move no singular vectors.

    Attributes:
        recomputes: whether it does so, where gradients are wanted.
    """

    recomputes = False

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call `forward`."""
        call = super().__call__
        if not (self.recomputes and torch.is_grad_enabled()):
            return call(*arguments, **options)
        return recomputed(call, *arguments, **options)


def recomputed(call: Callable[..., Made], *arguments: Any, **options: Any) -> Made:
    """What a call makes; where gradients are wanted, only its arguments are kept, and the backward pass calls again."""
    if not torch.is_grad_enabled():
        return call(*arguments, **options)
    return checkpoint(call, *arguments, use_reentrant=False, preserve_rng_state=False, **options)  # type: ignore


def recompute(network: nn.Module, recomputes: bool) -> None:
    """Say whether all such parts of a network compute their activations again."""
    for module in network.modules():
        if isinstance(module, Recomputed):
            module.recomputes = recomputes
