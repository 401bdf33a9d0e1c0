"""Clips of published data sets, found by their official lists: UCF-101, Kinetics and Something-Something."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterator
from dataclasses import replace
from pathlib import Path

from dvdgan.data.errors import DataError
from dvdgan.data.layouts.listing import TEST, TRAIN, Entry, Listing, Problem
from dvdgan.data.layouts.lists import seconds, source_of, with_labels
from dvdgan.data.layouts.splits import settle_validation, side
from dvdgan.data.layouts.tables import Row, RowError, column_names, quoted, read_table
from dvdgan.data.layouts.trees import clips_in, name_of, natural, parts_of
from dvdgan.data.layouts.walk import walk
from dvdgan.documents import MOST_TABLE_BYTES, DocumentError, read_text

_UCF101_FOLDER = "ucfTrainTestlist"
_UCF101_CLASSES = "classInd.txt"
_UCF101_NUMBER = re.compile(r"\s+\d+$")  # of the class, behind each clip of the training list
_UCF101_GROUP = re.compile(r"_g(\d+)_c\d+$")
_KINETICS_COLUMNS = ("youtube_id", "time_start", "time_end")
_KINETICS_NAME = re.compile(r"(.+)_(\d+)_(\d+)")  # youtube_id, time_start, time_end
_REPLACEMENT = "replacement"  # in the name of the folder of clips whose first files were damaged


def ucf101_lists(folder: Path, beside: bool) -> Path | None:
    """The folder of UCF-101's lists: the folder itself or one in it, or else, if that is asked for, one beside it."""
    places = [folder, folder / _UCF101_FOLDER, *([folder.absolute().parent / _UCF101_FOLDER] if beside else [])]
    return next((place for place in places if any(place.glob("trainlist0[123].txt"))), None)


def has_classes(root: Path, lists: Path) -> bool:
    """Whether a folder, or one in it, has a class folder of UCF-101."""
    if not (lists / _UCF101_CLASSES).is_file():
        return False
    places = [root, *(place for place in root.iterdir() if place.is_dir())]
    names = _class_order(lists)
    return any((place / name).is_dir() for place in places for name in names)


def read_ucf101(root: Path, lists: Path, fold: int) -> Listing:
    """The clips of one of UCF-101's three splits.

    A clip is known by its name (v_ApplyEyeMakeup_g08_c01), wherever below the root it lies and whatever its suffix now
    is; it may be a folder of frames. Labels are in the order of classInd.txt, without classes of which no clip is
    there. A group (ApplyEyeMakeup_g08) is what was cut from one video. The listing may have no entries.

    Args:
        root: the folder of the clips.
        lists: the folder of trainlist0N.txt, testlist0N.txt and classInd.txt.
        fold: the N, 1 to 3.

    Raises:
        DataError: one of the lists is missing.
    """
    order = _class_order(lists)
    listed: dict[str, tuple[str, str, str]] = {}  # class, path and split, by the clip's name
    problems: list[Problem] = []
    for split in (TRAIN, TEST):
        path = lists / f"{split}list{fold:02}.txt"
        for place, line in _lines(path):
            path_there = Path(_UCF101_NUMBER.sub("", line).replace("\\", "/"))
            of_class, name = path_there.parent.name, path_there.stem.casefold()
            if of_class not in order:
                problems.append(Problem(line, f"{place}: {of_class or line} is no class of classInd.txt"))
            elif name in listed:
                problems.append(Problem(line, f"{place}: is listed twice, and stays in the {listed[name][2]} part"))
            else:
                listed[name] = (of_class, path_there.as_posix(), split)
    clips, unused = _listed_clips(root, listed, f"the lists of fold {fold}")
    there = {listed[name][0] for name in clips}
    classes = [name for name in order if name in there]
    entries = []
    for name, clip in clips.items():
        of_class, _, split = listed[name]
        number = _UCF101_GROUP.search(name)
        group = f"{of_class}_g{number[1]}" if number else ""
        entries.append(replace(clip, label=classes.index(of_class), split=split, group=group))
    entries.sort(key=lambda entry: entry.label)
    return Listing(root, "ucf101", classes, entries, [*problems, *unused, *_not_there(listed, clips, classes)])


