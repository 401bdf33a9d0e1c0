"""The kinds of activation checkpointing: what the backward pass computes again (Chen et al. 2016)."""

from __future__ import annotations

from typing import Literal

from torch import nn

from dvdgan.networks.generator import Generator
from dvdgan.networks.recomputed import recompute

Checkpointing = Literal["none", "stages", "chunks"]
KINDS: tuple[Checkpointing, ...] = ("none", "stages", "chunks")
"""From the fastest to the one that needs least memory."""

CHUNKS = 8
"""Into how many chunks of time a clip is cut, at most."""


def set_checkpointing(network: nn.Module, kind: Checkpointing) -> None:
    """Set what a network computes again in its backward pass.

    Args:
        network: G, D_S or D_T.
        kind: ``none`` stores all activations. ``stages`` stores the inputs of residual blocks, recurrences and
            attentions. With ``chunks`` G makes clips by chunks of time and stores the recurrent states between them;
            for the discriminators, and for a G whose clips can only be made whole, it is ``stages``.
    """
    by_chunks = kind == "chunks" and isinstance(network, Generator) and network.chunks_are_exact
    if isinstance(network, Generator):
        network.chunk = -(-network.frames // CHUNKS) if by_chunks else None
    recompute(network, kind != "none" and not by_chunks)
