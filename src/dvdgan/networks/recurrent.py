"""The recurrences over time: the convolutional GRU (paper, section 3.1), the TrajGRU and the TSRU."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dvdgan.networks import kernels
from dvdgan.networks.folding import by_step
from dvdgan.networks.kernels.motion import readable, unreadable
from dvdgan.networks.kernels.recurrence import unroll
from dvdgan.networks.kernels.warping import unroll_moving
from dvdgan.networks.layers import Conv2d, ZeroConv2d, convolution_dtype, full_precision
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
            The states of all frames, ``[T * B, hidden_channels, H, W]``, in the convolutions' type.
        """
        dtype = convolution_dtype(x)
        if kernels.enabled:
            gates = (self.reset, self.update, self.candidate)
            weights = [gate.effective_weight(dtype) for gate in gates]
            biases = [gate.bias for gate in gates if gate.bias is not None]
            return unroll(x.to(dtype), weights, biases, frames, state, constant, self._motion(dtype))

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

    def _motion(self, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """Kernels and biases of the motion and of the offsets; none for a ConvGRU."""
        return ()


class TrajGRU(ConvGRU):
    """A ConvGRU that moves its state before each step (Shi et al. 2017, equation 4, with one link).

    o  = offsets(relu(motion([h; x])))     in pixels to the right and down, from where each pixel comes
    h' = ConvGRU(h at (position + o), x)   bilinear; beyond the border is the border

    Offsets are initially zero: with the weights of a trained ConvGRU it makes the same states
    (``training.start_from``). Arguments as of `ConvGRU`.
    """

    def __init__(self, in_channels: int, hidden_channels: int, spectral_norm: bool = True) -> None:
        super().__init__(in_channels, hidden_channels, spectral_norm)
        self.motion = Conv2d(hidden_channels + in_channels, hidden_channels, kernel_size=3, spectral_norm=spectral_norm)
        self.offsets = ZeroConv2d(hidden_channels, 2, kernel_size=3)

    def step(self, h: Tensor, x: Tensor) -> Tensor:
        """Move the state, then a step of the ConvGRU."""
        offsets = self.offsets(torch.relu(self.motion(torch.cat([h, x], 1))))
        return super().step(warp(h, offsets), x)

    def _motion(self, dtype: torch.dtype) -> tuple[Tensor, ...]:
        layers = (self.motion, self.offsets)
        return tuple(part for layer in layers for part in (layer.effective_weight(dtype), layer.bias))  # type: ignore[misc]


class TSRU(Recomputed):
    """A recurrence that moves its state before it adds the candidate (Luc et al. 2020, TrIVD-GAN, section 4.2).

    o  = offsets(relu(motion([h; x])))     in pixels to the right and down, from where each pixel comes
    w  = h at (position + o)               bilinear; beyond the border is the border
    c  = relu(W_c * [w; x] + b_c)          variant p: [h; x]
    u  = sigmoid(W_u * [h; x] + b_u)       variant s: [w; c]
    h' = u . w + (1 - u) . c

    Copies of the published equations differ in the last line, h or w; here it is w, or variant p would not use it.
    The number of layers that predict the offsets is ours; the offsets are initially zero.

    Args:
        in_channels: of x.
        hidden_channels: of h, and so of the output.
        variant: ``c``, ``p`` or ``s``.
        spectral_norm: on all kernels but that of the offsets, which are in pixels.
    """

    def __init__(self, in_channels: int, hidden_channels: int, variant: str, spectral_norm: bool = True) -> None:
        super().__init__()
        self.hidden_channels, self.variant = hidden_channels, variant
        both = hidden_channels + in_channels  # of [h; x]
        self.motion = Conv2d(both, hidden_channels, kernel_size=3, spectral_norm=spectral_norm)
        self.offsets = ZeroConv2d(hidden_channels, 2, kernel_size=3)
        self.candidate = Conv2d(both, hidden_channels, kernel_size=3, spectral_norm=spectral_norm)
        seen = 2 * hidden_channels if variant == "s" else both
        self.update = Conv2d(seen, hidden_channels, kernel_size=3, spectral_norm=spectral_norm)

    def forward(self, x: Tensor, frames: int, state: Tensor | None = None, constant: bool = False) -> Tensor:
        """Unroll over time; arguments and result as of `ConvGRU.forward`."""
        dtype = convolution_dtype(x)
        layers = {"motion": self.motion, "offsets": self.offsets, "candidate": self.candidate, "update": self.update}
        weights = {name: layer.effective_weight(dtype) for name, layer in layers.items()}

        if kernels.enabled:
            biases = {name: layer.bias for name, layer in layers.items() if layer.bias is not None}
            return unroll_moving(x.to(dtype), weights, biases, self.variant, frames, state, constant)

        def convolve(name: str, *inputs: Tensor) -> Tensor:
            return F.conv2d(torch.cat(inputs, 1).to(dtype), weights[name], layers[name].bias, padding=1)

        inputs = [x.to(dtype)] * frames if constant else by_step(x.to(dtype), frames)  # T of [B, in_channels, H, W]
        h = inputs[0].new_zeros(len(inputs[0]), self.hidden_channels, *x.shape[2:]) if state is None else state
        h, states = h.to(dtype), []
        for x_t in inputs:
            offsets = convolve("offsets", torch.relu(convolve("motion", h, x_t)))
            warped = warp(h, offsets)
            c = torch.relu(convolve("candidate", h if self.variant == "p" else warped, x_t))
            u = torch.sigmoid(convolve("update", warped, c) if self.variant == "s" else convolve("update", h, x_t))
            h = torch.lerp(c, warped, u)
            states.append(h)
        return torch.cat(states)  # T of [B, hidden_channels, H, W] to [T * B, hidden_channels, H, W]


def warp(x: Tensor, offsets: Tensor) -> Tensor:
    """Move pixels: ``[B, C, H, W]`` sampled bilinearly at each position plus its offset, in x's type.

    Args:
        x: what is moved; beyond the border its border pixels are repeated.
        offsets: ``[B, 2, H, W]``, in pixels to the right and down; where one is NaN, so is what is returned.
    """
    height, width = x.shape[2:]
    with full_precision(x.device):
        dtype = torch.promote_types(x.dtype, torch.float32)  # bf16 is too coarse for positions
        down, right = (torch.arange(n, device=x.device, dtype=dtype) for n in (height, width))
        places = offsets.to(dtype) + torch.stack(torch.meshgrid(right, down, indexing="xy"))  # [B, 2, H, W]
        halves = torch.tensor([width, height], device=x.device, dtype=dtype) / 2
        grid = (places.permute(0, 2, 3, 1) + 0.5) / halves - 1  # [B, H, W, 2], corners of the picture at -1 and 1
        moved = F.grid_sample(x.to(dtype), readable(grid), padding_mode="border", align_corners=False)
    return moved.masked_fill(unreadable(grid), torch.nan).to(x.dtype)


@torch.no_grad()
def spread_memory(network: nn.Module, frames: int, generator: torch.Generator | None) -> None:
    """Set the update gates' bias so that memories spread log-uniformly over 1 to ``frames - 1`` steps.

    A unit with u = tau / (1 + tau) forgets over about tau frames (Tallec and Ollivier 2018, "chrono").

    Args:
        network: its `ConvGRU` and `TSRU` are changed.
        frames: T.
        generator: random generator of the memories; None is PyTorch's global one.
    """
    for module in network.modules():
        if isinstance(module, (ConvGRU, TSRU)):
            bias = module.update.bias
            if bias is not None and not bias.is_meta:
                bias.uniform_(0.0, math.log(max(frames - 1, 1)), generator=generator)
