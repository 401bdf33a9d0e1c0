"""How clips lie in a folder or in a list: class folders, frames, CSV, UCF-101, Kinetics, or whichever of them it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dvdgan.data.decode.clip import CLIP_SUFFIXES
from dvdgan.data.decode.sequences import STILL_SUFFIXES
from dvdgan.data.errors import DataError
from dvdgan.data.layouts.listing import Listing
from dvdgan.data.layouts.lists import LIST_SUFFIXES, column_names, read_list
from dvdgan.data.layouts.published import has_classes, kinetics_lists, read_kinetics, read_ucf101, ucf101_lists
from dvdgan.data.layouts.trees import read_tree

LAYOUTS = ("auto", "folders", "flat", "frames", "list", "ucf101", "kinetics")
OWN_LISTS = tuple(f"clips{suffix}" for suffix in LIST_SUFFIXES)
"""Names of the list that may lie in the folder of the clips."""


def read_layout(
    root: str | Path,
    layout: str = "auto",
    list_file: str | Path | None = None,
    fold: int = 1,
    folder_ok: bool = True,
    parts: bool = True,
    class_depth: int | None = None,
) -> Listing:
    """Find the clips of a source, by names alone: no clip is opened.

    The layouts:

    - ``folders``: one folder per class, with clips at any depth in it, files or folders of frames. Stills that lie
      directly in a class folder are clips of one frame each.
    - ``flat``: clips without classes, at any depth.
    - ``frames``: each folder of two or more stills whose names end in numbers is a clip. CLASS/clip/0001.png gives
      classes; clip/0001.png does not, nor do BAIR's folders traj_0_to_255.
    - ``list``: a CSV (comma, semicolon or tab) or JSON-lines file with the columns path and, as you like, label, start,
      end, split and group; see `dvdgan.data.layouts.lists.read_list`.
    - ``ucf101``: class folders, and the folder ucfTrainTestlist with the three official splits.
    - ``kinetics``: CSVs with label, youtube_id, time_start, time_end and split, and files with the usual names; see
      `dvdgan.data.layouts.published.read_kinetics`.
    - ``auto``: the list, if `list_file` or the root is one, or if there is a clips.csv or clips.jsonl in the root;
      UCF-101 or Kinetics, if their lists are in the root, or UCF-101's beside it and clips of it in it; else one of the
      first three.

    In ``folders``, ``flat`` and ``auto``, a folder is a clip of frames if its stills share the text before their
    numbers, and the numbers follow each other. In ``auto``, folders right below the root (or below train and test) are
    so only if all of them are: class folders of pictures that are numbered without gaps look the same, and need
    ``folders``.

    In the first three, folders train and test (or val, validation) right below the root are parts of a split, not
    classes, if there is one for training and one for testing, or no other folder with clips. Validation is the test
    part where there is no other.

    Args:
        root: the folder, or a list.
        layout: one of the above.
        list_file: the list; for UCF-101 the folder of its lists, for Kinetics a CSV or the folder of CSVs.
        fold: which of UCF-101's official splits, 1 to 3.
        parts: False where folders named train and test are no parts of a split.
        class_depth: which folder names the class, 1 being the first below the root, parts not counted; None: it is
            looked for.
        folder_ok: False where pictures are wanted: then no folder of frames is a clip (but in ``frames``).

    Returns:
        The clips, ordered by class and then naturally (clip2 before clip10). What is there and cannot be used is among
        the problems.

    Raises:
        DataError: no such folder or list, or not one clip in it.
        ValueError: no such layout or fold.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout is one of {', '.join(LAYOUTS)}, not {layout!r}")
    if fold not in (1, 2, 3):
        raise ValueError(f"fold is 1, 2 or 3, not {fold}")
    root, lists = Path(root), None if list_file is None else Path(list_file)
    if lists is not None and not lists.exists():
        raise DataError(f"{lists}: no such file; mend data.list_file")
    if not root.exists():
        raise DataError(f"{root}: no such folder")
    if root.is_file():
        if lists is not None or layout not in ("auto", "list", "kinetics") or root.suffix.lower() not in LIST_SUFFIXES:
            raise DataError(f"{root}: is a file; name its folder, or a list that ends in {', '.join(LIST_SUFFIXES)}")
        root, lists = root.parent, root
    layout, lists = _guess(root, lists) if layout == "auto" else (layout, lists)
    listing = _read(root, layout, lists, fold, {"folder_ok": folder_ok, "parts": parts, "class_depth": class_depth})
    if not listing.entries:
        raise DataError(_nothing(listing, layout))
    return listing


def _guess(root: Path, lists: Path | None) -> tuple[str, Path | None]:
    """The layout, still ``auto`` if the root has no lists, and where its lists are."""
    if lists is not None and lists.is_dir():
        if ucf101_lists(lists, beside=False):
            return "ucf101", lists
        if kinetics_lists(lists):
            return "kinetics", lists
        raise DataError(f"{lists}: has neither UCF-101's trainlist01.txt nor Kinetics' CSVs; mend data.list_file")
    if lists is None:
        lists = _own_list(root)
    if lists is not None:
        names = column_names(lists)
        return ("kinetics" if "youtube_id" in names and "path" not in names else "list"), lists
    if (folder := ucf101_lists(root, beside=True)) and (root in (folder, folder.parent) or has_classes(root, folder)):
        return "ucf101", folder
    return ("kinetics" if kinetics_lists(root) else "auto"), None


def _read(root: Path, layout: str, lists: Path | None, fold: int, tree: dict[str, Any]) -> Listing:
    if layout == "list":
        if (file := lists or _own_list(root)) is None:
            raise DataError(f"{root}: has no {' or '.join(OWN_LISTS)}; name the list by data.list_file")
        return read_list(root, file)
    if layout == "ucf101":
        if (folder := ucf101_lists(lists or root, beside=lists is None)) is None:
            where = lists or f"{root}: neither in nor beside it"
            raise DataError(f"{where}: no trainlist01.txt; name the folder of UCF-101's lists by data.list_file")
        return read_ucf101(root, folder, fold)
    if layout == "kinetics":
        if not (files := kinetics_lists(lists or root)):
            raise DataError(f"{lists or root}: no CSV with a column youtube_id; name Kinetics' lists by data.list_file")
        return read_kinetics(root, files)
    return read_tree(root, layout, **tree)


def _own_list(root: Path) -> Path | None:
    """The list that lies in the root, if any."""
    return next((root / name for name in OWN_LISTS if (root / name).is_file()), None)


def _nothing(listing: Listing, layout: str) -> str:
    """The error where there is no clip: what was searched for, and what to set."""
    others = ", ".join(other for other in LAYOUTS if other not in ("auto", layout))
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
