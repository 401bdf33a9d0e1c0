"""One file in, one file out: clips as uint8 ``[T, H, W, 3]`` RGB, read from and written to video and image files.

PyAV encodes everything and decodes H.264 and its kin; Pillow decodes animated images (GIF, WebP, APNG), since PyAV
cannot decode animated WebP. A write goes to a temporary file beside its target, which is then renamed: a file is whole
or absent.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from av.video.stream import VideoStream
from PIL import Image

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")
IMAGE_SUFFIXES = (".gif", ".webp", ".png", ".apng")
CLIP_SUFFIXES = VIDEO_SUFFIXES + IMAGE_SUFFIXES
"""Suffixes of the files that `read_clip` reads."""

BACKGROUND = (255, 255, 255)
"""What shows through transparent pixels of an animated image."""

_UNTIMED_DELAY = 100  # milliseconds; what browsers give an animated image's frame whose delay is 0
_BT709 = 1  # the code point of BT.709 in ITU-T H.273, for matrix, primaries and transfer alike
_UNSPECIFIED = 2
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)  # what Pillow raises


class DataError(ValueError):
    """Clips that cannot be used; the message is one line that names what is wrong and where."""


class ClipError(DataError):
    """A file that cannot be read as a clip; the message is one line that names the file and the reason."""

    def __init__(self, path: str | Path, reason: str) -> None:
        """Say what is wrong with which file."""
        super().__init__(f"{path}: {reason}")
        self.path = Path(path)
        self.reason = reason


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
    brightness, which shows in clips of 32 pixels: write them enlarged (`dvdgan.data.sheets.clip_grid`), or as exact
    WebP. The same clip gives the same bytes.

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
