"""One file out: clips, uint8 ``[T, H, W, 3]`` RGB, written to MP4, GIF and WebP.

A write goes to a temporary file beside its target, which is then renamed: a file is whole or absent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from fractions import Fraction
from itertools import count, pairwise
from pathlib import Path
from typing import NamedTuple, cast

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from av.video.stream import VideoStream
from PIL import Image

from dvdgan.atomic import atomic_path
from dvdgan.data.errors import DataError
from dvdgan.data.write.mark import sign

_SHOWN_FPS = 50  # frames per second up to which all viewers play a GIF or WebP as it is meant

_log = logging.getLogger(__name__)

_BT709 = 1  # the code point of BT.709 in ITU-T H.273, for matrix, primaries and transfer alike


Write = Callable[[np.ndarray], None]


def write_clip(path: str | Path, clip: np.ndarray, fps: float, crf: int = 16) -> Path:
    """Write a clip in the format that the suffix names: .mp4, .gif or .webp.

    Args:
        path: the file to write; folders on the way are made.
        clip: uint8 ``[T, H, W, 3]``.
        fps: frames per second.
        crf: of an MP4, x264's constant rate factor: 0 is the best, 51 the worst.

    Returns:
        The path.

    Raises:
        ValueError: an unknown suffix, or an array that is no clip.
        DataError: more frames per second than the format can time (100 in a GIF, 1000 in a WebP).
    """
    if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[-1] != 3 or 0 in clip.shape:
        raise ValueError(f"a clip is uint8 [T, H, W, 3], not {clip.dtype} {list(clip.shape)}")
    if not 0 < fps < np.inf:
        raise ValueError(f"fps must be a number above 0, not {fps}")
    _, height, width, _ = clip.shape
    with clip_writer(path, height, width, fps, crf) as write:
        write(clip)
    return Path(path)


def clip_writer(path: str | Path, height: int, width: int, fps: float, crf: int = 16) -> AbstractContextManager[Write]:
    """Write a clip some frames at a time, in the format that the suffix names: .mp4, .gif or .webp.

    Args:
        path: the file to write; it appears when all is written.
        height: of a frame, in pixels.
        width: of a frame, in pixels.
        fps: frames per second.
        crf: as for `write_clip`.

    Returns:
        A context manager. It gives a function that takes the next frames, uint8 ``[t, H, W, 3]``.

    Raises:
        ValueError: an unknown suffix.
        DataError: more frames per second than the format can time (100 in a GIF, 1000 in a WebP).
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".mp4":
        return _mp4_writer(path, height, width, fps, crf)
    if suffix not in _ANIMATIONS:
        names = ", ".join([".mp4", *_ANIMATIONS])
        raise ValueError(f"{path}: clips are written as {names}, not as {suffix or 'no suffix'}")
    return _animation_writer(path, height, width, fps, _ANIMATIONS[suffix])


def check_fps(path: str | Path, fps: float) -> None:
    """Refuse more frames per second than the format that the suffix names can time.

    Raises:
        DataError: these are more than 100 in a GIF, more than 1000 in a WebP.
    """
    suffix = Path(path).suffix
    animation = _ANIMATIONS.get(suffix.lower())
    if animation is not None and fps > animation.ticks:
        raise DataError(
            f"{path}: {fps:g} fps cannot be written, since {suffix} counts time in 1/{animation.ticks} s; "
            f"set fps to {animation.ticks} or less, or write .mp4"
        )


