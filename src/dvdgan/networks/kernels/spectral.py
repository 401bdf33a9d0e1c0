"""Spectral normalisation in few passes over the weight, in memory order.

A weight ``[out, in, ...]`` in channels last is ``[out, ..., in]`` in memory: its matrix ``[out, rest]`` would be a
copy. Here the matrix is in memory order, and v is reordered instead.
"""

from __future__ import annotations

import torch
from torch import Tensor


def power_iterate(weight: Tensor, u: Tensor, v: Tensor, iterations: int, eps: float) -> None:
    """`SpectralWeight.power_iterate`: update u ``[out]`` and v ``[rest]`` of a weight ``[out, ...]`` in place."""
    matrix, row = _matrix(weight, weight), _row(v, weight)
    for _ in range(iterations):
        row = _normalise(torch.mv(matrix.T, u), eps)
        torch.mv(matrix, row, out=u)
        _normalise(u, eps)
    v.copy_(_plain_row(row, weight))


def _normalise(vector: Tensor, eps: float) -> Tensor:
    """`torch.nn.functional.normalize` of one vector, in place; of a small one, its calls take longer than its sums."""
    return vector.div_(torch.linalg.vector_norm(vector).clamp_min_(eps))


def sigma(weight: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """u W v, a scalar."""
    return torch.dot(u, _matrix(weight, weight) @ _row(v, weight))


def divide_by_sigma(weight: Tensor, sigma: Tensor, u: Tensor, v: Tensor, dtype: torch.dtype) -> Tensor:
    """W / sigma in a type, of the weight's shape and memory layout; sigma = u W v is given, detached.

    The gradient of W is (g − <g, W> / sigma · u vᵀ) / sigma (Miyato et al. 2018, equation 10).
    """
    return _DivideBySigma.apply(weight, sigma, u, v, dtype)


class _DivideBySigma(torch.autograd.Function):
    """`divide_by_sigma`: one pass forward; backward one dot product and one rank-1 update."""

    @staticmethod
    def forward(ctx, weight: Tensor, sigma: Tensor, u: Tensor, v: Tensor, dtype: torch.dtype) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(weight, sigma, u, v)
        return torch.div(weight, sigma).to(dtype)  # a division with a result of another type takes four times as long

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g: Tensor):  # type: ignore[override]
        weight, sigma, u, v = ctx.saved_tensors
        gradient = torch.empty_like(weight).copy_(g).div_(sigma)
        rows = _matrix(gradient, weight)  # a view: [out, rest]
        shared = torch.dot(rows.flatten(), _matrix(weight, weight).flatten()) / sigma
        rows.addr_(u * -shared, _row(v, weight))
        return gradient, None, None, None, None


def _inputs_last(weight: Tensor) -> bool:
    """Whether a weight ``[out, in, ...]`` is ``[out, ..., in]`` in memory."""
    return weight.dim() > 2 and not weight.is_contiguous()


def _matrix(tensor: Tensor, weight: Tensor) -> Tensor:
    """A tensor of a weight's shape and layout as a matrix ``[out, rest]`` in memory order: a view."""
    return (tensor.movedim(1, -1) if _inputs_last(weight) else tensor).flatten(1)


def _row(v: Tensor, weight: Tensor) -> Tensor:
    """A row ``[rest]`` of the plain matrix of a weight, in the order of `_matrix`."""
    return v.view(weight.shape[1:]).movedim(0, -1).flatten() if _inputs_last(weight) else v


def _plain_row(row: Tensor, weight: Tensor) -> Tensor:
    """The inverse of `_row`."""
    if not _inputs_last(weight):
        return row
    return row.view(*weight.shape[2:], weight.shape[1]).movedim(-1, 0).flatten()
