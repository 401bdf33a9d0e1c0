"""What an evaluation's record says of copies."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dvdgan.evaluation.measured import Part, Share

Verdict = Literal["copies", "no sign of copies", "cannot tell"]


class Histogram(Part):
    """How many distances lie between neighbouring edges; the last bin has both of its edges."""

    edges: list[float] = Field(min_length=2)
    generated: list[int]
    held_out: list[int]


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
    """Samples whose distance to the nearest training clip, as a share of the mean one to the next 20, lies below the
    5th percentile of held-out clips."""
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
