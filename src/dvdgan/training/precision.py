"""Which precision and memory layout a run's convolutions are quickest in."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F

from dvdgan.config import Config
from dvdgan.devices import autocast
from dvdgan.runs.precision import quickest


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

    A 3x3 convolution of the configuration's middle stage runs forward and backward in each candidate; the quickest
    wins. The choice depends on timing, so a run stores it and a resumed run reuses it.
    """
    network, t = config.network, config.training
    stage = len(network.generator_multipliers) // 2
    channels, size = network.generator_multipliers[stage] * network.generator.width, 4 * 2**stage
    images = max(1, min(t.batch_size * network.frames, 2**22 // (channels * size * size)))

    def work(candidate: Choice) -> None:
        fmt = torch.channels_last if candidate.memory_format == "channels_last" else torch.contiguous_format
        x = torch.zeros(images, channels, size, size, device=device).to(memory_format=fmt).requires_grad_()
        weight = torch.zeros(channels, channels, 3, 3, device=device).to(memory_format=fmt).requires_grad_()
        with autocast(device, candidate.precision):
            F.conv2d(x, weight, padding=1).sum().backward()

    candidates = [
        choice
        for choice in _CHOICES
        if t.precision in ("auto", choice.precision) and t.memory_format in ("auto", choice.memory_format)
    ]
    return quickest(candidates, work, device)
