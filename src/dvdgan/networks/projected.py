"""D_P scores single frames by features of a network that knows photographs (Projected GAN, Sauer et al. 2021).

Not in the DVD-GAN paper. The feature network and the random projections are fixed, and gradients go through them.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dvdgan.config.network import NetworkConfig, SpatialConfig
from dvdgan.networks.discriminators import ProjectionHead, random_frames, stack_blocks
from dvdgan.networks.efficientnet import MAPS, EfficientNetLite0
from dvdgan.networks.folding import fold_time
from dvdgan.networks.layers import initialise

_RMS = (8.5, 8.0, 6.6, 3.0)  # of the feature maps' values, in clips of the rendered data set
_SCALE = 0.2  # of the mixtures' values, so that scores begin near 1
_SEED = 0  # of the projections, which are the same in every training


class ProjectedDiscriminator(nn.Module):
    """D_P: k random frames, resized; a discriminator like D_S on each of four random mixtures of their feature maps.

    Each map is mixed over its channels, and then with the mixture of the next smaller one, by fixed random weights
    (cross-channel and cross-scale mixing; their section 3.2), so that no channel or scale can be ignored.

    Args:
        config: the networks' configuration; ``config.projected`` must not be None.
        features: the feature network. Its weights stay as they are, and are in no state that is saved.
        generator: random generator of the initialisation; None is PyTorch's global one.

    Raises:
        ValueError: ``config.projected`` is None.
    """

    def __init__(
        self, config: NetworkConfig, features: EfficientNetLite0, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        p = config.projected
        if p is None:
            raise ValueError("network.projected is null: there is no projected discriminator to build")
        self.frames, self.first_frames, self.size = p.frames, config.first_frames, p.size
        self.features: EfficientNetLite0 = fixed(features)
        meta = features.stem.weight.is_meta
        rng = None if meta else torch.Generator().manual_seed(_SEED)
        part = SpatialConfig(width=p.width, group=p.group)
        self.scales = nn.ModuleDict()  # named by the size of their maps, in pixels
        for index, (channels, rms) in enumerate(zip(MAPS, _RMS)):
            mix = torch.randn(p.width, channels, 1, 1, generator=rng) * (_SCALE / (math.sqrt(channels) * rms))
            join = torch.randn(p.width, p.width, 3, 3, generator=rng) / (3 * math.sqrt(p.width))
            self.register_buffer(f"mix_{index}", mix, persistent=False)
            self.register_buffer(f"join_{index}", join, persistent=False)
            side = p.size >> (index + 2)
            self.scales[f"scale_{side}"] = _Scale(part, side, config.classes)
        initialise(self, generator)

    def view(self, clip: Tensor, noise: Tensor) -> Tensor:
        """Its input from clips, ``[B, k, 3, S, S]``: see `random_frames`."""
        return random_frames(clip, noise, self.frames, self.first_frames)

    def forward(self, frames: Tensor, labels: Tensor | None = None) -> Tensor:
        """Score frames ``[B, k, 3, S, S]`` in [−1, 1] with labels ``[B]``: scores ``[B, 4 * k]``, fp32."""
        x = F.interpolate(fold_time(frames), size=(self.size, self.size), mode="bilinear")  # [k * B, 3, S', S']
        maps = self.features.maps(x * (127.5 / 128))  # the range that its weights were trained for
        mixed: list[Tensor] = []
        for index in reversed(range(len(MAPS))):
            x = F.conv2d(maps[index], self.get_buffer(f"mix_{index}"))
            if mixed:
                x = (x + F.interpolate(mixed[-1], scale_factor=2, mode="bilinear")) / math.sqrt(2)
            mixed.append(F.conv2d(x, self.get_buffer(f"join_{index}"), padding=1))  # [k * B, width, s, s]
        scores = [scale(x, labels, frames.shape[1]) for scale, x in zip(self.scales.values(), reversed(mixed))]
        return torch.cat(scores, 1)


class _Scale(nn.Module):
    """Residual blocks that bring maps down to 4 × 4, and a head."""

    def __init__(self, config: SpatialConfig, size: int, classes: int) -> None:
        super().__init__()
        multipliers = [1] * (size // 4).bit_length()
        _, self.blocks, channels = stack_blocks(config, multipliers, in_channels=config.width, size=size)
        self.head = ProjectionHead(channels, classes)

    def forward(self, x: Tensor, labels: Tensor | None, frames: int) -> Tensor:
        """``[T * B, C, size, size]`` and labels ``[B]`` to scores ``[B, T]``, fp32."""
        return self.head(self.blocks(x), labels, frames)


def fixed(network: EfficientNetLite0) -> EfficientNetLite0:
    """A network whose weights no optimiser sees and no checkpoint keeps: buffers instead of parameters, in place."""
    for module in network.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, weight.detach(), persistent=False)
    return network
