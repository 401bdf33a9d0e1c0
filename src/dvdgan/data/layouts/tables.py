"""The rows of a list: CSV, JSON or JSON lines, with a header or without one, in the encodings that programs write."""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from dvdgan.data.decode.clip import CLIP_SUFFIXES
from dvdgan.data.errors import DataError
from dvdgan.data.layouts.header import COLUMNS, column_name, lacks, twice
from dvdgan.data.layouts.listing import Problem
from dvdgan.documents import MOST_TABLE_BYTES, DocumentError, parse_json, read_bytes, shortened

JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
LIST_SUFFIXES = (".csv", ".tsv", *JSON_SUFFIXES, ".txt")
"""Suffixes of the files that are taken for lists."""

_JSON_FORM = 'a list is [{"path": "a.mp4", "label": "x"}, …], or one such object in each line'
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_SEPARATOR = re.compile(r"\s*sep=(.)\s*", re.IGNORECASE)  # the first line of a CSV that Excel wrote


class RowError(ValueError):
    """What is wrong with a row, in one line that names the field."""


@dataclass(frozen=True)
class Row:
    """A row of a list."""

    place: str  # file and line: ``clips.csv:12``
    values: dict[str, str]  # by the column's name in lower case; stripped; empty where the row has none

    def __getitem__(self, column: str) -> str:
        """The value of a column, empty if there is none."""
        return self.values.get(column, "")


@dataclass(frozen=True)
class Table:
    """What a list holds."""

    rows: list[Row]  # those that can be read
    problems: list[Problem]  # those that cannot
    columns: list[str]  # the names of all columns, in lower case and in order; empty for one without a name
    note: str = ""  # a line on how it was read, if it was not plain; else empty


def quoted(text: str) -> str:
    """Text from a list as a message shows it: in quotes, and not without end."""
    return repr(shortened(text))


def read_table(path: Path, needed: Sequence[str], is_there: Callable[[str], bool] | None = None) -> Table:
    """Read a CSV (or text) file, a JSON array of objects, or JSON lines.

    A CSV without a header is read if its first column names clips: path; path, label; or path, number of frames, label.

    Args:
        path: the list.
        needed: columns that it must have.
        is_there: whether a text is the path of a clip, by which a list without a header is known; None: it has one.

    Raises:
        DataError: the file cannot be read, or it lacks a column that is needed or has one twice.
    """
    text = _text(path)
    problems: list[Problem] = []
    note = first = ""
    if path.suffix.lower() in JSON_SUFFIXES or text.lstrip()[:2] in ("[{", "[\n", "[\r"):
        rows = list(_json_rows(path, text, problems))
        columns = list(dict.fromkeys(name for row in rows for name in row.values))
    else:
        lines, delimiter = _lines(path, text, problems)
        first = lines[0][1][0] if lines else ""
        columns = [column_name(name) for name in lines[0][1]] if lines else []
        named = None
        if lines and is_there is not None and "path" not in columns:
            named = _without_header(lines, text, delimiter, is_there)
        if named is not None:
            rows = [Row(f"{path.name}:{number}", values) for number, values in named]
            columns = list(rows[0].values)
            order = ", ".join(columns)
            note = (
                f"{path.name} has no header: its columns are taken for {order}; a first line that names them changes it"
            )
        else:
            rows = list(_headed(path, columns, lines[1:], problems))
    mend = _JSON_FORM if path.suffix.lower() in JSON_SUFFIXES else ""
    wrong = lacks(columns, needed, mend, first) or twice(columns, (*needed, *COLUMNS) if needed else ())
    if wrong and (rows or not problems):
        raise DataError(f"{path}:1: {wrong}")
    return Table(rows, problems, columns, note)


def column_names(path: Path) -> set[str]:
    """The names of a list's columns in lower case; none where it is no list that can be read.

    Raises:
        DataError: the file cannot be read.
    """
    return set(read_table(path, ()).columns) - {""}


def _text(path: Path) -> str:
    try:
        content = read_bytes(path, MOST_TABLE_BYTES)
    except FileNotFoundError:
        raise DataError(f"{path}: cannot be read (no such file)") from None
    except DocumentError as error:
        raise DataError(str(error)) from None
    encoding = next((name for bom, name in _BOMS.items() if content.startswith(bom)), "utf-8")
    if encoding == "utf-8" and 3 * content.count(0, 0, 400) > len(content[:400]):  # UTF-16 that does not say so
        encoding = "utf-16-le" if content[1:2] == b"\0" else "utf-16-be"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: is not UTF-8 text; save the list as UTF-8") from None


