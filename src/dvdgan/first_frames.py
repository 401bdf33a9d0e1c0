"""First frames for a predictor, from a picture, a clip, or a folder of numbered frames, seen as training sees clips."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np

from dvdgan.config import Config
from dvdgan.data.decode.clip import open_clip
from dvdgan.data.decode.pixels import WHITE
from dvdgan.data.errors import ClipError


def read_first_frames(path: str | Path, config: Config) -> np.ndarray:
    """Read the frames that a predictor is given.

    Frames are rotated as the file asks, resized, cut in the middle, and transparent pixels laid on a background, as in
    training; of a clip they are taken at the training's rate and stride.

    Args:
        path: a picture, a clip, or a folder of numbered frames.
        config: the predictor's configuration.

    Returns:
        uint8 ``[D, size, size, 3]``.

    Raises:
        ClipError: there is none at the path, it is damaged, or it has fewer frames than the predictor takes.
    """
    size, given, stride = config.network.size, config.network.first_frames, config.data.stride
    span = (given - 1) * stride + 1
    _, frames = open_clip(
        path,
        size,
        fps=config.data.target_fps,
        background=config.data.background_colour or WHITE,
        folder_fps=config.data.folder_fps,
        numbers=(0, span),
    )
    read = list(islice(frames, span))
    if len(read) < span:
        wanted = f"{given} frames" if stride == 1 else f"{span} frames ({given} at stride {stride})"
        raise ClipError(Path(path), f"has {len(read)} of the {wanted} that this model goes on from; give a longer clip")
    return np.stack([_middle(frame, size) for frame in read[::stride]])


def _middle(frame: np.ndarray, size: int) -> np.ndarray:
    """The square in the middle of ``[H, W, 3]``."""
    top, left = (frame.shape[0] - size) // 2, (frame.shape[1] - size) // 2
    return frame[top : top + size, left : left + size]
