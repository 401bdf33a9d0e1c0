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
OWN_LISTS = tuple(f"clips{suffix}" for suffix in LIST_SUFFIXES if suffix != ".txt")
"""Names of the list that may lie in the folder of the clips."""


def read_layout(config: DataConfig, pictures: bool = False) -> Listing:
    """Find the clips that `config.source` names, by names alone: no clip is opened.

    The layouts (`config.layout`):

    - ``folders``: one folder per class, with clips at any depth in it, files or folders of frames. Stills that lie
      directly in a class folder are clips of one frame each.
    - ``flat``: clips without classes, at any depth.
    - ``frames``: each folder of two or more stills whose names end in numbers is a clip. CLASS/clip/0001.png gives
      classes; clip/0001.png does not, nor do BAIR's folders traj_0_to_255.
    - ``list``: a CSV (comma, semicolon or tab), a JSON array of objects, or JSON lines, with the columns path and, as
      you like, label, start, end, split and group; see `dvdgan.data.layouts.lists.read_list`. A text file of paths, or
      of paths and labels, needs no header.
    - ``ucf101``: class folders, and the folder ucfTrainTestlist with the three official splits.
    - ``kinetics``: CSVs with label, youtube_id, time_start, time_end and split, and files with the usual names; see
      `dvdgan.data.layouts.published.read_kinetics`.
    - ``something-something``: its JSON lists, and files named by their ids; see
      `dvdgan.data.layouts.published.read_something`.
    - ``auto``: the list, if `config.list_file` or the source is one, or if there is a clips.csv or clips.jsonl in the
      source; UCF-101, Kinetics or Something-Something, if their lists are in it, or UCF-101's beside it and clips of it
      in it; else one of the first three.

    In ``folders``, ``flat`` and ``auto``, stills are frames of a clip if their names differ in one number, wherever it
    stands, and the numbers follow each other. A folder may hold several such sequences, optical flow and previews,
    which are left out, and a few other files. In ``auto``, stills right in a class folder are frames only if that is so
    in all class folders: pictures that are numbered without gaps look the same, and need ``folders``.

    In the first three, folders train and test (or val, validation, also sky_train or train_videos) beside each other
    are parts of a split, not classes, on whatever level they lie. Validation is the test part where there is no other.
    The class is the first folder that not all clips share. Folders of source videos (none of them in two parts, or
    named as YouTube's) are no classes: their clips are groups. Each such decision is among the listing's notes.

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
    layout, root, lists = (
        config.layout,
        Path(config.source),
        None if config.list_file is None else Path(config.list_file),
    )
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
            raise DataError(f"{root}: has no {' or '.join(OWN_LISTS)}; name the list by data.list_file")
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
    return next((root / name for name in OWN_LISTS if (root / name).is_file()), None)


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
