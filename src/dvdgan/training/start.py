"""What is settled before a run's first step, or its next one: its directory, its precision, its share of a batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from dvdgan.capacity import gib
from dvdgan.config import Config
from dvdgan.config.files import updated
from dvdgan.data.dataset import ClipDataset
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.features.weights import EFFICIENTNET_LITE0, find_weights
from dvdgan.model_place import check_model_place
from dvdgan.networks.checkpointing import Checkpointing
from dvdgan.runs import distributed
from dvdgan.runs.directory import TrainingError
from dvdgan.training import precision
from dvdgan.training.changes import STORED_DATA, Changes
from dvdgan.training.directory import TrainingDirectory
from dvdgan.training.memory import check_memory, fit
from dvdgan.training.run_file import RunFile


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


class Prepared(NamedTuple):
    """What is settled before the clips are opened."""

    resuming: bool
    changes: Changes  # from the settings that a resumed run was started with
    store: Path  # where the packed store is, or is to be
    checkpointing: Checkpointing


def prepare(
    directory: TrainingDirectory, config: Config, device: torch.device, override: bool, say: Callable[[str], None]
) -> Prepared:
    """Settle what can be settled, and refuse what can be refused, before the clips are opened.

    Raises:
        TrainingError: other settings than the run's, or networks that do not fit into memory; the projected
            discriminator's features are not installed.
        ConfigError: a step that does not fit into memory; the message names the largest batch that does.
        ModelError: there is something else in the model's place.
    """
    resuming = directory.started
    check_model_place(directory.path / "model")
    if config.network.projected is not None:
        try:
            find_weights(EFFICIENTNET_LITE0)
        except EvaluationError as error:
            raise TrainingError(f"network.projected: {error}") from None
    directory.remove_leftovers()
    changes = directory.changes(config, override) if resuming else {}
    kind = config.training.checkpointing
    if resuming:
        check_memory(config, device, distributed.world_size())
        checkpointing = directory.run_file().checkpointing if kind == "auto" else kind
    else:
        checkpointing, costs = fit(config, device, distributed.world_size())
        if costs is not None:
            say(
                f"a step: {costs.flops_step / 1e9:,.0f} GFLOP, about {gib(costs.training_bytes)} of memory each "
                f"process (training.checkpointing={checkpointing})"
            )
    store = directory.store() if resuming else directory.path / "data"
    if STORED_DATA & set(changes):
        store = directory.new_store()  # the old one stays until the new clips are accepted
    directory.note_packed(store)
    return Prepared(resuming, changes, store, checkpointing)


def decide(
    directory: TrainingDirectory,
    config: Config,
    device: torch.device,
    dataset: ClipDataset,
    prepared: Prepared,
    say: Callable[[str], None],
) -> RunFile:
    """What is decided when a run starts, and stays when it goes on: precision, memory format, threads, checkpointing.

    A precision or a memory format that was overridden is decided anew, and put into ``prepared.changes``.
    """
    here: dict[str, Any] = {
        "torch": str(torch.__version__),
        "device": device.type,
        "processes": distributed.world_size(),
    }
    found: dict[str, Any] = {
        "checkpointing": prepared.checkpointing,
        "store": prepared.store.name,
        "data": dataset.store.identity,
        "clips": len(dataset),
        "classes": dataset.classes,
        "class_weights": dataset.class_weights,
        "config": config,
    }
    if prepared.resuming:
        run = directory.run_file().model_copy(update=found)
        if anew := [name for name in precision.Choice._fields if f"training.{name}" in prepared.changes]:
            before = run.model_dump(include=set(precision.Choice._fields))
            fixed = {name: value for name, value in before.items() if name not in anew}
            after = precision.choose(updated(config, training=fixed), device)._asdict()
            prepared.changes.update({f"training.{name}": (before[name], after[name]) for name in anew})
            run = run.model_copy(update=after)
        if run.processes != here["processes"]:
            run.threads = torch.get_num_threads()
        for name, value in here.items():
            if (then := getattr(run, name)) != value:
                say(f"warning: {name} was {then}, and is {value} now: not bit for bit what it would have been")
    else:
        choice = precision.choose(config, device)
        run = RunFile(**choice._asdict(), threads=torch.get_num_threads(), **here, **found)
    say(f"{device}: {run.precision}, {run.memory_format}, {run.threads} threads, checkpointing {run.checkpointing}")
    torch.set_num_threads(run.threads)
    return run
