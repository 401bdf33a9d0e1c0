"""How the frames of a listed clip are read, by `store.packing` once for all and by `files` whenever they are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from dvdgan.data.decode.clip import open_clip, read_header
from dvdgan.data.decode.timing import Header, window_numbers
from dvdgan.data.errors import ClipError
from dvdgan.data.layouts.listing import Entry


@dataclass(frozen=True)
class Reading:
    """How frames are read from files: what decides about a packed store's bytes, so a store is known by it.

    Attributes:
        size: short side of a frame, in pixels.
        fps: frames per second; None is each file's own rate.
        background: colour that shows through transparent pixels; None keeps transparency.
        folder_fps: frames per second of folders of numbered frames.
        max_seconds: clips longer than this are cut into parts of this length; None cuts none.
        windows: into how many parts at most, evenly spread.
    """

    size: int
    fps: float | None = None
    background: tuple[int, int, int] | None = (255, 255, 255)
    folder_fps: float = 12.0
    max_seconds: float | None = None
    windows: int = 1

    def header(self, path: Path) -> Header:
        """`dvdgan.data.decode.clip.read_header`."""
        return read_header(path, folder_fps=self.folder_fps)

    def measure(self, entry: Entry) -> tuple[Header, list[range]]:
        """What a clip's file says of itself, and the clip's `numbers`.

        Raises:
            ClipError: the header cannot be read, or the clip begins beyond its end.
        """
        header = self.header(entry.path)
        if not (numbers := self.numbers(entry, header)):
            raise ClipError(entry.path, header.nothing_at(entry.start, entry.end))
        return header, numbers

    def open(
        self, path: Path, start: float = 0.0, end: float | None = None, numbers: tuple[int, int] | None = None
    ) -> tuple[float, Iterator[np.ndarray]]:
        """`dvdgan.data.decode.clip.open_clip`."""
        return open_clip(
            path,
            self.size,
            fps=self.fps,
            start=start,
            end=end,
            background=self.background,
            folder_fps=self.folder_fps,
            numbers=numbers,
        )

    def numbers(self, entry: Entry, header: Header) -> list[range]:
        """The numbers, on the even grid of time, of a clip's frames; none if it begins beyond the file's end."""
        assert header.length is not None
        rate = header.length.rate if self.fps is None else Fraction(self.fps)
        return header.length.numbers(rate, *window_numbers(entry.start, entry.end, header.begins, rate))

    def shape(self, header: Header) -> tuple[int, int]:
        """Height and width of the frames, in pixels."""
        short = min(header.height, header.width)
        return round(header.height * self.size / short), round(header.width * self.size / short)
