"""D_S scores single frames at full resolution, D_T the motion (paper, section 3.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dvdgan.config.network import NetworkConfig, SpatialConfig, TemporalConfig
from dvdgan.networks.blocks import DiscriminatorBlock, GroupDeviation
from dvdgan.networks.folding import fold_time, repeat_over_time, unfold_time
from dvdgan.networks.layers import Embedding, Linear, SelfAttention, full_precision, initialise


class SpatialDiscriminator(nn.Module):
    """D_S: BigGAN's discriminator on k random frames; the score of a clip is the sum of theirs.

    Args:
        config: the networks' configuration; ``config.spatial`` must not be None.
        generator: random generator of the initialisation; None is PyTorch's global one.

    Raises:
        ValueError: ``config.spatial`` is None.
    """

    def __init__(self, config: NetworkConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        s = config.spatial
        if s is None:
            raise ValueError("network.spatial is null: there is no spatial discriminator to build")
        self.frames, self.first_frames, self.pool = s.frames, config.first_frames, s.pool  # k, D
        _, self.blocks, channels = stack_blocks(
            s, config.spatial_multipliers, in_channels=3, size=config.size // s.pool, attention_at=s.attention_at
        )
        self.head = ProjectionHead(channels, config.classes)
        initialise(self, generator)

    def view(self, clip: Tensor, noise: Tensor) -> Tensor:
        """Its input from clips ``[B, T, 3, S, S]``: k random frames of each, in order, none of them a given one.

        Args:
            clip: the clips.
            noise: uniform noise ``[B, T - D]`` for `choose_frames`, D being the number of given frames.

        Returns:
            ``[B, k, 3, S / pool, S / pool]``.
        """
        frames = random_frames(clip, noise, self.frames, self.first_frames)
        return frames if self.pool == 1 else pool_frames(frames, self.pool)

    def forward(self, frames: Tensor, labels: Tensor | None = None) -> Tensor:
        """Score frames ``[B, k, 3, S', S']`` in [−1, 1] with labels ``[B]``: scores ``[B]``, summed over k, fp32."""
        x = self.blocks(fold_time(frames))  # [k * B, 3, S', S'] to [k * B, C, 4, 4]
        scores = self.head(x, labels, frames.shape[1])  # [B, k]
        return scores.sum(1)


class TemporalDiscriminator(nn.Module):
    """D_T: the whole clip, given frames included, after average pooling phi; 3-D blocks first, then 2-D ones per frame.

    Args:
        config: the networks' configuration; ``config.temporal`` must not be None.
        generator: random generator of the initialisation; None is PyTorch's global one.

    Raises:
        ValueError: ``config.temporal`` is None.
    """

    def __init__(self, config: NetworkConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        t = config.temporal
        if t is None:
            raise ValueError("network.temporal is null: there is no temporal discriminator to build")
        self.config = t
        self.blocks_3d, self.blocks_2d, channels = stack_blocks(
            t,
            config.temporal_multipliers,
            in_channels=6 if t.frame_differences else 3,
            size=config.size // t.pool,
            blocks_3d=t.blocks_3d,
            downsample_time=t.halve_time,
        )
        self.head = ProjectionHead(channels, config.classes)
        initialise(self, generator)

    def view(self, clip: Tensor, noise: Tensor | None = None) -> Tensor:
        """Its input from clips ``[B, T, 3, S, S]``: phi of every frame, or one square of all frames.

        Args:
            clip: the clips.
            noise: uniform noise ``[B, 2]`` that chooses the position of the square; only with ``temporal.crop``.

        Returns:
            ``[B, T, 3, S / pool, S / pool]``.
        """
        if not self.config.crop:
            return pool_frames(clip, self.config.pool)
        assert noise is not None
        side = clip.shape[-1] // self.config.pool
        corners = (noise * (clip.shape[-1] - side + 1)).long().tolist()  # [B, 2], top and left
        return torch.stack([one[..., y : y + side, x : x + side] for one, (y, x) in zip(clip, corners)])

    def forward(self, pooled: Tensor, labels: Tensor | None = None) -> Tensor:
        """Score pooled clips ``[B, T, 3, S', S']`` in [−1, 1], T >= 1, with labels ``[B]``: scores ``[B]``, fp32."""
        x = pooled
        if self.config.frame_differences:  # beside RGB, zero for the first frame
            differences = torch.cat([torch.zeros_like(x[:, :1]), x[:, 1:] - x[:, :-1]], 1)
            x = torch.cat([x, differences], 2)  # [B, T, 6, S', S']
        # 3-D blocks on the clip
        x = self.blocks_3d(x.transpose(1, 2)).transpose(1, 2)  # [B, C, T, H, W] inside, [B, T', C, H, W] outside
        # 2-D blocks on each frame
        frames = x.shape[1]  # T, or less where time was halved
        x = self.blocks_2d(fold_time(x))  # [T' * B, C, 4, 4]
        # scores of the frames, combined over time
        scores = self.head(x, labels, frames)  # [B, T']
        return scores.sum(1) if self.config.reduce_time == "sum" else scores.mean(1)


class ProjectionHead(nn.Module):
    """ReLU, sum over space, linear score plus projection on the class embedding (Miyato and Koyama 2018)."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.linear = Linear(channels, 1)
        self.embed = Embedding(classes, channels, spectral_norm=True) if classes else None

    def forward(self, x: Tensor, labels: Tensor | None, frames: int) -> Tensor:
        """``[T * B, C, H, W]`` and labels ``[B]`` to scores ``[B, T]`` in fp32.

        Raises:
            ValueError: the head is class-conditional, and labels are None.
        """
        features = torch.relu(x).sum((2, 3), dtype=torch.float32)  # [T * B, C]
        with full_precision(x.device):
            scores = self.linear(features).squeeze(1)  # [T * B]
            if self.embed is not None:
                if labels is None:
                    raise ValueError("labels are missing: this discriminator is class-conditional")
                classes = repeat_over_time(self.embed(labels), frames)  # [B, C] to [T * B, C]
                scores = scores + (classes * features).sum(1)
        return unfold_time(scores, frames)


