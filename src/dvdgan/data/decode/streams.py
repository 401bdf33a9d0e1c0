"""A video file, opened: its stream of pictures, what decodes it, and what its header says of time."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from dvdgan.data.decode.pixels import MOST_PIXELS, check_size, clip_errors
from dvdgan.data.errors import ClipError

AV_ERRORS = (av.FFmpegError, OSError, ValueError)
"""What PyAV raises for files that make no sense."""

_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # those of FFmpeg itself pass over alpha


def open_container(path: Path) -> InputContainer:
    """Open a file, and nothing that a playlist in it may name but files."""
    options = {"protocol_whitelist": "file", "max_pixels": str(MOST_PIXELS)}
    if not str(path).isprintable() and any("\ud800" <= letter <= "\udfff" for letter in str(path)):
        raise ClipError(path, "its name is not valid UTF-8; rename it")
    with clip_errors(AV_ERRORS, path, "not a video that can be read"):
        return av.open(f"file:{path}", options=options, metadata_errors="replace")


def video_stream(path: Path, container: InputContainer) -> VideoStream:
    """The first video stream that is no cover picture."""
    streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not streams:
        raise ClipError(path, "no video stream")
    if streams[0].codec_context is None:
        raise ClipError(path, "no decoder for its video")
    if not streams[0].width:
        raise ClipError(path, f"frames of unknown size, or of more than {MOST_PIXELS // 10**6} megapixels")
    check_size(path, streams[0].width, streams[0].height)
    streams[0].thread_type = "AUTO"
    streams[0].codec_context.options = {"max_pixels": str(MOST_PIXELS)}
    return streams[0]


def is_hidden(packet: av.Packet, stream: VideoStream) -> bool:
    """Whether it is a frame of VP8 that others refer to and nobody sees."""
    return stream.codec_context.codec.canonical_name == "vp8" and not memoryview(packet)[0] & 0x10


def is_flush(packet: av.Packet) -> bool:
    """Whether it is the empty packet at the end, which asks the decoder for the frames that it still has."""
    return packet.size == 0 and packet.pts is None and packet.dts is None


def tick_of(stream: VideoStream) -> Fraction:
    """What the stream's timestamps count, in seconds."""
    return stream.time_base or Fraction(1, 1000)


def decoder_of(stream: VideoStream) -> Callable[[av.Packet], list[av.VideoFrame]]:
    """What decodes the stream's packets, an empty packet at the end."""
    name = _ALPHA_DECODERS.get(stream.codec_context.codec.canonical_name)
    if name is None or stream.metadata.get("alpha_mode") != "1" or name not in av.codecs_available:
        return stream.decode
    context = av.CodecContext.create(name, "r")
    context.extradata = stream.codec_context.extradata
    return lambda packet: context.decode(packet if packet.size else None)  # type: ignore[attr-defined,no-any-return]


def in_dts_order(container: InputContainer, stream: VideoStream) -> bool:
    """AVI has no times of presentation: where frames are reordered, the n-th one shown has the n-th packet's time."""
    return container.format.name == "avi" and bool(stream.codec_context.has_b_frames)


def declared_end(container: InputContainer, stream: VideoStream) -> int | None:
    """When the last frame ends, in ticks, if the header says it better than the last frame does.

    In an MP4 with reordered frames a packet lasts until the next one is decoded, not until the next frame is shown.
    """
    if "mp4" in container.format.name and stream.codec_context.has_b_frames and stream.duration:
        return stream.duration + (stream.start_time or 0)
    return None


def tagged_seconds(stream: VideoStream) -> float:
    """The length that Matroska and WebM files give their video in a tag such as 00:00:02.000000000; 0 without one."""
    hours, _, rest = stream.metadata.get("DURATION", "").partition(":")
    minutes, _, seconds = rest.partition(":")
    try:
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    except ValueError:
        return 0.0
