"""What a behaviour is: numbers measured on a clip's pixels, limits that real clips set, and a check of the two."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

Numbers = dict[str, float]
"""What was measured on one clip; always finite."""

Limits = dict[str, float]
"""What real clips allow, by name."""

Percentile = Callable[[str, float], float]
"""The percentile (0 to 100) of a number over the real clips on which everything was found."""


@dataclass(frozen=True)
class Measurements:
    """What was measured on one clip.

    Attributes:
        numbers: the measured numbers; without those that need what is missing.
        missing: what could not be found, a few words; empty where everything was.
    """

    numbers: Numbers
    missing: str = ""


@dataclass(frozen=True)
class Behaviour:
    """How one class is scored.

    Attributes:
        about: what a clip does that passes, in one plain sentence.
        measure: looks at one clip uint8 ``[T, H, W, 3]`` with at least ``fewest_frames`` frames.
        limits: chooses the limits from percentiles of real clips' numbers.
        check: says why numbers fail the limits, ``valid: …`` or ``behaviour: …``; an empty string where they pass.
        fewest_frames: a shorter clip cannot show the behaviour.
        may_pass: controls that show the behaviour all the same, so that nothing follows when they pass.
    """

    about: str
    measure: Callable[[np.ndarray], Measurements]
    limits: Callable[[Percentile], Limits]
    check: Callable[[Numbers, Limits], str]
    fewest_frames: int
    may_pass: tuple[str, ...] = ()


def first_failure(part: str, checks: Iterable[tuple[bool, str]]) -> str:
    """``part: reason`` of the first check that does not hold, an empty string where all hold."""
    return next((f"{part}: {reason}" for holds, reason in checks if not holds), "")


def percentiles(measured: Iterable[Mapping[str, float]]) -> Percentile:
    """Percentiles over clips' numbers."""
    rows = list(measured)
    return lambda name, share: float(np.percentile([row[name] for row in rows], share))
