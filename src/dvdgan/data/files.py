"""Clips that are decoded when they are drawn, in processes beside the training: no packed store is needed.

A window is decoded by seeking to it, so long files cost no more than short ones. Packing once is quicker wherever the
frames fit on the disk.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from dvdgan.console import one_line
from dvdgan.data.decode.clip import EndedEarlier
from dvdgan.data.decode.timing import Header
from dvdgan.data.errors import ClipError
from dvdgan.data.layouts.listing import Entry, Listing, Problem, none_usable
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

    Raises:
        DataError: none of the clips can be used.
    """

    shards: np.ndarray | None = None

    def __init__(
        self,
        listing: Listing,
        reading: Reading,
        about: dict[str, Any],
        workers: int | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.path, self.size, self.classes, self.about = listing.root, reading.size, listing.classes, about
        self.skipped = list(listing.problems)
        self._reading = reading
        self._pool = Workers(workers, limits or Limits())
        self.workers = self._pool.count
        entries, measured = self._read_headers(listing.entries)
        self._entries, self._numbers = entries, [numbers for _, numbers in measured]
        self.sources = [entry.source for entry in entries]
        self.splits = [entry.split for entry in entries]
        self.groups = [entry.group for entry in entries]
        self.labels = np.array([entry.label for entry in entries], np.int64)
        self.lengths = np.array([sum(map(len, numbers)) for numbers in self._numbers], np.int64)
        self.heights, self.widths = np.array([reading.shape(header) for header, _ in measured], np.int64).T
        known = sorted((name, value) for name, value in about.items() if name != "names")
        self.identity = hashlib.sha256(repr(known).encode()).hexdigest()
        self._reported: set[int] = set()  # clips of which a window could not be read
        self._hopeless: set[int] = set()  # clips whose decoder had to be ended, which would take as long again

    def __len__(self) -> int:
        return len(self._entries)

    def read(self, windows: Sequence[Window]) -> list[np.ndarray | None]:
        """Decode windows, uint8 ``[T, size, size, 3 or 4]`` each; None where one cannot be read.

        The first such window of a file is logged. Others of the file are read all the same, unless its decoder hung or
        crashed.
        """
        todo = [row for row, window in enumerate(windows) if window.clip not in self._hopeless]
        clips: list[np.ndarray | None] = [None] * len(windows)
        drawn = [windows[row] for row in todo]
        tasks = [(self._entries[w.clip], self._reading, self._numbers[w.clip], w) for w in drawn]
        for row, result in zip(todo, self._pool.run(decode_window, tasks)):
            clips[row], clip = result.value, windows[row].clip
            if result.reason is not None and clip not in self._reported:
                self._reported.add(clip)
                _log.warning("%s: skipped a window of %s: %s", self.path, one_line(self.sources[clip]), result.reason)
            if result.ended:
                self._hopeless.add(clip)
        return clips

    def close(self) -> None:
        """End the processes that decode."""
        self._pool.close()

    def _read_headers(self, entries: list[Entry]) -> tuple[list[Entry], list[tuple[Header, list[range]]]]:
        """The entries whose header can be read, and what `Reading.measure` says of each."""
        usable, measured = [], []
        results = self._pool.run(self._reading.measure, ((entry,) for entry in entries))
        for entry, result in zip(entries, with_progress(results, "reading headers", len(entries))):
            if result.reason is None:
                usable.append(entry)
                measured.append(result.value)
            else:
                self.skipped.append(Problem(entry.source, result.reason))
                _log.warning("%s: skipped %s: %s", self.path, one_line(entry.source), result.reason)
        if not usable:
            self.close()
            raise none_usable(self.path, self.skipped)
        return usable, measured


def decode_window(entry: Entry, reading: Reading, numbers: list[range], window: Window) -> np.ndarray:
    """Decode the frames of a window, and nothing beyond it.

    A file with packets that no picture comes from gives its last frames.

    Args:
        entry: the clip.
        reading: how it is read.
        numbers: of the clip's frames, from `Reading.measure`.
        window: of that clip.

    Returns:
        uint8 ``[T, size, size, 3 or 4]``.

    Raises:
        ClipError: it cannot be read.
    """
    first, count = int(window.times.min()), int(np.ptp(window.times)) + 1
    frames = _frames(entry, reading, numbers, first, count, window)
    if len(frames) < count and first > 0:  # some packets give no picture
        earlier = max(0, first - (count - len(frames)))
        frames = _frames(entry, reading, numbers, earlier, count, window)
    if len(frames) < count:
        raise ClipError(entry.path, f"has fewer frames than packets: {count} were wanted, {len(frames)} came")
    return np.stack([frames[time] for time in window.times - first])


def _frames(
    entry: Entry, reading: Reading, numbers: list[range], first: int, count: int, window: Window
) -> list[np.ndarray]:
    """The window's square, cut from `count` frames from the clip's frame `first` on; fewer where the file ends."""
    rows, columns = (slice(begin, begin + reading.size) for begin in (window.top, window.left))
    try:
        _, frames = reading.open(entry.path, numbers=(_number(numbers, first), _number(numbers, first + count - 1) + 1))
        return [frame[rows, columns].copy() for frame in frames]
    except EndedEarlier:
        return []


def _number(numbers: list[range], index: int) -> int:
    """The number on the grid of a clip's frame; beyond its end it goes on."""
    for run in numbers:
        if index < len(run):
            return run[index]
        index -= len(run)
    return numbers[-1].stop + index
