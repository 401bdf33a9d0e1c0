"""Interlaced frames made whole by their neighbours."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
from av.filter import Graph

from dvdgan.data.decode.frames import DecodedFrame


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
