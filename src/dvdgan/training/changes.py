"""What differs between the settings that a run was started with and those that it is to go on under."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from dvdgan.config import Config
from dvdgan.config.files import leaves

Changes = dict[str, tuple[Any, Any]]
"""Old and new value by what changed."""
_CHANGEABLE = {  # they decide what is written and kept, and when, and when a run ends, not what is learned
    "training.steps",
    "training.log_every",
    "training.sample_every",
    "training.checkpoint_every",
    "training.keep_checkpoints",
    "training.keep_every",
    "training.keep_best",
    "training.checkpoint_gib",
    "training.tensorboard",
    "training.timeout",
    "training.checkpointing",
    "training.memory_gib",
    "training.classifier",  # which classifier it is counts, not where: `TrainingDirectory.other_classifier`
    "training.sample_clips",
    "training.statistics_batches",
    "data.fps",
    "data.workers",
    "data.decode_seconds",
    "data.decode_gib",
    "name",
    "description",
}
_CHANGEABLE_SECTIONS = ("training.health.",)
STORED_DATA = {
    f"data.{field}"
    for field in (
        *("source", "seed", "clips_per_class", "stride", "layout", "list_file", "fold", "parts", "class_depth"),
        *("test_fraction", "group", "shards"),
        *("split_seed", "target_fps", "folder_fps", "background", "max_seconds", "windows"),
    )
}
"""Fields that decide what a packed store holds."""
_FROM_THE_DATA = {"network.classes"}  # filled in once the data is open
_ABSENT = "(none)"


def differences(before: Config, after: Config, ignored: Set[str] = frozenset()) -> Changes:
    """Old and new value by the field's path, of fields that may not change at any time and are not to be ignored."""
    old, new = leaves(before.model_dump(mode="json")), leaves(after.model_dump(mode="json"))
    free = _CHANGEABLE | _FROM_THE_DATA | ignored
    t = after.training
    if t.lr_decay != "none" or t.regularisation.noise_end not in (None, t.regularisation.noise):
        free = free - {"training.steps"}  # the decay is planned over all the steps
    return {
        name: (old.get(name, _ABSENT), new.get(name, _ABSENT))
        for name in sorted(old.keys() | new.keys())
        if name not in free
        and not name.startswith(_CHANGEABLE_SECTIONS)
        and old.get(name, _ABSENT) != new.get(name, _ABSENT)
    }


def in_words(changes: Mapping[str, Sequence[Any]]) -> str:
    """Changes as one line: ``field old -> new; ...``."""
    return "; ".join(f"{name} {old} -> {new}" for name, (old, new) in changes.items())
