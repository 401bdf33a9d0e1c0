"""Layers with spectrally normalised weights, and self-attention.

Spectral normalisation (Miyato et al. 2018) is split in two, so that no forward pass has a side effect: `power_iterate`
moves the singular vector estimates u and v, once per optimiser step; a forward pass divides by sigma = u W v, with
gradients through W. Evaluation, a second forward and activation checkpointing therefore change nothing.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dvdgan.networks.folding import by_step

SPECTRAL_EPS = 1e-6  # BigGAN's


def full_precision(device: torch.device) -> AbstractContextManager:
    """Autocast switched off for a device; nothing on the meta device, which has none."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def convolution_dtype(x: Tensor) -> torch.dtype:
    """What autocast would convolve x in."""
    if x.is_meta or not torch.is_autocast_enabled(x.device.type):
        return x.dtype
    return torch.get_autocast_dtype(x.device.type)


def memory_layout(x: Tensor) -> torch.memory_format:
    """Whether ``[N, C, H, W]`` lies in memory channels last, for tensors that are made like it."""
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


class SpectralWeight(nn.Module):
    """A weight ``[out, ...]`` that is divided by its largest singular value as an ``[out, rest]`` matrix.

    Args:
        shape: the weight's shape.
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
            return torch.dot(self.u, _matrix(self.weight, self.weight) @ _row(self.v, self.weight))

    def effective_weight(self, dtype: torch.dtype | None = None) -> Tensor:
        """The weight that convolves: ``weight / sigma``, of the weight's shape, in a type (its own by default)."""
        dtype = dtype or self.weight.dtype
        if not self.spectral_norm:
            return self.weight.to(dtype)
        return _DivideBySigma.apply(self.weight, self.sigma().detach(), self.u, self.v, dtype)

    @torch.no_grad()
    def power_iterate(self, iterations: int = 1) -> None:
        """Move u and v towards the first singular vectors by some power iterations."""
        if not self.spectral_norm:
            return
        matrix, row = _matrix(self.weight, self.weight), _row(self.v, self.weight)
        for _ in range(iterations):
            row = F.normalize(self.u @ matrix, dim=0, eps=SPECTRAL_EPS)
            self.u.copy_(F.normalize(matrix @ row, dim=0, eps=SPECTRAL_EPS))
        self.v.copy_(_plain_row(row, self.weight))

    @torch.no_grad()
    def fold(self, iterations: int) -> None:
        """Replace the weight by ``weight / sigma``, after power iterations that let sigma settle; drop u and v."""
        if self.spectral_norm:
            self.power_iterate(iterations)
            self.weight.copy_(self.effective_weight())
            self.spectral_norm = False
            del self.u, self.v

    def initialise(self, generator: torch.Generator | None) -> None:
        """Orthogonal weight (paper, section 3.3), zero bias, u and v at the weight's singular vectors."""
        nn.init.orthogonal_(self.weight, generator=generator)
        if getattr(self, "bias", None) is not None:
            nn.init.zeros_(self.bias)  # type: ignore[arg-type]
        if self.spectral_norm:
            self.u.normal_(generator=generator)
            self.v.zero_()
            self.power_iterate(8)


class _DivideBySigma(torch.autograd.Function):
    """W / sigma with sigma = u W v, in the type that convolves, in few passes over the weight.

    The gradient of W is (g - <g, W> / sigma u v^T) / sigma (Miyato et al. 2018, equation 10).
    """

    @staticmethod
    def forward(ctx, weight: Tensor, sigma: Tensor, u: Tensor, v: Tensor, dtype: torch.dtype) -> Tensor:  # type: ignore[override]
        """``[out, ...]`` to the same shape and memory layout."""
        ctx.save_for_backward(weight, sigma, u, v)
        return torch.div(weight, sigma, out=torch.empty_like(weight, dtype=dtype))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g: Tensor):  # type: ignore[override]
        """The gradient of the weight, of its type and memory layout."""
        weight, sigma, u, v = ctx.saved_tensors
        gradient = torch.div(g, sigma, out=torch.empty_like(weight))
        rows = _matrix(gradient, weight)
        shared = torch.dot(rows.flatten(), _matrix(weight, weight).flatten()) / sigma
        rows.addr_(u * -shared, _row(v, weight))
        return gradient, None, None, None, None


def _inputs_last(weight: Tensor) -> bool:
    """Whether a weight ``[out, in, ...]`` lies in memory as ``[out, ..., in]``."""
    return weight.dim() > 2 and not weight.is_contiguous()


def _matrix(tensor: Tensor, weight: Tensor) -> Tensor:
    """A tensor of a weight's shape and layout as a matrix ``[out, rest]`` in the order of memory: a view."""
    return (tensor.movedim(1, -1) if _inputs_last(weight) else tensor).flatten(1)


def _row(v: Tensor, weight: Tensor) -> Tensor:
    """A row ``[rest]`` of the plain matrix of a weight, in the order of `_matrix`."""
    return v.view(weight.shape[1:]).movedim(0, -1).flatten() if _inputs_last(weight) else v


def _plain_row(row: Tensor, weight: Tensor) -> Tensor:
    """The inverse of `_row`."""
    if not _inputs_last(weight):
        return row
    return row.view(*weight.shape[2:], weight.shape[1]).movedim(-1, 0).flatten()


