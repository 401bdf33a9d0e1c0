"""The moving average of G's weights, which is what samples (paper, section 4)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from dvdgan.config.training import EmaConfig
from dvdgan.networks import Generator, fold_spectral_norm
from dvdgan.networks.batch_norm import replicate_batch_norms


class WeightAverage:
    """Exponential moving average of a network's parameters, in fp32.

    Until ``config.start`` it is a copy; from there the decay after n steps is ``config.decay``, or with warm-up
    ``min(decay, (1 + n) / (10 + n))``.
    """

    def __init__(self, network: nn.Module, config: EmaConfig) -> None:
        self.config = config
        self.parameters: dict[str, Tensor] = {
            name: parameter.detach().float().clone() for name, parameter in network.named_parameters()
        }

    def decay(self, step: int) -> float:
        """The decay of G step ``step``, counted from 0."""
        since = step - self.config.start
        if since < 0:
            return 0.0
        return min(self.config.decay, (1 + since) / (10 + since)) if self.config.warmup else self.config.decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the network's weights after G step ``step``, counted from 0."""
        current = dict(network.named_parameters())
        torch._foreach_lerp_(
            list(self.parameters.values()),
            [current[name].detach().float() for name in self.parameters],
            1 - self.decay(step),
        )

    @torch.no_grad()
    def folded_generator(self, network: Generator) -> Generator:
        """A finished copy of the generator: averaged weights, spectral norm folded into them.

        The singular vectors start at the live network's and iterate until sigma settles on the averaged weights. Its
        batch norms still need standing statistics.
        """
        finished = copy.deepcopy(network).eval()
        replicate_batch_norms(finished, False)
        for name, parameter in finished.named_parameters():
            parameter.copy_(self.parameters[name])
        fold_spectral_norm(finished)
        return finished.requires_grad_(False)
