"""Standing statistics, which a finished generator's batch norms use instead of the batch's (BigGAN, section 4.1).

They depend on the truncation of z, so they are estimated for one truncation at a time.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from dvdgan.networks.batch_norm import BatchNormReLU

STATISTICS = ("mean", "var")  # the buffers of a batch norm that hold them


@torch.no_grad()
def estimate_statistics(generator: nn.Module, batches: Iterable[tuple[Tensor | None, ...]]) -> None:
    """Set the mean and variance of every batch norm to those of many batches, in place.

    Each batch is normalised by its own statistics, as in training; the moments of all batches are then pooled.

    Args:
        generator: a `Generator`; left in evaluation mode.
        batches: latents ``[B, z_dim]``, labels ``[B]`` or None, and first frames where the generator takes them; all
            batches of one size.

    Raises:
        ValueError: there is no batch.
    """
    norms = [module for module in generator.modules() if isinstance(module, BatchNormReLU)]
    moments: list[list[Tensor]] = [[] for _ in norms]  # per norm: sums of mean and of mean square, [sets, C]
    generator.train()
    count = 0
    for z, labels, *first in batches:
        for norm in norms:
            norm.observer = []
        generator(z, labels, None, *first)
        count += 1
        for norm, sums in zip(norms, moments):
            # of all chunks of time; a stage before any recurrence has the same in each
            mean, var = (torch.cat(parts)[: norm.statistics_sets] for parts in zip(*norm.observer or ()))
            update = [mean, var + mean.square()]
            sums[:] = [a + b for a, b in zip(sums, update)] if sums else update
            norm.observer = None
    generator.eval()
    if count == 0:
        raise ValueError("statistics need at least one batch")
    for norm, (mean_sum, square_sum) in zip(norms, moments):
        norm.mean.copy_(mean_sum / count)
        norm.var.copy_((square_sum / count - norm.mean.square()).clamp_min_(0))


def statistics_of(generator: nn.Module) -> dict[str, Tensor]:
    """Copies of a generator's standing statistics by buffer name, ``[sets, C]`` each."""
    return {
        f"{name}.{kind}": getattr(module, kind).clone()
        for name, module in generator.named_modules()
        if isinstance(module, BatchNormReLU)
        for kind in STATISTICS
    }


@torch.no_grad()
def load_statistics(generator: nn.Module, statistics: dict[str, Tensor]) -> None:
    """Load statistics from `statistics_of` into a generator."""
    buffers = dict(generator.named_buffers())
    for name, value in statistics.items():
        buffers[name].copy_(value)
