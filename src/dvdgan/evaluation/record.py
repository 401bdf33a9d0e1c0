"""The record of one evaluation: typed, versioned JSON in which every number is there or says why it is not."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from dvdgan.atomic import atomic_path
from dvdgan.documents import MOST_TABLE_BYTES, DocumentError, read_json, shortened
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.metrics.intervals import wilson

VERSION: Literal[3] = 3
"""Version of the file; it rises when a field is renamed, removed or changes its meaning."""

SEEN = 1.5
"""A score sees a corruption that makes it at least so many times worse than real clips against real clips."""

AbsentPart = Literal["sweep", "classifier", "memorisation", "behaviours"]
Better = Literal["lower", "higher"]
Verdict = Literal["copies", "no sign of copies", "cannot tell"]


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

    @model_validator(mode="after")
    def _check(self) -> Share:
        if self.hits > self.of or (self.of and (self.low is None or self.high is None)):
            raise ValueError("more hits than there were, or no interval")
        return self

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


class Baseline(Part):
    """What real clips score against other real clips, at the counts of the score; a perfect model would score about
    this."""

    mean: float | None = None
    low: float | None = None
    """The lowest of the repeats. Repeats from one pool share clips, so that the range is somewhat too narrow."""
    high: float | None = None
    """The highest of the repeats."""
    repeats: int = Field(0, ge=0)
    """How many pairs of disjoint sets of real clips were drawn."""
    counts: tuple[int, int] | None = None
    """Clips in the place of generated ones, and clips on the real side, of each repeat (the fewest of any)."""
    missing: str = ""
    """Why there is no mean."""
    note: str = ""
    """What was done instead where the counts are not those of the score."""


class ClassScore(Part):
    """A score of one class."""

    value: float | None = None
    baseline: float | None = None
    """Mean of real against real at the same counts."""
    counts: tuple[int, int] | None = None
    """Generated and real clips."""
    missing: str = ""


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
    baseline: Baseline
    generated_count: int | None = Field(None, ge=0)
    """Clips on the generated side of each value."""
    real_count: int | None = Field(None, ge=0)
    controls: dict[str, Measured] = Field(default_factory=dict)
    """Of real clips that were corrupted on purpose, by corruption, in the order of Evaluation.corruptions."""
    per_class: dict[str, ClassScore] = Field(default_factory=dict)
    warnings: list[str] = Field(default_factory=list)
    """Such as counts that are too small for the dimension."""

    def times_worse(self, value: float | None) -> float | None:
        """How many times worse a value is than real against real: 1 is as good, whichever way the score points.

        Infinity if a score that is to be high is 0: all is missing. None where a ratio means nothing: no value, no
        baseline, one that is not above 0 (unbiased estimates such as KID waver around 0) or whose own repeats reach
        down to 0, for then it is noise that one would divide by, or one of a single repeat, of which that is not known.
        """
        mean, low = self.baseline.mean, self.baseline.low
        if value is None or value < 0 or mean is None or low is None or low <= 0 or self.baseline.repeats < 2:
            return None
        if value == 0:
            return math.inf if self.better == "higher" else None
        return value / mean if self.better == "lower" else mean / value

    def sees(self, corruption: str) -> bool | None:
        """Whether real clips with this corruption score worse than all pairs of real sets, `SEEN` times at least.

        None if the control or the baseline is missing, or the baseline has but one repeat. Where a ratio means nothing,
        the score must lie beyond the baseline's range by that range's width: of many controls, some leave it by chance.
        """
        control, baseline = self.controls.get(corruption), self.baseline
        if control is None or control.value is None or baseline.low is None or baseline.high is None:
            return None
        if baseline.repeats < 2:
            return None
        beyond = control.value - baseline.high if self.better == "lower" else baseline.low - control.value
        ratio = self.times_worse(control.value)
        enough = beyond > baseline.high - baseline.low if ratio is None else ratio >= SEEN
        return beyond > 0 and enough


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


class Histogram(Part):
    """How many distances lie between neighbouring edges; the last bin has both of its edges."""

    edges: list[float] = Field(min_length=2)
    generated: list[int]
    held_out: list[int]

    @model_validator(mode="after")
    def _check(self) -> Histogram:
        if not len(self.generated) == len(self.held_out) == len(self.edges) - 1:
            raise ValueError("there is not a count between each edge and the next")
        if self.edges != sorted(self.edges):
            raise ValueError("edges do not rise")
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

    @model_validator(mode="after")
    def _check(self) -> PredictionMeasure:
        ways, baselines = {"mean", "best"}, self.curves.keys() - {"mean", "best"}
        if not self.curves:
            if self.leads or not self.missing:
                raise ValueError("no curves, and no reason why")
        elif not ways <= self.curves.keys() or not {"copied"} <= baselines <= {"copied", "extrapolated"}:
            raise ValueError("curves are not those of mean, best, copied and perhaps extrapolated")
        elif self.leads.keys() != ways or any(found.keys() != baselines for found in self.leads.values()):
            raise ValueError("leads are not those of mean and best over each baseline")
        return self

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

    @model_validator(mode="after")
    def _check(self) -> Prediction:
        if not any(measure.curves for measure in self.measures):
            raise ValueError("no measure has curves")
        curves = [] if self.diversity is None else [self.diversity]
        for measure in self.measures:
            curves += [curve for some in (measure.curves, *measure.leads.values()) for curve in some.values()]
        if any(len(curve.frames) != self.made for curve in curves):
            raise ValueError(f"a curve has not {self.made} frames")
        return self

    @property
    def main(self) -> PredictionMeasure:
        """The measure that questions are answered by: the perceptual one where it is there, the last one that is."""
        return next(measure for measure in reversed(self.measures) if measure.curves)


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
    """One evaluation; `save` and `load` keep it as JSON."""

    version: Literal[3] = VERSION
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
            EvaluationError: the file cannot be written.
        """
        try:
            with atomic_path(path) as temporary:
                temporary.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise EvaluationError(f"{path}: cannot be written ({error.strerror}); name another file") from None
        return Path(path)


