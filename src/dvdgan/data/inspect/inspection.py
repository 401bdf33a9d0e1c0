"""What is in a source of clips, before anything is trained: per class and overall, and what somebody should know of it.

`inspect_listing` looks at files, `inspect_store` at a packed store. `as_text` is the table for the screen,
`contact_sheet` a picture of some clips, `Inspection.to_json` everything.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.progress import Progress

from dvdgan.data.decode.pixels import WHITE, compose
from dvdgan.data.inspect.duplicates import fingerprint, near_duplicates
from dvdgan.data.inspect.hints import Hint, find_hints, near_copies_across, rate_name
from dvdgan.data.inspect.look import Seen, differs, framed, look_at
from dvdgan.data.inspect.report import SHOWN_CLASSES, as_text, contact_sheet
from dvdgan.data.layouts.listing import TEST, TRAIN, Listing, Problem
from dvdgan.data.progress import with_progress
from dvdgan.data.store.format import ClipStore, StoreError
from dvdgan.data.workers import Limits, Workers

__all__ = [
    "Hint",
    "Inspection",
    "Spread",
    "Summary",
    "as_text",
    "contact_sheet",
    "inspect_listing",
    "inspect_store",
]

_PICTURED = 4  # clips of each class, at least; more where there are few classes
_PICTURED_IN_ALL = 36
_LOOKED_AT = 64  # frames of a packed clip that its fingerprint is taken of
_BLOCK = 256  # frames of a packed clip that are compared at a time


@dataclass(frozen=True)
class Spread:
    """How a number varies over clips."""

    least: float
    median: float
    most: float


@dataclass(frozen=True)
class Summary:
    """What the clips of a class are like, or all of them.

    Attributes:
        name: of the class; empty for all clips.
        clips: how many can be used.
        train: how many of them are said to be for training.
        test: how many of them are said to be for testing.
        problems: how many cannot be used, as far as it is known that they belong here.
        frames: of all clips.
        seconds: of all clips.
        frames_per_clip: None without clips, as are the next two.
        seconds_per_clip: likewise.
        fps: frame rates; None, too, if no clip has two frames.
        rates: how many clips have each frame rate, the commonest first.
        variable: how many clips have a frame rate that varies.
        sizes: how many clips have each size, as width x height in pixels, the commonest first.
        smallest: the size of the fewest pixels; empty without clips, as is the next.
        largest: the size of the most pixels.
        formats: how many clips there are of each container and codec.
        alpha: how many clips can be transparent.
    """

    name: str
    clips: int
    train: int
    test: int
    problems: int
    frames: int
    seconds: float
    frames_per_clip: Spread | None
    seconds_per_clip: Spread | None
    fps: Spread | None
    rates: dict[str, int]
    variable: int
    sizes: dict[str, int]
    smallest: str
    largest: str
    formats: dict[str, int]
    alpha: int


@dataclass(frozen=True)
class Inspection:
    """Everything that was found.

    Attributes:
        path: of the source.
        layout: as in `Listing.layout`; ``store`` for a packed one.
        check: ``all`` if every clip was decoded, ``headers`` if not: then lengths are what the headers say, and damage,
            stills and near copies were not looked for.
        total: of all clips.
        classes: of each class, in the order of the labels; empty if clips have none.
        size: short side of packed frames, in pixels.
        packed_bytes: size of a store of all these clips, all frames being kept, without transparency, in bytes; of the
            store itself, if it is one.
        hints: what to know before training.
        problems: what cannot be used, and why.
        near_copies: groups of clips that are near copies, by their sources; None: not looked for.
        near_copies_across: those of them with clips on both sides of the split.
        pictures: some clips: name of the class, source, and uint8 ``[8, 64, 64, 3]``.
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
    near_copies: list[list[str]] | None
    near_copies_across: list[list[str]]
    pictures: list[tuple[str, str, np.ndarray]] = field(default_factory=list, repr=False)

    def to_json(self) -> dict[str, Any]:
        """All of it but the pictures, as JSON values."""
        values = {name: value for name, value in vars(self).items() if name != "pictures"}
        for name in ("classes", "hints", "problems"):
            values[name] = [asdict(value) for value in values[name]]
        return {**values, "total": asdict(self.total)}


