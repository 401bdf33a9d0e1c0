"""How clips lie in a folder or in a list: class folders, frames, CSV, UCF-101, Kinetics, or whichever of them it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

from dvdgan.config.data import PHENOMENA, DataConfig, LayoutName
from dvdgan.data.decode.clip import CLIP_SUFFIXES
from dvdgan.data.decode.sequences import STILL_SUFFIXES
from dvdgan.data.errors import DataError
from dvdgan.data.layouts.listing import Listing
from dvdgan.data.layouts.lists import read_list
from dvdgan.data.layouts.published import (
    has_classes,
    kinetics_lists,
    read_kinetics,
    read_something,
    read_ucf101,
    something_lists,
    ucf101_lists,
)
from dvdgan.data.layouts.tables import LIST_SUFFIXES, column_names
from dvdgan.data.layouts.trees import read_tree

_FOLDERS_ONLY = ("folders", "flat", "frames", "ucf101")
_OWN_LISTS = tuple(f"clips{suffix}" for suffix in LIST_SUFFIXES if suffix != ".txt")  # in the clips' folder


def read_layout(config: DataConfig, pictures: bool = False) -> Listing:
    """Find the clips that `config.source` names, by names alone: no clip is opened.

    `config.layout` names the reader: `read_tree` reads ``folders``, ``flat`` and ``frames``, and `read_list`,
    `read_ucf101`, `read_kinetics` and `read_something` what they are called after. ``auto`` is the list, if
    `config.list_file` or the source is one, or if there is a clips.csv or clips.jsonl in the source; UCF-101, Kinetics
    or Something-Something, if their lists are in it, or UCF-101's beside it and clips of it in it; else one of the
    first three.

    Args:
        config: the source, and how it is laid out.
        pictures: whether single pictures are wanted: then no folder of frames is a clip (but in ``frames``).

    Returns:
        The clips, ordered by class and then naturally (clip2 before clip10). What is there and cannot be used is among
        the problems.

    Raises:
        DataError: no source is named, no such folder or list, or not one clip in it.
    """
    if config.source is None or config.source == PHENOMENA:
        raise DataError("name a folder of clips, or a list of them")
    layout, root = config.layout, Path(config.source)
    lists = None if config.list_file is None else Path(config.list_file)
    if lists is not None and not lists.exists():
        raise DataError(f"{lists}: no such file; mend data.list_file")
    if not root.exists():
        raise DataError(f"{root}: no such folder")
    if root.is_file():
        if lists is not None or layout in _FOLDERS_ONLY or root.suffix.lower() not in LIST_SUFFIXES:
            raise DataError(f"{root}: is a file; name its folder, or a list that ends in {', '.join(LIST_SUFFIXES)}")
        root, lists = root.parent, root
    asked, own = (layout, lists), _own_list(root)
    note = ""
    try:
        layout, lists = _guess(root, lists) if layout == "auto" else asked
        listing = _read(root, layout, lists, config, pictures)
    except DataError as error:
        if own is None or asked != ("auto", None):
            raise
        layout, note = "auto", f"{error}; the folder was read without it"  # a table that has the name of a list
        listing = _read(root, layout, None, config, pictures)
        if not listing.entries:
            raise
    if not listing.entries:
        raise DataError(_nothing(listing, layout))
    return replace(listing, notes=[note, *listing.notes]) if note else listing


def _guess(root: Path, lists: Path | None) -> tuple[LayoutName, Path | None]:
    """The layout, still ``auto`` if the root has no lists, and where its lists are."""
    if lists is not None and lists.is_dir():
        if ucf101_lists(lists, beside=False):
            return "ucf101", lists
        if kinetics_lists(lists):
            return "kinetics", lists
        raise DataError(f"{lists}: has neither UCF-101's trainlist01.txt nor Kinetics' CSVs; mend data.list_file")
    if lists is not None:
        return _kind_of(lists), lists
    if (own := _own_list(root)) is not None:
        return _kind_of(own), own
    if (folder := ucf101_lists(root, beside=True)) and (root in (folder, folder.parent) or has_classes(root, folder)):
        return "ucf101", folder
    if kinetics_lists(root):
        return "kinetics", None
    return ("something-something" if something_lists(root) else "auto"), None


def _kind_of(lists: Path) -> LayoutName:
    """The layout of a list."""
    names = column_names(lists)
    if "path" not in names and {"id", "template"} <= names:
        return "something-something"
    return "kinetics" if "youtube_id" in names and "path" not in names else "list"


def _read(root: Path, layout: LayoutName, lists: Path | None, config: DataConfig, pictures: bool) -> Listing:
    if layout == "list":
        if (file := lists or _own_list(root)) is None:
            raise DataError(f"{root}: has no {' or '.join(_OWN_LISTS)}; name the list by data.list_file")
        return read_list(root, file)
    if layout == "ucf101":
        if (folder := ucf101_lists(lists or root, beside=lists is None)) is None:
            where = lists or f"{root}: neither in nor beside it"
            raise DataError(f"{where}: no trainlist01.txt; name the folder of UCF-101's lists by data.list_file")
        return read_ucf101(root, folder, config.fold)
    if layout == "kinetics":
        if not (files := kinetics_lists(lists or root)):
            raise DataError(f"{lists or root}: no CSV with a column youtube_id; name Kinetics' lists by data.list_file")
        return read_kinetics(root, files)
    if layout == "something-something":
        if not (files := something_lists(lists or root)):
            raise DataError(f"{lists or root}: no JSON with id and template; name the lists by data.list_file")
        return read_something(root, files)
    return read_tree(root, layout, config, pictures)


def _own_list(root: Path) -> Path | None:
    """The list that lies in the root, if any."""
    return next((root / name for name in _OWN_LISTS if (root / name).is_file()), None)


def _nothing(listing: Listing, layout: str) -> str:
    """The error where there is no clip: what was searched for, and what to set."""
    if any(listing.root.glob("*.tar")):
        return (
            f"{listing.root}: holds tar files that dvdgan did not pack; unpack them (tar -xf SHARD.tar -C FOLDER), "
            "list their clips and classes in FOLDER/clips.csv (path,label), and name that folder"
        )
    others = ", ".join(other for other in get_args(LayoutName) if other not in ("auto", layout))
    if listing.problems:
        first = listing.problems[0]
        named = first.reason if first.reason.startswith(first.source) else f"{first.source}: {first.reason}"
        what = f"none of its {len(listing.problems)} clips can be used; the first, {named}"
    elif layout == "frames":
        what = f"no clips in it (folders of two or more files that end in {', '.join(STILL_SUFFIXES)})"
    else:
        what = f"no clips in it (files that end in {', '.join(CLIP_SUFFIXES)}, and folders of numbered stills)"
    read = "" if layout == "auto" else f"; it was read as {layout}"
    return f"{listing.root}: {what}{read}; if it is laid out otherwise, set data.layout to {others}"
