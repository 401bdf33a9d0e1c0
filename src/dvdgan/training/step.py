"""One training step: updates of the discriminators, then one of the generator (paper, sections 3.3 and 4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor, nn

from dvdgan.devices import autocast
from dvdgan.networks import SpatialDiscriminator, TemporalDiscriminator, power_iterate
from dvdgan.randomness import numpy_generator
from dvdgan.runs.augment import NUMBERS, diff_augment
from dvdgan.runs.distributed import gathered
from dvdgan.runs.noise import SampleNoise, sample_numbers
from dvdgan.training.batches import Batch, Batches
from dvdgan.training.losses import LOSSES, gradient_penalty
from dvdgan.training.metrics import DiscriminatorMetrics, DiscriminatorUpdate, GeneratorMetrics
from dvdgan.training.state import TrainingState

Rows = Sequence[int] | None  # of a batch: those of a part of it, or all


def update_discriminators(
    state: TrainingState, batches: Batches
) -> tuple[Batch, Batch | None, list[DiscriminatorUpdate]]:
    """All discriminator steps of a training step.

    Returns:
        The last real clips; the generated ones that G is to learn from (with ``reuse_fakes``; else None), with their
        graph; and what each step measured.
    """
    t, loss = state.config.training, LOSSES[state.config.training.loss]
    metrics = []
    for index in range(t.d_steps):
        real = batches.real()
        reused = t.reuse_fakes and index == t.d_steps - 1
        labels = loss.fake_labels(batches.fake_labels(state.step, index + reused), real.labels)
        labels, first = _goes_on(state, real, labels)
        fake = generate(state, labels, None if reused else index, first=first)
        metrics.append(discriminator_step(state, real, fake, index))
    return real, fake if reused else None, metrics


def update_generator(
    state: TrainingState, batches: Batches, real: Batch, fake: Batch | None
) -> tuple[Batch, GeneratorMetrics | None]:
    """The generator step of a training step.

    Args:
        state: the training's.
        batches: give the classes to generate.
        real: the last real clips.
        fake: clips to learn from; None generates some.

    Returns:
        The generated clips, fp32, without their graph; and what was measured, None where only discriminators learn.
    """
    made: list[Batch] = []  # in parts, which would be too large together

    def make(part: Rows) -> Batch:
        given = first if first is None or part is None else first[part]
        batch = generate(state, labels if labels is None or part is None else labels[part], part=part, first=given)
        made.append(batch._replace(clips=batch.clips.detach()))
        return batch

    metrics = None
    if fake is None:
        drawn = batches.fake_labels(state.step, state.config.training.d_steps)
        labels = LOSSES[state.config.training.loss].fake_labels(drawn, real.labels)
        labels, first = _goes_on(state, real, labels)
        if state.config.training.accumulate > 1 and not state.only_discriminators_learn:
            metrics = generator_step(state, real, make)
            shown = None if labels is None else torch.cat([batch.labels for batch in made if batch.labels is not None])
            return Batch(torch.cat([batch.clips for batch in made]).float(), shown, made[0].start), metrics
        fake = generate(state, labels, first=first)
    if not state.only_discriminators_learn:
        metrics = generator_step(state, real, fake)
    return fake._replace(clips=fake.clips.detach().float()), metrics


def _goes_on(state: TrainingState, real: Batch, labels: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """Classes and first frames of clips to generate: real clips' where first frames are given; else labels and None."""
    count = state.config.network.first_frames
    return (real.labels, real.clips[:, :count]) if count else (labels, None)


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

    def clips_of(network: nn.Module, rows: Rows = None) -> Tensor:
        noise, y, given = (x if x is None or rows is None else x[rows] for x in (z, labels, first))
        if start:  # first frames are made ones by then, too
            return network(noise, y, state.config.network.frames, given, start)
        made = network(noise, y, first=given)
        return made if given is None else torch.cat([given.to(made.dtype), made], 1)

    kind, number = ("g", state.step) if index is None else ("d", _d_step(state, index))
    start = _start(state, kind, number)
    z = torch.from_numpy(_noise(state, kind, number, part).normal("z", state.generator.z_dim)).to(state.device)
    learns = index is None and not state.only_discriminators_learn
    with autocast(state.device, state.precision), torch.set_grad_enabled(learns):
        if learns:
            return Batch(clips_of(state.learners["generator"]), labels, start)
        parts = _parts(state, len(z))
        if parts == [None]:
            return Batch(clips_of(state.generator), labels, start)
        clips = torch.cat([clips_of(state.generator, rows) for rows in parts])
        order = torch.tensor([row for rows in parts for row in rows or ()]).argsort()
        return Batch(clips[order.to(state.device)], labels, start)


def _start(state: TrainingState, kind: str, number: int) -> int:
    """The frame at which a batch's generated clips begin: 0, or a later one in ``training.long_clips`` of the batches.

    All clips of a batch begin at one frame, in whatever parts and processes it is made: batch norm sees them together.
    """
    t, network = state.config.training, state.config.network
    later, place = numpy_generator(t.seed, f"{kind}/start", number).random(2)
    if later >= t.long_clips:
        return 0
    return 1 + int(place * ((t.long_clips_until - 1) * network.frames - network.first_frames))


