"""Clips that a list names: CSV or JSON with path, label, start, end, split and group."""

from __future__ import annotations

import math
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from dvdgan.data.decode.sequences import frames_in
from dvdgan.data.decode.timing import LATEST
from dvdgan.data.errors import DataError
from dvdgan.data.layouts.header import unused
from dvdgan.data.layouts.listing import Entry, Listing, Problem, composed, with_times
from dvdgan.data.layouts.splits import settle_validation, side
from dvdgan.data.layouts.tables import Row, RowError, quoted, read_table
from dvdgan.documents import MOST_DIGITS, shortened

_TIME = re.compile(r"(?:(?:([0-9]+):)?([0-9]+):)?([0-9]+(?:[.,][0-9]*)?)")


def read_list(root: Path, path: Path) -> Listing:
    """The clips that a list names.

    ``path`` is relative to the root, else to the list's folder, or absolute; it may name a folder of frames. ``label``
    is a name or a number: numbers are sorted as such, names as text. ``start`` and ``end`` are seconds or
    [H:]MM:SS[.f]. ``split`` is train or test, or val or validation, which becomes the test part where there is no
    other. ``group`` names what near copies share; rows that cut one file into several clips are a group without it.
    Only ``path`` is needed, and other columns are ignored.

    Args:
        root: the folder that the clips' sources are relative to.
        path: the list. In CSV the first row names the columns; see `dvdgan.data.layouts.tables.read_table` for others.

    Returns:
        The clips in the list's order. Rows that cannot be used are among the problems, with file, line and field.

    Raises:
        DataError: the file cannot be read, or has no column named path.
    """
    table = read_table(path, ("path",), is_there=lambda text: bool(_found(text, (root, path.parent))))
    rows, problems = table.rows, table.problems
    if not rows and not problems:
        raise DataError(f"{path}: has a header and nothing below it; add a line for each clip, such as a.mp4,run")
    entries: list[Entry] = []
    row_of: dict[str, Row] = {}  # by source
    for row in rows:
        try:
            entry = _entry(row, root, path.parent)
            if (first := row_of.get(entry.source)) is not None:
                label = first["label"]
                other = "" if label == row["label"] else f" with the label {shortened(label)}, which it keeps"
                raise RowError(f"path: the same clip as in {first.place}{other}")
        except RowError as error:
            problems.append(Problem(shortened(row["path"]) or row.place, f"{row.place}: {error}"))
            continue
        entries.append(entry)
        row_of[entry.source] = row
    if any(row["label"] for row in row_of.values()):
        unlabelled = [source for source, row in row_of.items() if not row["label"]]
        reason = "label: is empty, while other rows have one"
        problems += [Problem(source, f"{row_of[source].place}: {reason}") for source in unlabelled]
        entries = [entry for entry in entries if row_of[entry.source]["label"]]
    pieces = Counter(entry.path for entry in entries)
    for index, entry in enumerate(entries):
        if pieces[entry.path] > 1 and not entry.group:
            entries[index] = replace(entry, group=source_of(entry.path, root))
    entries, left_out = settle_validation(entries)
    entries, classes = with_labels(entries, {source: row["label"] for source, row in row_of.items()})
    notes = [table.note] if table.note else [f"{path.name}: {line}" for line in unused(table.columns)]
    return Listing(root, "list", classes, entries, problems + left_out, notes)


def with_labels(entries: Iterable[Entry], labels: dict[str, str]) -> tuple[list[Entry], list[str]]:
    """Entries with the indices of the classes that their labels, by source, name; and these classes, in order.

    The order is that of numbers if all labels are numbers of up to 40 digits, else that of text. Empty labels name no
    class.
    """
    entries = list(entries)
    labels = {source: composed(label) for source, label in labels.items()}
    names = {label for entry in entries if (label := labels[entry.source])}
    numeric = all(name.isdecimal() and len(name) <= MOST_DIGITS for name in names)
    classes = sorted(names, key=lambda name: (int(name) if numeric else 0, name))
    number = {name: index for index, name in enumerate(classes)}
    return [replace(entry, label=number.get(labels[entry.source], 0)) for entry in entries], classes


def seconds(text: str, field: str) -> float:
    """A time such as ``1.5``, ``1:02.5`` or ``0:01:02``, in seconds.

    Raises:
        RowError: it is none, or too large for a float.
    """
    if (match := _TIME.fullmatch(text)) is None:
        raise RowError(f"{field}: {quoted(text)} is neither seconds nor H:MM:SS")
    hours, minutes, rest = (float((part or "0").replace(",", ".")) for part in match.groups())
    if math.isinf(time := 3600 * hours + 60 * minutes + rest):
        raise RowError(f"{field}: {quoted(text)} is too large")
    return time


def source_of(path: Path, root: Path, start: float = 0.0, end: float | None = None) -> str:
    """What a clip is known by: its path relative to the root (absolute if it lies elsewhere), and its times if any."""
    absolute = Path(os.path.abspath(path))
    above = Path(os.path.abspath(root))
    source = (absolute.relative_to(above) if absolute.is_relative_to(above) else absolute).as_posix()
    return with_times(source, start, end) if start or end is not None else source


def _entry(row: Row, root: Path, beside: Path) -> Entry:
    if not row["path"]:
        raise RowError("path: is empty")
    path = _find(row["path"], (root, beside))
    start = seconds(row["start"], "start") if row["start"] else 0.0
    if start >= LATEST:
        raise RowError(f"start: {quoted(row['start'])} is later than any clip ends")
    end = seconds(row["end"], "end") if row["end"] else None
    if end is not None and start >= end:
        raise RowError(f"end: {row['end']} is not after the start, {row['start'] or 0}")
    split = side(row["split"]) if row["split"] else ""
    if split is None:
        raise RowError(f"split: {quoted(row['split'])} is neither train nor test")
    return Entry(path, source_of(path, root, start, end), 0, start, end, split, row["group"])


def _find(text: str, folders: Iterable[Path]) -> Path:
    """The file that a list means; of a folder with more than its frames in it, the frames."""
    if (path := _found(text, folders)) is None:
        raise RowError("path: no such file")
    if path.is_dir():
        frames = frames_in(name for name in os.listdir(path) if name[0] != ".")
        if len(frames.clips) == 1 and frames.aside:
            return path / frames.clips[0].pattern
    return path


def _found(text: str, folders: Iterable[Path]) -> Path | None:
    """Also if it was written on Windows, or with accents composed otherwise; or the common name of frames."""
    spellings = (text, text.replace("\\", "/"), unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text))
    for spelling in dict.fromkeys(spellings if text else ()):
        for folder in folders:
            path = folder / spelling
            if os.path.exists(path) or ("*" in path.name and path.parent.is_dir()):
                return path
    return None
