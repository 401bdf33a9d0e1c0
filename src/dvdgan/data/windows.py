"""What a `ClipDataset` asks of the clips that it cuts windows from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from dvdgan.data.layouts.listing import Problem


class Window(NamedTuple):
    """A square cut from some frames of a clip."""

    clip: int  # index of the clip
    times: np.ndarray  # numbers of its frames, int64 ``[T]``, in any order
    top: int  # first row
    left: int  # first column


class ClipSource(Protocol):
    """What a `ClipDataset` cuts windows from: N clips of a packed store (`ClipStore`), or of files (`FileSource`)."""

    path: Path  # where the clips are, for messages
    size: int  # short side of every frame, in pixels
    classes: list[str]  # names of the classes; empty if the clips have none
    about: dict[str, Any]  # what the clips are, as JSON values
    skipped: list[Problem]  # the clips that cannot be used
    sources: list[str]  # what each clip is known by
    splits: list[str]  # ``train``, ``test`` or empty, for each clip
    groups: list[str]  # what near copies share; empty for a clip that is a group of its own
    labels: np.ndarray  # int64 ``[N]``, indices into `classes` (0 without classes)
    lengths: np.ndarray  # int64 ``[N]``, frames per clip
    heights: np.ndarray  # int64 ``[N]``, in pixels
    widths: np.ndarray  # int64 ``[N]``, in pixels
    shards: np.ndarray | None  # int64 ``[N]``, the tar shard that each lies in, ascending; None without shards
    workers: int  # how many processes decode when windows are read; 0 where nothing is decoded

    @property
    def identity(self) -> str:
        """Equal for sources with equal clips."""

    def __len__(self) -> int:
        """N."""

    def read(self, windows: Sequence[Window]) -> list[np.ndarray | None]:
        """Cut windows, uint8 ``[T, size, size, 3 or 4]`` each; None where a file turns out to be unreadable."""

    def close(self) -> None:
        """End the processes that decode, if any."""
