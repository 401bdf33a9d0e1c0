"""Which checkpoints of a run stay: the newest, every n-th, the best, within a number of bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SavedCheckpoint:
    """A checkpoint on disk.

    Attributes:
        path: the file.
        step: its step.
        size: its length in bytes.
        score: lower is better; None where it was not measured.
    """

    path: Path
    step: int
    size: int
    score: float | None = None


@dataclass(frozen=True)
class Retention:
    """Which checkpoints stay.

    Attributes:
        newest: how many of the newest, 1 or more.
        best: how many with the best scores.
        every: those of every step that is a multiple of this, too; 0 is off.
        gib: room for all of them, in GiB.
    """

    newest: int = 2
    best: int = 0
    every: int = 0
    gib: float = float("inf")

    def expendable(self, checkpoints: Sequence[SavedCheckpoint]) -> list[Path]:
        """The files to remove.

        The newest always stays, whatever its size. What goes first for want of room: steps of ``every``, the oldest
        first; then the other newest ones, the oldest first; then the best, the worst first.

        Args:
            checkpoints: whole checkpoints, in any order.
        """
        by_step = sorted(checkpoints, key=lambda c: c.step, reverse=True)
        newest = by_step[: self.newest]
        best = sorted((c for c in by_step if c.score is not None), key=lambda c: (c.score, -c.step))[: self.best]
        every = [c for c in by_step if self.every and c.step % self.every == 0]
        stay: list[SavedCheckpoint] = []
        for checkpoint in dict.fromkeys([*newest[:1], *best, *newest[1:], *every]):
            if not stay or sum(c.size for c in stay) + checkpoint.size <= self.gib * 2**30:
                stay.append(checkpoint)
        return [c.path for c in by_step if c not in stay]
