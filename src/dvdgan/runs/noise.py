"""Random numbers of a training's samples, from the seed, the purpose and the sample's number: `dvdgan.randomness`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dvdgan.randomness import numpy_generator
from dvdgan.runs.distributed import rank, world_size


def sample_numbers(batch: int, batch_size: int) -> range:
    """Numbers, over the whole run, of the samples in the ``batch``-th batch that this process works on.

    A training in several processes divides them here, and only here: each works on as many, side by side, and labels
    and random numbers belong to the samples' numbers.
    """
    share = batch_size // world_size()
    first = batch * batch_size + rank() * share
    return range(first, first + share)


class SampleNoise:
    """Random numbers of the samples of one batch.

    Args:
        seed: the training's seed.
        kind: what the batch is for, such as ``d`` or ``g``; batches of different kinds are independent.
        numbers: of the B samples, from `sample_numbers`.
    """

    def __init__(self, seed: int, kind: str, numbers: Sequence[int]) -> None:
        self._seed, self._kind, self._numbers = seed, kind, numbers

    def normal(self, purpose: str, count: int) -> np.ndarray:
        """float32 ``[B, count]`` from N(0, 1)."""
        return np.stack([rng.standard_normal(count, np.float32) for rng in self._generators(purpose)])

    def uniform(self, purpose: str, count: int) -> np.ndarray:
        """float64 ``[B, count]`` in [0, 1)."""
        return np.stack([rng.random(count) for rng in self._generators(purpose)])

    def _generators(self, purpose: str) -> list[np.random.Generator]:
        return [numpy_generator(self._seed, f"{self._kind}/{purpose}", number) for number in self._numbers]
