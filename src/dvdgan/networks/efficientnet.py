"""EfficientNet-Lite0, a network that classifies photographs: its layers, without weights.

EfficientNet (Tan and Le 2019, table 1) without squeeze-and-excitation and with ReLU6 in place of swish, as its authors
released it under the name Lite: 4.7M parameters, 0.4 billion multiplications and additions per frame of 224 × 224.
`dvdgan.evaluation.features.efficientnet` has the weights. Metrics of single frames and the projected discriminator use
it.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

DIMENSION = 1280
"""Features of a picture."""
MAPS = (24, 40, 112, 320)
"""Channels of the feature maps at 1/4, 1/8, 1/16 and 1/32 of the picture's size."""

_STAGES = (  # blocks, kernel, stride of the first block, expansion, channels out
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM = 32
_MAPPED = (2, 4, 10, 15)  # the blocks that make the maps: the last ones of their size


class EfficientNetLite0(nn.Module):
    """The network up to its pooled features; its batch norms are folded into the convolutions before them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _SameConv(3, _STEM, 3, 2)
        blocks, channels = [], _STEM
        for count, kernel, stride, expansion, out in _STAGES:
            for number in range(count):
                blocks.append(_Block(channels, out, kernel, stride if number == 0 else 1, expansion))
                channels = out
        self.blocks = nn.ModuleList(blocks)
        self.head = _SameConv(channels, DIMENSION, 1)

    def maps(self, pixels: Tensor) -> list[Tensor]:
        """``[M, 3, H, W]`` in about [−1, 1] to four maps of `MAPS` channels, the largest first."""
        x, made = F.relu6(self.stem(pixels), inplace=True), []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in _MAPPED:
                made.append(x)
        return made

    def forward(self, pixels: Tensor) -> Tensor:
        """``[M, 3, H, W]`` in about [−1, 1] to ``[M, 1280]``."""
        return F.relu6(self.head(self.maps(pixels)[-1]), inplace=True).mean((2, 3))


class _Block(nn.Module):
    """Inverted bottleneck: widen by 1 × 1, look around depthwise, narrow by 1 × 1; add the input where shapes agree."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.expand = _SameConv(channels, wide, 1) if expansion > 1 else None
        self.depthwise = _SameConv(wide, wide, kernel, stride, groups=wide)
        self.project = _SameConv(wide, out, 1)
        self.residual = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        """``[M, C, H, W]`` to ``[M, C', H / stride, W / stride]``, rounded up."""
        wide = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        y = self.project(F.relu6(self.depthwise(wide), inplace=True))
        return x + y if self.residual else y


class _SameConv(nn.Conv2d):
    """A convolution that pads as TensorFlow's SAME: the odd pixel of padding, with stride 2, goes right and below."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(channels, out, kernel, stride, padding=kernel // 2 if stride == 1 else 0, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """``[M, C, H, W]`` to ``[M, C', H / stride, W / stride]``, rounded up."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride > 1:
            down, right = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[-2:])
            x = F.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))
        return super().forward(x)
