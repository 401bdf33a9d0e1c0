"""Latents and classes on the way between seeds and between classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dvdgan.requests import PipelineError, label_indices, mixture_name


class Way(NamedTuple):
    """Clips on a way, N of them."""

    z: Tensor  # [N, z_dim]
    mixtures: Tensor | None  # of classes, [N, classes]; None without classes
    names: list[str]  # of the classes, with their shares where they are mixed
    seeds: list[int]  # the nearest one


def check_way(seeds: Sequence[int], steps: int) -> None:
    """Refuse a way without a beginning and an end.

    Raises:
        PipelineError: fewer than two seeds, or than two steps.
    """
    if len(seeds) < 2 or steps < 2:
        raise PipelineError(
            f"an interpolation needs two seeds or more and two steps or more, not {len(seeds)} and {steps}"
        )


def way(
    ends: Tensor,
    seeds: Sequence[int],
    labels: str | int | Sequence[str | int] | None,
    classes: Sequence[str],
    steps: int,
) -> Way:
    """What lies on the way from seed to seed.

    Args:
        ends: the seeds' latents, ``[len(seeds), z_dim]``.
        seeds: two or more.
        labels: one class, or one per seed; None is the first class.
        classes: the model's class names; empty when unconditional.
        steps: clips from each seed to the next, the ends included.

    Raises:
        PipelineError: labels that are neither one nor as many as seeds, or no classes of the model.
    """
    y_ends = None
    if classes:
        indices = label_indices(labels if labels is not None else 0, classes)
        indices = indices * len(seeds) if len(indices) == 1 else indices
        if len(indices) != len(seeds):
            raise PipelineError(f"{len(indices)} classes for {len(seeds)} seeds: give one class, or one per seed")
        y_ends = torch.eye(len(classes))[indices]
    elif labels is not None:
        label_indices(labels, classes)  # says that the model is unconditional
    fractions = [
        (leg, float(fraction))
        for leg in range(len(seeds) - 1)
        for fraction in np.linspace(0, 1, steps)[1 if leg else 0 :]
    ]
    z = torch.stack([spherical(ends[leg], ends[leg + 1], fraction) for leg, fraction in fractions])
    nearest = [seeds[leg + round(fraction)] for leg, fraction in fractions]
    if y_ends is None:
        return Way(z, None, ["clip"] * len(nearest), nearest)
    mixtures = torch.stack([torch.lerp(y_ends[leg], y_ends[leg + 1], fraction) for leg, fraction in fractions])
    return Way(z, mixtures, [mixture_name(mixture, classes) for mixture in mixtures], nearest)


def spherical(a: Tensor, b: Tensor, fraction: float) -> Tensor:
    """Spherical interpolation of two latents ``[z_dim]``, with the norm interpolated linearly."""
    length_a, length_b = a.norm(), b.norm()
    angle = torch.acos((torch.dot(a, b) / (length_a * length_b)).clamp(-1, 1))
    if angle < 1e-4:
        return torch.lerp(a, b, fraction)
    direction = (
        torch.sin((1 - fraction) * angle) * a / length_a + torch.sin(fraction * angle) * b / length_b
    ) / torch.sin(angle)
    return direction * torch.lerp(length_a, length_b, fraction)
