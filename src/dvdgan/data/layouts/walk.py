"""All folders of a source and the files in them, and which of these are no clips."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dvdgan.data.decode.clip import CLIP_SUFFIXES
from dvdgan.data.decode.magic import is_clip
from dvdgan.data.layouts.listing import Problem
from dvdgan.wording import some_of

SUFFIXES = frozenset(CLIP_SUFFIXES)
"""Of files that are taken for clips by their names."""

_CLUTTER = ("__MACOSX", "@eaDir")  # what macOS and Synology leave behind, with files named like the real ones
_NO_CLIPS = {
    *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".xml", ".md", ".yaml", ".yml", ".py", ".pdf", ".log"),
    *(".zip", ".gz", ".npz", ".npy", ".h5", ".mat", ".srt", ".vtt"),
}
"""Suffixes of files that need not be opened to know that they are no clips."""
_NOT_UTF8 = "its name is not UTF-8; rename it"  # a file's or a folder's

Parts = tuple[str, ...]
"""A path below the root, as its names."""


@dataclass(frozen=True)
class Folder:
    """A folder of a source, by the names in it: files that may be clips or frames, and subfolders."""

    parts: Parts
    files: tuple[str, ...]
    subfolders: tuple[str, ...]


@dataclass(frozen=True)
class Walk:
    """What lies in a source."""

    folders: list[Folder]  # all of them, the root first
    problems: list[Problem]  # what cannot be read
    others: Mapping[str, list[str]]  # files that are no clips, by what they are

    def left_out(self) -> list[str]:
        """A line that counts and names the files that are no clips; nothing if there are none."""
        if not (number := sum(map(len, self.others.values()))):
            return []
        kinds = sorted(self.others.items(), key=lambda item: -len(item[1]))
        named = "; ".join(f"{kind}: {len(sources):,} ({some_of(sources, 3)})" for kind, sources in kinds)
        return [f"left out {number:,} file{'s that are no clips' if number > 1 else ' that is no clip'}: {named}"]


def walk(root: Path) -> Walk:
    """Look through all folders of a source. Files whose names do not say what they are are known by their first bytes.

    Links are followed, but never into a folder that they lie in. Hidden files are left out.
    """
    folders: list[Folder] = []
    others: dict[str, list[str]] = defaultdict(list)
    problems: list[Problem] = []
    todo: list[tuple[Parts, frozenset[tuple[int, int]]]] = [((), frozenset())]
    while todo:
        parts, above = todo.pop()
        where = os.path.join(root, *parts)
        try:
            status = os.stat(where)
            if (place := (status.st_dev, status.st_ino)) in above:
                continue
            with os.scandir(where) as items:
                inside = sorted((item.name, _kind(item)) for item in items if item.name[0] != ".")
        except OSError as error:
            problems.append(Problem("/".join(parts) or ".", f"the folder cannot be read ({error.strerror})"))
            continue
        subfolders = tuple(name for name, kind in inside if kind == "folder" and name not in _CLUTTER)
        files = []
        for name in (name for name, kind in inside if not kind):
            if what := _what_else(os.path.join(where, name)):
                others[what].append("/".join((*parts, name)))
            else:
                files.append(name)
        for name, kind in inside:
            suffix = suffix_of(name)
            unreadable = suffix not in _NO_CLIPS if kind == _NOT_UTF8 else suffix in ("", *SUFFIXES)
            if kind not in ("", "folder") and unreadable:
                source = os.fsencode("/".join((*parts, name))).decode("utf-8", "backslashreplace")
                problems.append(Problem(source, kind))
        folders.append(Folder(parts, tuple(files), subfolders))
        todo += [((*parts, name), above | {place}) for name in reversed(subfolders)]
    return Walk(folders, problems, others)


def _what_else(path: str) -> str:
    """What a file is that is no clip; empty for a clip."""
    suffix = suffix_of(path)
    if suffix in SUFFIXES:
        return ""
    name = suffix or "without a suffix"
    if suffix in _NO_CLIPS:
        return name
    try:
        return "" if is_clip(Path(path)) else name
    except OSError as error:
        return f"that cannot be read ({error.strerror})"


def _kind(entry: os.DirEntry[str]) -> str:
    """``folder``, nothing for a file that can be opened, or what is wrong with it."""
    try:
        entry.name.encode()
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return ""
    except UnicodeEncodeError:
        return _NOT_UTF8
    except OSError:  # a link to itself
        return "a broken link"
    return "a broken link" if entry.is_symlink() else "is not a file"


def suffix_of(name: str) -> str:
    """A file's suffix, in lower case."""
    return os.path.splitext(name)[1].lower()
