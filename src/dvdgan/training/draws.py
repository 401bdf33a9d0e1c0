"""What a training step draws, keyed by (seed, purpose, global sample index): see `dvdgan.randomness`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dvdgan.randomness import keyed_rng
from dvdgan.training.augment import NUMBERS


class Draws:
    """Random numbers of the samples of one pass (one discriminator step, or one generator step).

    Args:
        seed: the training's seed.
        first: global index of the pass's first sample.
        count: samples B in the pass.
        kind: what the pass is for, such as ``d`` or ``g``; passes of different kinds are independent.
        group: neighbours that a discriminator scores together; ``first`` is a multiple of it.
    """

    def __init__(self, seed: int, first: int, count: int, kind: str, group: int = 1) -> None:
        self.seed, self.indices, self.kind, self.group = seed, range(first, first + count), kind, group

    def latent(self, z_dim: int) -> Tensor:
        """``[B, z_dim]`` from N(0, I)."""
        rows = [keyed_rng(self.seed, f"{self.kind}/z", i).standard_normal(z_dim, np.float32) for i in self.indices]
        return torch.from_numpy(np.stack(rows))

    def uniform(self, purpose: str, numbers: int) -> np.ndarray:
        """``[B, numbers]`` in [0, 1)."""
        return np.stack([keyed_rng(self.seed, f"{self.kind}/{purpose}", i).random(numbers) for i in self.indices])

    def frame_noise(self, side: str, frames: int) -> Tensor:
        """``[B, T]`` uniform, by which D_S's frames are chosen; ``side`` is ``real`` or ``fake``.

        Clips of a group get the same, or their features would differ as frames do.
        """
        return torch.from_numpy(self.uniform(f"frames/{side}", frames)[:: self.group].repeat(self.group, 0))

    def augmentation(self, side: str) -> np.ndarray:
        """``[B, NUMBERS]`` in [0, 1), for `diff_augment`."""
        return self.uniform(f"augment/{side}", NUMBERS)
