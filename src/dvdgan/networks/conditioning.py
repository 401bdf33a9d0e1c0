"""The conditioning stack: given frames in, initial states of G's recurrences out (paper, figure of DVD-GAN-FP)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dvdgan.config import NetworkConfig
from dvdgan.networks.blocks import DiscriminatorBlock
from dvdgan.networks.folding import fold_time, unfold_time
from dvdgan.networks.layers import Conv2d


class ConditioningStack(nn.Module):
    """Discriminator blocks on each given frame; at each resolution a convolution and a ReLU make a state of all frames.

    Channels are not in the paper; here a frame has as many as G at the same resolution, and those of all frames are
    concatenated before the convolution, as in DGMR (Ravuri et al. 2021).

    Args:
        config: the networks' configuration; ``config.first_frames`` is 1 or more.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        g = config.generator
        stem_and_stages = [g.stem_multiplier, *config.generator_multipliers]
        self.blocks, self.to_state = nn.ModuleDict(), nn.ModuleDict()
        size, in_channels = config.size, 3
        while size > 4:
            half = size // 2
            channels = g.width * stem_and_stages[(half // 4).bit_length() - 1]  # of G's stage at this size
            self.blocks[f"block_{size}"] = DiscriminatorBlock(
                in_channels, channels, downsample=True, first=size == config.size, spectral_norm=g.spectral_norm
            )
            if g.recurrent_at == "all" or half in g.recurrent_at:
                self.to_state[f"stage_{half}"] = Conv2d(
                    config.first_frames * channels, channels, kernel_size=3, spectral_norm=g.spectral_norm
                )
            size, in_channels = half, channels

    def forward(self, first: Tensor) -> dict[str, Tensor]:
        """Given frames ``[B, D, 3, size, size]`` in [−1, 1] to states ``[B, C, S, S]`` by the stage's name."""
        states = {}
        x = fold_time(first)  # [D * B, 3, size, size]
        for block in self.blocks.values():
            x = block(x)  # [D * B, C, S, S]
            name = f"stage_{x.shape[-1]}"
            if name in self.to_state:
                together = unfold_time(x, first.shape[1]).flatten(1, 2)  # [B, D * C, S, S]
                states[name] = torch.relu(self.to_state[name](together))  # [B, C, S, S]
        return states