def _listed_clips(root: Path, listed: Container[str], lists: str) -> tuple[dict[str, Entry], list[Problem]]:
    """The listed clips that are there, by name, and what is there beside them."""
    there = walk(root)
    problems = there.problems
    clips: dict[str, Entry] = {}
    for clip in clips_in(root, there.folders)[0]:
        name = name_of(clip).casefold()
        if name not in listed:
            problems.append(Problem(clip.source, f"is not in {lists}"))
        elif name in clips:
            problems.append(Problem(clip.source, f"is the same clip as {clips[name].source}"))
        else:
            clips[name] = clip
    return clips, problems


def _not_there(listed: dict[str, tuple[str, str, str]], there: Container[str], classes: list[str]) -> Iterator[Problem]:
    """A problem for each clip that is listed and not there; one for all of a class of which none is there."""
    whole = defaultdict(list)
    for name, (of_class, path, _) in listed.items():
        if of_class not in classes:
            whole[of_class].append(path)
        elif name not in there:
            yield Problem(path, "is listed, but not there")
    for of_class, paths in whole.items():
        yield Problem(of_class, f"none of its {len(paths)} listed clips is there; the first is {paths[0]}")


def _class_order(lists: Path) -> list[str]:
    return [line.split()[-1] for _, line in _lines(lists / _UCF101_CLASSES)]


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """The lines that are not empty, each with its place."""
    try:
        lines = read_text(path, MOST_TABLE_BYTES).removeprefix("\ufeff").splitlines()
    except FileNotFoundError:
        raise DataError(f"{path}: cannot be read (no such file); mend data.list_file or data.fold") from None
    except DocumentError as error:
        raise DataError(f"{error}; mend data.list_file or data.fold") from None
    return ((f"{path.name}:{number}", line.strip()) for number, line in enumerate(lines, 1) if line.strip())


def kinetics_lists(place: Path) -> list[Path]:
    """Kinetics' lists: the CSV itself, or those in the folder; empty if there is none."""
    files = [place] if place.is_file() else sorted(place.glob("*.csv"))
    return [file for file in files if set(_KINETICS_COLUMNS) <= _columns(file)]


def _columns(file: Path) -> set[str]:
    """The names of a file's columns; none if it is no list."""
    try:
        return column_names(file)
    except DataError:  # a table that has nothing to do with clips
        return set()


def something_lists(place: Path) -> list[Path]:
    """Something-Something's lists of clips: the JSON itself, or those in the folder or its folder labels."""
    files = [place] if place.is_file() else sorted([*place.glob("*.json"), *place.glob("labels/*.json")])
    return [file for file in files if file.suffix == ".json" and {"id", "template"} <= _columns(file)]


def read_something(root: Path, lists: list[Path]) -> Listing:
    """The clips of Something-Something's lists that are there.

    A clip is ID.webm, or with any other suffix, or a folder of frames, anywhere below the root. The class is the
    template, without its brackets; the part is in the name of the list. Validation is the test part, as the labels of
    the test part were not published. What is missing is counted in one problem, as are files that no list names.

    Returns:
        The listing, with the classes that have clips, sorted. It may have no entries.

    Raises:
        DataError: a list cannot be read.
    """
    there = walk(root)
    problems = list(there.problems)
    clips, notes = clips_in(root, there.folders)
    by_name = {name_of(clip): clip for clip in reversed(clips)}
    labels: dict[str, str] = {}
    entries: list[Entry] = []
    missing = []
    for file in lists:
        table = read_table(file, ("id", "template"))
        problems += table.problems
        part = _part_of(file)
        for row in table.rows:
            if (clip := by_name.pop(row["id"], None)) is None:
                missing.append(f"{row.place}: {row['id']}")
            else:
                entries.append(replace(clip, split=part))
                labels[clip.source] = row["template"].replace("[", "").replace("]", "")
    problems += _counted(missing, "listed, but not there, or listed twice")
    problems += _counted([clip.source for clip in by_name.values()], "in no list")
    entries, left_out = settle_validation(entries)
    entries, classes = with_labels(entries, labels)
    entries.sort(key=lambda entry: (entry.label, natural(entry.source)))
    return Listing(root, "something-something", classes, entries, problems + left_out, notes)


