"""What an evaluation's record says of the classifier."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from dvdgan.evaluation.measured import Part, Share


class Confusion(Part):
    """What the classifier takes clips of each class for."""

    classes: list[str]
    counts: list[list[Annotated[int, Field(ge=0, le=10**12)]]]
    """Rows: the class that the clips have or were asked to have. Columns: what the classifier says."""

    @model_validator(mode="after")
    def _check(self) -> Confusion:
        if [len(row) for row in self.counts] != [len(self.classes)] * len(self.classes):
            raise ValueError("counts has not a row and a column for each class")
        return self


class ClassifierResults(Part):
    """The classifier, trained on the data, and how often it takes generated clips for their class."""

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
