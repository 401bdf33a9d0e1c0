"""Batch norm, gain and bias per sample, and ReLU, fused into few passes over memory."""

from __future__ import annotations

import torch
from torch import Tensor

from dvdgan.networks.folding import by_step
from dvdgan.networks.kernels.layout import memory_layout
from dvdgan.networks.replicas import mean_over_replicas, pooled_moments


def normalise(x: Tensor, mean: Tensor, var: Tensor, gain: Tensor, bias: Tensor, frames: int, eps: float) -> Tensor:
    """relu(gain · (x − mean) / sqrt(var + eps) + bias) with given statistics.

    Args:
        x: ``[T * B, C, H, W]``.
        mean: ``[T, C]``.
        var: ``[T, C]``, biased.
        gain: ``[B or 1, C]``.
        bias: ``[B or 1, C]``.
        frames: T.
        eps: added to the variance.
    """
    centred, rest = _centre(x, mean[:, None], frames)
    scale = torch.rsqrt(var + eps)[:, None] * gain  # [T, B or 1, C]
    return torch.relu(_affine(centred, scale, bias - rest * scale, frames))


def normalise_batch(
    x: Tensor, gain: Tensor, bias: Tensor, frames: int, per_step: bool, eps: float, replicated: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The same with the statistics of the batch: of each time step, or of all frames together.

    If replicated, the batch is that of all replicas.

    Returns:
        y ``[T * B, C, H, W]``, and without gradient mean and biased variance, ``[T or 1, C]``.
    """
    return _NormaliseBatch.apply(x, gain, bias, frames, per_step, eps, replicated)


class _NormaliseBatch(torch.autograd.Function):
    """`normalise_batch`.

    With x' = (x − mean) / std and y = relu(gain · x' + bias), and dy masked where y = 0, the backward pass is
    dx = (gain · dy − <gain · dy> − x' <gain · dy · x'>) / std, < > being the mean over a statistics group. All sums
    over pixels are taken once, per frame, sample and channel, and on centred values, so that nothing cancels in bf16.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx, x: Tensor, gain: Tensor, bias: Tensor, frames: int, per_step: bool, eps: float, replicated: bool
    ):
        group = (1,) if per_step else (0, 1)
        count = x.numel() // x.shape[1] // (frames if per_step else 1)
        about = _pixel_sums(x, frames).sum(group).view(-1, 1, x.shape[1]) / count  # [T or 1, 1, C], roughly the mean
        centred, rest = _centre(x, about, frames)
        offset = _pixel_sums(centred, frames).sum(group).view(about.shape) / count  # of the centred values' mean
        squares = centred * centred
        var = _pixel_sums(squares, frames).sum(group).view(about.shape) / count - offset.square()
        var.clamp_min_(0)
        mean = about - rest + offset
        if replicated:
            own = mean
            mean, var = pooled_moments(own, var)
            offset = offset + (mean - own)
        rstd = torch.rsqrt(var + eps)
        scale = rstd * gain  # [T or 1, B or 1, C]
        y = _affine(centred, scale, bias - offset * scale, frames)
        y = torch.clamp_min(y, 0, out=squares)  # out of place: in place it can take twice as long in bf16
        ctx.save_for_backward(centred, y, gain, offset, rstd)
        ctx.frames, ctx.group, ctx.count, ctx.replicated = frames, group, count, replicated
        mean, var = mean.squeeze(1), var.squeeze(1)  # [T or 1, C]
        ctx.mark_non_differentiable(mean, var)
        return y, mean, var

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dy: Tensor, *_: Tensor):  # type: ignore[override]
        centred, y, gain, offset, rstd = ctx.saved_tensors
        dy = torch.ops.aten.threshold_backward(dy, y, 0)
        sum_dy = _pixel_sums(dy, ctx.frames)  # [T, B, C]
        sum_dy_x = (_pixel_sums(dy * centred, ctx.frames) - offset * sum_dy) * rstd  # sums of dy · x'
        d_gain, d_bias = sum_dy_x.sum(0), sum_dy.sum(0)  # [B, C]
        if gain.shape[0] == 1:
            d_gain, d_bias = d_gain.sum(0, keepdim=True), d_bias.sum(0, keepdim=True)
        mean_g = (gain * sum_dy).sum(ctx.group).view(rstd.shape) / ctx.count
        mean_gx = (gain * sum_dy_x).sum(ctx.group).view(rstd.shape) / ctx.count
        if ctx.replicated:
            mean_g, mean_gx = mean_over_replicas(torch.stack([mean_g, mean_gx]))
        dx = _affine(centred, -rstd.square() * mean_gx, rstd * (rstd * offset * mean_gx - mean_g), ctx.frames)
        return _affine(dy, rstd * gain, dx, ctx.frames), d_gain, d_bias, None, None, None, None


def _centre(x: Tensor, about: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """``[T * B, C, H, W]`` minus ``[T or 1, 1, C]`` rounded to x's precision, and the rounding error."""
    rounded = about.to(x.dtype)
    return _like(by_step(_lines(x), frames) - _along_lines(rounded, x), x), about - rounded


def _pixel_sums(x: Tensor, frames: int) -> Tensor:
    """Sums over height and width, ``[T, B, C]`` in fp32 (or fp64), of ``[T * B, C, H, W]``.

    PyTorch accumulates in fp32 and rounds once to x's precision; a result in fp32 would copy all of x first.
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
    """Numbers per channel ``[T or 1, B or 1, C]``, repeated along the lines of x."""
    return numbers.repeat(1, 1, x.shape[3]).unsqueeze(2) if _channels_last(x) else numbers.unsqueeze(3)


def _like(lines: Tensor, x: Tensor) -> Tensor:
    """Lines ``[T, B, ...]`` back to x's shape and memory layout: the inverse of `_lines`, and of `by_step`."""
    lines = lines.flatten(0, 1)
    return lines.unflatten(2, (-1, x.shape[1])).permute(0, 3, 1, 2) if _channels_last(x) else lines.view(x.shape)


def _channels_last(x: Tensor) -> bool:
    return memory_layout(x) == torch.channels_last
