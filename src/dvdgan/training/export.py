"""A model from one of a run's checkpoints."""

from __future__ import annotations

from pathlib import Path

import torch

from dvdgan.devices import pick_device
from dvdgan.model_place import check_model_place
from dvdgan.runs.checkpoint import load_checkpoint, restore_from, saved_checkpoints
from dvdgan.runs.directory import TrainingError
from dvdgan.runs.retention import SavedCheckpoint
from dvdgan.training.directory import TrainingDirectory
from dvdgan.training.samples import finished_generator, training_summary, write_model
from dvdgan.training.state import TrainingState


def export_model(
    run: Path | str,
    out: Path | str,
    checkpoint: str = "newest",
    device: str | None = None,
    with_discriminators: bool = False,
) -> Path:
    """Write the model of a checkpoint, as a finished training would.

    Args:
        run: a run's directory.
        out: the model directory to write.
        checkpoint: ``newest``, ``best`` (its samples came closest to real clips), or a step, such as ``5000``.
        device: such as ``cpu`` or ``cuda:1``; None takes the accelerator where there is one.
        with_discriminators: write them, too, for trainings that start from the model.

    Returns:
        ``out``.

    Raises:
        TrainingError: there is no such run or checkpoint.
        CheckpointError: the checkpoint is damaged.
        DeviceError: there is no such device.
        ModelError: ``out`` holds something else than a model.
    """
    run, out = Path(run), Path(out)
    where = pick_device(device)
    check_model_place(out)
    directory = TrainingDirectory(run)
    if not directory.started:
        raise TrainingError(f"{run}: there is no run with a checkpoint here")
    started = directory.run_file()
    chosen = choose(saved_checkpoints(run / "checkpoints"), checkpoint, run)
    torch.set_flush_denormal(True)
    torch.set_num_threads(started.threads)
    state = TrainingState(started.config, where, started.precision, started.memory_format)
    restore_from(chosen.path, state.restore, *load_checkpoint(chosen.path))
    classes, weights = started.classes, started.class_weights
    summary = training_summary(state, started.clips, started.started_from)
    write_model(finished_generator(state, weights), state, classes, weights, out, summary, with_discriminators)
    return out


def choose(saved: list[SavedCheckpoint], checkpoint: str, run: Path) -> SavedCheckpoint:
    """The checkpoint that is meant.

    Args:
        saved: the run's checkpoints, oldest first; at least one.
        checkpoint: ``newest``, ``best``, or a step.
        run: the run's directory, for messages.

    Raises:
        TrainingError: there is none; those that are there are named.
    """
    scored = [c for c in saved if c.score is not None]
    if checkpoint == "newest":
        return saved[-1]
    if checkpoint == "best" and scored:
        return min(scored, key=lambda c: (c.score, -c.step))
    for candidate in saved:
        if checkpoint == str(candidate.step):
            return candidate
    there = ", ".join(str(c.step) for c in saved)
    unscored = "none was scored (training.health.clips above 0; sample_every and checkpoint_every that meet)"
    reason = unscored if checkpoint == "best" else "there is no such step"
    raise TrainingError(f"{run}: no checkpoint {checkpoint!r}: {reason}; choose newest or one of {there}")
