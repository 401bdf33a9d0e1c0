"""A small evaluation at every sheet, of the clips that are made for the check: by a classifier, and by behaviours.

Nothing here is random or touches the networks that are trained: what is learned is the same with it and without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dvdgan.data.dataset import ClipDataset
from dvdgan.data.phenomena import CLASSES
from dvdgan.evaluation.behaviours.calibration import stored
from dvdgan.evaluation.behaviours.scoring import score
from dvdgan.evaluation.cache import Cache
from dvdgan.evaluation.classifier.classifier import Classifier
from dvdgan.evaluation.classifier.results import confusion
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.features.extract import extract
from dvdgan.evaluation.metrics.baselines import baseline, disjoint_splits
from dvdgan.evaluation.metrics.frechet import frechet_distance, gaussian
from dvdgan.evaluation.real_clips import middle_windows, readable
from dvdgan.runs.directory import TrainingError
from dvdgan.training.checks import rounded
from dvdgan.training.samples import shown_clips

Measure = Callable[[np.ndarray, np.ndarray], dict[str, Any]]

_MOST_REAL = 2000  # training clips that samples are compared with, in all
_MOST_ROWS = 128 * 12 * 32  # of pixels, in samples whose behaviour is measured: about a second


@contextmanager
def classifier_errors() -> Iterator[None]:
    """Errors of the classifier as `TrainingError`, with the field that names it."""
    try:
        yield
    except EvaluationError as error:
        raise TrainingError(f"training.classifier: {error}") from None


def open_classifier(directory: str | None, device: torch.device) -> Classifier | None:
    """The classifier of ``training.classifier``; None where it is not set.

    Raises:
        TrainingError: there is no classifier in the directory, or a damaged one.
    """
    if directory is None:
        return None
    with classifier_errors():
        return Classifier.load(directory, device)


class Evaluator:
    """Evaluates samples; what that needs of real clips is found once.

    Args:
        classifier: from `open_classifier`; knows the clips' classes.
        dataset: the clips that are trained on.
        watched: the classes that samples will have, int64 ``[K]``.
        clips: how many samples there will be.
        cache: where the classifier's features of training clips are cached, by content.
        say: where lines for the user go.

    Attributes:
        has_classifier: whether there is one; checkpoints then compare by ``distance``, lower being better.
        metadata: what ``run.json`` says of it; empty where nothing is evaluated.

    Raises:
        TrainingError: the classifier cannot take the training clips.
    """

    def __init__(
        self,
        classifier: Classifier | None,
        dataset: ClipDataset,
        watched: np.ndarray,
        clips: int,
        cache: Path,
        say: Callable[[str], None],
    ) -> None:
        self.has_classifier = classifier is not None
        self.metadata: dict[str, Any] = {}
        self._measures: list[Measure] = []
        if classifier is not None:
            with classifier_errors():
                self._measures.append(_by_classifier(classifier, dataset, watched, clips, cache, self.metadata, say))
        if measure := _by_behaviour(dataset, self.metadata, say):
            self._measures.append(measure)

    def __call__(self, clips: np.ndarray, labels: np.ndarray | None) -> dict[str, Any]:
        """Evaluate samples, uint8 ``[N, T, H, W, 3]``, with labels int64 ``[N]`` in turn.

        Returns:
            JSON values with four significant digits; empty where nothing can be said. With a classifier ``distance``
            (Classifier Fréchet distance) from ``real_clips`` training clips, its real-vs-real ``baseline``,
            ``fidelity`` (share of samples that are taken for their class) and ``clips`` (how many they are); of
            phenomena ``behaviours`` (share of samples that behave as their class) and ``behaviours_clips``; all but
            the first three also ``…_by_class``.
        """
        if labels is None:
            return {}
        return {name: value for measure in self._measures for name, value in measure(clips, labels).items()}


def _by_classifier(
    classifier: Classifier,
    dataset: ClipDataset,
    watched: np.ndarray,
    count: int,
    cache: Path,
    metadata: dict[str, Any],
    say: Callable[[str], None],
) -> Measure:
    """Extract features of training clips; the returned function compares samples with them."""
    for note in classifier.notes(dataset.size, dataset.frames, dataset.config.stride):
        say(f"training.classifier: {note}")
    members, mirror, shown = shown_clips(dataset, watched, max(2, _MOST_REAL // len(watched)))
    plain, features_of = middle_windows(dataset, "train", members), Cache(cache)
    good = readable(plain, features_of)
    if len(good) < len(plain):
        say(
            f"{classifier.place}: {len(plain) - len(good)} of {len(plain)} training clips cannot be read and are "
            "left out"
        )
    plain, mirror, shown = plain.take(good), mirror[good], shown[good]
    turned = mirror[:, None, None, None, None]
    real = plain.mapped(
        lambda clips, rows: np.where(turned[np.asarray(rows)], clips[:, :, :, ::-1], clips),
        plain.name,
        ["mirrored", mirror.tolist()],
    )
    say(f"{classifier.place}: compares samples with {len(real)} training clips")
    features = extract(real, classifier, features_of)
    reference, few = gaussian(features), max(1, min(count, len(real) // 2))

    def between(rows: np.ndarray, others: np.ndarray) -> float | None:
        if min(len(rows), len(others)) < 2:
            return None
        return frechet_distance(gaussian(features[rows]), gaussian(features[others]))

    groups = np.unique(plain.groups, return_inverse=True)[1]
    splits = disjoint_splits(shown, groups, few) if len(real) > 1 else [(np.arange(1), np.arange(0))]
    others, samples = (min(map(len, rows)) for rows in zip(*splits))
    values, asked = [between(*rows) for rows in splits], (few, len(real) - few)
    found = baseline(values, (samples, others), asked, f"{len(real)} real clips")
    if samples < count:
        text = f"the baseline is of {samples} against {others} of them, too high for {count} samples"
        say(f"training.classifier: {len(real)} training clips are few: {text}")
    share = rounded(classifier.about.accuracy.clips.value or 0.0)
    known = {"real_clips": len(real), "baseline": None if found.mean is None else rounded(found.mean)}
    metadata |= {
        "classifier": classifier.weights_sha256,
        **known,
        "baseline_clips": samples,
        "held_out_fidelity": share,
    }
    numbers = np.array([classifier.classes.index(name) for name in dataset.classes])

    def measure(clips: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        seen = classifier(clips)
        counts = confusion(classifier.probabilities_of(seen).argmax(1), numbers[labels], len(classifier.classes))
        of_class = {name: int(counts[k].sum()) for k, name in enumerate(classifier.classes) if counts[k].any()}
        right = {name: int(counts[k, k]) for k, name in enumerate(classifier.classes) if name in of_class}
        return {
            "distance": rounded(frechet_distance(reference, gaussian(seen))),
            **known,
            "fidelity": rounded(sum(right.values()) / len(clips)),
            "fidelity_by_class": {name: rounded(right[name] / of_class[name]) for name in of_class},
            "clips": len(clips),
            "clips_by_class": of_class,
        }

    return measure


def _by_behaviour(dataset: ClipDataset, metadata: dict[str, Any], say: Callable[[str], None]) -> Measure | None:
    """Behaviours of samples of the phenomena, where limits are stored; None elsewhere."""
    if set(dataset.classes) != set(CLASSES):
        return None
    size, frames = dataset.size, dataset.frames
    limits = stored(size, frames)
    if limits is None or dataset.config.stride > 1:
        say(f"behaviours are not measured: no limits for {frames} frames of {size} px, stride {dataset.config.stride}")
        return None
    metadata["behaviours"] = limits.describe()
    most = max(len(CLASSES), _MOST_ROWS // (frames * size))

    def measure(clips: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        rates = score(clips[:most], labels[:most], dataset.classes, limits)
        counts = {name: rate.of for name, rate in rates.items()}
        return {
            "behaviours": rounded(sum(rate.hits for rate in rates.values()) / sum(counts.values())),
            "behaviours_by_class": {name: rounded(rate.hits / rate.of) for name, rate in rates.items()},
            "behaviours_clips": sum(counts.values()),
            "behaviours_clips_by_class": counts,
        }

    return measure
