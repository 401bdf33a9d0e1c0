"""D_S discriminators single frames at full resolution, D_T the movement (paper, section 3.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dvdgan.network_config import NetworkConfig
from dvdgan.networks.blocks import DiscriminatorBlock, GroupDeviation
from dvdgan.networks.folding import fold_time, repeat_over_time, unfold_time
from dvdgan.networks.layers import Embedding, Linear, SelfAttention, full_precision, initialise


class ProjectionHead(nn.Module):
    """ReLU, sum over space, linear score plus the projection on the class embedding (Miyato and Koyama 2018)."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.linear = Linear(channels, 1)
        self.embed = Embedding(classes, channels, spectral_norm=True) if classes else None

    def forward(self, x: Tensor, labels: Tensor | None, frames: int) -> Tensor:
        """``[T * B, C, H, W]`` and labels ``[B]`` to scores ``[B, T]`` in fp32."""
        features = torch.relu(x).sum((2, 3), dtype=torch.float32)
        with full_precision(x.device):
            scores = self.linear(features).squeeze(1)
            if self.embed is not None:
                if labels is None:
                    raise ValueError("labels are missing: this discriminator is class-conditional")
                scores = scores + (repeat_over_time(self.embed(labels), frames) * features).sum(1)
        return unfold_time(scores, frames)


class SpatialDiscriminator(nn.Module):
    """D_S: BigGAN's discriminator on k random frames; the score of a clip is the sum of theirs.

    Args:
        config: the networks' configuration; ``config.spatial`` must not be None.
        generator: where the initialisation is drawn from; None is PyTorch's global one.
    """

    def __init__(self, config: NetworkConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if config.spatial is None:
            raise ValueError("network.spatial is null: there is no spatial discriminator to build")
        s = config.spatial
        self.frames = s.frames
        self.blocks = nn.Sequential()
        channels, size = 3, config.size
        grouped = set(s.group_at) if s.group > 1 else set()
        for index, multiplier in enumerate(config.spatial_multipliers):
            if size in grouped and index:
                grouped.remove(size)
                self.blocks.add_module(f"group_{size}", GroupDeviation(s.group))
                channels *= 2
            outputs, halve = multiplier * s.width, size > 4
            block = DiscriminatorBlock(channels, outputs, halve, first=index == 0, learned_skip=s.skip == "conv")
            self.blocks.add_module(block_name(size, self.blocks), block)
            channels, size = outputs, size // 2 if halve else size
            if halve and size == s.attention_at:
                self.blocks.add_module(f"attention_{size}", SelfAttention(channels, "frame"))
        self.head = ProjectionHead(channels, config.classes)
        initialise(self, generator)

    def view(self, clip: Tensor, noise: Tensor) -> Tensor:
        """What it sees of clips ``[B, T, 3, S, S]``: k random frames of each, in order, ``[B, k, 3, S, S]``.

        Args:
            clip: the clips.
            noise: uniform noise ``[B, T]`` by which `choose_frames` chooses.
        """
        rows = torch.arange(clip.shape[0], device=clip.device)[:, None]
        return clip[rows, choose_frames(noise, self.frames).to(clip.device)]

    def forward(self, frames: Tensor, labels: Tensor | None = None) -> Tensor:
        """Score frames ``[B, k, 3, S, S]`` in [−1, 1] with labels ``[B]``: scores ``[B]``, summed over k, fp32."""
        return self.head(self.blocks(fold_time(frames)), labels, frames.shape[1]).sum(1)


class TemporalDiscriminator(nn.Module):
    """D_T: the whole clip after average pooling phi; 3-D blocks first, then 2-D blocks per frame.

    Args:
        config: the networks' configuration; ``config.temporal`` must not be None.
        generator: where the initialisation is drawn from; None is PyTorch's global one.
    """

    def __init__(self, config: NetworkConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        t = config.temporal
        if t is None:
            raise ValueError("network.temporal is null: there is no temporal discriminator to build")
        self.config = t
        self.blocks_3d, self.blocks_2d = nn.Sequential(), nn.Sequential()
        channels, size = 6 if t.frame_differences else 3, config.size // t.pool
        grouped = set(t.group_at) if t.group > 1 else set()
        for index, multiplier in enumerate(config.temporal_multipliers):
            outputs, halve, volumetric = multiplier * t.width, size > 4, index < t.blocks_3d
            blocks = self.blocks_3d if volumetric else self.blocks_2d
            if size in grouped and index:
                grouped.remove(size)
                blocks.add_module(f"group_{size}", GroupDeviation(t.group))
                channels *= 2
            block = DiscriminatorBlock(
                channels, outputs, halve, index == 0, volumetric, t.halve_time, learned_skip=t.skip == "conv"
            )
            blocks.add_module(block_name(size, blocks), block)
            channels, size = outputs, size // 2 if halve else size
        self.head = ProjectionHead(channels, config.classes)
        initialise(self, generator)

    def view(self, clip: Tensor) -> Tensor:
        """What it sees of clips ``[B, T, 3, S, S]``: phi of every frame, ``[B, T, 3, S / pool, S / pool]``."""
        pooled = F.avg_pool2d(clip.flatten(0, 1), self.config.pool)
        return pooled.unflatten(0, clip.shape[:2])

    def forward(self, pooled: Tensor, labels: Tensor | None = None) -> Tensor:
        """Score pooled clips ``[B, T, 3, S', S']`` in [−1, 1], T >= 1, with labels ``[B]``: scores ``[B]``, fp32."""
        x = pooled
        if self.config.frame_differences:
            x = torch.cat([x, torch.cat([torch.zeros_like(x[:, :1]), x[:, 1:] - x[:, :-1]], 1)], 2)
        x = self.blocks_3d(x.transpose(1, 2)).transpose(1, 2)  # [B, C, T, H, W] inside
        scores = self.head(self.blocks_2d(fold_time(x)), labels, x.shape[1])
        return scores.sum(1) if self.config.reduce_time == "sum" else scores.mean(1)


def block_name(size: int, before: nn.Module) -> str:
    """Name of a block by the pixels that it sees, such as ``block_16``; ``block_4_2`` is the second one at 4 px.

    Networks for other sizes then agree in the names of what they share.
    """
    there = sum(name.startswith(f"block_{size}") for name, _ in before.named_children())
    return f"block_{size}_{there + 1}" if there else f"block_{size}"


def choose_frames(noise: Tensor, k: int) -> Tensor:
    """Indices ``[B, k]`` of k distinct frames out of T per clip, in ascending order.

    Args:
        noise: ``[B, T]``, independent and uniform; every set of k frames is then equally likely.
        k: how many.

    Raises:
        ValueError: k is more than T.
    """
    if k > noise.shape[1]:
        raise ValueError(f"cannot choose {k} distinct frames from clips of {noise.shape[1]} frames")
    return noise.argsort(1)[:, :k].sort(1).values
