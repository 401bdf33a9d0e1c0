"""One clip in: uint8 ``[T, H, W, 3]`` RGB from a video file, an animated image, a picture, or a folder of frames.

PyAV decodes H.264 and its kin; Pillow decodes animated images (GIF, WebP, APNG): PyAV cannot decode animated WebP.
"""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from dvdgan.data.decode.pixels import WHITE, Colour, FrameFormat, reason
from dvdgan.data.decode.stills import IMAGE_SUFFIXES, is_picture, open_folder, open_image
from dvdgan.data.decode.timing import LATEST, Header, Reader, on_grid, window_numbers
from dvdgan.data.decode.video import open_video
from dvdgan.data.errors import ClipError

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m2v", ".vob", ".ts", ".m2ts", ".mts", ".wmv"),
    *(".asf", ".flv", ".f4v", ".ogv", ".ogg", ".3gp", ".3g2", ".mxf", ".mj2", ".dv", ".y4m", ".nut"),
)
"""Suffixes of files that PyAV reads."""

CLIP_SUFFIXES = VIDEO_SUFFIXES + IMAGE_SUFFIXES
"""Suffixes of the files that are taken for clips."""

_FOLDER_FPS = 12.0


class EndedEarlier(ClipError):
    """A clip ends before the window that was asked for."""


def read_header(path: str | Path, *, folder_fps: float = _FOLDER_FPS) -> Header:
    """Read what a file says of itself, and the times of all its frames; nothing but its first frame is decoded.

    What the file says of its length is not believed. (Where its packets have no times, it is decoded, to count.)

    Args:
        path: a video, an animated image, a picture, a folder of numbered frames, or the common name of some in it, such
            as img_*.png.
        folder_fps: frame rate of a folder, in frames per second.

    Raises:
        ClipError: there is no clip at the path, or it is of a size that is refused.
    """
    reader = _reader(Path(path), FrameFormat(), folder_fps)
    length = reader.length()
    return replace(reader.header, frames=length.frames(reader.rate), seconds=float(length.seconds), length=length)


def open_clip(
    path: str | Path,
    size: int | None = None,
    *,
    fps: float | None = None,
    start: float = 0.0,
    end: float | None = None,
    background: Colour | None = WHITE,
    folder_fps: float = _FOLDER_FPS,
    numbers: tuple[int, int] | None = None,
) -> tuple[float, Iterator[np.ndarray]]:
    """Begin to read a clip, one frame at a time, so that a long video is never held in memory at full size.

    Frames lie on an even grid of time (`dvdgan.data.decode.timing`): number k is what the file shows k / rate seconds
    after its first frame. Only what a window needs is read: from the keyframe before it where the container can be
    searched (MP4, MOV, Matroska, WebM and others), else from the beginning; and no further than its end, so that damage
    behind it does no harm.

    Args:
        path: a video, an animated image, a picture (a clip of one frame), or a folder of numbered frames.
        size: if given, every frame's short side is resized to this many pixels.
        fps: frames per second of the output; None is the file's nominal rate, at which a file of constant rate gives
            each of its frames once.
        start: of the window, in seconds on the container's clock, as players show it; where the picture begins
            (`Header.begins`, nearly always 0) is frame number 0.
        end: of the window, likewise; None, or later than the clip, is the clip's end.
        background: colour that transparent pixels are laid on; None keeps transparency.
        folder_fps: frame rate of a folder, in frames per second.
        numbers: of the window's first frame and of the one that ends it, instead of start and end.

    Returns:
        The rate of the frames in frames per second, and an iterator of them (at least one): uint8 ``[H, W, 3]``, or
        ``[H, W, 4]`` from a file with transparency (`Header.alpha`) if `background` is None. They are rotated as the
        file asks, and pixels are square. A frame that is shown for several output frames is one array. The file is
        open only while the iterator runs.

    Raises:
        ClipError: at once if there is no clip at the path, or the window is empty; from the iterator if the file is
            truncated or damaged as far as it is read, its frames change size, or it ends before the window begins.
        ValueError: `size`, `fps` or `folder_fps` is not above 0.
    """
    for name, value in (("size", size), ("fps", fps), ("folder_fps", folder_fps)):
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name} must be a number above 0, not {value}")
    path = Path(path)
    if not 0 <= start < LATEST or (end is not None and not end > start):
        raise ClipError(path, f"no clip lies from {start} to {end} seconds")
    reader = _reader(path, FrameFormat(size, background), folder_fps)
    rate = reader.rate if fps is None else Fraction(float(fps))
    begins = reader.header.begins
    first, last = numbers or window_numbers(start, end, begins, rate)
    if last is not None and last <= first:
        if end is not None and end <= begins:
            raise ClipError(path, reader.header.nothing_at(start, end))
        raise ClipError(path, f"from {start:g} to {end:g} s is less than a frame at {float(rate):g} fps")
    start = start if numbers is None else begins + first / float(rate)
    return float(rate), _window(path, reader, rate, first, last, start)


def _window(
    path: Path, reader: Reader, rate: Fraction, first: int, last: int | None, start: float
) -> Generator[np.ndarray, None, None]:
    own_rate = rate if reader.still else reader.rate
    given, seconds = yield from on_grid(reader.frames(first / rate), rate, own_rate, first, last, reader.longest_gap)
    if not given:
        if seconds is None:
            raise ClipError(path, f"no frame at {start:g} s, where its timestamps jump")
        long = reader.header.begins + float(seconds)
        raise EndedEarlier(path, f"ends before {start:g} s: it is {long:.6g} s long")


def _reader(path: Path, output: FrameFormat, folder_fps: float) -> Reader:
    try:
        empty = path.stat().st_size == 0
    except OSError as error:
        if "*" in path.name and path.parent.is_dir():
            return open_folder(path, output, folder_fps)
        if path.is_symlink():
            raise ClipError(path, f"broken link to {os.readlink(path)}") from None
        raise ClipError(path, "no such file" if isinstance(error, FileNotFoundError) else reason(error)) from None
    if not os.access(path, os.R_OK):
        raise ClipError(path, "cannot be read: permission denied")
    if path.is_dir():
        return open_folder(path, output, folder_fps)
    if not path.is_file():
        raise ClipError(path, "is not a file")
    if empty:
        raise ClipError(path, "the file is empty")
    return (open_image if is_picture(path) else open_video)(path, output)
