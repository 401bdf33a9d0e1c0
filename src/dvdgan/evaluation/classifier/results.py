"""How often a classifier is right: from ``classifier.json`` to an evaluation's record and its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import ConfigDict, Field, model_validator

from dvdgan.evaluation.measured import Part, Share

FORMAT = "dvdgan-classifier"
VERSION: Literal[1] = 1
"""Raised when classifiers that were trained before can no longer be used, or see other features."""

TITLES = {
    "clips": "held-out clips",
    "frozen_first": "their first frame, held still",
    "frozen_middle": "their middle frame, held still",
    "single_frames": "their middle frame alone, classifier",
    "frame_classifier": "their middle frame alone, classifier of frames",
}
"""What each accuracy of ``classifier.json`` is measured on, and what sees it.

A classifier is made so that a frame alone and that frame held still are the same to it. It never learned from either,
so what it misses there may still be visible: the classifier of frames, which learned from nothing else, tells what
looks give away. Of classes that share one distribution of scenes (zoom-in and zoom-out, pan-left and pan-right),
neither can tell the direction, and only what lies above them is movement.
"""

Count = Annotated[int, Field(ge=0, le=10**12)]


def confusion(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """How often each class is taken for which, int64 ``[K, K]``: rows are `labels`, columns `predicted`, int64 ``[N]``.

    Its trace is how many are recognised: class fidelity, for generated clips.
    """
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts


class Accuracy(Share):
    """Clips that a classifier takes for the class that they have, or were asked to have."""

    by_class: dict[str, Share] = Field(default_factory=dict)
    """No entry for a class without clips."""
    confusion: list[list[Count]] = Field(default_factory=list)
    """A row for each class that clips have, a column for each that they are taken for, in the classifier's order; empty
    where it was not measured."""

    @classmethod
    def of_counts(cls, classes: Sequence[str], counts: np.ndarray) -> Accuracy:
        """The accuracy that a `confusion` of these K classes, int64 ``[K, K]``, gives."""
        whole, *tallies = _tallies(counts)
        by_class = {label: Share.make(*tally) for label, tally in zip(classes, tallies) if tally[1]}
        return cls.make(*whole, by_class=by_class, confusion=counts.tolist())


def _tallies(counts: np.ndarray) -> list[tuple[int, int]]:
    """How many are right, and of how many: of all clips, then of each class."""
    rows = zip(counts.diagonal().tolist(), counts.sum(1).tolist())
    return [(int(counts.trace()), int(counts.sum())), *rows]


class Accuracies(Part):
    """What a classifier reaches on held-out clips, and on what is left of them without movement; see `TITLES`."""

    chance: float = Field(ge=0, le=1)
    """What naming the most frequent class reaches."""
    clips: Accuracy
    frozen_first: Accuracy | None = None
    frozen_middle: Accuracy | None = None
    single_frames: Accuracy | None = None
    frame_classifier: Accuracy | None = None

    @property
    def measured(self) -> dict[str, Accuracy]:
        """Those that are there, by their names in `TITLES`."""
        return {name: part for name in TITLES if (part := getattr(self, name)) is not None}


class TrainingClips(Part):
    """What a classifier was trained on; what else of the data's configuration is not as by default is beside it."""

    model_config = ConfigDict(extra="allow")

    source: str | None
    training_clips: int = Field(ge=0)
    held_out_clips: int = Field(ge=0)
    held_out: str
    """How they came to be held out."""
    stride: int = Field(1, ge=1)
    clips: str
    """Identities of the training clips."""


class TrainingDone(Part):
    """How a classifier was trained; its other settings are beside it."""

    model_config = ConfigDict(extra="allow")

    steps: int = Field(ge=1)
    steps_done: int = Field(ge=0)
    minutes: float = Field(ge=0)
    finished: bool


class ClassifierFile(Part):
    """``classifier.json``."""

    model_config = ConfigDict(extra="ignore")

    format: Literal["dvdgan-classifier"]
    version: Literal[1]
    classes: list[str] = Field(min_length=2)
    size: int = Field(ge=1, le=4096)
    frames: int = Field(ge=1, le=4096)
    widths: list[Annotated[int, Field(ge=1, le=65_536)]] = Field(min_length=1)
    weights: str
    """SHA-256 of ``model.safetensors``, hex."""
    data: TrainingClips
    training: TrainingDone
    accuracy: Accuracies
    versions: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> ClassifierFile:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("a class is there twice")
        count = len(self.classes)
        for name, part in self.accuracy.measured.items():
            if [len(row) for row in part.confusion] != [count] * count or not set(part.by_class) <= set(self.classes):
                raise ValueError(f"accuracy.{name} is of other classes")
            by_class: Mapping[str, Share] = {label: part.by_class.get(label, Share()) for label in self.classes}
            found = [(share.hits, share.of) for share in (part, *by_class.values())]
            if not part.of or found != _tallies(np.array(part.confusion)):
                raise ValueError(f"accuracy.{name} does not fit its confusion")
        return self


class ClassifierResults(Part):
    """The classifier, trained on the data, and how often it takes generated clips for their class."""

    path: str
    key: str
    """SHA-256 of its weights, hex."""
    trained_on: str
    """Data and split, in words."""
    classes: list[str]
    """Of the rows and columns of its confusion."""
    chance: float = Field(ge=0, le=1)
    """What guessing reaches."""
    accuracy: Accuracy
    """On held-out clips."""
    still: dict[str, Accuracy] = Field(default_factory=dict)
    """On what is left of them without movement: what looks give away. By what it is, such as `their middle frame, held
    still` or `their middle frame alone, classifier of frames`."""
    fidelity: Accuracy
    """Generated clips that it takes for the class that was asked."""
