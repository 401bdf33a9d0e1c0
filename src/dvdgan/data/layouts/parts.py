"""Which folders on the way to a clip are parts of a split, and which names its class."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dvdgan.data.layouts.listing import TEST, TRAIN
from dvdgan.data.layouts.splits import VALIDATION, side
from dvdgan.data.layouts.walk import Parts
from dvdgan.wording import some_of

_WITH_SIDE = re.compile(  # train_1, my-test, trainset, TrainVideos; not trainer
    r"(.*?)(?<![A-Za-z])(train|training|test|testing|val|valid|validation|dev|eval|holdout)"
    r"(?=[^A-Za-z]|$|sets?(?![A-Za-z])|data|split|(?-i:[A-Z][a-z]))(.*)",
    re.I,
)
_VIDEO_ID = re.compile(r"(?=.*[0-9_-])(?=.*[A-Za-z])[A-Za-z0-9_-]{11}")  # of YouTube


@dataclass(frozen=True)
class Levels:
    """What the folders of a source stand for."""

    depth: int = 0  # which folder names the class, 0 being the first below the root, a part not counted
    at: int | None = None  # which folder is a part of a split, likewise, itself counted; None if none is
    sides: Mapping[str, str] = field(default_factory=dict)  # the parts by the names of their folders
    common: Parts = ()  # the folders before that of the class, which are the same for all clips
    given: bool = False  # whether the depth was asked for
    twice: bool = False  # whether each part holds a folder of its own name, as some archives do: train/train, test/test

    def _has_part(self, path: Parts) -> bool:
        return self.at is not None and len(path) > self.at and path[self.at] in self.sides

    def is_part(self, folder: Parts) -> bool:
        """Whether a folder is a part."""
        return self._has_part(folder) and self.at == len(folder) - 1

    def inner(self, path: Parts) -> Parts:
        """A path without the part."""
        if self.at is None or not self._has_part(path):
            return path
        return path[: self.at] + path[self.at + 1 + self.twice :]

    def class_folder(self, path: Parts) -> Parts:
        """The path of the folder that names the class."""
        above = self.at is not None and self.at <= self.depth and self._has_part(path)
        return path[: self.depth + 1 + above * (1 + self.twice)]

    def class_of(self, clip: Parts) -> str:
        """The name of a clip's class; empty where it lies in no folder that could name one."""
        inner = self.inner(clip)
        return inner[self.depth] if len(inner) > self.depth + 1 else ""

    def side_of(self, clip: Parts) -> str:
        """The part that a clip is in; empty without parts."""
        return self.sides[clip[self.at]] if self.at is not None and self._has_part(clip) else ""

    def belongs_nowhere(self, clip: Parts) -> bool:
        """Whether there are parts, and a clip is in none."""
        return self.at is not None and not self._has_part(clip[:-1])

    def why_nowhere(self) -> str:
        """Why such a clip cannot be used."""
        return f"lies beside the folders {' and '.join(sorted(self.sides))}, so it belongs to no part"

    def empty_classes(self, folders: Iterable[Parts], clips: Iterable[Parts]) -> list[Parts]:
        """Folders that stand where classes do and hold no clip."""
        holding = {self.class_folder(clip) for clip in clips}
        there = [
            folder
            for folder in folders
            if len(self.inner(folder)) == self.depth + 1
            and self.inner(folder)[: self.depth] == self.common
            and (self.at is None or self.at > self.depth or self._has_part(folder))
            and not self.is_part(folder)
        ]
        return [folder for folder in there if folder not in holding]

    def source_videos(self, clips: Sequence[Parts]) -> dict[Parts, str] | None:
        """For each clip, the folder of the video that it was cut from; None where the folders are classes.

        They are videos if there are parts and none of them is in two, as no class is trained on then; or if all have
        names such as YouTube's, with which the names of their clips begin.
        """
        clips = [clip for clip in clips if self.class_of(clip) and not self.belongs_nowhere(clip)]
        names: dict[str, set[str]] = defaultdict(set)
        for clip in clips:
            names[self.side_of(clip)].add(self.class_of(clip).casefold())
        apart = TRAIN in names and len(names) > 1 and sum(map(len, names.values())) > 2
        apart = apart and names[TRAIN].isdisjoint(set().union(*(some for part, some in names.items() if part != TRAIN)))
        ids = [_VIDEO_ID.fullmatch(self.class_of(clip)) and clip[-1].startswith(self.class_of(clip)) for clip in clips]
        if not apart and not (len(set(map(self.class_of, clips))) > 1 and all(ids)):
            return None
        return {clip: "/".join(self.class_folder(clip)) for clip in clips}

    def notes(self, classes: Sequence[str], videos: Mapping[Parts, str] | None) -> list[str]:
        """A line for each decision, which names what changes it."""
        lines = []
        if self.at is not None:
            named = ", ".join(f"{name} ({part})" for name, part in sorted(self.sides.items()))
            lines.append(f"parts of a split, and no classes: {named}; data.parts=false takes them for other folders")
        if videos:
            folders = sorted(set(videos.values()))
            lines.append(
                f"no classes: the {len(folders):,} folders such as {folders[0]} are source videos, clips of one are "
                f"a group; data.class_depth={self.depth + 1} makes them classes"
            )
        elif self.common and classes and not self.given:
            lines.append(
                f"the class{'es are the folders' if len(classes) > 1 else ' is the folder'} in "
                f"{'/'.join(self.common)} ({some_of(classes, 3)}); data.class_depth=1 takes {self.common[0]} for the "
                "class"
            )
        return lines


