"""What a writer of stores notes in its log: a clip, one that was skipped, or the shard that the next ones go to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_type_hints

from dvdgan.data.store.index import Clip, StoreError, read_index


def is_entry(kind: Any, entry: Any, classes: Sequence[str], shards: range) -> bool:
    """Whether a line of the log is what a writer notes.

    Args:
        kind: ``clip``, ``skip`` or ``shard``.
        entry: what belongs to it.
        classes: names of the classes.
        shards: the numbers that a next shard may have.
    """
    if kind == "skip":
        return isinstance(entry, dict) and entry.keys() == {"source", "reason"}
    if kind == "shard":
        return type(entry) is int and entry in shards
    if kind != "clip" or not isinstance(entry, (list, tuple)) or len(entry) != len(Clip._fields):
        return False
    return all(map(isinstance, entry, get_type_hints(Clip).values())) and 0 <= entry[0] < max(1, len(classes))


def all_but_renamed(
    partial: Path, size: int, classes: Sequence[str], about: dict[str, Any], shards: int | None
) -> list[list[Any]]:
    """What a writer of the same work noted that ended between its last two steps: it left a store without its name."""
    try:
        index = read_index(partial)
    except StoreError:
        return []
    names, counts = index["classes"], [count for count, _ in index.get("shards", [])]
    same = index["size"] == size and index["about"] == json.loads(json.dumps(about)) and len(counts) == (shards or 0)
    if not same or [name for name in classes if name in set(names)] != names:
        return []
    clips = [Clip(*row) for row in zip(*(index["clips"][field] for field in Clip._fields))]
    if names:
        clips = [clip._replace(label=classes.index(names[clip.label])) for clip in clips]
    known: list[list[Any]] = [["clip", clip] for clip in clips]
    for shard in range(len(counts) - 1, 0, -1):
        known.insert(sum(counts[:shard]), ["shard", shard])
    return known + [["skip", entry] for entry in index["skipped"]]
