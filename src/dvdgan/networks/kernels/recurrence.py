"""The loop over time of the ConvGRU and of the TrajGRU, unrolled in one autograd function.

Each kernel is split into its state side and its input side. The input sides run once over all frames; only the state
sides are in the loop, as packed kernels; a first state of zero is not convolved; and the gradients of the kernels are
computed once for all frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dvdgan.networks.folding import by_step
from dvdgan.networks.kernels.layout import memory_layout
from dvdgan.networks.kernels.motion import Motion, MotionBackward
from dvdgan.networks.kernels.packed import PackedKernel, transposed


def unroll(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    frames: int,
    state: Tensor | None,
    constant: bool,
    motion: Sequence[Tensor] = (),
) -> Tensor:
    """States of all frames, ``[T * B, hidden, H, W]``, of the ConvGRU or TrajGRU in `dvdgan.networks.recurrent`.

    Args:
        x: ``[T * B, in, H, W]``, in the convolutions' type; if constant, ``[B, in, H, W]``.
        weights: kernels ``[hidden, hidden + in, 3, 3]`` of r, u and c, in x's type.
        biases: ``[hidden]`` of r, u and c.
        frames: T.
        state: the state before the first frame, ``[B, hidden, H, W]``; None is zero.
        constant: whether the input is the same at every step.
        motion: of a TrajGRU, kernel and bias of the motion, then of the offsets; empty for a ConvGRU.
    """
    hidden = weights[0].shape[0]
    split = [weight.split([hidden, weight.shape[1] - hidden], 1) for weight in weights]
    (reset_h, reset_x), (update_h, update_x), (candidate_h, candidate_x) = split
    motion_parts: tuple[Tensor | None, ...] = (None,) * 5
    if motion:
        kernel, bias, offsets_kernel, offsets_bias = motion
        motion_parts = (kernel[:, :hidden], kernel[:, hidden:], bias.to(x.dtype), offsets_kernel, offsets_bias)
    return _Unroll.apply(
        x,
        torch.cat([reset_x, update_x]),
        torch.cat([biases[0], biases[1]]).to(x.dtype),
        candidate_x,
        biases[2].to(x.dtype),
        torch.cat([reset_h, update_h]),
        candidate_h,
        state,
        1 if constant else frames,
        frames,
        *motion_parts,
    )


class _Unroll(torch.autograd.Function):
    """The loop over time, whose backward pass leaves all kernel gradients to convolutions over all frames.

    With dh the gradient of a state h' = u . h + (1 - u) . c, from its own use and from the step after it:
    dc = (1 - u) . dh, masked where c = 0, and du = (h - c) . dh; d(r . h) is dc's input gradient, dr = h . d(r . h);
    the gradient of h is u . dh + r . d(r . h) + the input gradient of [dr; du] before their sigmoids. Only these input
    gradients are in the loop; kernel gradients are computed once, over the frames as a batch, where the plain form
    computes them at each step and sums them in the precision of the activations.

    Gates and candidates overwrite their projected inputs, and each convolution adds to what is there.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx,
        x: Tensor,
        gates_x: Tensor,
        gates_bias: Tensor,
        candidate_x: Tensor,
        candidate_bias: Tensor,
        gates_h: Tensor,
        candidate_h: Tensor,
        state: Tensor | None,
        input_frames: int,
        frames: int,
        motion_h: Tensor | None = None,
        motion_x: Tensor | None = None,
        motion_bias: Tensor | None = None,
        offsets_kernel: Tensor | None = None,
        offsets_bias: Tensor | None = None,
    ) -> Tensor:
        """Inputs to states ``[T * B, hidden, H, W]``.

        Args:
            ctx: autograd's.
            x: ``[T * B, in, H, W]``, or ``[B, …]`` where all frames share it.
            gates_x: input side of the gates' kernels, ``[2 * hidden, in, 3, 3]`` (r, u).
            gates_bias: ``[2 * hidden]``.
            candidate_x: input side of the candidate's kernel.
            candidate_bias: ``[hidden]``.
            gates_h: state side of the gates' kernels, ``[2 * hidden, hidden, 3, 3]``.
            candidate_h: state side of the candidate's kernel.
            state: the state before the first frame, or None for zero.
            input_frames: how many frames of x there are: T or 1.
            frames: T.
            motion_h: of a TrajGRU, state side of the motion's kernel, ``[hidden, hidden, 3, 3]``; None for a ConvGRU.
            motion_x: its input side.
            motion_bias: ``[hidden]``.
            offsets_kernel: ``[2, hidden, 3, 3]``.
            offsets_bias: ``[2]``.
        """
        # input sides, over all frames at once; the loop overwrites them with its results
        hidden = candidate_h.shape[0]
        gates, candidates = (  # [T, B, 2 * hidden, H, W] and [T, B, hidden, H, W]
            every_step(F.conv2d(x, kernel, bias, padding=1), input_frames, frames)
            for kernel, bias in ((gates_x, gates_bias), (candidate_x, candidate_bias))
        )
        # the loop: state sides
        states, resets = torch.empty_like(candidates), torch.empty_like(candidates)  # resets are r . h
        to_gates, to_candidate = PackedKernel(gates_h, candidates[0]), PackedKernel(candidate_h, candidates[0])
        motion = None
        if motion_h is not None:
            assert motion_x is not None
            assert offsets_kernel is not None
            assert offsets_bias is not None
            motions = every_step(F.conv2d(x, motion_x, motion_bias, padding=1), input_frames, frames)
            motion = Motion(motions, motion_h, offsets_kernel, offsets_bias)
        h = state if state is None else state.to(x.dtype)
        for t, (g, c, h_next, rh) in enumerate(zip(gates, candidates, states, resets)):  # g is [r; u]
            w = h if motion is None or h is None else motion.move(t, h)
            if w is None:  # h = 0: r is without effect and u . h vanishes
                g.sigmoid_()
                c.relu_()
                torch.addcmul(c, g[:, hidden:], c, value=-1, out=h_next)
                rh.zero_()
            else:
                to_gates.add_to(g, w).sigmoid_()
                torch.mul(g[:, :hidden], w, out=rh)
                to_candidate.add_to(c, rh, relu=True)
                torch.lerp(c, w, g[:, hidden:], out=h_next)
            h = h_next
        ctx.shared = input_frames < frames
        moved = (None,) * 3 if motion is None else (motion.motions, motion.offsets, motion.warped)
        ctx.save_for_backward(
            *(x, gates_x, candidate_x, gates_h, candidate_h, state, gates, candidates, states, resets),
            *(motion_h, motion_x, offsets_kernel, *moved),
        )
        return states.flatten(0, 1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, d_states: Tensor):  # type: ignore[override]
        """Gradients of all tensors."""
        x, gates_x, candidate_x, gates_h, candidate_h, state, gates, candidates, states, resets, *of_motion = (
            ctx.saved_tensors
        )
        motion_h, motion_x, offsets_kernel, motions, offsets, warped = of_motion
        frames = len(states)
        d_states = by_step(d_states, frames).to(states.dtype)  # [T, B, hidden, H, W]
        d_gates, d_candidates = torch.empty_like(gates), torch.empty_like(candidates)
        # the loop, backwards: gradients of gates and candidates before their sigmoids and ReLU
        from_gates = PackedKernel(transposed(gates_h), gates[0])
        from_candidate = PackedKernel(transposed(candidate_h), candidates[0])
        motion = None if motion_h is None else MotionBackward(motions, offsets, motion_h, offsets_kernel)
        first = None if state is None else state.to(states.dtype)
        carried: Tensor | None = None
        for t in reversed(range(frames)):
            h, c = states[t - 1] if t else first, candidates[t]
            w = h if motion is None or h is None else warped[t]
            r, u = gates[t].chunk(2, 1)
            dr, du = d_gates[t].chunk(2, 1)
            dc = d_candidates[t]
            dh = d_states[t] if carried is None else carried.add_(d_states[t])
            kept = dh * u
            torch.ops.aten.threshold_backward.grad_input(dh - kept, c, 0, grad_input=dc)
            before_u = c * -dh if w is None else torch.sub(w, c).mul_(dh)
            torch.ops.aten.sigmoid_backward.grad_input(before_u, u, grad_input=du)
            if w is None:
                dr.zero_()
                if motion is not None:
                    motion.back(t, kept, None)
                break
            d_rh = from_candidate(dc)
            torch.ops.aten.sigmoid_backward.grad_input(d_rh * w, r, grad_input=dr)
            carried = from_gates.add_to(kept.addcmul_(d_rh, r), d_gates[t])
            if motion is not None:
                carried = motion.back(t, carried, h)

        # kernels' state sides, over all frames at once
        skipped = 0 if state is not None else 1  # a first state of zero gives no gradient
        before = states[:-1] if first is None else torch.cat([first[None], states[:-1]])
        d_gates_h = kernel_gradient(d_gates[skipped:], before if motion is None else warped[skipped:], gates_h)
        d_candidate_h = kernel_gradient(d_candidates[skipped:], resets[skipped:], candidate_h)
        # kernels' input sides, biases and input
        inputs = [(d_gates, gates_x), (d_candidates, candidate_x)]
        of_motion = [None] * 5
        if motion is not None:
            inputs.append((motion.d_motions, motion_x))
            d_offsets = motion.d_offsets
            of_motion[0] = kernel_gradient(motion.d_motions[skipped:], before, motion_h)
            of_motion[3] = kernel_gradient(d_offsets[skipped:], motions[skipped:], offsets_kernel)
            of_motion[4] = d_offsets.sum((0, 1, 3, 4))
        dx, of_inputs = input_gradients(x, inputs, ctx.shared, ctx.needs_input_grad[0])
        if motion is not None:
            of_motion[1:3] = of_inputs[2]
        return (
            *(dx, *of_inputs[0], *of_inputs[1], d_gates_h, d_candidate_h),
            *(carried if state is not None else None, None, None, *of_motion),
        )