def _lines(path: Path, text: str, problems: list[Problem]) -> tuple[list[tuple[int, list[str]]], str]:
    """The lines of a CSV that are not empty, by their numbers, as cells; and what splits them."""
    skipped = 0
    first, _, rest = text.partition("\n")
    if match := _SEPARATOR.fullmatch(first.strip('"\r ')):
        text, skipped = rest, 1
    first = next(filter(str.strip, text.splitlines()), "")
    delimiter = match[1] if match else max(",;\t", key=first.count)
    lines, wrong = _cells(text, delimiter)
    if wrong:  # maybe for blanks between quotes and commas
        tidy = re.sub(rf'(?<=") +(?=[{delimiter}\r\n]|\Z)', "", text)
        again, still_wrong = _cells(tidy, delimiter, skipinitialspace=True)
        lines, wrong = (lines, wrong) if still_wrong else (again, still_wrong)
    for number, error in wrong:
        place = f"{path.name}:{number + skipped}"
        problems.append(Problem(place, f"{place}: is not CSV ({error}); it and what follows is left out"))
    return [(number + skipped, cells) for number, cells in lines], delimiter


def _cells(text: str, delimiter: str, **options: Any) -> tuple[list[tuple[int, list[str]]], list[tuple[int, str]]]:
    """The lines of a CSV that are not empty, and the one that is not CSV, where it ends; each with its number."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, **options)
    lines: list[tuple[int, list[str]]] = []
    while True:
        number = reader.line_num + 1
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return lines, []
        except csv.Error as error:
            return lines, [(number, str(error))]
        if any(cells):
            lines.append((number, cells))


def _headed(
    path: Path, header: list[str], lines: list[tuple[int, list[str]]], problems: list[Problem]
) -> Iterator[Row]:
    for number, cells in lines:
        place = f"{path.name}:{number}"
        if any(cells[len(header) :]):
            reason = f"has {len(cells)} fields, but the header has {len(header)}"
            reason += "; name them all, or put paths with commas in quotes"
            problems.append(Problem(place, f"{place}: {reason}"))
        else:
            yield Row(place, dict(zip(header, cells)))


def _without_header(
    lines: list[tuple[int, list[str]]], text: str, delimiter: str, is_there: Callable[[str], bool]
) -> list[tuple[int, dict[str, str]]] | None:
    """The values of a list without a header; None where it does not look like one."""
    while not any(cells[-1] for _, cells in lines):  # columns without a name or a value
        lines = [(number, cells[:-1]) for number, cells in lines]
    whole = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    for found in (
        lines,
        [(number, line.split()) for number, line in whole],
        [(number, line.rsplit(None, 1)) for number, line in whole],
        [(number, [line]) for number, line in whole],
    ):
        width = {len(cells) for _, cells in found}
        first = found[0][1][0]
        if len(width) != 1 or not (is_there(first) or os.path.splitext(first)[1].lower() in CLIP_SUFFIXES):
            continue
        counts = {1: ("path",), 2: ("path", "label"), 3: ("path", "frames", "label")}
        names = counts.get(len(found[0][1]), ())
        if not names or (len(names) == 3 and not all(cells[1].isdecimal() for _, cells in found)):
            continue
        if 2 * sum(is_there(cells[0]) for _, cells in found) > len(found):
            return [(number, dict(zip(names, cells))) for number, cells in found]
    return None


def _json_rows(path: Path, text: str, problems: list[Problem]) -> Iterator[Row]:
    for place, values in _json_values(path, text):
        try:
            if isinstance(values, DocumentError):
                raise RowError(f"is {values.reason}")
            if not isinstance(values, dict):
                raise RowError('is no object such as {"path": "a.mp4"}')
            cells = {column_name(name): _cell(name, value) for name, value in values.items()}
            if len(cells) < len(values) and (wrong := twice([*map(column_name, values)], COLUMNS)):
                raise RowError(wrong)
            yield Row(place, cells)
        except RowError as error:
            problems.append(Problem(place, f"{place}: {error}"))


def _json_values(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    """The values of a JSON array, alone or in an object, or of JSON lines, each or its error with its place."""
    first, _, rest = text.strip().partition("\n")
    whole = None
    if not rest or isinstance(_value(first), DocumentError):
        try:
            whole = parse_json(text, path.name)
        except DocumentError as error:
            if not rest or first.startswith("["):
                raise DataError(f"{path}: {str(error).removeprefix(f'{path.name}: ')}") from None
    lists = [value for value in whole.values() if isinstance(value, list)] if isinstance(whole, dict) else []
    if len(lists) == 1 and lists[0] and all(isinstance(value, dict) for value in lists[0]):  # {"clips": [...]}
        whole = lists[0]
    if isinstance(whole, list):
        for number, value in enumerate(whole, 1):
            yield f"{path.name}: item {number}", value
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"{path.name}:{number}", _value(line)


def _value(line: str) -> Any:
    """What a line of JSON holds, or the DocumentError that it raises."""
    try:
        return parse_json(line, "the line")
    except DocumentError as error:
        return error


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | list | dict):
        if column_name(name) in COLUMNS:
            raise RowError(f"{name}: is neither text nor a number")
        return ""
    return value.strip() if isinstance(value, str) else format(Decimal(str(value)), "f")
