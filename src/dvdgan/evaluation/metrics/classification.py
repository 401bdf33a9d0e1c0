"""What a classifier says of generated clips: are they clear and varied, and of the class that they were made for?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.metrics.intervals import wilson_spread
from dvdgan.evaluation.metrics.scores import ClassScores, Counts, Score, Spread, check_labels
from dvdgan.randomness import keyed_rng

_OFF_ONE = 1e-3  # by which probabilities of one clip may miss a sum of 1


@dataclass(frozen=True, eq=False)
class Fidelity:
    """Whether clips are taken for the class that they were made for.

    Attributes:
        scores: accuracy over all clips and by class, each with a 95 % Wilson interval. Over all, each clip counts
            alike; ``scores.mean`` counts each class alike.
        confusion: int64 ``[K, K]``: row, the class that was asked for; column, the class that it is taken for.
        classes: K names.
    """

    scores: ClassScores
    confusion: np.ndarray
    classes: list[str]

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, strings and finite numbers."""
        return {**self.scores.to_json(), "classes": self.classes, "confusion": self.confusion.tolist()}


def inception_score(
    probabilities: np.ndarray,
    measured_with: str,
    name: str = "Inception Score",
    splits: int = 10,
    seed: int = 0,
) -> Score:
    """exp of the mean KL divergence of each clip's class probabilities from their mean (Salimans et al. 2016).

    From 1, where every clip is judged alike, to the number of classes, where each is clear and all are equally
    frequent. It does not see whether clips look real, nor whether those of one class differ.

    Args:
        probabilities: ``[N, K]``, rows that sum to 1.
        measured_with: the classifier's name.
        name: the score's name.
        splits: into how many parts, nearly equal and drawn at random, the clips are split; the value is the mean over
            them and the spread their deviation, divided by the number of splits, as published. Fewer where there are
            not 2 clips a split. A part of n clips cannot score above n.
        seed: of the draw.

    Returns:
        A score whose ``details`` are ``splits`` and ``over_all``, the score of all clips as one part.

    Raises:
        EvaluationError: rows that are no probabilities.
    """
    p = np.asarray(probabilities, np.float64)
    if p.ndim != 2 or not p.size:
        raise EvaluationError(f"probabilities are [N, K] and not empty; these are {p.shape}")
    if not (np.isfinite(p).all() and (p >= 0).all() and (np.abs(p.sum(1) - 1) <= _OFF_ONE).all()):
        raise EvaluationError("probabilities are from 0 to 1 and sum to 1 for each clip; apply softmax to logits first")
    p = p / p.sum(1, keepdims=True)
    splits = max(1, min(splits, len(p) // 2))
    parts = np.array_split(keyed_rng(seed, "inception score").permutation(len(p)), splits)
    values = np.array([_exp_mean_divergence(p[part]) for part in parts])
    counts = Counts.of(None, p)
    warnings: tuple[str, ...] = ()
    if splits > 1 and len(p) // splits < 10 * counts.dimension:
        warnings = (
            f"each of {splits} splits has {len(p) // splits} clips for {counts.dimension} classes; with fewer than ten "
            "a class the score is too low: compare it only at equal counts",
        )
    spread = None
    if splits > 1:
        kind = f"standard deviation over {splits} splits"
        spread = Spread(kind, float(values.std()), float(values.min()), float(values.max()))
    details = {"splits": splits, "over_all": _exp_mean_divergence(p)}
    return Score(name, measured_with, float(values.mean()), "higher", counts, spread, None, warnings, details)


def class_fidelity(
    predictions: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    measured_with: str,
    name: str = "Class fidelity",
) -> Fidelity:
    """Share of clips that a classifier takes for the class that they were made for.

    Args:
        predictions: int64 ``[N]``, the class that each clip is taken for, or probabilities ``[N, K]``.
        labels: int64 ``[N]``, the class that each was made for.
        classes: K names, by label.
        measured_with: the classifier's name.
        name: the score's name.

    Raises:
        EvaluationError: predictions and labels that do not fit each other or the classes.
    """
    predictions, labels = np.asarray(predictions), np.asarray(labels)
    if predictions.ndim == 2:
        if predictions.shape[1] != len(classes):
            raise EvaluationError(f"probabilities of {predictions.shape[1]} classes, but there are {len(classes)}")
        if not np.isfinite(predictions).all():
            raise EvaluationError("probabilities are not finite; look at the classifier's precision")
        predictions = predictions.argmax(1)
    check_labels(labels, len(classes), "labels")
    check_labels(predictions, len(classes), "predictions")
    if len(predictions) != len(labels):
        raise EvaluationError(f"{len(predictions)} predictions for {len(labels)} labels; give one for each clip")
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (labels, predictions), 1)

    def accuracy(hits: int, clips: int) -> Score:
        counts = Counts(0, clips, 0, clips, len(classes))
        if not clips:
            return Score(name, measured_with, None, "higher", counts, reason="no clips of the class")
        return Score(name, measured_with, hits / clips, "higher", counts, wilson_spread(hits, clips))

    by_class = {label: accuracy(int(confusion[k, k]), int(confusion[k].sum())) for k, label in enumerate(classes)}
    overall = accuracy(int(np.trace(confusion)), len(labels))
    return Fidelity(ClassScores(overall, by_class), confusion, list(classes))


def _exp_mean_divergence(p: np.ndarray) -> float:
    """exp of the mean over rows of ``KL(p(y | clip) ‖ p(y))``, with 0 log 0 = 0."""
    mean = p.mean(0)
    logs = np.log(np.where(p > 0, p, 1)) - np.log(np.where(mean > 0, mean, 1))
    return float(np.exp((p * logs).sum(1).mean()))
