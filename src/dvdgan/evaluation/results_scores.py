"""Scores in an evaluation's record: each with its floor, its controls and its classes, and over truncation."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from dvdgan.evaluation.results_parts import Measured, Part

Better = Literal["lower", "higher"]

SEEN = 1.5
"""A score sees a damage that makes it at least so many times worse than real clips against real clips."""


class Floor(Part):
    """What real clips score against other real clips, at the counts of the score: no model can be told to do better."""

    mean: float | None = None
    low: float | None = None
    """The lowest of the repeats."""
    high: float | None = None
    """The highest of the repeats."""
    repeats: int = Field(0, ge=0)
    """How many pairs of disjoint sets of real clips were drawn."""
    counts: tuple[int, int] | None = None
    """Clips on the generated side and on the real side of each repeat."""
    missing: str = ""
    """Why there is no mean."""
    note: str = ""
    """What was done instead where the counts are not those of the score."""

    @model_validator(mode="after")
    def _whole(self) -> Floor:
        if (self.mean is None) != bool(self.missing):
            raise ValueError("a floor has either a mean or the reason why it is missing")
        if self.mean is not None:
            if self.low is None or self.high is None or self.repeats < 1:
                raise ValueError("a floor with a mean has low, high and at least 1 repeat")
            rounding = 1e-9 * max(abs(self.low), abs(self.high))
            if not self.low - rounding <= self.mean <= self.high + rounding:
                raise ValueError(f"the floor's mean {self.mean} lies outside its range {self.low} to {self.high}")
        return self


class Damaged(Part):
    """A score of real clips that were damaged on purpose."""

    value: float | None = None
    ratio: float | None = None
    """How many times worse than the floor, from `times_worse`; missing where the floor is not above 0."""
    missing: str = ""

    @model_validator(mode="after")
    def _number_or_reason(self) -> Damaged:
        if (self.value is None) != bool(self.missing):
            raise ValueError("a control has either a value or the reason why it is missing")
        return self


class ClassScore(Part):
    """A score of one class."""

    value: float | None = None
    floor: float | None = None
    """Mean of real against real at the same counts."""
    counts: tuple[int, int] | None = None
    """Generated and real clips."""
    missing: str = ""

    @model_validator(mode="after")
    def _number_or_reason(self) -> ClassScore:
        if (self.value is None) != bool(self.missing):
            raise ValueError("a class's score has either a value or the reason why it is missing")
        return self


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
    floor: Floor
    generated_count: int | None = Field(None, ge=0)
    """Clips on the generated side of each value."""
    real_count: int | None = Field(None, ge=0)
    controls: dict[str, Damaged] = Field(default_factory=dict)
    """By damage, in the order of Evaluation.damages."""
    per_class: dict[str, ClassScore] = Field(default_factory=dict)
    warnings: list[str] = Field(default_factory=list)
    """Such as counts that are too small for the dimension."""

    def sees(self, damage: str) -> bool | None:
        """Whether real clips with this damage score worse than all pairs of real sets, by a factor of `SEEN` at least.

        None if the control or the floor is missing, or the floor has but one draw. Where a ratio means nothing, the
        score must lie beyond the floor's range by that range's width: of many controls, some leave it by chance.
        """
        control = self.controls.get(damage)
        if control is None or control.value is None or self.floor.low is None or self.floor.high is None:
            return None
        if self.floor.repeats < 2:
            return None
        low, high = self.floor.low, self.floor.high
        beyond = control.value - high if self.better == "lower" else low - control.value
        return beyond > 0 and (beyond > high - low if control.ratio is None else control.ratio >= SEEN)


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


def times_worse(value: float, floor: Floor, better: Better) -> float | None:
    """How many times worse a score's value is than real against real: 1 is as good, whichever way the score points.

    None where a ratio means nothing: no floor, a floor or a value that is not above 0 (unbiased estimates such as KID
    waver around 0), a floor whose own repeats reach down to 0, for then it is noise that one would divide by, or a
    floor of one draw, of which that is not known.
    """
    if floor.mean is None or floor.mean <= 0 or floor.low is None or floor.low <= 0 or floor.repeats < 2:
        return None
    if better == "lower":
        return value / floor.mean if value > 0 else None
    return floor.mean / value if value > 0 else None


def damaged(value: float | None, floor: Floor, better: Better, missing: str = "") -> Damaged:
    """A control's value with its ratio to the floor; ``missing`` says why the value is None."""
    if value is None or not math.isfinite(value):
        return Damaged(missing=missing or "not a finite number")
    return Damaged(value=value, ratio=times_worse(value, floor, better))
