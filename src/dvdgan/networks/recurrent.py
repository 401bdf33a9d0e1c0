"""The convolutional GRU that carries movement (paper, section 3.1).

r = sigmoid(W_r * [h; x] + b_r)
u = sigmoid(W_u * [h; x] + b_u)
c = relu(W_c * [r . h; x] + b_c)
h' = u . h + (1 - u) . c
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dvdgan.networks.folding import by_step, from_steps
from dvdgan.networks.layers import Conv2d


class ConvGRU(nn.Module):
    """A ConvGRU with 3x3 kernels, ReLU candidate and spectral norm on each gate's whole kernel.

    Written to be quick: each kernel is split into its state side and its input side; the input sides of all gates and
    all frames are one convolution; only the state sides are in the loop; the zero first state is not convolved.

    Args:
        inputs: channels of x.
        hidden: channels of h and of the output.
        spectral_norm: on the three kernels.
    """

    def __init__(self, inputs: int, hidden: int, spectral_norm: bool = True) -> None:
        super().__init__()
        self.hidden = hidden
        self.reset = Conv2d(hidden + inputs, hidden, 3, spectral_norm=spectral_norm)
        self.update = Conv2d(hidden + inputs, hidden, 3, spectral_norm=spectral_norm)
        self.candidate = Conv2d(hidden + inputs, hidden, 3, spectral_norm=spectral_norm)

    @torch.no_grad()
    def spread_memory(self, frames: int, generator: torch.Generator | None) -> None:
        """Set the update gates' bias so that memories spread log-uniformly over 1 to ``frames - 1`` steps.

        A unit with u = tau / (1 + tau) forgets over about tau frames (Tallec and Ollivier 2018, "chrono").
        """
        bias = self.update.bias
        if bias is not None and not bias.is_meta:
            bias.uniform_(0.0, math.log(max(frames - 1, 1)), generator=generator)

    def forward(self, x: Tensor, frames: int, state: Tensor | None = None, constant: bool = False) -> Tensor:
        """Unroll over time.

        Args:
            x: ``[T * B, inputs, H, W]``; if constant, ``[B, inputs, H, W]``, the same input at every step.
            frames: T.
            state: the state before the first frame, ``[B, hidden, H, W]``; None is zero.
            constant: whether the input is the same at every step; it is then convolved once.

        Returns:
            The states of all frames, ``[T * B, hidden, H, W]``.
        """
        dtype = _convolution_dtype(x)
        gates = (self.reset, self.update, self.candidate)
        sides = [self.hidden, self.reset.weight.shape[1] - self.hidden]
        split = [gate.effective_weight().to(dtype).split(sides, 1) for gate in gates]
        (reset_h, reset_x), (update_h, update_x), (candidate_h, candidate_x) = split
        gates_kernel, candidate_kernel = torch.cat([reset_h, update_h]), candidate_h.contiguous()
        bias = torch.cat([gate.bias for gate in gates if gate.bias is not None]).to(dtype)
        projected = F.conv2d(x.to(dtype), torch.cat([reset_x, update_x, candidate_x]), bias, padding=1)
        steps = projected.expand(frames, *projected.shape) if constant else by_step(projected, frames)

        states = []
        for step in steps:
            state = self._step(step, state, gates_kernel, candidate_kernel)
            states.append(state)
        return from_steps(states)

    def _step(self, projected: Tensor, state: Tensor | None, gates_kernel: Tensor, candidate_kernel: Tensor) -> Tensor:
        """One time step from the projected input ``[B, 3 * hidden, H, W]`` (r, u, c) and the state before it."""
        gates_x, candidate_x = projected.split([2 * self.hidden, self.hidden], 1)
        if state is None:  # h = 0: r is without effect and u . h vanishes
            update = torch.sigmoid(gates_x[:, self.hidden :])
            candidate = torch.relu(candidate_x)
            return candidate - update * candidate
        reset, update = torch.sigmoid(gates_x + F.conv2d(state, gates_kernel, padding=1)).chunk(2, 1)
        candidate = torch.relu(candidate_x + F.conv2d(reset * state, candidate_kernel, padding=1))
        return torch.lerp(candidate, state, update)


def _convolution_dtype(x: Tensor) -> torch.dtype:
    """What autocast would convolve in: weights are cast once, outside the loop over time."""
    if x.is_meta or not torch.is_autocast_enabled(x.device.type):
        return x.dtype
    return torch.get_autocast_dtype(x.device.type)
