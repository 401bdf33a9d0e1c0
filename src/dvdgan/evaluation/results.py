"""The record of one evaluation: typed, versioned JSON in which every number is there or says why it is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue, ValidationError, model_validator

from dvdgan.data.write.encode import atomic_path
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.results_parts import Behaviours, Classifier, Memorisation, Part
from dvdgan.evaluation.results_scores import Score, Sweep

VERSION: Literal[1] = 1
"""Version of the file; it rises when a field is renamed, removed or changes its meaning."""

AbsentPart = Literal["sweep", "classifier", "memorisation", "behaviours"]


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

    @model_validator(mode="after")
    def _one_id_per_clip(self) -> ClipList:
        if len(self.ids) != self.count:
            raise ValueError(f"count is {self.count}, but there are {len(self.ids)} ids")
        return self


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
    """One evaluation; `save` and `load` keep it as JSON."""

    version: Literal[1] = VERSION
    made: str
    """When, ISO 8601 with the zone."""
    evaluated: Evaluated
    reference: Reference
    spaces: list[Space]
    scores: list[Score]
    damages: dict[str, str] = Field(default_factory=dict)
    """What each control does to real clips, such as `shuffled`: `the frames in random order`."""
    sweep: Sweep | None = None
    classifier: Classifier | None = None
    memorisation: Memorisation | None = None
    behaviours: Behaviours | None = None
    absent: dict[AbsentPart, str] = Field(default_factory=dict)
    """Why a part is missing; each part that is None is named here."""
    warnings: list[str] = Field(default_factory=list)
    """About the evaluation as a whole; scores have their own."""
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """The evaluation's own settings, seeds among them."""
    seconds: dict[str, float] = Field(default_factory=dict)
    """Time that each stage took in this run; what earlier runs kept is not in it."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Of dvdgan, Python and the libraries that numbers depend on, and the device."""
    command: str = ""
    """The command line."""

    @model_validator(mode="after")
    def _consistent(self) -> Evaluation:
        keys = [score.key for score in self.scores]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise ValueError(f"scores: two have the key {sorted(twice)[0]!r}")
        spaces, classes = {space.name for space in self.spaces}, {*self.evaluated.classes, *self.reference.classes}
        for score in self.scores:
            if score.space not in spaces:
                raise ValueError(f"scores: {score.key} is in the space {score.space!r}, which spaces do not have")
            for kind, named, known in (
                ("control", score.controls, set(self.damages)),
                ("class", score.per_class, classes),
            ):
                unknown = sorted(named.keys() - known)
                if unknown:
                    raise ValueError(f"scores: {score.key} has an unknown {kind} {unknown[0]!r}")
        for point in self.sweep.points if self.sweep else ():
            unknown = sorted(point.values.keys() - set(keys))
            if unknown:
                raise ValueError(f"sweep: has {unknown[0]!r} at {point.truncation:g}, which is no score's key")
        parts: tuple[AbsentPart, ...] = ("sweep", "classifier", "memorisation", "behaviours")
        for part in parts:
            if (getattr(self, part) is None) != bool(self.absent.get(part)):
                raise ValueError(f"absent: a part that is None has its reason there, and no other has: {part}")
        return self

    @property
    def classes(self) -> list[str]:
        """Names of the classes of either side, in the order of the real ones."""
        return list(dict.fromkeys([*self.reference.classes, *self.evaluated.classes]))

    def unseen(self) -> list[str]:
        """Damages that at least one score was tried on and none sees."""
        verdicts = {damage: [score.sees(damage) for score in self.scores] for damage in self.damages}
        return [damage for damage, seen in verdicts.items() if False in seen and True not in seen]

    def save(self, path: Path) -> Path:
        """Write JSON, whole or not at all.

        Raises:
            EvaluationError: the file cannot be written.
        """
        try:
            with atomic_path(path) as temporary:
                temporary.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise EvaluationError(f"{path}: cannot be written ({error.strerror}); name another file") from None
        return Path(path)


def load(path: Path) -> Evaluation:
    """Read what `Evaluation.save` wrote.

    Raises:
        EvaluationError: the file cannot be read, is of another version, or a field is unknown, missing or wrong.
    """
    again = "make it again with dvdgan evaluate"
    try:
        tree = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be read ({error.strerror}); give the JSON of an evaluation") from None
    except ValueError as error:
        raise EvaluationError(f"{path}: not valid JSON ({error}); {again}") from None
    if not isinstance(tree, dict) or "version" not in tree:
        raise EvaluationError(f"{path}: not the JSON of an evaluation: it has no field version; {again}")
    if tree["version"] != VERSION:
        mend = "use a newer dvdgan" if isinstance(tree["version"], int) and tree["version"] > VERSION else again
        raise EvaluationError(f"{path}: version {tree['version']!r}, but this dvdgan reads version {VERSION}; {mend}")
    try:
        return Evaluation.model_validate_json(json.dumps(tree))
    except ValidationError as error:
        raise EvaluationError(f"{path}: {_explain(error)}; {again}") from None


def _explain(error: ValidationError) -> str:
    faults = error.errors()
    fault, more = faults[0], f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    where = ".".join(str(part) for part in fault["loc"]) or "the file"
    if fault["type"] == "extra_forbidden":
        return f"unknown field {where}{more}"
    if fault["type"] == "missing":
        return f"field {where} is missing{more}"
    return f"{where}: {fault['msg'].removeprefix('Value error, ')}{more}"
