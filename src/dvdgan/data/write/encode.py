"""One file out: clips, uint8 ``[T, H, W, 3]`` RGB, written to MP4, GIF, WebP and NPZ.

A write goes to a temporary file beside its target, which is then renamed: a file is whole or absent.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from av.video.stream import VideoStream
from PIL import Image

from dvdgan.data.errors import DataError

_SHOWN_FPS = 50  # frames per second up to which all viewers play a GIF or WebP as it is meant

_log = logging.getLogger(__name__)

_BT709 = 1  # the code point of BT.709 in ITU-T H.273, for matrix, primaries and transfer alike


def write_clip(path: str | Path, clip: np.ndarray, fps: float) -> Path:
    """Write a clip in the format that the suffix names: .mp4, .gif, .webp or .npz.

    Args:
        path: the file to write; folders on the way are made.
        clip: uint8 ``[T, H, W, 3]``.
        fps: frames per second.

    Returns:
        The path.

    Raises:
        ValueError: an unknown suffix, or an array that is no clip.
        DataError: more frames per second than the format can time (100 in a GIF, 1000 in a WebP).
    """
    writers = {".mp4": write_mp4, ".gif": write_gif, ".webp": write_webp, ".npz": write_npz}
    suffix = Path(path).suffix.lower()
    if suffix not in writers:
        raise ValueError(f"{path}: clips are written as {', '.join(writers)}, not as {suffix or 'no suffix'}")
    return writers[suffix](path, clip, fps)


def write_mp4(path: str | Path, clip: np.ndarray, fps: float, crf: int = 16) -> Path:
    """Write H.264 that plays everywhere: yuv420p, BT.709 in limited range and tagged so, index first (faststart).

    A frame of odd height or width is padded by repeating its last row or column. Colour has half the resolution of
    brightness, which shows in clips of 32 pixels: write them enlarged (`dvdgan.data.write.sheets.clip_grid`), or as
    exact WebP. The same clip gives the same bytes.

    Args:
        path: the file to write.
        clip: uint8 ``[T, H, W, 3]``.
        fps: frames per second.
        crf: x264's constant rate factor; 0 is the best, 51 the worst.
    """
    _check_clip(clip, fps)
    clip = np.pad(clip, ((0, 0), (0, clip.shape[1] % 2), (0, clip.shape[2] % 2), (0, 0)), mode="edge")
    rate = Fraction(fps).limit_denominator(1001)
    with (
        atomic_path(path) as temporary,
        av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"}) as container,
    ):
        stream = container.add_stream("libx264", rate=rate, options={"crf": str(crf), "preset": "medium"})
        stream.height, stream.width = clip.shape[1:3]
        stream.pix_fmt = "yuv420p"
        codec = stream.codec_context
        codec.thread_count = 1  # x264's output depends on the number of threads
        codec.color_range = ColorRange.MPEG
        codec.colorspace = codec.color_primaries = codec.color_trc = _BT709
        for array in clip:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format="rgb24").reformat(
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
                interpolation=Interpolation.AREA,  # a pair of pixels shares the mean of its colours
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return Path(path)


def write_gif(path: str | Path, clip: np.ndarray, fps: float) -> Path:
    """Write a GIF that loops for ever, with 256 colours chosen for each frame, without dithering.

    A GIF counts time in 1/100 s: at 12 fps its delays are 8, 9, 8, 8, 9 ... hundredths, right in the sum.

    Args:
        path: the file to write.
        clip: uint8 ``[T, H, W, 3]``.
        fps: frames per second, at most 100; browsers slow down what is above 50.
    """
    frames = (_to_palette(frame) for frame in clip)
    return _write_animation(path, clip, fps, frames, codec="gif", pix_fmt="pal8", ticks=100, options={})


def write_webp(path: str | Path, clip: np.ndarray, fps: float) -> Path:
    """Write a lossless animated WebP that loops for ever; delays are whole milliseconds, right in the sum.

    Args:
        path: the file to write.
        clip: uint8 ``[T, H, W, 3]``.
        fps: frames per second.
    """
    alpha = np.full((*clip.shape[1:3], 1), 255, np.uint8)
    frames = (
        av.VideoFrame.from_ndarray(np.concatenate([frame[..., ::-1], alpha], axis=-1), format="bgra") for frame in clip
    )
    options = {"lossless": "1", "compression_level": "4", "quality": "75"}
    return _write_animation(path, clip, fps, frames, codec="libwebp", pix_fmt="bgra", ticks=1000, options=options)


def write_npz(path: str | Path, clip: np.ndarray, fps: float) -> Path:
    """Write the arrays ``clip`` (uint8 ``[T, H, W, 3]``) and ``fps`` to a compressed NumPy archive.

    Args:
        path: the file to write.
        clip: uint8 ``[T, H, W, 3]``.
        fps: frames per second.
    """
    _check_clip(clip, fps)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, clip=clip, fps=np.float64(fps))
    return Path(path)


def _write_animation(
    path: str | Path,
    clip: np.ndarray,
    fps: float,
    frames: Iterable[av.VideoFrame],
    *,
    codec: str,
    pix_fmt: str,
    ticks: int,  # per second
    options: dict[str, str],
) -> Path:
    """Write one packet per frame. (Pillow's writers merge equal frames, so a still clip would lose its length.)"""
    _check_clip(clip, fps)
    if fps > ticks:
        raise DataError(
            f"{path}: {fps:g} fps cannot be written, since {Path(path).suffix} counts time in 1/{ticks} s; "
            f"set fps to {ticks} or less, or write .mp4"
        )
    if fps > _SHOWN_FPS:
        _log.warning(
            "%s: at %g fps, viewers may play it slower, for browsers show a frame of 10 ms or less for 100 ms; write "
            ".mp4, or set fps to %d or less",
            path,
            fps,
            _SHOWN_FPS,
        )
    starts = [round(index * ticks / fps) for index in range(len(clip) + 1)]
    container_format = "gif" if codec == "gif" else "webp"
    with (
        atomic_path(path) as temporary,
        av.open(str(temporary), "w", format=container_format, options={"loop": "0"}) as container,
    ):
        stream = cast(VideoStream, container.add_stream(codec, rate=ticks, options=options))
        stream.height, stream.width = clip.shape[1:3]
        stream.pix_fmt = pix_fmt
        durations = iter(np.diff(starts).tolist())
        for start, frame in zip(starts, frames):
            frame.pts, frame.time_base = start, Fraction(1, ticks)
            for packet in stream.encode(frame):
                packet.duration = next(durations)
                container.mux(packet)
        for packet in stream.encode(None):
            packet.duration = next(durations)
            container.mux(packet)
    return Path(path)


def _to_palette(frame: np.ndarray) -> av.VideoFrame:
    image = Image.fromarray(frame).quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE)
    colours = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    palette = np.zeros((256, 4), np.uint8)  # alpha, R, G, B
    palette[:, 0] = 255
    palette[: len(colours), 1:] = colours
    return av.VideoFrame.from_ndarray((np.array(image), palette), format="pal8")  # type: ignore[arg-type]


def _check_clip(clip: np.ndarray, fps: float) -> None:
    if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[-1] != 3 or 0 in clip.shape:
        raise ValueError(f"a clip is uint8 [T, H, W, 3], not {clip.dtype} {list(clip.shape)}")
    if not 0 < fps < np.inf:
        raise ValueError(f"fps must be a number above 0, not {fps}")


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; renamed to `path` at the end, removed if anything is raised."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}-{secrets.token_hex(4)}.partial{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
