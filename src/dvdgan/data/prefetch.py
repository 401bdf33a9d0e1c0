"""Batches read ahead in a thread, so that training does not wait for the disk."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count

import numpy as np

from dvdgan.data.dataset import ClipDataset

_AHEAD = 3  # batches that lie ready, or are being read


class Prefetcher:
    """Reads batches ahead in a thread and gives them in order; use it as a context manager and an iterator.

    ``next()`` gives what ``dataset.batch`` gives for (step, 0), (step, 1) ... (step, d_steps - 1), (step + 1, 0) and so
    on, without end. What `batch` raises in the thread is raised by ``next()``.

    Args:
        dataset: where batches come from.
        batch_size: clips per batch.
        d_steps: discriminator steps per generator step.
        step: the generator step to begin with.
        share: which of each batch is read; see `ClipDataset.batch`.
    """

    def __init__(
        self, dataset: ClipDataset, batch_size: int, d_steps: int, step: int = 0, share: range | None = None
    ) -> None:
        self._places = ((at, substep) for at in count(step) for substep in range(d_steps))
        self._read = lambda at, substep: dataset.batch(at, substep, batch_size, d_steps, share)
        self._thread = ThreadPoolExecutor(1, "dvdgan-prefetch")
        self._batches: deque[Future[tuple[np.ndarray, np.ndarray]]] = deque()
        while len(self._batches) < _AHEAD:
            self._begin()

    def _begin(self) -> None:
        self._batches.append(self._thread.submit(self._read, *next(self._places)))

    def __iter__(self) -> Prefetcher:
        return self

    def __next__(self) -> tuple[np.ndarray, np.ndarray]:
        """Clips, uint8 ``[B, T, size, size, 3]``, and labels, int64 ``[B]``, of the next batch."""
        if not self._batches:
            raise StopIteration
        try:
            batch = self._batches.popleft().result()
        except BaseException:
            self.close()
            raise
        self._begin()
        return batch

    def close(self) -> None:
        """Stop reading and wait for the thread; more than once does no harm."""
        self._batches.clear()
        self._thread.shutdown(cancel_futures=True)

    def __enter__(self) -> Prefetcher:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
