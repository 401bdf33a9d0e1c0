"""Sheets and clips as data URIs, small enough that a page with all of them stays handy."""

from __future__ import annotations

import base64
import io
import math
import tempfile
import warnings
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from dvdgan.data.decode.clip import open_clip
from dvdgan.data.errors import DataError
from dvdgan.data.write.encode import write_clip
from dvdgan.documents import DocumentError, read_bytes

SHOWN_STEPS = 16
BUDGET = 9_000_000
"""Bytes for all the pictures of a page, before base64 makes them a third larger."""

_SHEET_SHARE = 0.35  # of the budget; clips take the rest
_SHEET_WIDTH = 1600  # pixels, as are the next two
_SHEET_HEIGHT = 16000  # WebP ends at 16383
_THUMBNAIL = 168
_MOST_BYTES = 256 << 20  # of a clip
_MOST_PIXELS = 1 << 27  # of a sheet
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


@dataclass(frozen=True)
class Sample:
    """What a training drew at one step: a sheet (PNG), a mosaic (MP4), or both."""

    step: int
    sheet: Path | None
    clip: Path | None


@dataclass(frozen=True)
class Media:
    """An image or a clip inside the page."""

    uri: str
    width: int  # pixels
    height: int


@dataclass(frozen=True)
class Shot:
    """What a page shows of one step."""

    step: int
    clip: Media | None
    sheet: Media | None
    thumbnail: Media | None


def chosen(samples: list[Sample]) -> list[Sample]:
    """At most `SHOWN_STEPS` samples, evenly in the step, always with the first and the last."""
    if len(samples) <= SHOWN_STEPS:
        return samples
    steps = np.array([sample.step for sample in samples])
    wanted = np.linspace(steps[0], steps[-1], SHOWN_STEPS)
    places = np.unique(np.abs(steps[None] - wanted[:, None]).argmin(axis=1))
    return [samples[place] for place in places]


def shots(samples: list[Sample]) -> list[Shot]:
    """Read samples and make them small enough for a page: one shot each, without the parts that cannot be read.

    Args:
        samples: from `chosen`, and the training clips.
    """
    sheets = int(BUDGET * _SHEET_SHARE / max(1, len(samples)))
    clips = int(BUDGET * (1 - _SHEET_SHARE) / max(1, len(samples)))
    return [_shot(sample, sheets, clips) for sample in samples]


def _shot(sample: Sample, sheet_limit: int, clip_limit: int) -> Shot:
    clip, thumbnail = (None, None) if sample.clip is None else clip_media(sample.clip, clip_limit)
    sheet = None
    if sample.sheet is not None:
        try:
            with warnings.catch_warnings():  # large sheets are ours, no attack
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with Image.open(sample.sheet) as file:
                    if file.width * file.height > _MOST_PIXELS:
                        raise OSError("too large")
                    image = file.convert("RGB")
            sheet = _sheet(image, sheet_limit)
            if thumbnail is None:
                thumbnail = _thumbnail(image)
        except _UNREADABLE:
            pass
    return Shot(sample.step, clip, sheet, thumbnail)


def _sheet(image: Image.Image, limit: int) -> Media:
    """The sheet as lossy WebP, of about ``limit`` bytes at most: coarser if that is enough, or else smaller too."""
    scale = min(1.0, _SHEET_WIDTH / image.width, _SHEET_HEIGHT / image.height)
    media, length = _webp(_scaled(image, scale), 82)
    if length > limit:
        smaller = min(1.0, math.sqrt(1.8 * limit / length))  # the coarser quality takes half the bytes
        media, _ = _webp(_scaled(image, scale * max(0.35, smaller)), 55)
    return media


def _scaled(image: Image.Image, scale: float) -> Image.Image:
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)


def _thumbnail(image: Image.Image) -> Media:
    """The upper part of a sheet, cut to a square at most as wide as the sheet."""
    side = min(image.size)
    square = ImageOps.fit(image, (min(side, _THUMBNAIL), min(side, _THUMBNAIL)), centering=(0.5, 0.0))
    return _webp(square, 75)[0]


def _webp(image: Image.Image, quality: int) -> tuple[Media, int]:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=quality, method=2)
    data = buffer.getvalue()
    return Media(_data_uri("image/webp", data), image.width, image.height), len(data)


def clip_media(path: Path, limit: int) -> tuple[Media | None, Media | None]:
    """A file's clip in at most ``limit`` bytes, encoded anew only if it is larger, and its middle frame, made small."""
    try:
        data = read_bytes(path, _MOST_BYTES)
        count = sum(1 for _ in open_clip(path)[1])  # decodes all of it: a clip that is shown can be played
        middle = next(islice(open_clip(path)[1], count // 2, None))
        thumbnail, _ = _webp(_scaled(Image.fromarray(middle), _THUMBNAIL / min(middle.shape[:2])), 70)
        height, width = middle.shape[:2]
        if len(data) > limit:
            smaller = _smaller_clip(path, min(height, width), len(data), limit)
            if smaller is None:
                return None, thumbnail
            data, height, width = smaller
    except (OSError, DataError, DocumentError):
        return None, None
    return Media(_data_uri("video/mp4", data), width, height), thumbnail


def _smaller_clip(path: Path, side: int, length: int, limit: int) -> tuple[bytes, int, int] | None:
    """An MP4 of at most ``limit`` bytes, its height and its width; None if even a small, coarse one is larger.

    Args:
        path: a clip of ``length`` bytes.
        side: its short side, in pixels.
        length: its size, in bytes.
        limit: the most bytes that it may have.
    """
    scale = math.sqrt(3 * limit / length)  # the coarser encoding takes about a third of the bytes
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(3):
            fps, frames = open_clip(path, max(16, 2 * round(side * min(1.0, scale) / 2)))
            clip = np.stack(list(frames))
            data = write_clip(Path(folder) / "smaller.mp4", clip, fps, crf=26).read_bytes()
            if len(data) <= limit:
                return data, clip.shape[1], clip.shape[2]
            scale = 0.85 * min(1.0, scale) * math.sqrt(limit / len(data))
    return None


def _data_uri(kind: str, data: bytes) -> str:
    """Bytes of a MIME type as a URI that holds them."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
