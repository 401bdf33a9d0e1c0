"""What is asked of a model, checked: the classes of clips, and the frames that they begin with."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from dvdgan.config import Config
from dvdgan.data.decode.clip import open_clip
from dvdgan.data.decode.pixels import WHITE
from dvdgan.data.errors import ClipError
from dvdgan.wording import did_you_mean, some_of


class PipelineError(ValueError):
    """A request that the model cannot fulfil; the message is one line and names the mend."""


def label_indices(labels: str | int | Sequence[str | int] | None, classes: Sequence[str]) -> list[int]:
    """Numbers of the classes that are asked for; None is all of them, in order.

    Raises:
        PipelineError: an unknown class, with near names, none, or any of a model without classes.
    """
    if not classes:
        if labels is not None:
            raise PipelineError("this model is unconditional: leave the class out")
        return []
    if labels is None:
        return list(range(len(classes)))
    if isinstance(labels, (str, int, np.integer)):
        labels = [labels]
    if not len(labels):
        raise PipelineError("labels are empty: name a class or more, or leave them out for all")
    return [_label_index(label, classes) for label in labels]


class Future(NamedTuple):
    """A clip that goes on from first frames."""

    start: int  # number of the first frames that it goes on from
    label: int | None  # None without classes
    seed: int


def futures(
    starts: int, labels: str | int | Sequence[str | int] | None, classes: Sequence[str], num: int, seed: int
) -> list[Future]:
    """The clips that go on from so many first frames: `num` for each start and class.

    Args:
        starts: how many first frames there are.
        labels: as many as `starts` are one for each; otherwise each start goes on as all of them. None is all classes.
        classes: the model's.
        num: of each start and class.
        seed: of the first one of each.

    Raises:
        PipelineError: an unknown class.
    """
    indices: list[int | None] = list(label_indices(labels, classes)) or [None]
    each = labels is not None and len(indices) == starts
    pairs = [(start, index) for start in range(starts) for index in ([indices[start]] if each else indices)]
    return [Future(start, index, seed + future) for start, index in pairs for future in range(num)]


def _label_index(label: str | int, classes: Sequence[str]) -> int:
    if isinstance(label, (int, np.integer)):
        if not 0 <= label < len(classes):
            raise PipelineError(f"class number {label} is not from 0 to {len(classes) - 1}")
        return int(label)
    if label in classes:
        return classes.index(label)
    lower = [name.lower() for name in classes]
    if label.lower() in lower:
        return lower.index(label.lower())
    hint = did_you_mean(label, classes, f"its classes are {some_of(classes, 20)}")
    raise PipelineError(f"the model has no class {label!r}; {hint}")


def mixture_name(mixture: Tensor, classes: Sequence[str]) -> str:
    """The name of a class, or of several with their shares, ``[classes]``, such as ``pen 50%, flow 50%``."""
    parts = [(classes[i], float(w)) for i, w in enumerate(mixture) if w > 0]
    return parts[0][0] if len(parts) == 1 else ", ".join(f"{name} {w:.0%}" for name, w in parts)


def require_first_frames(config: Config, wanted: bool) -> None:
    """Refuse to predict with a model that makes whole clips, and the other way round.

    Raises:
        PipelineError: with what to do instead.
    """
    count = config.network.first_frames
    if wanted and not count:
        raise PipelineError("this model takes no first frames: it makes whole clips (generate)")
    if count and not wanted:
        what = "a first frame" if count == 1 else f"{count} first frames"
        raise PipelineError(f"this model goes on from {what}: give them (predict, with --first)")


def first_frames(given: str | Path | np.ndarray, config: Config) -> np.ndarray:
    """Frames that a clip begins with, uint8 ``[D, size, size, 3]``, of a file, or as they are.

    Frames of files are rotated as the file asks, resized, cut in the middle, and transparent pixels laid on a
    background, as in training; of a clip they are taken at the training's rate and stride.

    Args:
        given: a picture, a clip, a folder of numbered frames, or the frames.
        config: the predictor's configuration.

    Raises:
        PipelineError: an array of another shape or type.
        ClipError: there is no clip at the path, it is damaged, or it has fewer frames than the predictor takes.
    """
    size, count, stride = config.network.size, config.network.first_frames, config.data.stride
    if isinstance(given, np.ndarray):
        shape = (count, size, size, 3)
        if given.dtype != np.uint8 or given.shape != shape:
            raise PipelineError(f"first frames are uint8 {list(shape)}, not {given.dtype} {list(given.shape)}")
        return given
    span = (count - 1) * stride + 1
    _, frames = open_clip(
        given,
        size,
        fps=config.data.target_fps,
        background=config.data.background_colour or WHITE,
        folder_fps=config.data.folder_fps,
        numbers=(0, span),
    )
    read = list(islice(frames, span))
    if len(read) < span:
        wanted = f"{count} frames" if stride == 1 else f"{span} frames ({count} at stride {stride})"
        raise ClipError(given, f"has {len(read)} of the {wanted} that this model goes on from; give a longer clip")
    return np.stack([_middle(frame, size) for frame in read[::stride]])


def _middle(frame: np.ndarray, size: int) -> np.ndarray:
    """The square in the middle of ``[H, W, 3]``."""
    top, left = (frame.shape[0] - size) // 2, (frame.shape[1] - size) // 2
    return frame[top : top + size, left : left + size]
