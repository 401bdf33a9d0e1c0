"""A packed store, opened for reading."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np

from dvdgan.data.layouts.listing import Problem
from dvdgan.data.progress import with_progress
from dvdgan.data.store.index import FRAMES, StoreError, read_index, shard_name
from dvdgan.data.windows import Window
from dvdgan.wording import some_of

_MOST_OPEN = 128  # shards at once
_COPY = "copy it again, or pack the clips again"

_log = logging.getLogger(__name__)


class ClipStore:
    """A packed store, opened for reading; frames are read when they are asked for.

    A `ClipSource`; see there for the attributes that are not here. In shards, clips that turn out to be damaged are
    reported and left out; one file is refused as a whole.

    Attributes:
        channels: int64 ``[N]``, 3 (RGB) or 4 (RGBA).
        fps: float64 ``[N]``, frames per second.
        hashes: SHA-256 of each clip's frames, in hex.
        bytes: length of all frames.
        damaged: the clips, by their index, that cannot be read, and why; in shards only.
        workers: 0, since nothing is decoded.
    """

    workers = 0

    def __init__(self, path: Path, index: dict[str, Any]) -> None:
        clips = index["clips"]
        self.path = path
        self.size: int = index["size"]
        self.classes: list[str] = index["classes"]
        self.about: dict[str, Any] = index["about"]
        self.skipped = [Problem(**entry) for entry in index["skipped"]]
        self.bytes: int = index["bytes"]
        self.sources: list[str] = clips["source"]
        self.splits: list[str] = clips["split"]
        self.groups: list[str] = clips["group"]
        self.labels, self.lengths, self.heights, self.widths, self.channels = (
            np.array(clips[name], np.int64) for name in ("label", "frames", "height", "width", "channels")
        )
        self.fps = np.array(clips["fps"], np.float64)
        self.hashes: list[str] = clips["sha256"]
        self._sizes = self.lengths * self.heights * self.widths * self.channels
        self._offsets = np.cumsum(self._sizes) - self._sizes
        self.shards: np.ndarray | None = None
        self.damaged: dict[int, str] = {}
        self._names = [FRAMES]
        self._files: dict[int, IO[bytes]] = {}  # the open ones, by their number
        self._turn = threading.Lock()
        if "shards" in index:
            self._take_shards(index["shards"], clips["offset"])
        else:
            self._file(0)  # which stays this one, whatever takes its place

    def _take_shards(self, shards: list[list[int]], offsets: list[int]) -> None:
        """Find each clip in its shard, and what is missing or truncated."""
        self.shards = np.repeat(np.arange(len(shards)), [count for count, _ in shards])
        self._offsets = np.array(offsets, np.int64)
        self._names = [shard_name(number) for number in range(len(shards))]
        lengths = np.array([_length(self.path / name) for name in self._names])
        gone = np.flatnonzero(self._offsets + self._sizes > lengths[self.shards])
        for clip in gone.tolist():
            self.damaged[clip] = f"{self._names[self.shards[clip]]} is missing or truncated; {_COPY}"
        if len(gone) == len(self):
            raise StoreError(self.path, "all of its shards are missing or truncated; pack the clips again")
        if len(gone):
            names = some_of([self._names[number] for number in np.unique(self.shards[gone])], 5)
            _log.warning("%s: left out %d clips of missing or truncated shards: %s", self.path, len(gone), names)

    @classmethod
    def open(cls, path: str | Path) -> ClipStore:
        """Open a store and check its index and its length (`verify` checks every byte).

        Raises:
            StoreError: no store, one of another version, or a damaged one.
        """
        path = Path(path)
        return cls(path, read_index(path))

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def identity(self) -> str:
        """SHA-256 of what is trained on, in hex: two stores with the same clips of the same classes share it."""
        numbers = (self.labels, self.lengths, self.heights, self.widths, self.channels)
        clips = map("{} {} {} {} {} {}".format, *(array.tolist() for array in numbers), self.hashes)
        return hashlib.sha256("\n".join([json.dumps(self.classes), *clips]).encode()).hexdigest()

    def clip(self, index: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Frames of a clip, from `start` to before `stop` (its end, by default), uint8 ``[T, H, W, C]``.

        Raises:
            StoreError: the file cannot be read, or has become shorter since it was opened. (Mapped memory would end the
                process.)
        """
        number = 0 if self.shards is None else int(self.shards[index])
        shape = (self.heights[index], self.widths[index], self.channels[index])
        frames = np.empty((min(stop or self.lengths[index], self.lengths[index]) - start, *shape), np.uint8)
        rest = frames.reshape(-1).data
        try:
            with self._turn:
                file = self._file(number)
                file.seek(int(self._offsets[index] + start * np.prod(shape)))
                while len(rest):
                    if not (count := file.readinto(rest)):  # type: ignore[attr-defined]
                        raise StoreError(self.path, f"{self._names[number]} has become shorter; pack the clips again")
                    rest = rest[count:]
        except OSError as error:
            raise StoreError(self.path, f"{self._names[number]} cannot be read ({error.strerror})") from None
        return frames

    def _file(self, number: int) -> IO[bytes]:
        """A file of frames, open for as long as it is among the last that were asked for."""
        file = self._files.pop(number, None) or open(self.path / self._names[number], "rb", buffering=0)  # noqa: SIM115
        self._files[number] = file  # behind those that were asked for before
        if len(self._files) > _MOST_OPEN:
            self._files.pop(next(iter(self._files))).close()
        return file

    def read(self, windows: Sequence[Window]) -> list[np.ndarray | None]:
        """Read windows, uint8 ``[T, size, size, C]`` each; None where a shard is damaged, which is logged."""
        return [self._window(window) for window in windows]

    def _window(self, window: Window) -> np.ndarray | None:
        if window.clip in self.damaged:
            return None
        try:
            frames = self._at(window.clip, window.times)
        except StoreError as error:
            if self.shards is None:
                raise
            self.damaged[window.clip] = error.reason
            _log.warning("%s; left out %s", error, self.sources[window.clip])
            return None
        return frames[:, window.top : window.top + self.size, window.left : window.left + self.size]

    def _at(self, index: int, times: np.ndarray) -> np.ndarray:
        """Frames of a clip at these times, ``[T, H, W, C]``."""
        first, last = int(times.min()), int(times.max())
        if last - first < 2 * len(times):
            return self.clip(index, first, last + 1)[times - first]
        return np.concatenate([self.clip(index, time, time + 1) for time in times.tolist()])

    def close(self) -> None:
        """Do nothing: no process decodes."""

    def verify(self) -> None:
        """Read every byte and compare the checksums of the clips.

        Raises:
            StoreError: the frames of a clip, which it names, are not those that were packed; in shards, of all clips.
        """
        before = len(self.damaged)
        for clip in with_progress(range(len(self)), "comparing checksums", len(self)):
            name = self._names[0 if self.shards is None else int(self.shards[clip])]
            reason = f"{name} is damaged (the checksum of clip {self.sources[clip]} differs)"
            if clip in self.damaged or self._is_whole(clip):
                continue
            if self.shards is None:
                raise StoreError(self.path, f"{reason}; pack the clips again")
            self.damaged[clip] = f"{reason}; {_COPY}"
        if len(self.damaged) == len(self):
            raise StoreError(self.path, "all of its clips are damaged; pack the clips again")
        if new := list(self.damaged.items())[before:]:
            _log.warning("%s: left out %d clips; the first: %s", self.path, len(new), new[0][1])

    def _is_whole(self, clip: int) -> bool:
        """Whether a clip has its checksum; some of its frames are read at a time."""
        digest, length = hashlib.sha256(), int(self.lengths[clip])
        at_once = max(1, (1 << 22) * length // int(self._sizes[clip]))
        try:
            for start in range(0, length, at_once):
                digest.update(self.clip(clip, start, start + at_once).data)
        except StoreError:
            return False
        return digest.hexdigest() == self.hashes[clip]


def _length(path: Path) -> int:
    """Of a file, in bytes; 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def same_store(path: str | Path, about: dict[str, Any]) -> ClipStore | None:
    """The store at `path` if it is whole and was made from the same things, whatever their names are (``names``).

    Args:
        path: the store's directory.
        about: what it is to be made from, as JSON values.
    """
    try:
        store = ClipStore.open(path)
    except StoreError:
        return None
    known, wanted = ({**one, "names": None} for one in (store.about, json.loads(json.dumps(about))))
    return store if known == wanted else None
