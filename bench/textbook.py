"""The paper's networks as a textbook would write them: the measure for what the quick form brings.

fp32, PyTorch's own spectral norm and layers, one convolution per gate over the concatenation of state and input at each
step, one frame at a time where the networks work on frames, nothing shared, nothing skipped. The number of parameters
and the arithmetic are those of `dvdgan.networks` with one statistics set (`norm_statistics=shared`).
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from dvdgan.config import NetworkConfig


def conv(in_channels: int, out_channels: int, kernel: int, volumetric: bool = False) -> nn.Module:
    layer = (nn.Conv3d if volumetric else nn.Conv2d)(in_channels, out_channels, kernel, padding=kernel // 2)
    return spectral_norm(layer)


class Norm(nn.Module):
    """Conditional batch norm over all frames of all clips."""

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = spectral_norm(nn.Linear(condition, channels, bias=False))
        self.bias = spectral_norm(nn.Linear(condition, channels, bias=False))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return self.norm(x) * (1 + self.gain(condition))[..., None, None] + self.bias(condition)[..., None, None]


class GRU(nn.Module):
    """One step of a ConvGRU at a time, each gate a convolution of [h; x]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reset, self.update, self.candidate = (conv(2 * channels, channels, 3) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, T, C, H, W]`` to the same shape."""
        h, states = torch.zeros_like(x[:, 0]), []
        for t in range(x.shape[1]):
            both = torch.cat([h, x[:, t]], 1)
            r, u = torch.sigmoid(self.reset(both)), torch.sigmoid(self.update(both))
            c = F.relu(self.candidate(torch.cat([r * h, x[:, t]], 1)))
            h = u * h + (1 - u) * c
            states.append(h)
        return torch.stack(states, 1)


class UpBlock(nn.Module):
    """G's residual block."""

    def __init__(self, in_channels: int, out_channels: int, condition: int, up: str | None) -> None:
        super().__init__()
        self.up = up
        self.norm1, self.conv1 = Norm(in_channels, condition), conv(in_channels, out_channels, 3)
        self.norm2, self.conv2 = Norm(out_channels, condition), conv(out_channels, out_channels, 3)
        self.skip = conv(in_channels, out_channels, 1)

    def enlarge(self, x: Tensor) -> Tensor:
        if self.up is None:
            return x
        return F.interpolate(x, scale_factor=2, mode=self.up, align_corners=False if self.up == "bilinear" else None)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = self.conv1(self.enlarge(F.relu(self.norm1(x, condition))))
        h = self.conv2(F.relu(self.norm2(h, condition)))
        return h + self.skip(self.enlarge(x))


class Generator(nn.Module):
    """G."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        g = config.generator
        self.frames, self.z_dim = config.frames, g.z_dim
        channels = [g.width * m for m in (g.stem_multiplier, *config.generator_multipliers)]
        condition = g.z_dim + g.embed_dim
        self.embed = nn.Embedding(config.classes, g.embed_dim)
        self.stem = spectral_norm(nn.Linear(condition, 16 * channels[0]))
        self.grus, self.stages = nn.ModuleList(), nn.ModuleList()
        for in_channels, out_channels in pairwise(channels):
            self.grus.append(GRU(in_channels))
            blocks = [UpBlock(in_channels, in_channels, condition, None)] * (g.blocks_per_stage - 1)
            self.stages.append(nn.ModuleList([*blocks, UpBlock(in_channels, out_channels, condition, g.upsample)]))
        self.norm, self.to_rgb = Norm(channels[-1], condition), conv(channels[-1], 3, 3)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Latents ``[B, z_dim]`` and classes ``[B]`` to clips ``[B, T, 3, S, S]``."""
        batch, frames = z.shape[0], self.frames
        condition = torch.cat([z, self.embed(labels)], 1)
        every = condition.repeat_interleave(frames, 0)
        x = self.stem(condition).view(batch, 1, -1, 4, 4).expand(-1, frames, -1, -1, -1)
        for gru, blocks in zip(self.grus, self.stages):
            x = gru(x).flatten(0, 1)
            for block in blocks:
                x = block(x, every)
            x = x.unflatten(0, (batch, frames))
        return torch.tanh(self.to_rgb(F.relu(self.norm(x.flatten(0, 1), every)))).unflatten(0, (batch, frames))


