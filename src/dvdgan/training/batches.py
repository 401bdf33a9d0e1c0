"""What a training step is fed with: real clips, and the classes of clips to generate."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dvdgan.data.dataset import ClipDataset
from dvdgan.data.prefetch import Prefetcher
from dvdgan.runs.noise import sample_numbers
from dvdgan.sampling import from_uint8

Rows = Sequence[int] | None
"""Of a batch: those of a part of it, or all."""


def rows_of(values: Tensor | None, rows: Rows) -> Tensor | None:
    """Some rows of a tensor; all of them for None, and None of None."""
    return values if values is None or rows is None else values[rows]


class Batch(NamedTuple):
    """Clips, real or generated."""

    clips: Tensor  # [B, T, 3, H, W] in [−1, 1]
    labels: Tensor | None  # [B] int64; None without classes
    start: int = 0  # number of the first frame, within the longer clips that they are windows of

    def part(self, rows: Rows) -> Batch:
        """Some of the clips; all of them for None."""
        if rows is None:
            return self
        return Batch(self.clips[rows], rows_of(self.labels, rows), self.start)

    def detached(self) -> Batch:
        """The clips without their graph, in fp32."""
        return self._replace(clips=self.clips.detach().float())


def joined(parts: Sequence[Batch]) -> Batch:
    """The clips of the parts of a batch, one after the other."""
    if len(parts) == 1:
        return parts[0]
    labels = [part.labels for part in parts if part.labels is not None]
    return Batch(torch.cat([part.clips for part in parts]), torch.cat(labels) if labels else None, parts[0].start)


class Batches:
    """Batches on the device, in the order of the run.

    Args:
        reader: reads real clips ahead, from the run's step on.
        dataset: where it reads them from.
        batch_size: of all processes together; this one's share of it is B.
        device: where to.

    Attributes:
        waited: seconds that `real` waited for the reader, so far.
    """

    def __init__(self, reader: Prefetcher, dataset: ClipDataset, batch_size: int, device: torch.device) -> None:
        self._reader, self._dataset, self._batch_size, self._device = reader, dataset, batch_size, device
        self.waited = 0.0

    def real(self) -> Batch:
        """The real clips of the next discriminator step."""
        start = time.perf_counter()
        clips, labels = next(self._reader)
        self.waited += time.perf_counter() - start
        return Batch(from_uint8(clips, self._device), self._labels(labels))

    def fake_labels(self, step: int, index: int) -> Tensor | None:
        """Classes for clips to generate, int64 ``[B]``, distributed as those of real clips; None without classes.

        Args:
            step: G steps done so far.
            index: of the discriminator step within it; one past the last is G's own.
        """
        labels = self._dataset.fake_labels(step, index, self._batch_size)
        return self._labels(labels[sample_numbers(0, self._batch_size)])

    def _labels(self, labels: np.ndarray) -> Tensor | None:
        return torch.from_numpy(labels).to(self._device) if self._dataset.classes else None
