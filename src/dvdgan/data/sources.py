"""Where clips come from: the rendered phenomena, a folder of files, or a packed store; all end in a `ClipDataset`."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dvdgan.config import DataConfig
from dvdgan.data import phenomena
from dvdgan.data.clips import ClipDataset, mirrored_classes
from dvdgan.data.decode import CLIP_SUFFIXES, open_clip
from dvdgan.data.encode import atomic_path, write_mp4
from dvdgan.data.errors import DataError
from dvdgan.data.store import ClipStore, StoreError, StoreWriter, is_store
from dvdgan.mirroring import with_opposites

PHENOMENA = "phenomena"
"""The source that dvdgan renders itself."""

RENDER_VERSION = 1
"""Raised when stores that were rendered before must be rendered again although the scenes' code is the same."""

_READ_VERSION = 1  # raised when folders that were packed before must be packed again
_FEW_CLIPS = 48  # below this, starting processes costs more than they save
_MOST_WORKERS = 61  # Windows waits for no more
_FPS = 12.0  # what the scenes' speeds are made for
_SETTINGS = "phenomena.json"
_ALONE = "rendering in one process, since others could not be started (%s)"
_SHOWN_SKIPS = 10

_log = logging.getLogger(__name__)


def open_dataset(
    config: DataConfig,
    size: int,
    frames: int,
    cache: str | Path,
    progress: bool = True,
    seed: int = 0,
    keep: bool = False,
) -> ClipDataset:
    """Open the clips that `config.source` names, rendering or packing them first where needed.

    Rendered clips and folders go to a packed store at `cache`, which is used again as long as it was made from the same
    settings and the same files. A packed store is read where it is.

    Args:
        config: the source, and how windows are cut.
        size: height and width of a window, in pixels.
        frames: frames per window.
        cache: directory of the packed store that may be made.
        progress: show a progress bar on stderr while rendering or packing.
        seed: seed of every draw of the data set (`config.seed` is that of the rendered scenes).
        keep: use a store at `cache` as it stands, whatever the source's files or the renderer now say, even if the
            source is gone, so that a resumed run sees the clips that it started with. No matter where the source is
            itself a packed store.

    Raises:
        DataError: there is no such source, nothing in it can be used, no clip is long enough, `cache` lies in the
            source folder, or `config.flip_labels` names no class of the clips or contradicts the phenomena's own map.
        StoreError: the packed store that is to be used is damaged.
    """
    source, cache = config.source, Path(cache)
    if source is None:
        raise DataError(f"no clips are named: set data.source to {PHENOMENA}, a folder of clips or a packed store")
    if source != PHENOMENA and is_store(source):
        store = ClipStore.open(source)
    elif keep and is_store(cache):
        store = ClipStore.open(cache)
    elif source == PHENOMENA:
        mirrored_classes(phenomena.CLASSES, _flip_labels(config, PHENOMENA))  # refused before anything is rendered
        store = _cached_phenomena(cache, size, max(2, (frames - 1) * config.stride + 1), config, progress)
    else:
        store = _cached_folder(Path(source), cache, size, config.flip_labels, progress)
    flip_labels = _flip_labels(config, store.about.get("source"))
    return ClipDataset(store, frames, size, config.stride, config.crop, config.flip, config.sampling, seed, flip_labels)


def pack_folder(path: str | Path, out: str | Path, size: int, progress: bool = True) -> ClipStore:
    """Pack a folder of clips into a store.

    Each subfolder is a class, in the order of their names; clips may lie deeper in it. Clips flat in the folder
    have no class. Hidden files and files of other kinds are ignored. A clip that cannot be read is skipped, logged, and
    listed in the store's index with the reason.

    Args:
        path: the folder.
        out: the store's directory; a store that is there is replaced.
        size: short side of the packed frames, in pixels.
        progress: show a progress bar on stderr.

    Raises:
        DataError: no such folder, or no clip in it that can be read.
        StoreError: `out` is something else than a store.
    """
    path = Path(path)
    files, classes = list_clips(path)
    with StoreWriter(out, size, classes, _about_folder(path, files, size)) as writer:
        for file, label in _with_progress(files, f"packing {path.name} at {size} px", progress):
            source = file.relative_to(path).as_posix()
            if classes and label is None:
                writer.skip(source, "lies beside the class folders, so it has no class")
                continue
            try:
                fps, clip = open_clip(file, size)
                writer.add(clip, label or 0, source, fps)
            except ValueError as error:  # a ClipError, or frames that change size
                writer.skip(source, getattr(error, "reason", str(error)))
        _report(path, writer.skipped)
        if not len(writer):
            first = writer.skipped[0]
            raise DataError(
                f"{path}: none of its {len(files)} clips can be used; the first, {first['source']}: {first['reason']}"
            )
        if dropped := writer.drop_unused_classes():
            _log.warning("%s: left out classes without a clip that can be read: %s", path, ", ".join(dropped))
    return ClipStore.open(writer.path)


