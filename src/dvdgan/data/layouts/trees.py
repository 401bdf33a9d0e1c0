"""Clips in a folder: class folders, flat folders, and folders of numbered still frames."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from dvdgan.config import DataConfig
from dvdgan.data.decode.clip import VIDEO_SUFFIXES
from dvdgan.data.decode.sequences import (
    STILL_SUFFIXES,
    FolderOfFrames,
    Sequence,
    frames_in,
    names_pictures,
    says_picture,
    without_kind,
)
from dvdgan.data.layouts.listing import Entry, Listing, Problem, composed
from dvdgan.data.layouts.parts import Levels, find_levels
from dvdgan.data.layouts.splits import settle_validation
from dvdgan.data.layouts.walk import SUFFIXES, Folder, Parts, suffix_of, walk
from dvdgan.documents import DocumentError, open_regular
from dvdgan.wording import some_of

_ONLY_STILL = tuple(suffix for suffix in STILL_SUFFIXES if suffix not in (".png", ".webp"))
_BAIR_SHARD = re.compile(r"traj_\d+_to_\d+")  # BAIR's folders of some hundred clips, which are no classes


def natural(text: str) -> tuple[list[tuple[str, int]], str]:
    """A sorting key by which clip2 comes before clip10."""
    return [(words, int(number or 0)) for words, number in re.findall(r"([^0-9]*)([0-9]*)", text)], text


def clips_in(
    root: Path, folders: list[Folder], frames: Mapping[Parts, FolderOfFrames] | None = None
) -> tuple[list[Entry], list[str]]:
    """The clips of folders, in natural order, without class, part and group, and lines that say what is left out.

    Pictures that cannot move (.jpg, .bmp) are clips only where there is no video: beside videos they are thumbnails.

    Args:
        root: what the folders' parts are relative to.
        folders: as `walk` gives them.
        frames: the sequences of each folder, which are clips; none where its files are clips each, or animated WebP.
            None: those that its stills are.
    """
    videos = any(suffix_of(name) in VIDEO_SUFFIXES for folder in folders for name in folder.files)
    entries: list[Entry] = []
    aside: Counter[str] = Counter()
    thumbnails: list[str] = []
    for folder in folders:
        place, source = root.joinpath(*folder.parts), "/".join(folder.parts)
        found = frames_in(folder.files) if frames is None else frames[folder.parts]
        if not found.clips or _is_animated(place / found.clips[0].names[0]):
            for name in folder.files:
                if videos and suffix_of(name) in _ONLY_STILL:
                    thumbnails.append("/".join((*folder.parts, name)))
                else:
                    entries.append(Entry(place / name, "/".join((*folder.parts, name))))
        elif found.apart or len(found.clips) > 1:
            names = [sequence.pattern for sequence in found.clips]
            entries += [Entry(place / name, "/".join((*folder.parts, name)), group=source) for name in names]
        else:
            entries.append(Entry(place / found.clips[0].pattern if found.aside else place, source))
        aside.update(found.aside)
    notes = []
    if thumbnails:
        notes.append(f"left out {len(thumbnails):,} stills beside videos, as thumbnails: {some_of(thumbnails, 3)}")
    if aside:
        notes.append(_left_out("the frames that are read", aside))
    return sorted(entries, key=lambda entry: natural(entry.source)), notes


def _left_out(beside: str, counts: Counter[str]) -> str:
    """A line on what is left out beside something, by how many folders it is in."""
    named = [f"{name} (in {count:,} folders)" if count > 1 else name for name, count in counts.most_common()]
    line = f"left out beside {beside}: {some_of(named, 6)}"
    return f"{line}; to read them instead, name them in a list (data.list_file)"


def parts_of(entry: Entry) -> Parts:
    """The path of an entry of `clips_in`, below the root."""
    return tuple(entry.source.split("/"))


def name_of(entry: Entry) -> str:
    """The file's name without its suffix, or the folder's name."""
    stem, suffix = os.path.splitext(entry.source.rpartition("/")[2])
    return stem if suffix.lower() in SUFFIXES else stem + suffix


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


def read_tree(root: Path, layout: str, config: DataConfig, pictures: bool) -> Listing:
    """The clips of class folders, of a flat folder, or of folders of frames.

    - ``folders``: one folder per class, with clips at any depth in it, files or folders of frames. Stills that lie
      directly in a class folder are clips of one frame each.
    - ``flat``: clips without classes, at any depth.
    - ``frames``: each folder of two or more stills whose names end in numbers is a clip. CLASS/clip/0001.png gives
      classes; clip/0001.png does not, nor do BAIR's folders traj_0_to_255.
    - ``auto``: one of these. Stills right in a class folder are frames only if that is so in all class folders:
      pictures that are numbered without gaps look the same, and need ``folders``.

    But in ``frames``, `find_sequences` says which stills are frames of a clip. `find_levels` says what folders stand
    for: parts of a split, classes, or source videos, whose clips are groups.

    Args:
        root: the folder.
        layout: one of these four.
        config: whether folders named train and test are parts of a split, and which folder names the class.
        pictures: whether folders of frames are clips in no layout but ``frames``.

    Returns:
        The listing; its layout is the one that was recognised. It may have no entries.
    """
    there = walk(root)
    problems = list(there.problems)
    found = {folder.parts: _frames_of(folder, layout, pictures) for folder in there.folders}
    folders, aside = _without_flow(there.folders, found)
    holding = [folder.parts for folder in folders if folder.files]
    levels = find_levels(holding, [*_places(folders, found)], config.parts, config.class_depth)
    ambiguous = _settle_frames(folders, found, layout, levels)
    clips, notes = clips_in(root, folders, found)
    places = [parts_of(clip) for clip in clips]
    in_frames = {place for place, clip in zip(places, clips) if _is_of_frames(place, found)}
    usable = [place for place in places if layout != "frames" or place in in_frames]
    of_class = {place: levels.class_of(place) for place in usable if not levels.belongs_nowhere(place)}
    names = {composed(name) for name in of_class.values() if name}
    videos = levels.source_videos(places) if layout in ("auto", "frames") and config.class_depth is None else None
    if layout == "flat" or videos is not None or all(_BAIR_SHARD.fullmatch(name) for name in names):
        names = set()
    classes = sorted(names)
    entries = []
    for clip, place in zip(clips, places):
        if layout == "frames" and place not in in_frames:
            problems.append(Problem(clip.source, "is no folder of two or more stills whose names end in numbers"))
        elif levels.belongs_nowhere(place):
            problems.append(Problem(clip.source, levels.why_nowhere()))
        elif (classes or layout == "folders") and not of_class[place]:
            problems.append(Problem(clip.source, "lies beside the class folders, so it has no class"))
        else:
            label = classes.index(composed(of_class[place])) if classes else 0
            group = (videos or {}).get(place, clip.group)
            group = "" if classes and group == "/".join(levels.class_folder(place)) else group
            entries.append(replace(clip, label=label, split=levels.side_of(place), group=group))
    if classes:
        empty = levels.empty_classes([folder.parts for folder in folders], places)
        problems += [Problem("/".join(folder), "the folder holds no clips") for folder in empty]
    notes = [*levels.notes(classes, videos), *ambiguous, *_alike(classes), *notes, *aside, *there.left_out()]
    entries, left_out = settle_validation(entries)
    entries.sort(key=lambda entry: entry.label)
    if layout == "auto":
        layout = "frames" if clips and len(in_frames) == len(places) else "folders" if classes else "flat"
    return Listing(root, layout, classes, entries, problems + left_out, notes)


def _alike(classes: list[str]) -> list[str]:
    """A line for classes whose names differ in case only."""
    same = defaultdict(list)
    for name in classes:
        same[name.casefold()].append(name)
    return [
        f"classes {' and '.join(names)} differ in upper and lower case only, and stay two classes; rename one to join"
        for names in same.values()
        if len(names) > 1
    ]


def _frames_of(folder: Folder, layout: str, pictures: bool) -> FolderOfFrames:
    """The sequences of a folder that may be frames; the root never is one clip."""
    if not folder.files or (layout == "frames" and not folder.parts) or (layout != "frames" and pictures):
        return FolderOfFrames()
    found = frames_in(folder.files)
    if layout != "frames":
        return FolderOfFrames() if not folder.parts and len(found.clips) == 1 else found
    numbered = [
        name for name in folder.files if suffix_of(name) in STILL_SUFFIXES and re.search("[0-9]$", Path(name).stem)
    ]
    if not found.clips and len(numbered) == len(folder.files) > 1:  # read, and refused with what is wrong with it
        return FolderOfFrames([Sequence("", folder.files, ())], [])
    return found


def _without_flow(folders: list[Folder], found: Mapping[Parts, FolderOfFrames]) -> tuple[list[Folder], list[str]]:
    """Leave out folders of optical flow and the like beside a folder of the same clips' pictures, and say so.

    They may lie in each clip's folder (CLASS/clip/rgb, CLASS/clip/flow; frames in CLASS/clip, CLASS/clip/mask), beside
    it (CLASS/clip, CLASS/clip_depth), beside films (CLASS/thumbnails) or above the clips (rgb/CLASS/clip).
    """
    at = {folder.parts: number for number, folder in enumerate(folders)}

    def clips_below(top: Parts) -> set[str]:
        """Names of the folders of frames below a folder, and of the other files without their suffixes."""
        names: set[str] = set()
        for number in range(at.get(top, len(folders)), len(folders)):
            folder = folders[number]
            if folder.parts[: len(top)] != top:  # a folder comes right before all that is in it
                break
            if found[folder.parts].clips:
                names.add("/".join(folder.parts[len(top) :][-1:]))
            else:
                names.update(Path(name).stem for name in folder.files)
        return names

    aside: set[Parts] = set()
    for folder in folders:
        others = [name for name in folder.subfolders if not says_picture(name)]
        pictures = [name for name in folder.subfolders if names_pictures(name)] if others else []
        seen = set().union(*(clips_below((*folder.parts, name)) for name in pictures))
        for name in others if seen else []:
            of_other = clips_below((*folder.parts, name))
            if of_other and 2 * len(of_other & seen) >= len(of_other):
                aside.add((*folder.parts, name))
        below = {name: found.get((*folder.parts, name), FolderOfFrames()) for name in folder.subfolders}
        frames = [name for name, of_name in below.items() if folder.parts and of_name.clips]
        filmed = found[folder.parts].clips or any(suffix_of(name) in VIDEO_SUFFIXES for name in folder.files)
        for name in set(frames).intersection(others):
            if filmed or any(without_kind(name) == other.casefold() for other in frames):
                aside.add((*folder.parts, name))
    if not aside:
        return folders, []
    kept = [f for f in folders if not any(f.parts[:length] in aside for length in range(1, len(f.parts) + 1))]
    return kept, [_left_out("the folders of pictures", Counter(parts[-1] for parts in sorted(aside)))]


def _places(folders: list[Folder], found: Mapping[Parts, FolderOfFrames]) -> Iterator[Parts]:
    """The paths that clips would have, as far as it is known."""
    for folder in folders:
        clips = found[folder.parts].clips
        if len(clips) == 1:
            yield folder.parts
        else:
            yield from ((*folder.parts, name) for name in [clip.pattern for clip in clips] or folder.files)


def _settle_frames(
    folders: list[Folder], found: dict[Parts, FolderOfFrames], layout: str, levels: Levels
) -> Iterable[str]:
    """Decide on stills right in a part (pictures) or in a class folder: pictures, unless all class folders have frames.

    Returns:
        A line where this could be otherwise.
    """
    for folder in folders:
        if levels.is_part(folder.parts):
            found[folder.parts] = FolderOfFrames()
    if layout == "frames":
        return []
    inside = [folder.parts for folder in folders if folder.files and len(levels.inner(folder.parts)) > levels.depth]
    holding = {levels.class_folder(parts) for parts in inside}
    right = {parts for parts in holding if found[parts].clips}
    if layout == "folders" or not holding <= right:
        found.update(dict.fromkeys(right, FolderOfFrames()))
        return []
    if any(len(found[parts].clips) > 1 for parts in right):  # then these folders are classes
        found.update({parts: replace(found[parts], apart=True) for parts in right})
    clips = sum(len(found[parts].clips) for parts in right)
    line = f"stills right in class folders ({len(right):,}) are frames of {clips:,} clips"
    return [f"{line}; data.layout=folders makes them pictures"] if right else []


def _is_of_frames(place: Parts, found: dict[Parts, FolderOfFrames]) -> bool:
    return bool((found[place] if place in found else found[place[:-1]]).clips)
