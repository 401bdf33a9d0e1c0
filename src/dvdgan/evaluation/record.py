"""The record of one evaluation: typed, versioned JSON in which every number is there or says why it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue

from dvdgan.atomic import atomic_path
from dvdgan.documents import MOST_TABLE_BYTES, DocumentError, read_json
from dvdgan.evaluation.classifier.results import ClassifierResults
from dvdgan.evaluation.measured import Part, PassRate, Share
from dvdgan.evaluation.memorisation.results import Memorisation
from dvdgan.evaluation.prediction.results import Prediction
from dvdgan.evaluation.scores import Score, Sweep

AbsentPart = Literal["sweep", "classifier", "memorisation", "behaviours"]


class BehaviourRates(Part):
    """How many clips of one class do what the class is about."""

    label: str
    """The class."""
    about: str = ""
    """What a clip does that passes, in one plain sentence."""
    rates: dict[str, PassRate]
    """Clips that pass, by set: generated, real, frozen, shuffled, reversed, other class."""
    may_pass: list[str] = Field(default_factory=list)
    """Controls that show the behaviour all the same, so that nothing follows when they pass."""


class Behaviours(Part):
    """Whether generated clips obey what real ones do; the thresholds were fixed on real clips."""

    thresholds: str
    """Version and hash of the thresholds."""
    overall: dict[str, Share]
    """As BehaviourRates.rates, over all classes."""
    by_class: list[BehaviourRates]


class ClipList(Part):
    """Which clips, exactly."""

    name: str
    """How a reader would call them, such as `phenomena, held out`."""
    count: int = Field(ge=0)
    ids: list[str]
    """One per clip, in the order in which they were used: path and window, or seed and class."""
    key: str
    """SHA-256, hex, of what determines the pixels; equal keys mean equal pixels."""
    frames: int = Field(ge=1)
    """Frames per clip."""
    size: int = Field(ge=1)
    """Height and width, in pixels."""
    fps: float = Field(gt=0)
    counts: dict[str, int] = Field(default_factory=dict)
    """Clips of each class; empty when unlabelled."""


class Evaluated(Part):
    """What was evaluated."""

    kind: Literal["model", "clips"]
    """A model's directory, or a folder of clips."""
    path: str
    name: str
    clips: ClipList
    classes: list[str] = Field(default_factory=list)
    """Empty when unlabelled."""
    seeds: list[int] = Field(default_factory=list)
    """Seeds of a model's noise: one set of clips was made from each."""
    truncation: float | None = Field(None, gt=0)
    """Of a model's noise; 1 is none."""
    weights_sha256: str | None = None
    """Of model.safetensors, hex."""
    card: str = ""
    """The model's card.md, without scores that earlier evaluations wrote into it."""
    config: dict[str, JsonValue] = Field(default_factory=dict)
    """The model's config.yaml."""


class Reference(Part):
    """What it was compared with."""

    path: str
    split: str
    """The part of the data that the scores compare with, such as `train` or `test`."""
    clips: ClipList
    classes: list[str] = Field(default_factory=list)
    stride: int = Field(1, ge=1)
    """Every so many frames of the source one was taken."""
    resize: str
    """How frames were brought to the size, such as `antialiased bilinear, short side to 64, centre crop`."""


class Space(Part):
    """A feature space: what the numbers of a score are taken from."""

    name: str
    key: str
    """Hash of weights and settings."""
    dimension: int = Field(ge=1)
    unit: Literal["clip", "frames"]
    """One vector per clip, or several."""
    resize: str = ""
    """How frames are brought to the network's size."""
    weights: str = ""
    """Where the weights come from, and their SHA-256."""
    about: str = ""
    """What it sees, in one plain sentence."""


class Evaluation(Part):
    """One evaluation; `save` writes it as JSON, which `Evaluation.model_validate_json` reads."""

    version: Literal[4] = 4
    """Of the file; it rises when a field is renamed, removed or changes its meaning."""
    made: str
    """When, ISO 8601 with the zone."""
    evaluated: Evaluated
    reference: Reference
    spaces: list[Space]
    scores: list[Score]
    corruptions: dict[str, str] = Field(default_factory=dict)
    """What each control does to real clips, such as `shuffled`: `the frames in random order`."""
    sweep: Sweep | None = None
    classifier: ClassifierResults | None = None
    memorisation: Memorisation | None = None
    behaviours: Behaviours | None = None
    prediction: Prediction | None = None
    """Of a model that predicts what follows first frames; None of others."""
    absent: dict[AbsentPart, str] = Field(default_factory=dict)
    """Why a part is missing; each part that is None is named here, but for prediction."""
    warnings: list[str] = Field(default_factory=list)
    """About the evaluation as a whole; scores have their own."""
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """The evaluation's own settings, seeds among them."""
    seconds: dict[str, float] = Field(default_factory=dict)
    """Time that each stage took in this run; what earlier runs cached is not in it."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Of dvdgan, Python and the libraries that numbers depend on, and the device."""
    command: str = ""
    """The command line."""

    @property
    def classes(self) -> list[str]:
        """Names of the classes of either side, in the order of the real ones."""
        return list(dict.fromkeys([*self.reference.classes, *self.evaluated.classes]))

    def unseen(self) -> list[str]:
        """Corruptions that at least one score was tried on and none sees."""
        verdicts = {name: [score.sees(name) for score in self.scores] for name in self.corruptions}
        return [name for name, seen in verdicts.items() if False in seen and True not in seen]

    def save(self, path: Path) -> Path:
        """Write JSON, whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        try:
            with atomic_path(path) as temporary:
                temporary.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise OSError(f"{path}: cannot be written ({error.strerror}); name another file") from None
        return Path(path)


def is_record(path: Path) -> bool:
    """Whether a file has what `Evaluation.save` writes, of any version, by some of its fields."""
    try:
        tree = read_json(path, MOST_TABLE_BYTES, finite=False)
    except (FileNotFoundError, DocumentError):
        return False
    return isinstance(tree, dict) and {"version", "evaluated", "reference"} <= tree.keys()