class Linear(SpectralWeight):
    """``[..., in]`` to ``[..., out]``."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True, spectral_norm: bool = True) -> None:
        super().__init__((outputs, inputs), spectral_norm)
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        return F.linear(x, self.effective_weight(convolution_dtype(x)), self.bias)


class Embedding(SpectralWeight):
    """Integer labels ``[B]`` to rows ``[B, features]``; floating weights over classes ``[B, classes]`` to mixtures."""

    def __init__(self, classes: int, features: int, spectral_norm: bool) -> None:
        super().__init__((classes, features), spectral_norm)

    def forward(self, labels: Tensor) -> Tensor:
        """Look labels up, or mix rows."""
        weight = self.effective_weight()
        return labels @ weight if labels.is_floating_point() else F.embedding(labels, weight)


class Conv2d(SpectralWeight):
    """Convolution with square kernel and same padding, ``[N, in, H, W]`` to ``[N, out, H, W]``."""

    def __init__(self, inputs: int, outputs: int, kernel: int, bias: bool = True, spectral_norm: bool = True) -> None:
        super().__init__((outputs, inputs, kernel, kernel), spectral_norm)
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None
        self.padding = kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        return F.conv2d(x, self.effective_weight(convolution_dtype(x)), self.bias, padding=self.padding)


class Conv3d(SpectralWeight):
    """Convolution over time too, cubic kernel and same padding, ``[N, in, T, H, W]`` to ``[N, out, T, H, W]``."""

    def __init__(self, inputs: int, outputs: int, kernel: int, bias: bool = True) -> None:
        super().__init__((outputs, inputs, kernel, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None
        self.padding = kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        return F.conv3d(x, self.effective_weight(convolution_dtype(x)), self.bias, padding=self.padding)


class SelfAttention(nn.Module):
    """Self-attention (BigGAN, appendix B; paper v1): ``x + gamma * o(attend(x))``, gamma starting at 0.

    Args:
        channels: C, a multiple of 8.
        over: which positions see each other: ``frame`` (all of one frame; keys and values 2x2 max-pooled, as in
            BigGAN), ``clip`` (all of a clip), ``height``, ``width`` or ``time`` (one axis).
        spectral_norm: of its four 1x1 convolutions.
    """

    def __init__(self, channels: int, over: str, spectral_norm: bool = True) -> None:
        super().__init__()
        self.over = over
        self.theta = Conv2d(channels, channels // 8, 1, bias=False, spectral_norm=spectral_norm)
        self.phi = Conv2d(channels, channels // 8, 1, bias=False, spectral_norm=spectral_norm)
        self.g = Conv2d(channels, channels // 2, 1, bias=False, spectral_norm=spectral_norm)
        self.o = Conv2d(channels // 2, channels, 1, bias=False, spectral_norm=spectral_norm)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, frames: int = 1) -> Tensor:
        """``[T * B, C, H, W]`` to the same shape; T matters only where clips or time are attended over."""
        query, key, value = self.theta(x), self.phi(x), self.g(x)
        if self.over == "frame":
            key, value = F.max_pool2d(key, 2), F.max_pool2d(value, 2)
        attended = F.scaled_dot_product_attention(
            self._tokens(query, frames), self._tokens(key, frames), self._tokens(value, frames), scale=1.0
        )
        return x + self.gamma * self.o(self._image(attended, frames, value.shape[1], x.shape[-2:]))

    def _axes(self) -> tuple[int, ...]:
        """Order of [T, B, C, H, W]'s axes as (batch axes…, token axes…, channels)."""
        return {
            "frame": (0, 1, 3, 4, 2),
            "clip": (1, 0, 3, 4, 2),
            "height": (0, 1, 4, 3, 2),
            "width": (0, 1, 3, 4, 2),
            "time": (1, 3, 4, 0, 2),
        }[self.over]

    def _batch_axes(self) -> int:
        return {"frame": 2, "clip": 1, "height": 3, "width": 3, "time": 3}[self.over]

    def _tokens(self, x: Tensor, frames: int) -> Tensor:
        """``[T * B, C, H, W]`` to ``[batches, tokens, C]``."""
        ordered, batches = by_step(x, frames).permute(self._axes()), self._batch_axes()
        return ordered.flatten(batches, 3).flatten(0, batches - 1)

    def _image(self, tokens: Tensor, frames: int, channels: int, size: torch.Size) -> Tensor:
        """``[batches, tokens, C]`` back to ``[T * B, C, H, W]``."""
        axes = self._axes()
        full = (frames, tokens.numel() // (frames * channels * size[0] * size[1]), channels, *size)
        ordered = tokens.reshape([full[axis] for axis in axes])
        return ordered.permute([axes.index(axis) for axis in range(5)]).flatten(0, 1)


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


def fold_spectral_norm(network: nn.Module, iterations: int = 30) -> None:
    """Make every weight plain, ``weight / sigma``, in place; what is left needs no spectral normalisation."""
    for module in network.modules():
        if isinstance(module, SpectralWeight):
            module.fold(iterations)


def use_channels_last(network: nn.Module) -> None:
    """Lay every convolution's weights out channels last; activations follow the weights."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for parameter in network.parameters():
        if parameter.dim() in formats:
            parameter.data = parameter.data.contiguous(memory_format=formats[parameter.dim()])
