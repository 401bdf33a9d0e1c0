"""Which checkpoints of a run stay: the newest, every n-th, the best, within a number of bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dvdgan.config import TrainingConfig


@dataclass(frozen=True)
class Kept:
    """A checkpoint on disk.

    Attributes:
        path: the file.
        step: its G step.
        size: its length in bytes.
        score: distance of its samples from real clips, lower is better; None where it was not measured.
    """

    path: Path
    step: int
    size: int
    score: float | None = None


def expendable(checkpoints: Sequence[Kept], training: TrainingConfig) -> list[Path]:
    """The files to remove, so that what stays fits ``training``'s four fields and its room.

    The newest always stays, whatever its size. What goes first for want of room: steps of ``keep_every``, the oldest
    first; then the other newest ones, the oldest first; then the best, the worst first.

    Args:
        checkpoints: whole checkpoints, in any order.
        training: ``keep_checkpoints``, ``keep_every``, ``keep_best`` and ``checkpoint_gib``.
    """
    by_step = sorted(checkpoints, key=lambda kept: kept.step, reverse=True)
    newest = by_step[: training.keep_checkpoints]
    best = sorted((c for c in by_step if c.score is not None), key=lambda c: (c.score, -c.step))[: training.keep_best]
    every = [c for c in by_step if training.keep_every and c.step % training.keep_every == 0]
    room = training.checkpoint_gib * 2**30
    stay: list[Kept] = []
    for kept in dict.fromkeys([*newest[:1], *best, *newest[1:], *every]):
        if not stay or sum(c.size for c in stay) + kept.size <= room:
            stay.append(kept)
    return [kept.path for kept in by_step if kept not in stay]
