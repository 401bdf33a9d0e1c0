"""The metrics: what each is called, and how it follows from the features of real and of generated clips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dvdgan.evaluation.classifier.classifier import Classifier
from dvdgan.evaluation.classifier.results import confusion
from dvdgan.evaluation.measured import Better, Measured
from dvdgan.evaluation.metrics.baselines import Rows
from dvdgan.evaluation.metrics.classification import few_in_a_split, inception_score
from dvdgan.evaluation.metrics.frechet import Gaussian, few_clips, frechet_distance, gaussian
from dvdgan.evaluation.metrics.kernel import KernelSide, kernel_distance
from dvdgan.evaluation.metrics.manifold import DENSITY_NEIGHBOURS, FAR, diversity, manifold_scores, outliers, radii


@dataclass(frozen=True, eq=False)
class Side:
    """Features of a set of clips, with what is often needed of them.

    Attributes:
        features: float32 ``[N, D]`` or ``[N, T', D]``.
        labels: int64 ``[N]``.
    """

    features: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        """How many clips there are."""
        return len(self.features)

    @cached_property
    def gaussian(self) -> Gaussian:
        """The Gaussian of the features."""
        return gaussian(self.features)

    @cached_property
    def kernel(self) -> KernelSide:
        """The features with the kernel's sums over their own pairs."""
        return KernelSide.of(self.features, self.labels)

    @cached_property
    def vectors(self) -> np.ndarray:
        """One vector per clip, ``[N, D]``: the mean over its frames."""
        return self.features.mean(1) if self.features.ndim == 3 else self.features

    @cached_property
    def radii(self) -> np.ndarray:
        """See `dvdgan.evaluation.metrics.manifold.radii`."""
        return radii(self.vectors)

    def take(self, rows: Rows) -> Side:
        """Some of the clips; itself, with all that was computed, where these are all in order."""
        if len(rows) == len(self) and np.array_equal(rows, np.arange(len(self))):
            return self
        return Side(self.features[rows], self.labels[rows])


@dataclass(frozen=True)
class Metric:
    """One score of a space.

    Attributes:
        key: the end of the score's key.
        name: such as ``Fréchet distance``.
        better: whether lower or higher values are better.
        about: what it measures, in one plain sentence.
        headline: whether the summary shows it.
        compares: whether it looks at real clips, too.
    """

    key: str
    name: str
    better: Better
    about: str
    headline: bool = False
    compares: bool = True


@dataclass(frozen=True)
class MetricGroup:
    """Metrics that are computed together.

    Attributes:
        metrics: see there.
        measure: of real and generated clips, and whether intervals are wanted: a number for each metric's key.
        by_class: whether they are measured class by class, too.
        warnings: of real and generated clips, by metric's key: what makes a score less than it seems.
    """

    metrics: list[Metric]
    measure: Callable[[Side, Side, bool], dict[str, Measured]]
    by_class: bool = False
    warnings: Callable[[Side, Side], dict[str, list[str]]] = lambda real, generated: {}


def frechet(name: str = "Fréchet distance", headline: bool = False, by_class: bool = False) -> MetricGroup:
    """The Fréchet distance; it is called "FVD" or "FID" only with the field's own networks."""
    about = "How far the means and covariances of all features lie apart; too high for few clips, as its baseline is."

    def measure(real: Side, generated: Side, interval: bool) -> dict[str, Measured]:
        return {"frechet": Measured(value=frechet_distance(real.gaussian, generated.gaussian))}

    def warnings(real: Side, generated: Side) -> dict[str, list[str]]:
        return {"frechet": few_clips(real.features, generated.features)}

    return MetricGroup([Metric("frechet", name, "lower", about, headline)], measure, by_class, warnings)


def kernel(name: str = "Kernel distance") -> MetricGroup:
    """The kernel distance, which has no bias and so suits the few clips of a class; "KID" only with its own network."""
    about = "The same question without bias (as KID): at any count 0, on the average, for sets that are alike."

    def measure(real: Side, generated: Side, interval: bool) -> dict[str, Measured]:
        return {"kernel": kernel_distance(real.kernel, generated.kernel, interval)}

    return MetricGroup([Metric("kernel", name, "lower", about)], measure, by_class=True)


def manifold(headline: bool = False) -> MetricGroup:
    """Precision, recall, density and coverage, of one vector a clip, and within-class diversity.

    Args:
        headline: whether the summary shows those by which a model is found out that makes too few different clips.
    """
    about = {
        "precision": "Share of generated clips that lie among real ones: do they look real?",
        "recall": "Share of real clips that lie among generated ones: is nothing missing?",
        "density": "How densely real clips lie around generated ones.",
        "coverage": "Share of real clips with a generated one close by.",
        "diversity": "How far each clip lies from the nearest other one of its class: are they different clips?",
    }

    def measure(real: Side, generated: Side, interval: bool) -> dict[str, Measured]:
        found = manifold_scores(real.vectors, generated.vectors, real.radii, generated.radii)
        return {**found, "diversity": diversity(generated.vectors, generated.labels)}

    def warnings(real: Side, generated: Side) -> dict[str, list[str]]:
        return {
            "precision": _outlying(real, "real", "precision"),
            "recall": _outlying(generated, "generated", "recall"),
        }

    metrics = [
        Metric(
            key,
            "Within-class diversity" if key == "diversity" else key.capitalize(),
            "higher",
            text,
            headline=headline and key in ("recall", "coverage", "diversity"),
            compares=key != "diversity",
        )
        for key, text in about.items()
    ]
    return MetricGroup(metrics, measure, warnings=warnings)


def _outlying(some: Side, side: str, metric: str) -> list[str]:
    """A warning where balls of one side's clips are so large that the metric says nothing."""
    if len(some) <= DENSITY_NEIGHBOURS or not (far := outliers(some.radii)):
        return []
    return [
        f"{far} of {len(some)} {side} clips lie over {FAR:g} times as far from others as the median one, and their "
        f"balls hold all that lies between: {metric} says nothing; see density and coverage"
    ]


def classification(classifier: Classifier, classes: list[str]) -> MetricGroup:
    """What the classifier says of generated clips: Inception Score, and class fidelity where clips have classes."""
    order = np.array([classifier.classes.index(name) for name in classes], np.int64)

    def measure(real: Side, generated: Side, interval: bool) -> dict[str, Measured]:
        probabilities = classifier.probabilities_of(generated.features)
        found = {"is": inception_score(probabilities)}
        if classes:
            counts = confusion(probabilities.argmax(1), order[generated.labels], len(classifier.classes))
            found["fidelity"] = Measured.share(int(counts.trace()), len(generated), "95 % interval")
        return found

    def warnings(real: Side, generated: Side) -> dict[str, list[str]]:
        return {"is": few_in_a_split(len(generated), len(classifier.classes))}

    about = "How surely each clip shows one class, and all classes alike; from 1 to their number."
    metrics = [Metric("is", "Inception Score", "higher", about, compares=False)]
    if classes:
        about = "Share of clips that the classifier takes for the class that was asked."
        metrics.append(Metric("fidelity", "Class fidelity", "higher", about, headline=True, compares=False))
    return MetricGroup(metrics, measure, warnings=warnings)
