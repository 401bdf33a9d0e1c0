"""The residual blocks of G and of the discriminators (paper, figures of section 3; BigGAN, appendix B).

A 1x1 convolution commutes with average pooling and with interpolation; the one of a skip path runs at the smaller size.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from dvdgan.networks import kernels
from dvdgan.networks.batch_norm import BatchNormReLU, LastStep
from dvdgan.networks.kernels import pooling
from dvdgan.networks.kernels.upsampling import upsampled_convolution
from dvdgan.networks.layers import Conv2d, Conv3d, conv3d, convolution_dtype
from dvdgan.networks.recomputed import Recomputed


class GeneratorBlock(Recomputed):
    """Main path: norm, ReLU, (x2 up), conv3, norm, ReLU, conv3. Skip path: conv1, (x2 up).

    Args:
        in_channels: of the input.
        out_channels: of the output, and in between.
        condition_dim: size D of the condition of the batch norms.
        statistics_sets: of the batch norms (see `BatchNormReLU`).
        upsample: ``bilinear`` or ``nearest`` doubles the size; None keeps it.
        learned_skip: 1x1 convolution on the skip path even where nothing changes shape.
        spectral_norm: on all its weights.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        condition_dim: int,
        statistics_sets: int,
        upsample: str | None,
        learned_skip: bool = True,
        spectral_norm: bool = True,
    ) -> None:
        super().__init__()
        self.upsample = upsample
        self.norm1 = BatchNormReLU(
            in_channels, condition_dim, statistics_sets=statistics_sets, spectral_norm=spectral_norm
        )
        self.conv1 = Conv2d(in_channels, out_channels, kernel_size=3, spectral_norm=spectral_norm)
        self.norm2 = BatchNormReLU(
            out_channels, condition_dim, statistics_sets=statistics_sets, spectral_norm=spectral_norm
        )
        self.conv2 = Conv2d(out_channels, out_channels, kernel_size=3, spectral_norm=spectral_norm)
        self.skip: Conv2d | None = None
        if learned_skip or in_channels != out_channels or upsample is not None:
            self.skip = Conv2d(in_channels, out_channels, kernel_size=1, spectral_norm=spectral_norm)

    def forward(
        self, x: Tensor, condition: Tensor, frames: int, start: int = 0, last: LastStep | None = None
    ) -> Tensor:
        """Frames from ``start`` on, ``[T * B, in_channels, H, W]``, to ``[T * B, out_channels, H', W']``."""
        # main path
        h = self.norm1(x, condition, frames, start=start, last=last)  # norm, ReLU
        h = self._upsample_and_convolve(h)
        h = self.norm2(h, condition, frames, start=start, last=last)  # norm, ReLU
        h = self.conv2(h)
        # skip path
        skip = self._upsample(x if self.skip is None else self.skip(x))
        return h + skip

    def _upsample_and_convolve(self, h: Tensor) -> Tensor:
        if kernels.enabled and self.upsample == "nearest":
            return upsampled_convolution(h, self.conv1.effective_weight(), self.conv1.bias, convolution_dtype(h))
        return self.conv1(self._upsample(h))

    def _upsample(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to ``[N, C, 2H, 2W]``, if the block upsamples."""
        if self.upsample is None:
            return x
        if self.upsample == "nearest":
            return F.interpolate(x, scale_factor=2, mode="nearest")
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class DiscriminatorBlock(Recomputed):
    """Main path: ReLU, conv3, ReLU, conv3, (average pool). Skip path: (average pool), conv1.

    Args:
        in_channels: of the input.
        out_channels: of the output, and in between.
        downsample: average-pool height and width by 2.
        first: no leading ReLU.
        volumetric: 3x3x3 convolutions over ``[B, C, T, H, W]`` instead of ``[N, C, H, W]``.
        downsample_time: a volumetric block that downsamples halves time as well.
        learned_skip: 1x1 convolution on the skip path even where nothing changes shape.
        spectral_norm: on all its weights.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        downsample: bool,
        first: bool = False,
        volumetric: bool = False,
        downsample_time: bool = False,
        learned_skip: bool = True,
        spectral_norm: bool = True,
    ) -> None:
        super().__init__()
        self.downsample, self.downsample_time, self.first = downsample, downsample_time, first
        conv = partial(Conv3d if volumetric else Conv2d, spectral_norm=spectral_norm)
        self.conv1 = conv(in_channels, out_channels, kernel_size=3)
        self.conv2 = conv(out_channels, out_channels, kernel_size=3)
        needs_skip = learned_skip or in_channels != out_channels or downsample
        self.skip = conv(in_channels, out_channels, kernel_size=1) if needs_skip else None

    def forward(self, x: Tensor) -> Tensor:
        """``[N, in_channels, H, W]`` or ``[B, in_channels, T, H, W]`` to out_channels, downsampled if set so."""
        # main path
        h = self.conv1(x if self.first else torch.relu(x))
        h = self._convolve_and_pool(self.conv2, torch.relu(h))
        # skip path
        return h + (self._pool(x) if self.skip is None else self._convolve_and_pool(self.skip, x))

    def _convolve_and_pool(self, conv: Conv2d | Conv3d, x: Tensor) -> Tensor:
        """Convolve ``[N, C, H, W]`` or ``[B, C, T, H, W]``, and downsample if set so."""
        pointwise = conv.padding == 0
        most = pooling.MOST_CHANNELS_1X1 if pointwise else pooling.MOST_CHANNELS
        if not (self.downsample and kernels.enabled and conv.weight.shape[1] <= most):
            return conv(self._pool(x)) if pointwise else self._pool(conv(x))
        weight = pooling.pooled_kernel(conv.effective_weight()).to(convolution_dtype(x))
        if x.dim() == 4:
            return F.conv2d(x, weight, conv.bias, stride=2, padding=conv.padding)
        return self._pool_time(conv3d(x, weight, conv.bias, stride=(1, 2, 2), padding=conv.padding))

    def _pool(self, x: Tensor) -> Tensor:
        if not self.downsample:
            return x
        if x.dim() == 4:
            return F.avg_pool2d(x, 2)  # [N, C, H / 2, W / 2]
        # by frame, because avg_pool3d returns channels first, and fp32 under CPU autocast
        frames = x.transpose(1, 2).flatten(0, 1)  # [B * T, C, H, W]
        return self._pool_time(F.avg_pool2d(frames, 2).unflatten(0, (len(x), -1)).transpose(1, 2))

    def _pool_time(self, x: Tensor) -> Tensor:
        """``[B, C, T, H, W]``, halved in time if set so."""
        if not self.downsample_time:
            return x
        if x.shape[2] % 2:  # an odd last frame is averaged with itself
            x = torch.cat([x, x[:, :, -1:]], 2)
        return (x[:, :, ::2] + x[:, :, 1::2]) / 2  # [B, C, T / 2, H, W]


class GroupDeviation(Recomputed):
    """Adds the standard deviation of a group's features to the features of each of its clips, as further channels.

    A discriminator that scores clips one by one cannot detect that a generator makes one layout per class. The standard
    deviation is over g clips of one class, per time step, channel and position: the minibatch deviation of Karras et
    al. 2018 without its mean over channels, and so a symmetric function of the group (Lucas et al. 2018).

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
        centred = members - members.mean(1, keepdim=True)
        deviation = (centred.square().mean(1, keepdim=True) + 1e-8).sqrt()  # [N / g, 1, C, …]; var() is slow on CPUs
        deviation = deviation.expand_as(members).flatten(0, 1)  # [N, C, …]
        return torch.cat([x, deviation.to(x.dtype)], 1)
