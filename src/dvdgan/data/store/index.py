"""The index of a packed store: what it knows of each clip, and the checks that it is whole."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import numpy as np

from dvdgan.data.errors import PathError
from dvdgan.documents import DocumentError, read_json, shortened

FORMAT = "dvdgan-store"
VERSION, SHARDS_VERSION = 2, 3
"""Of a store in one file, and in tar shards."""

FRAMES = "frames.u8"
INDEX = "index.json"

MOST_INDEX = 1 << 30
"""Bytes of an index that is read: about six million clips."""

BEFORE_FRAMES = 640
"""Bytes of a tar shard from the start of a clip's sample to its frames: the tar's header, 512, and that of the .npy."""

_SHARD = re.compile(r"clips-(\d{6})\.tar")


class StoreError(PathError):
    """A packed store that cannot be used; the message is one line that names the path, the fault and the mend."""


class Clip(NamedTuple):
    """What the index knows of a clip.

    Attributes:
        label: index of its class; 0 without classes.
        source: where it comes from, for people.
        height: in pixels, like the width; the smaller one is the store's size.
        channels: 3 or 4.
        split: ``train``, ``test`` or empty.
        group: what its near copies share; empty is a group of its own.
        sha256: of its bytes, in hex.
    """

    label: int
    source: str
    frames: int
    height: int
    width: int
    channels: int
    fps: float
    split: str
    group: str
    sha256: str

    @property
    def bytes(self) -> int:
        """Of its frames."""
        return self.frames * self.height * self.width * self.channels


def is_store(path: str | Path) -> bool:
    """Whether a directory is a packed store, whole or damaged, of any version."""
    path = Path(path)
    return any((path / name).is_file() for name in (FRAMES, shard_name(0))) or is_indexed(path)


def shard_name(number: int) -> str:
    """The file name of a tar shard."""
    return f"clips-{number:06d}.tar"


def shard_number(name: str) -> int | None:
    """The number of the tar shard with this file name; None for other files."""
    match = _SHARD.fullmatch(name)
    return int(match[1]) if match else None


def is_of_store(name: str) -> bool:
    """Whether a file of a store has this name."""
    return name in (FRAMES, INDEX) or shard_number(name) is not None


def is_indexed(path: str | Path) -> bool:
    """Whether a directory has the index of a store, which only this program writes."""
    try:
        _parse(Path(path))
    except StoreError:
        return False
    return True


def _parse(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise StoreError(path, "no such store")
    try:
        index = read_json(path / INDEX, MOST_INDEX)
    except FileNotFoundError:
        raise StoreError(path, f"not a packed store: there is no {INDEX} in it") from None
    except DocumentError as error:
        raise StoreError(
            path, f"{INDEX} is damaged, or cannot be read ({error.reason}); pack the clips again"
        ) from None
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise StoreError(path, f"{INDEX} is not the index of a dvdgan store")
    return index


def read_index(path: Path) -> dict[str, Any]:
    """The index of a store, once it is known to be one that can be used."""
    index = _parse(path)
    if (version := index.get("version")) not in (VERSION, SHARDS_VERSION):
        mend = "upgrade dvdgan" if str(version) > str(SHARDS_VERSION) else "pack the clips again"
        read = f"this dvdgan reads versions {VERSION} and {SHARDS_VERSION}"
        raise StoreError(path, f"is of version {shortened(repr(version))}, {read}; {mend}")
    fields = {"size": int, "classes": list, "about": dict, "bytes": int, "skipped": list, "clips": dict}
    if version == SHARDS_VERSION:
        fields["shards"] = list
    wrong = [name for name, kind in fields.items() if not isinstance(index.get(name), kind)]
    if "skipped" not in wrong and not all(
        isinstance(entry, dict) and entry.keys() == {"source", "reason"} for entry in index["skipped"]
    ):
        wrong.append("skipped")
    if "clips" not in wrong:
        wrong += _wrong_columns(index["clips"], {"offset": int} if "shards" in fields else {})
    if "shards" in fields and not wrong and not _are_shards(index["shards"], len(index["clips"]["source"])):
        wrong.append("shards")
    if wrong:
        raise StoreError(path, f"{INDEX} is damaged ({', '.join(wrong)}); pack the clips again")
    if not index["clips"]["source"]:
        raise StoreError(path, "has no clips; pack the clips again")
    if version == VERSION:
        _check_length(path, index["bytes"])
    _check_clips(path, index)
    return index


def _check_length(path: Path, expected: int) -> None:
    try:
        length = (path / FRAMES).stat().st_size
    except OSError:
        raise StoreError(path, f"{FRAMES} is missing; pack the clips again") from None
    if length != expected:
        raise StoreError(path, f"{FRAMES} has {length} bytes instead of {expected}; pack the clips again")


def _are_shards(shards: list[Any], clips: int) -> bool:
    """Whether they are pairs of how many clips and bytes a shard has, for so many clips."""
    pairs = all(isinstance(pair, list) and list(map(type, pair)) == [int, int] for pair in shards)
    fits = pairs and all(0 <= number < 1 << 62 for pair in shards for number in pair)
    return fits and sum(count for count, _ in shards) == clips


def _wrong_columns(clips: dict[str, Any], more: dict[str, type]) -> list[str]:
    """Fields of the clips that are missing, of another type, or of another length than the sources."""
    columns = {name: column for name, column in clips.items() if isinstance(column, list)}
    count = len(columns.get("source", []))
    return [
        f"clips.{name}"
        for name, kind in (get_type_hints(Clip) | more).items()
        if name not in columns or len(columns[name]) != count or not set(map(type, columns[name])) <= {kind}
    ]


def _check_clips(path: Path, index: dict[str, Any]) -> None:
    """Refuse numbers that do not fit together; the first clip with one is named."""
    clips, length = index["clips"], index["bytes"]
    names = ("label", "frames", "height", "width", "channels", "fps")
    try:
        label, frames, height, width, channels, fps = (np.array(clips[name], np.float64) for name in names)
        offset, room = np.zeros(len(label)), np.full(len(label), float(length))  # bytes before a clip, and there
        if index["version"] == SHARDS_VERSION:
            offset = np.array(clips["offset"], np.float64) - BEFORE_FRAMES
            counts, lengths = zip(*index["shards"])
            room = np.repeat(np.array(lengths, np.float64) - BEFORE_FRAMES, counts)
    except OverflowError:  # floating point wraps around nowhere, but has an end
        raise StoreError(path, f"{INDEX} is damaged; pack the clips again") from None
    sizes = frames * height * width * channels
    right = (frames > 0) & (np.minimum(height, width) == index["size"]) & ((channels == 3) | (channels == 4))
    right &= (sizes.cumsum() <= length) & (label >= 0) & (label < max(1, len(index["classes"])))
    right &= np.isfinite(fps) & (fps > 0)
    right &= (offset >= 0) & (offset + sizes <= room)
    if not right.all():
        source = clips["source"][int(np.argmin(right))]
        raise StoreError(path, f"{INDEX} is damaged (clip {source}); pack the clips again")
    if sizes.sum() != length:
        raise StoreError(path, f"{INDEX} is damaged (bytes); pack the clips again")
