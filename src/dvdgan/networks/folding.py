"""Folding time into the batch. Only this module knows the order.

The order is time-major: index ``n = t * B + b``. The batch of one time step is then contiguous, for the recurrence.
"""

from __future__ import annotations

from torch import Tensor


def fold_time(clip: Tensor) -> Tensor:
    """``[B, T, ...]`` to ``[T * B, ...]``."""
    return clip.transpose(0, 1).flatten(0, 1)


def unfold_time(folded: Tensor, frames: int) -> Tensor:
    """``[T * B, ...]`` back to ``[B, T, ...]``; the inverse of `fold_time`."""
    return folded.unflatten(0, (frames, -1)).transpose(0, 1)


def repeat_over_time(per_clip: Tensor, frames: int) -> Tensor:
    """``[B, ...]`` to ``[T * B, ...]``: every frame of a clip gets the clip's value, in `fold_time`'s order."""
    return per_clip.expand(frames, *per_clip.shape).flatten(0, 1)


def repeat_over_batch(per_step: Tensor, batch: int) -> Tensor:
    """``[T, ...]`` to ``[T * B, ...]``: every clip gets the time step's value, in `fold_time`'s order."""
    return per_step[:, None].expand(-1, batch, *per_step.shape[1:]).flatten(0, 1)


def by_step(folded: Tensor, frames: int) -> Tensor:
    """``[T * B, ...]`` to a view ``[T, B, ...]``, whose item t is the batch of one time step."""
    return folded.unflatten(0, (frames, -1))
