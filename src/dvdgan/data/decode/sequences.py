"""Numbered stills in a folder: which of them are the frames of one clip, and which show something else of it."""

from __future__ import annotations

import itertools
import math
import os
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from fractions import Fraction

STILL_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
"""Files of one picture, also as numbered frames in a folder."""

_NUMBER = re.compile(r"([0-9]+)")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_NOT_RGB = {
    *("flow", "depth", "disp", "disparity", "pose", "normal", "normals", "edges", "confidence", "infrared", "ir"),
    *("mask", "masks", "seg", "segm", "segmentation", "semantic", "label", "labels", "instance", "instances", "gt"),
    *("thumb", "thumbs", "thumbnail", "thumbnails", "preview", "previews", "alpha", "matte"),
    *("annotation", "annotations", "skeleton", "skeletons", "keypoints", "heatmap", "heatmaps", "thermal"),
}
"""Words in names of stills that show something else than the picture: optical flow, depth, previews and the like."""

_RGB = {
    *("rgb", "img", "imgs", "image", "images", "frame", "frames", "rawframes", "color", "colour", "jpegs"),
    *("video", "videos", "clips"),
}
"""Words in names of folders of the pictures, which may lie beside others of optical flow, depth or masks."""

_UNIX = re.compile(r"1[0-9]{9}(?:[._-]?[0-9]{1,9})?")  # 2001 to 2033, in s, or without a point in ms, us or ns
_DATE = re.compile(
    r"((?:19|20)[0-9]{2})(?P<gap>[-_.:]?)([0-9]{2})(?P=gap)([0-9]{2})"
    r"(?:[-_.T ]*([0-9]{2})[-_.:h]?([0-9]{2})(?:[-_.:m]?([0-9]{2})s?(?:[-_.,]?([0-9]{1,9}))?)?)?Z?"
)
_TIME = re.compile(r"([0-9]{1,2})[-_.:h]([0-9]{2})[-_.:m]([0-9]{2})s?[.,]([0-9]{1,9})")


@dataclass(frozen=True)
class Sequence:
    """Stills that are the frames of one clip."""

    pattern: str  # their common name, with ``*`` where their numbers stand
    names: tuple[str, ...]  # the files, in the order of their numbers
    numbers: tuple[int, ...]  # of the files; where their names are times, 0, 1, 2 and so on


def says_picture(name: str) -> bool:
    """Whether a name says nothing of optical flow, depth, previews and the like."""
    return _NOT_RGB.isdisjoint(word.lower() for word in _WORD.findall(name))


def without_kind(name: str) -> str:
    """A name in lower case, without the words for what else than pictures it shows: ``clip1`` for ``clip1_depth``."""
    return re.sub(_WORD, lambda word: "" if word[0].lower() in _NOT_RGB else word[0], name).casefold().strip("-_. ")


def names_pictures(name: str) -> bool:
    """Whether a folder's name says that it holds the pictures, not their optical flow, depth and the like."""
    words = {word.lower() for word in _WORD.findall(name)}
    return not words.isdisjoint(_RGB) and words.isdisjoint(_NOT_RGB)


def find_sequences(names: Iterable[str]) -> tuple[list[Sequence], list[str]]:
    """Sort a folder's files into sequences.

    The frames of a sequence have names that differ in one number only, wherever in the name that stands, or also in
    what follows from it, such as a time behind it. Their numbers follow each other, in steps of any size and with gaps,
    as long as no more numbers are missing than are there. Names that are times are one sequence, in the order of time,
    if that goes on as evenly: in gaps of less than twice the median, on the average.

    Returns:
        The sequences, and the files that are in none.
    """
    alike: dict[tuple[str, ...], list[tuple[str, list[str]]]] = defaultdict(list)
    rest: list[str] = []
    for name in names:
        stem, suffix = os.path.splitext(name)
        parts = _NUMBER.split(stem)
        if suffix.lower() in STILL_SUFFIXES and len(parts) > 1 and "*" not in name:
            alike[(*parts[::2], suffix.lower())].append((name, parts))
        else:
            rest.append(name)
    found: list[Sequence] = []
    for files in alike.values():
        times = [time for name, _ in files if (time := time_of(os.path.splitext(name)[0])) is not None]
        if len(times) == len(files) > 1:
            if _go_on_evenly(times):
                found.append(_sequence(files, times, range(len(times))))
            else:
                rest += [name for name, _ in files]
            continue
        for group, at in _divided(files):
            numbers = [int(parts[at]) for _, parts in group]
            if _follow_each_other(numbers):
                found.append(_sequence(group, numbers, sorted(numbers)))
            else:
                rest += [name for name, _ in group]
    return sorted(found, key=lambda sequence: sequence.pattern), sorted(rest)


