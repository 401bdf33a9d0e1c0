"""What is settled before a run's first step, or its next one: its directory, its precision, its share of a batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from dvdgan.config import Config
from dvdgan.config.files import updated
from dvdgan.models import check_model_place
from dvdgan.runs import distributed
from dvdgan.runs.directory import TrainingError
from dvdgan.training import precision
from dvdgan.training.changes import STORED_DATA, Changes
from dvdgan.training.directory import TrainingDirectory
from dvdgan.training.memory import check_memory, fit


def require_equal_shares(config: Config) -> None:
    """Refuse a batch that the processes cannot share equally, group by group and part by part.

    Raises:
        TrainingError: it does not divide; the message names what does.
    """
    batch, parts, processes = config.training.batch_size, config.training.accumulate, distributed.world_size()
    group = config.network.group * parts
    if batch % (processes * group):
        clips = f"{batch // group} times {group} clips" if group > 1 else f"{batch} clips"
        fewer = max(n for n in range(1, processes) if batch % (n * group) == 0)
        raise TrainingError(
            f"training.batch_size ({batch}) is {clips}, which {processes} processes cannot share equally: start "
            f"{fewer}, or a new run with training.batch_size={-(-batch // (processes * group)) * processes * group}"
        )


def prepare(
    directory: TrainingDirectory, config: Config, device: torch.device, override: bool
) -> tuple[bool, Changes, Path]:
    """Whether a run is resumed, what differs from its settings, and where its packed store is to be."""
    resuming = directory.started
    check_model_place(directory.path / "model")
    directory.remove_leftovers()
    changes = directory.changes(config, override) if resuming else {}
    check_memory(config, device)
    store = directory.store() if resuming else directory.path / "data"
    if STORED_DATA & set(changes):
        store = directory.new_store()  # the old one stays until the new clips are accepted
    directory.note_packed(store)
    return resuming, changes, store


def decide(
    directory: TrainingDirectory, config: Config, device: torch.device, changes: Changes, say: Callable[[str], None]
) -> dict[str, Any]:
    """What is decided when a run starts, and stays when it goes on: precision, memory format, threads, checkpointing.

    A precision or a memory format that was overridden is decided anew, and put into ``changes``.
    """
    here = {"torch": torch.__version__, "device": device.type, "processes": distributed.world_size()}
    if directory.started:
        decided = directory.decided()
        decided.pop("evaluation", None)  # said anew
        for field in {"precision", "memory_format"} & {name.removeprefix("training.") for name in changes}:
            pinned = {name: decided[name] for name in ("precision", "memory_format") if name != field}
            new = precision.choose(updated(config, training=pinned), device)[field]
            changes[f"training.{field}"] = (decided[field], new)
            decided[field] = new
        if decided.get("processes", 1) != distributed.world_size():
            decided["threads"] = torch.get_num_threads()
        for name, value in here.items():
            if decided.setdefault(name, value) != value:
                say(f"warning: {name} was {decided[name]}, and is {value} now: not bit for bit what it would have been")
    else:
        decided = {**precision.choose(config, device), "threads": torch.get_num_threads(), **here}
    kind: str = config.training.checkpointing
    if kind == "auto":
        kind = decided.get("checkpointing") or fit(config, device, distributed.world_size())[0].training.checkpointing
    decided["checkpointing"] = kind
    say(
        f"{device}: {decided['precision']}, {decided['memory_format']}, {decided['threads']} threads, "
        f"checkpointing {decided['checkpointing']}"
    )
    torch.set_num_threads(decided["threads"])
    return decided
