"""The convolutional GRU that carries movement from frame to frame (paper, section 3.1)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dvdgan.networks import kernels
from dvdgan.networks.folding import by_step
from dvdgan.networks.kernels.recurrence import unroll
from dvdgan.networks.layers import Conv2d, convolution_dtype
from dvdgan.networks.recomputed import Recomputed


class ConvGRU(Recomputed):
    """A ConvGRU with 3x3 kernels, a ReLU candidate, spectral norm on each gate's whole kernel, and no normalisation.

    r  = sigmoid(W_r * [h; x] + b_r)
    u  = sigmoid(W_u * [h; x] + b_u)
    c  = relu(W_c * [r . h; x] + b_c)
    h' = u . h + (1 - u) . c

    Args:
        in_channels: of x.
        hidden_channels: of h, and so of the output.
        spectral_norm: on the three kernels.
    """

    def __init__(self, in_channels: int, hidden_channels: int, spectral_norm: bool = True) -> None:
        super().__init__()
        self.hidden_channels = hidden_channels
        both = hidden_channels + in_channels  # of [h; x]
        self.reset = Conv2d(both, hidden_channels, kernel_size=3, spectral_norm=spectral_norm)
        self.update = Conv2d(both, hidden_channels, kernel_size=3, spectral_norm=spectral_norm)
        self.candidate = Conv2d(both, hidden_channels, kernel_size=3, spectral_norm=spectral_norm)

    def forward(self, x: Tensor, frames: int, state: Tensor | None = None, constant: bool = False) -> Tensor:
        """Unroll over time.

        Args:
            x: ``[T * B, in_channels, H, W]``; if constant, ``[B, in_channels, H, W]``, the same input at every step.
            frames: T.
            state: the state before the first frame, ``[B, hidden_channels, H, W]``; None is zero (paper's synthesis).
            constant: whether the input is the same at every step.

        Returns:
            The states of all frames, ``[T * B, hidden_channels, H, W]``, in the type that convolves.
        """
        dtype = convolution_dtype(x)
        if kernels.enabled:
            gates = (self.reset, self.update, self.candidate)
            weights = [gate.effective_weight(dtype) for gate in gates]
            biases = [gate.bias for gate in gates if gate.bias is not None]
            return unroll(x.to(dtype), weights, biases, frames, state, constant)

        inputs = [x] * frames if constant else by_step(x, frames)  # T of [B, in_channels, H, W]
        h = x.new_zeros(len(inputs[0]), self.hidden_channels, *x.shape[2:]) if state is None else state
        states = []
        for x_t in inputs:
            h = self.step(h.to(dtype), x_t)
            states.append(h)
        return torch.cat(states)  # T of [B, hidden_channels, H, W] to [T * B, hidden_channels, H, W]

    def step(self, h: Tensor, x: Tensor) -> Tensor:
        """State ``[B, hidden_channels, H, W]`` and one step's input ``[B, in_channels, H, W]`` to the next state."""
        r = torch.sigmoid(self.reset(torch.cat([h, x], 1)))
        u = torch.sigmoid(self.update(torch.cat([h, x], 1)))
        c = torch.relu(self.candidate(torch.cat([r * h, x], 1)))
        return u * h + (1 - u) * c

    @torch.no_grad()
    def spread_memory(self, frames: int, generator: torch.Generator | None) -> None:
        """Set the update gates' bias so that memories spread log-uniformly over 1 to ``frames - 1`` steps.

        A unit with u = tau / (1 + tau) forgets over about tau frames (Tallec and Ollivier 2018, "chrono").
        """
        bias = self.update.bias
        if bias is not None and not bias.is_meta:
            bias.uniform_(0.0, math.log(max(frames - 1, 1)), generator=generator)
