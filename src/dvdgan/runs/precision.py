"""Which precision, or which memory layout, is quickest on a device: measured before a run, which then keeps it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

Choice = TypeVar("Choice")

_ROUNDS = 4
_HOPELESS = 3  # times as long as the quickest, warming up


def quickest(choices: Sequence[Choice], work: Callable[[Choice], object], device: torch.device) -> Choice:
    """The choice under which some work takes the least time.

    Each is measured in turn, several times over, so that a busy moment of the machine decides nothing; the first round
    warms up, and leaves those out that take several times as long as another. A single choice is not measured.

    Args:
        choices: what may be chosen; at least one.
        work: does the work under a choice, on the device.
        device: what is waited for.
    """
    if len(choices) == 1:
        return choices[0]
    first = [seconds_of(work, choice, device) for choice in choices]
    choices = [choice for choice, seconds in zip(choices, first) if seconds <= _HOPELESS * min(first)]
    rounds = [[seconds_of(work, choice, device) for choice in choices] for _ in range(_ROUNDS)]
    return min(zip(choices, zip(*rounds)), key=lambda measured: min(measured[1]))[0]


def seconds_of(work: Callable[[Choice], object], choice: Choice, device: torch.device) -> float:
    """Seconds that some work takes on a device, its end waited for."""
    start = time.perf_counter()
    work(choice)
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return time.perf_counter() - start
