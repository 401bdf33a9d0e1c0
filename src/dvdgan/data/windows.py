"""What a `ClipDataset` asks of the clips that it cuts windows from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from dvdgan.data.layouts.listing import Problem


class Window(NamedTuple):
    """A square cut from some frames of a clip.

    Attributes:
        clip: index of the clip.
        times: numbers of its frames, int64 ``[T]``, in any order.
        top: first row.
        left: first column.
    """

    clip: int
    times: np.ndarray
    top: int
    left: int


class ClipSource(Protocol):
    """What a `ClipDataset` cuts windows from: N clips of a packed store (`ClipStore`), or of files (`FileSource`).

    Attributes:
        path: where the clips are, for messages.
        size: short side of every frame, in pixels.
        classes: names of the classes; empty if the clips have none.
        about: what the clips are, as JSON values.
        skipped: the clips that cannot be used.
        sources: what each clip is known by.
        splits: ``train``, ``test`` or empty, for each clip.
        groups: what near copies share; empty for a clip that is a group of its own.
        labels: int64 ``[N]``, indices into `classes` (0 without classes).
        lengths: int64 ``[N]``, frames per clip.
        heights: int64 ``[N]``, in pixels.
        widths: int64 ``[N]``, in pixels.
        shards: int64 ``[N]``, the tar shard that each lies in, ascending; None without shards.
        workers: how many processes decode when windows are read; 0 where nothing is decoded.
    """

    path: Path
    size: int
    classes: list[str]
    about: dict[str, Any]
    skipped: list[Problem]
    sources: list[str]
    splits: list[str]
    groups: list[str]
    labels: np.ndarray
    lengths: np.ndarray
    heights: np.ndarray
    widths: np.ndarray
    shards: np.ndarray | None
    workers: int

    @property
    def identity(self) -> str:
        """Equal for sources with equal clips."""

    def __len__(self) -> int:
        """N."""

    def read(self, windows: Sequence[Window]) -> list[np.ndarray | None]:
        """Cut windows, uint8 ``[T, size, size, 3 or 4]`` each; None where a file turns out to be unreadable."""

    def close(self) -> None:
        """End the processes that decode, if any."""
