"""Sets of clips that are measured: where they come from makes no difference to what looks at them.

A set has a key, a hash of all that its pixels follow from; features and scores are kept by it. Every clip has a name
that a person can find it by, so that a report can list what was measured.

Sets from data are in `clipsets_data`, sets that a model makes in `clipsets_model`, and which clips to take in
`clipsets_choice`.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from dvdgan.evaluation.errors import EvaluationError


class ClipSet(Protocol):
    """Clips of one length and one square size.

    Attributes:
        name: what the report calls the set.
        classes: names of the classes; empty if the clips have none.
        labels: int64 ``[N]``, indices into `classes` (0 without classes).
        frames: frames per clip, T.
        size: height and width, in pixels.
        fps: frames per second at which the clips are to be watched.
        ids: what each of the N clips is known by.
        key: SHA-256, in hex, of what the pixels follow from; sets with equal keys have equal pixels.
    """

    name: str
    classes: list[str]
    labels: np.ndarray
    frames: int
    size: int
    fps: float
    ids: list[str]
    key: str

    def __len__(self) -> int:
        """How many clips there are, N."""

    def read(self, rows: Sequence[int]) -> np.ndarray:
        """Clips by their numbers from 0 to N − 1, in any order: uint8 ``[n, T, size, size, 3]``, RGB."""


def content_key(*parts: Any) -> str:
    """SHA-256, in hex, of JSON values (tuples count as lists): a key for what follows from them."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, allow_nan=False).encode()).hexdigest()


class ArraySet:
    """A `ClipSet` in memory.

    Args:
        clips: uint8 ``[N, T, S, S, 3]``, RGB.
        labels: ``[N]`` indices into `classes`; None is 0 for all.
        classes: names of the classes; none if the clips have none.
        name: what the report calls the set.
        fps: frames per second.
        ids: what each clip is known by; None numbers them.

    Raises:
        EvaluationError: clips of another shape, or labels, classes and names that do not fit them.
    """

    def __init__(
        self,
        clips: np.ndarray,
        labels: np.ndarray | None = None,
        classes: Sequence[str] = (),
        name: str = "clips",
        fps: float = 12.0,
        ids: Sequence[str] | None = None,
    ) -> None:
        """Check that all fits together."""
        if clips.dtype != np.uint8 or clips.ndim != 5 or clips.shape[-1] != 3 or clips.shape[2] != clips.shape[3]:
            raise EvaluationError(f"{name}: clips are uint8 [N, T, S, S, 3], not {clips.dtype} {list(clips.shape)}")
        self.name, self.fps, self.classes = name, fps, list(classes)
        self.labels = np.zeros(len(clips), np.int64) if labels is None else np.asarray(labels, np.int64)
        if self.labels.shape != (len(clips),) or ((self.labels < 0) | (self.labels >= max(1, len(classes)))).any():
            raise EvaluationError(f"{name}: labels are one of {max(1, len(classes))} classes for each of {len(clips)}")
        self.ids = [f"{name} {number}" for number in range(len(clips))] if ids is None else list(ids)
        if len(self.ids) != len(clips):
            raise EvaluationError(f"{name}: {len(self.ids)} names for {len(clips)} clips")
        self.frames, self.size = int(clips.shape[1]), int(clips.shape[2])
        self._clips = np.ascontiguousarray(clips)
        self.key = content_key("array", clips.shape, hashlib.sha256(self._clips.tobytes()).hexdigest())

    def __len__(self) -> int:
        """How many clips there are."""
        return len(self._clips)

    def read(self, rows: Sequence[int]) -> np.ndarray:
        """Clips by their numbers, uint8 ``[n, T, S, S, 3]``."""
        return self._clips[np.asarray(rows, np.int64)]


