"""Clips that a list names: CSV or JSON lines with path, label, start, end, split and group."""

from __future__ import annotations

import csv
import io
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from dvdgan.data.errors import DataError
from dvdgan.data.layouts.listing import Entry, Listing, Problem, with_times
from dvdgan.data.layouts.splits import settle_validation, side
from dvdgan.documents import MOST_TABLE_BYTES, DocumentError, parse_json, read_bytes

JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
LIST_SUFFIXES = (".csv", ".tsv", *JSON_SUFFIXES)
"""Suffixes of the files that are taken for lists."""

_TIME = re.compile(r"(?:(?:([0-9]+):)?([0-9]+):)?([0-9]+(?:[.,][0-9]*)?)")


class RowError(ValueError):
    """What is wrong with a row, in one line that names the field."""


@dataclass(frozen=True)
class Row:
    """A row of a list."""

    place: str
    """File and line: ``clips.csv:12``."""
    values: dict[str, str]
    """By the column's name in lower case; stripped; empty where the row has none."""

    def __getitem__(self, column: str) -> str:
        """The value of a column, empty if there is none."""
        return self.values.get(column, "")


def read_list(root: Path, path: Path) -> Listing:
    """The clips that a list names.

    ``path`` is relative to the root, else to the list's folder, or absolute; it may name a folder of frames. ``label``
    is a name or a number: numbers are sorted as such, names as text. ``start`` and ``end`` are seconds or
    [H:]MM:SS[.f]. ``split`` is train or test, or val or validation, which becomes the test part where there is no
    other. ``group`` names what near copies share; rows that cut one file into several clips are a group without it.
    Only ``path`` is needed, and other columns are ignored.

    Args:
        root: the folder that the clips' sources are relative to.
        path: the list. In CSV the first row names the columns.

    Returns:
        The clips in the list's order. Rows that cannot be used are among the problems, with file, line and field.

    Raises:
        DataError: the file cannot be read, or has no column named path.
    """
    rows, problems = read_rows(path, ("path",))
    entries: list[Entry] = []
    row_of: dict[str, Row] = {}  # by source
    for row in rows:
        try:
            entry = _entry(row, root, path.parent)
            if (first := row_of.get(entry.source)) is not None:
                label = first["label"]
                other = "" if label == row["label"] else f" with the label {label}, which it keeps"
                raise RowError(f"path: the same clip as in {first.place}{other}")
        except RowError as error:
            problems.append(Problem(row["path"] or row.place, f"{row.place}: {error}"))
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
    return Listing(root, "list", classes, entries, problems + left_out)


def with_labels(entries: Iterable[Entry], labels: dict[str, str]) -> tuple[list[Entry], list[str]]:
    """Entries with the indices of the classes that their labels, by source, name; and these classes, in order.

    The order is that of numbers if all labels are numbers, else that of text. Empty labels name no class.
    """
    entries = list(entries)
    names = {label for entry in entries if (label := labels[entry.source])}
    numeric = all(map(str.isdecimal, names))
    classes = sorted(names, key=lambda name: (int(name) if numeric else 0, name))
    number = {name: index for index, name in enumerate(classes)}
    return [replace(entry, label=number.get(labels[entry.source], 0)) for entry in entries], classes


def read_rows(path: Path, needed: Iterable[str]) -> tuple[list[Row], list[Problem]]:
    """The rows of a CSV or JSON-lines file, and those that cannot be read.

    Raises:
        DataError: the file cannot be read, or it lacks a column that is needed.
    """
    text = _text(path)
    names = column_names(path)
    problems: list[Problem] = []
    rows = list((_json_rows if path.suffix.lower() in JSON_SUFFIXES else _csv_rows)(path, text, problems))
    names = names.union(*(row.values for row in rows))
    if missing := [name for name in needed if name not in names]:
        there = f"its columns are {', '.join(sorted(names))}" if names else "it names no columns"
        raise DataError(f"{path}:1: no column named {' or '.join(missing)}; {there}")
    return rows, problems


