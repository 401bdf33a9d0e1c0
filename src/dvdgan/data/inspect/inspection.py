"""What is in a source of clips, before anything is trained: per class and overall, and what somebody should know of it.

`dvdgan.data.inspect.report` shows it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dvdgan.config.data import PHENOMENA, DataConfig
from dvdgan.data.decode.pixels import WHITE, compose
from dvdgan.data.decode.timing import Header
from dvdgan.data.inspect.clip import InspectedClip, differs, inspect_clip, make_thumbnails
from dvdgan.data.inspect.duplicates import fingerprint, near_duplicates
from dvdgan.data.inspect.hints import Hint, find_hints, near_copies_across
from dvdgan.data.inspect.summary import Summary
from dvdgan.data.layouts.listing import Entry, Listing, Problem
from dvdgan.data.layouts.splits import divide
from dvdgan.data.progress import with_progress
from dvdgan.data.sources import limits, list_source, reading
from dvdgan.data.store.clip_store import ClipStore
from dvdgan.data.store.frame_files import SAMPLE_BYTES
from dvdgan.data.store.index import StoreError, is_store
from dvdgan.data.workers import Workers

SHOWN_CLASSES = 40
"""How many classes are shown, by their clips' thumbnails among others: the largest."""

_SHOWN_PER_CLASS = 4  # clips of each class, at least; more where there are few classes
_SHOWN_IN_ALL = 36
_SAMPLED = 64  # frames of a packed clip that its fingerprint is taken of
_BLOCK = 256  # frames of a packed clip that are compared at a time


@dataclass(frozen=True)
class Inspection:
    """Everything that an inspection says.

    Attributes:
        path: of the source.
        layout: as in `Listing.layout`; ``store`` for a packed one.
        check: ``all`` if every clip was decoded, ``headers`` if not: then lengths are what the headers say, and damage,
            stills and near copies are not known.
        total: of all clips.
        classes: of each class, in the order of the labels; empty if clips have none.
        size: short side of packed frames, in pixels.
        packed_bytes: size of a store that all these clips are packed into, in bytes; of the store itself, if it is one.
        hints: what to know before training.
        problems: what cannot be used, and why.
        notes: how the source was understood, and which field changes it; what is left out.
        near_copies: groups of clips that are near copies, by their sources; None: not known.
        near_copies_across: those of them with clips on both sides of the split.
        thumbnails: of some clips: name of the class, source, and uint8 ``[6, 64, 64, 3]``.
    """

    path: str
    layout: str
    check: str
    total: Summary
    classes: list[Summary]
    size: int
    packed_bytes: int
    hints: list[Hint]
    problems: list[Problem]
    notes: list[str]
    near_copies: list[list[str]] | None
    near_copies_across: list[list[str]]
    thumbnails: list[tuple[str, str, np.ndarray]] = field(default_factory=list, repr=False)


def inspect_source(config: DataConfig, size: int = 64, headers_only: bool = False) -> Inspection:
    """Inspect the clips that `config.source` names: files in any layout, or a packed store, checked byte by byte.

    Args:
        config: the source, its layout, and how files are read.
        size: the short side in pixels for which the size of a packed store is given.
        headers_only: read the headers of files only.

    Raises:
        DataError: no such source, or nothing in it.
        StoreError: the packed store is damaged.
    """
    if config.source is not None and config.source != PHENOMENA and is_store(config.source):
        return inspect_store(ClipStore.open(config.source), config)
    return inspect_listing(list_source(config), config, size, headers_only)


def inspect_listing(listing: Listing, config: DataConfig, size: int = 64, headers_only: bool = False) -> Inspection:
    """Inspect files; see `inspect_source`.

    Clips that cannot be used become `Inspection.problems`; if none can be, it is for the caller to say so.
    """
    shown = _to_show([entry.label for entry in listing.entries], len(listing.classes))
    packing = reading(config, size)
    tasks = ((entry, packing, not headers_only, index in shown) for index, entry in enumerate(listing.entries))
    clips: list[InspectedClip] = []
    problems, failed = list(listing.problems), Counter(_classes_of(listing))
    with Workers(config.workers, limits(config)) as pool:
        title, count = "reading headers" if headers_only else "inspecting clips", len(listing.entries)
        results = with_progress(pool.run(inspect_clip, tasks), title, count)
        for entry, result in zip(listing.entries, results, strict=True):
            if result.reason is None:
                clips.append(result.value)
            else:
                problems.append(Problem(entry.source, result.reason))
                failed[entry.label] += 1
    near = None if headers_only else _near_duplicates(clips)
    packed = {source: count for clip in clips for source, count in clip.packed.items()}
    return _inspection(
        listing.classes,
        clips,
        problems,
        failed,
        near,
        path=str(listing.root),
        layout=listing.layout,
        check="headers" if headers_only else "all",
        size=size,
        target_fps=config.target_fps,
        packed_bytes=sum(packed.values()) + (SAMPLE_BYTES * len(packed) if config.shards else 0),
        notes=listing.notes,
    )


