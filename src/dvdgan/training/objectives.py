"""What a step minimises: the losses of the networks on some clips, with their regularisation."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from dvdgan.devices import autocast
from dvdgan.runs.distributed import gathered
from dvdgan.runs.noise import SampleNoise
from dvdgan.training.batches import Batch
from dvdgan.training.losses import LOSSES, DiscriminatorLoss, gradient_penalty
from dvdgan.training.state import TrainingState
from dvdgan.training.views import augmented, view


def discriminator_losses(
    state: TrainingState, real: Batch, fake: Batch, noise: SampleNoise, penalise: bool
) -> dict[str, DiscriminatorLoss]:
    """The loss of each discriminator.

    Args:
        state: the training's.
        real: real clips.
        fake: generated clips; no gradient goes to them.
        noise: of the clips.
        penalise: whether gradient penalties are due.
    """
    reg, loss = state.config.training.regularisation, LOSSES[state.config.training.loss]
    fake = fake.detached()
    both_labels = None if real.labels is None or fake.labels is None else torch.cat([real.labels, fake.labels])
    shown_real = augmented(state, real.clips, noise, "real")
    shown_fake = augmented(state, fake.clips, noise, "fake")

    def penalty(discriminator: nn.Module, batch: Batch, side: str) -> Tensor:
        seen = view(state, discriminator, batch.clips, noise, side)
        return gradient_penalty(partial(discriminator, labels=batch.labels), seen)

    losses = {}
    for name, discriminator in state.discriminators.items():
        # Score real and generated clips in one call.
        with autocast(state.device, state.precision):
            seen_real = view(state, discriminator, shown_real[name], noise, "real")
            seen_fake = view(state, discriminator, shown_fake[name], noise, "fake")
            scores = state.learners[name](torch.cat([seen_real, seen_fake]), both_labels).float()
        real_scores, fake_scores = scores.chunk(2)
        total = plain = loss.discriminator(real_scores, fake_scores)

        # Regularise.
        if reg.lecam:
            total = total + reg.lecam * state.lecam[name](real_scores, fake_scores)
        r1 = penalty(discriminator, real, "real") if penalise and reg.r1 else None
        if r1 is not None:
            total = total + reg.r1 / 2 * reg.every * r1
        r2 = penalty(discriminator, fake, "fake") if penalise and reg.r2 else None
        if r2 is not None:
            total = total + reg.r2 / 2 * reg.every * r2

        losses[name] = DiscriminatorLoss(
            total=total,
            plain=plain.detach(),
            real=gathered(real_scores.detach()),
            fake=gathered(fake_scores.detach()),
            penalty_real=None if r1 is None else r1.detach(),
            penalty_fake=None if r2 is None else r2.detach(),
        )
    return losses


def generator_loss(
    state: TrainingState, real: Batch, fake: Batch, noise: SampleNoise
) -> tuple[Tensor, dict[str, Tensor]]:
    """The sum of G's losses on some clips, and each of them, by discriminator; or ``reconstruction``.

    Args:
        state: the training's.
        real: real clips; the relativistic loss compares with them.
        fake: generated clips, with their graph.
        noise: of the clips.
    """
    loss, reconstruction = LOSSES[state.config.training.loss], state.config.training.regularisation.reconstruction

    def score(discriminator: nn.Module, clips: Tensor, labels: Tensor | None, side: str) -> Tensor:
        with autocast(state.device, state.precision):
            return discriminator(view(state, discriminator, clips, noise, side), labels).float()

    def score_real(name: str) -> Tensor:
        with torch.no_grad():
            shown = augmented(state, real.clips, noise, "real")[name]
            return score(state.discriminators[name], shown, real.labels, "real")

    shown = augmented(state, fake.clips.float(), noise, "fake")
    total = torch.zeros((), device=state.device)
    losses: dict[str, Tensor] = {}
    for name, discriminator in state.discriminators.items():
        one = loss.generator(partial(score_real, name), score(discriminator, shown[name], fake.labels, "fake"))
        total, losses[name] = total + one, one.detach()
    if reconstruction and not fake.start:  # of later windows it is not known what really followed
        made = slice(state.config.network.first_frames, None)
        difference = (fake.clips[:, made].float() - real.clips[:, made]).abs().mean()
        total, losses["reconstruction"] = total + reconstruction * difference, difference.detach()
    return total, losses
