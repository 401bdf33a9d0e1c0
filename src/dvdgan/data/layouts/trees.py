"""Clips in a folder: class folders, flat folders, and folders of numbered still frames."""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from dvdgan.data.decode.clip import CLIP_SUFFIXES, VIDEO_SUFFIXES
from dvdgan.data.decode.stills import STILL_SUFFIXES
from dvdgan.data.layouts.listing import TEST, TRAIN, Entry, Listing, Problem
from dvdgan.data.layouts.splits import VALIDATION, settle_validation, side
from dvdgan.documents import DocumentError, open_regular

_ONLY_STILL = tuple(suffix for suffix in STILL_SUFFIXES if suffix not in (".png", ".webp"))
_SUFFIXES = frozenset(CLIP_SUFFIXES)
_CLUTTER = ("__MACOSX", "@eaDir")  # what macOS and Synology leave behind, with files named like the real ones
_NUMBERED = re.compile(r"(.*?)([0-9]+)", re.DOTALL)
_BAIR_SHARD = re.compile(r"traj_\d+_to_\d+")  # BAIR's folders of some hundred clips, which are no classes

Parts = tuple[str, ...]
"""A path below the root, as its names."""


@dataclass(frozen=True)
class Folder:
    """A folder of a source, by the names in it: files that may be clips or frames, and subfolders."""

    parts: Parts
    files: tuple[str, ...]
    subfolders: tuple[str, ...]


def walk(root: Path) -> tuple[list[Folder], list[Problem]]:
    """All folders of a source, the root first, and what cannot be read. No file is opened.

    Links are followed, but never into a folder that they lie in. Hidden files and files of other kinds are left out.
    """
    folders: list[Folder] = []
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
        files = tuple(name for name, kind in inside if not kind and _suffix(name) in _SUFFIXES)
        wrong = [
            (name, kind) for name, kind in inside if kind not in ("", "folder") and _suffix(name) in ("", *_SUFFIXES)
        ]
        problems += [Problem(_printable("/".join((*parts, name))), kind) for name, kind in wrong]
        folders.append(Folder(parts, files, subfolders))
        todo += [((*parts, name), above | {place}) for name in reversed(subfolders)]
    return folders, problems


def _kind(entry: os.DirEntry[str]) -> str:
    """``folder``, nothing for a file that can be opened, or what is wrong with it."""
    try:
        entry.name.encode()
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return ""
    except UnicodeEncodeError:
        return "its name is not UTF-8; rename it"
    except OSError:  # a link to itself
        return "a broken link"
    return "a broken link" if entry.is_symlink() else "is not a file"


