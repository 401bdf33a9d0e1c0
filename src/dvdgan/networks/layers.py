"""Layers with spectrally normalised weights, and self-attention.

Spectral normalisation (Miyato et al. 2018) is split in two, so that no forward pass has a side effect: `power_iterate`
updates the singular vector estimates u and v, once per optimiser step; a forward pass divides by sigma = u W v, with
gradients through W. Evaluation, a second forward pass and activation checkpointing therefore change nothing.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dvdgan.networks import kernels
from dvdgan.networks.folding import by_step
from dvdgan.networks.kernels import spectral as quick
from dvdgan.networks.recomputed import Recomputed

SPECTRAL_EPS = 1e-6  # BigGAN's


def full_precision(device: torch.device) -> AbstractContextManager:
    """A context without autocast on a device; on the meta device, which has no autocast, one that does nothing."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def convolution_dtype(x: Tensor) -> torch.dtype:
    """The type in which autocast would convolve x."""
    if x.is_meta or not torch.is_autocast_enabled(x.device.type):
        return x.dtype
    return torch.get_autocast_dtype(x.device.type)


class SpectralWeight(nn.Module):
    """A weight W that is divided by its largest singular value sigma (Miyato et al. 2018; paper, section 3.3).

    W is taken as a matrix ``[out, rest]``, and sigma = u W v, where u and v are the first singular vectors as estimated
    by power iteration (their algorithm 1).

    Args:
        shape: of the weight, ``[out, ...]``.
        spectral_norm: divide by sigma; False leaves a plain weight (a folded model).
    """

    u: Tensor
    v: Tensor

    def __init__(self, shape: tuple[int, ...], spectral_norm: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape))
        self.spectral_norm = spectral_norm
        if spectral_norm:
            self.register_buffer("u", torch.empty(shape[0]))
            self.register_buffer("v", torch.empty(math.prod(shape[1:])))

    def sigma(self) -> Tensor:
        """The estimate u W v of the largest singular value, a scalar with gradient to the weight."""
        with full_precision(self.weight.device):
            if kernels.enabled:
                return quick.sigma(self.weight, self.u, self.v)
            return self.u @ self.weight.flatten(1) @ self.v  # [out] [out, rest] [rest]

    def effective_weight(self, dtype: torch.dtype | None = None) -> Tensor:
        """The weight that convolves: W / sigma, of the weight's shape, in a type (its own by default)."""
        dtype = dtype or self.weight.dtype
        if not self.spectral_norm:
            return self.weight.to(dtype)
        if kernels.enabled:
            return quick.divide_by_sigma(self.weight, self.sigma().detach(), self.u, self.v, dtype)
        return (self.weight / self.sigma()).to(dtype)

    @torch.no_grad()
    def power_iterate(self, iterations: int = 1) -> None:
        """Power iteration: v = Wᵀu / ‖Wᵀu‖, then u = W v / ‖W v‖, this many times."""
        if not self.spectral_norm:
            return
        if kernels.enabled:
            quick.power_iterate(self.weight, self.u, self.v, iterations, SPECTRAL_EPS)
            return
        matrix = self.weight.flatten(1)  # [out, rest]
        for _ in range(iterations):
            self.v.copy_(F.normalize(self.u @ matrix, dim=0, eps=SPECTRAL_EPS))
            self.u.copy_(F.normalize(matrix @ self.v, dim=0, eps=SPECTRAL_EPS))

    @torch.no_grad()
    def fold(self, iterations: int) -> None:
        """Replace the weight by ``weight / sigma``, after power iterations for sigma to converge; drop u and v."""
        if self.spectral_norm:
            self.power_iterate(iterations)
            self.weight.copy_(self.effective_weight())
            self.spectral_norm = False
            del self.u, self.v

    def initialise(self, generator: torch.Generator | None) -> None:
        """Orthogonal weight (paper, section 3.3), zero bias, u and v from the weight."""
        nn.init.orthogonal_(self.weight, generator=generator)
        if getattr(self, "bias", None) is not None:
            nn.init.zeros_(self.bias)  # type: ignore[arg-type]
        if self.spectral_norm:
            self.u.normal_(generator=generator)
            self.v.zero_()
            self.power_iterate(8)


