"""Timing for the benchmarks: medians with their spread, and whether the machine was left alone."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

BUSY = 0.15  # share of the machine's processors that others may use before a figure is doubtful


def undisturbed() -> float:
    """Seconds that pass, on Linux without those in which this thread waits for a processor that others have."""
    waited = 0
    with contextlib.suppress(OSError), open("/proc/thread-self/schedstat", encoding="ascii") as file:
        waited = int(file.read().split()[1])
    return time.perf_counter() - waited / 1e9


@dataclass(frozen=True)
class Timing:
    """Seconds of one call: median, quickest and slowest of several."""

    median: float
    low: float
    high: float
    calls: int

    @property
    def spread(self) -> float:
        """Half the range over the median."""
        return (self.high - self.low) / 2 / self.median


def measure(call: Callable[[], object], seconds: float = 1.0, least: int = 3, most: int = 50) -> Timing:
    """Time a call, after one that warms up, until `seconds` have passed.

    Args:
        call: what to time.
        seconds: how long to go on for.
        least: calls at least.
        most: calls at most.
    """
    call()
    found: list[float] = []
    began = time.perf_counter()
    while len(found) < least or (time.perf_counter() - began < seconds and len(found) < most):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return Timing(statistics.median(found), min(found), max(found), len(found))


class OtherLoad:
    """What share of the processors others than this process and its ended children used, from its making to `share`."""

    def __init__(self) -> None:
        self._all, self._own, self._wall = _machine_seconds(), sum(os.times()[:4]), time.perf_counter()

    def share(self) -> float | None:
        """From 0 to 1; None where the system does not say."""
        if self._all is None:
            return None
        now = _machine_seconds()
        assert now is not None
        others = (now - self._all) - (sum(os.times()[:4]) - self._own)
        return max(0.0, others / (time.perf_counter() - self._wall) / (os.cpu_count() or 1))


def _machine_seconds() -> float | None:
    """Processor seconds that all processes have used since the system started."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            user, nice, system, _idle, _wait, irq, softirq, *_ = map(int, file.readline().split()[1:])
    except (OSError, ValueError):
        return None
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
