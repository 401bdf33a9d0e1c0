"""Which clip each sample of a run shows, mirrored or not, and with which label: functions of the sample's number."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np

from dvdgan.config.data import PHENOMENA, DataConfig
from dvdgan.data import phenomena
from dvdgan.data.errors import DataError
from dvdgan.data.layouts.listing import composed
from dvdgan.mirroring import with_opposites
from dvdgan.randomness import numpy_generator
from dvdgan.wording import did_you_mean, some_of


class Sampler:
    """Draws clips for the samples of a run.

    Args:
        labels: int64 ``[N]``, the class of each clip, not mirrored.
        mirrored: the class that a mirrored clip of each class shows; None where its clips are never mirrored.
        sampling: see `dvdgan.data.dataset.ClipDataset`, as are the next two.
        seed: of every draw, >= 0.
        group: how many clips of one class come together.
        shards: int64 ``[N]``, the tar shard that each clip lies in; only with `buffer`.
        buffer: among how many clips an epoch shuffles; None is all.

    Attributes:
        members: of each class that can be shown, the clips that show it: its own, and then those of other classes that
            show it when mirrored.
    """

    def __init__(
        self,
        labels: np.ndarray,
        mirrored: list[int | None],
        sampling: Literal["by_clip", "by_class"],
        seed: int,
        group: int,
        shards: np.ndarray | None,
        buffer: int | None,
    ) -> None:
        self._labels, self._mirrored, self._by_class = labels, mirrored, sampling == "by_class"
        self._seed, self._group, self._shards, self._buffer = seed, group, shards, buffer
        self._flips = any(shown is not None for shown in mirrored)
        self._turned = np.array([own if shown is None else shown for own, shown in enumerate(mirrored)])
        self.members: dict[int, np.ndarray] = {}
        for label in range(len(mirrored)):
            others = [other for other, shown in enumerate(mirrored) if shown == label != other]
            found = np.concatenate([np.flatnonzero(labels == one) for one in [label, *others]])
            if len(found):
                self.members[label] = found
        present, counts = np.unique(labels, return_counts=True)
        self._shown = np.repeat(present, counts + -counts % group) if group > 1 else labels  # int64 [epoch]
        self._permutation = lru_cache(maxsize=2)(self._draw_permutation)

    def __call__(self, number: int) -> tuple[int, bool, int]:
        """Sample `number`: which of the clips, whether it is mirrored, and the class that it so shows.

        The class that a group shows is drawn by the group's number; what leaves the class as it is, by the sample's.
        """
        group, place = divmod(number, self._group)
        coin = self._flips and numpy_generator(self._seed, "data: flip", number).random() < 0.5
        if self._by_class:
            classes = list(self.members)
            label = classes[int(numpy_generator(self._seed, "data: class", group).integers(len(classes)))]
            members = self.members[label]
            rng = numpy_generator(self._seed, "data: clip", group)
            member = int(members[rng.choice(len(members), self._group, replace=len(members) < self._group)[place]])
            turned = self._labels[member] != label or (coin and self._mirrored[label] == label)
            return member, bool(turned), label
        epoch, position = divmod(number, len(self._shown))
        member = int(self._permutation(epoch)[position])
        label = int(self._labels[member])
        if self._flips and self._mirrored[label] != label:
            coin = numpy_generator(self._seed, "data: flip", group).random() < 0.5
        shown = self._mirrored[label] if coin else None
        return (member, False, label) if shown is None else (member, True, shown)

    def fake_labels(self, step: int, substep: int, batch_size: int) -> np.ndarray:
        """Labels for generated clips, int64 ``[B]``; see `dvdgan.data.dataset.ClipDataset.fake_labels`."""
        groups = -(-batch_size // self._group)
        uniform = numpy_generator(self._seed, "data: fake labels", step, substep).random(groups)
        pool = np.array(list(self.members)) if self._by_class else self._shown
        labels = pool[(uniform * len(pool)).astype(np.int64)]
        if self._flips and not self._by_class:
            coins = numpy_generator(self._seed, "data: fake flips", step, substep).random(groups)
            labels = np.where(coins < 0.5, self._turned[labels], labels)
        return np.repeat(labels, self._group)[:batch_size]

    def weights(self) -> list[float]:
        """Relative frequency of each class among the labels of real clips as they are shown."""
        if self._by_class:
            return [float(label in self.members) for label in range(len(self._mirrored))]
        counts = np.bincount(self._shown, minlength=len(self._mirrored))
        turned = np.bincount(self._turned, counts, minlength=len(self._mirrored))
        return (0.5 * counts + 0.5 * turned).tolist()

    def _draw_permutation(self, epoch: int) -> np.ndarray:
        rng = numpy_generator(self._seed, "data: epoch", epoch)
        if self._buffer is None:
            return shuffled(rng, self._labels, self._group)
        assert self._shards is not None
        return shuffled_within(rng, self._shards, self._labels, self._buffer, self._group)


def mirrored_classes(classes: Sequence[str], config: DataConfig, source: str | None = None) -> list[int | None]:
    """For each class, the index of the one that its clips show once mirrored; None where they never are.

    Args:
        classes: the names of all classes; none if clips have no classes.
        config: whose ``flip_labels`` go over the phenomena's own map.
        source: `PHENOMENA` if the clips are rendered ones.

    Raises:
        DataError: the map contradicts the phenomena's own, or names a class that there is not.
    """
    flip_labels = {
        **(phenomena.FLIP_LABELS if config.flip and source == PHENOMENA else {}),
        **with_opposites(config.flip_labels),
    }
    if flip_labels and not classes:
        raise DataError("data.flip_labels names classes, but the clips have none; set data.flip_labels={}")
    spelt = {composed(name): name for name in classes}  # accents may be composed otherwise
    flip_labels = {
        spelt.get(composed(name), name): other and spelt.get(composed(other), other)
        for name, other in flip_labels.items()
    }
    for name in (name for pair in flip_labels.items() for name in pair if name is not None):
        if name not in classes:
            hint = did_you_mean(name, classes, f"the classes are {some_of(classes, 12)}")
            raise DataError(f"data.flip_labels: the clips have no class {name!r}; {hint}")
    try:
        whole = with_opposites(flip_labels)
    except ValueError as error:
        raise DataError(f"data.flip_labels: {error}") from None
    names = [whole.get(name, name) for name in classes]
    return [None if name is None else classes.index(name) for name in names]


def shuffled(rng: np.random.Generator, labels: np.ndarray, group: int = 1) -> np.ndarray:
    """All clips in random order, those of a group side by side.

    Args:
        rng: the epoch's.
        labels: int64 ``[N]``, the class of each clip.
        group: how many clips of one class come together.

    Returns:
        Numbers of clips, int64: each once, but for those that fill up the last group of their class.
    """
    if group == 1:
        return rng.permutation(len(labels))
    own = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    filled = [np.resize(rng.permutation(clips), len(clips) + -len(clips) % group) for clips in own]
    return rng.permutation(np.concatenate(filled).reshape(-1, group)).ravel()


def shuffled_within(
    rng: np.random.Generator, shards: np.ndarray, labels: np.ndarray, buffer: int, group: int = 1
) -> np.ndarray:
    """Clips shard by shard, the shards in random order, each clip moved by fewer than `buffer` places.

    Clips that come soon after each other so lie near each other on the disk. A group comes where the last of its clips
    would have come alone; with many classes its first ones are then moved further.

    Args:
        shards: int64 ``[N]``, the shard that each clip lies in; clips of a shard lie in the order of their numbers.
        buffer: among how many clips is shuffled, >= 1.
        rng, labels, group: as for `shuffled`, like the result.
    """
    turns = rng.permutation(shards.max() + 1)
    visited = np.argsort(turns[shards], kind="stable")
    order = visited[np.argsort(np.arange(len(visited)) + buffer * rng.random(len(visited)))]
    if group == 1:
        return order
    by_class = np.argsort(labels[order], kind="stable")  # places in the order, class by class
    groups = []
    for places in np.split(by_class, np.cumsum(np.bincount(labels))[:-1]):
        groups.append(np.resize(places, len(places) + -len(places) % group).reshape(-1, group))
    places = np.concatenate(groups)
    return order[places[np.argsort(places.max(axis=1), kind="stable")]].ravel()
