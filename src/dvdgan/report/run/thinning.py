"""Long series of numbers, averaged as they are read so that a curve has a few hundred points."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Key = tuple[str, str]
"""A number's name, and its part: a class, or "" for the whole."""

MOST_POINTS = 600


class Bins:
    """Means of named numbers over runs of neighbouring lines.

    A bin holds one line at first. When all are full, neighbours are merged and each holds twice as many lines, so that
    a log of any length takes the same memory and keeps between ``most / 2`` and ``most`` points.

    Args:
        most: how many points a series has at most; even.
    """

    def __init__(self, most: int = MOST_POINTS) -> None:
        self._most, self._lines, self._lines_per_bin = most, 0, 1
        self._steps = np.zeros((2, most))  # sums and counts
        self._values: dict[Key, np.ndarray] = {}  # [2, most]: sums and counts
        self.last: dict[Key, float] = {}

    def add(self, step: int, values: Mapping[Key, float]) -> None:
        """Take in one line of finite numbers; a name may be missing from any line."""
        if self._lines == self._most * self._lines_per_bin:
            self._merge()
        place = self._lines // self._lines_per_bin
        self._lines += 1
        self._steps[:, place] += step, 1
        for key, value in values.items():
            if key not in self._values:
                self._values[key] = np.zeros((2, self._most))
            sums = self._values[key]
            sums[0, place] += value
            sums[1, place] += 1
        self.last.update(values)

    def _merge(self) -> None:
        for sums in (self._steps, *self._values.values()):
            half = sums.reshape(2, -1, 2).sum(axis=2)
            sums[:] = 0
            sums[:, : half.shape[1]] = half
        self._lines_per_bin *= 2

    def names(self) -> list[str]:
        """Names of the numbers, in the order that they first came."""
        return list(dict.fromkeys(name for name, _ in self._values))

    def parts(self, name: str) -> list[str]:
        """The classes, or other parts, that a name was logged for."""
        return [part for other, part in self._values if other == name and part]

    def series(self, name: str, part: str = "") -> tuple[np.ndarray, np.ndarray]:
        """Mean steps and mean values ``[N]`` of the bins that hold the number; both empty if it was never logged."""
        steps, table = self.table([(name, part)])
        there = ~np.isnan(table[0])
        return steps[there], table[0, there]

    def table(self, keys: list[Key]) -> tuple[np.ndarray, np.ndarray]:
        """Mean steps ``[N]`` of all bins, and the mean values ``[len(keys), N]``, NaN where a bin has none."""
        filled = self._steps[1] > 0
        steps = self._steps[0, filled] / self._steps[1, filled]
        rows = np.full((len(keys), len(steps)), np.nan)
        for row, key in zip(rows, keys):
            if key in self._values:
                sums, counts = self._values[key][:, filled]
                np.divide(sums, counts, out=row, where=counts > 0)
        return steps, rows
