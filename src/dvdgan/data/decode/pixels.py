"""From a file's pixels to those that are shown: limits, background, one resize, and which way is up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from dvdgan.data.errors import ClipError

Colour = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)
"""What shows through transparent pixels unless something else is asked for."""

MOST_PIXELS = 64_000_000
"""Frames of more pixels are refused before they are decoded: they are mistakes, or made to exhaust the memory."""

_LONGEST_SIDE = 20  # times the short side; longer strips are refused when the short side is resized
_NEARLY_SQUARE = Fraction(1, 200)  # pixels this little off square are containers' rounding, not worth a resize


@dataclass(frozen=True)
class Turn:
    """How stored pixels are turned to be shown: first rows and columns change places, then sides are mirrored."""

    transpose: bool = False
    mirror: bool = False  # left and right
    flip: bool = False  # up and down

    @classmethod
    def of_matrix(cls, matrix: bytes) -> Turn:
        """The nearest quarter turn to a display matrix: 9 native 32-bit numbers, x' = a x + c y, y' = b x + d y."""
        a, b, _, c, d = (int(number) for number in np.frombuffer(matrix, np.int32)[:5])
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    @classmethod
    def of_exif(cls, orientation: int) -> Turn:
        """What an Exif orientation, 1 to 8, asks for; anything else asks for nothing."""
        known = {
            2: cls(mirror=True),
            3: cls(mirror=True, flip=True),
            4: cls(flip=True),
            5: cls(transpose=True),
            6: cls(transpose=True, mirror=True),
            7: cls(transpose=True, mirror=True, flip=True),
            8: cls(transpose=True, flip=True),
        }
        return known.get(orientation, cls())

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Turn ``[H, W, C]``."""
        if self.transpose:
            pixels = pixels.swapaxes(0, 1)
        if self.mirror:
            pixels = pixels[:, ::-1]
        if self.flip:
            pixels = pixels[::-1]
        return np.ascontiguousarray(pixels)


@dataclass(frozen=True)
class FrameFormat:
    """How the frames of a file are to come out."""

    size: int | None = None  # their short side in pixels, or None to leave it
    background: Colour | None = WHITE  # what transparent pixels are laid on, or None to keep transparency


@dataclass(frozen=True)
class Shape:
    """How the frames of one file are stored: their size, the shape of a pixel, which way is up, and transparency."""

    width: int
    height: int
    pixel: Fraction = Fraction(1)  # width of a pixel by its height
    turn: Turn = Turn()
    alpha: bool = False

    def shown(self) -> tuple[int, int]:
        """Width and height as displayed."""
        width, height = _stretched(self.width, self.height, self.pixel, None)
        return (height, width) if self.turn.transpose else (width, height)

    def finish(self, pixels: np.ndarray, output: FrameFormat) -> np.ndarray:
        """Stored uint8 ``[H, W, 3]`` or ``[H, W, 4]`` as it is to be seen: composed, resized at most once, turned.

        ``[H, W, 4]`` comes out only if the file has transparency and no background is given.
        """
        keep = self.alpha and output.background is None
        if pixels.shape[-1] == 4 and not keep:
            pixels = compose(pixels, WHITE if output.background is None else output.background)
        elif pixels.shape[-1] == 3 and keep:
            pixels = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
        return self.turn(resize(pixels, _stretched(self.width, self.height, self.pixel, output.size)))

    def check(self, path: Path, size: int | None) -> None:
        """Raise ClipError for frames that are too large, or too long to be resized."""
        check_size(path, self.width, self.height)
        wide, high = self.shown()
        check_size(path, wide, high)
        if size is not None and max(wide, high) > _LONGEST_SIDE * min(wide, high):
            raise ClipError(path, f"a strip of {wide} × {high} pixels; no side may be {_LONGEST_SIDE} times the other")


@lru_cache(maxsize=64)
def _stretched(width: int, height: int, pixel: Fraction, size: int | None) -> tuple[int, int]:
    """Width and height with square pixels, the short side at `size`; a side is stretched for it, none is shrunk."""
    wide, high = Fraction(width), Fraction(height)
    if pixel > 1 + _NEARLY_SQUARE:
        wide *= pixel
    elif pixel < 1 - _NEARLY_SQUARE:
        high /= pixel
    scale = Fraction(1) if size is None else size / min(wide, high)
    return max(1, round(wide * scale)), max(1, round(high * scale))


def check_size(path: Path, width: int, height: int) -> None:
    """Raise ClipError if a frame is empty or has more than `MOST_PIXELS`."""
    if width < 1 or height < 1:
        raise ClipError(path, f"frames of {width} × {height} pixels")
    if width * height > MOST_PIXELS:
        raise ClipError(path, f"frames of {width} × {height} pixels are more than {MOST_PIXELS // 10**6} megapixels")


def compose(pixels: np.ndarray, background: Colour) -> np.ndarray:
    """Lay uint8 ``[H, W, 4]`` on a colour: uint8 ``[H, W, 3]``."""
    canvas = Image.new("RGBA", pixels.shape[1::-1], (*background, 255))
    return np.array(Image.alpha_composite(canvas, Image.fromarray(np.ascontiguousarray(pixels))).convert("RGB"))


def resize(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize uint8 ``[H, W, 3]`` or ``[H, W, 4]`` to a width and height with antialiasing.

    Bicubic, whose support grows with the reduction. Colours weigh as much as they are opaque, so what is invisible does
    not show. The input itself is returned where it has that size already.
    """
    if pixels.shape[1::-1] == shape:
        return pixels
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize(shape, Image.Resampling.BICUBIC))  # Pillow weighs RGBA by its alpha


def reason(error: BaseException) -> str:
    """What a library says is wrong, in one line."""
    return " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())


@contextmanager
def clip_errors(errors: tuple[type[Exception], ...], path: Path, what: str) -> Iterator[None]:
    """Turn a library's errors into ClipError: `what`, and what the library says."""
    try:
        yield
    except ClipError:
        raise
    except errors as error:
        raise ClipError(path, f"{what} ({reason(error)})") from None
