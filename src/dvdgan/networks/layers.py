"""Layers with spectrally normalised weights, conditional batch norm, self-attention.

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
NORM_EPS = 1e-5  # BigGAN's


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


class BatchNormReLU(nn.Module):
    """Batch norm, then ReLU, over folded frames; gain and bias may depend on a condition (paper, section 3.1; BigGAN).

    In training mode it uses the batch's statistics and keeps nothing. In evaluation mode it uses standing statistics,
    which `dvdgan.networks.statistics` estimates and which are part of a finished model. With several sets of
    statistics (one per time step), a step beyond the last uses the last set.

    Args:
        channels: C.
        condition: size D of the condition, or 0 for a gain and bias of the layer's own.
        sets: number of statistics sets: T for one per time step, 1 for one shared by all.
        spectral_norm: of the linear layers that predict gain and bias.
    """

    mean: Tensor
    var: Tensor
    gain: Linear | nn.Parameter
    bias: Linear | nn.Parameter

    def __init__(self, channels: int, condition: int, sets: int, spectral_norm: bool) -> None:
        super().__init__()
        self.sets = sets
        if condition:
            self.gain = Linear(condition, channels, bias=False, spectral_norm=spectral_norm)
            self.bias = Linear(condition, channels, bias=False, spectral_norm=spectral_norm)
        else:
            self.gain = nn.Parameter(torch.ones(channels))
            self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(sets, channels))
        self.register_buffer("var", torch.ones(sets, channels))
        self.observer: list[tuple[Tensor, Tensor]] | None = None  # filled by dvdgan.networks.statistics

    def affine(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Gain ``[B or 1, C]``, which is 1 for a zero condition, and bias of the same shape."""
        if isinstance(self.gain, Linear) and isinstance(self.bias, Linear):
            return 1 + self.gain(condition), self.bias(condition)
        return self.gain[None], self.bias[None]  # type: ignore[index]

    def forward(self, x: Tensor, condition: Tensor, frames: int) -> Tensor:
        """Normalise ``[T * B, C, H, W]``, apply the affine map of condition ``[B, D]``, clip at zero."""
        with full_precision(x.device):
            gain, bias = self.affine(condition)
        if self.training:
            y, mean, var = _NormaliseBatch.apply(x, gain, bias, frames, self.sets > 1)
            if self.observer is not None:
                self.observer.append((mean, var))
            return y
        steps = torch.arange(frames, device=x.device).clamp_(max=self.sets - 1)
        centred, rest = _centre(x, self.mean[steps][:, None], frames)
        scale = torch.rsqrt(self.var[steps] + NORM_EPS)[:, None] * gain  # [T, B or 1, C]
        return _affine(centred, scale, bias - rest * scale, frames).relu_()