def inspect_listing(
    listing: Listing,
    *,
    workers: int | None = None,
    limits: Limits | None = None,
    folder_fps: float = 12.0,
    size: int = 64,
    duplicates: bool = True,
    progress: bool = True,
    check: Literal["all", "headers"] = "all",
) -> Inspection:
    """Look at files.

    Clips that cannot be used become `Inspection.problems`; if none can be, it is for the caller to say so.

    Args:
        listing: the clips.
        workers: how many processes decode; None is one per core.
        limits: what a clip may take; None is `Limits()`.
        folder_fps: frame rate of folders of frames, in frames per second.
        size: short side at which the clips are to be packed, in pixels.
        duplicates: look for near copies.
        progress: show a progress bar on stderr.
        check: decode every clip (``all``), or read headers only, and decode no more than what is shown.
    """
    if check not in ("all", "headers"):
        raise ValueError(f"check is all or headers, not {check!r}")
    whole = check == "all"
    shown = _to_picture([entry.label for entry in listing.entries], len(listing.classes))
    tasks = (
        (entry, folder_fps, whole, whole and duplicates, index in shown) for index, entry in enumerate(listing.entries)
    )
    clips: list[Seen] = []
    problems, failed = list(listing.problems), Counter(_classes_of(listing))
    with Workers(workers, limits or Limits()) as pool:
        results = pool.run(look_at, tasks)
        title = "inspecting clips" if whole else "reading headers"
        for entry, result in zip(
            listing.entries, with_progress(results, title, progress, len(listing.entries)), strict=True
        ):
            if result.reason is None:
                clips.append(result.value)
            else:
                problems.append(Problem(entry.source, result.reason))
                failed[entry.label] += 1
    near = near_duplicates(_marks(clips), progress=progress) if whole and duplicates else None
    about = {
        "path": str(listing.root),
        "layout": listing.layout,
        "check": check,
        "size": size,
        "packed_bytes": sum(_packed_bytes(clip, size) for clip in clips),
    }
    return _inspection(about, listing.classes, clips, problems, failed, near)


def inspect_store(store: ClipStore, *, duplicates: bool = True, progress: bool = True) -> Inspection:
    """Look at a packed store: all its frames, and whether they are those that were packed.

    Args:
        store: the store. What it could not pack, and damage, become `Inspection.problems`.
        duplicates: look for near copies.
        progress: show a progress bar on stderr.
    """
    problems = [Problem(entry["source"], entry["reason"]) for entry in store.skipped]
    with Progress(console=Console(stderr=True), disable=not progress) as bar:
        task = bar.add_task("comparing checksums", total=len(store))
        try:
            store.verify(lambda done, total: bar.update(task, completed=done))
        except StoreError as error:
            problems.append(Problem(store.path.name, str(error).removeprefix(f"{store.path}: ")))
    shown = _to_picture(store.labels.tolist(), len(store.classes))
    indices = with_progress(range(len(store)), "inspecting clips", progress)
    clips = [_seen_in_store(store, index, duplicates, index in shown) for index in indices]
    near = near_duplicates(_marks(clips), progress=progress) if duplicates else None
    about = {
        "path": str(store.path),
        "layout": "store",
        "check": "all",
        "size": store.size,
        "packed_bytes": store.bytes,
    }
    return _inspection(about, store.classes, clips, problems, Counter(), near)


def _inspection(
    about: dict[str, Any],
    classes: list[str],
    clips: list[Seen],
    problems: list[Problem],
    failed: Counter[int],
    near: list[list[int]] | None,
) -> Inspection:
    members: list[list[Seen]] = [[] for _ in classes]
    for clip in clips if classes else []:
        members[clip.label].append(clip)
    return Inspection(
        **about,
        total=_summary("", clips, len(problems)),
        classes=[_summary(name, members[label], failed[label]) for label, name in enumerate(classes)],
        hints=find_hints(clips, classes, near or [], about["size"]),
        problems=problems,
        near_copies=None if near is None else _sources(clips, near),
        near_copies_across=_sources(clips, near_copies_across(clips, near or [])),
        pictures=[
            (classes[clip.label] if classes else "", clip.source, clip.pictures)
            for clip in clips
            if clip.pictures is not None
        ],
    )


