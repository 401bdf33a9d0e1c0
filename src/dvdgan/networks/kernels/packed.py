"""Packed kernels: reordered once into oneDNN's layout, for many convolutions.

oneDNN, which convolves on CPUs, reorders a kernel into its own blocked layout at every call. In a recurrence the same
kernel runs at every step on few pixels, where that costs as much as the convolution itself: here it is done once. Where
oneDNN is not used, `torch.nn.functional.conv2d` convolves.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dvdgan.networks.layers import full_precision

_PAD = [1, 1]  # of a 3x3 kernel, for the same size
_ONE = [1, 1]  # stride and dilation


class PackedKernel:
    """A 3x3 convolution with same padding, without bias and without gradients.

    Args:
        kernel: ``[out, in, 3, 3]``.
        like: ``[N, in, H, W]``, of the device, type, size and memory layout of the later inputs.
    """

    def __init__(self, kernel: Tensor, like: Tensor) -> None:
        kernel = kernel.detach()
        self._packed: Tensor | None = None
        if can_pack(kernel, like):
            size = [like.shape[0], kernel.shape[1], *like.shape[2:]]
            dense = kernel.contiguous().to_mkldnn()
            lay_out = torch._C._nn.mkldnn_reorder_conv2d_weight
            self._packed = lay_out(dense, _PAD, _ONE, _ONE, 1, size)  # type: ignore[call-arg]
        else:
            self._kernel = kernel.float() if kernel.device.type == "cpu" and kernel.dtype == torch.bfloat16 else kernel

    def __call__(self, x: Tensor) -> Tensor:
        """Convolve ``[N, in, H, W]`` to ``[N, out, H, W]``."""
        if self._packed is None:
            return self._convolved(x).to(x.dtype)
        return torch.ops.mkldnn._convolution_pointwise(x, self._packed, None, _PAD, _ONE, _ONE, 1, "none", [], "")

    def add_to(self, y: Tensor, x: Tensor, relu: bool = False) -> Tensor:
        """``y += convolved x`` in place, then ReLU if ``relu``; returns y."""
        if self._packed is None:
            y.copy_(y + self._convolved(x))  # one rounding
            return y.relu_() if relu else y
        last = "relu" if relu else None
        return torch.ops.mkldnn._convolution_pointwise_.binary(
            y, x, self._packed, None, _PAD, _ONE, _ONE, 1, "add", 1.0, last, [], None
        )

    def _convolved(self, x: Tensor) -> Tensor:
        with full_precision(x.device):
            return F.conv2d(x.to(self._kernel.dtype), self._kernel, padding=1)


def transposed(kernel: Tensor) -> Tensor:
    """The 3x3 kernel ``[in, out, 3, 3]`` by which gradients go back through that of ``[out, in, 3, 3]``."""
    return kernel.flip(2, 3).transpose(0, 1)


def can_pack(kernel: Tensor, like: Tensor) -> bool:
    """Whether oneDNN convolves tensors like this one with a packed kernel: on CPUs, channels last."""
    if kernel.device.type != "cpu" or not torch.backends.mkldnn.is_available() or not torch.backends.mkldnn.enabled:
        return False
    if kernel.dtype == torch.bfloat16:
        known = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    else:
        known = kernel.dtype == torch.float32
    return known and like.is_contiguous(memory_format=torch.channels_last)
