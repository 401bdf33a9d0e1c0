"""Features of whole clips: TransNetV2, trained to find cuts in real video, before its classifier.

Souček and Lokoč 2020, figure 1: three stages of two cells each; a cell looks around in space, and then in time at four
distances (dilations 1, 2, 4 and 8). Neither the similarities of frames nor the histograms of its last layers are used.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dvdgan.devices import full_fp32, pick_device
from dvdgan.evaluation.clip_set import content_key
from dvdgan.evaluation.features.extract import Unit
from dvdgan.evaluation.features.resize import resize, resize_name
from dvdgan.evaluation.features.weights import TRANSNETV2, load_weights

DIMENSION = 512
"""Features of a clip: mean and standard deviation over time of 256 channels."""

_VERSION = 1  # raised whenever features change
_SIZE = (27, 48)  # pixels, whatever the aspect ratio of the clips
_FILTERS = (16, 32, 64)  # per branch of a cell, by stage
_DILATIONS = (1, 2, 4, 8)
_NORM_EPS = 1e-3  # of the batch norms that the weights were trained with
_FRAMES_AT_ONCE = 384
_ON_CPU = 24  # frames at once: what stays in its caches; 192 are a quarter slower


class TransNetClips:
    """A `FeatureExtractor` of clips of any length: 512 numbers each.

    The last stage is averaged over the picture; its mean over time comes first, its standard deviation over time (of
    all frames, so 0 for a single one) second. Time beyond the ends of a clip counts as nothing, so clips compare with
    clips of their own length.

    Args:
        device: such as ``cpu`` or ``cuda:1``; None takes the accelerator where there is one.

    Raises:
        EvaluationError: the weights are not installed.
        DeviceError: there is no such device.
    """

    name = "TransNetV2"
    unit: Unit = "clip"
    dimension = DIMENSION

    def __init__(self, device: torch.device | str | None = None) -> None:
        """Load the weights."""
        self.resize = f"{resize_name(_SIZE)}, to whole numbers"
        self.key = content_key("transnet", _VERSION, TRANSNETV2.sha256, self.resize)
        self._device = pick_device(device)
        self._network = load_transnet().to(self._device)

    def __call__(self, clips: np.ndarray) -> np.ndarray:
        """Features of clips, uint8 ``[N, T, H, W, 3]``: float32 ``[N, 512]``."""
        frames_at_once = _ON_CPU if self._device.type == "cpu" else _FRAMES_AT_ONCE
        at_once = max(1, frames_at_once // clips.shape[1])
        parts = []
        with torch.inference_mode(), full_fp32():
            for start in range(0, len(clips), at_once):
                pixels = resize(clips[start : start + at_once], _SIZE, self._device).round_()  # it was trained on bytes
                stage = self._network(pixels.transpose(1, 2) / 255).mean((3, 4))  # [n, 256, T]
                moments = stage.mean(2), stage.std(2, correction=0)
                parts.append(torch.cat(moments, 1).cpu().numpy())
        return np.concatenate(parts)


class TransNet(nn.Module):
    """The network up to its last stage; its batch norms are folded into the convolutions before them."""

    def __init__(self) -> None:
        super().__init__()
        channels = (3, *(len(_DILATIONS) * filters for filters in _FILTERS))
        self.stages = nn.Sequential(*map(_Stage, channels, _FILTERS))

    def forward(self, clips: Tensor) -> Tensor:
        """``[N, 3, T, 27, 48]`` in [0, 1] to ``[N, 256, T, 3, 6]``."""
        return self.stages(clips)


class _Stage(nn.Module):
    """Two cells, the second beside a skip, and half the height and width."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.first = _Cell(channels, filters)
        self.second = _Cell(len(_DILATIONS) * filters, filters)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, T, H, W]`` to ``[N, 4 filters, T, H / 2, W / 2]``, rounded down."""
        x = F.relu(self.first(x))
        return F.avg_pool3d(x + F.relu(self.second(x)), (1, 2, 2))


class _Cell(nn.Module):
    """Four branches, each 1 × 3 × 3 and then 3 × 1 × 1 dilated in time; the first convolutions of all are one."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.spatial = nn.Conv3d(channels, 2 * filters * len(_DILATIONS), (1, 3, 3), padding=(0, 1, 1), bias=False)
        self.temporal = nn.ModuleList(
            nn.Conv3d(2 * filters, filters, (3, 1, 1), dilation=(d, 1, 1), padding=(d, 0, 0)) for d in _DILATIONS
        )

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, T, H, W]`` to ``[N, 4 filters, T, H, W]``."""
        branches = self.spatial(x).chunk(len(_DILATIONS), 1)
        return torch.cat([conv(branch) for conv, branch in zip(self.temporal, branches)], 1)


def load_transnet() -> TransNet:
    """The network with the package's weights, on the CPU, in evaluation mode.

    Raises:
        EvaluationError: the weights are not installed.
    """
    found = load_weights(TRANSNETV2)
    state = {}
    for stage, filters in enumerate(_FILTERS):
        for number, cell in enumerate(("first", "second")):
            theirs, ours = f"SDDCNN.{stage}.DDCNN.{number}", f"stages.{stage}.{cell}"
            norm = f"{theirs}.bn"
            scale = found[f"{norm}.weight"].double() / (found[f"{norm}.running_var"].double() + _NORM_EPS).sqrt()
            shift = found[f"{norm}.bias"].double() - found[f"{norm}.running_mean"].double() * scale
            spatial = [found[f"{theirs}.Conv3D_{d}.layers.0.weight"] for d in _DILATIONS]
            state[f"{ours}.spatial.weight"] = torch.cat(spatial)
            for branch, d in enumerate(_DILATIONS):
                own = slice(branch * filters, (branch + 1) * filters)
                weight = found[f"{theirs}.Conv3D_{d}.layers.1.weight"].double() * scale[own, None, None, None, None]
                state[f"{ours}.temporal.{branch}.weight"] = weight.float()
                state[f"{ours}.temporal.{branch}.bias"] = shift[own].float()
    with torch.device("meta"):  # no random numbers are drawn
        network = TransNet()
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)
