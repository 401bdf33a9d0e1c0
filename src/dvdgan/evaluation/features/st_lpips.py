"""Perceptual distance of frames: ST-LPIPS, the shift-tolerant LPIPS, fitted to what people call alike.

LPIPS (Zhang et al. 2018, equation 1) on an AlexNet that blurs before it takes every other pixel (Ghildyal and Liu
2022), so that a shift of a pixel counts for little. Its numbers are not those of LPIPS.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dvdgan.devices import full_fp32, pick_device
from dvdgan.evaluation.clip_set import content_key
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.features.weights import ST_LPIPS, load_weights

LEAST = 21
"""Pixels that a frame needs at least: in a smaller one, what is left before the last blur cannot be reflected."""

_VERSION = 1  # raised whenever distances change
_LAYERS = (
    (3, 64, 11, 2),
    (64, 192, 5, 2),
    (192, 384, 3, 1),
    (384, 256, 3, 1),
    (256, 256, 3, 1),
)  # in, out, kernel, pad
_THEIRS = ("slice1.0", "slice2.5", "slice3.9", "slice4.11", "slice5.13")
_EPS = 1e-10  # beside a norm over channels


class ShiftTolerantLpips:
    """A `FrameMeasure`: 0 for equal frames, about 0.05 to 0.6 for others.

    Args:
        size: height and width of the frames, in pixels; they are looked at as they are.
        device: such as ``cpu`` or ``cuda:1``; None takes the accelerator where there is one.

    Raises:
        EvaluationError: the weights are not installed, or the frames are too small.
        DeviceError: there is no such device.
    """

    def __init__(self, size: int, device: torch.device | str | None = None) -> None:
        """Load the weights."""
        if size < LEAST:
            raise EvaluationError(f"ST-LPIPS needs frames of {LEAST} px and more, not {size}")
        self.key = content_key("st-lpips", _VERSION, ST_LPIPS.sha256)
        self._device = pick_device(device)
        self._network = load_st_lpips().to(self._device)

    def see(self, frames: np.ndarray) -> list[Tensor]:
        """What is compared of frames, uint8 ``[M, H, W, 3]``."""
        with torch.inference_mode(), full_fp32():
            pixels = torch.from_numpy(np.ascontiguousarray(frames)).to(self._device).permute(0, 3, 1, 2).float()
            return self._network(pixels / 127.5 - 1)

    def compare(self, a: list[Tensor], b: list[Tensor]) -> np.ndarray:
        """Distances of M frames to M others, or to a single one, float64 ``[M]``."""
        with torch.inference_mode():
            parts = [(one - other).square().sum(1).mean((1, 2)) for one, other in zip(a, b)]
            return torch.stack(parts).double().sum(0).cpu().numpy()


class ShiftTolerantAlexNet(nn.Module):
    """Features at five depths, of unit length over channels, and weighted so that squared differences add up."""

    shift: Tensor
    scale: Tensor
    blur: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.empty(1, 3, 1, 1))
        self.register_buffer("scale", torch.empty(1, 3, 1, 1))
        self.register_buffer("blur", torch.empty(1, 1, 3, 3))
        self.convolutions = nn.ModuleList(nn.Conv2d(before, out, k, padding=pad) for before, out, k, pad in _LAYERS)
        self.heads = nn.ParameterList(torch.empty(1, out, 1, 1) for _, out, _, _ in _LAYERS)  # roots of weights

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """``[M, 3, H, W]`` in [−1, 1] to five times ``[M, C, H', W']``."""
        first, second, third, fourth, fifth = self.convolutions
        x = F.relu(self._halved(first((pixels - self.shift) / self.scale)))  # [M, 64, H / 2, W / 2], about
        features = [x]
        for convolution in (second, third):
            x = F.relu(
                convolution(self._halved(F.max_pool2d(x, 3, 1)))
            )  # [M, 192, H / 4, W / 4], [M, 384, H / 8, W / 8]
            features.append(x)
        for convolution in (fourth, fifth):
            x = F.relu(convolution(x))  # [M, 256, H / 8, W / 8]
            features.append(x)
        return [head * x / (x.norm(dim=1, keepdim=True) + _EPS) for head, x in zip(self.heads, features)]

    def _halved(self, x: Tensor) -> Tensor:
        """Blurred, and of it every other pixel: ``[M, C, H, W]`` to ``[M, C, (H + 3) // 2, (W + 3) // 2]``, about."""
        channels = x.shape[1]
        padded = F.pad(x, (2, 2, 2, 2), mode="reflect")
        return F.conv2d(padded, self.blur.expand(channels, -1, -1, -1), stride=2, groups=channels)


def load_st_lpips() -> ShiftTolerantAlexNet:
    """The network with the package's weights, on the CPU, in evaluation mode.

    Raises:
        EvaluationError: the weights are not installed.
    """
    found = load_weights(ST_LPIPS)
    state = {
        "shift": found["scaling_layer.shift"],
        "scale": found["scaling_layer.scale"],
        "blur": found["net.slice1.1.filt"][:1],
    }
    for number, theirs in enumerate(_THEIRS):
        state[f"convolutions.{number}.weight"] = found[f"net.{theirs}.weight"]
        state[f"convolutions.{number}.bias"] = found[f"net.{theirs}.bias"]
        state[f"heads.{number}"] = found[f"lin{number}.model.1.weight"].sqrt()
    with torch.device("meta"):  # no random numbers are drawn
        network = ShiftTolerantAlexNet()
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)
