"""One file in: clips as uint8 ``[T, H, W, 3]`` RGB, read from video and image files.

PyAV decodes H.264 and its kin; Pillow decodes animated images (GIF, WebP, APNG): PyAV cannot decode animated WebP.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream
from PIL import Image

from dvdgan.data.errors import ClipError

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
IMAGE_SUFFIXES = (".gif", ".webp", ".png", ".apng")
CLIP_SUFFIXES = VIDEO_SUFFIXES + IMAGE_SUFFIXES
"""Suffixes of the files that `read_clip` reads."""

BACKGROUND = (255, 255, 255)
"""What shows through transparent pixels of an animated image."""

_UNTIMED_DELAY = 100  # milliseconds; what browsers give an animated image's frame whose delay is 0
_UNSPECIFIED = 2
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)  # what Pillow raises


def read_clip(path: str | Path, size: int | None = None) -> tuple[np.ndarray, float]:
    """Read a whole clip into memory.

    Args:
        path: a video or an animated image; `CLIP_SUFFIXES` lists what is tried.
        size: if given, every frame's short side is resized to this many pixels while decoding.

    Returns:
        The frames, uint8 ``[T, H, W, 3]``, and the mean frame rate in frames per second.

    Raises:
        ClipError: the file is missing, is not a video, has no frames, or is truncated.
    """
    fps, frames = open_clip(path, size)
    return np.stack(list(frames)), fps


def open_clip(path: str | Path, size: int | None = None) -> tuple[float, Iterator[np.ndarray]]:
    """Begin to read a clip, one frame at a time, so that a long video is never held in memory at full size.

    Args:
        path: a video or an animated image.
        size: if given, every frame's short side is resized to this many pixels.

    Returns:
        The mean frame rate in frames per second, and an iterator of uint8 ``[H, W, 3]`` frames (at least one). The file
        is open only while the iterator runs.

    Raises:
        ClipError: at once if the file is missing or not a video; from the iterator if it has no frames or is truncated.
    """
    path = Path(path)
    try:
        empty = path.stat().st_size == 0
    except OSError as error:
        raise ClipError(path, "no such file" if isinstance(error, FileNotFoundError) else _reason(error)) from None
    if not path.is_file():
        raise ClipError(path, "is a folder, not a clip" if path.is_dir() else "is not a file")
    if empty:
        raise ClipError(path, "the file is empty")
    fps, frames = _open_image(path) if path.suffix.lower() in IMAGE_SUFFIXES else _open_video(path)
    return fps, frames if size is None else (resize_short_side(frame, size) for frame in frames)


def resize_short_side(frames: np.ndarray, size: int) -> np.ndarray:
    """Resize with antialiasing (bicubic, whose support grows with the reduction) so that the short side is `size`.

    Args:
        frames: uint8 ``[H, W, 3]`` or ``[T, H, W, 3]``.
        size: the new short side, in pixels; the long side keeps the aspect ratio, rounded to a whole pixel.

    Returns:
        uint8 frames of the same rank; the input itself where it has that size already.
    """
    height, width = frames.shape[-3:-1]
    short = min(height, width)
    if short == size:
        return frames
    shape = (round(width * size / short), round(height * size / short))
    if frames.ndim == 3:
        return np.asarray(Image.fromarray(frames).resize(shape, Image.Resampling.BICUBIC))
    return np.stack([np.asarray(Image.fromarray(f).resize(shape, Image.Resampling.BICUBIC)) for f in frames])


def _open_video(path: Path) -> tuple[float, Iterator[np.ndarray]]:
    with _container(path) as container:
        if not container.streams.video:
            raise ClipError(path, "no video stream")
        rate = container.streams.video[0].average_rate or container.streams.video[0].guessed_rate
    return float(rate or 0) or 1.0, _decode(path)


def _container(path: Path) -> InputContainer:
    try:
        return av.open(str(path))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ClipError(path, f"not a video that can be read ({_reason(error)})") from None


def _decode(path: Path) -> Iterator[np.ndarray]:
    """Decode all frames; a file that ends before its header says that it does is an error, not a shorter clip."""
    packets = frames = 0
    end = 0.0  # seconds
    with _container(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        promised = _tagged_seconds(stream)
        try:
            for packet in container.demux(stream):
                if packet.is_corrupt:
                    raise ClipError(path, f"truncated or damaged after {frames} frames")
                if packet.size:
                    packets += 1
                    if packet.pts is not None and packet.time_base is not None:
                        end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                for frame in packet.decode():
                    yield _to_rgb(frame)
                    frames += 1
        except av.FFmpegError as error:
            raise ClipError(path, f"truncated or damaged after {frames} frames ({_reason(error)})") from None
        if frames == 0:
            raise ClipError(path, "no frames")
        tolerance = 0.25 + (1.5 / float(stream.average_rate) if stream.average_rate else 0.0)  # seconds
        if (packets < stream.frames and "mp4" in container.format.name) or end + tolerance < promised:
            raise ClipError(path, f"truncated after {frames} frames")


def _tagged_seconds(stream: VideoStream) -> float:
    """The length that Matroska and WebM files give their video in a tag such as 00:00:02.000000000; 0 without one."""
    hours, _, rest = stream.metadata.get("DURATION", "").partition(":")
    minutes, _, seconds = rest.partition(":")
    try:
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    except ValueError:
        return 0.0


def _to_rgb(frame: av.VideoFrame) -> np.ndarray:
    """Full-range RGB by the file's range and matrix; where it names none, BT.709 from 720 lines on, else BT.601."""
    if frame.colorspace == _UNSPECIFIED and min(frame.width, frame.height) >= 720:
        return frame.reformat(format="rgb24", src_colorspace=Colorspace.ITU709).to_ndarray()
    return frame.to_ndarray(format="rgb24")


def _open_image(path: Path) -> tuple[float, Iterator[np.ndarray]]:
    delays = []
    try:
        with Image.open(path) as image:
            for index in range(getattr(image, "n_frames", 1)):
                image.seek(index)
                image.load()  # WebP knows a frame's delay only now
                delays.append(image.info.get("duration") or _UNTIMED_DELAY)
    except _UNREADABLE as error:
        raise ClipError(path, f"not an animated image that can be read, or truncated ({_reason(error)})") from None
    return 1000 * len(delays) / sum(delays), _decode_image(path, len(delays))


def _decode_image(path: Path, count: int) -> Iterator[np.ndarray]:
    index = 0
    try:
        with Image.open(path) as image:
            for index in range(count):
                image.seek(index)
                yield _flatten(image)
    except _UNREADABLE as error:
        raise ClipError(path, f"truncated or damaged after {index} frames ({_reason(error)})") from None


def _flatten(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip at 255
        codes = np.clip(np.asarray(image, np.float64) / 257, 0, 255).round()
        return np.repeat(codes[..., None].astype(np.uint8), 3, axis=-1)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        canvas = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        image = Image.alpha_composite(canvas, image.convert("RGBA"))
    return np.array(image.convert("RGB"))


def _reason(error: BaseException) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())
