"""Fixed hand-made features of clips: colour, texture, change and motion; and where and when things are."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_LUMA = (0.2126, 0.7152, 0.0722)  # Rec. 709
_PIXELS = 32  # height and width at which features are measured
_LAYOUT = (4, 8, 8)  # times, rows and columns of each map of a layout
_GROUPS = (768, 256, 128, 64, 128, 108)  # features in each group of `_feature_groups`
_CHUNK_BYTES = 1 << 22  # of float pixels that are turned into features at once

WEIGHTS = np.concatenate([np.full(size, size**-0.5) for size in _GROUPS])
"""Factor of each feature, by which the groups count alike."""


def describe(clips: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features, float32 ``[N, D]``, and layouts, float32 ``[N, 2, P]``, of uint8 clips ``[N, T, H, W, 3]``, N >= 1."""
    step = max(1, _CHUNK_BYTES // (clips[0].size * 4))
    features, layouts, threads = [], [], torch.get_num_threads()
    torch.set_num_threads(1)  # many small operations: on a busy machine threads wait for one another most of the time
    try:
        for first in range(0, len(clips), step):
            video = torch.from_numpy(clips[first : first + step].copy()).permute(0, 4, 1, 2, 3).float() / 255
            video = F.adaptive_avg_pool2d(video.flatten(1, 2), _PIXELS).unflatten(1, video.shape[1:3])
            features.append(torch.cat([part.flatten(1) for part in _feature_groups(video)], 1).numpy())
            layouts.append(_layout(video).numpy())
    finally:
        torch.set_num_threads(threads)
    return np.concatenate(features), np.concatenate(layouts)


def _feature_groups(video: Tensor) -> list[Tensor]:
    """What describes clips ``[N, 3, T, 32, 32]`` in [0, 1]; each number is about 1 in size.

    Groups: colours; strength of edges; strength of change; by how much the last frame differs from the first; flow by
    cell; and how far the whole picture's change looks like a shift, a zoom or a rotation.
    """
    luma = (video * torch.tensor(_LUMA).view(3, 1, 1, 1)).sum(1)
    coarse = F.avg_pool2d(luma, 2)
    edges = [F.adaptive_avg_pool3d(luma.diff(dim=axis) ** 2, (2, 8, 8)) for axis in (2, 3)]
    changes = [F.adaptive_avg_pool3d(_slopes(luma)[2] ** 2, shape).flatten(1) for shape in ((4, 4, 4), (1, 8, 8))]
    return [
        F.adaptive_avg_pool3d(video, (4, 8, 8)),
        torch.log(torch.stack(edges, 1) + 1e-4),
        torch.log(torch.cat(changes, 1) + 1e-4),
        F.adaptive_avg_pool2d((luma[:, -1] - luma[:, 0]).abs(), 8),
        _flow(coarse),
        torch.cat([_whole_motion(luma), _whole_motion(coarse)], 1),
    ]


def _slopes(luma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Slopes of luma ``[N, T, S, S]`` to the right, downward and in time, each ``[N, T − 1, S, S]``.

    A single image is taken for two equal frames.
    """
    now, later = (luma[:, :-1], luma[:, 1:]) if luma.shape[1] > 1 else (luma, luma)
    padded = F.pad((now + later) / 2, (1, 1, 1, 1), mode="replicate")
    right = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    return right, down, later - now


def _flow(luma: Tensor) -> Tensor:
    """Velocities by least squares (Lucas and Kanade) at 4 times in 4×4 cells, ``[N, 2, 4, 4, 4]``, within [−1, 1]."""
    right, down, change = _slopes(luma)
    pairs = ((right, right), (down, down), (right, down), (right, change), (down, change))
    xx, yy, xy, xt, yt = (F.adaptive_avg_pool3d(a * b, (4, 4, 4)) for a, b in pairs)
    xx, yy = xx + 1e-3, yy + 1e-3
    return torch.tanh(torch.stack([xy * yt - yy * xt, xy * xt - xx * yt], 1) / (xx * yy - xy**2)[:, None])


def _whole_motion(luma: Tensor) -> Tensor:
    """Cosine, ``[N, 54]``, between the change and what a shift, zoom, turn or stretch of the picture would change.

    For each of 6 such motions: the whole clip, 4 segments of time, and 4 quarters of the picture.
    """
    right, down, change = _slopes(luma)
    x = (torch.arange(luma.shape[-1], dtype=torch.float32) + 0.5) / luma.shape[-1] * 2 - 1
    y = x[:, None]
    motions = (right, down, x * right + y * down, x * down - y * right, x * right, y * down)
    own = F.adaptive_avg_pool3d(change**2, (4, 2, 2))
    cosines = []
    for motion in motions:
        both, alone = (F.adaptive_avg_pool3d(motion * other, (4, 2, 2)) for other in (change, motion))
        for over in ((1, 2, 3), (2, 3), (1,)):
            cosine = both.mean(over) / torch.sqrt(alone.mean(over) * own.mean(over) + 1e-8)
            cosines.append(cosine.reshape(len(luma), -1))
    return torch.cat(cosines, 1)


def _layout(video: Tensor) -> Tensor:
    """Where and when clips ``[N, 3, T, 32, 32]`` have edges and where and when they change, ``[N, 2, P]``.

    Both are norms over the colour channels, so that turning hues or inverting colours makes no difference.
    """
    small = F.avg_pool3d(video, (1, 2, 2))
    edges = F.pad(small.diff(dim=4), (0, 1)).square().sum(1) + F.pad(small.diff(dim=3), (0, 0, 0, 1)).square().sum(1)
    changes = small.diff(dim=2).square().sum(1) if small.shape[2] > 1 else torch.zeros_like(edges)
    return torch.stack([F.adaptive_avg_pool3d(energy.sqrt(), _LAYOUT).flatten(1) for energy in (edges, changes)], 1)
