"""Scores in families, those that are computed together: each from the features and classes of two sets of clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from dvdgan.evaluation.classifier.classifier import Classifier
from dvdgan.evaluation.metrics.classification import class_fidelity, inception_score
from dvdgan.evaluation.metrics.frechet import BIAS, Factored, factored, frechet_of_factored
from dvdgan.evaluation.metrics.intervals import dimension_warnings
from dvdgan.evaluation.metrics.kernel import kernel_score
from dvdgan.evaluation.metrics.manifold import manifold_scores
from dvdgan.evaluation.metrics.scores import Counts, Rows, Score
from dvdgan.evaluation.metrics.statistics import gaussian, kept_gaussian


@dataclass(frozen=True, eq=False)
class Side:
    """Features of a set of clips, with what is often needed of them.

    Attributes:
        features: float32 ``[N, D]`` or ``[N, T', D]``.
        labels: int64 ``[N]``.
        cache: where the statistics of a set that is used again are kept; None makes them anew.
        key: of what the features follow from; needed with `cache`.
    """

    features: np.ndarray
    labels: np.ndarray
    cache: Path | None = None
    key: str = ""

    def __len__(self) -> int:
        """How many clips there are."""
        return len(self.features)

    @cached_property
    def factors(self) -> Factored:
        """The Gaussian of the features."""
        if self.cache is None or np.prod(self.features.shape[:-1]) <= self.features.shape[-1]:
            return factored(self.features)
        return Factored.of(kept_gaussian(self.cache, self.key, lambda: gaussian(self.features)))

    @cached_property
    def vectors(self) -> np.ndarray:
        """One vector per clip, ``[N, D]``: the mean over its frames."""
        return self.features.mean(1) if self.features.ndim == 3 else self.features

    def take(self, rows: Rows) -> Side:
        """Some of the clips; itself, with all that was computed, where these are all in order."""
        if len(rows) == len(self) and np.array_equal(rows, np.arange(len(self))):
            return self
        return Side(self.features[rows], self.labels[rows])


@dataclass(frozen=True)
class Told:
    """What the report says of a score.

    Attributes:
        about: what it measures, in one plain sentence.
        headline: whether the summary shows it.
    """

    about: str
    headline: bool = False


@dataclass(frozen=True)
class Family:
    """Scores that are computed together.

    Attributes:
        named: by the end of a score's key, what the report says of it.
        measure: of real and generated clips, and whether intervals are wanted; a score for each name.
        by_class: whether the scores are told class by class.
    """

    named: Mapping[str, Told]
    measure: Callable[[Side, Side, bool], dict[str, Score]]
    by_class: bool = False


def frechet_family(
    space: str, name: str = "Fréchet distance", headline: bool = False, by_class: bool = False
) -> Family:
    """The Fréchet distance of Gaussians of the features (see `dvdgan.evaluation.metrics.frechet`)."""

    def measure(real: Side, generated: Side, full: bool) -> dict[str, Score]:
        counts = Counts.of(real.features, generated.features)
        value = frechet_of_factored(real.factors, generated.factors)
        warnings = dimension_warnings(counts)
        return {"frechet": Score(name, space, value, "lower", counts, warnings=warnings, details={"bias": BIAS})}

    about = "How far the means and covariances of all features lie apart; too high for few clips, as its floor is."
    return Family({"frechet": Told(about, headline)}, measure, by_class)


def kernel_family(space: str, name: str = "Kernel distance") -> Family:
    """The kernel distance (see `dvdgan.evaluation.metrics.kernel`), which has no bias and so suits the few clips of a
    class."""

    def measure(real: Side, generated: Side, full: bool) -> dict[str, Score]:
        options = {} if full else {"subsets": 0, "resamples": 0}
        return {"kernel": kernel_score(real.features, generated.features, space, name, **options)}

    about = "The same question without bias (as KID): at any count about 0, or a little below, for sets that are alike."
    return Family({"kernel": Told(about)}, measure, by_class=True)


def manifold_family(space: str) -> Family:
    """Precision, recall, density and coverage (see `dvdgan.evaluation.metrics.manifold`), one vector a clip."""

    def measure(real: Side, generated: Side, full: bool) -> dict[str, Score]:
        found = manifold_scores(real.vectors, generated.vectors, space)
        return {name.lower(): score for name, score in found.items()}

    return Family(
        {
            "precision": Told("Share of generated clips that lie among real ones: do they look real?"),
            "recall": Told("Share of real clips that lie among generated ones: is nothing missing?"),
            "density": Told("How densely real clips lie around generated ones."),
            "coverage": Told("Share of real clips with a generated one close by."),
        },
        measure,
    )


def classifier_family(space: str, classifier: Classifier, classes: list[str]) -> Family:
    """What the classifier says of generated clips: Inception Score, and class fidelity where clips have classes."""
    order = np.array([classifier.classes.index(name) for name in classes], np.int64)

    def measure(real: Side, generated: Side, full: bool) -> dict[str, Score]:
        probabilities = classifier.probabilities_of(generated.features)
        found = {"is": inception_score(probabilities, space)}
        if len(order):
            fidelity = class_fidelity(probabilities, order[generated.labels], classifier.classes, space)
            found["fidelity"] = fidelity.scores.overall
        return found

    named = {"is": Told("How surely each clip shows one class, and all classes alike; from 1 to their number.")}
    if classes:
        named["fidelity"] = Told(
            "Share of clips that the classifier takes for the class that was asked.", headline=True
        )
    return Family(named, measure)
