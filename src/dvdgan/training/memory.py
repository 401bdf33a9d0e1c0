"""Whether a training can fit into memory: what it needs at the very least, by arithmetic."""

from __future__ import annotations

import torch

from dvdgan.capacity import gib
from dvdgan.config import Config
from dvdgan.devices import memory_of
from dvdgan.networks import Generator, SpatialDiscriminator, TemporalDiscriminator
from dvdgan.runs.directory import TrainingError

_BYTES = 4  # of a parameter
_G_COPIES, _D_COPIES = 5, 4  # weights, gradient, two moments of Adam; and the average of G's


def check_memory(config: Config, device: torch.device) -> None:
    """Refuse what cannot fit, before anything is allocated. What passes may still need more than there is.

    Args:
        config: the configuration.
        device: where it is to train.

    Raises:
        TrainingError: networks, optimisers and the largest activations that a step must hold need more than there is.
    """
    memory = memory_of(device)
    network, batch = config.network, config.training.batch_size
    try:
        with torch.device("meta"):
            networks = (
                Generator(network).parameters(),
                *(
                    kind(network).parameters()
                    for kind, part in (
                        (SpatialDiscriminator, network.spatial),
                        (TemporalDiscriminator, network.temporal),
                    )
                    if part is not None
                ),
            )
        counts = [sum(parameter.numel() for parameter in parameters) for parameters in networks]
    except RuntimeError:  # a size beyond 64 bits
        counts = [1 << 63]
    parameters = _BYTES * (_G_COPIES * counts[0] + _D_COPIES * sum(counts[1:]))
    if parameters > memory:
        raise TrainingError(
            f"networks of {sum(counts):,} parameters need {gib(parameters)} with gradients and optimisers, of "
            f"{gib(memory)}: set network.generator.width and the discriminators' width lower"
        )
    activations = batch * network.frames * network.size**2 * (2 * network.last_channels + 12)
    if parameters + activations > memory:
        raise TrainingError(
            f"training.batch_size: {batch} clips of {network.frames} frames of {network.size} px need more than "
            f"{gib(activations)} at once, and there are {gib(memory)}; set it lower (or network.frames, network.size)"
        )
