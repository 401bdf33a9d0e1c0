"""Batches read ahead in a thread, so that training does not wait for the disk."""

from __future__ import annotations

import queue
import threading
from types import TracebackType

import numpy as np

from dvdgan.data.dataset import ClipDataset

_AHEAD = 2  # batches that lie ready


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
        self,
        dataset: ClipDataset,
        batch_size: int,
        d_steps: int,
        step: int = 0,
        share: range | None = None,
    ) -> None:
        """Start reading."""
        self._queue: queue.Queue[tuple[np.ndarray, np.ndarray] | BaseException] = queue.Queue(_AHEAD)
        self._closed = threading.Event()
        self._thread = threading.Thread(
            target=self._read, args=(dataset, batch_size, d_steps, step, share), name="dvdgan-prefetch", daemon=True
        )
        self._thread.start()

    def _read(self, dataset: ClipDataset, batch_size: int, d_steps: int, step: int, share: range | None) -> None:
        try:
            while True:
                for substep in range(d_steps):
                    if not self._put(dataset.batch(step, substep, batch_size, d_steps, share)):
                        return
                step += 1
        except BaseException as error:  # the consumer raises it
            self._put(error)

    def _put(self, item: tuple[np.ndarray, np.ndarray] | BaseException) -> bool:
        """Wait for a place in the queue; False once closed."""
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def __iter__(self) -> Prefetcher:
        """The prefetcher itself."""
        return self

    def __next__(self) -> tuple[np.ndarray, np.ndarray]:
        """Clips, uint8 ``[B, T, size, size, 3]``, and labels, int64 ``[B]``, of the next batch."""
        if self._closed.is_set():
            raise StopIteration
        item = self._queue.get()
        if isinstance(item, BaseException):
            self.close()
            raise item
        return item

    def close(self) -> None:
        """Stop reading and wait for the thread; more than once does no harm."""
        self._closed.set()
        self._thread.join()

    def __enter__(self) -> Prefetcher:
        """The prefetcher itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()