class Linear(SpectralWeight):
    """``[..., in_features]`` to ``[..., out_features]``."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True, spectral_norm: bool = True) -> None:
        super().__init__((out_features, in_features), spectral_norm)
        self.bias = nn.Parameter(torch.empty(out_features)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        return F.linear(x, self.effective_weight(convolution_dtype(x)), self.bias)


class Embedding(SpectralWeight):
    """Integer labels ``[B]``, or floating weights over classes ``[B, classes]``, to embeddings ``[B, embed_dim]``."""

    def __init__(self, classes: int, embed_dim: int, spectral_norm: bool) -> None:
        super().__init__((classes, embed_dim), spectral_norm)

    def forward(self, labels: Tensor) -> Tensor:
        """Apply the layer."""
        weight = self.effective_weight()
        return labels @ weight if labels.is_floating_point() else F.embedding(labels, weight)


class Conv2d(SpectralWeight):
    """Convolution with square kernel and same padding, ``[N, in_channels, H, W]`` to ``[N, out_channels, H, W]``."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, bias: bool = True, spectral_norm: bool = True
    ) -> None:
        super().__init__((out_channels, in_channels, kernel_size, kernel_size), spectral_norm)
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.padding = kernel_size // 2

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        return F.conv2d(x, self.effective_weight(convolution_dtype(x)), self.bias, padding=self.padding)


class ZeroConv2d(Conv2d):
    """A convolution without spectral norm whose weight and bias are initially zero."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size, spectral_norm=False)

    def initialise(self, generator: torch.Generator | None) -> None:
        """Zero weight and bias."""
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)  # type: ignore[arg-type]


class Conv3d(SpectralWeight):
    """Convolution with cubic kernel and same padding, ``[B, in_channels, T, H, W]`` to out_channels."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, spectral_norm: bool = True) -> None:
        super().__init__((out_channels, in_channels, kernel_size, kernel_size, kernel_size), spectral_norm)
        self.bias = nn.Parameter(torch.empty(out_channels))
        self.padding = kernel_size // 2

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        return conv3d(x, self.effective_weight(convolution_dtype(x)), self.bias, padding=self.padding)


def conv3d(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int | tuple[int, ...] = 1, padding: int = 0
) -> Tensor:
    """`torch.nn.functional.conv3d` of ``[B, in_channels, T, H, W]`` that keeps T; right in bf16 for small x, too."""
    frames = x.shape[2]
    if weight.dtype != torch.bfloat16:
        return F.conv3d(x, weight, bias, stride, padding)
    # oneDNN's bf16 gradient of the weight is wrong for exactly two frames, and with AMX everything for a single one;
    # added frames of zeros are as padding. With AVX-512 but without its bf16 it is wrong, and may end the process, for
    # kernels larger than the picture, unless that is padded before.
    around, pads = (padding, (padding, 0, 0)) if weight.shape[-1] > min(x.shape[-2:]) else (0, padding)
    if around or frames < 3:
        x = F.pad(x, (around, around, around, around, 0, max(3 - frames, 0)))
    return F.conv3d(x, weight, bias, stride, pads)[:, :, :frames]


ATTENTION_AXES = {
    "frame": ("TB", "HW"),  # BigGAN's
    "clip": ("B", "THW"),  # the paper's v1, full
    "height": ("TBW", "H"),  # the paper's v1, separable: height, width and time in a row
    "width": ("TBH", "W"),
    "time": ("BHW", "T"),
}
"""Which axes of [T, B, C, H, W] are a batch, and which are the tokens."""


