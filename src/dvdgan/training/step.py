"""One training step: updates of the discriminators, then one of the generator (paper, sections 3.3 and 4)."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import torch
from torch import Tensor

from dvdgan.training.accumulate import accumulating, descend
from dvdgan.training.batches import Batch, Batches, joined, rows_of
from dvdgan.training.generate import generate, to_generate
from dvdgan.training.metrics import (
    DiscriminatorUpdate,
    GeneratorMetrics,
    StepMetrics,
    StepSeconds,
    discriminator_metrics,
    generator_metrics,
    measure_motion,
)
from dvdgan.training.objectives import DiscriminatorLoss, discriminator_losses, generator_loss
from dvdgan.training.state import TrainingState


def training_step(state: TrainingState, batches: Batches, classes: Sequence[str]) -> StepMetrics:
    """Update the discriminators ``training.d_steps`` times, then the generator and its average, and measure.

    Args:
        state: the training's.
        batches: give real clips, and the classes of clips to generate.
        classes: the classes' names.
    """
    t, begun, waited = state.config.training, perf_counter(), batches.waited

    # Update the discriminators.
    d_metrics: list[DiscriminatorUpdate] = []
    fake: Batch | None = None
    reused = False
    for index in range(t.d_steps):
        real = batches.real()
        reused = t.reuse_fakes and index == t.d_steps - 1  # G learns from these clips, too
        labels, first = to_generate(state, batches, real, index + reused)
        fake = generate(state, labels, None if reused else index, first=first)
        d_metrics.append(discriminator_step(state, real, fake, index))
    middle, waited = perf_counter(), batches.waited - waited

    # Update the generator and its average.
    if not reused:
        fake = None  # G's step has the room
        labels, first = to_generate(state, batches, real, t.d_steps)
    g_metrics: GeneratorMetrics | None = None
    if state.only_discriminators_learn:
        made = (fake or generate(state, labels, first=first)).detached()
    else:
        made, g_metrics = generator_step(state, real, fake, labels, first)
    seconds = StepSeconds(data=waited, d=middle - begun - waited, g=perf_counter() - middle)

    # Measure.
    return StepMetrics(d_metrics, g_metrics, measure_motion(real, made, classes), seconds)


def discriminator_step(state: TrainingState, real: Batch, fake: Batch, index: int = 0) -> DiscriminatorUpdate:
    """Update the discriminators.

    Args:
        state: the training's.
        real: real clips.
        fake: generated clips; no gradient goes to them.
        index: of the discriminator step within the training step, from 0.

    Returns:
        What was measured, by discriminator.
    """
    t, number = state.config.training, state.d_step(index)
    penalise = number % t.regularisation.every == 0
    parts: list[dict[str, DiscriminatorLoss]] = []
    for rows in accumulating(state, state.discriminators, len(real.clips)):
        noise = state.noise("d", number, rows)
        losses = discriminator_losses(state, real.part(rows), fake.part(rows), noise, penalise)
        total = torch.stack([one.total for one in losses.values()]).sum()
        (total / t.accumulate).backward()
        parts.append({name: one._replace(total=one.total.detach()) for name, one in losses.items()})
    gradients = descend(state, "adam_d", state.discriminators)
    return {name: discriminator_metrics([part[name] for part in parts], gradients[name]) for name in gradients}


def generator_step(
    state: TrainingState,
    real: Batch,
    fake: Batch | None = None,
    labels: Tensor | None = None,
    first: Tensor | None = None,
) -> tuple[Batch, GeneratorMetrics]:
    """Update G and its average.

    Args:
        state: the training's.
        real: real clips; the relativistic loss compares with them.
        fake: from `generate`, with their graph; None makes some, part by part, which would be too large together.
        labels: of clips to make, from `to_generate`.
        first: of clips to make, from `to_generate`.

    Returns:
        The generated clips, without their graph, and what was measured.
    """
    t = state.config.training
    made: list[Batch] = []
    parts: list[dict[str, Tensor]] = []
    with state.discriminators_frozen():
        for rows in accumulating(state, {"generator": state.generator}, len(real.clips)):
            if fake is None:
                part = generate(state, rows_of(labels, rows), part=rows, first=rows_of(first, rows))
            else:
                part = fake.part(rows)
            total, losses = generator_loss(state, real.part(rows), part, state.noise("g", state.step, rows))
            (total / t.accumulate).backward()
            made.append(part._replace(clips=part.clips.detach()))
            parts.append(losses)
        gradients = descend(state, "adam_g", {"generator": state.generator})
    state.ema.update(state.generator, state.step)
    return joined(made).detached(), generator_metrics(parts, gradients["generator"])
