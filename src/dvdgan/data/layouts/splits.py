"""Which clips train and which are held out: near copies stay together, and a clip stays where it is as others come."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from dvdgan.config import DataConfig
from dvdgan.data.errors import DataError
from dvdgan.data.layouts.listing import TEST, TRAIN, Entry, Problem

VALIDATION = "validation"
"""A third part, which sources know and `settle_validation` does away with."""

_SIDES = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("test", "testing"), TEST),
    **dict.fromkeys(("val", "valid", "validate", "validation", "dev", "eval", "holdout"), VALIDATION),
}
_FIELD = "data.group"


def group_keys(sources: Sequence[str], pattern: str) -> list[str]:
    r"""The group of each clip, cut out of its source by a pattern such as ``_(g\d+)_``.

    Args:
        sources: as in `dvdgan.data.layouts.listing.Entry`.
        pattern: a regular expression, searched anywhere in the source. Its capturing group, or the whole match if it
            has none, is the clip's group. A source without a match is a group of its own.

    Returns:
        One group per source. Clips that are a group of their own have their source as its name.

    Raises:
        DataError: not a regular expression, more than one capturing group, or no source matches.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise DataError(f"{_FIELD}: {pattern!r} is not a regular expression ({error})") from None
    if compiled.groups > 1:
        raise DataError(
            f"{_FIELD}: {pattern!r} has {compiled.groups} capturing groups; keep the one that names a clip's group, and"
            " write the others as (?:...)"
        )
    matches = [compiled.search(source) for source in sources]
    if sources and not any(matches):
        raise DataError(f"{_FIELD}: {pattern!r} matches none of the {len(sources)} clips; the first is {sources[0]}")
    return [
        (match[compiled.groups] if match else None) or source  # an optional group may match nothing
        for match, source in zip(matches, sources, strict=True)
    ]


def assign_splits(
    groups: Sequence[str], labels: Sequence[int], given: Sequence[str], test_fraction: float, seed: int
) -> list[str]:
    """Put each clip to training or test, by whole groups.

    What is given stays, and takes along the rest of its group; a group that is given on both sides (`leaks`) takes its
    others to training. If nothing is given, groups are drawn for the test, by a hash of the seed and their name, until
    it has about `test_fraction` of each class's clips: at least one group of each class that has two, and never a
    class's last one. A group of several classes moves as a whole: these may get more than their share, or no test group
    where each would be the last of some class.

    Args:
        groups: each clip's group; not empty.
        labels: each clip's class.
        given: ``train``, ``test`` or empty for each clip.
        test_fraction: 0 to 1; with 0 only the groups that are given move.
        seed: with another seed other groups are held out.

    Returns:
        ``train`` or ``test`` for each clip. The order of the clips makes no difference.

    Raises:
        ValueError: lengths differ, or a split is another word.
    """
    if unknown := set(given) - {TRAIN, TEST, ""}:
        raise ValueError(f"a split is {TRAIN}, {TEST} or empty, not {sorted(unknown)[0]!r}")
    sides: dict[str, str] = {}
    for group, split in zip(groups, given, strict=True):
        if split:
            sides[group] = TRAIN if TRAIN in (split, sides.get(group)) else TEST
    if not sides and test_fraction > 0:
        sides = dict.fromkeys(_drawn(groups, labels, test_fraction, seed), TEST)
    return [split or sides.get(group, TRAIN) for group, split in zip(groups, given, strict=True)]


def divide(
    config: DataConfig, sources: Sequence[str], labels: Sequence[int], groups: Sequence[str], splits: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The group of each clip, by `config.group`, its own or its source, and its part of the split.

    What is known of each clip is as in `dvdgan.data.layouts.listing.Entry`. Its part stays as it is where
    `config.test_fraction` is 0.

    Raises:
        DataError: see `group_keys`.
    """
    if config.group is not None:
        keys = group_keys(sources, config.group)
    else:
        keys = [group or source for group, source in zip(groups, sources)]
    if config.test_fraction == 0:
        return keys, list(splits)
    return keys, assign_splits(keys, labels, splits, config.test_fraction, config.split_seed)


def leaks(groups: Sequence[str], splits: Sequence[str]) -> list[str]:
    """The groups with clips on both sides, sorted: their near copies make a test look better than it is."""
    sides = defaultdict(set)
    for group, split in zip(groups, splits, strict=True):
        sides[group].add(split)
    return sorted(group for group, parts in sides.items() if {TRAIN, TEST} <= parts)


def _drawn(groups: Sequence[str], labels: Sequence[int], test_fraction: float, seed: int) -> set[str]:
    """The groups that go to test.

    Each class takes the groups of the lowest hashes. As these depend on nothing but the group, a new clip only moves
    groups at the border.
    """
    clips: dict[int, Counter[str]] = defaultdict(Counter)  # of each class in each group
    for group, label in zip(groups, labels, strict=True):
        clips[label][group] += 1
    classes = defaultdict(list)  # of each group
    for label, counts in clips.items():
        for group in counts:
            classes[group].append(label)
    rank = {group: hashlib.sha256(f"{seed}:{group}".encode()).digest() for group in classes}
    taken: set[str] = set()
    training = {label: len(counts) for label, counts in clips.items()}  # groups left for it
    held_out = dict.fromkeys(clips, 0)  # clips
    for label in sorted(clips):
        wanted = test_fraction * sum(clips[label].values())
        for group in sorted(clips[label], key=lambda name: rank[name]):
            if held_out[label] and held_out[label] + clips[label][group] / 2 > wanted:
                break
            if group in taken or any(training[other] == 1 for other in classes[group]):
                continue
            taken.add(group)
            for other in classes[group]:
                training[other] -= 1
                held_out[other] += clips[other][group]
    return taken


def side(name: str) -> str | None:
    """The part that a folder's or a list's word for it means: ``train``, ``test``, `VALIDATION` or None."""
    return _SIDES.get(name.strip().casefold())


def settle_validation(entries: Sequence[Entry]) -> tuple[list[Entry], list[Problem]]:
    """Make the validation part the test part or, where there is a test part as well, leave it out.

    Args:
        entries: whose split may also be `VALIDATION`.

    Returns:
        The entries that stay, and a problem that counts those that do not.
    """
    if all(entry.split != TEST for entry in entries):
        return [replace(entry, split=TEST) if entry.split == VALIDATION else entry for entry in entries], []
    left_out = [entry.source for entry in entries if entry.split == VALIDATION]
    if not left_out:
        return list(entries), []
    reason = f"is one of {len(left_out)} validation clips, left out since there is a test part as well"
    return [entry for entry in entries if entry.split != VALIDATION], [Problem(left_out[0], reason)]