class SelfAttention(Recomputed):
    """Self-attention (BigGAN, appendix B; paper's v1): ``x + gamma * o(attend(x))``, gamma starting at 0.

    Args:
        channels: C, a multiple of 8.
        over: a key of `ATTENTION_AXES`: ``frame`` (all positions of one frame; keys and values 2x2 max-pooled, as in
            BigGAN), ``clip`` (all of a clip), ``height``, ``width`` or ``time`` (one axis).
        spectral_norm: of its four 1x1 convolutions.
    """

    def __init__(self, channels: int, over: str, spectral_norm: bool = True) -> None:
        super().__init__()
        self.over = over
        self.theta = Conv2d(channels, channels // 8, kernel_size=1, bias=False, spectral_norm=spectral_norm)
        self.phi = Conv2d(channels, channels // 8, kernel_size=1, bias=False, spectral_norm=spectral_norm)
        self.g = Conv2d(channels, channels // 2, kernel_size=1, bias=False, spectral_norm=spectral_norm)
        self.o = Conv2d(channels // 2, channels, kernel_size=1, bias=False, spectral_norm=spectral_norm)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, frames: int = 1) -> Tensor:
        """``[T * B, C, H, W]`` to the same shape; T matters only where clips or time are attended over."""
        query, key, value = self.theta(x), self.phi(x), self.g(x)
        if self.over == "frame":
            key, value = F.max_pool2d(key, 2), F.max_pool2d(value, 2)
        query, key, value = (by_step(part, frames) for part in (query, key, value))  # [T, B, C/8 or C/2, H, W]
        attended = F.scaled_dot_product_attention(
            self._tokens(query), self._tokens(key), self._tokens(value), scale=1.0
        )  # [batches, tokens, C / 2]
        steps, batch, _, height, width = query.shape
        attended = self._image(attended, {"T": steps, "B": batch, "C": value.shape[2], "H": height, "W": width})
        return x + self.gamma * self.o(attended)

    def _tokens(self, x: Tensor) -> Tensor:
        """``[T, B, C, H, W]`` to ``[batches, tokens, C]``."""
        batch, tokens = ATTENTION_AXES[self.over]
        x = x.permute(["TBCHW".index(axis) for axis in batch + tokens + "C"])  # [batch axes, token axes, C]
        return x.flatten(len(batch), 3).flatten(0, len(batch) - 1)

    def _image(self, tokens: Tensor, sizes: dict[str, int]) -> Tensor:
        """``[batches, tokens, C]`` back to ``[T * B, C, H, W]``, by the size of each axis."""
        order = "".join(ATTENTION_AXES[self.over]) + "C"
        x = tokens.reshape([sizes[axis] for axis in order])  # [batch axes, token axes, C]
        return x.permute([order.index(axis) for axis in "TBCHW"]).flatten(0, 1)


def initialise(network: nn.Module, generator: torch.Generator | None = None) -> None:
    """Initialise every spectrally normalised weight of a network, unless it is on the meta device."""
    for module in network.modules():
        if isinstance(module, SpectralWeight) and not module.weight.is_meta:
            module.initialise(generator)


def power_iterate(network: nn.Module, iterations: int = 1) -> None:
    """One power iteration (or several) for every spectrally normalised weight: call after each optimiser step."""
    for module in network.modules():
        if isinstance(module, SpectralWeight):
            module.power_iterate(iterations)


def fold_spectral_norm(network: nn.Module) -> None:
    """Replace every weight by ``weight / sigma``, in place; the network then has no spectral normalisation."""
    for module in network.modules():
        if isinstance(module, SpectralWeight):
            module.fold(iterations=30)


def use_channels_last(network: nn.Module) -> None:
    """Put every convolution's weights in channels-last layout; activations follow the weights."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for weight in chain(network.parameters(), network.buffers()):
        if weight.dim() in formats:
            weight.data = weight.data.contiguous(memory_format=formats[weight.dim()])