def list_clips(folder: str | Path) -> tuple[list[tuple[Path, int | None]], list[str]]:
    """The clips of a folder, by name only: nothing is opened. Links are followed, but never into a folder they lie in.

    Args:
        folder: a folder with one subfolder per class, or with clips.

    Returns:
        Sorted files with the index of their class (None for files in no class folder), and the sorted class names.

    Raises:
        DataError: no such folder, or no file in it with the suffix of a clip.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: {'is a file; name its folder' if folder.exists() else 'no such folder'}")
    flat: list[tuple[Path, int | None]] = []
    by_class: dict[str, list[Path]] = {}
    ancestors: dict[str, frozenset[tuple[int, int]]] = {str(folder): frozenset()}
    for where, subfolders, names in os.walk(folder, followlinks=True):
        above = ancestors.pop(where) | _place(where)
        seen = (name for name in sorted(subfolders) if name[0] != ".")
        subfolders[:] = [name for name in seen if not _place(os.path.join(where, name)) & above]
        ancestors.update((os.path.join(where, name), above) for name in subfolders)
        inside = Path(where).relative_to(folder).parts
        clips = [Path(where, n) for n in sorted(names) if n[0] != "." and Path(n).suffix.lower() in CLIP_SUFFIXES]
        if not inside:
            flat = [(file, None) for file in clips]
        elif clips:
            by_class.setdefault(inside[0], []).extend(clips)
    classes = sorted(by_class)
    files = flat + [(file, label) for label, name in enumerate(classes) for file in by_class[name]]
    if not files:
        raise DataError(f"{folder}: no clips in it (files that end in {', '.join(CLIP_SUFFIXES)})")
    return files, classes


def _place(folder: str) -> frozenset[tuple[int, int]]:
    """What a folder is known by, whatever path leads to it; nothing if it is gone."""
    try:
        status = os.stat(folder)
    except OSError:
        return frozenset()
    return frozenset({(status.st_dev, status.st_ino)})


def render_phenomena(
    out_folder: str | Path,
    size: int,
    frames: int,
    clips_per_class: int,
    seed: int = 0,
    split: str = "train",
    fps: float = _FPS,
    progress: bool = True,
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
        fps: frames per second of the files.
        progress: show a progress bar on stderr.

    Returns:
        The folder.

    Raises:
        DataError: an argument is out of its range, or the folder holds something else.
    """
    out = Path(out_folder)
    settings = {**_about_phenomena(size, frames, clips_per_class, seed, split), "fps": fps}
    _check_rendered_folder(out, settings)
    rendered = _render_all(size, frames, clips_per_class, seed, split)
    for (label, index), clip in _with_progress(rendered, f"rendering at {size} px", progress, _count(clips_per_class)):
        if not (out / _SETTINGS).exists():
            with atomic_path(out / _SETTINGS) as temporary:
                temporary.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        write_mp4(out / label / f"{index:06d}.mp4", clip.clip, fps)
        truth: dict[str, Any] = {name: np.asarray(value) for name, value in clip.truth.items()}
        with atomic_path(out / label / f"{index:06d}.npz") as temporary:
            np.savez_compressed(temporary, **truth)
    return out


def _about_phenomena(size: int, frames: int, clips_per_class: int, seed: int, split: str) -> dict[str, Any]:
    """What rendered clips are known by."""
    return {
        "source": PHENOMENA,
        "split": split,
        "seed": seed,
        "clips_per_class": clips_per_class,
        "size": size,
        "frames": frames,
        "version": f"{RENDER_VERSION}-{_phenomena_digest()}",
    }


