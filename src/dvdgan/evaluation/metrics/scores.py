"""What a score is: a number with what it was measured on, and how far to trust it; and scores class by class.

The scores themselves are in `frechet`, `kernel`, `manifold` and `classification`: pure functions of features,
statistics or probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from dvdgan.evaluation.errors import EvaluationError

Rows = np.ndarray
"""Numbers of clips, int64 ``[n]``."""


@dataclass(frozen=True)
class Counts:
    """How much a score was measured on.

    Attributes:
        real: real clips; 0 where a score looks at generated ones only.
        generated: generated clips.
        real_vectors: feature vectors of the real clips: more than clips where each frame has one.
        generated_vectors: feature vectors of the generated clips.
        dimension: length of a feature vector, or number of classes.
    """

    real: int
    generated: int
    real_vectors: int
    generated_vectors: int
    dimension: int

    @classmethod
    def of(cls, real: np.ndarray | None, generated: np.ndarray) -> Counts:
        """The counts of features ``[N, D]`` or ``[N, T', D]`` of both sides; None for no real side."""
        vectors = 0 if real is None else math.prod(real.shape[:-1])
        clips = 0 if real is None else len(real)
        return cls(clips, len(generated), vectors, math.prod(generated.shape[:-1]), generated.shape[-1])


@dataclass(frozen=True)
class Spread:
    """How far a score would move, and over what.

    Attributes:
        kind: what varied, in words, such as "95 % interval, clips resampled" or "standard deviation over 3 seeds".
        deviation: standard deviation, in the score's unit; None where only an interval is known.
        low: lower end of the interval, or the least value seen.
        high: upper end of the interval, or the greatest value seen.
    """

    kind: str
    deviation: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Score:
    """A number that says what it is; never NaN or infinite.

    Attributes:
        name: what it is, such as "Fréchet distance". Names of published scores (FVD, FID) are only for those measured
            with the field's own network.
        measured_with: the extractor or classifier that saw the clips.
        value: None where it could not be measured; ``reason`` then says why.
        better: whether lower or higher values are better.
        counts: what it was measured on.
        spread: how far it would move.
        reason: why there is no value.
        warnings: what makes it less than it seems, in plain words.
        details: further numbers and settings, JSON-serialisable.
    """

    name: str
    measured_with: str
    value: float | None
    better: Literal["lower", "higher"]
    counts: Counts
    spread: Spread | None = None
    reason: str | None = None
    warnings: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            object.__setattr__(self, "reason", self.reason or f"it came out as {self.value}")
            object.__setattr__(self, "value", None)
            object.__setattr__(self, "spread", None)
        if (self.value is None) != (self.reason is not None):
            raise ValueError(f"{self.name}: a score has either a value or a reason for having none")

    def with_warnings(self, *warnings: str) -> Score:
        """The same with more warnings; those that it has already are not repeated."""
        return replace(self, warnings=tuple(dict.fromkeys((*self.warnings, *warnings))))

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and finite numbers; `from_json` is the inverse."""
        return plain(asdict(self))

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Score:
        """A score from what `to_json` made.

        Raises:
            EvaluationError: fields are missing or unknown.
        """
        try:
            spread = tree["spread"]
            parts = {"counts": Counts(**tree["counts"]), "spread": None if spread is None else Spread(**spread)}
            return cls(**{**tree, **parts, "warnings": tuple(tree["warnings"])})
        except (KeyError, TypeError, ValueError) as error:
            raise EvaluationError(f"not a score ({error}); make the report anew") from None


@dataclass(frozen=True)
class ClassScores:
    """One score over all clips and for each class.

    Attributes:
        overall: over all clips; it also sees whether classes come in the right shares.
        by_class: class name to the same score of that class's clips alone.
    """

    overall: Score
    by_class: dict[str, Score]

    @property
    def mean(self) -> float | None:
        """Mean over the classes that have a value (intra-class FID, for a Fréchet distance); None without any."""
        values = [score.value for score in self.by_class.values() if score.value is not None]
        return float(np.mean(values)) if values else None

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and finite numbers."""
        by_class = {name: score.to_json() for name, score in self.by_class.items()}
        return {"overall": self.overall.to_json(), "mean": self.mean, "by_class": by_class}


def by_class(
    measure: Callable[[Rows, Rows], Score],
    real_labels: np.ndarray,
    generated_labels: np.ndarray,
    classes: Sequence[str],
    fewest: int = 2,
) -> ClassScores:
    """Measure overall and class by class.

    Args:
        measure: takes the rows of the real and of the generated clips to look at, both ascending.
        real_labels: int64 ``[N]``.
        generated_labels: int64 ``[M]``.
        classes: class names by label; with none, only the overall score is measured.
        fewest: a class with fewer clips on either side has no value, and a reason.

    Raises:
        EvaluationError: labels that are not those of the classes.
    """
    overall = measure(np.arange(len(real_labels)), np.arange(len(generated_labels)))
    if not classes:
        return ClassScores(overall, {})
    for what, labels in (("real", real_labels), ("generated", generated_labels)):
        check_labels(labels, len(classes), f"labels of {what} clips")
    scores = {}
    for label, name in enumerate(classes):
        rows = np.flatnonzero(real_labels == label), np.flatnonzero(generated_labels == label)
        real, generated = (len(side) for side in rows)
        if min(real, generated) < fewest:
            counts = replace(
                overall.counts,
                real=real,
                generated=generated,
                real_vectors=real * overall.counts.real_vectors // max(1, overall.counts.real),
                generated_vectors=generated * overall.counts.generated_vectors // max(1, overall.counts.generated),
            )
            reason = f"{real} real and {generated} generated clips of the class; it needs {fewest} of each"
            scores[name] = Score(overall.name, overall.measured_with, None, overall.better, counts, reason=reason)
        else:
            scores[name] = measure(*rows)
    return ClassScores(overall, scores)


def check_labels(labels: np.ndarray, classes: int, what: str = "labels") -> None:
    """Refuse labels that are not int64 ``[N]`` from 0 to ``classes`` − 1.

    Raises:
        EvaluationError: they are not.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise EvaluationError(f"{what}: expected whole numbers [N], not {labels.dtype} {labels.shape}")
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        wrong = int(labels.min() if labels.min() < 0 else labels.max())
        raise EvaluationError(f"{what}: {wrong} is no class; there are {classes}, from 0 to {classes - 1}")


def plain(value: Any) -> Any:
    """What JSON can hold: NumPy numbers and arrays as Python's, tuples as lists, NaN and infinities as None."""
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
