"""The log of a run: one JSON object per line, and the averages between two lines."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


class Journal:
    """``log.jsonl`` of a run.

    Args:
        path: the file; appended to.
        lines: how many of its lines a resumed run goes on from; what an interruption left beyond them is cut off.
        say: where a warning goes if there are fewer.

    Attributes:
        lines: how many lines there are.
    """

    def __init__(self, path: Path, lines: int, say: Callable[[str], None]) -> None:
        self._file = open(path, "a+b", buffering=0)  # noqa: SIM115 (closed by close; unbuffered: lines are whole or last)
        self.lines, end = 0, 0
        with open(path, "rb") as file:
            for line in islice(file, lines):
                if not line.endswith(b"\n"):
                    break
                self.lines, end = self.lines + 1, end + len(line)
        self._file.truncate(end)
        if self.lines < lines:
            say(f"warning: {path}: {lines - self.lines} lines that were written before the last checkpoint are missing")

    def write(self, line: dict[str, Any]) -> None:
        """Append one line; it must have a ``step``.

        Raises:
            OSError: it cannot be written, with ``errno.ENOSPC`` if the disk is full.
        """
        rest = memoryview((json.dumps(line) + "\n").encode())
        while rest:
            rest = rest[self._file.write(rest) :]
        self.lines += 1

    def sync(self) -> None:
        """Wait until what was written is on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Means:
    """Running means of scalars and of per-class values between two lines of the log. JSON-serialisable."""

    def __init__(self, state: dict[str, list[float]] | None = None) -> None:
        self.sums: dict[str, list[float]] = state or {}

    def add(self, values: dict[str, float | Tensor]) -> dict[str, float]:
        """Take in one value of each name, and return them as numbers."""
        names = list(values)
        numbers = torch.stack([torch.as_tensor(values[name], dtype=torch.float32) for name in names]).tolist()
        for name, number in zip(names, numbers):
            entry = self.sums.setdefault(name, [0.0, 0])
            entry[0] += number
            entry[1] += 1
        return dict(zip(names, numbers))

    def add_by_class(self, name: str, values: Tensor, labels: Tensor | None, classes: list[str]) -> None:
        """Take in values ``[B]``, averaged per class (name/class) and over all (name)."""
        of = [None] * len(values) if labels is None else labels.tolist()
        for value, label in zip(values.tolist(), of):
            for key in [name] if label is None else [name, f"{name}/{classes[label]}"]:
                entry = self.sums.setdefault(key, [0.0, 0])
                entry[0] += value
                entry[1] += 1

    def take(self) -> dict[str, float]:
        """All means; starts anew."""
        means = {name: total / count for name, (total, count) in self.sums.items()}
        self.sums = {}
        return means
