"""A stage of G: one resolution of clips; a recurrence over time, then blocks on each frame (paper, section 3.1)."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dvdgan.config import NetworkConfig
from dvdgan.networks.batch_norm import LastStep
from dvdgan.networks.blocks import GeneratorBlock
from dvdgan.networks.folding import by_step, repeat_over_batch, repeat_over_time
from dvdgan.networks.layers import SelfAttention
from dvdgan.networks.recurrent import TSRU, ConvGRU, TrajGRU


class GeneratorStage(nn.Module):
    """One resolution: a recurrence and attention, if any, then residual blocks, the last of which doubles it.

    Args:
        config: the networks' configuration.
        in_channels: of the input, the recurrence's state and all blocks but the last.
        out_channels: of the last block.
        condition_dim: size of each block's condition.
        recurrent: whether a recurrence begins the stage.
        frames: T that the blocks see, for the statistics sets of their batch norms; 1 before any recurrence.
        time_channels: channels of the time encoding beside the recurrence's input.
        attend: axes of the attentions before the blocks (see `SelfAttention`); empty for none.
    """

    def __init__(
        self,
        config: NetworkConfig,
        in_channels: int,
        out_channels: int,
        condition_dim: int,
        recurrent: bool,
        frames: int,
        time_channels: int,
        attend: tuple[str, ...],
    ) -> None:
        super().__init__()
        g = config.generator
        self.time_channels, self.time_period = time_channels, config.frames
        self.gru: ConvGRU | TSRU | None = None
        if recurrent:
            units: dict[str, Any] = {"gru": ConvGRU, "trajgru": TrajGRU}
            unit = units.get(g.recurrence) or partial(TSRU, variant=g.recurrence[-1])
            self.gru = unit(in_channels + time_channels, hidden_channels=in_channels, spectral_norm=g.spectral_norm)
        self.attention = nn.ModuleList(
            SelfAttention(in_channels, over=over, spectral_norm=g.spectral_norm) for over in attend
        )
        self.blocks = nn.ModuleList()
        for index in range(g.blocks_per_stage):
            last = index == g.blocks_per_stage - 1
            block = GeneratorBlock(
                in_channels,
                out_channels if last else in_channels,
                condition_dim,
                statistics_sets=frames if g.norm_statistics == "per_step" else 1,
                upsample=g.upsample if last else None,
                learned_skip=g.skip == "conv",
                spectral_norm=g.spectral_norm,
            )
            self.blocks.append(block)

    def forward(
        self,
        x: Tensor,
        conditions: list[Tensor],
        frames: int,
        constant: bool,
        start: int = 0,
        state: Tensor | None = None,
        last: LastStep | None = None,
        only_state: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """One resolution of clips.

        Args:
            x: ``[T * B, in_channels, S, S]``; if constant, ``[B, in_channels, S, S]``, the same at every step.
            conditions: ``[B, condition_dim]`` of each block.
            frames: T.
            constant: whether no recurrence has come before.
            start: number of the first frame.
            state: of the recurrence before it, ``[B, in_channels, S, S]``; None is zero.
            last: see `BatchNormReLU.forward`.
            only_state: stop after the recurrence.

        Returns:
            ``[T * B, out_channels, 2S, 2S]``, or ``[B, …]`` if constant and without a recurrence of its own; and the
            recurrence's state after the last frame, None without one.
        """
        # recurrence over time
        if self.gru is not None:
            if self.time_channels:
                x = self._add_time_code(repeat_over_time(x, frames) if constant else x, start, frames)
                constant = False
            x = self.gru(x, frames, state=state, constant=constant)
            state = by_step(x, frames)[-1]
        elif constant:
            frames = 1
        if only_state:
            return x, state
        # attention
        for layer in self.attention:
            x = layer(x, frames)
        # residual blocks on each frame
        for block, condition in zip(self.blocks, conditions):
            x = block(x, condition, frames, start=start, last=last)
        return x, state

    def _add_time_code(self, x: Tensor, start: int, frames: int) -> Tensor:
        """``[T * B, C, S, S]`` to ``[T * B, C + time_channels, S, S]``."""
        code = time_code(start, frames, self.time_channels, self.time_period, x)  # [T, time_channels, 1, 1]
        code = repeat_over_batch(code, len(x) // frames)  # [T * B, time_channels, 1, 1]
        return torch.cat([x, code.expand(-1, -1, *x.shape[2:])], 1)


def time_code(start: int, frames: int, channels: int, period: int, like: Tensor) -> Tensor:
    """Positional encoding of T frames from start on, ``[T, channels, 1, 1]``: periods from 4 to 4 * period frames."""
    half = channels // 2
    periods = torch.logspace(math.log10(4.0), math.log10(4.0 * max(period, 2)), half, device=like.device)
    numbers = torch.arange(start, start + frames, device=like.device)
    phase = 2 * math.pi * numbers[:, None] / periods  # [T, channels / 2]
    return torch.cat([phase.sin(), phase.cos()], 1)[..., None, None].to(like.dtype)
