"""A packed store, opened for reading."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np

from dvdgan.data.layouts.listing import Problem
from dvdgan.data.progress import with_progress
from dvdgan.data.store.index import FRAMES, StoreError, read_index
from dvdgan.data.windows import Window


class ClipStore:
    """A packed store, opened for reading; frames are read when they are asked for.

    A `ClipSource`; see there for the attributes that are not here.

    Attributes:
        channels: int64 ``[N]``, 3 (RGB) or 4 (RGBA).
        fps: float64 ``[N]``, frames per second.
        hashes: SHA-256 of each clip's frames, in hex.
        bytes: length of all frames.
        workers: 0, since nothing is decoded.
    """

    workers = 0

    def __init__(self, path: Path, index: dict[str, Any]) -> None:
        """Use `ClipStore.open`."""
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
        self._file: IO[bytes] = open(path / FRAMES, "rb", buffering=0)  # noqa: SIM115 (for as long as the store lives)
        self._turn = threading.Lock()

    @classmethod
    def open(cls, path: str | Path) -> ClipStore:
        """Open a store and check its index and its length (`verify` checks every byte).

        Raises:
            StoreError: no store, one of another version, or a damaged one.
        """
        path = Path(path)
        return cls(path, read_index(path))

    def __len__(self) -> int:
        """How many clips there are."""
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
            StoreError: the file has become shorter since it was opened. (Mapped memory would end the process.)
        """
        shape = (self.heights[index], self.widths[index], self.channels[index])
        frames = np.empty((min(stop or self.lengths[index], self.lengths[index]) - start, *shape), np.uint8)
        rest = frames.reshape(-1).data
        with self._turn:
            self._file.seek(int(self._offsets[index] + start * np.prod(shape)))
            while len(rest):
                if not (count := self._file.readinto(rest)):  # type: ignore[attr-defined]
                    raise StoreError(self.path, f"{FRAMES} has become shorter; pack the clips again")
                rest = rest[count:]
        return frames

    def read(self, windows: Sequence[Window]) -> list[np.ndarray | None]:
        """Read windows, uint8 ``[T, size, size, C]`` each; none of them is None."""
        size = self.size
        return [self._at(w.clip, w.times)[:, w.top : w.top + size, w.left : w.left + size] for w in windows]

    def _at(self, index: int, times: np.ndarray) -> np.ndarray:
        """Frames of a clip at these times, ``[T, H, W, C]``."""
        first, last = int(times.min()), int(times.max())
        if last - first < 2 * len(times):
            return self.clip(index, first, last + 1)[times - first]
        return np.concatenate([self.clip(index, time, time + 1) for time in times.tolist()])

    def close(self) -> None:
        """Do nothing: no process decodes."""

    def verify(self, progress: bool = False) -> None:
        """Read every byte and compare the checksums of the clips.

        Args:
            progress: show a progress bar on stderr.

        Raises:
            StoreError: the frames of a clip, which it names, are not those that were packed.
        """
        with open(self.path / FRAMES, "rb") as file:
            clips = zip(self.sources, self._sizes.tolist(), self.hashes)
            for source, size, expected in with_progress(clips, "comparing checksums", progress, len(self)):
                digest = hashlib.sha256()
                while size and (block := file.read(min(size, 1 << 22))):
                    digest.update(block)
                    size -= len(block)
                if digest.hexdigest() != expected:
                    reason = f"{FRAMES} is damaged (the checksum of clip {source} differs); pack the clips again"
                    raise StoreError(self.path, reason)


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
