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

from dvdgan.networks.folding import by_step
from dvdgan.networks.layers import Conv2d


class ConvGRU(nn.Module):
    """A ConvGRU with 3x3 kernels, ReLU candidate and spectral norm on each gate's whole kernel.

    Written to be quick: each kernel is split into its state side and its input side; the input sides of all gates and
    all frames are one convolution; only the state sides are in the loop; the zero first state is not convolved; and
    gradients of the kernels are taken once for all frames.

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
        return _Unroll.apply(steps, gates_kernel, candidate_kernel, state)


class _Unroll(torch.autograd.Function):
    """The loop over time, whose backward pass leaves all kernel gradients to two convolutions over all frames.

    With dh the gradient of a state h' = u . h + (1 - u) . c, from its own use and from the step after it:
    dc = (1 - u) . dh, masked where c = 0, and du = (h - c) . dh; d(r . h) is dc's input gradient, dr = h . d(r . h);
    the gradient of h is u . dh + r . d(r . h) + the input gradient of [dr; du] before their sigmoids. Only these input
    gradients are in the loop; kernel gradients are taken once, over the frames as a batch, where the plain form takes
    them at each step and sums them up in the precision of the activations.
    """

    @staticmethod
    def forward(ctx, steps: Tensor, gates_kernel: Tensor, candidate_kernel: Tensor, state: Tensor | None):  # type: ignore[override]
        """Projected inputs ``[T, B, 3 * hidden, H, W]`` (r, u, c), first state: to states ``[T * B, hidden, H, W]``.

        The kernels are ``[2 * hidden, hidden, 3, 3]`` (r, u) and ``[hidden, hidden, 3, 3]``.
        """
        hidden = candidate_kernel.shape[0]
        states, resets, candidates = (_like_steps(steps, hidden) for _ in range(3))
        gates = _like_steps(steps, 2 * hidden)
        h = state
        for x, h_next, rh, c, g in zip(steps, states, resets, candidates, gates):
            gates_x, candidate_x = x.split([2 * hidden, hidden], 1)
            if h is None:  # h = 0: r is without effect and u . h vanishes
                torch.sigmoid(gates_x, out=g)
                torch.relu_(c.copy_(candidate_x))
                torch.addcmul(c, g[:, hidden:], c, value=-1, out=h_next)
                rh.zero_()
            else:
                torch.add(gates_x, F.conv2d(h, gates_kernel, padding=1), out=g).sigmoid_()
                torch.mul(g[:, :hidden], h, out=rh)
                torch.add(candidate_x, F.conv2d(rh, candidate_kernel, padding=1), out=c).relu_()
                torch.lerp(c, h, g[:, hidden:], out=h_next)
            h = h_next
        ctx.save_for_backward(states, resets, candidates, gates, gates_kernel, candidate_kernel, state)
        return states.flatten(0, 1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, d_states: Tensor):  # type: ignore[override]
        """Gradients of the projected inputs, the kernels and the first state."""
        states, resets, candidates, gates, gates_kernel, candidate_kernel, state = ctx.saved_tensors
        hidden = candidate_kernel.shape[0]
        d_states = by_step(d_states, len(states))
        d_steps = _like_steps(states, 3 * hidden)
        carried: Tensor | None = None
        for t in reversed(range(len(states))):
            h, c = states[t - 1] if t else state, candidates[t]
            r, u = gates[t].chunk(2, 1)
            dr, du, dc = d_steps[t].chunk(3, 1)
            dh = d_states[t] if carried is None else d_states[t] + carried
            kept = dh * u
            torch.mul((dh - kept).to(c.dtype), c > 0, out=dc)
            if h is None:
                torch.mul(kept * (u - 1), c, out=du)
                dr.zero_()
                carried = None
                continue
            torch.mul(kept * (1 - u), h - c, out=du)
            d_rh = _input_gradient(dc, h, candidate_kernel)
            torch.mul(d_rh * h, r * (1 - r), out=dr)
            carried = torch.addcmul(kept, d_rh, r)
            carried += _input_gradient(d_steps[t][:, : 2 * hidden], h, gates_kernel)
        first = 0 if state is not None else 1
        before = states[:-1] if state is None else torch.cat([state[None], states[:-1]])
        d_gates, d_candidate = d_steps[first:].split([2 * hidden, hidden], 2)
        d_gates_kernel = _kernel_gradient(d_gates, before, gates_kernel)
        d_candidate_kernel = _kernel_gradient(d_candidate, resets[first:], candidate_kernel)
        return d_steps, d_gates_kernel, d_candidate_kernel, carried if state is not None else None


def _like_steps(steps: Tensor, channels: int) -> Tensor:
    """Room for ``[T, B, channels, H, W]`` in the type and memory layout of ``[T, B, C, H, W]``."""
    frames, batch, _, height, width = steps.shape
    layout = (
        torch.channels_last if steps[0].is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    )
    folded = torch.empty(
        frames * batch, channels, height, width, dtype=steps.dtype, device=steps.device, memory_format=layout
    )
    return by_step(folded, frames)


def _input_gradient(dy: Tensor, x: Tensor, kernel: Tensor) -> Tensor:
    """Gradient of a 3x3 convolution's input x from that of its output."""
    return _convolution_backward(dy, x, kernel, [True, False, False])[0]


def _kernel_gradient(dy: Tensor, x: Tensor, kernel: Tensor) -> Tensor:
    """Gradient of a 3x3 convolution's kernel over all of ``[T, B, C, H, W]``."""
    if not len(x):
        return torch.zeros_like(kernel)
    return _convolution_backward(dy.flatten(0, 1), x.flatten(0, 1), kernel, [False, True, False])[1]


def _convolution_backward(dy: Tensor, x: Tensor, kernel: Tensor, wanted: list[bool]) -> tuple[Tensor, ...]:
    return torch.ops.aten.convolution_backward(dy, x, kernel, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, wanted)


def _convolution_dtype(x: Tensor) -> torch.dtype:
    """What autocast would convolve in: weights are cast once, outside the loop over time."""
    if x.is_meta or not torch.is_autocast_enabled(x.device.type):
        return x.dtype
    return torch.get_autocast_dtype(x.device.type)
