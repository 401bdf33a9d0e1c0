"""The state of a training: everything that a checkpoint holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dvdgan.runs.checkpoint import CheckpointError
from dvdgan.runs.log import Means


def number_of(numbers: Mapping[str, Any], name: str, *kinds: type, least: float = 0) -> Any:
    """A checkpoint's field of one of these types; a number is finite and not below `least`.

    Raises:
        CheckpointError: it is missing, of another type, or out of its range.
    """
    value = numbers.get(name)
    if type(value) not in kinds or (isinstance(value, (int, float)) and not least <= value < math.inf):
        raise CheckpointError(f"has no {name} as a training writes it")
    return value


def _is_mean(entry: Any) -> bool:
    """Whether it is the sum of some numbers, and how many they are."""
    total, count = entry
    return type(total) in (int, float) and type(count) is int and count > 0


class RunState:
    """Networks, optimisers and counters; a training that has more extends it.

    Args:
        networks: by name.
        optimisers: by name.
        tensors: other tensors, changed in place only, by name.

    Attributes:
        others: `tensors`.
        step: finished steps.
        seconds: seconds of training, interruptions not counted.
        means: what was measured since the last line of the log.
        lines: lines of the log.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        optimisers: Mapping[str, torch.optim.Optimizer],
        tensors: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.networks, self.optimisers = networks, optimisers
        self.others = dict(tensors or {})
        self.step, self.seconds, self.lines = 0, 0.0, 0
        self.means = Means()

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor, by name."""
        tensors = self._live()
        for name, optimiser in self.optimisers.items():
            for number, entries in optimiser.state_dict()["state"].items():
                tensors |= {f"{name}/{number}/{key}": torch.as_tensor(value) for key, value in entries.items()}
        return tensors

    def numbers(self) -> dict[str, Any]:
        """Everything else, JSON-serialisable."""
        return {"step": self.step, "seconds": self.seconds, "means": self.means.sums, "lines": self.lines}

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Take over what `tensors` and `numbers` gave. Live tensors stay where they are, and keep their layout.

        Raises:
            CheckpointError: they are of other networks, or no training's.
        """
        for key, value in self._live().items():
            if key not in tensors or tensors[key].shape != value.shape:
                raise CheckpointError(f"is another network's ({key} is missing or has another shape)")
            value.copy_(tensors[key])
        for name, optimiser in self.optimisers.items():
            states: dict[int, dict[str, Tensor]] = {}
            for key in tensors:
                if key.startswith(f"{name}/"):
                    _, number, entry = key.split("/")
                    states.setdefault(int(number), {})[entry] = tensors[key]
            parameters = [p for group in optimiser.param_groups for p in group["params"]]
            for index, state in states.items():
                like = parameters[index]
                if any(value.shape != like.shape and value.numel() > 1 for value in state.values()):
                    raise CheckpointError(f"is another network's ({name}/{index} has another shape)")
                optimiser.state[like] = {
                    entry: torch.empty_like(like, memory_format=torch.preserve_format).copy_(value)
                    if value.shape == like.shape
                    else value.to(like.device, copy=True)
                    for entry, value in state.items()
                }
        groups = number_of(numbers, "means", dict).values()
        if not all(isinstance(group, dict) and all(map(_is_mean, group.values())) for group in groups):
            raise CheckpointError("has means that are none")
        self.step, self.lines = number_of(numbers, "step", int), number_of(numbers, "lines", int)
        self.seconds = number_of(numbers, "seconds", int, float)
        self.means = Means(numbers["means"])

    def _live(self) -> dict[str, Tensor]:
        named = {
            f"{name}/{key}": v for name, network in self.networks.items() for key, v in network.state_dict().items()
        }
        return named | self.others
