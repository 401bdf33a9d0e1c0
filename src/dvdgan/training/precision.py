"""Which precision and memory layout a run's networks are quickest in."""

from __future__ import annotations

import copy
from typing import Literal, NamedTuple

import torch

from dvdgan.config import Config
from dvdgan.devices import autocast
from dvdgan.networks import use_channels_last
from dvdgan.networks.layers import initialise
from dvdgan.networks.stage import GeneratorStage
from dvdgan.runs.precision import quickest

_TIMED = 2**19  # numbers in the timed stage's input, at most, if that is a clip or more
_TIMED_FRAMES = 4


class Choice(NamedTuple):
    """How a run computes."""

    precision: Literal["fp32", "bf16"]
    memory_format: Literal["contiguous", "channels_last"]


_CHOICES = (
    Choice("fp32", "contiguous"),
    Choice("fp32", "channels_last"),
    Choice("bf16", "contiguous"),
    Choice("bf16", "channels_last"),
)


def choose(config: Config, device: torch.device) -> Choice:
    """Decide what the configuration leaves to ``auto``.

    G's middle stage, its recurrence included, runs forward and backward in each candidate; the quickest wins. The
    choice depends on timing, so a run stores it and a resumed run reuses it.
    """
    network, g, t = config.network, config.network.generator, config.training
    candidates = [
        choice
        for choice in _CHOICES
        if t.precision in ("auto", choice.precision) and t.memory_format in ("auto", choice.memory_format)
    ]
    if len(candidates) == 1:
        return candidates[0]
    middle = len(network.generator_multipliers) // 2
    multipliers = (g.stem_multiplier, *network.generator_multipliers)
    in_channels, out_channels = (g.width * multipliers[index] for index in (middle, middle + 1))
    size, frames = 4 * 2**middle, min(network.made_frames, _TIMED_FRAMES)
    clips = max(1, min(t.batch_size, _TIMED // (frames * in_channels * size**2)))
    condition = torch.zeros(clips, 1, device=device)
    stage = GeneratorStage(
        network,
        in_channels=in_channels,
        out_channels=out_channels,
        condition_dim=condition.shape[1],
        recurrent=frames > 1 and (g.recurrent_at == "all" or size in g.recurrent_at),
        frames=frames,
        time_channels=0,
        attend=(),
    )
    initialise(stage, torch.Generator())
    stages = {"contiguous": stage.to(device), "channels_last": copy.deepcopy(stage)}
    use_channels_last(stages["channels_last"])

    def work(candidate: Choice) -> None:
        x = torch.zeros(frames * clips, in_channels, size, size, device=device)
        if candidate.memory_format == "channels_last":
            x = x.contiguous(memory_format=torch.channels_last)
        with autocast(device, candidate.precision):
            y, _ = stages[candidate.memory_format](
                x.requires_grad_(), [condition] * g.blocks_per_stage, frames, constant=False
            )
        y.sum().backward()

    return quickest(candidates, work, device)
