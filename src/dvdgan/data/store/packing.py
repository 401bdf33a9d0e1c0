"""Files into a packed store: how much it will be, whether it fits, and the decoding, which may be interrupted.

Every clip is decoded in a process of its own (`dvdgan.data.workers`) to a file beside the store, whose writer appends
these files in the order of the listing. So no clip has to fit into memory, and what comes out does not depend on how
many processes there are, nor on how often the work was interrupted.
"""

from __future__ import annotations

import heapq
import logging
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dvdgan.data.decode.clip import Facts, open_clip, probe
from dvdgan.data.errors import ClipError, DataError
from dvdgan.data.layouts.listing import Entry, Listing, Problem
from dvdgan.data.progress import with_progress
from dvdgan.data.store.format import ClipStore, StoreWriter
from dvdgan.data.store.partial import write_all
from dvdgan.data.workers import Limits, Result, Workers, sign_of_life

_LIMITS = Limits()
_SPARE = 1.05  # of the estimate must be free
_SHOWN_PROBLEMS = 10
_TIME = "#t="  # between the name of a file and the part of it that is meant

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reading:
    """How frames are read from files.

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


@dataclass(frozen=True)
class Estimate:
    """How much a listing comes to once it is decoded, by what the headers of its files say.

    Attributes:
        clips: how many there will be.
        frames: of all clips.
        seconds: of all clips.
        bytes: of all frames, uint8.
        facts: for each entry of the listing, what its file's header says, or why the file cannot be used.
    """

    clips: int
    frames: int
    seconds: float
    bytes: int
    facts: list[Facts | Problem]


class ScratchError(RuntimeError):
    """A decoded clip could not be written; the clip is not at fault."""


def estimate(listing: Listing, reading: Reading, workers: Workers, progress: bool) -> Estimate:
    """Read the headers of all files of a listing.

    Args:
        listing: the clips.
        reading: how frames will be read.
        workers: where headers are read.
        progress: show a progress bar on stderr.
    """
    tasks = ((entry.path,) for entry in listing.entries)
    both = zip(listing.entries, workers.run(partial(probe, folder_fps=reading.folder_fps), tasks))
    shown = with_progress(both, "reading headers", progress and bool(listing.entries), len(listing.entries))
    facts = [result.value if result.reason is None else Problem(entry.source, result.reason) for entry, result in shown]
    sizes = [
        _measure(part, fact, reading)
        for entry, fact in zip(listing.entries, facts)
        if isinstance(fact, Facts)
        for part in parts(entry, fact, reading)
    ]
    seconds, frames, size = map(sum, zip(*sizes)) if sizes else (0.0, 0, 0)
    return Estimate(len(sizes), int(frames), seconds, int(size), facts)


def parts(entry: Entry, facts: Facts, reading: Reading) -> list[Entry]:
    """The clips that are cut from an entry: itself, or, if it is too long, evenly spread parts that do not overlap.

    Parts are known by the entry's source with ``#t=START-END`` (seconds) behind it, and are near copies of each other.

    Args:
        entry: the clip.
        facts: of its file.
        reading: says how long a clip may be, and how many parts are wanted at most.
    """
    stop = facts.seconds if entry.end is None else min(entry.end, facts.seconds)
    length, most = stop - entry.start, reading.max_seconds
    if most is None or length <= most:
        return [entry]
    number = max(1, min(reading.windows, int(length // most)))
    name = entry.source.rpartition(_TIME)[0] if entry.start or entry.end is not None else ""
    cut = []
    for index in range(number):
        start = round(entry.start + (index + 0.5) * length / number - most / 2, 3)
        end = round(start + most, 3)
        source = f"{name or entry.source}{_TIME}{_seconds(start)}-{_seconds(end)}"
        cut.append(replace(entry, source=source, start=start, end=end, group=entry.group or entry.source))
    return cut


def pack(
    listing: Listing,
    out: str | Path,
    reading: Reading,
    about: dict[str, Any],
    *,
    workers: int | None = None,
    limits: Limits = _LIMITS,
    progress: bool = True,
    say: Callable[[str], None] | None = None,
) -> ClipStore:
    """Decode the clips of a listing into a store.

    A clip that cannot be used is skipped, logged, and listed in the store's index with the reason. Interrupted in any
    way and begun again with equal arguments, it goes on where it was, and the store is the same to the byte.

    Args:
        listing: the clips.
        out: the store's directory; a store that is there is replaced once the new one is whole.
        reading: how frames are read.
        about: what the clips are known by, as JSON values: everything that the store depends on, the files' sizes and
            times included, since it is what tells whether an interrupted packing goes on or starts anew.
        workers: how many processes decode; None is one per core.
        limits: what the decoding of a clip may take.
        progress: show progress bars on stderr.
        say: where lines for the user go: how large the store will be.

    Raises:
        DataError: no clip can be used, or the disk is too small.
        StoreError: `out` is something else than a store, or another process is packing there.
    """
    with StoreWriter(out, reading.size, listing.classes, about, resume=True) as writer:
        with Workers(workers, limits) as pool:
            rest = replace(listing, entries=[entry for entry in listing.entries if entry.source not in writer.done])
            clips = _look(rest, reading, pool, writer, progress, say)
            results = _decoded(clips, reading, pool, writer.scratch)
            title = f"packing {listing.root.name} at {reading.size} px"
            try:
                for clip, result in with_progress(results, title, progress and bool(clips), len(clips)):
                    if isinstance(clip, Entry) and result.reason is None:
                        frames, fps = _frames(result.value), result.value.fps
                        writer.add(frames, clip.label, clip.source, fps, clip.split, clip.group)
                    else:
                        writer.skip(clip.source, str(result.reason))
            except (OSError, ScratchError) as error:
                reason = " ".join(str(getattr(error, "strerror", None) or error).split())
                raise DataError(f"{out}: cannot be written ({reason}); mend that and start again: it goes on") from None
        known = {(entry["source"], entry["reason"]) for entry in writer.skipped}
        for problem in listing.problems:
            if (problem.source, problem.reason) not in known:
                writer.skip(problem.source, problem.reason)
        _report(listing, writer)
    return ClipStore.open(writer.path)


class Decoded(NamedTuple):
    """A clip in a file of raw frames."""

    path: Path
    shape: tuple[int, int, int, int]
    """``(T, H, W, C)``."""
    fps: float


def decode_to_file(entry: Entry, reading: Reading, path: Path) -> Decoded:
    """Decode a clip to a file of raw frames, one frame in memory at a time.

    Args:
        entry: the clip.
        reading: how its frames are read.
        path: the file, which is written over.

    Raises:
        ClipError: the clip cannot be read.
        ScratchError: the file cannot be written.
    """
    fps, frames = open_clip(
        entry.path,
        reading.size,
        fps=reading.fps,
        start=entry.start,
        end=entry.end,
        background=reading.background,
        folder_fps=reading.folder_fps,
    )
    length, shape = 0, None
    with _writing():
        file = open(path, "wb", buffering=0)  # noqa: SIM115 (closed below)
    with file:
        for frame in frames:
            if shape is not None and frame.shape != shape:
                raise ClipError(entry.path, "the size of its frames changes on the way")
            shape = frame.shape
            with _writing():
                write_all(file, np.ascontiguousarray(frame).data.cast("B"))
            sign_of_life()
            length += 1
    if shape is None:
        raise ClipError(entry.path, "no frames")
    height, width, channels = shape
    return Decoded(path, (length, height, width, channels), fps)


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ScratchError(error.strerror or str(error)) from None


def _look(
    rest: Listing,
    reading: Reading,
    pool: Workers,
    writer: StoreWriter,
    progress: bool,
    say: Callable[[str], None] | None,
) -> list[Entry | Problem]:
    """The clips that are still to be packed, in their order, and what cannot be; DataError if they do not fit."""
    plan = estimate(rest, reading, pool, progress)
    clips: dict[str, Entry | Problem] = {}
    sizes = []
    for entry, fact in zip(rest.entries, plan.facts):
        for part in [fact] if isinstance(fact, Problem) else parts(entry, fact, reading):
            if part.source in writer.done or part.source in clips:  # two clips of a file can have a part in common
                continue
            clips[part.source] = part
            if isinstance(part, Entry) and isinstance(fact, Facts):
                sizes.append(_measure(part, fact, reading)[2])
    there = f"; {len(writer):,} are packed already" if len(writer) else ""
    if say is not None:
        say(f"about {len(writer) + len(sizes):,} clips, {_size(writer.bytes + sum(sizes))}{there}")
    needed = int(_SPARE * sum(sizes)) + sum(heapq.nlargest(pool.ahead, sizes))
    free = shutil.disk_usage(writer.path.parent).free
    if needed > free:
        if not writer.done:
            writer.discard()
        raise DataError(
            f"{writer.path}: the clips need {_size(needed)}, and the disk has {_size(free)} free{there}; choose "
            "another disk or a smaller size, or set data.target_fps or data.max_seconds"
        )
    return list(clips.values())


def _decoded(
    clips: list[Entry | Problem], reading: Reading, pool: Workers, scratch: Path
) -> Iterator[tuple[Entry | Problem, Result]]:
    """Each clip with what came of its decoding, a `Decoded` whose file is removed when the next one is asked for."""
    files = (scratch / f"{number}" for number in count())
    tasks = [(clip, reading, file) for clip, file in zip(clips, files) if isinstance(clip, Entry)]
    results = zip(tasks, pool.run(decode_to_file, tasks))
    for clip in clips:
        if isinstance(clip, Problem):
            yield clip, Result(reason=clip.reason)
        else:
            (_, _, file), result = next(results)
            yield clip, result
            file.unlink(missing_ok=True)


def _frames(clip: Decoded) -> Iterator[np.ndarray]:
    length, *shape = clip.shape
    with open(clip.path, "rb") as file:
        for _ in range(length):
            yield np.fromfile(file, np.uint8, math.prod(shape)).reshape(shape)


def _report(listing: Listing, writer: StoreWriter) -> None:
    """Tell what was skipped, and refuse a store of nothing."""
    for entry in writer.skipped[:_SHOWN_PROBLEMS]:
        _log.warning("%s: skipped %s: %s", listing.root, entry["source"], entry["reason"])
    if (more := len(writer.skipped) - _SHOWN_PROBLEMS) > 0:
        _log.warning("%s: skipped %d more; the store's index.json lists them", listing.root, more)
    if not len(writer):
        writer.discard()
        if not writer.skipped:
            raise DataError(f"{listing.root}: no clips in it")
        number, first = len(writer.skipped), writer.skipped[0]
        raise DataError(
            f"{listing.root}: none of its {number} clips can be used; the first, {first['source']}: {first['reason']}"
        )
    if dropped := writer.drop_unused_classes():
        _log.warning("%s: left out classes without a clip that can be used: %s", listing.root, ", ".join(dropped))


def _measure(part: Entry, facts: Facts, reading: Reading) -> tuple[float, int, int]:
    """Seconds, frames and bytes of a clip, by the header of its file."""
    end = facts.seconds if part.end is None else min(part.end, facts.seconds)
    seconds = max(end - part.start, 0.0)
    whole = not part.start and part.end is None and reading.fps is None
    frames = facts.frames if whole else max(1, round(seconds * (reading.fps or facts.fps)))
    short = min(facts.width, facts.height)
    width, height = (round(side * reading.size / short) for side in (facts.width, facts.height))
    channels = 4 if facts.alpha and reading.background is None else 3
    return seconds, frames, frames * height * width * channels


def _seconds(time: float) -> str:
    return f"{time:.3f}".rstrip("0").rstrip(".")


def _size(number: int) -> str:
    return f"{number / 2**30:,.1f} GiB" if number >= 2**30 else f"{number / 2**20:.1f} MiB"
