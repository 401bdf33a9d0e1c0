"""Clips that take time to make, made once: another set whose pixels are kept in a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from dvdgan.data.write.encode import atomic_path
from dvdgan.evaluation.clipsets import ClipSet, content_key
from dvdgan.evaluation.errors import EvaluationError

_CHUNK = 32  # clips per file: what an interruption can cost
_FORMAT = "dvdgan-clips"


class Kept:
    """A `ClipSet` with another one's clips, names and key; each chunk of 32 clips is read from the other once.

    Args:
        whole: the other set, of a model's clips.
        folder: where chunks are kept, by the set's key; made where it is missing. Damaged files are made again.
    """

    def __init__(self, whole: ClipSet, folder: Path) -> None:
        """Take over what the other says of its clips."""
        self.name, self.classes, self.labels, self.ids = whole.name, whole.classes, whole.labels, whole.ids
        self.frames, self.size, self.fps, self.key = whole.frames, whole.size, whole.fps, whole.key
        self._whole, self._folder = whole, folder

    def __len__(self) -> int:
        """How many clips there are."""
        return len(self._whole)

    def read(self, rows: Sequence[int]) -> np.ndarray:
        """Clips by their numbers, uint8 ``[n, T, S, S, 3]``."""
        clips = np.empty((len(rows), self.frames, self.size, self.size, 3), np.uint8)
        numbers = np.asarray(rows, np.int64)
        for chunk in np.unique(numbers // _CHUNK).tolist():
            here = numbers // _CHUNK == chunk
            clips[here] = self._chunk(chunk)[numbers[here] - chunk * _CHUNK]
        return clips

    def fill(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Make all clips that are not kept yet.

        Args:
            progress: called with how many clips are done and how many there are.

        Raises:
            EvaluationError: a clip cannot be made, or the folder cannot be written.
        """
        for chunk in range(-(-len(self) // _CHUNK)):
            self._chunk(chunk)
            if progress is not None:
                progress(min((chunk + 1) * _CHUNK, len(self)), len(self))

    def _chunk(self, chunk: int) -> np.ndarray:
        rows = range(chunk * _CHUNK, min((chunk + 1) * _CHUNK, len(self)))
        shape = (len(rows), self.frames, self.size, self.size, 3)
        key = content_key(_FORMAT, self.key, rows.start, rows.stop, list(shape))
        path = self._folder / f"{key}.safetensors"
        if (kept := _read(path, key, shape)) is not None:
            return kept
        made = self._whole.read(rows)
        about = {"format": _FORMAT, "key": key, "sha256": _sha256(made)}
        try:
            with atomic_path(path) as partial:
                save_file({"clips": np.ascontiguousarray(made)}, partial, about)
        except (OSError, SafetensorError) as error:
            mend = "choose another folder with --cache, or make room"
            raise EvaluationError(f"{self._folder}: clips cannot be kept there ({error}); {mend}") from None
        return made


def _read(path: Path, key: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """The clips in a file; None, and the file is removed, if it is not whole."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="np") as file:
            about, clips = file.metadata() or {}, file.get_tensor("clips")
        if about.get("key") == key and about.get("sha256") == _sha256(clips) and clips.shape == shape:
            return clips
    except (SafetensorError, OSError, ValueError):
        pass
    path.unlink(missing_ok=True)
    return None


def _sha256(clips: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(clips).tobytes()).hexdigest()
