"""A model from one of a run's checkpoints."""

from __future__ import annotations

from pathlib import Path

import torch

from dvdgan.config_files import load_config
from dvdgan.devices import pick_device
from dvdgan.models import check_model_place
from dvdgan.training.checkpoint import Kept, list_kept, load_checkpoint
from dvdgan.training.run_directory import RunDirectory, TrainingError
from dvdgan.training.samples import finished_generator, training_facts, write_model
from dvdgan.training.steps import Learner


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
    directory = RunDirectory(run)
    if not directory.started:
        raise TrainingError(f"{run}: there is no run with a checkpoint here")
    decided, config = directory.decided(), load_config(str(run / "config.yaml"))
    if "class_weights" not in decided:
        raise TrainingError(f"{run / 'run.json'}: does not name the classes; resume the run once, which writes them")
    chosen = choose(list_kept(run / "checkpoints"), checkpoint, run)
    torch.set_flush_denormal(True)
    torch.set_num_threads(decided["threads"])
    learner = Learner(config, where, decided["precision"], decided["memory_format"])
    tensors, numbers = load_checkpoint(chosen.path)
    learner.restore(tensors, numbers)
    network = finished_generator(learner, decided["class_weights"])
    facts = training_facts(config, decided["clips"], chosen.step, numbers["seconds"], decided.get("started_from"))
    classes, weights = decided["classes"], decided["class_weights"]
    write_model(network, learner, classes, weights, out, facts, with_discriminators)
    return out


def choose(kept: list[Kept], checkpoint: str, run: Path) -> Kept:
    """The checkpoint that is meant.

    Args:
        kept: the run's checkpoints, oldest first; at least one.
        checkpoint: ``newest``, ``best``, or a step.
        run: the run's directory, for messages.

    Raises:
        TrainingError: there is none; those that are there are named.
    """
    scored = [k for k in kept if k.score is not None]
    if checkpoint == "newest":
        return kept[-1]
    if checkpoint == "best" and scored:
        return min(scored, key=lambda k: (k.score, -k.step))
    for candidate in kept:
        if checkpoint == str(candidate.step):
            return candidate
    there = ", ".join(str(k.step) for k in kept)
    unscored = "none was scored (training.health.clips above 0; sample_every and checkpoint_every that meet)"
    reason = unscored if checkpoint == "best" else "there is no such step"
    raise TrainingError(f"{run}: no checkpoint {checkpoint!r}: {reason}; choose newest or one of {there}")
