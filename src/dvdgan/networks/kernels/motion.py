"""Moving a recurrence's state, over all time steps: predicted offsets, a bilinear warp, and their gradients.

m = relu(motion_h * h + motion_x * x + bias),  o = offsets * m + bias,  w = h at (position + o)
"""

from __future__ import annotations

import torch
from torch import Tensor

from dvdgan.networks.kernels.layout import memory_layout
from dvdgan.networks.kernels.packed import PackedKernel, transposed

_SAMPLING = (0, 1, False)  # bilinear, border, corners not aligned


class Motion:
    """Moves a state at each step.

    Args:
        motions: the input side of the motion, ``[T, B, hidden, H, W]``, which m overwrites.
        motion_h: state side of its kernel, ``[hidden, hidden, 3, 3]``.
        offsets_kernel: ``[2, hidden, 3, 3]``.
        offsets_bias: ``[2]``.

    Attributes:
        offsets: ``[T, B, 2, H, W]``, in pixels to the right and down; those of steps at which nothing moved are unused.
        warped: moved states ``[T, B, hidden, H, W]``.
    """

    def __init__(self, motions: Tensor, motion_h: Tensor, offsets_kernel: Tensor, offsets_bias: Tensor) -> None:
        self.motions, self.warped = motions, torch.empty_like(motions)
        self.offsets = room_for(motions, 2).copy_(offsets_bias[:, None, None])
        like = motions[0]
        self._to_motion, self._to_offsets = PackedKernel(motion_h, like), PackedKernel(offsets_kernel, like)
        self._warp = _Warp(like)

    def move(self, t: int, h: Tensor | None) -> Tensor:
        """State ``[B, hidden, H, W]`` before step t to w; None is zero, which moving does not change."""
        w = self.warped[t]
        if h is None:
            return w.zero_()
        offsets = self._to_offsets.add_to(self.offsets[t], self._to_motion.add_to(self.motions[t], h, relu=True))
        return w.copy_(self._warp(h, offsets))


class MotionBackward:
    """The gradients of a `Motion`'s moves.

    Args:
        motions: m of all steps.
        offsets: the `Motion`'s.
        motion_h: the `Motion`'s.
        offsets_kernel: the `Motion`'s.

    Attributes:
        d_motions: gradients before m's ReLU, ``[T, B, hidden, H, W]``.
        d_offsets: ``[T, B, 2, H, W]``.
    """

    def __init__(self, motions: Tensor, offsets: Tensor, motion_h: Tensor, offsets_kernel: Tensor) -> None:
        self._motions, self._offsets = motions, offsets
        self.d_motions, self.d_offsets = torch.empty_like(motions), torch.empty_like(offsets)
        like = motions[0]
        self._from_motion = PackedKernel(transposed(motion_h), like)
        self._from_offsets = PackedKernel(transposed(offsets_kernel), like)
        self._warp = _Warp(like)

    def back(self, t: int, dw: Tensor, h: Tensor | None) -> Tensor | None:
        """Gradient of w at step t to that of the state h before it, which is None where h is."""
        dm, d_offsets = self.d_motions[t], self.d_offsets[t]
        if h is None:
            dm.zero_()
            d_offsets.zero_()
            return None
        dh, d_o = self._warp.gradients(dw, h, self._offsets[t])
        d_offsets.copy_(d_o)
        torch.ops.aten.threshold_backward.grad_input(self._from_offsets(d_offsets), self._motions[t], 0, grad_input=dm)
        return self._from_motion.add_to(dh, dm)


class _Warp:
    """`dvdgan.networks.recurrent.warp` and its gradients, for pictures of one size, type and device.

    Args:
        like: ``[B, C, H, W]``.
    """

    def __init__(self, like: Tensor) -> None:
        height, width = like.shape[2:]
        self._dtype = torch.promote_types(like.dtype, torch.float32)  # bf16 is too coarse for positions
        down, right = (torch.arange(n, device=like.device, dtype=self._dtype) for n in (height, width))
        self._places = torch.stack(torch.meshgrid(right, down, indexing="xy"), -1) + 0.5  # [H, W, 2]
        self._halves = torch.tensor([width, height], device=like.device, dtype=self._dtype) / 2

    def __call__(self, x: Tensor, offsets: Tensor) -> Tensor:
        """``[B, C, H, W]`` sampled at each position plus its offset ``[B, 2, H, W]``, in fp32; without a place, NaN."""
        grid = self._grid(offsets)
        moved = torch.ops.aten.grid_sampler_2d(x.to(self._dtype), readable(grid), *_SAMPLING)
        return moved.masked_fill_(unreadable(grid), torch.nan)

    def gradients(self, dy: Tensor, x: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """Those of x, in its type and memory layout, and of the offsets, in fp32."""
        d_x, d_grid = torch.ops.aten.grid_sampler_2d_backward(
            dy.to(self._dtype), x.to(self._dtype), readable(self._grid(offsets)), *_SAMPLING, [True, True]
        )
        return torch.empty_like(x).copy_(d_x), (d_grid / self._halves).permute(0, 3, 1, 2)

    def _grid(self, offsets: Tensor) -> Tensor:
        """``[B, H, W, 2]``, corners of the picture at -1 and 1."""
        return (offsets.permute(0, 2, 3, 1).to(self._dtype) + self._places) / self._halves - 1


def readable(grid: Tensor) -> Tensor:
    """A sampling grid without NaN: a CPU's ``grid_sampler_2d`` with a border reads outside of the picture there."""
    return torch.where(grid.isnan(), 0, grid)


def unreadable(grid: Tensor) -> Tensor:
    """Which pixels ``[B, 1, H, W]`` a sampling grid ``[B, H, W, 2]`` gives no place, since it is NaN."""
    return grid.isnan().any(-1)[:, None]


def room_for(like: Tensor, channels: int) -> Tensor:
    """An empty tensor of the type and layout of ``[T, B, C, H, W]``, with another number of channels."""
    steps, batch, _, height, width = like.shape
    return torch.empty(
        (steps * batch, channels, height, width),
        dtype=like.dtype,
        device=like.device,
        memory_format=memory_layout(like.flatten(0, 1)),
    ).unflatten(0, (steps, batch))
