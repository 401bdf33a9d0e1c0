"""Which precision and memory layout convolutions are quickest in on this device, measured before a run."""

from __future__ import annotations

import time

import torch
import torch.nn.functional as F

from dvdgan.config import Config
from dvdgan.sampling import autocast

ROUNDS = 6


def choose(config: Config, device: torch.device) -> dict[str, str]:
    """Decide what the configuration leaves to ``auto``.

    A 3x3 convolution of the configuration's middle stage runs forward and backward in each candidate; the quickest
    wins. The choice depends on timing, so a run stores it and a resumed run reuses it.

    Returns:
        ``{"precision": "fp32" | "bf16", "memory_format": "contiguous" | "channels_last"}``.
    """
    t = config.training
    precisions = ["fp32", "bf16"] if t.precision == "auto" else [t.precision]
    formats = ["contiguous", "channels_last"] if t.memory_format == "auto" else [t.memory_format]
    candidates = [(precision, layout) for precision in precisions for layout in formats]
    best = candidates[0]
    if len(candidates) > 1:  # in turns, several times over, so that a busy moment of the machine decides nothing
        rounds = [[_seconds(config, device, *pair) for pair in candidates] for _ in range(ROUNDS)]
        best = min(zip(candidates, zip(*rounds)), key=lambda entry: min(entry[1]))[0]
    return {"precision": best[0], "memory_format": best[1]}


def _seconds(config: Config, device: torch.device, precision: str, layout: str) -> float:
    """Seconds of one forward and backward pass, after one that warms up."""
    network = config.network
    stage = len(network.generator_multipliers) // 2
    channels, size = network.generator_multipliers[stage] * network.generator.width, 4 * 2**stage
    images = max(1, min(config.training.batch_size * network.frames, 2**22 // (channels * size * size)))
    fmt = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    x = torch.zeros(images, channels, size, size, device=device).to(memory_format=fmt).requires_grad_()
    weight = torch.zeros(channels, channels, 3, 3, device=device).to(memory_format=fmt).requires_grad_()

    def once() -> float:
        start = time.perf_counter()
        with autocast(device, precision):
            F.conv2d(x, weight, padding=1).sum().backward()
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
        return time.perf_counter() - start

    once()
    return once()
