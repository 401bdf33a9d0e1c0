"""The classifier's network: a small residual (2+1)-D convolutional classifier of clips (Tran et al. 2018's
factorisation).

Each 3 x 3 x 3 convolution is one over space and one over time, which learns movement from few clips. Batch norm, as in
I3D and Inception, which scores of this kind are known from: a clip's features do not depend on the clips beside it, and
a clip's own contrast and the size of its changes, which group norm divides out, stay visible.

Before the first frame and after the last, time goes on as it stands there. A clip of one frame and that frame held for
any time therefore have the same features: what the classifier says of a frozen clip is what it says of the frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STEM_STRIDE = 2


def default_widths(size: int) -> tuple[int, ...]:
    """Channels of each stage for clips of 32 px and more: stages until their map is about 4 x 4, at most 128."""
    widths = [128, 64, 32]
    while size >= STEM_STRIDE * 2 ** len(widths) * 4:
        widths.append(16)
    return tuple(reversed(widths))


class ClassifierNetwork(nn.Module):
    """Clips of any length and any size from 32 pixels to the scores of classes.

    Args:
        classes: how many, K.
        widths: channels of each stage; each stage but the first halves height and width.
        generator: of the initial weights; None leaves them as they are made (to be loaded).

    Attributes:
        dimension: length of the features, D, the last width.
    """

    def __init__(self, classes: int, widths: Sequence[int], generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.dimension = widths[-1]
        self.stem = nn.Conv3d(3, widths[0], (3, 5, 5), (1, STEM_STRIDE, STEM_STRIDE), (0, 2, 2), bias=False)
        self.norm = nn.BatchNorm3d(widths[0])
        inputs = (widths[0], *widths[:-1])
        self.blocks = nn.ModuleList(_Block(a, b, halve=i > 0) for i, (a, b) in enumerate(zip(inputs, widths)))
        self.head = nn.Linear(self.dimension, classes)
        if generator is not None:
            self._initialise(generator)

    def forward(self, clips: Tensor) -> Tensor:
        """Clips ``[B, T, 3, H, W]`` in [−1, 1] to scores ``[B, K]``, the logarithms of odds."""
        return self.head(self.features(clips))

    def features(self, clips: Tensor) -> Tensor:
        """Clips ``[B, T, 3, H, W]`` in [−1, 1] to features ``[B, D]``, the mean over time and space; >= 0."""
        x = clips.transpose(1, 2).contiguous(memory_format=torch.channels_last_3d)  # [B, 3, T, H, W]
        x = torch.relu(self.norm(self.stem(_held(x))))
        for block in self.blocks:
            x = block(x)
        return x.float().mean((2, 3, 4))

    @torch.no_grad()
    def _initialise(self, generator: torch.Generator) -> None:
        """He's initialisation; each block begins as its skip path."""
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01, generator=generator)
                nn.init.zeros_(module.bias)
        for block in self.blocks:
            nn.init.zeros_(block.norms[-1].weight)  # type: ignore[index, union-attr]


class _Block(nn.Module):
    """Space, time, space, time, each with batch norm; a skip path; ReLU behind the sum."""

    def __init__(self, inputs: int, outputs: int, halve: bool) -> None:
        super().__init__()
        stride = 2 if halve else 1
        self.space1 = nn.Conv3d(inputs, outputs, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False)
        self.space2 = nn.Conv3d(outputs, outputs, (1, 3, 3), 1, (0, 1, 1), bias=False)
        self.time1 = nn.Conv3d(outputs, outputs, (3, 1, 1), bias=False)
        self.time2 = nn.Conv3d(outputs, outputs, (3, 1, 1), bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm3d(outputs) for _ in range(4))
        self.halve = halve
        self.skip = nn.Conv3d(inputs, outputs, 1, bias=False) if halve or inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        """``[B, inputs, T, H, W]`` to ``[B, outputs, T, H / 2, W / 2]``, rounded up, or of the same size."""
        h = torch.relu(self.norms[0](self.space1(x)))
        h = torch.relu(self.norms[1](self.time1(_held(h))))
        h = torch.relu(self.norms[2](self.space2(h)))
        h = self.norms[3](self.time2(_held(h)))
        if self.halve:  # an odd last row or column is averaged alone
            x = F.avg_pool3d(x, (1, 2, 2), ceil_mode=True)
        return torch.relu(h + (x if self.skip is None else self.skip(x)))


def _held(x: Tensor) -> Tensor:
    """``[B, C, T, H, W]`` with the first and the last frame once more: T + 2 frames."""
    return torch.cat([x[:, :, :1], x, x[:, :, -1:]], 2)
