"""The page's moving pictures: generated clips beside real ones, and clips beside their nearest training clips."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dvdgan.data.write.encode import write_clip
from dvdgan.data.write.sheets import BACKGROUND, clip_grid
from dvdgan.evaluation.shown import ShownClips
from dvdgan.report.html import ReportError
from dvdgan.report.media import Media, clip_media

BUDGET = 12_000_000
"""Bytes for all the videos of a page, before base64 makes them a third larger."""

_PAIRS_SHARE = 0.3  # of the budget, at most; the classes have the rest
_SIDE = 112  # pixels that a clip is enlarged to, about
_MANY, _SMALL_SIDE = 30, 56  # with more videos than this, about so many
_GAP = 4


@dataclass(frozen=True)
class Movie:
    """Clips that play in step, in one video: its left half and its right half, or one alone."""

    video: Media | None
    poster: Media | None
    left: bool  # whether that half is there
    right: bool


def movies(shown: ShownClips, fps: float) -> tuple[dict[str, Movie], list[Movie]]:
    """The videos of the classes and of the pairs, as data URIs of at most `BUDGET` bytes in all.

    One video holds both halves, so that they can never get out of step.

    Raises:
        ReportError: clips that are no clips, or that differ in length or size.
    """
    shape: tuple[int, ...] | None = None
    for name, sides in shown.classes.items():
        for side, clips in zip(("generated", "real"), sides):
            if clips is not None:
                shape = _same_shape(clips, f"{side} clips of {name or 'all classes'}", shape)
    for index, pair in enumerate(shown.pairs):
        for clip in pair:
            shape = _same_shape(clip[None], f"pair {index}", shape)
    count = len(shown.classes) + len(shown.pairs)
    if not count:
        return {}, []
    pairs_budget = int(BUDGET * min(_PAIRS_SHARE, len(shown.pairs) / count))
    pixels = _SIDE if count <= _MANY else _SMALL_SIDE
    limits = (BUDGET - pairs_budget) // max(1, len(shown.classes)), pairs_budget // max(1, len(shown.pairs))
    classes = {name: _movie(*sides, pixels, fps, limits[0]) for name, sides in shown.classes.items()}
    return classes, [_movie(left[None], right[None], _SIDE, fps, limits[1]) for left, right in shown.pairs]


def _same_shape(clips: np.ndarray, where: str, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    if clips.dtype != np.uint8 or clips.ndim != 5 or clips.shape[-1] != 3 or 0 in clips.shape[1:]:
        raise ReportError(f"{where}: clips are uint8 [N, T, H, W, 3], not {clips.dtype} {list(clips.shape)}")
    if shape is not None and clips.shape[1:] != shape:
        raise ReportError(
            f"{where}: T, H, W are {list(clips.shape[1:4])}, but {list(shape[:3])} elsewhere on the page; give one size"
        )
    return clips.shape[1:]


def _movie(left: np.ndarray | None, right: np.ndarray | None, pixels: int, fps: float, limit: int) -> Movie:
    """A video, of at most ``limit`` bytes, of the sides that have clips.

    Args:
        left: clips uint8 ``[N, T, H, W, 3]``, none, or None.
        right: likewise.
        pixels: what a clip's longer side is enlarged to, about.
        fps: frames per second.
        limit: bytes.
    """
    there = [clips is not None and len(clips) > 0 for clips in (left, right)]
    if not any(there):
        return Movie(None, None, False, False)
    with tempfile.TemporaryDirectory() as folder:
        clip = _side_by_side([clips for clips in (left, right) if clips is not None and len(clips)], pixels)
        return Movie(*clip_media(write_clip(Path(folder) / "clip.mp4", clip, fps, crf=20), limit), *there)


def _side_by_side(there: list[np.ndarray], pixels: int) -> np.ndarray:
    """Mosaics of one size of clips uint8 ``[N, T, H, W, 3]``, side by side: uint8 ``[T, H', W', 3]``."""
    most = max(len(clips) for clips in there)
    columns = min(2 if most <= 6 else 3, most)
    shape = there[0].shape[1:]
    scale = max(1, round(pixels / max(shape[1:3])))
    mosaics = []
    for clips in there:
        filled = np.full((most, *shape), BACKGROUND, np.uint8)  # places without a clip stay as they are
        filled[: len(clips)] = clips
        mosaics.append(clip_grid(filled, columns, scale, _GAP))
    return np.concatenate(mosaics, axis=2)
