"""Decoded frames of a video file in order of time, from a time on, as whole pictures; damage is an error.

A file is searched for the keyframe before that time only where what comes then is what decoding all of it would give.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import dropwhile, pairwise
from pathlib import Path
from typing import NamedTuple

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from dvdgan.data.decode.magic import lacks_end
from dvdgan.data.decode.pixels import reason
from dvdgan.data.decode.streams import (
    declared_end,
    decoder_of,
    in_dts_order,
    is_flush,
    is_hidden,
    open_container,
    tagged_seconds,
    tick_of,
    video_stream,
)
from dvdgan.data.errors import ClipError
from dvdgan.data.worker_process import heartbeat

MID_STREAM = {"mpegts", "mpeg"}
"""Containers that may begin between two keyframes, as recordings from the air do."""

_SEEKABLE = {"mov", "matroska", "avi", "mpegts", "flv", "asf", "ogg"}  # not "mpeg": its frames are not all timed


class DecodedFrame(NamedTuple):
    """A decoded frame with its time after the first one and how long it lasts if it is the last, in seconds."""

    time: Fraction
    duration: Fraction
    frame: av.VideoFrame


@dataclass(frozen=True)
class VideoFrames:
    """The frames of a video file in order of time."""

    path: Path
    origin: int  # when its first frame is shown, in ticks of its stream
    interval: Fraction  # usual time between two frames, in seconds
    size: tuple[int, int]  # width and height of every frame, as stored

    def read(self, start: Fraction) -> Iterator[DecodedFrame]:
        """Frames from the first one, or from one at least two usual intervals before `start`."""
        goal = start - 2 * self.interval
        back = Fraction(0)
        while goal - back > 0:
            with open_container(self.path) as container:
                frames = self._after_seek(container, goal - back)
                first = None if frames is None else next(frames, None)
                if frames is not None and first is not None and first.time <= goal:
                    yield first
                    yield from frames
                    return
                if frames is None:
                    break
                frames.close()  # before its container
            back = 4 * back + max(Fraction(1), self.interval)
        with open_container(self.path) as container:
            yield from self._decoded(container, video_stream(self.path, container), None)

    def times(self) -> tuple[list[Fraction], Fraction]:
        """The times of all frames in order, and how long the last one is shown, in seconds; none is decoded.

        What cannot be read ends them. Where packets have no times, the frames are decoded after all.
        """
        with open_container(self.path) as container:
            stream = video_stream(self.path, container)
            marks = self._marks(container, stream)
            clock = _Clock(container, stream, self.origin, self.interval)
            marks = list(dropwhile(lambda mark: mark[0] < self.origin, marks or []))
            if marks and all(before <= after for (before, _), (after, _) in pairwise(marks)):  # the same, but quick
                tick = tick_of(stream)
                return [(mark - self.origin) * tick for mark, _ in marks], clock.tell(*marks[-1])[1]
            if times := [clock.tell(*mark) for mark in marks]:
                return [time for time, _ in times], times[-1][1]
        shown = []
        for frame in self.read(Fraction(0)):
            heartbeat()
            shown.append((frame.time, frame.duration))
        return [time for time, _ in shown], shown[-1][1]

    def _marks(self, container: InputContainer, stream: VideoStream) -> list[tuple[int, int]] | None:
        """When frames are shown, in order, and their durations, in ticks; None where packets do not say."""
        by_dts = in_dts_order(container, stream)
        marks: list[tuple[int, int]] = []
        stretch: list[tuple[int, int]] = []  # of an unbroken clock
        begun, last = container.format.name not in MID_STREAM, -(2**63)
        back = int(2 * self.interval / tick_of(stream))
        with suppress(av.FFmpegError):
            for number, packet in enumerate(container.demux(stream)):
                if number % 256 == 0:
                    heartbeat()
                begun = begun or packet.is_keyframe
                if is_flush(packet):
                    break
                if packet.size == 0 or not begun or packet.is_discard or is_hidden(packet, stream):
                    continue
                mark = packet.dts if by_dts else packet.pts
                if mark is None:
                    return None
                if packet.dts is not None:
                    if packet.dts < last - back:  # the clock was set back
                        marks += sorted(stretch)
                        stretch = []
                    last = packet.dts
                stretch.append((mark, packet.duration or 0))
        return marks + sorted(stretch)

    def _after_seek(self, container: InputContainer, goal: Fraction) -> Generator[DecodedFrame, None, None] | None:
        """Frames from the keyframe before a time on; None if there is no way to get there."""
        stream = video_stream(self.path, container)
        if container.format.name.split(",")[0] not in _SEEKABLE or in_dts_order(container, stream):
            return None
        try:
            container.seek(self.origin + int(goal / tick_of(stream)), stream=stream)
        except (av.FFmpegError, OverflowError):
            return None
        return self._decoded(container, stream, goal)

    def _decoded(
        self, container: InputContainer, stream: VideoStream, goal: Fraction | None
    ) -> Generator[DecodedFrame, None, None]:
        """Decode to the end; a file that lacks its end is an error, not a shorter clip.

        After a seek (`goal` is not None), decoding begins at a keyframe, and frames that are shown before it are left
        out: they may need others that were not decoded.
        """
        decode, clock = decoder_of(stream), _Clock(container, stream, self.origin, self.interval)
        skip = goal is not None or container.format.name in MID_STREAM
        key: int | None = None  # when the first keyframe is shown, in ticks
        last, end = -(2**63), Fraction(0)  # when the last packet is decoded, in ticks; what was read ends, in seconds
        frames = 0
        try:
            for packet in container.demux(stream):
                if packet.size == 0 and not is_flush(packet):
                    continue  # a frame that was dropped: the one before is held
                last = last if packet.dts is None else packet.dts
                if key is None and packet.is_keyframe:
                    key = packet.pts
                elif key is None and skip and packet.size:
                    continue
                if packet.is_corrupt:
                    raise ClipError(self.path, f"truncated or damaged after {frames} frames")
                if packet.pts is not None:
                    end = max(end, (packet.pts + (packet.duration or 0)) * tick_of(stream))
                clock.expect(packet)
                for frame in decode(packet):
                    early = key is None or (frame.pts is not None and frame.pts < key)
                    if early and (goal is not None or (frame.is_corrupt and frames == 0)):
                        continue
                    self._check(frame, frames)
                    yield clock.show(frame)
                    frames += 1
                if is_flush(packet):
                    break  # PyAV goes on to streams that may have appeared meanwhile, which it does not know
        except av.FFmpegError as error:
            raise ClipError(self.path, f"truncated or damaged after {frames} frames ({reason(error)})") from None
        if goal is None and frames == 0:
            raise ClipError(self.path, "no frames")
        slack = Fraction(1, 20) + Fraction(3, 2) * self.interval  # for headers that count the last frame otherwise
        if _ends_early(self.path, container, stream, last, end + slack):
            raise ClipError(self.path, f"truncated after {frames} frames")

    def _check(self, frame: av.VideoFrame, frames: int) -> None:
        if frame.is_corrupt:
            raise ClipError(self.path, f"truncated or damaged after {frames} frames")
        if (frame.width, frame.height) != self.size:
            sizes = f"from {self.size[0]} × {self.size[1]} to {frame.width} × {frame.height} pixels"
            raise ClipError(self.path, f"frames change {sizes} after {frames} frames")


def _ends_early(path: Path, container: InputContainer, stream: VideoStream, last: int, end: Fraction) -> bool:
    """Whether there should be more: by the index, which is no guess, or by the header, where the file lacks its end.

    The last packet that was read is decoded at `last`, in ticks; its frames end at `end`, in seconds.
    """
    names = container.format.name.split(",")
    index = stream.index_entries  # of all packets in an MP4 or AVI that is whole
    if ("mp4" in names or "avi" in names) and len(index) and index[-1].timestamp > last:
        return True
    stated = Fraction(tagged_seconds(stream))
    if "avi" in names and stream.duration:
        stated = stream.duration * tick_of(stream)
    elif "matroska" in names and not stated and container.duration and len(container.streams) == 1:
        stated = Fraction(container.duration, av.time_base)
    return end < stated and lacks_end(path)


class _Clock:
    """Times of decoded frames, in seconds after the first one, that never run backwards."""

    def __init__(self, container: InputContainer, stream: VideoStream, origin: int, interval: Fraction) -> None:
        self._tick, self._origin, self._interval = tick_of(stream), origin, interval
        self._end = declared_end(container, stream)
        self._expected: deque[int] | None = deque() if in_dts_order(container, stream) else None
        self._last: Fraction | None = None
        self._shift = Fraction(0)

    def expect(self, packet: av.Packet) -> None:
        """A packet goes to the decoder."""
        if self._expected is not None and packet.dts is not None:
            self._expected.append(packet.dts)

    def show(self, frame: av.VideoFrame) -> DecodedFrame:
        """A frame comes from the decoder."""
        mark = frame.pts
        if self._expected is not None:
            mark = self._expected.popleft() if self._expected else None
        return DecodedFrame(*self.tell(mark, frame.duration or 0), frame)

    def tell(self, mark: int | None, duration: int) -> tuple[Fraction, Fraction]:
        """When a frame is shown, and how long if it is the last one, by its mark and its duration in ticks."""
        last = self._last
        if mark is None:
            time = Fraction(0) if last is None else last + self._interval
        else:
            time = (mark - self._origin) * self._tick + self._shift
        if last is not None and time < last - 2 * self._interval:  # the clock was set back
            self._shift += last + self._interval - time
            time = last + self._interval
        self._last = time if last is None else max(last, time)
        if self._end is not None and mark is not None:
            duration = max(0, self._end - mark)
        return self._last, duration * self._tick
