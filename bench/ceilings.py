"""What the processor can do at best: convolutions in fp32 and bf16, by shape, and memory bandwidth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from timing import Timing, measure

# images, channels, size: those of the networks' 3x3 convolutions, from the narrow recipes' to width 64's
SHAPES = [(288, 16, 32), (288, 48, 16), (288, 96, 8), (64, 32, 64), (64, 64, 32), (64, 128, 16), (64, 256, 8)]
SHAPES += [(128, 512, 4)]


@dataclass(frozen=True)
class Ceiling:
    """GFLOP/s of a 3x3 convolution, forward alone and forward with both backward passes."""

    images: int
    channels: int
    size: int
    precision: str
    forward: float
    both: float
    timing: Timing


def convolutions(shapes: list[tuple[int, int, int]], precision: str, seconds: float) -> list[Ceiling]:
    """Time 3x3 convolutions in channels_last.

    Args:
        shapes: images, channels in and out, height and width.
        precision: ``fp32`` or ``bf16``.
        seconds: how long to time each.
    """
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    found = []
    for images, channels, size in shapes:
        x = torch.randn(images, channels, size, size).to(dtype).to(memory_format=torch.channels_last)
        w = torch.randn(channels, channels, 3, 3).to(dtype).to(memory_format=torch.channels_last)
        dy = torch.randn_like(x)
        x.requires_grad_()
        w.requires_grad_()

        def forward(x: torch.Tensor = x, w: torch.Tensor = w) -> torch.Tensor:
            with torch.no_grad():
                return F.conv2d(x, w, padding=1)

        def both(x: torch.Tensor = x, w: torch.Tensor = w, dy: torch.Tensor = dy) -> None:
            torch.autograd.grad(F.conv2d(x, w, padding=1), (x, w), dy)

        flop = 2 * images * channels * channels * 9 * size * size / 1e9
        there, back = measure(forward, seconds), measure(both, seconds)
        found.append(Ceiling(images, channels, size, precision, flop / there.median, 3 * flop / back.median, back))
    return found


def bandwidth(seconds: float, megabytes: int = 256) -> float:
    """GB/s of a large addition, counting two tensors read and one written."""
    a, b = torch.ones(megabytes * 2**18), torch.ones(megabytes * 2**18)
    out = torch.empty_like(a)
    return 3 * megabytes * 2**20 / 1e9 / measure(lambda: torch.add(a, b, out=out), seconds).median
