"""A directory that is being written beside the place that it will take: who holds it, and what is in it for certain.

The directory is held by a lock on one file in it, the frames, for as long as its process lives. Systems without such
locks (Windows) hold nothing: there, two writers are not told apart, and what a killed process left behind stays.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import shutil
import time
from pathlib import Path
from typing import IO, Any

from dvdgan.atomic import write_all
from dvdgan.data.store.index import FRAMES, INDEX, StoreError, is_indexed, is_of_store, is_store
from dvdgan.data.write.mark import check_above
from dvdgan.documents import DocumentError, parse_json, read_lines

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

LOG = "log.jsonl"

_FILES = {LOG, "log.new"}
_SCRATCH = "scratch."

SYNC_SECONDS = 5.0
"""How much work may be lost when the process is killed."""


def check_place(path: Path) -> None:
    """Refuse a place that holds anything but a store: it would be gone once the new store is whole.

    Raises:
        DataError: it lies below a file.
        StoreError: it is a link, or holds something else.
    """
    check_above(path)
    if path.is_symlink():
        raise StoreError(path, "is a link; name the place that it leads to, or choose another one")
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not is_indexed(path):
        raise StoreError(path, "exists and is not a dvdgan store; choose another place")
    if more := sorted(name for name in os.listdir(path) if not is_of_store(name)):
        raise StoreError(path, f"holds more than a store ({more[0]}); move that away, or choose another place")


def is_own(directory: Path) -> bool:
    """Whether a directory holds only what a writer of stores makes: no links, and no file of another name."""
    if directory.is_symlink() or not directory.is_dir():
        return False
    with os.scandir(directory) as entries:
        return all(
            entry.is_file(follow_symlinks=False)
            if entry.name in _FILES or is_of_store(entry.name)
            else entry.name.startswith(_SCRATCH) and entry.is_dir(follow_symlinks=False)
            for entry in entries
        )


def is_packing(directory: Path) -> bool:
    """Whether a directory is a packing, at work or interrupted: its frames have a log or an index beside them."""
    if not is_own(directory):
        return False
    frames = directory / FRAMES
    empty = not frames.exists() or not frames.stat().st_size
    return empty or (directory / LOG).exists() or (directory / INDEX).exists()


def remove_own(directory: Path) -> None:
    """Remove a store or a packing: what a writer makes, and then the directory, unless there is more in it."""
    with contextlib.suppress(OSError):
        if not is_own(directory):
            return
        for entry in list(directory.iterdir()):
            if entry.name.startswith(_SCRATCH):
                shutil.rmtree(entry)
            else:
                entry.unlink()
        directory.rmdir()


class Hold:
    """A directory, made if need be, that this process holds until `release`.

    The lock is on the file of frames. A lock file of its own, as filelock makes, would have to leave the directory
    before this is renamed to its place, and so before it may be let go.

    Raises:
        BlockingIOError: another process holds it.
    """

    def __init__(self, directory: Path) -> None:
        self._file: int | None = None
        while self._file is None:
            directory.mkdir(exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # somebody removed what was abandoned, just now
                self._file = _locked(directory / FRAMES, os.O_RDWR | os.O_CREAT)
        if fcntl is None:
            self.release()  # Windows renames no directory with an open file in it

    def release(self) -> None:
        """Let others have it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _locked(path: Path, flags: int) -> int | None:
    """The open file, locked; None if the path has become another file meanwhile."""
    file = os.open(path, flags, 0o666)
    try:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise
            except OSError:  # a file system without locks
                return file
        if os.path.samestat(os.fstat(file), os.stat(path)):
            return file
    except BaseException:
        os.close(file)
        raise
    os.close(file)
    return None


