"""A step's gradient from a batch in parts (``training.accumulate``), and the descent along it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from dvdgan.networks import power_iterate
from dvdgan.training.batches import Rows
from dvdgan.training.state import TrainingState


def parts_of(state: TrainingState, clips: int) -> list[Rows]:
    """The parts of so many clips on which networks run one after the other: ``training.accumulate`` of them.

    Groups are dealt out in turn: a part of the whole batch is then the same on any number of processes.
    """
    count, group = state.config.training.accumulate, state.config.network.group
    if count == 1:
        return [None]
    return [[row for row in range(clips) if row // group % count == part] for part in range(count)]


def accumulating(state: TrainingState, networks: Mapping[str, nn.Module], clips: int) -> Iterator[Rows]:
    """The parts of so many clips, for a forward and backward pass each; processes exchange gradients at the last."""
    parts = parts_of(state, clips)
    for part in parts:
        with state.keep_gradients(networks) if part is not parts[-1] else nullcontext():
            yield part


def descend(state: TrainingState, optimiser: str, networks: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """One optimiser step along the gradients of some networks; returns the norm of each one's."""
    norms = {
        name: torch.nn.utils.get_total_norm([p.grad for p in net.parameters() if p.grad is not None])
        for name, net in networks.items()
    }
    state.optimisers[optimiser].step()
    state.optimisers[optimiser].zero_grad(set_to_none=True)  # the other networks' step has the room
    for network in networks.values():
        power_iterate(network)
    return norms
