"""What an evaluation's record is made of: numbers and shares, each there or with the reason why not."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from dvdgan.evaluation.intervals import wilson

Better = Literal["lower", "higher"]


class Part(BaseModel):
    """A part of the record: unknown fields and numbers that are not finite are refused."""

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


class Share(Part):
    """How many of how many, with the 95 % Wilson interval; none of none is a share that was not measured."""

    hits: int = Field(0, ge=0)
    of: int = Field(0, ge=0)
    low: float | None = Field(None, ge=0, le=1)
    high: float | None = Field(None, ge=0, le=1)
    missing: str = ""
    """Why it was not measured."""

    @classmethod
    def make(cls, hits: int, of: int, missing: str = "no clips") -> Share:
        """A share with its interval; `missing` says why it was not measured if it is one of none."""
        if not of:
            return cls(missing=missing)
        low, high = wilson(int(hits), int(of))
        return cls(hits=int(hits), of=int(of), low=low, high=high)

    @property
    def value(self) -> float | None:
        """The share, 0 to 1."""
        return self.hits / self.of if self.of else None


class PassRate(Share):
    """A share of clips that show their class's behaviour."""

    failures: dict[str, int] = Field(default_factory=dict)
    """Why the others failed, and how many, most frequent first; a clip counts once, with its first reason."""
