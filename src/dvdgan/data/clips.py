"""The data set that training reads: windows cut from a packed store, each a function of its number.

Sample n of a run (counted over all steps) is always the same window of the same clip, mirrored or not, whatever was
drawn before, however the batch is split over processes, and whether or not the run was interrupted.

A mirrored clip has the label of the class that it then shows, and labels for generated clips are drawn from the
distribution of those labels. Time is never reversed.
"""

from __future__ import annotations

import difflib
import queue
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import TracebackType
from typing import Literal

import numpy as np

from dvdgan.data.errors import DataError
from dvdgan.data.store import ClipStore
from dvdgan.mirroring import with_opposites
from dvdgan.randomness import keyed_rng


class ClipDataset:
    """Windows of fixed length and size, cut from a packed store.

    Args:
        store: the clips.
        frames: frames per window, T.
        size: height and width of a window, in pixels; the store's size.
        stride: take every stride-th frame.
        crop: where the square is cut from a frame that is not square.
        flip: mirror windows left to right, each with probability 1/2, unless `flip_labels` says never.
        sampling: draw each clip equally often (every clip once per epoch), or each class that can be shown. In the
            latter case, a class that mirrored clips of another one show is drawn from its own clips as they are and
            from those mirrored ones, all equally often.
        seed: seed of every draw, >= 0.
        flip_labels: which class a mirrored clip of a class shows, by their names, and None where its clips are never
            mirrored; what it implies (see `with_opposites`) need not be said, and other classes stay themselves.

    Attributes:
        store: the clips.
        frames: frames per window.
        size: height and width of a window, in pixels.
        classes: names of the classes; empty if the clips have none.
        labels: int64 ``[N]``, the class of each clip that is long enough (0 without classes), not mirrored.
        mirrored: the class that a mirrored clip of each class shows; None where clips are never mirrored.
        left_out: how many clips of the store are shorter than a window, and left out.

    Raises:
        DataError: the store has another size, no clip is long enough, or `flip_labels` goes without flip, contradicts
            itself, or names a class that there is not.
    """

    def __init__(
        self,
        store: ClipStore,
        frames: int,
        size: int,
        stride: int = 1,
        crop: Literal["center", "random"] = "center",
        flip: bool = False,
        sampling: Literal["by_clip", "by_class"] = "by_clip",
        seed: int = 0,
        flip_labels: Mapping[str, str | None] | None = None,
    ) -> None:
        """Choose the clips that are long enough."""
        if size != store.size:
            raise DataError(
                f"{store.path}: its frames are {store.size} px, not {size}; "
                f"pack the clips again at {size} px, or set network.size={store.size}"
            )
        span = (frames - 1) * stride + 1
        kept = np.flatnonzero(store.lengths >= span)
        if not len(kept):
            raise DataError(
                f"{store.path}: no clip has the {span} frames that a window needs ({frames} at stride {stride}); "
                f"the longest has {store.lengths.max()}"
            )
        self.store = store
        self.frames, self.size, self.stride = frames, size, stride
        self.crop, self.flip, self.sampling, self.seed = crop, flip, sampling, seed
        self.classes: list[str] = store.classes
        self.labels: np.ndarray = store.labels[kept]
        if flip_labels and not flip:
            raise DataError(
                "data.flip_labels says what mirrored clips show: set data.flip=true, or data.flip_labels={}"
            )
        whole = mirrored_classes(store.classes, flip_labels or {}) or [0]  # without classes, all labels are 0
        self.mirrored: list[int | None] = whole if flip else [None] * len(whole)
        self.left_out = len(store) - len(kept)
        self._kept = kept
        self._span = span
        self._members = self._find_members()
        self._permutation = lru_cache(maxsize=2)(self._draw_permutation)

    def __len__(self) -> int:
        """How many clips can be drawn."""
        return len(self._kept)

    def batch(self, step: int, substep: int, batch_size: int, d_steps: int) -> tuple[np.ndarray, np.ndarray]:
        """The real clips of one discriminator step.

        Args:
            step: the generator step, >= 0.
            substep: the discriminator step within it, from 0 to ``d_steps - 1``.
            batch_size: clips per batch, B.
            d_steps: discriminator steps per generator step.

        Returns:
            Clips, uint8 ``[B, T, size, size, 3]``, and labels, int64 ``[B]``: the samples whose numbers are
            ``(step * d_steps + substep) * batch_size + i``.

        Raises:
            ValueError: a step or substep out of range.
        """
        if step < 0 or not 0 <= substep < d_steps:
            raise ValueError(f"step {step}, substep {substep}: needs step >= 0 and 0 <= substep < {d_steps}")
        first = (step * d_steps + substep) * batch_size
        return self.samples(range(first, first + batch_size))

    def samples(self, numbers: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """The samples with these numbers (a process of several asks for its share of a batch).

        Args:
            numbers: B numbers of samples in the whole run, >= 0.

        Returns:
            Clips, uint8 ``[B, T, size, size, 3]``, and the classes that they show, int64 ``[B]``.
        """
        clips = np.empty((len(numbers), self.frames, self.size, self.size, 3), np.uint8)
        labels = np.empty(len(numbers), np.int64)
        for row, number in enumerate(numbers):
            member, mirrored, labels[row] = self._draw(number)
            window = self._window(member, number)
            clips[row] = window[:, :, ::-1] if mirrored else window
        return clips, labels

    def fake_labels(self, step: int, substep: int, batch_size: int) -> np.ndarray:
        """Labels for generated clips, int64 ``[B]``, drawn from the distribution of the real ones.

        Args:
            step: the generator step, >= 0.
            substep: which batch of that step, >= 0 (one past the discriminator's steps is the generator's own).
            batch_size: how many; a smaller number gives the first labels of a larger one.
        """
        draws = keyed_rng(self.seed, "data: fake labels", step, substep).random(batch_size)
        pool = np.array(list(self._members)) if self.sampling == "by_class" else self.labels
        labels = pool[(draws * len(pool)).astype(np.int64)]
        if self.sampling == "by_class" or not self.flip:
            return labels
        coins = keyed_rng(self.seed, "data: fake flips", step, substep).random(batch_size)
        return np.where(coins < 0.5, self._shown_mirrored[labels], labels)

    @property
    def class_weights(self) -> list[float]:
        """Relative frequency of each class among the labels of real clips as they are shown; empty without classes."""
        if not self.classes:
            return []
        if self.sampling == "by_class":
            return [float(label in self._members) for label in range(len(self.classes))]
        counts = np.bincount(self.labels, minlength=len(self.classes))
        mirrored = np.bincount(self._shown_mirrored, counts, minlength=len(self.classes))
        return (0.5 * counts + 0.5 * mirrored).tolist()

    def reference(self, label: int, count: int) -> np.ndarray:
        """The first clips that show a class, for sheets of real data: its own, then those that show it when mirrored.

        Args:
            label: index of the class (0 without classes).
            count: how many clips at most, n.

        Returns:
            uint8 ``[n, T, size, size, 3]``: the middle of each clip, in time and space; fewer if the class has fewer.
        """
        members = self._members.get(label, np.array([], np.int64))[:count]
        clips = np.empty((len(members), self.frames, self.size, self.size, 3), np.uint8)
        for row, member in enumerate(members):
            clip = self._kept[member]
            start = (self.store.lengths[clip] - self._span) // 2
            top, left = (self.store.heights[clip] - self.size) // 2, (self.store.widths[clip] - self.size) // 2
            window = self.store.window(clip, start, self.frames, self.stride, top, left)
            clips[row] = window if self.labels[member] == label else window[:, :, ::-1]
        return clips

    def summary(self) -> str:
        """One line: how many clips and classes, and what was left out."""
        parts = [f"{len(self)} clips", f"{len(self.classes)} classes" if self.classes else "no classes"]
        if self.left_out:
            parts.append(f"{self.left_out} clips left out (shorter than {self._span} frames)")
        if empty := [name for label, name in enumerate(self.classes) if label not in self._members]:
            parts.append(f"classes without a clip that is long enough: {', '.join(empty)}")
        if borrowed := sorted(self._members.keys() - set(self.labels.tolist())):
            names = ", ".join(self.classes[label] for label in borrowed)
            parts.append(f"classes that only mirrored clips show: {names}")
        if self.store.skipped:
            parts.append(f"{len(self.store.skipped)} files could not be read")
        return ", ".join(parts)

    @property
    def _shown_mirrored(self) -> np.ndarray:
        """int64 ``[classes]``: what clips of each class show when the coin says to mirror them; some never are."""
        return np.array([own if other is None else other for own, other in enumerate(self.mirrored)])

    def _find_members(self) -> dict[int, np.ndarray]:
        """The clips that can show each class: its own, and then those of other classes that show it when mirrored."""
        members = {}
        for label in range(len(self.mirrored)):
            others = [k for k, shown in enumerate(self.mirrored) if shown == label != k]
            found = np.concatenate([np.flatnonzero(self.labels == k) for k in [label, *others]])
            if len(found):
                members[label] = found
        return members

    def _draw(self, number: int) -> tuple[int, bool, int]:
        """Sample `number`: which of the kept clips, whether it is mirrored, and the class that it so shows."""
        coin = self.flip and keyed_rng(self.seed, "data: flip", number).random() < 0.5
        if self.sampling == "by_class":
            classes = list(self._members)
            label = classes[int(keyed_rng(self.seed, "data: class", number).integers(len(classes)))]
            members = self._members[label]
            member = int(members[keyed_rng(self.seed, "data: clip", number).integers(len(members))])
            if self.labels[member] != label:
                return member, True, label
            return member, coin and self.mirrored[label] == label, label
        epoch, position = divmod(number, len(self))
        member = int(self._permutation(epoch)[position])
        label = int(self.labels[member])
        shown = self.mirrored[label] if coin else None
        return (member, False, label) if shown is None else (member, True, shown)

    def _draw_permutation(self, epoch: int) -> np.ndarray:
        return keyed_rng(self.seed, "data: epoch", epoch).permutation(len(self))

    def _window(self, member: int, number: int) -> np.ndarray:
        clip = self._kept[member]
        spare_frames = int(self.store.lengths[clip]) - self._span
        spare_rows = int(self.store.heights[clip]) - self.size
        spare_columns = int(self.store.widths[clip]) - self.size
        start = int(keyed_rng(self.seed, "data: window", number).integers(spare_frames + 1)) if spare_frames else 0
        top, left = spare_rows // 2, spare_columns // 2
        if self.crop == "random" and spare_rows + spare_columns:
            rng = keyed_rng(self.seed, "data: crop", number)
            top, left = int(rng.integers(spare_rows + 1)), int(rng.integers(spare_columns + 1))
        return self.store.window(clip, start, self.frames, self.stride, top, left)


def mirrored_classes(classes: Sequence[str], flip_labels: Mapping[str, str | None]) -> list[int | None]:
    """For each class, the index of the one that its clips show once mirrored; None where they never are.

    Args:
        classes: the names of all classes; none if clips have no classes.
        flip_labels: that map by names; classes that stay themselves, and what other entries imply, may be missing.

    Raises:
        DataError: the map contradicts itself, or names a class that there is not.
    """
    if flip_labels and not classes:
        raise DataError("data.flip_labels names classes, but the clips have none; set data.flip_labels={}")
    for name in (name for pair in flip_labels.items() for name in pair if name is not None):
        if name not in classes:
            near = difflib.get_close_matches(name, classes, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"the classes are {_some(classes)}"
            raise DataError(f"data.flip_labels: the clips have no class {name!r}; {hint}")
    try:
        whole = with_opposites(flip_labels)
    except ValueError as error:
        raise DataError(f"data.flip_labels: {error}") from None
    names = [whole.get(name, name) for name in classes]
    return [None if name is None else classes.index(name) for name in names]


def _some(names: Sequence[str], most: int = 12) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


class Prefetcher:
    """Reads batches ahead in a thread and gives them in order; use it as a context manager and an iterator.

    ``next()`` gives what ``dataset.batch`` gives for (step, 0), (step, 1) ... (step, d_steps - 1), (step + 1, 0) and so
    on, without end. What `batch` raises in the thread is raised by ``next()``.

    Args:
        dataset: where batches come from.
        batch_size: clips per batch.
        d_steps: discriminator steps per generator step.
        step: the generator step to begin with.
        depth: how many batches may wait.
    """

    def __init__(self, dataset: ClipDataset, batch_size: int, d_steps: int, step: int = 0, depth: int = 2) -> None:
        """Start reading."""
        self._queue: queue.Queue[tuple[np.ndarray, np.ndarray] | BaseException] = queue.Queue(maxsize=depth)
        self._closed = threading.Event()
        self._thread = threading.Thread(
            target=self._read, args=(dataset, batch_size, d_steps, step), name="dvdgan-prefetch", daemon=True
        )
        self._thread.start()

    def _read(self, dataset: ClipDataset, batch_size: int, d_steps: int, step: int) -> None:
        try:
            while True:
                for substep in range(d_steps):
                    if not self._put(dataset.batch(step, substep, batch_size, d_steps)):
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
