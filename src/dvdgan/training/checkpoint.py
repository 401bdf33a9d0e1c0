"""Checkpoints: everything that resuming needs in one safetensors file, written beside and renamed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

FORMAT = "dvdgan-checkpoint"


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message is one line and names the file and the mend."""


def save_checkpoint(directory: Path, step: int, tensors: dict[str, Tensor], numbers: dict[str, Any], keep: int) -> Path:
    """Write ``step-<step>.safetensors`` atomically and remove all but the newest ``keep``.

    Args:
        directory: where checkpoints live; made if missing.
        step: finished G steps.
        tensors: from `gather`.
        numbers: JSON-serialisable counters.
        keep: how many checkpoints stay.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"step-{step:08d}.safetensors"
    partial = directory / f".step-{step:08d}.partial"
    contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    save_file(contiguous, partial, {"format": FORMAT, "step": str(step), "numbers": json.dumps(numbers)})
    with open(partial, "rb") as file:
        os.fsync(file.fileno())
    os.replace(partial, path)
    for old in list_checkpoints(directory)[:-keep]:
        old.unlink()
    return path


def list_checkpoints(directory: Path) -> list[Path]:
    """Checkpoints of a run, oldest first."""
    return sorted(directory.glob("step-*.safetensors"))


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint's tensors and numbers.

    Raises:
        CheckpointError: the file is damaged or is no dvdgan checkpoint.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise CheckpointError(f"{path}: not a dvdgan checkpoint; move it out of the run's directory")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (safe_open is no dict)
        return tensors, json.loads(metadata["numbers"])
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"{path}: damaged ({error}); delete it, and the run resumes from the checkpoint before"
        ) from None


def gather(
    networks: dict[str, nn.Module], optimisers: dict[str, torch.optim.Optimizer], ema: dict[str, Tensor]
) -> dict:
    """Name every tensor of a training: networks' parameters and buffers, optimisers' states, the average."""
    tensors = {
        f"{name}/{key}": value for name, network in networks.items() for key, value in network.state_dict().items()
    }
    for name, optimiser in optimisers.items():
        for index, state in optimiser.state_dict()["state"].items():
            tensors |= {f"{name}/{index}/{key}": torch.as_tensor(value) for key, value in state.items()}
    return tensors | {f"ema/{key}": value for key, value in ema.items()}


@torch.no_grad()
def scatter(
    tensors: dict[str, Tensor],
    networks: dict[str, nn.Module],
    optimisers: dict[str, torch.optim.Optimizer],
    ema: dict[str, Tensor],
) -> None:
    """Put tensors named by `gather` back, into the live tensors, whose layout is kept.

    Raises:
        CheckpointError: the tensors do not fit the networks.
    """
    live = {f"{name}/{key}": value for name, network in networks.items() for key, value in network.state_dict().items()}
    live |= {f"ema/{key}": value for key, value in ema.items()}
    for key, value in live.items():
        if key not in tensors or tensors[key].shape != value.shape:
            raise CheckpointError(f"the checkpoint does not fit the networks: {key} is missing or has another shape")
        value.copy_(tensors[key])
    for name, optimiser in optimisers.items():
        states: dict[int, dict[str, Tensor]] = {}
        for key in tensors:
            if key.startswith(f"{name}/"):
                _, number, entry = key.split("/")
                states.setdefault(int(number), {})[entry] = tensors[key]
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        for index, state in states.items():
            like = parameters[index]
            optimiser.state[like] = {
                entry: torch.empty_like(like, memory_format=torch.preserve_format).copy_(value)
                if value.shape == like.shape
                else value.to(like.device, copy=True)
                for entry, value in state.items()
            }
