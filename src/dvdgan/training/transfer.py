"""Starting a run from another one's weights: to grow a trained network to a larger size, or to teach it other clips."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from dvdgan.models import load_model, read_discriminators
from dvdgan.networks import power_iterate
from dvdgan.runs.checkpoint import CheckpointError, load_checkpoint
from dvdgan.runs.directory import TrainingError
from dvdgan.runs.state import number_of
from dvdgan.training.directory import TrainingDirectory
from dvdgan.training.run_file import StartedFrom
from dvdgan.training.state import TrainingState

_BY_CLASS = ("embed", "weight")  # the end of the names of what has a row for each class
_SETTLE = 30  # power iterations after which the singular vectors fit weights that were put in


@torch.no_grad()
def transfer(source: str, state: TrainingState, classes: list[str]) -> StartedFrom:
    """Put the parameters of another run, or of a model, into networks where names and shapes agree.

    Rows of class embeddings go by the classes' names. Optimisers and counters start anew.

    Args:
        source: a run's directory, whose newest checkpoint is taken; a model directory, or the name of a model that is
            built in: its generator, and its discriminators where it has them.
        state: the networks, freshly initialised, and the average of G's weights.
        classes: the names of the classes of this run.

    Returns:
        What was taken from where, for ``run.json`` and the card.

    Raises:
        TrainingError: there is neither a run nor a model, or nothing of the generator agrees.
        CheckpointError, ModelError: it is damaged.
    """
    tensors, old_classes, steps, seconds = _read(source)
    taken = {}
    for name, network in state.networks.items():
        agree, total = 0, 0
        for key, parameter in network.named_parameters():
            total += parameter.numel()
            by_class = tuple(key.split(".")[-2:]) == _BY_CLASS
            found = tensors.get(f"{name}/{key}")
            if found is None or found.shape[by_class:] != parameter.shape[by_class:]:
                continue
            average = tensors.get(f"ema/{key}", found) if name == "generator" else found
            if average.shape != found.shape or (by_class and len(found) != len(old_classes)):
                continue  # no training wrote it
            if by_class:
                for row, label in enumerate(classes):
                    if label in old_classes:
                        parameter[row].copy_(found[old_classes.index(label)])
                        if name == "generator":
                            state.ema.parameters[key][row].copy_(average[old_classes.index(label)])
                        agree += parameter[row].numel()
            elif found.shape == parameter.shape:
                parameter.copy_(found)
                if name == "generator":
                    state.ema.parameters[key].copy_(average)
                agree += parameter.numel()
        power_iterate(network, _SETTLE)
        taken[name] = round(agree / total, 4)
    if not taken["generator"]:
        raise TrainingError(
            f"training.start_from: nothing of the generator of {source} fits this one; see its config.yaml"
        )
    return StartedFrom(source=source, steps=steps, seconds=seconds, taken=taken)


def _read(source: str) -> tuple[Mapping[str, Tensor], list[str], int, float]:
    """Tensors by network and name, the classes' names, and the steps and seconds that they were trained."""
    run = TrainingDirectory(Path(source))
    if run.checkpoints:
        tensors, numbers = load_checkpoint(run.checkpoints[-1])
        started = run.run_file()
        try:
            steps, seconds = number_of(numbers, "step", int), number_of(numbers, "seconds", int, float)
        except CheckpointError as error:
            raise CheckpointError(f"{run.checkpoints[-1]}: {error}; use another run") from None
        if (before := started.started_from) is not None:
            steps, seconds = steps + before.steps, seconds + before.seconds
        return tensors, started.classes, steps, seconds
    model = load_model(source)
    tensors = {f"generator/{name}": value for name, value in model.generator.state_dict().items()}
    return tensors | read_discriminators(source), model.classes, 0, 0.0
