"""The order in which an epoch shows the clips of a data set: a function of the epoch's generator alone."""

from __future__ import annotations

import numpy as np


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
        rng: the epoch's.
        shards: int64 ``[N]``, the shard that each clip lies in; clips of a shard lie in the order of their numbers.
        labels: int64 ``[N]``, the class of each clip.
        buffer: among how many clips is shuffled, >= 1.
        group: how many clips of one class come together.

    Returns:
        Numbers of clips, int64: each once, but for those that fill up the last group of their class.
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
