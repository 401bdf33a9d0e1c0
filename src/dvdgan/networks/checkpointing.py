"""What a training step computes again in its backward pass instead of keeping it (Chen et al. 2016)."""

from __future__ import annotations

from typing import Literal

from torch import nn

from dvdgan.networks.generator import Generator
from dvdgan.networks.recomputed import recompute

Checkpointing = Literal["none", "stages", "chunks"]
KINDS: tuple[Checkpointing, ...] = ("none", "stages", "chunks")
"""From the quickest to what needs least memory."""

CHUNKS = 8
"""Into how many chunks of time a clip is cut, at most."""


def set_checkpointing(network: nn.Module, kind: Checkpointing) -> None:
    """Have a network compute activations again.

    Args:
        network: G, D_S or D_T.
        kind: ``none`` keeps all activations. ``stages`` keeps the inputs of residual blocks, recurrences and
            attentions. ``chunks`` has G make clips by chunks of time, of which it keeps the recurrences' states; the
            discriminators, and a G whose clips can only be made whole, do as with ``stages``.
    """
    by_chunks = kind == "chunks" and isinstance(network, Generator) and network.chunks_are_exact
    if isinstance(network, Generator):
        network.chunk = -(-network.frames // CHUNKS) if by_chunks else None
    recompute(network, kind != "none" and not by_chunks)