class Subset:
    """Some clips of another set, in the order that is given.

    Args:
        whole: the other set.
        rows: numbers of its clips.
        name: what the report calls it; None is the other's name.

    Raises:
        EvaluationError: a number that the other set has no clip for.
    """

    def __init__(self, whole: ClipSet, rows: Sequence[int] | np.ndarray, name: str | None = None) -> None:
        """Take over what the other says of these clips."""
        self.rows = np.asarray(rows, np.int64)
        if ((self.rows < 0) | (self.rows >= len(whole))).any():
            raise EvaluationError(f"{whole.name}: its clips are numbered from 0 to {len(whole) - 1}")
        self.name = whole.name if name is None else name
        self.classes, self.frames, self.size, self.fps = whole.classes, whole.frames, whole.size, whole.fps
        self.labels = whole.labels[self.rows]
        self.ids = [whole.ids[row] for row in self.rows]
        self.key = content_key("subset", whole.key, self.rows.tolist())
        self._whole = whole

    def __len__(self) -> int:
        """How many clips there are."""
        return len(self.rows)

    def read(self, rows: Sequence[int]) -> np.ndarray:
        """Clips by their numbers in this set, uint8 ``[n, T, S, S, 3]``."""
        return self._whole.read(self.rows[np.asarray(rows, np.int64)].tolist())


class Mapped:
    """Another set with something done to each clip, such as a damage.

    Args:
        whole: the other set.
        function: of clips, uint8 ``[n, T, S, S, 3]``, and their numbers in the other set; returns clips of that shape.
            It may depend on nothing but these, and not on which clips come together.
        name: what the report calls it.
        key: of all that the function does; another function must have another one.
    """

    def __init__(
        self, whole: ClipSet, function: Callable[[np.ndarray, Sequence[int]], np.ndarray], name: str, key: str
    ) -> None:
        """Take over what the other says of its clips."""
        self.name = name
        self.classes, self.labels, self.ids = whole.classes, whole.labels, whole.ids
        self.frames, self.size, self.fps = whole.frames, whole.size, whole.fps
        self.key = content_key("mapped", whole.key, key)
        self._whole, self._function = whole, function

    def __len__(self) -> int:
        """How many clips there are."""
        return len(self._whole)

    def read(self, rows: Sequence[int]) -> np.ndarray:
        """Clips by their numbers, uint8 ``[n, T, S, S, 3]``.

        Raises:
            EvaluationError: the function returned something else.
        """
        clips = self._whole.read(rows)
        done = self._function(clips, rows)
        if done.dtype != np.uint8 or done.shape != clips.shape:
            raise EvaluationError(f"{self.name}: makes {done.dtype} {list(done.shape)} of uint8 {list(clips.shape)}")
        return done


class Relabelled:
    """Another set with its classes in another order, so that two sets can be compared class by class.

    Args:
        whole: the other set.
        classes: the names in the order that is wanted; some may have no clip.

    Raises:
        EvaluationError: a class of the other set is not among them, or one of the two has classes and the other has
            none.
    """

    def __init__(self, whole: ClipSet, classes: Sequence[str]) -> None:
        """Find each class by its name."""
        if bool(whole.classes) != bool(classes):
            with_, without = ("it", "the data") if whole.classes else ("the data", "it")
            raise EvaluationError(f"{whole.name}: {with_} has classes and {without} has none; they cannot be compared")
        index = {name: number for number, name in enumerate(classes)}
        for name in whole.classes:
            if name not in index:
                near = difflib.get_close_matches(name, classes, n=3, cutoff=0.5)
                hint = f"did it mean {' or '.join(near)}?" if near else f"the classes are {', '.join(classes[:12])}"
                raise EvaluationError(f"{whole.name}: its class {name!r} is none of the data's; {hint}")
        self.name, self.ids, self.key = whole.name, whole.ids, whole.key
        self.frames, self.size, self.fps = whole.frames, whole.size, whole.fps
        self.classes = list(classes)
        order = np.array([index[name] for name in whole.classes] or [0], np.int64)
        self.labels = order[whole.labels]
        self._whole = whole

    def __len__(self) -> int:
        """How many clips there are."""
        return len(self._whole)

    def read(self, rows: Sequence[int]) -> np.ndarray:
        """Clips by their numbers, uint8 ``[n, T, S, S, 3]``."""
        return self._whole.read(rows)
