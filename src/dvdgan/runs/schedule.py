"""How learning rates fall over a training."""

from __future__ import annotations

import math


def decay_factor(step: int, steps: int, start: int, kind: str) -> float:
    """Factor on a learning rate at step ``step`` of ``steps``: 1 until ``start``, then down to 0.

    Args:
        step: counted from 0.
        steps: of the whole training.
        start: the step at which the decay begins.
        kind: ``none``, ``linear`` or ``cosine``.
    """
    if kind == "none" or step < start:
        return 1.0
    done = min((step - start) / max(steps - start, 1), 1.0)
    return 1.0 - done if kind == "linear" else 0.5 * (1 + math.cos(math.pi * done))