def find_levels(folders: Sequence[Parts], clips: Sequence[Parts], parts: bool, class_depth: int | None) -> Levels:
    """Find out what the folders stand for.

    Folders are parts if those of one level, the first such one, are for training and for testing by their names, or all
    of them are for one of these. The class is named by the first folder that not all clips share, or by the last one
    that they share and that holds clips right in it.

    Args:
        folders: that hold clips.
        clips: the clips.
        parts: whether folders may be parts.
        class_depth: of the class, 1 being the first folder, a part not counted; None: it is looked for.
    """
    levels = Levels()
    for at in range(max(map(len, folders), default=0) if parts else 0):
        if sides := _sides({folder[at] for folder in folders if len(folder) > at}):
            inside = [folder[at : at + 2] for folder in folders if len(folder) > at and folder[at] in sides]
            levels = Levels(at=at, sides=sides, twice=all(len({*names}) == 1 < len(names) for names in inside))
            break
    if class_depth is not None:
        return replace(levels, depth=class_depth - 1, given=True)
    inner = [levels.inner(clip) for clip in clips if not levels.belongs_nowhere(clip)]
    depth = 0
    while inner and all(len(path) > depth + 2 for path in inner) and len({path[depth] for path in inner}) == 1:
        depth += 1
    return replace(levels, depth=depth, common=inner[0][:depth] if inner else ())


def _sides(names: set[str]) -> dict[str, str]:
    """The parts that folders beside each other are, by their names; none if they are others."""
    sides = {name: part for name in names if (part := side(name))}
    if _both(sides) or (sides and len(sides) == len(names)):
        return sides
    alike: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    named: dict[str, str] = {}
    for name in names:
        if (match := _WITH_SIDE.fullmatch(name)) and (part := side(match[2])):
            alike[match[1].casefold(), match[3].casefold()][name] = named[name] = part
    if len(named) == len(names) and _both(named):  # train_part1, train_part2, test
        return named
    return {name: part for group in alike.values() if _both(group) for name, part in group.items()}


def _both(sides: Mapping[str, str]) -> bool:
    return TRAIN in sides.values() and not {TEST, VALIDATION}.isdisjoint(sides.values())