def _summary(name: str, clips: Sequence[Seen], problems: int) -> Summary:
    moving = [clip for clip in clips if clip.frames > 1]
    by_pixels = sorted(clips, key=lambda clip: clip.width * clip.height)
    return Summary(
        name=name,
        clips=len(clips),
        train=sum(clip.split == TRAIN for clip in clips),
        test=sum(clip.split == TEST for clip in clips),
        problems=problems,
        frames=sum(clip.frames for clip in clips),
        seconds=sum(clip.seconds for clip in clips),
        frames_per_clip=_spread(clip.frames for clip in clips),
        seconds_per_clip=_spread(clip.seconds for clip in clips),
        fps=_spread(clip.fps for clip in moving),
        rates=_tally(rate_name(clip.fps) for clip in moving),
        variable=sum(clip.variable for clip in moving),
        sizes=_tally(map(_size, clips)),
        smallest=_size(by_pixels[0]) if clips else "",
        largest=_size(by_pixels[-1]) if clips else "",
        formats=_tally(clip.kind for clip in clips),
        alpha=sum(clip.alpha for clip in clips),
    )


def _spread(values: Iterable[float]) -> Spread | None:
    found = list(values)
    return Spread(min(found), float(np.median(found)), max(found)) if found else None


def _tally(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _size(clip: Seen) -> str:
    return f"{clip.width}x{clip.height}"


def _sources(clips: Sequence[Seen], groups: Iterable[list[int]]) -> list[list[str]]:
    return [[clips[index].source for index in group] for group in groups]


def _packed_bytes(clip: Seen, size: int) -> int:
    scale = size / min(clip.width, clip.height)
    return clip.frames * round(clip.width * scale) * round(clip.height * scale) * 3


def _marks(clips: Sequence[Seen]) -> np.ndarray:
    marks = [clip.mark for clip in clips if clip.mark is not None]
    return np.stack(marks) if marks else np.empty((0, 0), np.float32)


def _classes_of(listing: Listing) -> Iterator[int]:
    """The classes of what was listed as a problem, where a folder that it lies in has the name of one."""
    labels = {name: label for label, name in enumerate(listing.classes)}
    for problem in listing.problems:
        yield from [labels[part] for part in problem.source.split("/")[:-1] if part in labels][:1]


def _to_picture(labels: Sequence[int], classes: int) -> set[int]:
    """Which clips are shown: the first and others evenly spread, of each of the largest classes."""
    largest = [label for label, _ in Counter(labels).most_common(SHOWN_CLASSES)]
    members: dict[int, list[int]] = {label: [] for label in largest}
    for index, label in enumerate(labels):
        if label in members:
            members[label].append(index)
    wanted = max(_PICTURED, math.ceil(_PICTURED_IN_ALL / max(1, len(largest))) if classes else _PICTURED_IN_ALL // 3)
    chosen = set()
    for found in members.values():
        chosen |= {found[int(at)] for at in np.linspace(0, len(found) - 1, wanted).round()}
    return chosen


def _seen_in_store(store: ClipStore, index: int, mark: bool, pictured: bool) -> Seen:
    clip = store.clip(index)
    length, height, width, channels = clip.shape
    times = np.unique(np.linspace(0, length - 1, _LOOKED_AT).round().astype(int))
    some = np.stack([clip[time] if channels == 3 else compose(clip[time], WHITE) for time in times])
    blocks = (clip[start : start + _BLOCK] for start in range(0, length, _BLOCK))
    return Seen(
        source=store.sources[index],
        label=int(store.labels[index]),
        split=store.splits[index],
        group=store.groups[index],
        width=width,
        height=height,
        fps=float(store.fps[index]),
        frames=length,
        seconds=length / float(store.fps[index]),
        kind="packed",
        alpha=channels == 4,
        variable=False,
        still=length > 1 and not any(differs(block, clip[:1]) for block in blocks),
        mark=fingerprint(some) if mark else None,
        pictures=framed(some) if pictured else None,
    )
