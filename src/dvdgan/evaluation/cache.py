"""What an evaluation computes, kept by content: an interrupted evaluation goes on, and another one finds it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from dvdgan.atomic import atomic_path
from dvdgan.evaluation.clip_set import ClipSet, content_key

T = TypeVar("T")

CHUNK = 32
"""Clips per file, of pixels and of features: what an interruption can cost."""


class Cache:
    """A folder of files, each named by a hash of all that its content follows from.

    Damaged files are made again. Several evaluations may share a folder.

    Args:
        folder: made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entry(
        self, name: str, make: Callable[[], T], read: Callable[[Path], T], write: Callable[[Path, T], object]
    ) -> T:
        """What a file holds; where there is none, or `read` refuses it (OSError, ValueError), it is made and written.

        Raises:
            OSError: the folder cannot be written. What `make` raises is passed on.
        """
        path = self.folder / name
        if path.is_file():
            try:
                return read(path)
            except (OSError, ValueError, SafetensorError):
                path.unlink(missing_ok=True)
        made = make()
        try:
            with atomic_path(path) as partial:
                write(partial, made)
        except (OSError, SafetensorError) as error:
            mend = "choose another folder with cache=FOLDER, or make room"
            raise OSError(f"{self.folder}: cannot be written ({error}); {mend}") from None
        return made

    def arrays(self, kind: str, key: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Named arrays of a kind and a key, from their file or made."""

        def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
            arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
            save_file(arrays, path, {"key": key, "sha256": _digest(arrays)})

        def read(path: Path) -> dict[str, np.ndarray]:
            with safe_open(path, framework="np") as file:
                about = file.metadata() or {}
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (safe_open is no dict)
            if about.get("key") != key or about.get("sha256") != _digest(arrays):
                raise ValueError("damaged")
            return arrays

        return self.entry(f"{kind}-{key}.safetensors", make, read, write)


def made_once(clips: ClipSet, cache: Cache) -> ClipSet:
    """A set whose clips take time to make: each chunk of them is made once and kept."""

    def chunk(number: int) -> np.ndarray:
        rows = range(number * CHUNK, min((number + 1) * CHUNK, len(clips)))
        key = content_key(clips.key, rows.start, rows.stop)
        return cache.arrays("clips", key, lambda: {"clips": clips.read(rows)})["clips"]

    def read(rows: Sequence[int]) -> np.ndarray:
        numbers = np.asarray(rows, np.int64)
        found = clips.empty(len(numbers))
        for number in np.unique(numbers // CHUNK).tolist():
            here = numbers // CHUNK == number
            found[here] = chunk(number)[numbers[here] - number * CHUNK]
        return found

    return replace(clips, read=read)


def _digest(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"\n{name} {array.dtype.str} {list(array.shape)}\n".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
