"""Video files through PyAV: what they say, and their frames from a time on, by seeking where that gives the same."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import partial
from math import floor
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.filter import Graph
from av.video.reformatter import Colorspace, VideoReformatter
from av.video.stream import VideoStream

from dvdgan.data.decode.colour import BT2020, HDR, UNREADABLE, to_display
from dvdgan.data.decode.frames import MID_STREAM, DecodedFrame, VideoFrames
from dvdgan.data.decode.pixels import FrameFormat, Shape, Turn, clip_errors
from dvdgan.data.decode.streams import (
    AV_ERRORS,
    decoder_of,
    in_dts_order,
    is_flush,
    is_hidden,
    open_container,
    tick_of,
    video_stream,
)
from dvdgan.data.decode.timing import (
    LONGEST_GAP,
    LONGEST_GAP_OF_STREAMS,
    Header,
    Length,
    Reader,
    TimedFrame,
    measure,
    nominal_rate,
)
from dvdgan.data.errors import ClipError

_FIRST_PACKETS, _FIRST_BYTES = 256, 2**26  # of a stream, read to learn its rate; at least `_FEW` packets are
_FEW = 16
_JUMPING = 0x0200  # AVFMT_TS_DISCONT: containers whose clock may jump
_UNSPECIFIED = 2  # matrix, in ITU-T H.273
_HD_WIDTH, _SD_HEIGHT = 1280, 576  # pixels: what is as wide or higher has the matrix of BT.709 unless it says otherwise
_BILINEAR_FULL_CHROMA = 0x2002  # SWS_BILINEAR | SWS_FULL_CHR_H_INT; without the latter 10 bits lose two codes of 8


def open_video(path: Path, output: FrameFormat) -> Reader:
    """Read what a video says of itself: a few hundred packets and one frame.

    Raises:
        ClipError: not a video, no frames, or frames of a size that is refused.
    """
    with clip_errors(AV_ERRORS, path, "not a video that can be read"), open_container(path) as container:
        stream = video_stream(path, container)
        with clip_errors(AV_ERRORS, path, "truncated or damaged after 0 frames"):
            first, origin, times = _first_packets(path, container, stream)
        shape = _shape(container, stream, first)
        shape.check(path, output.size)
        if (matrix := UNREADABLE.get(first.colorspace)) is not None:
            raise ClipError(path, f"its colours are coded as {matrix}, which cannot be read; convert it to BT.709")
        tick = tick_of(stream)
        rate, variable = nominal_rate(times, tick, stream.base_rate, stream.average_rate)
        width, height = shape.shown()
        late = origin * tick - Fraction(max(0, container.start_time or 0), av.time_base)
        # in whole frames: a coder's lead-in is no sound
        begins = float(max(0, floor(late * rate + Fraction(1, 4))) / rate)
        gap = LONGEST_GAP_OF_STREAMS if container.format.flags & _JUMPING else LONGEST_GAP
        kind = f"{_container_name(path, container)}/{stream.codec_context.codec.canonical_name}"
        hdr = HDR.get(first.color_trc, "")
        header = Header(width, height, float(rate), 0, 0.0, shape.alpha, kind, variable, begins, hdr)
        source = VideoFrames(path, origin, 1 / rate, (first.width, first.height))
        show = _converter(path, shape, output)

    def frames_from(time: Fraction) -> Iterator[TimedFrame]:
        with clip_errors(AV_ERRORS, path, "damaged"):
            for shown in deinterlaced(source.read(time)):
                yield TimedFrame(shown.time, shown.duration, partial(show, shown.frame))

    def length() -> Length:
        with clip_errors(AV_ERRORS, path, "damaged"):
            times, duration = source.times()
        return measure(times, duration, rate, gap)

    return Reader(header, rate, frames_from, length, longest_gap=gap)


def deinterlaced(frames: Iterable[DecodedFrame]) -> Iterator[DecodedFrame]:
    """Interlaced frames become whole ones, as many, by their neighbours; others stay as they are."""
    graph: Graph | None = None
    waiting: deque[DecodedFrame | None] = deque()  # what is in the filter; None is not to be given
    before: DecodedFrame | None = None
    for shown in frames:
        frame = shown.frame
        if graph is None and (not frame.interlaced_frame or frame.width < 3 or frame.height < 4):
            yield shown
            before = shown
            continue
        if graph is None:
            graph = _deinterlacer(frame)
            for neighbour in (frame, frame, frame if before is None else before.frame):
                graph.vpush(neighbour)  # bwdif treats the first interlaced frame otherwise than all that follow
                waiting.append(None)
        graph.vpush(frame)
        waiting.append(shown)
        yield from _pull(graph, waiting)
    if graph is not None:
        graph.vpush(None)
        yield from _pull(graph, waiting)


def _deinterlacer(frame: av.VideoFrame) -> Graph:
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1, 1000)
    )
    graph.link_nodes(source, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink"))
    graph.configure()
    return graph


def _pull(graph: Graph, waiting: deque[DecodedFrame | None]) -> Iterator[DecodedFrame]:
    while waiting:
        try:
            whole = graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return
        shown = waiting.popleft()
        if shown is not None:
            for tag in ("colorspace", "color_range", "color_trc", "color_primaries"):
                setattr(whole, tag, getattr(shown.frame, tag))
            yield shown._replace(frame=whole)


def _container_name(path: Path, container: InputContainer) -> str:
    names = container.format.name.split(",")
    suffix = path.suffix.lower()[1:]
    return suffix if suffix in {*names, "mkv", "m4v"} else names[0]


def _first_packets(path: Path, container: InputContainer, stream: VideoStream) -> tuple[av.VideoFrame, int, list[int]]:
    """The first frame, when it is shown, in ticks, and sorted times of the frames that are known, in ticks after it."""
    decode, by_dts = decoder_of(stream), in_dts_order(container, stream)
    late = container.format.name in MID_STREAM
    first: av.VideoFrame | None = None
    origin = 0
    marks: list[int] = []  # when packets are shown, in ticks
    packets, size, decoded, whole = 0, 0, -(2**63), False
    for packet in container.demux(stream):
        if is_flush(packet):
            whole = True
        elif packet.size == 0 or (late and not packet.is_keyframe and not marks):
            continue
        else:
            packets, size = packets + 1, size + packet.size
            mark = packet.dts if by_dts else packet.pts
            if mark is not None and not packet.is_discard and not is_hidden(packet, stream):
                marks.append(mark)
            decoded = max(decoded, packet.dts if packet.dts is not None else -(2**63))
        if first is None and (first := next((f for f in decode(packet) if not f.is_corrupt), None)) is not None:
            origin = min(marks) if by_dts and marks else first.pts or 0
        if whole or (first is not None and (packets >= _FIRST_PACKETS or (size >= _FIRST_BYTES and packets >= _FEW))):
            break
        if packets >= 4 * _FIRST_PACKETS:
            raise ClipError(path, f"no whole frame in its first {packets} packets")
    if first is None:
        raise ClipError(path, "no frames" if packets == 0 else "truncated or damaged after 0 frames")
    known = sorted(mark for mark in marks if mark >= origin and (whole or mark <= decoded))
    return first, origin, [mark - origin for mark in known or [origin]]


def _shape(container: InputContainer, stream: VideoStream, frame: av.VideoFrame) -> Shape:
    unused = container.format.name == "avi" and stream.codec_context.name == "rawvideo"  # the fourth byte is padding
    matrix = frame.side_data.get("DISPLAYMATRIX")
    return Shape(
        frame.width,
        frame.height,
        pixel=Fraction(stream.sample_aspect_ratio or 1),
        turn=Turn() if matrix is None else Turn.of_matrix(bytes(matrix)),  # type: ignore[call-overload]
        alpha=_has_alpha(frame) and not unused,
    )


def _has_alpha(frame: av.VideoFrame) -> bool:
    return any(component.is_alpha for component in frame.format.components)


def _converter(path: Path, shape: Shape, output: FrameFormat) -> Callable[[av.VideoFrame], np.ndarray]:
    reformatter = VideoReformatter()

    def show(frame: av.VideoFrame) -> np.ndarray:
        """RGB by the file's range, matrix, transfer and primaries, as a display of standard range shows it."""
        transfer, primaries = frame.color_trc, frame.color_primaries
        display = to_display(transfer, primaries)
        with clip_errors(AV_ERRORS, path, "pixels that cannot be converted"):
            rgb = reformatter.reformat(
                frame,
                format="rgba" if shape.alpha and _has_alpha(frame) else "rgb24",
                src_colorspace=_guessed_matrix(frame) if frame.colorspace == _UNSPECIFIED else None,
                interpolation=_BILINEAR_FULL_CHROMA,
                threads=1,
            )
            pixels = rgb.to_ndarray()
            if display is None:
                return shape.finish(pixels, output)
            if shape.alpha:  # the background is of standard range
                return shape.finish(display(pixels), output)
            return display(shape.finish(pixels, output))

    return show


def _guessed_matrix(frame: av.VideoFrame) -> Colorspace | None:
    """The matrix of a file that names none, as players guess it; None is BT.601."""
    if frame.color_primaries == BT2020 or frame.color_trc in HDR:
        return Colorspace(BT2020)
    return Colorspace.ITU709 if frame.width >= _HD_WIDTH or frame.height > _SD_HEIGHT else None
