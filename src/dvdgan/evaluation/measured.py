"""What an evaluation's record is made of: numbers and shares, each there or with the reason why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from typing_extensions import Self

Better = Literal["lower", "higher"]


def wilson(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a share of which ``hits`` out of ``count`` >= 1 independent tries are known (Wilson 1927)."""
    from scipy.stats import binomtest  # takes half a second, which commands without shares need not wait for

    interval = binomtest(hits, count).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


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

    @classmethod
    def share(cls, hits: int, of: int, over: str) -> Measured:
        """A share with its 95 % interval, which `over` says in words."""
        low, high = wilson(hits, of)
        return cls(value=hits / of, low=low, high=high, over=over)


class Share(Part):
    """How many of how many, with the 95 % Wilson interval; none of none is a share that was not measured."""

    hits: int = Field(0, ge=0)
    of: int = Field(0, ge=0)
    low: float | None = Field(None, ge=0, le=1)
    high: float | None = Field(None, ge=0, le=1)
    missing: str = ""
    """Why it was not measured."""

    @classmethod
    def make(cls, hits: int, of: int, **more: Any) -> Self:
        """A share with its interval; `more` are fields beside it."""
        if not of:
            return cls(missing="no clips", **more)
        low, high = wilson(hits, of)
        return cls(hits=hits, of=of, low=low, high=high, **more)

    @property
    def value(self) -> float | None:
        """The share, 0 to 1."""
        return self.hits / self.of if self.of else None


class PassRate(Share):
    """A share of clips that show their class's behaviour."""

    failures: dict[str, int] = Field(default_factory=dict)
    """Why the others failed, and how many, most frequent first; a clip counts once, with its first reason."""