class _NormaliseBatch(torch.autograd.Function):
    """Normalise by batch statistics, then gain and bias per sample, then ReLU, in few passes over memory.

    With x' = (x − mean) / std and y = relu(gain · x' + bias), and dy masked where y = 0, the backward pass is
    dx = (gain · dy − <gain · dy> − x' <gain · dy · x'>) / std, < > being the mean over a statistics group. All sums
    over pixels are taken once, per frame, sample and channel, and on centred values, so that nothing cancels in bf16.
    """

    @staticmethod
    def forward(ctx, x: Tensor, gain: Tensor, bias: Tensor, frames: int, per_step: bool):  # type: ignore[override]
        """``[T * B, C, H, W]``, gain and bias ``[B or 1, C]`` to y, mean and biased variance ``[T or 1, C]``."""
        group = (1,) if per_step else (0, 1)
        count = x.numel() // x.shape[1] // (frames if per_step else 1)
        about = _pixel_sums(x, frames).sum(group).view(-1, 1, x.shape[1]) / count  # [T or 1, 1, C], roughly the mean
        centred, rest = _centre(x, about, frames)
        offset = _pixel_sums(centred, frames).sum(group).view(about.shape) / count  # of the centred values' mean
        var = _pixel_sums(centred * centred, frames).sum(group).view(about.shape) / count - offset.square()
        rstd = torch.rsqrt(var.clamp_min_(0) + NORM_EPS)
        scale = rstd * gain
        y = _affine(centred, scale, bias - offset * scale, frames).relu_()
        ctx.save_for_backward(centred, y, gain, offset, rstd)
        ctx.frames, ctx.group, ctx.count = frames, group, count
        mean, var = (about - rest + offset).squeeze(1), var.squeeze(1)
        ctx.mark_non_differentiable(mean, var)
        return y, mean, var

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dy: Tensor, *_: Tensor):  # type: ignore[override]
        """Gradients of x, gain and bias."""
        centred, y, gain, offset, rstd = ctx.saved_tensors
        dy = torch.ops.aten.threshold_backward(dy, y, 0)
        sum_dy = _pixel_sums(dy, ctx.frames)  # [T, B, C]
        sum_dy_x = (_pixel_sums(dy * centred, ctx.frames) - offset * sum_dy) * rstd  # sums of dy · x'
        d_gain, d_bias = sum_dy_x.sum(0), sum_dy.sum(0)
        if gain.shape[0] == 1:
            d_gain, d_bias = d_gain.sum(0, keepdim=True), d_bias.sum(0, keepdim=True)
        mean_g = (gain * sum_dy).sum(ctx.group).view(rstd.shape) / ctx.count
        mean_gx = (gain * sum_dy_x).sum(ctx.group).view(rstd.shape) / ctx.count
        dx = _affine(centred, -rstd.square() * mean_gx, rstd * (rstd * offset * mean_gx - mean_g), ctx.frames)
        return _affine(dy, rstd * gain, dx, ctx.frames), d_gain, d_bias, None, None


def _centre(x: Tensor, about: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """``[T * B, C, H, W]`` less ``[T or 1, 1, C]`` as x's precision has it, and what that rounding left over."""
    rounded = about.to(x.dtype)
    return _like(by_step(_lines(x), frames) - _along_lines(rounded, x), x), about - rounded


def _pixel_sums(x: Tensor, frames: int) -> Tensor:
    """Sums over height and width, ``[T, B, C]`` in fp32 (or fp64), of ``[T * B, C, H, W]``.

    They accumulate in fp32 and are rounded once to x's precision: asking for fp32 would copy all of x first.
    """
    sums = x.sum((2, 3))
    return by_step(sums if sums.dtype == torch.float64 else sums.float(), frames)


def _affine(x: Tensor, scale: Tensor, shift: Tensor, frames: int) -> Tensor:
    """scale · x + shift of ``[T * B, C, H, W]``; scale is ``[T or 1, B or 1, C]``, shift too, or of x's shape."""
    shift = by_step(_lines(shift), frames) if shift.dim() == 4 else _along_lines(shift.to(x.dtype), x)
    return _like(torch.addcmul(shift, by_step(_lines(x), frames), _along_lines(scale.to(x.dtype), x)), x)


def _lines(x: Tensor) -> Tensor:
    """A view of ``[N, C, H, W]`` whose last axis is long in memory: ``[N, H, W * C]`` if channels last, else
    ``[N, C, H * W]``. Arithmetic with a number per channel is quick over long lines, and slow over few channels."""
    return x.permute(0, 2, 3, 1).flatten(2) if _channels_last(x) else x.flatten(2)


def _along_lines(numbers: Tensor, x: Tensor) -> Tensor:
    """Numbers per channel ``[T or 1, B or 1, C]`` as they lie along the lines of x."""
    return numbers.repeat(1, 1, x.shape[3]).unsqueeze(2) if _channels_last(x) else numbers.unsqueeze(3)


def _like(lines: Tensor, x: Tensor) -> Tensor:
    """Lines ``[T, B, ...]`` back to x's shape and memory layout: the inverse of `_lines`, and of `by_step`."""
    lines = lines.flatten(0, 1)
    return lines.unflatten(2, (-1, x.shape[1])).permute(0, 3, 1, 2) if _channels_last(x) else lines.view(x.shape)


def _channels_last(x: Tensor) -> bool:
    return memory_layout(x) == torch.channels_last


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
