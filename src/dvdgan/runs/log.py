"""The log of a run: one JSON object per line, and the averages between two lines."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from dvdgan.atomic import atomic_path, write_all
from dvdgan.documents import read_lines


class Log:
    """``log.jsonl`` of a run.

    Args:
        path: the file; appended to.
        lines: how many of its lines a resumed run goes on from; what an interruption left beyond them is cut off.
        say: where a warning goes if there are fewer.

    Attributes:
        lines: how many lines there are.
    """

    def __init__(self, path: Path, lines: int, say: Callable[[str], None]) -> None:
        self.lines, end = 0, 0
        with suppress(FileNotFoundError):
            for line in islice(read_lines(path), lines):
                if not line.endswith(b"\n"):
                    break
                self.lines, end = self.lines + 1, end + len(line)
            if path.stat().st_nlink > 1:  # a copy by links keeps what this file is about to lose
                with atomic_path(path, synced=True) as copy:
                    shutil.copyfile(path, copy)
        self._file = open(path, "a+b", buffering=0)  # noqa: SIM115 (closed by close; unbuffered: lines are whole or last)
        self._file.truncate(end)
        if self.lines < lines:
            say(f"warning: {path}: {lines - self.lines} lines that were written before the last checkpoint are missing")

    def write(self, line: dict[str, Any]) -> None:
        """Append one line; it must have a ``step``.

        Raises:
            OSError: it cannot be written, with ``errno.ENOSPC`` if the disk is full.
        """
        write_all(self._file, (json.dumps(line) + "\n").encode())
        self.lines += 1

    def sync(self) -> None:
        """Wait until what was written is on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Means:
    """Means, between two lines of the log, of values in named groups.

    Args:
        sums: the `sums` of earlier means, to go on from.

    Attributes:
        sums: sum and number of the values, by group and name; JSON-serialisable.
    """

    def __init__(self, sums: dict[str, dict[str, list[float]]] | None = None) -> None:
        self.sums: dict[str, dict[str, list[float]]] = sums or {}

    def add(self, group: str, name: str, *values: float) -> None:
        """Take in values."""
        entry = self.sums.setdefault(group, {}).setdefault(name, [0.0, 0])
        for value in values:
            entry[0] += value
            entry[1] += 1

    def take(self) -> dict[str, dict[str, float]]:
        """All means, by group and name; starts anew."""
        means = {
            group: {name: total / count for name, (total, count) in entries.items()}
            for group, entries in self.sums.items()
        }
        self.sums = {}
        return means
