"""Pictures as clips, through Pillow: animated GIF, WebP and PNG, single pictures, and folders of numbered frames."""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import accumulate, islice, pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from dvdgan.data.decode.delays import CutShort, delays
from dvdgan.data.decode.magic import PICTURES
from dvdgan.data.decode.pixels import FrameFormat, Shape, Turn, clip_errors
from dvdgan.data.decode.sequences import STILL_SUFFIXES, find_sequences, matches
from dvdgan.data.decode.timing import LONGEST_GAP, Header, Length, Reader, TimedFrame, measure, nominal_rate
from dvdgan.data.errors import ClipError
from dvdgan.data.worker_process import heartbeat

IMAGE_SUFFIXES = (".gif", ".webp", ".png", ".apng", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
"""Files that Pillow reads: animations, and single pictures, which are clips of one frame."""

_MOTION_JPEG = (".mjpeg", ".mjpg")  # films that are nothing but one JPEG behind the other
_FORMATS = ("GIF", "WEBP", "PNG", "JPEG", "BMP", "TIFF")
_ANIMATED = ("GIF", "WEBP", "PNG")
_STILL_RATE = Fraction(10)  # frames per second; a picture lasts as long as a frame without a delay
_FIRST_FRAMES = 256  # whose delays are read to learn the rate of an animation
_TICKS = {"GIF": Fraction(1, 100), "WEBP": Fraction(1, 1000), "PNG": Fraction(1, 1000)}
_ORIENTATION = 0x0112  # the Exif tag
_ERRORS = (  # what Pillow's readers raise for files that make no sense
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(AssertionError, MemoryError, struct.error, zlib.error, Image.DecompressionBombError),
    Image.DecompressionBombWarning,  # where warnings are errors
)


def open_image(path: Path, output: FrameFormat) -> Reader:
    """Read what a picture or an animation says of itself, without decoding it.

    Raises:
        ClipError: not a picture, or of a size that is refused.
    """
    with clip_errors(_ERRORS, path, "not an image that can be read, or truncated"), _opened(path) as image:
        shape = _shape(image)
        shape.check(path, output.size)
        name = image.format or ""
        name = "JPEG" if name == "MPO" else name  # with a second picture, for depth
        if name == "TIFF" and (pages := getattr(image, "n_frames", 1)) > 1:
            raise ClipError(path, f"holds {pages} pictures; save them as numbered files in a folder")
        last, hidden = _numbers(image)
    width, height = shape.shown()
    if last == hidden:  # one picture
        kind = name.lower()
        header = Header(width, height, float(_STILL_RATE), 1, float(1 / _STILL_RATE), shape.alpha, kind, False)
        one = Length(_STILL_RATE, 1 / _STILL_RATE, still=True)
        return Reader(header, _STILL_RATE, lambda start: _one(path, shape, output, name), lambda: one, True)
    with clip_errors(_ERRORS, path, "not an animated image that can be read, or truncated"):
        known = [delay for delay, _ in islice(delays(path, name), _FIRST_FRAMES + 1)]
    if not known:
        raise ClipError(path, "no frames")
    times = [Fraction(0), *accumulate(known[:-1])]
    tick = _TICKS[name]
    rate, variable = nominal_rate([time / tick for time in times], tick)
    kind = "apng" if name == "PNG" else name.lower()
    header = Header(width, height, float(rate), 0, 0.0, shape.alpha, kind, variable)

    def length() -> Length:
        whole = list(known)
        with suppress(CutShort):  # those who read on to there say what is missing
            for delay, _ in islice(delays(path, name), len(known), None):
                whole.append(delay)
                heartbeat()
        return measure([Fraction(0), *accumulate(whole[:-1])], whole[-1], rate, LONGEST_GAP)

    return Reader(header, rate, lambda start: _animation(path, shape, output, name, hidden), length)


def open_folder(path: Path, output: FrameFormat, fps: float) -> Reader:
    """List a folder of numbered frames and read the size of the first.

    Args:
        path: the folder, or a `dvdgan.data.decode.sequences.Sequence.pattern` in it; hidden files and files that are no
            pictures are passed over.
        output: how frames are to come out.
        fps: the frame rate, in frames per second.

    Raises:
        ClipError: no frames in it, a number is missing or there twice, or frames are not of one series.
    """
    files = _numbered(path)
    rate = Fraction(fps)
    with clip_errors(_ERRORS, files[0], "not an image that can be read, or truncated"), _opened(files[0]) as image:
        shape = _shape(image)
    shape.check(files[0], output.size)
    width, height = shape.shown()
    header = Header(width, height, fps, len(files), len(files) / fps, shape.alpha, "frames", False)

    def frames_from(start: Fraction) -> Iterator[TimedFrame]:
        first = min(max(0, int(start * rate) - 2), len(files) - 1)
        for number in range(first, len(files)):
            yield TimedFrame(number / rate, 1 / rate, _numbered_picture(path, files[number], shape, output))

    length = measure([number / rate for number in range(len(files))], 1 / rate, rate, LONGEST_GAP)
    return Reader(header, rate, frames_from, lambda: length)


def is_picture(path: Path) -> bool:
    """Whether a file is for Pillow to read: by its first bytes, for pages serve MP4 as .gif and WebP as .jpg."""
    with clip_errors((OSError,), path, "cannot be read"), open(path, "rb") as file:
        head = file.read(12)
    if head.startswith(b"\xff\xd8\xff") and path.suffix.lower() in _MOTION_JPEG:
        return False
    if head.startswith(PICTURES) or head[:4] + head[8:] == b"RIFFWEBP":
        return True
    video = head[4:8] == b"ftyp" or head.startswith(b"\x1aE\xdf\xa3")  # MP4 and Matroska
    return not video and path.suffix.lower() in IMAGE_SUFFIXES


def _opened(path: Path) -> Image.Image:
    return Image.open(path, formats=_FORMATS)


def _shape(image: Image.Image) -> Shape:
    return Shape(*image.size, turn=Turn.of_exif(_orientation(image)), alpha=image.has_transparency_data)


def _orientation(image: Image.Image) -> int:
    """The Exif orientation of a photo; 1, upright, where there is none that makes sense."""
    if image.format == "GIF" or not ("exif" in image.info or image.format == "PNG"):
        return 1
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except _ERRORS:
        return 1


def _numbers(image: Image.Image) -> tuple[int, int]:
    """Pillow's numbers of the last frame and of the first that is shown: a PNG may hide one from animations."""
    if image.format not in _ANIMATED or not getattr(image, "is_animated", False):
        return 0, 0
    return -1, int(bool(getattr(image, "default_image", False)))


def _one(path: Path, shape: Shape, output: FrameFormat, name: str) -> Iterator[TimedFrame]:
    with clip_errors(_ERRORS, path, "truncated or damaged"), _opened(path) as image:
        frames = len(list(delays(path, name))) if name in _ANIMATED else 1  # reads to the end mark
        if frames != 1 and name != "PNG":  # an animation of which one frame is left
            raise ClipError(path, "truncated or damaged after 1 frame")
        image.load()
        pixels = _pixels(image)
    yield TimedFrame(Fraction(0), Fraction(0), lambda: shape.finish(pixels, output))


def _animation(path: Path, shape: Shape, output: FrameFormat, name: str, hidden: int) -> Iterator[TimedFrame]:
    time, index = Fraction(0), 0
    timing = delays(path, name)
    with clip_errors(_ERRORS, path, "not an animated image that can be read"):
        image = _opened(path)
    with image:
        while True:
            with clip_errors(_ERRORS, path, f"truncated or damaged after {index} frames"):
                delay = next(timing, None)
                if delay is None:
                    return
                image.seek(index + hidden)
                if image.size != (shape.width, shape.height):
                    sizes = f"from {shape.width} × {shape.height} to {image.width} × {image.height} pixels"
                    raise ClipError(path, f"frames change {sizes} after {index} frames")
                image.load()
                show = _copy(image, shape, output)
            yield TimedFrame(time, delay[0], show)
            time, index = time + delay[0], index + 1


def _copy(image: Image.Image, shape: Shape, output: FrameFormat) -> Callable[[], np.ndarray]:
    copy = image.copy()  # the next frame is drawn over this one
    return lambda: shape.finish(_pixels(copy), output)


def _pixels(image: Image.Image) -> np.ndarray:
    """uint8 ``[H, W, 3]``, or ``[H, W, 4]`` where the picture has transparency."""
    if image.mode == "F":
        raise ValueError("floating-point pixels; save them as 8 or 16 bits")
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip at 255
        codes = np.clip(np.asarray(image, np.float64) / 257, 0, 255).round()
        return np.repeat(codes[..., None].astype(np.uint8), 3, axis=-1)
    return np.array(image.convert("RGBA" if image.has_transparency_data else "RGB"))


def _numbered_picture(folder: Path, file: Path, shape: Shape, output: FrameFormat) -> Callable[[], np.ndarray]:
    def show() -> np.ndarray:
        with clip_errors(_ERRORS, file, "not an image that can be read, or truncated"), _opened(file) as image:
            own = _shape(image)
            own.check(file, output.size)
            if own.shown() != shape.shown():
                sizes = "{} × {} pixels, but the first frame {} × {}".format(*own.shown(), *shape.shown())
                raise ClipError(folder, f"{file.name} has {sizes}")
            if own.alpha and not shape.alpha and output.background is None:
                raise ClipError(folder, f"{file.name} has transparency, but the first frame has none")
            image.load()
            return Shape(own.width, own.height, turn=own.turn, alpha=shape.alpha).finish(_pixels(image), output)

    return show


def _numbered(path: Path) -> list[Path]:
    """The pictures of a folder, or of a sequence in it, in the order of their numbers, which go on in even steps."""
    folder, wanted = (path, None) if path.is_dir() else (path.parent, path.name)
    with clip_errors((OSError,), folder, "cannot be listed"):
        names = [name for name in os.listdir(folder) if name[0] != "." and Path(name).suffix.lower() in STILL_SUFFIXES]
    names = names if wanted is None else matches(wanted, names)
    if not names:
        raise ClipError(path, "is a folder without frames (pictures such as frame_0001.png)")
    sequences, rest = find_sequences(names)
    if len(sequences) == 1 and not rest:
        by_number = dict(zip(sequences[0].numbers, sequences[0].names))
    else:
        by_number = _by_last_number(path, names)
    numbers = sorted(by_number)
    step = min((b - a for a, b in pairwise(numbers)), default=1)
    for a, b in pairwise(numbers):
        if b - a != step:
            raise ClipError(path, f"number {a + step} is missing, between {by_number[a]} and {by_number[b]}")
    return [folder / by_number[number] for number in numbers]


def _by_last_number(path: Path, names: list[str]) -> dict[int, str]:
    """Pictures by the last number in their names; ClipError where that makes no sequence."""
    by_number: dict[int, str] = {}
    series: tuple[str, str] | None = None
    for name in sorted(names):
        match = re.fullmatch(r"(.*?)(\d+)(\D*)", Path(name).stem, re.ASCII | re.DOTALL)
        if match is None:
            raise ClipError(path, f"{name} has no number in its name, as frames of a clip must")
        before, number, after = match[1], int(match[2]), match[3]
        if series is not None and series != (before, after):
            raise ClipError(path, f"{by_number[min(by_number)]} and {name} belong to different series of frames")
        if number in by_number:
            raise ClipError(path, f"{by_number[number]} and {name} have the same number")
        series, by_number[number] = (before, after), name
    return by_number