def column_names(path: Path) -> set[str]:
    """The names of a list's columns in lower case, by its first line that is not empty.

    Raises:
        DataError: the file cannot be read.
    """
    first = next((line for line in _text(path).splitlines() if line.strip()), "")
    if path.suffix.lower() not in JSON_SUFFIXES:
        return {name.strip().lower() for name in first.replace('"', "").split(_delimiter(first))} - {""}
    try:
        return {str(name).strip().lower() for name in parse_json(first, "the first row")}
    except (ValueError, TypeError):
        return set()


def seconds(text: str, field: str) -> float:
    """A time such as ``1.5``, ``1:02.5`` or ``0:01:02``, in seconds.

    Raises:
        RowError: it is none.
    """
    if (match := _TIME.fullmatch(text)) is None:
        raise RowError(f"{field}: {text!r} is neither seconds nor H:MM:SS")
    hours, minutes, rest = match.groups()
    return 3600 * int(hours or 0) + 60 * int(minutes or 0) + float(rest.replace(",", "."))


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
    end = seconds(row["end"], "end") if row["end"] else None
    if end is not None and start >= end:
        raise RowError(f"end: {row['end']} is not after the start, {row['start'] or 0}")
    split = side(row["split"]) if row["split"] else ""
    if split is None:
        raise RowError(f"split: {row['split']!r} is neither train nor test")
    return Entry(path, source_of(path, root, start, end), 0, start, end, split, row["group"])


def _find(text: str, folders: Iterable[Path]) -> Path:
    """The file that a list means: also if it was written on Windows, or with accents composed otherwise."""
    spellings = (text, text.replace("\\", "/"), unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text))
    for spelling in dict.fromkeys(spellings):
        for folder in folders:
            if os.path.exists(folder / spelling):
                return folder / spelling
    raise RowError("path: no such file")


def _text(path: Path) -> str:
    try:
        content = read_bytes(path, MOST_TABLE_BYTES)
    except FileNotFoundError:
        raise DataError(f"{path}: cannot be read (no such file)") from None
    except DocumentError as error:
        raise DataError(str(error)) from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: is not UTF-8 text; save the list as UTF-8") from None


def _delimiter(header: str) -> str:
    """The sign that splits the header into most cells."""
    return max(",;\t", key=header.count)


def _csv_rows(path: Path, text: str, problems: list[Problem]) -> Iterator[Row]:
    header: list[str] = []
    first = next(filter(str.strip, text.splitlines()), "")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(first), strict=True)
    while True:
        place = f"{path.name}:{reader.line_num + 1}"
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            problems.append(Problem(place, f"{place}: is not CSV ({error}); it and what follows is left out"))
            return
        if not any(cells):
            continue
        if not header:
            header = [name.lower() for name in cells]
        elif any(cells[len(header) :]):
            reason = f"has {len(cells)} fields, but the header has {len(header)}; put paths with commas in quotes"
            problems.append(Problem(place, f"{place}: {reason}"))
        else:
            yield Row(place, dict(zip(header, cells)))


def _json_rows(path: Path, text: str, problems: list[Problem]) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        place = f"{path.name}:{number}"
        if not line.strip():
            continue
        try:
            values = parse_json(line, place, finite=False)
            if not isinstance(values, dict):
                raise RowError('is no object such as {"path": "a.mp4"}')
            yield Row(place, {name.strip().lower(): _cell(name, value) for name, value in values.items()})
        except RowError as error:
            problems.append(Problem(place, f"{place}: {error}"))
        except DocumentError as error:
            problems.append(Problem(place, f"{place}: is {error.reason}"))


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | list | dict):
        raise RowError(f"{name}: is neither text nor a number")
    return value.strip() if isinstance(value, str) else format(Decimal(str(value)), "f")
