"""The page's moving pictures: generated clips beside real ones, and clips beside their nearest training clips."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dvdgan.data.write.encode import write_mp4
from dvdgan.data.write.sheets import BACKGROUND, clip_grid
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.report.pictures import Media, shots
from dvdgan.report.record import Sample

BUDGET = 12_000_000
"""Bytes for all the pictures of a page, before base64 makes them a third larger; clips take two thirds."""

_PAIRS_SHARE = 0.3  # of the budget, at most; the classes have the rest
_SIDE = 112  # pixels that a clip is enlarged to, about
_MANY, _SMALL_SIDE = 30, 56  # with more videos than this, about so many
_GAP = 4


@dataclass(frozen=True)
class EvaluationMedia:
    """The clips that a page shows.

    Attributes:
        fps: frames per second.
        classes: by class, generated and real clips, each uint8 ``[N, T, H, W, 3]``, N about 3 to 8; either may be None.
            All clips of the page have the same T, H and W. Unlabelled clips have the class ``""``.
        pairs: the clip and its nearest training clip, each uint8 ``[T, H, W, 3]``, in the order of
            ``Memorisation.pairs``; empty, or as many as there.
    """

    fps: float
    classes: Mapping[str, tuple[np.ndarray | None, np.ndarray | None]] = field(default_factory=dict)
    pairs: Sequence[tuple[np.ndarray, np.ndarray]] = ()


@dataclass(frozen=True)
class Movie:
    """Clips that play in step, in one video: its left half and its right half, or one alone."""

    video: Media | None
    poster: Media | None
    left: bool  # whether that half is there
    right: bool


def movies(media: EvaluationMedia, budget: int = BUDGET) -> tuple[dict[str, Movie], list[Movie]]:
    """The videos of the classes and of the pairs, as data URIs of at most ``budget`` bytes in all.

    One video holds both halves, so that they can never get out of step.

    Raises:
        EvaluationError: clips that are no clips, or that differ in length or size.
    """
    shape: tuple[int, ...] | None = None
    for name, sides in media.classes.items():
        for side, clips in zip(("generated", "real"), sides):
            if clips is not None:
                shape = _same_shape(clips, f"{side} clips of {name or 'all classes'}", shape)
    for index, pair in enumerate(media.pairs):
        for clip in pair:
            shape = _same_shape(clip[None], f"pair {index}", shape)
    count = len(media.classes) + len(media.pairs)
    if not count:
        return {}, []
    pairs_budget = int(budget * min(_PAIRS_SHARE, len(media.pairs) / count))
    pixels = _SIDE if count <= _MANY else _SMALL_SIDE
    with tempfile.TemporaryDirectory() as folder:
        classes = [_halves(left, right, pixels) for left, right in media.classes.values()]
        pairs = [_halves(left[None], right[None], _SIDE) for left, right in media.pairs]
        shown = _encoded(Path(folder), classes, media.fps, budget - pairs_budget)
        shown_pairs = _encoded(Path(folder), pairs, media.fps, pairs_budget)
    return dict(zip(media.classes, shown)), shown_pairs


def _same_shape(clips: np.ndarray, where: str, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    if clips.dtype != np.uint8 or clips.ndim != 5 or clips.shape[-1] != 3 or 0 in clips.shape[1:]:
        raise EvaluationError(f"{where}: clips are uint8 [N, T, H, W, 3], not {clips.dtype} {list(clips.shape)}")
    if shape is not None and clips.shape[1:] != shape:
        raise EvaluationError(
            f"{where}: T, H, W are {list(clips.shape[1:4])}, but {list(shape[:3])} elsewhere on the page; give one size"
        )
    return clips.shape[1:]


@dataclass(frozen=True)
class _Halves:
    clip: np.ndarray | None  # uint8 [T, H', W', 3]
    left: bool
    right: bool


def _halves(left: np.ndarray | None, right: np.ndarray | None, pixels: int) -> _Halves:
    """Mosaics of one size side by side, or one if only one side has clips; clips are enlarged to about ``pixels``."""
    sides = [clips if clips is not None and len(clips) else None for clips in (left, right)]
    there = [clips for clips in sides if clips is not None]
    if not there:
        return _Halves(None, False, False)
    most = max(len(clips) for clips in there)
    columns = min(2 if most <= 6 else 3, most)
    places = columns * math.ceil(most / columns)
    height, width = there[0].shape[2:4]
    scale = max(1, round(pixels / max(height, width)))
    mosaics = []
    for clips in there:
        grid = clip_grid(_filled(clips, places), columns, scale, _GAP)
        for place in range(len(clips), places):
            top = _GAP + place // columns * (height * scale + _GAP)
            at = _GAP + place % columns * (width * scale + _GAP)
            grid[:, top : top + height * scale, at : at + width * scale] = BACKGROUND
        mosaics.append(grid)
    return _Halves(np.concatenate(mosaics, axis=2), sides[0] is not None, sides[1] is not None)


def _filled(clips: np.ndarray, count: int) -> np.ndarray:
    """The clips, and the last again until there are so many."""
    return clips[np.minimum(np.arange(count), len(clips) - 1)]


def _encoded(folder: Path, halves: list[_Halves], fps: float, budget: int) -> list[Movie]:
    samples = []
    for index, half in enumerate(halves):
        path = folder / f"{index}.mp4"
        if half.clip is not None:
            write_mp4(path, half.clip, fps, crf=20)
        samples.append(Sample(index, None, path if half.clip is not None else None))
    made = shots(samples, budget)
    return [Movie(shot.clip, shot.thumbnail, half.left, half.right) for shot, half in zip(made, halves)]