def input_gradients(
    x: Tensor, sides: list[tuple[Tensor, Tensor]], shared: bool, of_x: bool
) -> tuple[Tensor | None, list[tuple[Tensor, ...]]]:
    """Gradients of x, if needed, and of the kernel and bias of each input side, over all frames at once.

    Args:
        x: ``[T * B, in, H, W]``, or ``[B, …]`` where all frames share it.
        sides: gradient ``[T, B, out, H, W]`` and kernel of each.
        shared: whether all frames share x.
        of_x: whether the gradient of x is needed.
    """
    if shared:
        sides = [(dy.sum(0, keepdim=True), kernel) for dy, kernel in sides]
    sides = [(dy.flatten(0, 1), kernel) for dy, kernel in sides]
    of_kernels = [convolution_backward(dy, x, kernel, [False, True, True])[1:] for dy, kernel in sides]
    if not of_x:
        return None, of_kernels
    (dy, kernel), *others = sides
    dx = F.conv2d(dy, transposed(kernel), padding=1)
    for dy, kernel in others:
        PackedKernel(transposed(kernel), dy).add_to(dx, dy)
    return dx, of_kernels


def every_step(projected: Tensor, input_frames: int, frames: int) -> Tensor:
    """``[input_frames * B, C, H, W]`` to ``[T, B, C, H, W]``, in memory that may be overwritten."""
    steps = by_step(projected, input_frames)
    if input_frames == frames:
        return steps
    shape = (frames * steps.shape[1], *steps.shape[2:])
    layout = memory_layout(projected)
    room = torch.empty(shape, dtype=projected.dtype, device=projected.device, memory_format=layout)
    return by_step(room, frames).copy_(steps)


def kernel_gradient(dy: Tensor, x: Tensor, kernel: Tensor) -> Tensor:
    """Gradient of a 3x3 convolution's kernel over all of ``[T, B, C, H, W]``."""
    if not len(x):
        return torch.zeros_like(kernel)
    return convolution_backward(dy.flatten(0, 1), x.flatten(0, 1), kernel, [False, True, False])[1]


def convolution_backward(dy: Tensor, x: Tensor, kernel: Tensor, wanted: list[bool]) -> tuple[Tensor, ...]:
    """Gradients of a 3x3 convolution's input, kernel and bias, those that ``wanted`` says."""
    bias = [len(kernel)]
    return torch.ops.aten.convolution_backward(dy, x, kernel, bias, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, wanted)
