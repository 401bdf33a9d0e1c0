"""The data set that training reads: windows cut from clips, each a function of its number.

Sample n of a run (counted over all steps) is always the same window of the same clip, mirrored or not, whatever was
drawn before, however the batch is split over processes, and whether or not the run was interrupted.

A mirrored clip has the label of the class that it then shows, and labels for generated clips are drawn from the
distribution of those labels. Time is never reversed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dvdgan.config import DataConfig
from dvdgan.data.errors import DataError
from dvdgan.data.layouts.listing import TRAIN
from dvdgan.data.layouts.splits import divide
from dvdgan.data.sampler import Sampler, mirrored_classes
from dvdgan.data.windows import ClipSource, Window
from dvdgan.randomness import numpy_generator
from dvdgan.wording import some_of

_ATTEMPTS = 20  # clips tried for one sample before unreadable files end the run
_BEYOND = 1 << 40  # beyond every number of a sample
_NAMED = 12  # classes that a line names


class ClipDataset:
    """Windows of fixed length and size, cut from clips.

    Args:
        store: the clips.
        config: the part of a split, and how windows are cut, mirrored and drawn. With ``sampling=by_class``, a class
            that mirrored clips of another one show is drawn from its own clips as they are and from those mirrored
            ones, all equally often.
        size: height and width of a window, in pixels; the store's size.
        frames: frames per window, T.
        seed: seed of every draw, >= 0 (`config.seed` is that of the rendered scenes).
        group: g, for discriminators that score clips in groups: g samples of consecutive numbers, from a multiple of g
            on, show one class, and are different clips where the class has so many. With ``by_clip`` an epoch then
            rounds each class's clips up to a multiple of g.

    Attributes:
        span: frames of a clip from a window's first to its last one, both included.
        classes: names of the classes; empty if the clips have none.
        labels: int64 ``[N]``, the class of each clip that is long enough (0 without classes), not mirrored.
        mirrored: the class that a mirrored clip of each class shows; None where clips are never mirrored.
        sampler: which clip each sample shows.
        left_out: how many clips of the part are shorter than a window, and left out.
        other_part: how many clips of the store are of another part.
        replaced: how many times a clip could not be read, and another one was shown.

    Raises:
        DataError: the store has another size, no clip is in the part or long enough, ``flip_labels`` names a class that
            there is not or contradicts the phenomena's own map, or ``shuffle_buffer`` goes without shards.
    """

    def __init__(
        self, store: ClipSource, config: DataConfig, size: int, frames: int, seed: int = 0, group: int = 1
    ) -> None:
        if size != store.size:
            raise DataError(
                f"{store.path}: its frames are {store.size} px, not {size}; "
                f"pack the clips again at {size} px, or set network.size={store.size}"
            )
        if config.shuffle_buffer is not None and store.shards is None:
            raise DataError(
                f"{store.path}: data.shuffle_buffer needs clips in tar shards; pack them with shards=N, or set "
                "data.shuffle_buffer=null"
            )
        self.store, self.config = store, config
        self.size, self.frames, self.seed, self.group = size, frames, seed, group
        self.span = (frames - 1) * config.stride + 1
        self._least = self.span if config.short == "skip" else min(self.span, 2)
        self._kept = self._choose()
        self.classes: list[str] = store.classes
        self.labels: np.ndarray = store.labels[self._kept]
        whole = mirrored_classes(store.classes, config, store.about.get("source"))
        whole = whole or [0]  # without classes, all labels are 0
        self.mirrored: list[int | None] = whole if config.flip else [None] * len(whole)
        self.replaced = 0
        shards = None if store.shards is None else store.shards[self._kept]
        self.sampler = Sampler(self.labels, self.mirrored, config.sampling, seed, group, shards, config.shuffle_buffer)

    def _choose(self) -> np.ndarray:
        """The clips, by their index in the store, that are in the part and long enough; counts the others."""
        store, split, stride = self.store, self.config.split, self.config.stride
        parts = store.splits
        if self.config.test_fraction:
            _, parts = divide(self.config, store.sources, store.labels.tolist(), store.groups, parts)
        inside = np.array([split in ("all", part or TRAIN) for part in parts])
        if not inside.any():
            raise DataError(
                f"{store.path}: no clip is in the {split} part; set data.split=all, or set data.test_fraction"
            )
        kept = np.flatnonzero(inside & (store.lengths >= self._least))
        if not len(kept):
            raise DataError(
                f"{store.path}: no clip has the {self.span} frames that a window needs ({self.frames} at stride "
                f"{stride}); the longest has {store.lengths[inside].max()}; set data.short=loop to repeat short clips, "
                "or a lower network.frames or data.stride"
            )
        self.left_out, self.other_part = int(inside.sum()) - len(kept), len(store) - int(inside.sum())
        self._there = set(store.labels[inside].tolist())  # classes with clips in the part, however short
        return kept

    def __len__(self) -> int:
        return len(self._kept)

    def batch(
        self, step: int, substep: int, batch_size: int, d_steps: int, share: range | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The real clips of one discriminator step.

        Args:
            step: the generator step, >= 0.
            substep: the discriminator step within it, from 0 to ``d_steps - 1``.
            batch_size: clips per batch, B.
            d_steps: discriminator steps per generator step.
            share: which of the batch, by their places in it, a process of several reads; None is all.

        Returns:
            Clips, uint8 ``[B, T, size, size, 3]``, and labels, int64 ``[B]``: the samples whose numbers are
            ``(step * d_steps + substep) * batch_size + i``.

        Raises:
            ValueError: a step or substep out of range.
        """
        if step < 0 or not 0 <= substep < d_steps:
            raise ValueError(f"step {step}, substep {substep}: needs step >= 0 and 0 <= substep < {d_steps}")
        first = (step * d_steps + substep) * batch_size
        return self.samples([first + place for place in (range(batch_size) if share is None else share)])

    def samples(self, numbers: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """The samples with these numbers (a process of several asks for its share of a batch).

        Args:
            numbers: B numbers of samples in the whole run, >= 0.

        Returns:
            Clips, uint8 ``[B, T, size, size, 3]``, and the classes that they show, int64 ``[B]``.
        """
        clips = np.empty((len(numbers), self.frames, self.size, self.size, 3), np.uint8)
        labels = np.empty(len(numbers), np.int64)
        rows, attempt = list(range(len(numbers))), 0
        while rows:  # again for those whose file cannot be read, with numbers that no sample has
            if attempt == _ATTEMPTS:
                raise DataError(f"{self.store.path}: {_ATTEMPTS} clips in a row cannot be read; see the messages above")
            drawn = [numbers[row] + attempt * self.group * _BEYOND for row in rows]
            chosen = [self.sampler(number) for number in drawn]
            windows = self.store.read([self._window(member, number) for (member, *_), number in zip(chosen, drawn)])
            broken = {numbers[row] // self.group for row, window in zip(rows, windows) if window is None}
            again = [row for row in rows if numbers[row] // self.group in broken]  # with all of its group
            for row, number, (_, mirrored, label), window in zip(rows, drawn, chosen, windows):
                if window is None or row in again:
                    continue
                flat = self.on_background(window, "data: background", number)
                clips[row], labels[row] = flat[:, :, ::-1] if mirrored else flat, label
            self.replaced += sum(window is None for window in windows)
            rows, attempt = again, attempt + 1
        return clips, labels

    def fake_labels(self, step: int, substep: int, batch_size: int) -> np.ndarray:
        """Labels for generated clips, int64 ``[B]``, drawn from the distribution of the real ones.

        Args:
            step: the generator step, >= 0.
            substep: which batch of that step, >= 0 (one past the discriminator's steps is the generator's own).
            batch_size: how many; a smaller number gives the first labels of a larger one.
        """
        return self.sampler.fake_labels(step, substep, batch_size)

    @property
    def class_weights(self) -> list[float]:
        """Relative frequency of each class among the labels of real clips as they are shown; empty without classes."""
        return self.sampler.weights() if self.classes else []

    def reference(self, label: int, count: int) -> np.ndarray:
        """The first clips that show a class, for sheets of real data: its own, then those that show it when mirrored.

        Args:
            label: index of the class (0 without classes).
            count: how many clips at most, n.

        Returns:
            uint8 ``[n, T, size, size, 3]``: the middle of each clip, in time and space.
        """
        members = self.sampler.members.get(label, np.array([], np.int64))[:count]
        windows = [self.fixed_window(int(member)) for member in members]
        clips = []
        for member, window in zip(members, self.store.read(windows)):
            if window is not None:
                flat = self.on_background(window, "data: background of reference", int(self._kept[member]))
                clips.append(flat if self.labels[member] == label else flat[:, :, ::-1])
        shape = (0, self.frames, self.size, self.size, 3)
        return np.stack(clips) if clips else np.empty(shape, np.uint8)

    def fixed_window(self, member: int, place: float = 0.5) -> Window:
        """A window of a clip that depends on no draw: in the middle of the picture.

        Args:
            member: which of the clips that can be drawn, from 0.
            place: where in a clip longer than the window: 0 at its start, 1 at its end.
        """
        clip = int(self._kept[member])
        start = int(place * max(int(self.store.lengths[clip]) - self.span, 0))
        top, left = ((int(side[clip]) - self.size) // 2 for side in (self.store.heights, self.store.widths))
        return Window(clip, self.times(clip, start), top, left)

    def on_background(self, window: np.ndarray, purpose: str, number: int) -> np.ndarray:
        """Lay transparent pixels, if there are any, on the background.

        Args:
            window: uint8 ``[T, S, S, 3 or 4]``.
            purpose: what a random background is drawn for.
            number: which of them, >= 0.

        Returns:
            uint8 ``[T, S, S, 3]``.
        """
        if window.shape[-1] == 3:
            return window
        colour = self.config.background_colour
        if colour is None:
            colour = tuple(numpy_generator(self.seed, purpose, number).integers(0, 256, 3).tolist())
        alpha = window[..., 3:].astype(np.uint32)
        mixed = window[..., :3] * alpha + np.array(colour, np.uint32) * (255 - alpha)
        return ((mixed + 127) // 255).astype(np.uint8)

    def summary(self) -> str:
        """One line: how many clips and classes, and what was left out."""
        parts = [f"{len(self)} clips", f"{len(self.classes)} classes" if self.classes else "no classes"]
        if self.other_part:
            parts.append(f"{self.other_part} clips of the other part")
        if self.left_out:
            parts.append(f"{self.left_out} clips left out (shorter than {self._least} frames)")
        empty = [label for label in range(len(self.classes)) if label not in self.sampler.members]
        if short := [self.classes[label] for label in empty if label in self._there]:
            parts.append(f"classes without a clip that is long enough: {some_of(short, _NAMED)}")
        if others := [self.classes[label] for label in empty if label not in self._there]:
            parts.append(f"classes without a clip in this part: {some_of(others, _NAMED)}")
        if borrowed := sorted(self.sampler.members.keys() - set(self.labels.tolist())):
            names = ", ".join(self.classes[label] for label in borrowed)
            parts.append(f"classes that only mirrored clips show: {names}")
        if self.store.skipped:
            parts.append(f"{len(self.store.skipped)} files could not be read")
        return ", ".join(parts)

    def _window(self, member: int, number: int) -> Window:
        clip = int(self._kept[member])
        starts = self.starts(int(self.store.lengths[clip]))
        spare_rows = int(self.store.heights[clip]) - self.size
        spare_columns = int(self.store.widths[clip]) - self.size
        start = int(numpy_generator(self.seed, "data: window", number).integers(starts)) if starts > 1 else 0
        top, left = spare_rows // 2, spare_columns // 2
        if self.config.crop == "random" and spare_rows + spare_columns:
            rng = numpy_generator(self.seed, "data: crop", number)
            top, left = int(rng.integers(spare_rows + 1)), int(rng.integers(spare_columns + 1))
        return Window(clip, self.times(clip, start), top, left)

    def starts(self, length: int) -> int:
        """At how many frames a window may begin: anywhere in the round of a clip that is repeated."""
        return length - self.span + 1 if length >= self.span else self._round(length)

    def _round(self, length: int) -> int:
        """After how many frames a clip that is repeated is where it was."""
        return length if self.config.short == "loop" else max(2 * (length - 1), 1)

    def times(self, clip: int, start: int) -> np.ndarray:
        """Numbers of the frames of a window; those of a short clip go round, or to and fro."""
        times = start + self.config.stride * np.arange(self.frames)
        length = int(self.store.lengths[clip])
        if length >= self.span:
            return times
        times %= self._round(length)
        return np.where(times < length, times, self._round(length) - times)