def _part_of(file: Path) -> str:
    """The part that the name of a list says; empty if it says none."""
    return next(filter(None, map(side, re.split("[^a-z]+", file.stem.lower()))), "")


def _counted(which: list[str], what: str) -> list[Problem]:
    """One problem for all of them."""
    if not which:
        return []
    return [Problem(which[0].rpartition(" ")[2], f"{len(which)} clips are {what}; the first is {which[0]}")]


def read_kinetics(root: Path, lists: list[Path]) -> Listing:
    """The clips of Kinetics' lists that are there.

    A clip is YOUTUBEID_000012_000022 with any suffix, anywhere below the root, or as a folder of frames; one in a
    folder of replacements comes first. A whole video, YOUTUBEID, is cut at the listed times. The part is the list's
    column split or, without it, in the name of the file (train.csv). Rows without a label (test parts whose labels were
    not published) are left out. Validation is the test part if no labelled test clip is there, and else left out. A
    group is one video. What is missing is counted in one problem, as are rows without a label and files that no list
    names.

    Returns:
        The listing, with the classes that have clips, sorted. It may have no entries.

    Raises:
        DataError: a list cannot be read, or lacks a column.
    """
    there = walk(root)
    problems = there.problems
    clips, _ = clips_in(root, there.folders)
    clips.sort(key=lambda clip: not any(_REPLACEMENT in name for name in parts_of(clip)))
    whole = {name_of(clip): clip for clip in reversed(clips)}
    timed = {_timed(name_of(clip)): clip for clip in reversed(clips)}
    entries: dict[str, Entry] = {}
    labels: dict[str, str] = {}
    used: set[Entry] = set()
    missing, unlabelled = [], []
    for row, split in _kinetics_rows(lists, problems):
        video = row["youtube_id"]
        try:
            start, end = (seconds(row[field], field) for field in ("time_start", "time_end"))
            if start >= end:
                raise RowError(f"time_end: {row['time_end']} is not after time_start, {row['time_start']}")
        except RowError as error:
            problems.append(Problem(video or row.place, f"{row.place}: {error}"))
            continue
        cut = timed.get((video, int(start), int(end)))
        clip = cut or whole.get(video)
        if not row["label"]:
            unlabelled.append(f"{row.place}: {video}")
        elif clip is None:
            missing.append(f"{row.place}: {video}_{int(start):06}_{int(end):06}")
        else:
            used.add(clip)
            begin, stop = (0.0, None) if cut else (start, end)
            source = source_of(clip.path, root, begin, stop)
            if source not in entries:
                entries[source] = replace(clip, source=source, start=begin, end=stop, split=split, group=video)
                labels[source] = row["label"]
    extra = [clip.source for clip in clips if clip not in used]
    for which, what in ((missing, "listed, but not there"), (unlabelled, "without a label"), (extra, "in no list")):
        problems += _counted(which, what)
    used_entries, left_out = settle_validation(list(entries.values()))
    used_entries, classes = with_labels(used_entries, labels)
    used_entries.sort(key=lambda entry: (entry.label, natural(entry.source)))
    return Listing(root, "kinetics", classes, used_entries, problems + left_out)


def _timed(name: str) -> tuple[str, int, int]:
    """Video, start and end that a clip's name says; the times are -1 if it says none."""
    match = _KINETICS_NAME.fullmatch(name)
    return (match[1], int(match[2]), int(match[3])) if match else (name, -1, -1)


def _kinetics_rows(lists: list[Path], problems: list[Problem]) -> Iterator[tuple[Row, str]]:
    """The rows of all lists, each with its part; to the problems go those that cannot be read."""
    for file in lists:
        table = read_table(file, (*_KINETICS_COLUMNS, "label"))
        problems += table.problems
        part = _part_of(file)
        for row in table.rows:
            own = side(row["split"]) if row["split"] else part
            if own is None:
                reason = f"{row.place}: split: {quoted(row['split'])} is neither train, validate nor test"
                problems.append(Problem(row["youtube_id"], reason))
            else:
                yield row, own