def discriminator_step(state: TrainingState, real: Batch, fake: Batch, index: int = 0) -> DiscriminatorUpdate:
    """Update both discriminators.

    Args:
        state: the training's.
        real: real clips.
        fake: generated clips; no gradient goes to them.
        index: of the discriminator step within the training step, from 0.

    Returns:
        What was measured, by discriminator.
    """
    reg, d_step = state.config.training.regularisation, _d_step(state, index)
    penalise = bool(reg.r1 or reg.r2) and d_step % reg.every == 0
    measured: dict[str, list[dict[str, Tensor]]] = {name: [] for name in state.discriminators}

    def loss_of(part: Rows) -> Tensor:
        noise = _noise(state, "d", d_step, part)
        total, found = _discriminators_loss(state, real.part(part), fake.part(part), noise, penalise)
        for name, values in found.items():
            measured[name].append(values)
        return total

    norms = _descend(state, "adam_d", loss_of, len(real.clips), state.discriminators)
    return {
        name: DiscriminatorMetrics(**_numbers(_mean_of_parts(parts) | {"gradient": norms[name]}))
        for name, parts in measured.items()
    }


def _discriminators_loss(
    state: TrainingState, real: Batch, fake: Batch, noise: SampleNoise, penalise: bool
) -> tuple[Tensor, dict[str, dict[str, Tensor]]]:
    """The sum of the discriminators' losses on some clips, and what was measured, by discriminator."""
    reg, loss = state.config.training.regularisation, LOSSES[state.config.training.loss]
    fake = fake._replace(clips=fake.clips.detach().float())
    both_labels = None if real.labels is None or fake.labels is None else torch.cat([real.labels, fake.labels])

    measured: dict[str, dict[str, Tensor]] = {}
    total = torch.zeros((), device=state.device)
    shown = [_augment(state, real.clips, noise, "real"), _augment(state, fake.clips, noise, "fake")]
    for name, discriminator in state.discriminators.items():
        # Score real and generated clips in one call.
        with autocast(state.device, state.precision):
            views = [_view(state, discriminator, clips, noise, side) for clips, side in zip(shown, ("real", "fake"))]
            real_score, fake_score = state.learners[name](torch.cat(views), both_labels).float().chunk(2)
        plain = loss.discriminator(real_score, fake_score)
        total_of_one, penalties = plain, {}

        # Regularise.
        if reg.lecam:
            total_of_one = total_of_one + reg.lecam * state.lecam[name](real_score, fake_score)
        for weight, batch, side in ((reg.r1, real, "real"), (reg.r2, fake, "fake")):
            if penalise and weight:
                view = _view(state, discriminator, batch.clips, noise, side)
                penalty = gradient_penalty(partial(discriminator, labels=batch.labels), view)
                penalties[f"penalty_{side}"] = penalty.detach()
                total_of_one = total_of_one + weight / 2 * reg.every * penalty

        total = total + total_of_one
        real_scores, fake_scores = gathered(real_score.detach()), gathered(fake_score.detach())
        measured[name] = {
            "loss": plain.detach(),
            "real": real_scores.mean(),
            "fake": fake_scores.mean(),
            "auc": pairs_ranked_rightly(real_scores, fake_scores),
            **penalties,
        }
    return total, measured


def generator_step(state: TrainingState, real: Batch, fake: Batch | Callable[[Rows], Batch]) -> GeneratorMetrics:
    """Update G and its average.

    Args:
        state: the training's.
        real: real clips; the relativistic loss compares with them.
        fake: from `generate`, with their graph; or what makes those of a part of the batch.
    """
    for discriminator in state.discriminators.values():
        discriminator.requires_grad_(False)
    measured: list[dict[str, Tensor]] = []

    def loss_of(part: Rows) -> Tensor:
        noise = _noise(state, "g", state.step, part)
        made = fake.part(part) if isinstance(fake, Batch) else fake(part)
        total, found = _generator_loss(state, real.part(part), made, noise)
        measured.append(found)
        return total

    norm = _descend(state, "adam_g", loss_of, len(real.clips), {"generator": state.generator})["generator"]
    for discriminator in state.discriminators.values():
        discriminator.requires_grad_(True)
    state.ema.update(state.generator, state.step)
    losses = _mean_of_parts(measured)
    *found, gradient = _numbers({**losses, "gradient": norm}).values()
    return GeneratorMetrics(dict(zip(losses, found)), gradient)


