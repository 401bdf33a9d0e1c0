"""Sheets: clips laid out on one image (time runs to the right), and mosaics that move."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dvdgan.data.errors import DataError
from dvdgan.data.write.encode import signed_path

BACKGROUND = (24, 24, 27)
TEXT = (228, 228, 231)
FAINT_TEXT = (130, 130, 138)
MARK = (245, 158, 11)  # of frames that were given, not made

_IMAGES = (".png", ".jpg", ".jpeg", ".webp")  # whose mark says that dvdgan made them
_MARGIN = 16  # pixels, as are the rest
_FRAME_GAP = 2
_ROW_GAP = 4
_GROUP_GAP = 14
_LABEL_GAP = 14
_FONT_SIZE = 14
_SMALL_FONT_SIZE = 11


def clip_sheet(
    clips: np.ndarray,
    labels: list[str] | None = None,
    columns: int = 8,
    scale: int = 2,
    times: Sequence[int] | None = None,
    given: int = 0,
) -> np.ndarray:
    """Lay clips out as rows and their frames as columns, evenly spaced from the first frame to the last.

    Args:
        clips: uint8 ``[N, T, H, W, 3]``.
        labels: N texts for the left margin, or None; neighbouring rows with the same label form a group.
        columns: frames shown per clip, at most T.
        scale: how many times larger a frame is drawn, bicubically.
        times: T frame numbers, from 0, where the clips hold only the frames to be shown (`sheet_times`).
        given: how many first frames are framed as given ones.

    Returns:
        The image, uint8 ``[H', W', 3]``.

    Raises:
        ValueError: no clips, an array of another shape, or as many labels as there are not clips.
    """
    count, length, height, width = _check(clips)
    if labels is not None and len(labels) != count:
        raise ValueError(f"{count} clips need {count} labels, not {len(labels)}")
    shown = sheet_times(length, columns) if times is None else range(length)
    cell_width, cell_height = width * scale, height * scale
    font, small = _font(_FONT_SIZE), _font(_SMALL_FONT_SIZE)

    label_width = max((math.ceil(font.getlength(text)) for text in labels or []), default=0)
    left = _MARGIN + (label_width + _LABEL_GAP if label_width else 0)
    first = _MARGIN + _SMALL_FONT_SIZE + 8
    tops = [first]
    for row in range(1, count):
        same = labels is None or labels[row] == labels[row - 1]
        tops.append(tops[-1] + cell_height + (_ROW_GAP if same else _GROUP_GAP))
    full_width = left + len(shown) * (cell_width + _FRAME_GAP) - _FRAME_GAP + _MARGIN
    canvas = Image.new("RGB", (full_width, tops[-1] + cell_height + _MARGIN), BACKGROUND)
    draw = ImageDraw.Draw(canvas)

    lefts = [left + column * (cell_width + _FRAME_GAP) for column in range(len(shown))]
    numbers = list(shown if times is None else times)
    for x, time in zip(lefts, numbers):
        draw.text((x + 1, _MARGIN), str(time + 1), font=small, fill=MARK if time < given else FAINT_TEXT)
    for row, (clip, top) in enumerate(zip(clips, tops)):
        if labels is not None and (row == 0 or labels[row] != labels[row - 1]):
            draw.text((_MARGIN, top + cell_height / 2), labels[row], font=font, fill=TEXT, anchor="lm")
        for x, time, number in zip(lefts, shown, numbers):
            if number < given:
                draw.rectangle((x - 2, top - 2, x + cell_width + 1, top + cell_height + 1), fill=MARK)
            canvas.paste(_enlarged(clip[time], scale), (x, top))
    return np.asarray(canvas)


def sheet_times(length: int, columns: int) -> list[int]:
    """Numbers of the frames that a sheet shows: evenly spaced from the first to the last, at most ``columns``."""
    return np.linspace(0, length - 1, max(1, min(columns, length))).round().astype(int).tolist()


def clip_grid(
    clips: np.ndarray, columns: int | None = None, scale: int = 1, gap: int = 4, marked: bool = False
) -> np.ndarray:
    """A mosaic of clips that all play at once, to be written by `dvdgan.data.write.encode.write_clip`.

    Args:
        clips: uint8 ``[N, T, H, W, 3]``.
        columns: clips per row; None makes the mosaic about square.
        scale: how many times larger a clip is drawn.
        gap: pixels between clips and round the mosaic.
        marked: frame each clip, in half the gap, as one that is given and not made.

    Returns:
        The mosaic, uint8 ``[T, H', W', 3]``; places that are left over have the colour of the background.

    Raises:
        ValueError: no clips, or an array of another shape.
    """
    count, length, height, width = _check(clips)
    columns = min(count, columns or math.ceil(math.sqrt(count)))
    rows = math.ceil(count / columns)
    height, width = height * scale, width * scale
    mosaic = np.empty((length, rows * (height + gap) + gap, columns * (width + gap) + gap, 3), np.uint8)
    mosaic[:] = BACKGROUND
    for index, clip in enumerate(clips):
        top = gap + index // columns * (height + gap)
        left = gap + index % columns * (width + gap)
        if marked:
            mosaic[:, top - gap // 2 : top + height + gap // 2, left - gap // 2 : left + width + gap // 2] = MARK
        for time, frame in enumerate(clip):
            mosaic[time, top : top + height, left : left + width] = np.asarray(_enlarged(frame, scale))
    return mosaic


def write_image(path: str | Path, image: np.ndarray) -> Path:
    """Write an image, uint8 ``[H, W, 3]``, in the format that the suffix names (PNG, JPEG, WebP), whole or not at all.

    Raises:
        ValueError: the suffix is unknown to Pillow.
    """
    with signed_path(path) as temporary:
        Image.fromarray(image).save(temporary)
    return Path(path)


def check_image_suffix(path: str | Path) -> None:
    """Refuse a name by which `write_image` could not write an image, or not write it again over the first.

    Raises:
        DataError: its suffix is not that of a PNG, JPEG or WebP.
    """
    if (suffix := Path(path).suffix.lower()) not in _IMAGES:
        raise DataError(f"{path}: images are written as {', '.join(_IMAGES)}, not as {suffix or 'no suffix'}")


def _enlarged(frame: np.ndarray, scale: int) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(frame))
    if scale == 1:
        return image
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.BICUBIC)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)  # the face inside Pillow: the same on every machine


def _check(clips: np.ndarray) -> tuple[int, int, int, int]:
    if clips.dtype != np.uint8 or clips.ndim != 5 or clips.shape[-1] != 3 or 0 in clips.shape:
        raise ValueError(f"clips are uint8 [N, T, H, W, 3], not {clips.dtype} {list(clips.shape)}")
    count, length, height, width, _ = clips.shape
    return count, length, height, width
