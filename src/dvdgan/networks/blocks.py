"""The residual blocks of G and of the discriminators (paper, figures of section 3; BigGAN, appendix B).

The 1x1 convolution of a skip path and a resampling that averages commute, so it runs on the smaller side.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dvdgan.networks.batch_norm import BatchNormReLU
from dvdgan.networks.layers import Conv2d, Conv3d, convolution_dtype
from dvdgan.networks.upsampling import upsampled_convolution


class GeneratorBlock(nn.Module):
    """Main path: norm, ReLU, (x2 up), conv3, norm, ReLU, conv3. Skip path: conv1, (x2 up).

    Args:
        inputs: channels in.
        outputs: channels out and in between.
        condition: size of the condition of the batch norms.
        sets: statistics sets of the batch norms (see `BatchNormReLU`).
        upsample: ``bilinear`` or ``nearest`` doubles the size; None keeps it.
        learned_skip: 1x1 convolution on the skip path even where nothing changes shape.
        spectral_norm: on all its weights.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        condition: int,
        sets: int,
        upsample: str | None,
        learned_skip: bool = True,
        spectral_norm: bool = True,
    ) -> None:
        super().__init__()
        self.upsample = upsample
        self.norm1 = BatchNormReLU(inputs, condition, sets, spectral_norm)
        self.conv1 = Conv2d(inputs, outputs, 3, spectral_norm=spectral_norm)
        self.norm2 = BatchNormReLU(outputs, condition, sets, spectral_norm)
        self.conv2 = Conv2d(outputs, outputs, 3, spectral_norm=spectral_norm)
        needed = learned_skip or inputs != outputs or upsample is not None
        self.skip = Conv2d(inputs, outputs, 1, spectral_norm=spectral_norm) if needed else None

    def forward(self, x: Tensor, condition: Tensor, frames: int) -> Tensor:
        """``[T * B, inputs, H, W]`` and condition ``[B, D]`` to ``[T * B, outputs, H', W']``."""
        h = self.norm2(self._conv1(self.norm1(x, condition, frames)), condition, frames)
        return self.conv2(h) + self._up(x if self.skip is None else self.skip(x))

    def _conv1(self, x: Tensor) -> Tensor:
        if self.upsample != "nearest":
            return self.conv1(self._up(x))
        return upsampled_convolution(x, self.conv1.effective_weight(), self.conv1.bias, convolution_dtype(x))

    def _up(self, x: Tensor) -> Tensor:
        if self.upsample is None:
            return x
        if self.upsample == "nearest":
            return F.interpolate(x, scale_factor=2, mode="nearest")
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class DiscriminatorBlock(nn.Module):
    """Main path: ReLU, conv3, ReLU, conv3, (average pool). Skip path: (average pool), conv1.

    Args:
        inputs: channels in.
        outputs: channels out and in between.
        halve: average-pool height and width by 2.
        first: no leading ReLU.
        volumetric: 3x3x3 convolutions over ``[B, C, T, H, W]`` instead of ``[N, C, H, W]``.
        halve_time: a volumetric block that halves the size halves time as well.
        learned_skip: 1x1 convolution on the skip path even where nothing changes shape.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        halve: bool,
        first: bool = False,
        volumetric: bool = False,
        halve_time: bool = False,
        learned_skip: bool = True,
    ) -> None:
        super().__init__()
        self.halve, self.first, self.halve_time = halve, first, halve_time
        convolution = Conv3d if volumetric else Conv2d
        self.conv1 = convolution(inputs, outputs, 3)
        self.conv2 = convolution(outputs, outputs, 3)
        self.skip = convolution(inputs, outputs, 1) if learned_skip or inputs != outputs or halve else None

    def forward(self, x: Tensor) -> Tensor:
        """``[N, inputs, H, W]`` or ``[B, inputs, T, H, W]`` to outputs, H/2, W/2 (and T/2, rounded up)."""
        h = self.conv1(x if self.first else torch.relu(x))
        h = self._pool(self.conv2(torch.relu(h)))
        skip = self._pool(x)
        return h + (skip if self.skip is None else self.skip(skip))

    def _pool(self, x: Tensor) -> Tensor:
        if not self.halve:
            return x
        if x.dim() == 4:
            return F.avg_pool2d(x, 2)
        # by frame: avg_pool3d answers in channels first, and under CPU autocast in fp32
        x = F.avg_pool2d(x.transpose(1, 2).flatten(0, 1), 2).unflatten(0, (len(x), -1)).transpose(1, 2)
        if not self.halve_time:
            return x
        if x.shape[2] % 2:  # an odd last frame is averaged with itself, that is, kept
            x = torch.cat([x, x[:, :, -1:]], 2)
        return (x[:, :, ::2] + x[:, :, 1::2]) / 2


class GroupDeviation(nn.Module):
    """How much the clips of a group differ, beside each one's features, so that sameness shows.

    A discriminator that scores clips one by one cannot see that a generator draws one layout per class. Here it sees
    the standard deviation over g clips of one class, per time step, channel and place: the minibatch deviation of
    Karras et al. 2018 without its mean over channels, and so a symmetric function of the group (Lucas et al. 2018).

    Args:
        group: g, neighbours in the batch; the batch is a multiple of it.
    """

    def __init__(self, group: int) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, …]`` to ``[N, 2C, …]``, N being B or T * B; all members of a group get the same deviation.

        Raises:
            ValueError: N is no multiple of the group.
        """
        if x.shape[0] % self.group:
            raise ValueError(f"a batch of {x.shape[0]} is no multiple of the group of {self.group} clips")
        members = x.unflatten(0, (-1, self.group)).float()  # [N / g, g, C, …]: B comes last in N = T * B
        deviation = (members.var(1, correction=0, keepdim=True) + 1e-8).sqrt()
        return torch.cat([x, deviation.expand_as(members).flatten(0, 1).to(x.dtype)], 1)
