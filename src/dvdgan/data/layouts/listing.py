"""What a source of clips is made of, before anything is decoded: files, classes, and what cannot be used."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dvdgan.data.errors import DataError

TRAIN, TEST = "train", "test"
"""The two parts of a split."""


@dataclass(frozen=True)
class Entry:
    """One clip of a source.

    Attributes:
        path: the file, or a folder of numbered frames.
        source: what people and the packed store know the clip by, no two of a listing alike: its path relative to the
            listing's root with forward slashes, and ``#t=START-END`` behind it where only a part of the file is meant.
        label: index of its class; 0 without classes.
        start: where in the file it begins, in seconds.
        end: where it ends, in seconds; None is the file's end.
        split: ``train``, ``test``, or empty where the source does not say.
        group: clips of one group are near copies and never lie on both sides of a split; empty is a group of its own.
    """

    path: Path
    source: str
    label: int = 0
    start: float = 0.0
    end: float | None = None
    split: str = ""
    group: str = ""


def with_times(source: str, start: float, end: float | None) -> str:
    """The source of a part of a file, from a start to an end in seconds; None is the file's end."""
    return f"{source}#t={_plain(start)}-{'' if end is None else _plain(end)}"


def _plain(seconds: float) -> str:
    return f"{seconds:.6f}".rstrip("0").rstrip(".")


@dataclass(frozen=True)
class Problem:
    """A clip that cannot be used, and why, in one line."""

    source: str
    reason: str


def none_usable(root: Path, problems: Sequence[Problem]) -> DataError:
    """The error of a source without a clip that can be used."""
    number, first = len(problems), problems[0]
    return DataError(f"{root}: none of its {number} clips can be used; the first, {first.source}: {first.reason}")


@dataclass(frozen=True)
class Listing:
    """The clips of a source.

    Attributes:
        root: the folder that sources are relative to.
        layout: how they lie: ``folders``, ``flat``, ``frames``, ``list`` or that of a published data set.
        classes: names of the classes, in the order of the labels; empty if clips have none.
        entries: the clips, in a fixed order.
        problems: what is there, or was asked for, and cannot be used.
        notes: a line for each decision that could have been another, and for what is left out.
    """

    root: Path
    layout: str
    classes: list[str]
    entries: list[Entry]
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def composed(name: str) -> str:
    """A name as it is compared with others: a Mac's disk composes accents otherwise."""
    return unicodedata.normalize("NFC", name)