def inspect_store(store: ClipStore, config: DataConfig) -> Inspection:
    """Inspect a packed store: all its frames, and whether they are those that were packed.

    What it could not pack, and damage, become `Inspection.problems`.

    Args:
        store: the store.
        config: how its clips are divided into parts, in groups.

    Raises:
        DataError: an expression that cannot be understood.
    """
    groups, parts = divide(config, store.sources, store.labels.tolist(), store.groups, store.splits)
    problems = list(store.skipped)
    try:
        store.verify()
    except StoreError as error:
        problems.append(Problem(store.path.name, error.reason))
    problems += [Problem(store.sources[clip], reason) for clip, reason in store.damaged.items()]
    shown = _to_show(store.labels.tolist(), len(store.classes))
    whole = [clip for clip in range(len(store)) if clip not in store.damaged]
    indices = with_progress(whole, "inspecting clips")
    clips = [_inspect_packed(store, index, groups[index], parts[index], index in shown) for index in indices]
    return _inspection(
        store.classes,
        clips,
        problems,
        Counter(),
        _near_duplicates(clips),
        path=str(store.path),
        layout="store",
        check="all",
        size=store.size,
        packed_bytes=store.bytes,
        notes=[],
    )


def _inspection(
    classes: list[str],
    clips: list[InspectedClip],
    problems: list[Problem],
    failed: Counter[int],  # problems of each class
    near: list[list[int]] | None,
    *,
    size: int,
    target_fps: float | None = None,  # to which all are brought
    **about: Any,
) -> Inspection:
    members: list[list[InspectedClip]] = [[] for _ in classes]
    for clip in clips if classes else []:
        members[clip.entry.label].append(clip)
    return Inspection(
        **about,
        size=size,
        total=Summary.of("", clips, len(problems)),
        classes=[Summary.of(name, members[label], failed[label]) for label, name in enumerate(classes)],
        hints=find_hints(clips, classes, near or [], size, target_fps),
        problems=problems,
        near_copies=None if near is None else _sources(clips, near),
        near_copies_across=_sources(clips, near_copies_across(clips, near or [])),
        thumbnails=[
            (classes[clip.entry.label] if classes else "", clip.entry.source, clip.thumbnails)
            for clip in clips
            if clip.thumbnails is not None
        ],
    )


def _sources(clips: Sequence[InspectedClip], groups: Iterable[list[int]]) -> list[list[str]]:
    return [[clips[index].entry.source for index in group] for group in groups]


def _near_duplicates(clips: Sequence[InspectedClip]) -> list[list[int]]:
    prints = [clip.fingerprint for clip in clips if clip.fingerprint is not None]
    return near_duplicates(np.stack(prints)) if prints else []


def _classes_of(listing: Listing) -> Iterator[int]:
    """The classes of what was listed as a problem, where a folder that it lies in has the name of one."""
    labels = {name: label for label, name in enumerate(listing.classes)}
    for problem in listing.problems:
        yield from [labels[part] for part in problem.source.split("/")[:-1] if part in labels][:1]


def _to_show(labels: Sequence[int], classes: int) -> set[int]:
    """Which clips are shown: the first and others evenly spread, of each of the largest classes."""
    largest = [label for label, _ in Counter(labels).most_common(SHOWN_CLASSES)]
    members: dict[int, list[int]] = {label: [] for label in largest}
    for index, label in enumerate(labels):
        if label in members:
            members[label].append(index)
    wanted = max(_SHOWN_PER_CLASS, math.ceil(_SHOWN_IN_ALL / max(1, len(largest))) if classes else _SHOWN_IN_ALL // 3)
    chosen = set()
    for own in members.values():
        chosen |= {own[int(at)] for at in np.linspace(0, len(own) - 1, wanted).round()}
    return chosen


def _inspect_packed(store: ClipStore, index: int, group: str, part: str, thumbnails: bool) -> InspectedClip:
    numbers = store.lengths, store.heights, store.widths, store.channels
    length, height, width, channels = (int(array[index]) for array in numbers)
    times = np.unique(np.linspace(0, length - 1, _SAMPLED).round().astype(int))
    frames = [store.clip(index, time, time + 1)[0] for time in times.tolist()]
    sample = np.stack(frames if channels == 3 else [compose(frame, WHITE) for frame in frames])
    blocks = (store.clip(index, start, start + _BLOCK) for start in range(0, length, _BLOCK))
    label, fps = int(store.labels[index]), float(store.fps[index])
    return InspectedClip(
        Entry(store.path, store.sources[index], label, split=part, group=group),
        Header(width, height, fps, length, length / fps, alpha=channels == 4, kind="packed", variable=False),
        length > 1 and not any(differs(block, store.clip(index, 0, 1)) for block in blocks),
        fingerprint(sample),
        make_thumbnails(sample) if thumbnails else None,
    )
