"""Which clips are measured: chosen by a hash of their names, so that a clip is in or out whatever else is there."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from dvdgan.evaluation.clipsets import ClipSet
from dvdgan.evaluation.errors import EvaluationError


def apportioned(weights: Sequence[float], count: int) -> np.ndarray:
    """The class of each of so many clips, so that classes come as often as their weights say.

    Each clip goes to the class that is furthest behind its share, the first of several. The beginning of a longer list
    is the shorter one; with equal weights, classes come in turn.

    Args:
        weights: relative frequency of each class, >= 0 and not all 0.
        count: how many clips.

    Returns:
        int64 ``[count]``, indices of classes.

    Raises:
        EvaluationError: weights that are no frequencies, or a negative count.
    """
    share = np.asarray(weights, np.float64)
    if not len(share) or not np.isfinite(share).all() or (share < 0).any() or share.sum() == 0 or count < 0:
        raise EvaluationError(f"{count} clips cannot be shared out by the weights {list(weights)[:12]}")
    share = share / share.sum()
    given, chosen = np.zeros(len(share)), np.empty(count, np.int64)
    for number in range(count):
        behind = np.where(share > 0, share * (number + 1) - given, -np.inf)
        chosen[number] = np.argmax(np.round(behind, 9))  # sums of shares that are equal but for rounding are equal
        given[chosen[number]] += 1
    return chosen


def choose_per_class(clip_set: ClipSet, per_class: int, seed: int = 0) -> np.ndarray:
    """As many clips of each class.

    Args:
        clip_set: what to choose from.
        per_class: how many of each class that has clips; a smaller number chooses some of those of a larger one.
        seed: another seed chooses others.

    Returns:
        int64, numbers of clips in the set, ascending.

    Raises:
        EvaluationError: a class, which is named, has fewer clips.
    """
    if per_class < 1:
        raise EvaluationError(f"clips per class must be 1 or more, not {per_class}")
    return _choose(clip_set, {int(label): per_class for label in np.unique(clip_set.labels)}, seed)


def choose_in_all(clip_set: ClipSet, count: int, weights: Sequence[float] | None = None, seed: int = 0) -> np.ndarray:
    """So many clips, classes coming as often as in the data.

    Args:
        clip_set: what to choose from.
        count: how many.
        weights: relative frequency of each class, such as `ClipDataset.class_weights`; None is how often each comes in
            the set.
        seed: another seed chooses others.

    Returns:
        int64, numbers of clips in the set, ascending.

    Raises:
        EvaluationError: a class, which is named, has fewer clips than its share.
    """
    if count < 1:
        raise EvaluationError(f"clips to choose must be 1 or more, not {count}")
    shares = weights or np.bincount(clip_set.labels, minlength=max(1, len(clip_set.classes))).tolist()
    wanted = np.bincount(apportioned(shares, count))
    return _choose(clip_set, {label: int(number) for label, number in enumerate(wanted) if number}, seed)


def _choose(clip_set: ClipSet, wanted: dict[int, int], seed: int) -> np.ndarray:
    """The clips of each class whose names have the lowest hashes."""
    rows = []
    for label, number in wanted.items():
        members = np.flatnonzero(clip_set.labels == label)
        if len(members) < number:
            which = f"its class {clip_set.classes[label]}" if clip_set.classes else "it"
            raise EvaluationError(
                f"{clip_set.name}: {which} has {len(members)} clips, not {number}; ask for fewer clips, or add some"
            )
        rank = {row: hashlib.sha256(f"{seed}:{clip_set.ids[row]}".encode()).digest() for row in members.tolist()}
        rows += sorted(rank, key=lambda row: (rank[row], row))[:number]
    return np.sort(np.array(rows, np.int64))
