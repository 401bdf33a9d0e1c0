"""Conditional batch norm with its ReLU, over folded frames, in few passes over memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dvdgan.networks.folding import by_step
from dvdgan.networks.layers import Linear, full_precision, memory_layout

NORM_EPS = 1e-5  # BigGAN's


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
