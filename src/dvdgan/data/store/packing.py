"""Files into a packed store: how much it will be, whether it fits, and the decoding, which may be interrupted.

Every clip is decoded in a process of its own (`dvdgan.data.workers`) to a file beside the store, whose writer appends
these files in the order of the listing. So no clip has to fit into memory, and what comes out does not depend on how
many processes there are, nor on how often the work was interrupted.
"""

from __future__ import annotations

import hashlib
import heapq
import logging
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.filesize import decimal

from dvdgan.atomic import write_all
from dvdgan.console import one_line
from dvdgan.data.decode.pixels import reason
from dvdgan.data.decode.timing import Header
from dvdgan.data.errors import DataError
from dvdgan.data.layouts.listing import Entry, Listing, Problem, none_usable, with_times
from dvdgan.data.progress import with_progress
from dvdgan.data.reading import Reading
from dvdgan.data.store.clip_store import ClipStore
from dvdgan.data.store.frame_files import SAMPLE_BYTES
from dvdgan.data.store.writer import StoreWriter
from dvdgan.data.workers import Limits, Workers

_LIMITS = Limits()
_SPARE = 1.05  # of the estimate must be free
_SHOWN_PROBLEMS = 10

_log = logging.getLogger(__name__)


class ScratchError(RuntimeError):
    """A decoded clip could not be written; the clip is not at fault."""