def _printable(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def natural(text: str) -> tuple[list[tuple[str, int]], str]:
    """A sorting key by which clip2 comes before clip10."""
    return [(words, int(number or 0)) for words, number in re.findall(r"([^0-9]*)([0-9]*)", text)], text


def are_numbered(names: Iterable[str]) -> bool:
    """Whether files are stills, two or more, whose stems end in numbers."""
    names = list(names)
    return len(names) > 1 and all(_is_numbered_still(name) for name in names)


def _is_numbered_still(name: str) -> bool:
    stem, suffix = os.path.splitext(name)
    return suffix.lower() in STILL_SUFFIXES and _NUMBERED.fullmatch(stem) is not None


def are_one_sequence(names: Iterable[str]) -> bool:
    """Whether numbered stills look like the frames of one clip, rather than like pictures that happen to have numbers.

    They have one suffix and one text before their numbers, and their numbers follow each other, in steps of any size
    and with gaps, as long as no more numbers are missing than are there.
    """
    names = list(names)
    if not are_numbered(names) or len({_suffix(name) for name in names}) > 1:
        return False
    split = [match.groups() for name in names if (match := _NUMBERED.fullmatch(os.path.splitext(name)[0]))]
    numbers = sorted({int(number) for _, number in split})
    steps = [after - before for before, after in itertools.pairwise(numbers)]
    if len({before for before, _ in split}) > 1 or len(numbers) < len(names):
        return False
    return (numbers[-1] - numbers[0]) // math.gcd(*steps) < 2 * len(numbers)


def clips_in(root: Path, folders: list[Folder], is_clip: Callable[[Folder], bool]) -> list[Entry]:
    """The clips of folders, in natural order, without class, part and group.

    Pictures that cannot move (.jpg, .bmp) are clips only where there is no video: beside videos they are thumbnails.

    Args:
        root: what the folders' parts are relative to.
        folders: as `walk` gives them.
        is_clip: which folders are to be taken for one clip each, by their names; a folder of animated WebP is not.
    """
    videos = any(_suffix(name) in VIDEO_SUFFIXES for folder in folders for name in folder.files)
    clips: list[Parts] = []
    for folder in folders:
        if is_clip(folder) and not _is_animated(root.joinpath(*folder.parts, folder.files[0])):
            clips.append(folder.parts)
        else:
            names = (name for name in folder.files if not (videos and _suffix(name) in _ONLY_STILL))
            clips += [(*folder.parts, name) for name in names]
    entries = [Entry(root.joinpath(*parts), "/".join(parts)) for parts in clips]
    return sorted(entries, key=lambda entry: natural(entry.source))


def parts_of(entry: Entry) -> Parts:
    """The path of an entry of `clips_in`, below the root."""
    return tuple(entry.source.split("/"))


def name_of(entry: Entry) -> str:
    """The file's name without its suffix, or the folder's name."""
    stem, suffix = os.path.splitext(entry.path.name)
    return stem if suffix.lower() in _SUFFIXES else entry.path.name


def _is_animated(path: Path) -> bool:
    """Whether a WebP's header says that it is a clip of its own."""
    if path.suffix.lower() != ".webp":
        return False
    try:
        with open_regular(path) as file:
            head = file.read(21)
    except (OSError, DocumentError):
        return False
    return head[8:16] == b"WEBPVP8X" and bool(head[20] & 2)


def read_tree(root: Path, layout: str, folder_ok: bool = True) -> Listing:
    """The clips of class folders, of a flat folder, or of folders of frames.

    Args:
        root: the folder.
        layout: ``folders``, ``flat``, ``frames``, or ``auto``, as `dvdgan.data.layouts.discovery.read_layout`
        describes them.
        folder_ok: whether folders of frames are clips in the other layouts than ``frames``.

    Returns:
        The listing; its layout is the one that was recognised. It may have no entries.
    """
    folders, problems = walk(root)
    sides = _sides_of(folders)
    depth = 1 if sides else 0  # names in a path before its class
    frames = _frame_folders(folders, layout, folder_ok, depth)
    clips = clips_in(root, folders, lambda folder: folder.parts in frames)
    places = [parts_of(clip) for clip in clips]
    classes = _classes([parts for parts in places if layout != "frames" or parts in frames], layout, depth)
    number = {name: index for index, name in enumerate(classes)}
    entries = []
    for clip, parts in zip(clips, places):
        if layout == "frames" and parts not in frames:
            problems.append(Problem(clip.source, "is no folder of two or more stills whose names end in numbers"))
        elif reason := _misplaced(parts, layout, sides, classes, depth):
            problems.append(Problem(clip.source, reason))
        else:
            label = number[parts[depth]] if classes else 0
            entries.append(replace(clip, label=label, split=sides.get(parts[0], "")))
    if classes:
        problems += _empty_classes(folders, places, sides, depth)
    entries, left_out = settle_validation(entries)
    entries.sort(key=lambda entry: entry.label)
    if layout == "auto":
        all_frames = bool(clips) and frames.issuperset(places)
        layout = "frames" if all_frames else "folders" if classes else "flat"
    return Listing(root, layout, classes, entries, problems + left_out)


def _sides_of(folders: list[Folder]) -> dict[str, str]:
    """The folders right below the root that are parts of a split, and which.

    They are if there is one for training and one for testing, or if no other folder there holds clips.
    """
    holding = {folder.parts[0] for folder in folders if folder.parts and folder.files}
    sides = {name: part for name in holding if (part := side(name))}
    both = TRAIN in sides.values() and {TEST, VALIDATION} & set(sides.values())
    return sides if both or len(sides) == len(holding) else {}


def _frame_folders(folders: list[Folder], layout: str, folder_ok: bool, depth: int) -> set[Parts]:
    """The folders that are one clip each. The root and the parts of a split never are."""
    if layout == "frames":
        return {f.parts for f in folders if len(f.parts) > depth and are_numbered(f.files)}
    if not folder_ok:
        return set()
    inside = [f for f in folders if len(f.parts) > depth]
    sequences = {f.parts for f in inside if not f.subfolders and are_one_sequence(f.files)}
    classless = {f.parts for f in inside if len(f.parts) == depth + 1}
    holding = {f.parts[: depth + 1] for f in inside if f.files}
    if layout == "folders" or (layout == "auto" and not holding <= sequences):
        sequences -= classless  # pictures of a class
    return sequences


def _classes(clips: list[Parts], layout: str, depth: int) -> list[str]:
    """Names of the classes, sorted; none if no clip lies in a class folder."""
    names = {parts[depth] for parts in clips if len(parts) > depth + 1}
    if layout == "flat" or all(_BAIR_SHARD.fullmatch(name) for name in names):
        return []
    return sorted(names)


def _misplaced(clip: Parts, layout: str, sides: dict[str, str], classes: list[str], depth: int) -> str | None:
    """Why a clip cannot be used where it lies, if so."""
    if sides and clip[0] not in sides:
        return f"lies beside the folders {' and '.join(sorted(sides))}, so it belongs to no part"
    if (classes or layout == "folders") and len(clip) == depth + 1:
        return "lies beside the class folders, so it has no class"
    return None


def _empty_classes(folders: list[Folder], clips: Iterable[Parts], sides: dict[str, str], depth: int) -> list[Problem]:
    """Folders that stand where classes do and hold no clip."""
    holding = {parts[: depth + 1] for parts in clips}
    there = [f.parts for f in folders if len(f.parts) == depth + 1 and (not sides or f.parts[0] in sides)]
    return [Problem("/".join(parts), "the folder holds no clips") for parts in there if parts not in holding]