def _check_rendered_folder(folder: Path, settings: dict[str, Any]) -> None:
    """Refuse to mix data sets: a folder that holds anything must have been rendered from the same settings."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        found = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise DataError(f"{folder}: is no folder of rendered clips (no {_SETTINGS} in it); choose a new or empty one")
    if other := [name for name in {**settings, **found} if found.get(name) != settings.get(name)]:
        raise DataError(f"{folder}: its clips were rendered with another {', '.join(other)}; choose a new folder")


def _flip_labels(config: DataConfig, source: Any) -> dict[str, str | None]:
    """Which class a mirrored clip of each class shows: the source's own map, and the user's over it."""
    own = phenomena.FLIP_LABELS if config.flip and source == PHENOMENA else {}
    return {**own, **with_opposites(config.flip_labels)}


def _cached_phenomena(cache: Path, size: int, frames: int, config: DataConfig, progress: bool) -> ClipStore:
    about = _about_phenomena(size, frames, config.clips_per_class, config.seed, "train")
    if (store := _same_store(cache, about)) is not None:
        return store
    classes = list(phenomena.CLASSES)
    rendered = _render_all(size, frames, config.clips_per_class, config.seed, "train")
    total = _count(config.clips_per_class)
    with StoreWriter(cache, size, classes, about) as writer:
        for (label, index), clip in _with_progress(rendered, f"rendering {PHENOMENA} at {size} px", progress, total):
            writer.add(clip.clip, classes.index(label), f"{label}/{index:06d}", _FPS)
    return ClipStore.open(cache)


def _cached_folder(
    folder: Path, cache: Path, size: int, flip_labels: dict[str, str | None], progress: bool
) -> ClipStore:
    files, classes = list_clips(folder)
    mirrored_classes(classes, flip_labels)  # refused before anything is packed
    if cache.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{cache}: lies in the source {folder}, where a run's files become clips; choose another place")
    store = _same_store(cache, _about_folder(folder, files, size))
    return store if store is not None else pack_folder(folder, cache, size, progress)


def _same_store(path: Path, about: dict[str, Any]) -> ClipStore | None:
    """The store at `path` if it is whole and was made from the same things."""
    try:
        store = ClipStore.open(path)
    except StoreError:
        return None
    return store if store.about == about else None


def _about_folder(folder: Path, files: list[tuple[Path, int | None]], size: int) -> dict[str, Any]:
    """What a packed folder is known by: names, sizes and times of its files."""
    digest = hashlib.sha256()
    for file, _ in files:
        try:
            status = file.stat()
            state = f"{status.st_size}\0{status.st_mtime_ns}"
        except OSError:  # a dangling link, or a file that was just removed
            state = "missing"
        digest.update(f"{file.relative_to(folder).as_posix()}\0{state}\n".encode())
    return {
        "source": "folder",
        "folder": str(folder.resolve()),
        "size": size,
        "files": len(files),
        "digest": digest.hexdigest(),
        "version": _READ_VERSION,
    }


def _phenomena_digest() -> str:
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
    settings = {"seed": seed, "size": size, "frames": frames, "split": split}
    try:
        yield from zip(keys, _in_processes(phenomena.render, keys, settings))
    except ValueError as error:
        raise DataError(f"{PHENOMENA}: {error}") from None


def _in_processes(function: Callable[..., Any], keys: list[Any], settings: dict[str, Any]) -> Iterator[Any]:
    """``function(*key, **settings)`` for each key, in order; in this process where others cannot be started."""
    workers, done = _usable_cores(), 0
    pool = _start_pool(workers) if workers > 1 and len(keys) >= _FEW_CLIPS else None
    if pool is not None:
        try:
            waiting: deque[Future[Any]] = deque()
            todo = iter(keys)
            while done < len(keys):
                free = 4 * workers - len(waiting)  # few wait, so that memory stays bounded
                waiting.extend(pool.submit(function, *key, **settings) for key in islice(todo, free))
                yield waiting.popleft().result()
                done += 1
        except (BrokenProcessPool, OSError) as error:  # no memory, or a script without a main guard
            _log.warning(_ALONE, error)
        finally:
            pool.shutdown(cancel_futures=True)
    for key in keys[done:]:
        yield function(*key, **settings)


def _usable_cores() -> int:
    """The cores that this process may use, as far as a pool can use them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MOST_WORKERS)


def _start_pool(workers: int) -> ProcessPoolExecutor | None:
    try:
        return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_follow_parent)
    except (OSError, ValueError, ImportError, NotImplementedError) as error:  # no semaphores
        _log.warning(_ALONE, error)
        return None


def _follow_parent() -> None:
    """In a worker: leave Ctrl-C to the parent, and end when the parent ends, however it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _report(folder: Path, skipped: list[dict[str, str]]) -> None:
    for entry in skipped[:_SHOWN_SKIPS]:
        _log.warning("%s: skipped %s: %s", folder, entry["source"], entry["reason"])
    if len(skipped) > _SHOWN_SKIPS:
        _log.warning("%s: skipped %d more; the store's index.json lists them", folder, len(skipped) - _SHOWN_SKIPS)


def _with_progress(items: Iterable[Any], title: str, shown: bool, total: int | None = None) -> Iterator[Any]:
    """The items, under a progress bar on stderr."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as progress:
        yield from progress.track(items, total=total, description=title)
