"""What an evaluation's record says of a predictor."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dvdgan.evaluation.measured import Better, Measured, Part


class FrameCurve(Part):
    """A number for each made frame."""

    frames: list[Measured] = Field(min_length=1)
    """Of the first made frame, the second, and so on."""
    overall: Measured
    """Of a clip: the mean over its made frames."""


class PredictionMeasure(Part):
    """How near made frames come to those that followed, by one measure, and how near naive predictions come."""

    key: str = Field(pattern=r"^[a-z-]+$")
    """Such as `psnr`."""
    name: str
    better: Better
    about: str = ""
    """What it measures, in one plain sentence."""
    unit: str = ""
    curves: dict[str, FrameCurve] = Field(default_factory=dict)
    """`mean` of the futures of a start; `best` of them, by this measure over the whole clip; and the baselines:
    `copied`, the last given frame held, and, with two given frames or more, `extrapolated`, linearly."""
    leads: dict[str, dict[str, FrameCurve]] = Field(default_factory=dict)
    """By how much `mean` and `best` are better than each of the baselines, start by start; below 0 they are worse."""
    missing: str = ""
    """Why there are no curves."""

    def against(self, way: Literal["mean", "best"], baseline: str) -> Literal["better", "level", "worse"]:
        """How a way stands to a baseline over whole clips; level where the interval of its lead holds 0."""
        lead = self.leads[way][baseline].overall
        return "better" if (lead.low or 0) > 0 else "worse" if (lead.high or 0) < 0 else "level"

    def ahead_from(self, way: Literal["mean", "best"]) -> int | None:
        """The made frame, from 1, from which on the interval of each frame's lead over each baseline is above 0.

        None if that does not hold for the last frame.
        """
        leads = [curve.frames for curve in self.leads[way].values()]
        ahead = [all((lead.low or 0) > 0 for lead in at_once) for at_once in zip(*leads)]
        behind = [place for place, better in enumerate(ahead, 1) if not better]
        first = behind[-1] + 1 if behind else 1
        return first if first <= len(ahead) else None


class Prediction(Part):
    """What a predictor makes of the first frames of held-out clips, against how these went on."""

    given: int = Field(ge=1)
    """Frames that a clip begins with."""
    made: int = Field(ge=1)
    """Frames after them."""
    starts: int = Field(ge=1)
    """Different held-out clips whose first frames were given."""
    futures: int = Field(ge=1)
    """Clips that were made of each start."""
    measures: list[PredictionMeasure] = Field(min_length=1)
    diversity: FrameCurve | None = None
    """Mean perceptual distance between two futures of one start; copies of the last frame have 0."""
    diversity_missing: str = ""
    """Why there is none."""

    @property
    def main(self) -> PredictionMeasure:
        """The measure that questions are answered by: the perceptual one where it is there, the last one that is."""
        return next(measure for measure in reversed(self.measures) if measure.curves)
