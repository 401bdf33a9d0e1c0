"""The TSRU's loop over time, unrolled in one autograd function, as `recurrence` does for the ConvGRU.

The input sides of the kernels run once over all frames; only the state sides are in the loop, in a layout made once; a
first state of zero is neither convolved nor moved; and the gradients of the kernels are taken once for all frames.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from dvdgan.networks.folding import by_step
from dvdgan.networks.kernels.layout import memory_layout
from dvdgan.networks.kernels.packed import PackedKernel, transposed
from dvdgan.networks.kernels.recurrence import convolution_backward, every_step, kernel_gradient

_GATES = ("motion", "candidate", "update")
_SAMPLING = (0, 1, False)  # bilinear, border, corners not aligned


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
        x: ``[T * B, in, H, W]``, in the type that convolves; if constant, ``[B, in, H, W]``.
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
    dc = (1 - u) . dh, du = (w - c) . dh and dw = u . dh, to which the kernels that see c and w add; the warp's own
    backward pass makes of dw the gradients of h and of the offsets. Only these are in the loop.
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
        # input sides, over all frames at once; what the loop makes of them will overwrite them
        motions, candidates = (  # [T, B, hidden, H, W]
            every_step(F.conv2d(x, kernel, bias, padding=1), input_frames, frames)
            for kernel, bias in ((motion_x, motion_bias), (candidate_x, candidate_bias))
        )
        if variant == "s":
            updates = torch.empty_like(candidates).copy_(update_bias[:, None, None])
        else:
            updates = every_step(F.conv2d(x, update_x, update_bias, padding=1), input_frames, frames)
        like = candidates[0]
        offsets = _room(candidates, 2).copy_(offsets_bias[:, None, None])  # [T, B, 2, H, W]
        # the loop: state sides
        states, warped = torch.empty_like(candidates), torch.empty_like(candidates)
        to_motion, to_offsets = PackedKernel(motion_h, like), PackedKernel(offsets_kernel, like)
        to_candidate, to_update = PackedKernel(candidate_h, like), PackedKernel(update_h, like)
        from_candidate = PackedKernel(update_x, like) if variant == "s" else None
        warp = _Warp(like)
        h = state if state is None else state.to(x.dtype)
        for m, c, u, o, w, h_next in zip(motions, candidates, updates, offsets, warped, states):
            if h is None:  # h = 0, wherever it moves: w = 0
                w.zero_()
                c.relu_()
            else:
                to_offsets.add_to(o, to_motion.add_to(m, h, relu=True))
                w.copy_(warp(h, o))
                to_candidate.add_to(c, h if variant == "p" else w, relu=True)
                to_update.add_to(u, w if variant == "s" else h)
            if from_candidate is not None:
                from_candidate.add_to(u, c)
            torch.lerp(c, w, u.sigmoid_(), out=h_next)
            h = h_next
        ctx.variant, ctx.shared = variant, input_frames < frames
        ctx.save_for_backward(
            *(x, motion_h, motion_x, candidate_h, candidate_x, update_h, update_x, offsets_kernel, state),
            *(motions, candidates, updates, offsets, warped, states),
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
        d_motions, d_candidates, d_updates = (torch.empty_like(states) for _ in range(3))
        d_offsets = torch.empty_like(offsets)
        # the loop, backwards: gradients before sigmoids and ReLUs
        from_motion, from_offsets, from_candidate, from_update = (
            PackedKernel(transposed(kernel), like) for kernel in (motion_h, offsets_kernel, candidate_h, update_h)
        )
        to_candidate = PackedKernel(transposed(update_x), like) if variant == "s" else None
        warp = _Warp(like)
        first = None if state is None else state.to(states.dtype)
        carried: Tensor | None = None
        for t in reversed(range(frames)):
            h, m, c, u, w = states[t - 1] if t else first, motions[t], candidates[t], updates[t], warped[t]
            dm, dc, du = d_motions[t], d_candidates[t], d_updates[t]
            dh = d_states[t] if carried is None else carried + d_states[t]
            torch.ops.aten.sigmoid_backward.grad_input((w - c) * dh, u, grad_input=du)
            dw = dh * u
            before_relu = dh - dw
            if to_candidate is not None:
                to_candidate.add_to(before_relu, du)
            torch.ops.aten.threshold_backward.grad_input(before_relu, c, 0, grad_input=dc)
            if h is None:
                dm.zero_()
                d_offsets[t].zero_()
                break
            if variant == "s":
                from_update.add_to(dw, du)
            if variant != "p":
                from_candidate.add_to(dw, dc)
            carried, d_o = warp.gradients(dw, h, offsets[t])
            d_offsets[t].copy_(d_o)
            torch.ops.aten.threshold_backward.grad_input(from_offsets(d_offsets[t]), m, 0, grad_input=dm)
            from_motion.add_to(carried, dm)
            if variant == "p":
                from_candidate.add_to(carried, dc)
            if variant != "s":
                from_update.add_to(carried, du)

        # kernels' state sides, over all frames at once
        skipped = 0 if state is not None else 1  # a first state of zero gives no gradient
        before = states[:-1] if first is None else torch.cat([first[None], states[:-1]])
        moved = warped[skipped:]
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
        if ctx.shared:  # one input for all frames
            inputs = [(dy.sum(0, keepdim=True), kernel) for dy, kernel in inputs]
        inputs = [(dy.flatten(0, 1), kernel) for dy, kernel in inputs]
        of_inputs = [convolution_backward(dy, x, kernel, [False, True, True])[1:] for dy, kernel in inputs]
        (d_motion_x, d_motion_bias), (d_candidate_x, d_candidate_bias) = of_inputs[:2]
        if variant != "s":
            d_update_x, d_update_bias = of_inputs[2]
        dx = None
        if ctx.needs_input_grad[0]:
            (dy, kernel), *others = inputs
            dx = F.conv2d(dy, transposed(kernel), padding=1)
            for dy, kernel in others:
                PackedKernel(transposed(kernel), dy).add_to(dx, dy)
        return (
            *(dx, d_motion_h, d_motion_x, d_candidate_h, d_candidate_x, d_update_h, d_update_x),
            *(d_motion_bias, d_candidate_bias, d_update_bias, d_offsets_bias, d_offsets_kernel),
            *(carried if state is not None else None, None, None, None),
        )


class _Warp:
    """`dvdgan.networks.recurrent.warp` and its gradients, for pictures like one.

    Args:
        like: ``[B, C, H, W]``.
    """

    def __init__(self, like: Tensor) -> None:
        height, width = like.shape[2:]
        self._dtype = torch.promote_types(like.dtype, torch.float32)  # bf16 has no room for places
        down, right = (torch.arange(n, device=like.device, dtype=self._dtype) for n in (height, width))
        self._places = torch.stack(torch.meshgrid(right, down, indexing="xy"), -1) + 0.5  # [H, W, 2]
        self._halves = torch.tensor([width, height], device=like.device, dtype=self._dtype) / 2

    def __call__(self, x: Tensor, offsets: Tensor) -> Tensor:
        """``[B, C, H, W]`` sampled at each place plus its offset ``[B, 2, H, W]``, in fp32."""
        return torch.ops.aten.grid_sampler_2d(x.to(self._dtype), self._grid(offsets), *_SAMPLING)

    def gradients(self, dy: Tensor, x: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """Those of x, in its type and memory layout, and of the offsets, in fp32."""
        d_x, d_grid = torch.ops.aten.grid_sampler_2d_backward(
            dy.to(self._dtype), x.to(self._dtype), self._grid(offsets), *_SAMPLING, [True, True]
        )
        return torch.empty_like(x).copy_(d_x), (d_grid / self._halves).permute(0, 3, 1, 2)

    def _grid(self, offsets: Tensor) -> Tensor:
        """``[B, H, W, 2]``, corners of the picture at -1 and 1."""
        return (offsets.permute(0, 2, 3, 1).to(self._dtype) + self._places) / self._halves - 1


def _room(like: Tensor, channels: int) -> Tensor:
    """Memory of the type and layout of ``[T, B, C, H, W]``, with another number of channels."""
    steps, batch, _, height, width = like.shape
    return torch.empty(
        (steps * batch, channels, height, width),
        dtype=like.dtype,
        device=like.device,
        memory_format=memory_layout(like.flatten(0, 1)),
    ).unflatten(0, (steps, batch))
