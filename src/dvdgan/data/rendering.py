"""The rendered data set, phenomena, as a packed store to train on or as labelled files."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.filesize import decimal

from dvdgan.atomic import atomic_path
from dvdgan.capacity import free_disk
from dvdgan.config.data import PHENOMENA
from dvdgan.data import phenomena
from dvdgan.data.errors import DataError
from dvdgan.data.progress import with_progress
from dvdgan.data.store.clip_store import ClipStore, same_store
from dvdgan.data.store.writer import StoreWriter
from dvdgan.data.workers import Limits, Workers
from dvdgan.data.write.encode import write_clip
from dvdgan.data.write.mark import check_above
from dvdgan.documents import DocumentError, read_json

_RENDER_VERSION = 1  # raised when stores must be rendered again although the scenes' code is the same
_FEW_CLIPS = 48  # below this, starting processes costs more than they save
_LIMITS = Limits(seconds=600.0, gib=16.0)  # a large clip takes its time
_LEAST_FILES = 8192  # bytes that a clip's two files take at least, in blocks of the disk
_FPS = 12.0  # what the scenes' speeds are made for
_SETTINGS = "phenomena.json"


def render_phenomena(
    out_folder: str | Path, size: int, frames: int, clips_per_class: int, seed: int = 0, split: str = "train"
) -> Path:
    """Render the phenomena as files: ``OUT/class/000123.mp4``, and beside it ``000123.npz`` with its truth.

    The folder can be used as a source: the reader of folders ignores .npz and .json files. ``OUT/phenomena.json`` holds
    the settings; files that were rendered from the same ones are written over.

    Args:
        out_folder: the folder to write to; new, empty, or rendered from the same settings.
        size: height and width, in pixels.
        frames: frames per clip.
        clips_per_class: clips of each class.
        seed: the data set's seed.
        split: ``train`` or ``heldout``.

    Returns:
        The folder.

    Raises:
        DataError: an argument is out of its range, or the folder holds something else.
    """
    out = Path(out_folder)
    settings = {**_about(size, frames, clips_per_class, seed, split), "fps": _FPS}
    _check_rendered_folder(out, settings)
    _check_disk(out, _count(clips_per_class) * _LEAST_FILES)
    rendered = _render_all(size, frames, clips_per_class, seed, split)
    for (label, index), clip in with_progress(rendered, f"rendering at {size} px", _count(clips_per_class)):
        if not (out / _SETTINGS).exists():
            with atomic_path(out / _SETTINGS) as temporary:
                temporary.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        write_clip(out / label / f"{index:06d}.mp4", clip.clip, _FPS)
        truth: dict[str, Any] = {name: np.asarray(value) for name, value in clip.truth.items()}
        with atomic_path(out / label / f"{index:06d}.npz") as temporary:
            np.savez_compressed(temporary, **truth)
    return out


def packed_phenomena(
    cache: Path, size: int, frames: int, clips_per_class: int, seed: int, split: str = "train"
) -> ClipStore:
    """A store of rendered clips at `cache`: the one that is there if it was made from the same settings, or a new one.

    The settings are those of `render_phenomena`.

    Raises:
        DataError: an argument is out of its range.
    """
    about = _about(size, frames, clips_per_class, seed, split)
    if (store := same_store(cache, about)) is not None:
        return store
    classes = list(phenomena.CLASSES)
    _check_disk(cache, _count(clips_per_class) * frames * size**2 * 3)
    rendered = _render_all(size, frames, clips_per_class, seed, split)
    title = f"rendering {'held-out ' if split == 'heldout' else ''}{PHENOMENA} at {size} px"
    with StoreWriter(cache, size, classes, about) as writer:
        for (label, index), clip in with_progress(rendered, title, _count(clips_per_class)):
            writer.add(clip.clip, classes.index(label), f"{label}/{index:06d}", _FPS)
    return ClipStore.open(cache)


def _about(size: int, frames: int, clips_per_class: int, seed: int, split: str) -> dict[str, Any]:
    """What rendered clips are known by."""
    return {
        "source": PHENOMENA,
        "split": split,
        "seed": seed,
        "clips_per_class": clips_per_class,
        "size": size,
        "frames": frames,
        "version": f"{_RENDER_VERSION}-{_digest()}",
    }


def _check_rendered_folder(folder: Path, settings: dict[str, Any]) -> None:
    """Refuse to mix data sets: a folder that holds anything must have been rendered from the same settings."""
    check_above(folder)
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        there = read_json(folder / _SETTINGS)
    except (FileNotFoundError, DocumentError):
        there = None
    if not isinstance(there, dict):
        raise DataError(f"{folder}: is no folder of rendered clips (no {_SETTINGS} in it); choose a new or empty one")
    if other := [name for name in {**settings, **there} if there.get(name) != settings.get(name)]:
        raise DataError(f"{folder}: its clips were rendered with another {', '.join(other)}; choose a new folder")


def _check_disk(place: Path, needed: int) -> None:
    """Refuse what does not fit, before it is rendered."""
    if needed > (free := free_disk(place)):
        has = f"the disk has {decimal(int(free))} free"
        raise DataError(f"{place}: the clips need {decimal(needed)}, and {has}; set clips_per_class lower")


def _digest() -> str:
    """A digest of the code that renders: when it changes, so do the clips."""
    digest = hashlib.sha256()
    for module in sorted(Path(phenomena.__file__).parent.glob("*.py")):
        digest.update(module.name.encode() + b"\0" + module.read_bytes())
    return digest.hexdigest()[:16]


def _count(clips_per_class: int) -> int:
    return clips_per_class * len(phenomena.CLASSES)


def _render_all(
    size: int, frames: int, clips_per_class: int, seed: int, split: str
) -> Iterator[tuple[tuple[str, int], phenomena.Rendered]]:
    """Render all clips in order, class by class, on every core."""
    keys = [(label, index) for label in phenomena.CLASSES for index in range(clips_per_class)]
    render = functools.partial(phenomena.render, seed=seed, size=size, frames=frames, split=split)
    if len(keys) < _FEW_CLIPS:
        try:
            yield from ((key, render(*key)) for key in keys)
        except ValueError as error:
            raise DataError(f"{PHENOMENA}: {error}") from None
        return
    with Workers(None, _LIMITS) as workers:
        for key, result in zip(keys, workers.run(render, keys)):
            if result.reason is not None:
                raise DataError(f"{PHENOMENA}: {result.reason}")
            yield key, result.value
