"""Conditional batch norm with its ReLU, over folded frames (paper, section 3.1; BigGAN, appendix B)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dvdgan.networks import kernels
from dvdgan.networks.folding import by_step
from dvdgan.networks.kernels import batch_norm as quick
from dvdgan.networks.layers import Linear, full_precision
from dvdgan.networks.replicas import pooled_moments

NORM_EPS = 1e-5  # BigGAN's


LastStep = dict["BatchNormReLU", tuple[Tensor, Tensor]]
"""Mean and variance ``[1, C]`` of a training batch at the last time step that has a set, by norm, with gradient."""


class BatchNormReLU(nn.Module):
    """Batch norm, then ReLU, over folded frames; gain and bias may depend on a condition c.

    y = relu(gain(c) . (x - mean) / sqrt(var + eps) + bias(c)),  gain(c) = 1 + W_gain c,  bias(c) = W_bias c

    In training mode it uses the batch's statistics and keeps nothing. In evaluation mode it uses standing statistics,
    which `dvdgan.networks.statistics` estimates and which are part of a finished model. With several sets of
    statistics (one per time step), a step beyond the last uses the last set; in training mode only where the caller
    passes the batch's statistics of the last step.

    With ``replicated`` the module has replicas in other processes (see `replicate_batch_norms`), and the batch is that
    of all of them.

    Args:
        channels: C.
        condition_dim: size D of the condition; 0 for a gain and bias without condition.
        statistics_sets: T for separate statistics of each time step, 1 for statistics that all steps share.
        spectral_norm: of the linear layers that predict gain and bias.
    """

    mean: Tensor
    var: Tensor
    gain: Linear | nn.Parameter
    bias: Linear | nn.Parameter

    def __init__(self, channels: int, condition_dim: int, statistics_sets: int, spectral_norm: bool) -> None:
        super().__init__()
        self.statistics_sets = statistics_sets
        if condition_dim:
            self.gain = Linear(condition_dim, channels, bias=False, spectral_norm=spectral_norm)
            self.bias = Linear(condition_dim, channels, bias=False, spectral_norm=spectral_norm)
        else:
            self.gain = nn.Parameter(torch.ones(channels))
            self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(statistics_sets, channels))
        self.register_buffer("var", torch.ones(statistics_sets, channels))
        self.replicated = False
        self.observer: list[tuple[Tensor, Tensor]] | None = None  # filled by dvdgan.networks.statistics

    def affine(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Gain ``[B or 1, C]``, which is 1 for a zero condition, and bias of the same shape."""
        if isinstance(self.gain, Linear) and isinstance(self.bias, Linear):
            return 1 + self.gain(condition), self.bias(condition)
        return self.gain[None], self.bias[None]  # type: ignore[index]

    def forward(
        self, x: Tensor, condition: Tensor, frames: int, start: int = 0, last: LastStep | None = None
    ) -> Tensor:
        """Normalise, apply the condition's gain and bias, then ReLU.

        Args:
            x: ``[T * B, C, H, W]``.
            condition: ``[B, D]``.
            frames: T.
            start: number of the first frame.
            last: in training mode, the statistics for steps beyond the last set; the last step's are stored in it when
                that step is computed. None: every step uses its own.
        """
        with full_precision(x.device):
            gain, bias = self.affine(condition)
        form = quick.normalise if kernels.enabled else normalise
        if not self.training:  # standing statistics of each step
            steps = torch.arange(start, start + frames, device=x.device).clamp_(max=self.statistics_sets - 1)  # [T]
            return form(x, self.mean[steps], self.var[steps], gain, bias, frames, NORM_EPS)
        if last is None or self.statistics_sets == 1:
            return self._by_batch(x, gain, bias, frames)
        # statistics of this batch, up to the last step that has a set; from there on those of that step
        own = min(max(self.statistics_sets - start, 0), frames)
        steps = by_step(x, frames)  # [T, B, C, H, W]
        if own and start + own == self.statistics_sets:
            last[self] = self._statistics(steps[own - 1], 1)
        parts = [self._by_batch(steps[:own].flatten(0, 1), gain, bias, own)] if own else []
        if own < frames:
            parts.append(form(steps[own:].flatten(0, 1), *last[self], gain, bias, frames - own, NORM_EPS))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _by_batch(self, x: Tensor, gain: Tensor, bias: Tensor, frames: int) -> Tensor:
        """With the statistics of this batch."""
        if kernels.enabled:
            per_step = self.statistics_sets > 1
            y, mean, var = quick.normalise_batch(x, gain, bias, frames, per_step, NORM_EPS, self.replicated)
        else:
            mean, var = self._statistics(x, frames)
            y = normalise(x, mean, var, gain, bias, frames, NORM_EPS)
        if self.observer is not None:
            self.observer.append((mean, var))
        return y

    def _statistics(self, x: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        mean, var = batch_statistics(x, frames, self.statistics_sets > 1)
        return pooled_moments(mean, var) if self.replicated else (mean, var)


def replicate_batch_norms(network: nn.Module, replicated: bool) -> None:
    """Set whether a network has replicas in all processes of `torch.distributed`, which run it together.

    All have the same number of clips; their batch norms then use the statistics of all clips.
    """
    for module in network.modules():
        if isinstance(module, BatchNormReLU):
            module.replicated = replicated


def batch_statistics(x: Tensor, frames: int, per_step: bool) -> tuple[Tensor, Tensor]:
    """Mean and biased variance, ``[T, C]`` or ``[1, C]``, of ``[T * B, C, H, W]``: over [B, H, W] or [T, B, H, W]."""
    steps = by_step(x, frames).to(torch.promote_types(x.dtype, torch.float32))  # [T, B, C, H, W]
    axes = (1, 3, 4) if per_step else (0, 1, 3, 4)
    mean, var = steps.mean(axes), steps.var(axes, correction=0)
    return mean.view(-1, x.shape[1]), var.view(-1, x.shape[1])  # [T or 1, C]


def normalise(x: Tensor, mean: Tensor, var: Tensor, gain: Tensor, bias: Tensor, frames: int, eps: float) -> Tensor:
    """relu(gain . (x - mean) / sqrt(var + eps) + bias) of ``[T * B, C, H, W]``, in x's type.

    Args:
        x: frames, time-major.
        mean: ``[T or 1, C]``.
        var: ``[T or 1, C]``.
        gain: ``[B or 1, C]``.
        bias: ``[B or 1, C]``.
        frames: T.
        eps: added to the variance.
    """
    mean, var = mean[:, None, :, None, None], var[:, None, :, None, None]  # [T or 1, 1, C, 1, 1]
    gain, bias = gain[None, :, :, None, None], bias[None, :, :, None, None]  # [1, B or 1, C, 1, 1]
    y = gain * (by_step(x, frames) - mean) * torch.rsqrt(var + eps) + bias  # [T, B, C, H, W]
    return torch.relu(y).flatten(0, 1).to(x.dtype)  # [T * B, C, H, W]
