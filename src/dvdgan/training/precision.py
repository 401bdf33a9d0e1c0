"""Which precision and memory layout a run's convolutions are quickest in."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from dvdgan.config import Config
from dvdgan.devices import autocast
from dvdgan.runs.precision import quickest


def choose(config: Config, device: torch.device) -> dict[str, str]:
    """Decide what the configuration leaves to ``auto``.

    A 3x3 convolution of the configuration's middle stage runs forward and backward in each candidate; the quickest
    wins. The choice depends on timing, so a run stores it and a resumed run reuses it.

    Returns:
        ``{"precision": "fp32" | "bf16", "memory_format": "contiguous" | "channels_last"}``.
    """
    network, t = config.network, config.training
    stage = len(network.generator_multipliers) // 2
    channels, size = network.generator_multipliers[stage] * network.generator.width, 4 * 2**stage
    images = max(1, min(t.batch_size * network.frames, 2**22 // (channels * size * size)))

    def work(candidate: tuple[str, str]) -> None:
        precision, layout = candidate
        fmt = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        x = torch.zeros(images, channels, size, size, device=device).to(memory_format=fmt).requires_grad_()
        weight = torch.zeros(channels, channels, 3, 3, device=device).to(memory_format=fmt).requires_grad_()
        with autocast(device, precision):
            F.conv2d(x, weight, padding=1).sum().backward()

    precisions = ["fp32", "bf16"] if t.precision == "auto" else [t.precision]
    layouts = ["contiguous", "channels_last"] if t.memory_format == "auto" else [t.memory_format]
    precision, layout = quickest([(precision, layout) for precision in precisions for layout in layouts], work, device)
    return {"precision": precision, "memory_format": layout}
