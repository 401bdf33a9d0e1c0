"""Losses on scores, fp32. D_S and D_T give each clip one number, ``[B]``; D_P several, ``[B, N]``."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from dvdgan.networks.layers import full_precision
from dvdgan.runs.distributed import gathered


class DiscriminatorLoss(NamedTuple):
    """A discriminator's loss on some clips, and what it comes from; only the total has a graph."""

    total: Tensor
    plain: Tensor  # without penalties
    real: Tensor  # scores [B] of the real clips of all processes
    fake: Tensor  # the same of generated clips
    penalty_real: Tensor | None  # R1, without its weight; None where it was not applied
    penalty_fake: Tensor | None  # R2


class HingeLoss:
    """The hinge loss (paper, section 3.3)."""

    def fake_labels(self, drawn: Tensor | None, real: Tensor | None) -> Tensor | None:
        """The classes of generated clips: those that were drawn for them ``[B]``, or None without classes."""
        return drawn

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """E[relu(1 − D(x))] + E[relu(1 + D(G(z)))]."""
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()

    def generator(self, real: Callable[[], Tensor], fake: Tensor) -> Tensor:
        """−E[D(G(z))]: no hinge for G."""
        return -fake.mean()


class RelativisticLoss:
    """The relativistic pairing loss (Huang et al. 2024, R3GAN, equation 2): real and fake are paired by position."""

    def fake_labels(self, drawn: Tensor | None, real: Tensor | None) -> Tensor | None:
        """The classes of generated clips: those of the real clips that they are paired with."""
        return real

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """E[softplus(D(G(z)) − D(x))]."""
        return F.softplus(fake - real).mean()

    def generator(self, real: Callable[[], Tensor], fake: Tensor) -> Tensor:
        """E[softplus(D(x) − D(G(z)))]: the same with the roles exchanged."""
        return F.softplus(real() - fake).mean()


LOSSES: dict[str, HingeLoss | RelativisticLoss] = {"hinge": HingeLoss(), "relativistic": RelativisticLoss()}
"""By ``training.loss``. Scores of real clips that G's loss needs are computed when it calls for them."""


def gradient_penalty(discriminator: Callable[[Tensor], Tensor], seen: Tensor) -> Tensor:
    """E[|grad of the score with respect to what the discriminator sees|²], differentiable (Mescheder et al. 2018).

    R1 is this on real clips and R2 on generated ones, times gamma / 2. Runs outside autocast, in fp32.

    Args:
        discriminator: scores ``[B]`` of views.
        seen: views ``[B, …]``: the k frames, or the pooled clip, before augmentation.
    """
    with full_precision(seen.device), sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
        seen = seen.detach().float().requires_grad_(True)
        (gradient,) = torch.autograd.grad(discriminator(seen).sum(), seen, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()


class LeCam:
    """LeCam regularisation (Tseng et al. 2021): λ · (E[relu(D(x) − a_F)²] + E[relu(a_R − D(G(z)))²]).

    a_R and a_F are moving averages of the scores of real and generated clips.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.real = self.fake = 0.0

    def __call__(self, real: Tensor, fake: Tensor) -> Tensor:
        """The penalty, without λ, of scores ``[B]``; moves the averages first."""
        self.real = self.decay * self.real + (1 - self.decay) * float(gathered(real.detach()).mean())
        self.fake = self.decay * self.fake + (1 - self.decay) * float(gathered(fake.detach()).mean())
        return F.relu(real - self.fake).square().mean() + F.relu(self.real - fake).square().mean()
