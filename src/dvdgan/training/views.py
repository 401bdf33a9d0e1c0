"""What discriminators see of clips: DiffAugment, instance noise, and their own frames or places."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dvdgan.networks import ProjectedDiscriminator, SpatialDiscriminator, TemporalDiscriminator
from dvdgan.runs.augment import NUMBERS, diff_augment
from dvdgan.runs.noise import SampleNoise
from dvdgan.training.state import TrainingState


def augmented(state: TrainingState, clips: Tensor, noise: SampleNoise, side: str) -> dict[str, Tensor]:
    """For each discriminator, clips with ``regularisation.augment`` and ``regularisation.noise``, the same for both.

    Args:
        state: the training's.
        clips: ``[B, T, 3, H, W]`` in [−1, 1], fp32.
        noise: of the batch.
        side: ``real`` or ``fake``, which have random numbers of their own.
    """
    t = state.config.training
    reg = t.regularisation
    if reg.augment:
        clips = diff_augment(clips, reg.augment, noise.uniform(f"augment/{side}", NUMBERS))
    end = reg.noise if reg.noise_end is None else reg.noise_end
    deviation = reg.noise + (end - reg.noise) * min(state.step / t.steps, 1.0)
    shown = dict.fromkeys(state.discriminators, clips)
    if deviation:
        added = torch.from_numpy(noise.normal(f"noise/{side}", clips[0].numel())).to(clips.device)  # [B, T * 3 * H * W]
        noisy = torch.add(clips, added.view_as(clips), alpha=deviation)
        shown |= dict.fromkeys(shown if reg.noise_on == "all" else [reg.noise_on], noisy)
    return shown


def view(state: TrainingState, discriminator: nn.Module, clips: Tensor, noise: SampleNoise, side: str) -> Tensor:
    """What a discriminator scores of clips: D_S and D_P some frames, chosen by noise; D_T all, pooled or cropped.

    Clips of a group show the same frames and places, or their features would differ as these do.

    Args:
        state: the training's.
        discriminator: D_S, D_T or D_P.
        clips: ``[B, T, 3, H, W]``.
        noise: of the batch.
        side: ``real`` or ``fake``, which have random numbers of their own.
    """

    def shared(purpose: str, count: int) -> Tensor:
        group = state.config.network.group
        return torch.from_numpy(noise.uniform(f"{purpose}/{side}", count)[::group].repeat(group, 0))

    if isinstance(discriminator, (SpatialDiscriminator, ProjectedDiscriminator)):
        return discriminator.view(clips, shared("frames", clips.shape[1] - discriminator.first_frames))
    assert isinstance(discriminator, TemporalDiscriminator)
    return discriminator.view(clips, shared("crop", 2) if discriminator.config.crop else None)