@contextmanager
def _mp4_writer(path: str | Path, height: int, width: int, fps: float, crf: int) -> Iterator[Write]:
    """H.264 that plays everywhere: yuv420p, BT.709 in limited range and tagged so, index first (faststart).

    A frame of odd height or width is padded by repeating its last row or column. Colour has half the resolution of
    brightness, which shows in clips of 32 pixels: write them enlarged (`dvdgan.data.write.sheets.clip_grid`), or as
    exact WebP. The same clip gives the same bytes.
    """
    rate = Fraction(fps).limit_denominator(1001)
    with (
        signed_path(path) as temporary,
        av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"}) as container,
    ):
        stream = container.add_stream("libx264", rate=rate, options={"crf": str(crf), "preset": "medium"})
        stream.height, stream.width = height + height % 2, width + width % 2
        stream.pix_fmt = "yuv420p"
        codec = stream.codec_context
        codec.thread_count = 1  # x264's output depends on the number of threads
        codec.color_range = ColorRange.MPEG
        codec.colorspace = codec.color_primaries = codec.color_trc = _BT709

        def write(frames: np.ndarray) -> None:
            for array in np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge"):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format="rgb24").reformat(
                    format="yuv420p",
                    dst_colorspace=Colorspace.ITU709,
                    dst_color_range=ColorRange.MPEG,
                    interpolation=Interpolation.AREA,  # a pair of pixels shares the mean of its colours
                )
                container.mux(stream.encode(frame))

        yield write
        container.mux(stream.encode(None))


class _Animation(NamedTuple):
    """A format that loops for ever, and whose delays are whole ticks, right in the sum."""

    codec: str
    pix_fmt: str
    ticks: int  # per second
    to_frame: Callable[[np.ndarray], av.VideoFrame]
    options: dict[str, str] = {}  # noqa: RUF012 (of the codec; read only)


@contextmanager
def _animation_writer(path: str | Path, height: int, width: int, fps: float, animation: _Animation) -> Iterator[Write]:
    """Write one packet per frame. (Pillow's writers merge equal frames, so a still clip would lose its length.)"""
    ticks, suffix = animation.ticks, Path(path).suffix
    check_fps(path, fps)
    if fps > _SHOWN_FPS:
        _log.warning(
            "%s: at %g fps, viewers may play it slower, for browsers show a frame of 10 ms or less for 100 ms; write "
            ".mp4, or set fps to %d or less",
            path,
            fps,
            _SHOWN_FPS,
        )
    with (
        signed_path(path) as temporary,
        av.open(str(temporary), "w", format=suffix[1:].lower(), options={"loop": "0"}) as container,
    ):
        stream = cast(VideoStream, container.add_stream(animation.codec, rate=ticks, options=animation.options))
        stream.height, stream.width = height, width
        stream.pix_fmt = animation.pix_fmt
        starts = (round(index * ticks / fps) for index in count())
        times = pairwise(starts)  # beginning and end of each packet, in ticks
        frames_in = 0

        def mux(packets: list[av.Packet]) -> None:
            for packet in packets:
                begin, end = next(times)
                packet.duration = end - begin
                container.mux(packet)

        def write(frames: np.ndarray) -> None:
            nonlocal frames_in
            for array in frames:
                frame = animation.to_frame(array)
                frame.pts, frame.time_base = round(frames_in * ticks / fps), Fraction(1, ticks)
                frames_in += 1
                mux(stream.encode(frame))

        yield write
        mux(stream.encode(None))


def _bgra_frame(array: np.ndarray) -> av.VideoFrame:
    alpha = np.full((*array.shape[:2], 1), 255, np.uint8)
    return av.VideoFrame.from_ndarray(np.concatenate([array[..., ::-1], alpha], axis=-1), format="bgra")


def _palette_frame(frame: np.ndarray) -> av.VideoFrame:
    image = Image.fromarray(frame).quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE)
    colours = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    palette = np.zeros((256, 4), np.uint8)  # alpha, R, G, B
    palette[:, 0] = 255
    palette[: len(colours), 1:] = colours
    return av.VideoFrame.from_ndarray((np.array(image), palette), format="pal8")  # type: ignore[arg-type]


_ANIMATIONS = {
    # 256 colours chosen for each frame, without dithering; at 12 fps its delays are 8, 9, 8, 8, 9 ... hundredths
    ".gif": _Animation("gif", "pal8", 100, _palette_frame),
    ".webp": _Animation(
        "libwebp", "bgra", 1000, _bgra_frame, {"lossless": "1", "compression_level": "4", "quality": "75"}
    ),
}


@contextmanager
def signed_path(path: str | Path) -> Iterator[Path]:
    """`atomic_path` for clips and sheets, which get the mark by which an earlier result is known."""
    with atomic_path(path) as temporary:
        yield temporary
        sign(temporary)
