"""Random numbers that depend on what they are for, never on what was drawn before.

Every random number in dvdgan comes from a generator that is seeded with its purpose: (seed, what, step, sample).
Nothing then depends on batch size, on the number of workers, or on what was drawn for sample sheets, and a resumed run
has the random numbers that an uninterrupted one would have had.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def numpy_generator(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """A NumPy generator for one draw.

    Args:
        seed: the run's seed, >= 0.
        purpose: what is drawn, such as ``"z"``; different purposes are independent.
        numbers: step, sample index and the like, each >= 0; always as many for one purpose, because NumPy takes keys
            that differ only in zeros at the end for equal.
    """
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), *numbers])


def torch_generator(seed: int, purpose: str, *numbers: int) -> torch.Generator:
    """A CPU `torch.Generator` with the seed of `numpy_generator`."""
    import torch  # here, so that rendering and reading clips need no torch

    state = numpy_generator(seed, purpose, *numbers).integers(0, 2**63 - 1)
    return torch.Generator().manual_seed(int(state))
