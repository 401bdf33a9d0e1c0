"""Features of single frames: EfficientNet-Lite0, trained on ImageNet, before its classifier."""

from __future__ import annotations

import numpy as np
import torch

from dvdgan.devices import full_fp32, pick_device
from dvdgan.evaluation.clip_set import content_key
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.features.extract import Unit
from dvdgan.evaluation.features.resize import resize, resize_name
from dvdgan.evaluation.features.weights import EFFICIENTNET_LITE0, load_weights
from dvdgan.networks.efficientnet import DIMENSION, EfficientNetLite0

_VERSION = 1  # raised whenever features change
_NORM_EPS = 1e-3  # of the batch norms that the weights were trained with
_LEAST = 32  # pixels: the network halves the picture five times
_FRAMES_AT_ONCE = 128
_ON_CPU = 8  # frames at once: what stays in its caches; 32 are half as quick


class EfficientNetFrames:
    """A `FeatureExtractor` of frames: 1,280 numbers each, averaged over the picture, all of them from 0 to 6.

    Args:
        size: height and width that frames are resized to. 224 is what the network was trained at; 128 is three to
            four times as quick, and its scores do not compare with those at 224.
        device: such as ``cpu`` or ``cuda:1``; None takes the accelerator where there is one.

    Raises:
        EvaluationError: the weights are not installed, or the size is too small.
        DeviceError: there is no such device.
    """

    unit: Unit = "frames"
    dimension = DIMENSION

    def __init__(self, size: int = 224, device: torch.device | str | None = None) -> None:
        """Load the weights."""
        if size < _LEAST:
            raise EvaluationError(f"EfficientNet-Lite0 needs frames of {_LEAST} px and more, not {size}")
        self.size = (size, size)
        self.resize = resize_name(self.size)
        self.name = "EfficientNet-Lite0 frames" if size == 224 else f"EfficientNet-Lite0 frames at {size} px"
        self.key = content_key("efficientnet", _VERSION, EFFICIENTNET_LITE0.sha256, self.resize)
        self._device = pick_device(device)
        self._network = load_efficientnet().to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, clips: np.ndarray) -> np.ndarray:
        """Features of clips, uint8 ``[N, T, H, W, 3]``: float32 ``[N, T, 1280]``."""
        frames = clips.reshape(-1, *clips.shape[2:])
        at_once = _ON_CPU if self._device.type == "cpu" else _FRAMES_AT_ONCE
        parts = []
        with torch.inference_mode(), full_fp32():
            for start in range(0, len(frames), at_once):
                pixels = resize(frames[start : start + at_once], self.size, self._device)
                pixels = pixels.sub_(127).div_(128).contiguous(memory_format=torch.channels_last)
                parts.append(self._network(pixels).cpu().numpy())
        return np.concatenate(parts).reshape(*clips.shape[:2], DIMENSION)


def load_efficientnet() -> EfficientNetLite0:
    """The network with the package's weights, on the CPU, in evaluation mode.

    Raises:
        EvaluationError: the weights are not installed.
    """
    found = load_weights(EFFICIENTNET_LITE0)
    ours = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    with torch.device("meta"):  # no random numbers are drawn
        network = EfficientNetLite0()
    for number, block in enumerate(network.blocks):
        theirs = f"_blocks.{number}."
        if block.expand is not None:
            ours[f"blocks.{number}.expand"] = (f"{theirs}_expand_conv", f"{theirs}_bn0")
        ours[f"blocks.{number}.depthwise"] = (f"{theirs}_depthwise_conv", f"{theirs}_bn1")
        ours[f"blocks.{number}.project"] = (f"{theirs}_project_conv", f"{theirs}_bn2")
    state = {}
    for name, (convolution, norm) in ours.items():
        scale = found[f"{norm}.weight"].double() / (found[f"{norm}.running_var"].double() + _NORM_EPS).sqrt()
        shift = found[f"{norm}.bias"].double() - found[f"{norm}.running_mean"].double() * scale
        weight = found[f"{convolution}.weight"].double() * scale[:, None, None, None]
        state[f"{name}.weight"], state[f"{name}.bias"] = weight.float(), shift.float()
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)
