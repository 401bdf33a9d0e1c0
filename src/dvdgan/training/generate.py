"""Generated clips of a training step: the discriminators', without their graph, and those that G learns from."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dvdgan.devices import autocast
from dvdgan.randomness import numpy_generator
from dvdgan.training.accumulate import parts_of
from dvdgan.training.batches import Batch, Batches, Rows, rows_of
from dvdgan.training.losses import LOSSES
from dvdgan.training.state import TrainingState


def to_generate(state: TrainingState, batches: Batches, real: Batch, index: int) -> tuple[Tensor | None, Tensor | None]:
    """Classes ``[B]`` and first frames ``[B, D, 3, H, W]`` of clips to generate; each None where there are none.

    Args:
        state: the training's.
        batches: give the classes.
        real: the real clips beside them, whose frames a generator goes on from that predicts what follows.
        index: of the discriminator step that they are for; one past the last is G's own.
    """
    count = state.config.network.first_frames
    if count:
        return real.labels, real.clips[:, :count]
    drawn = batches.fake_labels(state.step, index)
    return LOSSES[state.config.training.loss].fake_labels(drawn, real.labels), None


def generate(
    state: TrainingState,
    labels: Tensor | None,
    index: int | None = None,
    part: Rows = None,
    first: Tensor | None = None,
) -> Batch:
    """Generate clips, or windows of longer ones (``training.long_clips``).

    Args:
        state: the training's.
        labels: their classes ``[B]``, or None.
        index: of the discriminator step that they are for, without their graph; None makes those that G learns from at
            this step, with their graph (while it learns).
        part: which of the batch; None is all.
        first: frames that they begin with, ``[B, D, 3, H, W]``, for a generator that predicts what follows.
    """
    kind, number = ("g", state.step) if index is None else ("d", state.d_step(index))
    start = _start(state, kind, number)
    z = torch.from_numpy(state.noise(kind, number, part).normal("z", state.generator.z_dim)).to(state.device)
    learns = index is None and not state.only_discriminators_learn
    with autocast(state.device, state.precision), torch.set_grad_enabled(learns):
        if learns:
            return Batch(_clips(state.learners["generator"], state, z, labels, first, start), labels, start)
        parts = parts_of(state, len(z))
        if parts == [None]:
            return Batch(_clips(state.generator, state, z, labels, first, start), labels, start)
        clips = [
            _clips(state.generator, state, z[rows], rows_of(labels, rows), rows_of(first, rows), start)
            for rows in parts
        ]
    order = torch.tensor([row for rows in parts for row in rows or ()]).argsort()
    return Batch(torch.cat(clips)[order.to(state.device)], labels, start)


def _clips(
    network: nn.Module, state: TrainingState, z: Tensor, labels: Tensor | None, first: Tensor | None, start: int
) -> Tensor:
    if start:  # first frames are made ones by then, too
        return network(z, labels=labels, frames=state.config.network.frames, first=first, after=start)
    made = network(z, labels=labels, first=first)
    return made if first is None else torch.cat([first.to(made.dtype), made], 1)


def _start(state: TrainingState, kind: str, number: int) -> int:
    """The frame at which a batch's generated clips begin: 0, or a later one in ``training.long_clips`` of the batches.

    All clips of a batch begin at one frame, in whatever parts and processes it is made: batch norm sees them together.
    """
    t, network = state.config.training, state.config.network
    later, place = numpy_generator(t.seed, f"{kind}/start", number).random(2)
    if later >= t.long_clips:
        return 0
    return 1 + int(place * ((t.long_clips_until - 1) * network.frames - network.first_frames))