def remove_abandoned(path: Path, resume: bool) -> None:
    """Remove half-written directories of `path` whose process has ended: nobody holds them.

    One that was moved aside by a process that ended before it put the new one in its place goes back first.

    Args:
        path: the place.
        resume: leave the directory that can be resumed.
    """
    beside, name = list(path.parent.glob(f".{glob.escape(path.name)}.*")), re.escape(path.name)
    for old in beside:
        if re.fullmatch(rf"\.{name}\.[0-9a-f]{{8}}\.old", old.name) and is_own(old) and is_store(old):
            if not path.exists():
                os.rename(old, path)
            else:  # replaced already
                remove_own(old)
    for partial in beside:
        if partial.name == f".{path.name}.partial":
            gone = not resume and is_packing(partial)
        else:
            named = re.fullmatch(rf"\.{name}\.[0-9a-f]{{8}}\.partial", partial.name)
            gone = named is not None and is_own(partial) and not (partial / LOG).exists()
        if gone:
            _remove_if_free(partial)


def _remove_if_free(partial: Path) -> None:
    if fcntl is None:
        return
    try:
        file = _locked(partial / FRAMES, os.O_RDWR)
    except FileNotFoundError:  # its process ended at once, or begins now and will make it again
        with contextlib.suppress(OSError):
            partial.rmdir()
    except OSError:
        return
    else:
        if file is not None:
            remove_own(partial)
            os.close(file)


class PackingLog:
    """What is in a directory for certain: JSON lines, written only once the frames that they describe are on the disk.

    Args:
        path: the file.
        header: what the work is known by, as JSON values. A log of other work is written over.
        frames: the file that must reach the disk before a line does.

    Attributes:
        entries: what the log of the same work held; a line that was cut off by the end of its process is not in it.
        replaces: whether the log of other work is written over.
    """

    def __init__(self, path: Path, header: Any) -> None:
        self._path, self._header = path, header
        self.entries: list[Any] = []
        self.replaces = False
        self._end = 0
        with contextlib.suppress(FileNotFoundError):
            self._read(path)
        self._unwritten = [] if self._end else [header]
        self._file: IO[bytes] = open(path, "r+b" if path.exists() else "w+b", buffering=0)  # noqa: SIM115 (see close)
        self._synced = time.monotonic()

    def _read(self, path: Path) -> None:
        for line in read_lines(path):
            try:
                entry = parse_json(line, LOG) if line.endswith(b"\n") else None
            except DocumentError:
                entry = None
            if entry is None or (not self._end and entry != self._header):
                self.replaces = entry is not None
                return
            if self._end and not (isinstance(entry, list) and len(entry) == 2):
                return
            if self._end:
                self.entries.append(entry)
            self._end += len(line)

    def add(self, entry: Any, frames: IO[bytes]) -> None:
        """Note something, and write what was noted if that is due."""
        self._unwritten.append(entry)
        if time.monotonic() - self._synced >= SYNC_SECONDS:
            self.sync(frames)

    def rewrite(self, entries: list[Any]) -> None:
        """Hold these entries and no others; all at once, whatever interrupts it."""
        new = self._path.with_suffix(".new")
        lines = _lines([self._header, *entries])
        with open(new, "wb", buffering=0) as file:
            write_all(file, lines)
            sync(file)
        self._file.close()
        os.replace(new, self._path)
        self._file = open(self._path, "r+b", buffering=0)  # noqa: SIM115 (see close)
        self._end, self._unwritten = len(lines), []

    def sync(self, frames: IO[bytes]) -> None:
        """Bring the frames to the disk, and then what was noted about them."""
        sync(frames)
        lines = _lines(self._unwritten)
        self._file.seek(self._end)  # over what an interrupt may have left
        self._file.truncate()
        write_all(self._file, lines)
        sync(self._file)
        self._end, self._unwritten = self._end + len(lines), []
        self._synced = time.monotonic()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def remove(self) -> None:
        """Close the file and remove it."""
        self.close()
        self._path.unlink(missing_ok=True)


def _lines(entries: list[Any]) -> bytes:
    return "".join(json.dumps(entry) + "\n" for entry in entries).encode()


def sync(file: IO[Any]) -> None:
    """Bring a file to the disk."""
    file.flush()
    os.fsync(file.fileno())
