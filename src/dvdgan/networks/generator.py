"""G: latent and class in, a whole clip out, in one forward pass (paper, section 3.1)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dvdgan.network_config import NetworkConfig
from dvdgan.networks.batch_norm import BatchNormReLU
from dvdgan.networks.blocks import GeneratorBlock
from dvdgan.networks.folding import repeat_over_batch, repeat_over_time, unfold_time
from dvdgan.networks.layers import Conv2d, Embedding, Linear, SelfAttention, initialise, memory_layout
from dvdgan.networks.recurrent import ConvGRU

ATTENTION: dict[str, tuple[str, ...]] = {
    "none": (),
    "spatial": ("frame",),
    "full": ("clip",),
    "separable": ("height", "width", "time"),
}


class GeneratorStage(nn.Module):
    """One resolution: a ConvGRU where the recurrence runs, attention if any, residual blocks, the last doubling it.

    Args:
        inputs: channels in.
        outputs: channels out.
        conditions: size of each block's condition.
        config: the networks' configuration.
        recurrent: whether a ConvGRU begins the stage.
        frames: T after the recurrence, for the statistics sets of the batch norms.
        time_code: channels of time code beside the ConvGRU's input.
        attend: over what the stage attends before its blocks (see `SelfAttention`); empty for no attention.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        conditions: list[int],
        config: NetworkConfig,
        recurrent: bool,
        frames: int,
        time_code: int,
        attend: tuple[str, ...],
    ) -> None:
        super().__init__()
        g = config.generator
        self.time_code, self.code_frames = time_code, config.frames
        self.gru = ConvGRU(inputs + time_code, inputs, g.spectral_norm) if recurrent else None
        self.attention = nn.ModuleList(SelfAttention(inputs, over, g.spectral_norm) for over in attend)
        self.blocks = nn.ModuleList()
        for index, condition in enumerate(conditions):
            last = index == len(conditions) - 1
            self.blocks.append(
                GeneratorBlock(
                    inputs,
                    outputs if last else inputs,
                    condition,
                    sets=frames if g.norm_statistics == "per_step" else 1,
                    upsample=g.upsample if last else None,
                    learned_skip=g.skip == "conv",
                    spectral_norm=g.spectral_norm,
                )
            )

    def forward(self, x: Tensor, conditions: list[Tensor], frames: int, constant: bool) -> Tensor:
        """``[T * B, inputs, S, S]``, or ``[B, …]`` while still constant over time, to ``[T * B, outputs, 2S, 2S]``."""
        if self.gru is not None:
            if self.time_code:
                x = repeat_over_time(x, frames) if constant else x
                code = time_code(frames, self.time_code, self.code_frames, x)
                code = repeat_over_batch(code, x.shape[0] // frames).expand(-1, -1, *x.shape[2:])
                x = torch.cat([x, code], 1)
                constant = False
            x = self.gru(x, frames, constant=constant)
        elif constant:
            frames = 1
        for layer in self.attention:
            x = layer(x, frames)
        for block, condition in zip(self.blocks, conditions):
            x = block(x, condition, frames)
        return x


class Generator(nn.Module):
    """G of DVD-GAN; with ``frames = 1`` it has no recurrence and is a generator of images (BigGAN).

    Args:
        config: the networks' configuration.
        generator: where the initialisation is drawn from; None is PyTorch's global one.
    """

    def __init__(self, config: NetworkConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        g = config.generator
        self.config, self.frames, self.classes, self.z_dim = config, config.frames, config.classes, g.z_dim
        multipliers = config.generator_multipliers
        stages, blocks = len(multipliers), len(multipliers) * g.blocks_per_stage
        self.z_chunks = [g.z_dim // (blocks + 1)] * (blocks + 1) if g.hierarchical_z else None
        embed = g.embed_dim if config.classes else 0
        condition = embed + (self.z_chunks[0] if self.z_chunks else g.z_dim)
        first = self.z_chunks[0] if self.z_chunks else condition
        channels = [g.width * m for m in (g.stem_multiplier, *multipliers)]

        self.embed = Embedding(config.classes, embed, spectral_norm=False) if embed else None
        self.stem = Linear(first, 16 * channels[0], bias=g.stem_bias, spectral_norm=g.spectral_norm)
        self.stages = nn.ModuleDict()  # by the pixels that they begin with: networks for other sizes agree in them
        moving = False  # whether an earlier stage made the frames differ
        for index in range(stages):
            size = 4 * 2**index
            recurrent = config.frames > 1 and (g.recurrent_at == "all" or size in g.recurrent_at)
            code = g.time_code if recurrent and not moving else 0
            moving = moving or recurrent
            self.stages[f"stage_{size}"] = GeneratorStage(
                channels[index],
                channels[index + 1],
                [condition] * g.blocks_per_stage,
                config,
                recurrent,
                config.frames if moving else 1,
                code,
                ATTENTION[g.attention] if size == g.attention_at else (),
            )
        sets = config.frames if g.norm_statistics == "per_step" else 1
        self.norm = BatchNormReLU(
            channels[-1], condition if g.output_norm == "conditional" else 0, sets, g.spectral_norm
        )
        self.to_rgb = Conv2d(channels[-1], 3, 3, spectral_norm=g.spectral_norm)

        initialise(self, generator)
        if g.gate_bias == "log_uniform":
            for module in self.modules():
                if isinstance(module, ConvGRU):
                    module.spread_memory(config.frames, generator)

    def forward(self, z: Tensor, labels: Tensor | None = None, frames: int | None = None) -> Tensor:
        """Make clips.

        Args:
            z: latents ``[B, z_dim]``, drawn from N(0, I).
            labels: classes ``[B]`` (integers), or mixtures of classes ``[B, classes]`` (floating); None when
                unconditional.
            frames: T; by default that of the configuration. Another number works, too: the recurrence just goes on.

        Returns:
            Clips ``[B, T, 3, size, size]`` in [−1, 1].

        Raises:
            ValueError: labels are missing, or given to an unconditional network; frames on an image network.
        """
        frames = self.frames if frames is None else frames
        if (labels is None) != (self.classes == 0):
            raise ValueError(
                "this generator is unconditional: pass no labels" if labels is not None else "labels are missing"
            )
        if frames < 1 or (self.frames == 1 and frames > 1):
            raise ValueError(f"frames must be 1 for an image generator and at least 1 for clips, not {frames}")
        first, conditions = self._conditions(z, labels)
        batch = z.shape[0]
        x = self.config.generator.stem_gain * self.stem(first)
        x = x.view(batch, 4, 4, -1).permute(0, 3, 1, 2)  # [B, ch0, 4, 4], channels last
        per_stage = self.config.generator.blocks_per_stage
        for index, stage in enumerate(self.stages.values()):
            constant = x.shape[0] == batch
            x = stage(x, conditions[index * per_stage : (index + 1) * per_stage], frames, constant)
        x = self.to_rgb(self.norm(x, conditions[-1], frames))
        return torch.tanh(unfold_time(_GradientLike.apply(x), frames))

    def _conditions(self, z: Tensor, labels: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """The first layer's input and each block's condition, the last of which also serves the output norm."""
        embedded = [self.embed(labels)] if self.embed is not None else []
        blocks = len(self.stages) * self.config.generator.blocks_per_stage
        if self.z_chunks is None:
            condition = torch.cat([z, *embedded], 1)
            return condition, [condition] * blocks
        first, *rest = z.split(self.z_chunks, 1)
        return first, [torch.cat([*embedded, chunk], 1) for chunk in rest]


class _GradientLike(torch.autograd.Function):
    """Nothing, but the gradient comes in the memory layout of ``[N, 3, H, W]``: discriminators give it another one,
    in which the last convolution's backward pass took three times as long."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # type: ignore[override]
        """Hand x on."""
        ctx.layout = memory_layout(x)
        return x.view_as(x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, d_x: Tensor) -> Tensor:  # type: ignore[override]
        """Hand the gradient back."""
        return d_x.contiguous(memory_format=ctx.layout)


def time_code(frames: int, channels: int, period: int, like: Tensor) -> Tensor:
    """Sines and cosines of the frame number, ``[T, channels, 1, 1]``, with periods from 4 to 4 * period frames."""
    half = channels // 2
    periods = torch.logspace(math.log10(4.0), math.log10(4.0 * max(period, 2)), half, device=like.device)
    phase = 2 * math.pi * torch.arange(frames, device=like.device)[:, None] / periods
    return torch.cat([phase.sin(), phase.cos()], 1)[..., None, None].to(like.dtype)
