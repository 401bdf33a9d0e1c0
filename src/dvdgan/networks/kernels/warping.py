"""The TSRU's loop over time, unrolled in one autograd function, as `recurrence` does for the ConvGRU.

The input sides of the kernels run once over all frames; only the state sides are in the loop, as packed kernels; a
first state of zero is neither convolved nor moved; and the gradients of the kernels are computed once for all frames.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from dvdgan.networks.folding import by_step
from dvdgan.networks.kernels.motion import Motion, MotionBackward
from dvdgan.networks.kernels.packed import PackedKernel, transposed
from dvdgan.networks.kernels.recurrence import every_step, input_gradients, kernel_gradient

_GATES = ("motion", "candidate", "update")


def unroll_moving(
    x: Tensor,
    weights: Mapping[str, Tensor],
    biases: Mapping[str, Tensor],
    variant: str,
    frames: int,
    state: Tensor | None,
    constant: bool,
) -> Tensor:
    """States of all frames, ``[T * B, hidden, H, W]``, of the TSRU in `dvdgan.networks.recurrent`.

    Args:
        x: ``[T * B, in, H, W]``, in the convolutions' type; if constant, ``[B, in, H, W]``.
        weights: kernels of ``motion``, ``offsets``, ``candidate`` and ``update``, in x's type.
        biases: of the same, ``[out]``.
        variant: ``c``, ``p`` or ``s``.
        frames: T.
        state: the state before the first frame, ``[B, hidden, H, W]``; None is zero.
        constant: whether the input is the same at every step.
    """
    hidden = len(weights["motion"])
    sides = [weights[name][:, part] for name in _GATES for part in (slice(None, hidden), slice(hidden, None))]
    shifts = [biases[name].to(x.dtype) for name in (*_GATES, "offsets")]
    return _Unroll.apply(x, *sides, *shifts, weights["offsets"], state, variant, 1 if constant else frames, frames)


class _Unroll(torch.autograd.Function):
    """The loop over time; the equations are those of `dvdgan.networks.recurrent.TSRU`.

    With dh the gradient of a state h' = u . w + (1 - u) . c, from its own use and from the step after it:
    dc = (1 - u) . dh, du = (w - c) . dh and dw = u . dh, plus those through the kernels whose inputs are c and w; the
    backward pass of the warp turns dw into the gradients of h and of the offsets. Only these are in the loop.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx,
        x: Tensor,
        motion_h: Tensor,
        motion_x: Tensor,
        candidate_h: Tensor,
        candidate_x: Tensor,
        update_h: Tensor,
        update_x: Tensor,
        motion_bias: Tensor,
        candidate_bias: Tensor,
        update_bias: Tensor,
        offsets_bias: Tensor,
        offsets_kernel: Tensor,
        state: Tensor | None,
        variant: str,
        input_frames: int,
        frames: int,
    ) -> Tensor:
        """Inputs to states ``[T * B, hidden, H, W]``.

        Args:
            ctx: autograd's.
            x: ``[T * B, in, H, W]``, or ``[B, …]`` where all frames share it.
            motion_h: state side of a kernel, ``[hidden, hidden, 3, 3]``.
            motion_x: input side, ``[hidden, in, 3, 3]``.
            candidate_h: side of the moved state; variant p: of the state.
            candidate_x: input side.
            update_h: state side; variant s: side of the moved state.
            update_x: input side; variant s: side of the candidate, ``[hidden, hidden, 3, 3]``.
            motion_bias: ``[hidden]``.
            candidate_bias: ``[hidden]``.
            update_bias: ``[hidden]``.
            offsets_bias: ``[2]``.
            offsets_kernel: ``[2, hidden, 3, 3]``.
            state: the state before the first frame, or None for zero.
            variant: ``c``, ``p`` or ``s``.
            input_frames: how many frames of x there are: T or 1.
            frames: T.
        """
        # input sides, over all frames at once; the loop overwrites them with its results
        motions, candidates = (  # [T, B, hidden, H, W]
            every_step(F.conv2d(x, kernel, bias, padding=1), input_frames, frames)
            for kernel, bias in ((motion_x, motion_bias), (candidate_x, candidate_bias))
        )
        if variant == "s":
            updates = torch.empty_like(candidates).copy_(update_bias[:, None, None])
        else:
            updates = every_step(F.conv2d(x, update_x, update_bias, padding=1), input_frames, frames)
        # the loop: state sides
        like, states = candidates[0], torch.empty_like(candidates)
        motion = Motion(motions, motion_h, offsets_kernel, offsets_bias)
        to_candidate, to_update = PackedKernel(candidate_h, like), PackedKernel(update_h, like)
        from_candidate = PackedKernel(update_x, like) if variant == "s" else None
        h = state if state is None else state.to(x.dtype)
        for t, (c, u, h_next) in enumerate(zip(candidates, updates, states)):
            w = motion.move(t, h)
            if h is None:  # h = 0 and w = 0
                c.relu_()
            else:
                to_candidate.add_to(c, h if variant == "p" else w, relu=True)
                to_update.add_to(u, w if variant == "s" else h)
            if from_candidate is not None:
                from_candidate.add_to(u, c)
            torch.lerp(c, w, u.sigmoid_(), out=h_next)
            h = h_next
        ctx.variant, ctx.shared = variant, input_frames < frames
        ctx.save_for_backward(
            *(x, motion_h, motion_x, candidate_h, candidate_x, update_h, update_x, offsets_kernel, state),
            *(motions, candidates, updates, motion.offsets, motion.warped, states),
        )
        return states.flatten(0, 1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, d_states: Tensor):  # type: ignore[override]
        """Gradients of all tensors."""
        x, motion_h, motion_x, candidate_h, candidate_x, update_h, update_x, offsets_kernel, state, *rest = (
            ctx.saved_tensors
        )
        motions, candidates, updates, offsets, warped, states = rest
        variant, frames, like = ctx.variant, len(states), states[0]
        d_states = by_step(d_states, frames).to(states.dtype)  # [T, B, hidden, H, W]
        d_candidates, d_updates = (torch.empty_like(states) for _ in range(2))
        # the loop, backwards: gradients before sigmoids and ReLUs
        motion = MotionBackward(motions, offsets, motion_h, offsets_kernel)
        from_candidate, from_update = (PackedKernel(transposed(kernel), like) for kernel in (candidate_h, update_h))
        to_candidate = PackedKernel(transposed(update_x), like) if variant == "s" else None
        first = None if state is None else state.to(states.dtype)
        carried: Tensor | None = None
        for t in reversed(range(frames)):
            h, c, u, w = states[t - 1] if t else first, candidates[t], updates[t], warped[t]
            dc, du = d_candidates[t], d_updates[t]
            dh = d_states[t] if carried is None else carried + d_states[t]
            torch.ops.aten.sigmoid_backward.grad_input((w - c) * dh, u, grad_input=du)
            dw = dh * u
            before_relu = dh - dw
            if to_candidate is not None:
                to_candidate.add_to(before_relu, du)
            torch.ops.aten.threshold_backward.grad_input(before_relu, c, 0, grad_input=dc)
            if h is not None and variant == "s":
                from_update.add_to(dw, du)
            if h is not None and variant != "p":
                from_candidate.add_to(dw, dc)
            carried = motion.back(t, dw, h)
            if carried is None:
                break
            if variant == "p":
                from_candidate.add_to(carried, dc)
            if variant != "s":
                from_update.add_to(carried, du)

        # kernels' state sides, over all frames at once
        skipped = 0 if state is not None else 1  # a first state of zero gives no gradient
        before = states[:-1] if first is None else torch.cat([first[None], states[:-1]])
        moved, d_motions, d_offsets = warped[skipped:], motion.d_motions, motion.d_offsets
        d_motion_h = kernel_gradient(d_motions[skipped:], before, motion_h)
        d_candidate_h = kernel_gradient(d_candidates[skipped:], before if variant == "p" else moved, candidate_h)
        d_update_h = kernel_gradient(d_updates[skipped:], moved if variant == "s" else before, update_h)
        d_offsets_kernel = kernel_gradient(d_offsets[skipped:], motions[skipped:], offsets_kernel)
        d_offsets_bias = d_offsets.sum((0, 1, 3, 4))
        # kernels' input sides, biases and input
        if variant == "s":
            d_update_x, d_update_bias = kernel_gradient(d_updates, candidates, update_x), d_updates.sum((0, 1, 3, 4))
        inputs = [(d_motions, motion_x), (d_candidates, candidate_x)]
        if variant != "s":
            inputs.append((d_updates, update_x))
        dx, of_inputs = input_gradients(x, inputs, ctx.shared, ctx.needs_input_grad[0])
        (d_motion_x, d_motion_bias), (d_candidate_x, d_candidate_bias) = of_inputs[:2]
        if variant != "s":
            d_update_x, d_update_bias = of_inputs[2]
        return (
            *(dx, d_motion_h, d_motion_x, d_candidate_h, d_candidate_x, d_update_h, d_update_x),
            *(d_motion_bias, d_candidate_bias, d_update_bias, d_offsets_bias, d_offsets_kernel),
            *(carried if state is not None else None, None, None, None),
        )