def _divided(files: list[tuple[str, list[str]]]) -> list[tuple[list[tuple[str, list[str]]], int]]:
    """Files of alike names in groups that share all numbers before the one that counts, and where that stands."""
    places = range(1, len(files[0][1]), 2)
    varying = [at for at in places if len({parts[at] for _, parts in files}) > 1]
    for at in reversed(varying):
        groups: dict[tuple[str, ...], list[tuple[str, list[str]]]] = defaultdict(list)
        for file in files:
            groups[tuple(file[1][:at])].append(file)
        distinct = all(len({int(parts[at]) for _, parts in group}) == len(group) for group in groups.values())
        if distinct and 2 * len(groups) <= len(files):
            return [(group, at) for group in groups.values()]
    return [(files, places[0])]


def _sequence(
    files: list[tuple[str, list[str]]], places: list[int] | list[Fraction], numbers: Iterable[int]
) -> Sequence:
    """The files in the order of their places; the numbers are in order already."""
    columns = zip(*(parts for _, parts in files))
    pattern = "".join(column[0] if len(set(column)) == 1 else "*" for column in columns)
    names = tuple(files[at][0] for at in sorted(range(len(files)), key=places.__getitem__))
    return Sequence(pattern + os.path.splitext(files[0][0])[1], names, tuple(numbers))


def _go_on_evenly(times: list[Fraction]) -> bool:
    ordered = sorted(set(times))
    gaps = sorted(after - before for before, after in itertools.pairwise(ordered))
    return len(ordered) == len(times) and ordered[-1] - ordered[0] < 2 * len(ordered) * gaps[len(gaps) // 2]


def time_of(name: str) -> Fraction | None:
    """The time that a name is, in seconds after some beginning; None where it is, or says, anything else."""
    if _UNIX.fullmatch(name):
        digits = re.sub("[._-]", "", name)
        return Fraction(int(digits), 10 ** (len(digits) - 10))
    date, time = _DATE.fullmatch(name), _TIME.fullmatch(name)
    if date is not None:
        year, _, *rest, fraction = date.groups()
        numbers = [int(year), *(int(number or 0) for number in rest)]
    elif time is not None:
        *rest, fraction = time.groups()
        numbers = [2000, 1, 1, *map(int, rest)]
    else:
        return None
    try:
        whole = datetime(*numbers, tzinfo=timezone.utc)  # type: ignore[arg-type, misc]
    except ValueError:  # a month 13
        return None
    return Fraction(int(whole.timestamp())) + Fraction(int(fraction or 0), 10 ** len(fraction or ""))


def _follow_each_other(numbers: list[int]) -> bool:
    ordered = sorted(set(numbers))
    steps = [after - before for before, after in itertools.pairwise(ordered)]
    return 1 < len(ordered) == len(numbers) and (ordered[-1] - ordered[0]) // math.gcd(*steps) < 2 * len(ordered)


def matches(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that a `Sequence.pattern` stands for."""
    stem, suffix = os.path.splitext(pattern)
    wanted = re.compile("[0-9]+".join(map(re.escape, stem.split("*"))))
    split = ((name, *os.path.splitext(name)) for name in names)
    return [name for name, own, kind in split if kind.lower() == suffix.lower() and wanted.fullmatch(own)]


@dataclass(frozen=True)
class FolderOfFrames:
    """What a folder with frames holds."""

    clips: list[Sequence] = field(default_factory=list)  # the sequences to be read
    # common names of other sequences, and files that are in none, which are left out
    aside: list[str] = field(default_factory=list)
    # whether a single sequence is known by its common name, and not by the folder's, which is a class
    apart: bool = False


def frames_in(names: Iterable[str]) -> FolderOfFrames:
    """The clips that a folder's stills are, if it is a folder of frames.

    It is one if there are more frames than other stills in it, and eight for each film. Where some sequences show
    optical flow, depth or the like by their names, the others are the clips.
    """
    names = list(names)
    sequences, rest = find_sequences(names)
    clips = [one for one in sequences if says_picture(os.path.splitext(one.pattern)[0])] or sequences
    frames = sum(len(sequence.names) for sequence in clips)
    films = [name for name in rest if os.path.splitext(name)[1].lower() not in STILL_SUFFIXES]
    if frames <= len(rest) - len(films) or frames < 8 * len(films):
        return FolderOfFrames()
    return FolderOfFrames(clips, [sequence.pattern for sequence in sequences if sequence not in clips] + rest)
