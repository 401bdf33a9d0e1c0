"""The conditioning stack: given frames in, initial states of G's recurrences out (paper, figure of DVD-GAN-FP)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dvdgan.config import NetworkConfig
from dvdgan.networks.blocks import DiscriminatorBlock
from dvdgan.networks.folding import fold_time, repeat_over_time, unfold_time
from dvdgan.networks.layers import Conv2d, ZeroConv2d, full_precision
from dvdgan.networks.recurrent import warp


class ConditioningStack(nn.Module):
    """Discriminator blocks on each given frame; a convolution and a ReLU per resolution make the initial state.

    Channels are not in the paper; here each frame has those of G at the same resolution, and all frames are
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
        smallest = 4 if g.recurrent_at == "all" else min(g.recurrent_at)
        while size > smallest:
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


class CopyGiven(nn.Module):
    """Mixes the last given frame, whose pixels it moves, into each made frame.

    a, o = conv(features);  frame = sigmoid(a) . (given at (place + o)) + (1 - sigmoid(a)) . drawn

    A picture's detail need not pass through the network then. Frames that are put together from moved pixels and drawn
    ones by masks are those of Finn et al. 2016 and of SAVP (Lee et al. 2018); nothing of it is in the paper. At first
    a and o are zero: half of each frame is the given one, as it is.

    Args:
        channels: C, of the features that the drawn frame is made of.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer = ZeroConv2d(channels, 3, kernel_size=3)

    def forward(self, features: Tensor, drawn: Tensor, given: Tensor, frames: int) -> Tensor:
        """Frames ``[T * B, 3, size, size]`` in [−1, 1].

        Args:
            features: ``[T * B, C, size, size]``.
            drawn: ``[T * B, 3, size, size]`` in [−1, 1].
            given: the last given frame, ``[B, 3, size, size]`` in [−1, 1].
            frames: T.
        """
        with full_precision(features.device):  # offsets reach over the picture: bf16 has no room for places
            dtype = torch.promote_types(features.dtype, torch.float32)
            weight, bias = self.layer.effective_weight(dtype), self.layer.bias.to(dtype)  # type: ignore[union-attr]
            share, offsets = F.conv2d(features.to(dtype), weight, bias, padding=1).split([1, 2], 1)
            moved = warp(repeat_over_time(given.to(dtype), frames), offsets)
            return torch.lerp(drawn.to(dtype), moved, torch.sigmoid(share))
