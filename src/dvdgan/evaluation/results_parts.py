"""Parts of an evaluation's record: a measured number, a share, the classifier, memorisation and behaviours."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Verdict = Literal["copies", "no sign of copies", "cannot tell"]


class Part(BaseModel):
    """A part of an evaluation's record: unknown fields and numbers that are not finite are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


class Measured(Part):
    """A number, or why there is none."""

    value: float | None = None
    spread: float | None = Field(None, ge=0)
    """Standard deviation."""
    low: float | None = None
    """Lower end of an interval, or the least value seen; with high."""
    high: float | None = None
    over: str = ""
    """What spread, low and high are, such as `standard deviation over 3 seeds`."""
    missing: str = ""
    """Why there is no value."""

    @model_validator(mode="after")
    def _number_or_reason(self) -> Measured:
        if (self.value is None) != bool(self.missing):
            raise ValueError("a number is either there or has the reason why it is missing")
        if (self.spread is not None or self.low is not None) and not self.over:
            raise ValueError("a spread or an interval says in over what it is")
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval has both of its ends, low and high")
        return self


class Share(Part):
    """How many of how many, with the 95 % Wilson interval; none of none is a share that was not measured."""

    hits: int = Field(0, ge=0)
    of: int = Field(0, ge=0)
    low: float | None = Field(None, ge=0, le=1)
    high: float | None = Field(None, ge=0, le=1)
    missing: str = ""
    """Why it was not measured."""

    @model_validator(mode="after")
    def _whole(self) -> Share:
        if self.hits > self.of:
            raise ValueError(f"{self.hits} hits of {self.of}")
        if (self.of == 0) != bool(self.missing):
            raise ValueError("a share of 0 clips has the reason why it is missing, and no other has")
        if self.of:
            if self.low is None or self.high is None:
                raise ValueError("a share has both ends of its interval, low and high")
            if not self.low - 1e-9 <= self.hits / self.of <= self.high + 1e-9:
                raise ValueError(f"{self.hits} of {self.of} lies outside its interval {self.low} to {self.high}")
        return self

    @property
    def value(self) -> float | None:
        """The share, 0 to 1."""
        return self.hits / self.of if self.of else None


class Confusion(Part):
    """What the classifier takes clips of each class for."""

    classes: list[str]
    counts: list[list[int]]
    """Rows: the class that the clips have or were asked to have. Columns: what the classifier says."""

    @model_validator(mode="after")
    def _square(self) -> Confusion:
        if [len(row) for row in self.counts] != [len(self.classes)] * len(self.classes):
            raise ValueError(f"{len(self.classes)} classes need {len(self.classes)} rows of as many counts")
        if any(count < 0 for row in self.counts for count in row):
            raise ValueError("a count is below 0")
        return self


class Classifier(Part):
    """The classifier, a classifier of videos trained on the data, and how well it takes generated clips for their
    class."""

    path: str
    key: str
    """SHA-256 of its weights, hex."""
    trained_on: str
    """Data and split, in words."""
    accuracy: Share
    """On held-out clips."""
    still: dict[str, Share] = Field(default_factory=dict)
    """On what is left of them without movement: what looks give away. By what it is, such as `their middle frame, held
    still` or `their middle frame alone, classifier of frames`."""
    chance: float = Field(ge=0, le=1)
    """What guessing reaches."""
    fidelity: Share
    """Generated clips that it takes for the class that was asked."""
    fidelity_by_class: dict[str, Share] = Field(default_factory=dict)
    accuracy_by_class: dict[str, Share] = Field(default_factory=dict)
    """On held-out clips."""
    confusion_real: Confusion | None = None
    """Of held-out clips."""
    confusion_generated: Confusion | None = None


class Histogram(Part):
    """How many distances lie between neighbouring edges; the last bin has both of its edges."""

    edges: list[float] = Field(min_length=2)
    generated: list[int]
    held_out: list[int]

    @model_validator(mode="after")
    def _bins(self) -> Histogram:
        if any(b <= a for a, b in zip(self.edges, self.edges[1:])):
            raise ValueError("edges rise")
        for name, counts in (("generated", self.generated), ("held_out", self.held_out)):
            if len(counts) != len(self.edges) - 1 or min(counts) < 0:
                raise ValueError(f"{name}: {len(self.edges)} edges need {len(self.edges) - 1} counts, none below 0")
        return self


class Nearness(Part):
    """How near samples lie to training clips in one space, against how near held-out clips do."""

    space: str
    about: str = ""
    """What the space sees and over what shifts and flips the nearest was sought."""
    threshold: float
    """The distance within which the closest 5 % of held-out clips lie."""
    nearer: Share
    """Samples within the threshold."""
    expected: float = Field(0.05, ge=0, le=1)
    """The share of nearer ones if samples were as held-out clips are."""
    alone: Share | None = None
    """Samples nearer to one training clip, as against the next ones, than the closest 5 % of held-out clips are."""
    verdict: Verdict
    reason: str
    """The verdict in a sentence."""
    histogram: Histogram | None = None


class Pair(Part):
    """A clip and the training clip that lies nearest to it."""

    kind: Literal["generated", "held out"]
    clip: str
    """The clip's id."""
    training: str
    """The training clip's id."""
    distance: float = Field(ge=0)
    space: str
    shift: int = 0
    """Frames of the source by which this window of the training clip begins later than the clip's middle window."""
    flipped: bool = False
    """Whether the training clip is mirrored."""


class Memorisation(Part):
    """Whether samples are copies of training clips."""

    spaces: list[Nearness] = Field(min_length=1)
    generated_count: int = Field(ge=0)
    held_out_count: int = Field(ge=0)
    training_count: int = Field(ge=0)
    pairs: list[Pair] = Field(default_factory=list)
    """The nearest pairs, generated ones first, each kind by distance."""


class Behaviour(Part):
    """Whether clips of one class do what the class is about."""

    label: str
    """The class."""
    about: str = ""
    """What a clip does that passes, in one plain sentence."""
    rates: dict[str, Share]
    """Clips that pass, by set: generated, real, frozen, shuffled, reversed, other class."""
    may_pass: list[str] = Field(default_factory=list)
    """Controls that show the behaviour all the same, so that nothing follows when they pass."""
    failures: dict[str, int] = Field(default_factory=dict)
    """Why generated clips failed, and how many; a clip counts once, with its first reason."""


class Behaviours(Part):
    """Whether generated clips obey what real ones do; the thresholds were fixed on real clips."""

    thresholds: str
    """Version and hash of the thresholds."""
    overall: dict[str, Share]
    """As Behaviour.rates, over all classes."""
    by_class: list[Behaviour]
