"""Clips that are decoded when they are drawn, in processes beside the training: no packed store is needed.

A window is decoded by seeking to it, so long files cost no more than short ones. Packing once is quicker wherever the
frames fit on the disk.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from dvdgan.data.decode.clip import read_header
from dvdgan.data.errors import ClipError, DataError
from dvdgan.data.layouts.listing import Entry, Listing, Problem
from dvdgan.data.progress import with_progress
from dvdgan.data.reading import Reading
from dvdgan.data.windows import Window
from dvdgan.data.workers import Limits, Workers

_log = logging.getLogger(__name__)


class FileSource:
    """A `ClipSource` that reads files. See there for its attributes.

    Args:
        listing: the clips.
        reading: how they are read.
        about: what the clips are, as JSON values; sources with equal ones are taken for equal.
        workers: how many processes decode; None is one per core.
        limits: what the decoding of a window may take.
        progress: show a progress bar on stderr while headers are read.

    Raises:
        DataError: none of the clips can be used.
    """

    def __init__(
        self,
        listing: Listing,
        reading: Reading,
        about: dict[str, Any],
        workers: int | None = None,
        limits: Limits | None = None,
        progress: bool = True,
    ) -> None:
        """Read the headers of all files."""
        self.path, self.size, self.classes, self.about = listing.root, reading.size, listing.classes, about
        self.skipped = list(listing.problems)
        self._reading = reading
        self._pool = Workers(workers, limits or Limits())
        self.workers = self._pool.count
        entries, shapes = self._read_headers(listing.entries, progress)
        self._entries, self._rates = entries, [rate for rate, _, _, _ in shapes]
        self.sources = [entry.source for entry in entries]
        self.splits = [entry.split for entry in entries]
        self.groups = [entry.group for entry in entries]
        self.labels = np.array([entry.label for entry in entries], np.int64)
        self.lengths, self.heights, self.widths = (
            np.array([shape[k] for shape in shapes], np.int64) for k in (1, 2, 3)
        )
        self.identity = hashlib.sha256(repr(sorted(about.items())).encode()).hexdigest()
        self._broken: set[int] = set()

    def __len__(self) -> int:
        """How many clips there are."""
        return len(self._entries)

    def read(self, windows: Sequence[Window]) -> list[np.ndarray | None]:
        """Decode windows, uint8 ``[T, size, size, 3 or 4]`` each; None where a file cannot be read, which is logged."""
        todo = [(row, window) for row, window in enumerate(windows) if window.clip not in self._broken]
        clips: list[np.ndarray | None] = [None] * len(windows)
        tasks = [(self._entries[window.clip], self._reading, self._rates[window.clip], window) for _, window in todo]
        for (row, window), result in zip(todo, self._pool.run(decode_window, tasks)):
            if result.reason is None:
                clips[row] = result.value
            elif window.clip not in self._broken:
                self._broken.add(window.clip)
                _log.warning("%s: skipped %s: %s", self.path, self.sources[window.clip], result.reason)
        return clips

    def close(self) -> None:
        """End the processes that decode."""
        self._pool.close()

    def _read_headers(
        self, entries: list[Entry], progress: bool
    ) -> tuple[list[Entry], list[tuple[float, int, int, int]]]:
        """The entries whose header can be read, and rate, frames, height and width of each."""
        usable, shapes = [], []
        tasks = [(entry, self._reading) for entry in entries]
        results = with_progress(self._pool.run(shape_of, tasks), "reading headers", progress, len(tasks))
        for entry, result in zip(entries, results):
            if result.reason is None:
                usable.append(entry)
                shapes.append(result.value)
            else:
                self.skipped.append(Problem(entry.source, result.reason))
                _log.warning("%s: skipped %s: %s", self.path, entry.source, result.reason)
        if not usable:
            self.close()
            number, first = len(self.skipped), self.skipped[0]
            raise DataError(
                f"{self.path}: none of its {number} clips can be used; the first, {first.source}: {first.reason}"
            )
        return usable, shapes


def shape_of(entry: Entry, reading: Reading) -> tuple[float, int, int, int]:
    """Rate in frames per second, number of frames, height and width of a clip as it is read, by its header.

    Raises:
        ClipError: the header cannot be read, or the clip begins beyond its end.
    """
    header = read_header(entry.path, folder_fps=reading.folder_fps)
    if (frames := reading.frames(entry, header)) < 1:
        raise ClipError(entry.path, f"begins at {entry.start:g} s, but is {header.seconds:.6g} s long")
    return reading.rate(header), frames, *reading.shape(header)


def decode_window(entry: Entry, reading: Reading, rate: float, window: Window) -> np.ndarray:
    """Decode the frames of a window, and nothing beyond it.

    A file that has fewer frames than its header says gives its last ones.

    Args:
        entry: the clip.
        reading: how it is read.
        rate: its frames per second as it is read.
        window: of that clip.

    Returns:
        uint8 ``[T, size, size, 3 or 4]``.

    Raises:
        ClipError: it cannot be read, or has fewer frames than a window.
    """
    first, count = int(window.times.min()), int(np.ptp(window.times)) + 1
    frames = _frames(entry, reading, rate, first, count, window)
    if len(frames) < count and first > 0:
        earlier = max(0, first - (count - len(frames)))
        frames = _frames(entry, reading, rate, earlier, count, window)
    if len(frames) < count:
        raise ClipError(entry.path, f"has fewer frames than its header says: {count} were wanted, {len(frames)} came")
    return np.stack([frames[time] for time in window.times - first])


def _frames(entry: Entry, reading: Reading, rate: float, first: int, count: int, window: Window) -> list[np.ndarray]:
    """The window's square, cut from `count` frames from number `first` on; fewer where the clip ends."""
    start = round(entry.start * rate) + first
    rows, columns = (slice(begin, begin + reading.size) for begin in (window.top, window.left))
    try:
        _, frames = reading.open(entry.path, start / rate, (start + count) / rate)
        return [frame[rows, columns].copy() for frame in itertools.islice(frames, count)]
    except ClipError:
        if first == 0:
            raise
        return []  # the window may begin beyond an end that comes earlier than the header says