def stack_blocks(
    config: SpatialConfig | TemporalConfig,
    multipliers: list[int],
    in_channels: int,
    size: int,
    blocks_3d: int = 0,
    downsample_time: bool = False,
    attention_at: int | None = None,
) -> tuple[nn.Sequential, nn.Sequential, int]:
    """The residual blocks of a discriminator, each named by its input size in pixels; they halve the size down to 4.

    Args:
        config: the discriminator's width, skip paths and groups.
        multipliers: output channels of each block, in units of the width.
        in_channels: of the first block.
        size: height and width of the input, in pixels.
        blocks_3d: how many of the first blocks are 3-D.
        downsample_time: whether 3-D blocks halve time, too.
        attention_at: resolution of a self-attention per frame, in pixels.

    Returns:
        The 3-D blocks over ``[B, C, T, H, W]``, the 2-D blocks over ``[T * B, C, H, W]``, and the channels out.
    """
    stack_3d, stack_2d = nn.Sequential(), nn.Sequential()
    group_at = set(config.group_at) if config.group > 1 else set()
    for index, multiplier in enumerate(multipliers):
        stack = stack_3d if index < blocks_3d else stack_2d
        # group statistics, before the first block at their resolution
        if index > 0 and size in group_at:
            group_at.remove(size)
            stack.add_module(f"group_{size}", GroupDeviation(config.group))
            in_channels *= 2
        # residual block
        out_channels, downsample = multiplier * config.width, size > 4
        block = DiscriminatorBlock(
            in_channels,
            out_channels,
            downsample=downsample,
            first=index == 0,
            volumetric=index < blocks_3d,
            downsample_time=downsample_time,
            learned_skip=config.skip == "conv",
        )
        stack.add_module(block_name(size, stack), block)
        in_channels, size = out_channels, size // 2 if downsample else size
        # attention, after the block that brings its resolution
        if downsample and size == attention_at:
            stack.add_module(f"attention_{size}", SelfAttention(in_channels, "frame"))
    return stack_3d, stack_2d, in_channels


def block_name(size: int, before: nn.Module) -> str:
    """Name of a block by its input size in pixels, such as ``block_16``; ``block_4_2`` is the second one at 4 px.

    Networks for other sizes then have the same names for what they share.
    """
    there = sum(name.startswith(f"block_{size}") for name, _ in before.named_children())
    return f"block_{size}_{there + 1}" if there else f"block_{size}"


def pool_frames(clip: Tensor, side: int) -> Tensor:
    """Average-pool frames: ``[B, T, 3, S, S]`` to ``[B, T, 3, S / side, S / side]``."""
    return F.avg_pool2d(clip.flatten(0, 1), side).unflatten(0, clip.shape[:2])


def random_frames(clip: Tensor, noise: Tensor, k: int, first_frames: int) -> Tensor:
    """``[B, k, 3, S, S]``: k random frames of clips ``[B, T, 3, S, S]``, in order, but not of the first ones.

    Args:
        clip: the clips.
        noise: uniform noise ``[B, T - first_frames]`` for `choose_frames`.
        k: how many frames of each.
        first_frames: how many are never chosen.
    """
    rows = torch.arange(clip.shape[0], device=clip.device)[:, None]  # [B, 1]
    return clip[rows, first_frames + choose_frames(noise, k).to(clip.device)]


def choose_frames(noise: Tensor, k: int) -> Tensor:
    """Indices ``[B, k]`` of k distinct frames out of T per clip, in ascending order (paper, section 3.2).

    Args:
        noise: ``[B, T]``, independent and uniform; every set of k frames is then equally likely.
        k: how many.

    Raises:
        ValueError: k is more than T.
    """
    if k > noise.shape[1]:
        raise ValueError(f"cannot choose {k} distinct frames from clips of {noise.shape[1]} frames")
    return noise.argsort(1)[:, :k].sort(1).values
