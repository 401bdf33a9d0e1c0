"""Sets of clips that are measured: where they come from makes no difference to what looks at them.

Real clips are made into sets in `real_clips`, a model's in `model_clips`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False, kw_only=True)
class ClipSet:
    """N clips of one length and one square size.

    Attributes:
        name: what the report calls the set.
        ids: what a person can find each of the N clips by.
        labels: int64 ``[N]``, indices into `classes` (0 without classes).
        classes: names of the classes; empty if the clips have none.
        frames: frames per clip, T.
        size: height and width, in pixels.
        fps: frames per second at which the clips are to be watched.
        key: SHA-256, in hex, of what the pixels follow from; sets with equal keys have equal pixels.
        read: clips by their numbers from 0 to N − 1, in any order, as uint8 ``[n, T, size, size, 3]``, RGB.
        of: another set that is looked at as well, and which of its clips these are, int64 ``[N]``: their features are
            taken from its. None: they are computed.
    """

    name: str
    ids: list[str]
    labels: np.ndarray
    classes: list[str]
    frames: int
    size: int
    fps: float
    key: str
    read: Callable[[Sequence[int]], np.ndarray]
    of: tuple[ClipSet, np.ndarray] | None = None

    def __len__(self) -> int:
        """How many clips there are, N."""
        return len(self.ids)

    def take(self, rows: Sequence[int] | np.ndarray, name: str | None = None) -> ClipSet:
        """Some of the clips, in the order of `rows`."""
        rows = np.asarray(rows, np.int64)
        return replace(
            self,
            name=self.name if name is None else name,
            ids=[self.ids[row] for row in rows],
            labels=self.labels[rows],
            key=content_key("some", self.key, rows.tolist()),
            read=lambda some: self.read(rows[list(some)].tolist()),
            of=None,
        )

    def mapped(
        self, function: Callable[[np.ndarray, Sequence[int]], np.ndarray], name: str, key: Sequence[Any]
    ) -> ClipSet:
        """The clips with something done to each.

        Args:
            function: of clips, uint8 ``[n, T, S, S, 3]``, and their numbers; returns clips of that shape. It may depend
                on nothing but these, and not on which clips come together.
            name: what the report calls the set.
            key: JSON values, of all that the function does; another function must have other ones.
        """
        key = content_key("mapped", self.key, key)
        return replace(self, name=name, key=key, read=lambda rows: function(self.read(rows), rows), of=None)

    def empty(self, count: int) -> np.ndarray:
        """An array for so many clips, uint8 ``[count, T, S, S, 3]``."""
        return np.empty((count, self.frames, self.size, self.size, 3), np.uint8)


def joined(sets: Sequence[ClipSet], name: str) -> ClipSet:
    """The clips of several sets, one after another; all have one size, length and classes."""
    starts = np.cumsum([0, *map(len, sets)])

    def read(rows: Sequence[int]) -> np.ndarray:
        numbers = np.asarray(rows, np.int64)
        clips = sets[0].empty(len(numbers))
        for some, start in zip(sets, starts):
            here = (numbers >= start) & (numbers < start + len(some))
            if here.any():
                clips[here] = some.read((numbers[here] - start).tolist())
        return clips

    first = sets[0]
    return ClipSet(
        name=name,
        ids=[clip for clips in sets for clip in clips.ids],
        labels=np.concatenate([clips.labels for clips in sets]),
        classes=first.classes,
        frames=first.frames,
        size=first.size,
        fps=first.fps,
        key=content_key("joined", [clips.key for clips in sets]),
        read=read,
    )


def chunks(rows: range, most: int) -> list[range]:
    """Numbers of clips, at most so many at a time."""
    return [rows[start : start + most] for start in range(0, len(rows), most)]


def content_key(*parts: Any) -> str:
    """SHA-256, in hex, of JSON values (tuples count as lists): a key for what follows from them."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, allow_nan=False).encode()).hexdigest()


def apportioned(weights: Sequence[float] | np.ndarray, count: int) -> np.ndarray:
    """The class of each of so many clips, int64 ``[count]``, so that classes come as often as their weights say.

    Each clip goes to the class that is furthest behind its share, the first of several. The beginning of a longer list
    is the shorter one; with equal weights, classes come in turn.

    Args:
        weights: relative frequency of each class, >= 0 and not all 0.
        count: how many clips.
    """
    share = np.asarray(weights, np.float64) / np.sum(weights)
    given, chosen = np.zeros(len(share)), np.empty(count, np.int64)
    for number in range(count):
        behind = np.where(share > 0, share * (number + 1) - given, -np.inf)
        chosen[number] = np.argmax(np.round(behind, 9))  # sums of shares that are equal but for rounding are equal
        given[chosen[number]] += 1
    return chosen


def ranked(clips: ClipSet, rows: np.ndarray, seed: int) -> np.ndarray:
    """Rows of a set in the order of a hash of their names and the seed, whatever other clips there are."""
    order = [hashlib.sha256(f"{seed}:{clips.ids[row]}".encode()).digest() for row in rows.tolist()]
    return rows[sorted(range(len(rows)), key=lambda place: (order[place], rows[place]))]


def choose(clips: ClipSet, count: int, seed: int = 0) -> np.ndarray:
    """Rows of so many clips, ascending, classes as often as in the set: of each those that `ranked` puts first."""
    frequency = np.bincount(clips.labels, minlength=max(1, len(clips.classes)))
    wanted = np.bincount(apportioned(frequency, count), minlength=len(frequency))
    members = [np.flatnonzero(clips.labels == label) for label in range(len(frequency))]
    return np.sort(np.concatenate([ranked(clips, rows, seed)[:few] for rows, few in zip(members, wanted)]))
