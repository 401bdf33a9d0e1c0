"""The header of a list: the names of its columns, and what is wrong with them, each in one line that has the mend."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from dvdgan.data.decode.clip import CLIP_SUFFIXES
from dvdgan.documents import shortened

COLUMNS = ("path", "label", "start", "end", "split", "group")
"""The columns of a list of clips; lists of published data sets have others."""

_INVISIBLE = " \0\t\r\n\xa0\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"  # what editors and spreadsheets leave
_MEANS_PATH = ("file", "filename", "file_name", "filepath", "file_path", "video", "video_path", "clip", "paths")
_MEANS_LABEL = ("class", "class_name", "category", "target", "action", "labels")


def column_name(cell: str) -> str:
    """The name of a column: in lower case, without what cannot be seen around it."""
    return cell.strip(_INVISIBLE).lower()


def twice(names: Sequence[str], used: Iterable[str]) -> str:
    """What is wrong with a header that has a column twice; empty if none of those that are used is."""
    for name in used:
        fields = [str(number) for number, other in enumerate(names, 1) if other == name]
        if len(fields) > 1:
            return f"the column {name} is there {len(fields)} times (fields {', '.join(fields)}); rename all but one"
    return ""


def lacks(names: Sequence[str], needed: Sequence[str], mend: str = "", first: str = "") -> str:
    """What is wrong with a header that lacks columns, and the mend, unless that is given; empty if it has all.

    `first` is the first of its names, as it is written.
    """
    missing = [name for name in needed if name not in names]
    if not missing:
        return ""
    line = f"{','.join(needed)}{',label' if 'path' in needed else ''}"
    known = [name for name in names if name]
    there = f"its columns are {shortened(', '.join(known))}" if known else "it names no columns"
    there = f"no column named {' or '.join(missing)}; {there}"
    if mend or not known:
        return f"{there}; {mend or f'let its first line be {line}'}"
    if Path(names[0]).suffix in CLIP_SUFFIXES:
        return (
            "has no header, and is read so only where all rows have equally many fields, and more than half of the "
            f"files are there; the first is {shortened(first or names[0])}; mend their paths, which are relative to "
            f"the clips' folder or to the list, or let its first line be {line}"
        )
    words = re.split(r"\W+", known[0])
    if len(known) == 1 and len(words) > 1 and missing[0] in words:
        return f"{there}, which is one; separate columns by commas, semicolons or tabs, without quotes around all"
    blank = [number for number, name in enumerate(names, 1) if not name]
    if len(missing) == len(blank) == 1 and not set(known).isdisjoint((*needed, *COLUMNS)):
        return f"{there}; let its field {blank[0]}, which has no name, be {missing[0]}"
    meant = _meant(missing[0], known) or "the one that is meant"
    return f"{there}; rename {meant} to {missing[0]}, or let its first line be {line}"


def unused(names: Sequence[str]) -> list[str]:
    """Lines on columns that are passed over though they seem to be meant for some that a list of clips lacks."""
    others = [name for name in names if name and name not in COLUMNS]
    found = [(column, _meant(column, others)) for column in COLUMNS if column not in names]
    return [f"its column {name} is not used; rename it to {column} if it is meant" for column, name in found if name]


def _meant(column: str, others: Sequence[str]) -> str:
    words = {"path": _MEANS_PATH, "label": _MEANS_LABEL}.get(column, ())
    near = [name for name in others if name in words] or difflib.get_close_matches(column, others, n=1, cutoff=0.75)
    return shortened(near[0]) if near else ""