def is_record(path: Path) -> bool:
    """Whether a file has what `Evaluation.save` writes, of any version, by some of its fields."""
    try:
        tree = read_json(path, MOST_TABLE_BYTES, finite=False)
    except (FileNotFoundError, DocumentError):
        return False
    return isinstance(tree, dict) and {"version", "evaluated", "reference"} <= tree.keys()


def load(path: Path) -> Evaluation:
    """Read what `Evaluation.save` wrote.

    Raises:
        EvaluationError: the file cannot be read, is of another version, or a field is unknown, missing or wrong.
    """
    again = "make it again with dvdgan evaluate"
    try:
        tree = read_json(path, MOST_TABLE_BYTES, finite=False)
    except FileNotFoundError:
        raise EvaluationError(
            f"{path}: cannot be read (No such file or directory); give the JSON of an evaluation"
        ) from None
    except DocumentError as error:
        raise EvaluationError(f"{error}; {again}") from None
    if not isinstance(tree, dict) or "version" not in tree:
        raise EvaluationError(f"{path}: not the JSON of an evaluation: it has no field version; {again}")
    if tree["version"] != VERSION:
        mend = "use a newer dvdgan" if isinstance(tree["version"], int) and tree["version"] > VERSION else again
        version = shortened(repr(tree["version"]))
        raise EvaluationError(f"{path}: version {version}, but this dvdgan reads version {VERSION}; {mend}")
    try:
        return Evaluation.model_validate_json(json.dumps(tree))
    except ValidationError as error:
        fault, *more = error.errors()
        where = shortened(".".join(str(part) for part in fault["loc"]))
        others = f" (and {len(more)} more)" if more else ""
        raise EvaluationError(f"{path}: {where}: {fault['msg']}{others}; {again}") from None