class DownBlock(nn.Module):
    """A discriminator's residual block."""

    def __init__(self, in_channels: int, out_channels: int, halve: bool, first: bool, volumetric: bool) -> None:
        super().__init__()
        self.halve, self.first, self.volumetric = halve, first, volumetric
        self.conv1, self.conv2 = (
            conv(in_channels, out_channels, 3, volumetric),
            conv(out_channels, out_channels, 3, volumetric),
        )
        self.skip = conv(in_channels, out_channels, 1, volumetric)

    def shrink(self, x: Tensor) -> Tensor:
        if not self.halve:
            return x
        return F.avg_pool3d(x, (1, 2, 2)) if self.volumetric else F.avg_pool2d(x, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(F.relu(self.conv1(x if self.first else F.relu(x))))
        return self.shrink(h) + self.shrink(self.skip(x))


class Discriminator(nn.Module):
    """D_S with ``volumetric = 0``, else D_T with so many 3-D blocks; sees ``[B, T, 3, S, S]``."""

    def __init__(self, multipliers: list[int], width: int, size: int, classes: int, volumetric: int) -> None:
        super().__init__()
        self.volumetric, self.blocks = volumetric, nn.ModuleList()
        channels = 3
        for index, multiplier in enumerate(multipliers):
            halve = size > 4
            self.blocks.append(DownBlock(channels, width * multiplier, halve, index == 0, index < volumetric))
            channels, size = width * multiplier, size // 2 if halve else size
        self.linear = spectral_norm(nn.Linear(channels, 1))
        self.embed = spectral_norm(nn.Embedding(classes, channels))

    def forward(self, clip: Tensor, labels: Tensor) -> Tensor:
        """Scores ``[B]``."""
        batch, frames = clip.shape[:2]
        x = clip.transpose(1, 2) if self.volumetric else clip.flatten(0, 1)
        for index, block in enumerate(self.blocks):
            if index == self.volumetric and self.volumetric:
                x = x.transpose(1, 2).flatten(0, 1)
            x = block(x)
        features = F.relu(x).sum((2, 3))
        projection = (self.embed(labels).repeat_interleave(frames, 0) * features).sum(1)
        return (self.linear(features)[:, 0] + projection).view(batch, frames).sum(1)


class Textbook:
    """The three networks and their steps: two passes of G and D per discriminator step, Adam by parameter."""

    def __init__(self, config: NetworkConfig, d_steps: int) -> None:
        assert config.spatial is not None
        assert config.temporal is not None
        self.config, self.d_steps = config, d_steps
        self.g = Generator(config)
        s, t = config.spatial, config.temporal
        self.d_s = Discriminator(config.spatial_multipliers, s.width, config.size, config.classes, 0)
        pooled = config.size // t.pool
        self.d_t = Discriminator(config.temporal_multipliers, t.width, pooled, config.classes, t.blocks_3d)
        discriminators = [*self.d_s.parameters(), *self.d_t.parameters()]
        self.adam_g = torch.optim.Adam(self.g.parameters(), 1e-4, (0.0, 0.999), foreach=False)
        self.adam_d = torch.optim.Adam(discriminators, 5e-4, (0.0, 0.999), foreach=False)
        self.average = {name: p.detach().clone() for name, p in self.g.named_parameters()}

    def scores(self, clip: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        assert self.config.spatial is not None
        assert self.config.temporal is not None
        frames = torch.randperm(clip.shape[1])[: self.config.spatial.frames]
        pooled = F.avg_pool3d(clip.transpose(1, 2), (1, self.config.temporal.pool, self.config.temporal.pool))
        return self.d_s(clip[:, frames], labels), self.d_t(pooled.transpose(1, 2), labels)

    def latents(self, batch: int) -> Tensor:
        return torch.randn(batch, self.config.generator.z_dim)

    def discriminator_step(self, real: Tensor, labels: Tensor) -> None:
        with torch.no_grad():
            fake = self.g(self.latents(len(real)), labels)
        loss = torch.zeros(())
        for score in self.scores(real, labels):
            loss = loss + F.relu(1 - score).mean()
        for score in self.scores(fake, labels):
            loss = loss + F.relu(1 + score).mean()
        self.adam_d.zero_grad()
        loss.backward()
        self.adam_d.step()

    def generator_step(self, batch: int, labels: Tensor) -> None:
        loss = torch.zeros(())
        for score in self.scores(self.g(self.latents(batch), labels), labels):
            loss = loss - score.mean()
        self.adam_g.zero_grad()
        loss.backward()
        self.adam_g.step()
        with torch.no_grad():
            for name, p in self.g.named_parameters():
                self.average[name].lerp_(p, 0.001)

    def training_step(self, real: Tensor, labels: Tensor) -> None:
        for _ in range(self.d_steps):
            self.discriminator_step(real, labels)
        self.generator_step(len(real), labels)
