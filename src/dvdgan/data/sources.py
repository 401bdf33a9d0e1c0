"""Where clips come from: the rendered phenomena, files in any layout, or a packed store; all end in a `ClipDataset`."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from dvdgan.config.data import PHENOMENA, DataConfig
from dvdgan.data import phenomena
from dvdgan.data.dataset import ClipDataset
from dvdgan.data.decode.sequences import STILL_SUFFIXES, matches
from dvdgan.data.errors import DataError
from dvdgan.data.files import FileSource
from dvdgan.data.layouts.discovery import read_layout
from dvdgan.data.layouts.listing import Listing
from dvdgan.data.layouts.splits import divide, leaks
from dvdgan.data.reading import Reading
from dvdgan.data.rendering import packed_phenomena
from dvdgan.data.sampler import mirrored_classes
from dvdgan.data.store.clip_store import ClipStore, same_store
from dvdgan.data.store.index import is_indexed, is_store
from dvdgan.data.store.packing import pack
from dvdgan.data.windows import ClipSource
from dvdgan.data.workers import Limits
from dvdgan.wording import some_of

_VERIFIED_BYTES = 4 << 30  # packed stores up to this size are read whole and checked before they are used
_READ_VERSION = 3  # raised when files that were packed before must be packed again
_SAMPLE = 1 << 16  # bytes at the beginning, in the middle and at the end of a file that it is known by

_log = logging.getLogger(__name__)


def open_dataset(
    config: DataConfig,
    size: int,
    frames: int,
    cache: str | Path,
    seed: int = 0,
    keep: bool = False,
    say: Callable[[str], None] | None = None,
    group: int = 1,
) -> ClipDataset:
    """Open the clips that `config.source` names, rendering or packing them first where needed.

    Rendered clips and files go to a packed store at `cache`, which is used again as long as it was made from the same
    settings and the same files; with ``config.pack=False``, files are decoded when they are drawn instead. A packed
    store is read where it is.

    Args:
        config: the source, and how windows are cut.
        size: height and width of a window, in pixels.
        frames: frames per window.
        cache: directory of the packed store that may be made.
        seed: seed of every draw of the data set (`config.seed` is that of the rendered scenes).
        keep: use a store at `cache` as it stands, whatever the source's files or the renderer now say, even if the
            source is gone, so that a resumed run sees the clips that it started with. No matter where the source is
            itself a packed store, or is decoded when drawn.
        say: where lines for the user go.
        group: samples side by side that show one class; see `ClipDataset`.

    Raises:
        DataError: there is no such source, nothing in it can be used, no clip is long enough, `cache` lies in the
            source folder or on a disk that is too small, or `config.flip_labels` names no class of the clips or
            contradicts the phenomena's own map.
        StoreError: the packed store that is to be used is damaged.
    """
    source, cache = config.source, Path(cache)
    if source is None:
        raise DataError(
            f"no clips are named: set data.source to {PHENOMENA}, a folder or list of clips, or a packed store"
        )
    store: ClipSource
    if source != PHENOMENA and is_store(source):
        store = _checked(ClipStore.open(source))
        packed = store.about.get("reading") or {}
        for name, as_packed in (("target_fps", packed.get("fps")), ("max_seconds", packed.get("max_seconds"))):
            if (wanted := getattr(config, name)) not in (None, as_packed):
                _log.warning("%s: data.%s=%s changes nothing: it is packed; pack anew with it", source, name, wanted)
    elif keep and config.pack and is_store(cache):
        store = _checked(ClipStore.open(cache))
    elif source == PHENOMENA:
        mirrored_classes(phenomena.CLASSES, config, PHENOMENA)  # refused before anything is rendered
        span = max(2, (frames - 1) * config.stride + 1)
        store = packed_phenomena(cache, size, span, config.clips_per_class, config.seed)
    else:
        listing = list_source(config, pictures=frames == 1)
        _tell(listing, say)
        mirrored_classes(listing.classes, config)  # refused before anything is packed
        _check_outside(cache, listing, "a run's")
        about = describe(listing, config, size)
        if not config.pack:
            if config.max_seconds is not None:
                _log.warning("%s: data.max_seconds changes nothing: with data.pack=false no file is cut", source)
            store = FileSource(listing, reading(config, size), about, config.workers, limits(config))
        else:
            options = config.workers, limits(config), say, config.shards
            store = same_store(cache, about) or pack(listing, cache, reading(config, size), about, *options)
    if config.background_colour is None and isinstance(store, ClipStore) and not (store.channels == 4).any():
        _log.warning("%s: data.background=random changes nothing: no packed clip has kept its transparency", source)
    return ClipDataset(store, config, size, frames, seed, group)


def pack_source(config: DataConfig, out: str | Path, size: int, say: Callable[[str], None] | None = None) -> ClipStore:
    """Pack the files that `config.source` names into a store, whichever part of a split they belong to.

    A clip that cannot be read is skipped, logged, and listed in the store's index with the reason. A packing that was
    interrupted goes on where it was.

    Args:
        config: the source, its layout, and how files are read.
        out: the store's directory; a store that is there is replaced.
        size: short side of the packed frames, in pixels.
        say: where lines for the user go: how large the store will be.

    Raises:
        DataError: no such source, no clip in it that can be read, `out` lies in it, or too little room on the disk.
        OSError: the store cannot be written.
        StoreError: `out` is something else than a store.
    """
    listing = list_source(config)
    _check_outside(Path(out), listing, "a store's")
    _tell(listing, say)
    about, options = describe(listing, config, size), (config.workers, limits(config), say, config.shards)
    return pack(listing, out, reading(config, size), about, *options)


def _check_outside(place: Path, listing: Listing, whose: str) -> None:
    """Refuse to write into a folder of clips."""
    if listing.layout != "list" and place.resolve().is_relative_to(listing.root.resolve()):
        raise DataError(
            f"{place}: lies in the source {listing.root}, where {whose} files become clips; choose another place"
        )


def _tell(listing: Listing, say: Callable[[str], None] | None) -> None:
    """Say how the source was understood, and what is left out."""
    for note in listing.notes:
        (say or _log.warning)(f"{listing.root}: {note}")


def list_source(config: DataConfig, pictures: bool = False) -> Listing:
    """Find the clips that `config.source` names, their classes, groups, and parts of the split; nothing is decoded.

    Args:
        config: the source, its layout, and how it is divided.
        pictures: whether single pictures are wanted, so that folders of them are no clips.

    Raises:
        DataError: no such source, or nothing in it; a list or an expression that cannot be understood; the phenomena,
            or a packed store.
    """
    if config.source == PHENOMENA:
        raise DataError(f"{PHENOMENA} is rendered, not read: dvdgan data render writes it as a folder of clips")
    if config.source is not None and is_indexed(config.source):
        raise DataError(f"{config.source}: is a packed store already; name the folder or the list of its clips")
    listing = read_layout(config, pictures)
    entries = listing.entries
    known = ([getattr(entry, name) for entry in entries] for name in ("source", "label", "group", "split"))
    groups, parts = divide(config, *known)
    if torn := leaks(groups, parts):
        _log.warning("%s: groups of near copies lie on both sides of the split: %s", config.source, some_of(torn, 5))
    divided = [replace(entry, group=group, split=part) for entry, group, part in zip(entries, groups, parts)]
    return replace(listing, entries=divided)


def reading(config: DataConfig, size: int) -> Reading:
    """How files are read: a part of the configuration, and the size in pixels."""
    return Reading(
        size, config.target_fps, config.background_colour, config.folder_fps, config.max_seconds, config.windows
    )


def limits(config: DataConfig) -> Limits:
    """What the decoding of a file may take."""
    return Limits(config.decode_seconds, config.decode_gib)


def describe(listing: Listing, config: DataConfig, size: int) -> dict[str, Any]:
    """What packed clips are known by: what their files hold, and how they are read.

    ``names`` tells apart packings that go on from others, and is no part of what the clips are.
    """
    digest, names = hashlib.sha256(), hashlib.sha256()
    for entry in listing.entries:
        known = [content_of(entry.path), entry.label, entry.start, entry.end, entry.split]
        digest.update(json.dumps(known).encode() + b"\n")
        names.update(json.dumps([entry.source, entry.group]).encode() + b"\n")
    return {
        "source": "files",
        "layout": listing.layout,
        "classes": listing.classes,
        "reading": asdict(reading(config, size)),
        "clips": len(listing.entries),
        "digest": digest.hexdigest(),
        "names": names.hexdigest(),
        "version": _READ_VERSION,
    }


def content_of(path: Path) -> str:
    """A digest of a clip's file, or of the frames of a folder or of a common name; empty where there is none.

    It is that of a file's length and of up to 192 KiB of it, and of the lengths of all frames and of the first, the
    middle and the last one: what is encoded anew differs in these. Where all have one length, which says nothing then,
    it is of all frames.
    """
    digest = hashlib.sha256()
    try:
        if path.is_dir() or (not path.exists() and "*" in path.name):
            folder = path if path.is_dir() else path.parent
            names = sorted(name for name in os.listdir(folder) if name[0] != ".")
            files = [folder / name for name in (names if path.is_dir() else matches(path.name, names))]
            files = [file for file in files if file.suffix.lower() in STILL_SUFFIXES and file.is_file()]
            lengths = [file.stat().st_size for file in files]
            digest.update(repr(lengths).encode())
            some = {0, len(files) // 2, len(files) - 1} if len(set(lengths)) > 1 else range(len(files))
            for at in sorted(some):
                _add(digest, files[at])
        else:
            _add(digest, path)
    except OSError:  # a dangling link, or a file that was just removed
        return ""
    return digest.hexdigest()


def _add(digest: hashlib._Hash, file: Path) -> None:
    with open(file, "rb") as data:
        size = os.fstat(data.fileno()).st_size
        digest.update(str(size).encode())
        for start in sorted({0, max(0, size // 2 - _SAMPLE // 2), max(0, size - _SAMPLE)}):
            data.seek(start)
            digest.update(data.read(_SAMPLE))


def are_packed(config: DataConfig, size: int, frames: int, store: str | Path) -> bool:
    """Whether a packed store holds the clips that `config.source` names, wherever these lie now; see `open_dataset`.

    Raises:
        DataError: there is no such source, or nothing in it can be used.
    """
    return same_store(store, describe(list_source(config, pictures=frames == 1), config, size)) is not None


def _checked(store: ClipStore) -> ClipStore:
    """A store whose every byte was compared with its checksum, unless it is very large."""
    if store.bytes <= _VERIFIED_BYTES:
        store.verify()
    return store