def _generator_loss(
    state: TrainingState, real: Batch, fake: Batch, noise: SampleNoise
) -> tuple[Tensor, dict[str, Tensor]]:
    """The sum of G's losses on some clips, and each of them, by discriminator; or ``reconstruction``."""
    loss, reconstruction = LOSSES[state.config.training.loss], state.config.training.regularisation.reconstruction

    def score(discriminator: nn.Module, clips: Tensor, labels: Tensor | None, side: str) -> Tensor:
        with autocast(state.device, state.precision):
            return discriminator(_view(state, discriminator, clips, noise, side), labels).float()

    def score_real(discriminator: nn.Module) -> Tensor:
        with torch.no_grad():
            return score(discriminator, _augment(state, real.clips, noise, "real"), real.labels, "real")

    shown = _augment(state, fake.clips.float(), noise, "fake")
    total = torch.zeros((), device=state.device)
    losses: dict[str, Tensor] = {}
    for name, discriminator in state.discriminators.items():
        fake_score = score(discriminator, shown, fake.labels, "fake")
        one = loss.generator(partial(score_real, discriminator), fake_score)
        total, losses[name] = total + one, one.detach()
    if reconstruction and not fake.start:  # of later windows it is not known what really followed
        made = slice(state.config.network.first_frames, None)
        difference = (fake.clips[:, made].float() - real.clips[:, made]).abs().mean()
        total, losses["reconstruction"] = total + reconstruction * difference, difference.detach()
    return total, losses


def _descend(
    state: TrainingState,
    optimiser: str,
    loss_of: Callable[[Rows], Tensor],
    clips: int,
    networks: Mapping[str, nn.Module],
) -> dict[str, Tensor]:
    """One optimiser step on the mean loss over the parts of so many clips; returns the norm of each one's gradient."""
    parts = _parts(state, clips)
    for part in parts:
        with state.keep_gradients(networks) if part is not parts[-1] else nullcontext():
            (loss_of(part) / len(parts)).backward()
    norms = {
        name: torch.nn.utils.get_total_norm([p.grad for p in net.parameters() if p.grad is not None])
        for name, net in networks.items()
    }
    state.optimisers[optimiser].step()
    state.optimisers[optimiser].zero_grad(set_to_none=True)  # the other networks' step has the room
    for network in networks.values():
        power_iterate(network)
    return norms


def _parts(state: TrainingState, clips: int) -> list[Rows]:
    """The parts of so many clips on which networks run one after the other: ``training.accumulate`` of them.

    Groups are dealt out in turn: a part of the whole batch is then the same on any number of processes.
    """
    count, group = state.config.training.accumulate, state.config.network.group
    if count == 1:
        return [None]
    return [[row for row in range(clips) if row // group % count == part] for part in range(count)]


def _mean_of_parts(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([part[name] for part in parts]).mean(0) for name in parts[0]}


def _noise(state: TrainingState, kind: str, batch: int, part: Rows) -> SampleNoise:
    t = state.config.training
    numbers = sample_numbers(batch, t.batch_size)
    return SampleNoise(t.seed, kind, numbers if part is None else [numbers[row] for row in part])


def _d_step(state: TrainingState, index: int) -> int:
    """Number of a discriminator step over the whole run."""
    return state.step * state.config.training.d_steps + index


def _augment(state: TrainingState, clips: Tensor, noise: SampleNoise, side: str) -> Tensor:
    reg = state.config.training.regularisation
    if reg.augment:
        clips = diff_augment(clips, reg.augment, noise.uniform(f"augment/{side}", NUMBERS))
    if reg.noise:
        added = torch.from_numpy(noise.normal(f"noise/{side}", clips[0].numel())).to(clips.device)  # [B, T * 3 * H * W]
        clips = torch.add(clips, added.view_as(clips), alpha=reg.noise)
    return clips


def _view(state: TrainingState, discriminator: nn.Module, clips: Tensor, noise: SampleNoise, side: str) -> Tensor:
    """What a discriminator sees of clips: D_S some frames, chosen by noise; D_T all, pooled or cropped by noise.

    Clips of a group show the same frames and places, or their features would differ as these do.
    """

    def shared(purpose: str, count: int) -> Tensor:
        group = state.config.network.group
        return torch.from_numpy(noise.uniform(f"{purpose}/{side}", count)[::group].repeat(group, 0))

    if isinstance(discriminator, SpatialDiscriminator):
        return discriminator.view(clips, shared("frames", clips.shape[1] - discriminator.first_frames))
    assert isinstance(discriminator, TemporalDiscriminator)
    return discriminator.view(clips, shared("crop", 2) if discriminator.config.crop else None)


def _numbers(values: Mapping[str, Tensor]) -> dict[str, float]:
    """Scalars as numbers, their means over the processes; waits for the device, once."""
    scalars = torch.stack([value.float() for value in values.values()])
    return dict(zip(values, gathered(scalars[None]).mean(0).tolist()))


def pairs_ranked_rightly(real: Tensor, fake: Tensor) -> Tensor:
    """Share of pairs (real, fake) in which real scores higher, ties by half: 0.5 is chance, 1 tells all apart.

    Args:
        real: scores ``[B]`` or ``[B, 1]``.
        fake: scores of the same shape.
    """
    difference = real.reshape(-1, 1) - fake.reshape(1, -1)
    return (torch.sign(difference).mean() + 1) / 2