def parts(entry: Entry, header: Header, reading: Reading) -> list[Entry]:
    """The clips that are cut from an entry: itself, or, if it is too long, evenly spread parts that do not overlap.

    Parts are known by the entry's source with ``#t=START-END`` (seconds) behind it, and are near copies of each other.
    `reading` says how long a clip may be, and how many parts are wanted at most.
    """
    begin, stop = max(entry.start, header.begins), header.begins + header.seconds
    stop = stop if entry.end is None else min(entry.end, stop)
    length, most = stop - begin, reading.max_seconds
    if most is None or length <= most:
        return [entry]
    number = max(1, min(reading.windows, int(length // most)))
    name = entry.source.rpartition("#t=")[0] if entry.start or entry.end is not None else entry.source
    cut = []
    for index in range(number):
        start = round(begin + (index + 0.5) * length / number - most / 2, 3)
        end = round(start + most, 3)
        source, group = with_times(name, start, end), entry.group or entry.source
        cut.append(replace(entry, source=source, start=start, end=end, group=group))
    return cut


def packed_bytes(part: Entry, header: Header, reading: Reading) -> int:
    """Of the frames of a clip that `parts` gives, in a store of one file, in bytes."""
    channels = 4 if header.alpha and reading.background is None else 3
    return sum(map(len, reading.numbers(part, header))) * math.prod(reading.shape(header)) * channels


def pack(
    listing: Listing,
    out: str | Path,
    reading: Reading,
    about: dict[str, Any],
    workers: int | None = None,
    limits: Limits = _LIMITS,
    say: Callable[[str], None] | None = None,
    shards: int | None = None,
) -> ClipStore:
    """Decode the clips of a listing into a store.

    A clip that cannot be used is skipped, logged, and listed in the store's index with the reason. Interrupted in any
    way and begun again with equal arguments, it goes on where it was, and the store is the same to the byte.

    Args:
        listing: the clips.
        out: the store's directory; a store that is there is replaced once the new one is whole.
        reading: how frames are read.
        about: what the clips are known by, as JSON values: everything that the store depends on, what the files hold
            included, since it decides whether an interrupted packing goes on or starts anew.
        workers: how many processes decode; None is one per core.
        limits: what the decoding of a clip may take.
        say: where lines for the user go: how large the store will be.
        shards: how many tar shards to write, as many clips in each, in an order in which classes and near copies are
            mixed; None is one file in the order of the listing.

    Raises:
        DataError: no clip can be used, the disk is too small, or there are more shards than clips.
        OSError: the store cannot be written; the message is one line that names it.
        StoreError: `out` is something else than a store, or another process is packing there.
    """
    with StoreWriter(out, reading.size, listing.classes, about, resume=True, shards=shards) as writer:
        with Workers(workers, limits) as pool:
            clips = _plan(listing, reading, pool, writer, say)
            count = len(writer.done) + len(clips)
            files = [writer.scratch / str(number) for number in range(len(clips))]
            tasks = ((clip, reading, file) for clip, file in zip(clips, files) if isinstance(clip, Entry))
            results = pool.run(decode_to_file, tasks)
            title = f"packing {listing.root.name} at {reading.size} px"
            try:
                for clip, file in with_progress(zip(clips, files), title, len(clips)):
                    if shards:
                        writer.begin_shard(len(writer.done) * shards // count)
                    if isinstance(clip, Problem):
                        writer.skip(clip.source, clip.reason)
                    elif (result := next(results)).reason is not None:
                        writer.skip(clip.source, result.reason)
                    else:
                        fps, shape = result.value
                        writer.add(_frames(file, shape), clip.label, clip.source, fps, clip.split, clip.group)
                    file.unlink(missing_ok=True)
            except (OSError, ScratchError) as error:
                mend = "mend that and start again: it goes on"
                raise OSError(f"{out}: cannot be written ({reason(error)}); {mend}") from None
        known = set(writer.skipped)
        for problem in listing.problems:
            if problem not in known:
                writer.skip(problem.source, problem.reason)
        _report(listing, writer)
    return ClipStore.open(writer.path)


def decode_to_file(entry: Entry, reading: Reading, path: Path) -> tuple[float, tuple[int, ...]]:
    """Decode a clip to a file of raw frames, which is written over, one frame in memory at a time.

    Returns:
        The rate in frames per second, and the shape of all frames, ``(T, H, W, C)``.

    Raises:
        ClipError: the clip cannot be read.
        ScratchError: the file cannot be written.
    """
    fps, frames = reading.open(entry.path, entry.start, entry.end)
    length = 0
    with _writing():
        file = open(path, "wb", buffering=0)  # noqa: SIM115 (closed below)
    with file:
        for frame in frames:
            with _writing():
                write_all(file, np.ascontiguousarray(frame).data.cast("B"))
            length += 1
    return fps, (length, *frame.shape)  # of which there is one at least, all of one shape: `open_clip`


def _frames(file: Path, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    with open(file, "rb") as raw:
        for _ in range(shape[0]):
            yield np.fromfile(raw, np.uint8, math.prod(shape[1:])).reshape(shape[1:])


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ScratchError(reason(error)) from None


def _plan(
    listing: Listing, reading: Reading, pool: Workers, writer: StoreWriter, say: Callable[[str], None] | None
) -> list[Entry | Problem]:
    """The clips that are still to be packed, in their order, and what cannot be; DataError if they do not fit."""
    entries = [entry for entry in listing.entries if entry.source not in writer.done]
    headers = pool.run(reading.header, ((entry.path,) for entry in entries))
    clips: dict[str, Entry | Problem] = {}
    sizes = []
    for entry, result in with_progress(zip(entries, headers), "reading headers", len(entries)):
        header: Header = result.value
        cut = parts(entry, header, reading) if result.reason is None else [Problem(entry.source, result.reason)]
        for part in cut:
            if part.source in writer.done or part.source in clips:  # two clips of a file can have a part in common
                continue
            clips[part.source] = part
            if isinstance(part, Entry):
                sizes.append(packed_bytes(part, header, reading) + (SAMPLE_BYTES if writer.shards else 0))
    there = f"; {len(writer):,} are packed already" if len(writer) else ""
    if writer.begins_anew:
        there = "; begun anew: what an interrupted packing has left is of other clips, or of other settings"
    if say is not None:
        say(f"about {len(writer) + len(sizes):,} clips, {decimal(writer.bytes + sum(sizes))}{there}")
    needed = int(_SPARE * sum(sizes)) + sum(heapq.nlargest(pool.ahead, sizes))
    free = shutil.disk_usage(writer.path.parent).free
    if needed > free:
        if not writer.done:
            writer.discard()
        raise DataError(
            f"{writer.path}: the clips need {decimal(needed)}, and the disk has {decimal(free)} free{there}; choose "
            "another disk or a smaller size, or set data.target_fps or data.max_seconds"
        )
    if (shards := writer.shards) is None:
        return list(clips.values())
    if (count := len(writer.done) + len(clips)) < shards:
        if not writer.done:
            writer.discard()
        raise DataError(f"{writer.path}: {shards} shards are more than the {count} clips; set data.shards lower")
    return sorted(clips.values(), key=lambda clip: hashlib.sha256(clip.source.encode()).digest())  # at random


def _report(listing: Listing, writer: StoreWriter) -> None:
    """Log what was skipped, and refuse a store without clips."""
    for problem in writer.skipped[:_SHOWN_PROBLEMS]:
        _log.warning("%s: skipped %s: %s", listing.root, one_line(problem.source), problem.reason)
    if (more := len(writer.skipped) - _SHOWN_PROBLEMS) > 0:
        _log.warning("%s: skipped %d more; the store's index.json lists them", listing.root, more)
    if not len(writer):
        writer.discard()
        if not writer.skipped:
            raise DataError(f"{listing.root}: no clips in it")
        raise none_usable(listing.root, writer.skipped)
    if dropped := writer.drop_unused_classes():
        _log.warning("%s: left out classes without a clip that can be used: %s", listing.root, ", ".join(dropped))
