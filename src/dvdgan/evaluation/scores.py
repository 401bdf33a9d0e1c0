"""Scores, as the record of an evaluation has them: beside baselines, controls and class by class."""

from __future__ import annotations

import math

from pydantic import Field

from dvdgan.evaluation.measured import Better, Measured, Part

SEEN = 1.5
"""A score sees a corruption that makes it at least so many times worse than real clips against real clips."""


class Baseline(Part):
    """What real clips score against other real clips, at the counts of the score; a perfect model would score about
    this."""

    mean: float | None = None
    low: float | None = None
    """The lowest of the repeats. Repeats from one pool share clips, so that the range is somewhat too narrow."""
    high: float | None = None
    """The highest of the repeats."""
    repeats: int = Field(0, ge=0)
    """How many pairs of disjoint sets of real clips were drawn."""
    counts: tuple[int, int] | None = None
    """Clips in the place of generated ones, and clips on the real side, of each repeat (the fewest of any)."""
    missing: str = ""
    """Why there is no mean."""
    note: str = ""
    """What was done instead where the counts are not those of the score."""


class ClassScore(Part):
    """A score of one class."""

    value: float | None = None
    baseline: float | None = None
    """Mean of real against real at the same counts."""
    counts: tuple[int, int] | None = None
    """Generated and real clips."""
    missing: str = ""


class Score(Part):
    """One score in one feature space."""

    key: str = Field(pattern=r"^[a-z0-9./-]+$")
    """Its name in this file, such as `efficientnet/frechet`."""
    name: str
    """Such as `Fréchet distance`."""
    space: str
    """Name of a Space of this file."""
    better: Better
    about: str = ""
    """What it measures, in one plain sentence."""
    unit: str = ""
    headline: bool = False
    """Shown in the summary."""
    overall: Measured
    baseline: Baseline
    generated_count: int | None = Field(None, ge=0)
    """Clips on the generated side of each value."""
    real_count: int | None = Field(None, ge=0)
    controls: dict[str, Measured] = Field(default_factory=dict)
    """Of real clips that were corrupted on purpose, by corruption, in the order of Evaluation.corruptions."""
    per_class: dict[str, ClassScore] = Field(default_factory=dict)
    warnings: list[str] = Field(default_factory=list)
    """Such as counts that are too small for the dimension."""

    def times_worse(self, value: float | None) -> float | None:
        """How many times worse a value is than real against real: 1 is as good, whichever way the score points.

        Infinity if a score that is to be high is 0: all is missing. None where a ratio means nothing: no value, no
        baseline, one that is not above 0 (unbiased estimates such as KID waver around 0) or whose own repeats reach
        down to 0, for then it is noise that one would divide by, or one of a single repeat, of which that is not known.
        """
        mean, low = self.baseline.mean, self.baseline.low
        if value is None or value < 0 or mean is None or low is None or low <= 0 or self.baseline.repeats < 2:
            return None
        if value == 0:
            return math.inf if self.better == "higher" else None
        return value / mean if self.better == "lower" else mean / value

    def sees(self, corruption: str) -> bool | None:
        """Whether real clips with this corruption score worse than all pairs of real sets, `SEEN` times at least.

        None if the control or the baseline is missing, or the baseline has but one repeat. Where a ratio means nothing,
        the score must lie beyond the baseline's range by that range's width: of many controls, some leave it by chance.
        """
        control, baseline = self.controls.get(corruption), self.baseline
        if control is None or control.value is None or baseline.low is None or baseline.high is None:
            return None
        if baseline.repeats < 2:
            return None
        beyond = control.value - baseline.high if self.better == "lower" else baseline.low - control.value
        ratio = self.times_worse(control.value)
        enough = beyond > baseline.high - baseline.low if ratio is None else ratio >= SEEN
        return beyond > 0 and enough


class SweepPoint(Part):
    """Scores at one truncation."""

    truncation: float = Field(gt=0)
    values: dict[str, Measured]
    """By the score's key."""


class Sweep(Part):
    """Scores over truncation: what is given up in variety for looks."""

    points: list[SweepPoint] = Field(min_length=1)
    clips: int = Field(ge=1)
    """Generated clips for each point and seed."""
