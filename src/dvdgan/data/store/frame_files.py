"""What a store's writer writes frames into: one file, or tar shards that are filled one after another.

Any reader of WebDataset understands the shards: uncompressed tars of samples, each of three files that share a number,
``00000012.npy`` and so on::

    .npy     the frames, uint8 [T, H, W, 3 or 4]
    .cls     the index of the class, as text; only where there are classes
    .json    source, class (its name, or null), fps, split, group, sha256 of the frames

A plain file in a tar is a range of its bytes, so the frames of a clip are read as from one large file.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from dvdgan.atomic import write_all
from dvdgan.data.store.index import BEFORE_FRAMES, FRAMES, Clip, shard_name, shard_number
from dvdgan.data.store.partial import sync

SAMPLE_BYTES = 3 << 10
"""About how many bytes of a sample are no frames."""

_BLOCK = tarfile.BLOCKSIZE
_NPY_HEADER = BEFORE_FRAMES - _BLOCK
_END = bytes(2 * _BLOCK)  # of a tar


class FrameFile:
    """One file with the frames of all clips. Clips that are there already are counted before it is opened.

    Args:
        directory: where it lies.

    Attributes:
        file: the open file, for frames in their order.
        shard: the number of the tar shard that is being filled; −1 where there are none.
    """

    file: IO[bytes]
    shard = -1

    def __init__(self, directory: Path) -> None:
        self._directory, self._path, self._end = directory, directory / FRAMES, 0

    def has(self, clip: Clip) -> bool:
        """Whether the disk has kept the next clip."""
        return self._path.exists() and self._end + self._room(clip) <= self._path.stat().st_size

    def count(self, clip: Clip) -> None:
        """Take the next clip for written."""
        self._end += self._room(clip)

    def open(self) -> None:
        """Go on behind the clips that were counted; what else is there is removed."""
        self.file = open(self._path, "r+b" if self._end else "wb", buffering=0)  # noqa: SIM115 (see close)
        self.undo()

    def begin(self) -> None:
        """Get ready for the frames of a clip."""

    def complete(self, number: int, clip: Clip) -> None:
        """Write what a clip needs besides its frames."""

    def undo(self) -> None:
        """Remove what was written of a clip that was not counted."""
        self.file.seek(self._end)
        self.file.truncate()

    def finish(self) -> dict[str, Any]:
        """Bring all to the disk. Returns what the index says of it, and, in ``clips``, of each clip."""
        sync(self.file)
        return {"clips": {}}

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def _room(self, clip: Clip) -> int:
        return clip.bytes


class TarShards(FrameFile):
    """So many tar shards, in the same directory. Clips name their class, of these."""

    def __init__(self, directory: Path, shards: int, classes: Sequence[str]) -> None:
        super().__init__(directory)
        self._shards, self._classes = [[0, len(_END)] for _ in range(shards)], classes  # clips and bytes of each
        self._offsets: list[int] = []
        self.turn(0)

    def turn(self, shard: int) -> None:
        """Count from now on what is in this shard; numbers ascend."""
        self.shard, self._path, self._end = shard, self._directory / shard_name(shard), 0

    def count(self, clip: Clip) -> None:
        """Take the next clip for written."""
        self._offsets.append(self._end + BEFORE_FRAMES)
        super().count(clip)
        self._shards[self.shard] = [self._shards[self.shard][0] + 1, self._end + len(_END)]

    def begin(self) -> None:
        """Leave room for what stands before the frames, and depends on how many there are."""
        self.file.seek(self._end + BEFORE_FRAMES)

    def complete(self, number: int, clip: Clip) -> None:
        """Write what stands before and behind the frames of a clip."""
        after = self.file.tell()
        self.file.seek(self._end)
        write_all(self.file, _before_frames(number, clip))
        self.file.seek(after)
        write_all(self.file, _after_frames(number, clip, self._classes))

    def end_shard(self) -> None:
        """Bring a whole shard to the disk."""
        write_all(self.file, _END)
        sync(self.file)
        self.file.close()

    def finish(self) -> dict[str, Any]:
        """Bring all to the disk, shards without a clip too. Returns what the index says of it."""
        self.end_shard()
        for shard, (clips, _) in enumerate(self._shards):
            if not clips:
                (self._directory / shard_name(shard)).write_bytes(_END)
        return {"shards": self._shards, "clips": {"offset": self._offsets}}

    def _room(self, clip: Clip) -> int:
        return _sample_bytes(clip, self._classes)


def remove_beyond(directory: Path, frames: FrameFile) -> None:
    """Remove the shards of a packing, or its frames, that other frame files do not know."""
    for name in os.listdir(directory):
        if (number := shard_number(name)) is not None and number > frames.shard:
            os.unlink(directory / name)
    if frames.shard >= 0:
        os.truncate(directory / FRAMES, 0)


def _sample_bytes(clip: Clip, classes: Sequence[str]) -> int:
    """Length of a sample in its shard."""
    npy = _BLOCK + _padded(_NPY_HEADER + clip.bytes)
    return npy + (2 * _BLOCK if classes else 0) + _BLOCK + _padded(len(_description(clip, classes)))


def _before_frames(number: int, clip: Clip) -> bytes:
    """The `BEFORE_FRAMES` bytes of a sample that stand before its frames."""
    npy, shape = io.BytesIO(), (clip.frames, clip.height, clip.width, clip.channels)
    np.lib.format.write_array_header_1_0(npy, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return _header(f"{number:08d}.npy", _NPY_HEADER + clip.bytes) + npy.getvalue()


def _after_frames(number: int, clip: Clip, classes: Sequence[str]) -> bytes:
    """The bytes of a sample that stand behind its frames."""
    files = {"cls": str(clip.label).encode()} if classes else {}
    files["json"] = _description(clip, classes)
    behind = bytes(-(_NPY_HEADER + clip.bytes) % _BLOCK)
    for suffix, data in files.items():
        behind += _header(f"{number:08d}.{suffix}", len(data)) + data.ljust(_padded(len(data)), b"\0")
    return behind


def _description(clip: Clip, classes: Sequence[str]) -> bytes:
    known = {"source": clip.source, "class": classes[clip.label] if classes else None, "fps": clip.fps}
    return json.dumps(known | {"split": clip.split, "group": clip.group, "sha256": clip.sha256}).encode()


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def _padded(size: int) -> int:
    return size + -size % _BLOCK
