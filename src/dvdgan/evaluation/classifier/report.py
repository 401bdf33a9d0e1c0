"""How often a classifier is right on held-out clips, and on what is left of them without movement."""

from __future__ import annotations

import platform
from collections.abc import Callable

import numpy as np
import torch

import dvdgan
from dvdgan.data.progress import with_progress
from dvdgan.evaluation.classifier.classifier import Classifier
from dvdgan.evaluation.classifier.results import (
    TITLES,
    Accuracies,
    Accuracy,
    ClassifierFile,
    ClassifierResults,
    confusion,
)
from dvdgan.evaluation.clip_set import ClipSet, chunks

_CHUNK = 32  # clips that are read at once
_SHOWN = 12  # classes of which a whole matrix is printed


def measure(classifier: Classifier, by_looks: Classifier | None, held_out: ClipSet) -> Accuracies:
    """Measure a classifier on held-out clips; each is read once.

    Args:
        classifier: of clips.
        by_looks: a classifier of single frames; None leaves out what has to do with frames (clips of one frame).
        held_out: clips that neither has learned from, with the classifier's classes.
    """
    middle, frames = held_out.frames // 2, held_out.frames
    views: dict[str, tuple[Classifier, Callable[[np.ndarray], np.ndarray]]] = {
        "clips": (classifier, lambda clips: clips)
    }
    if by_looks is not None:
        views["frozen_first"] = classifier, lambda clips: np.repeat(clips[:, :1], frames, 1)
        views["frozen_middle"] = classifier, lambda clips: np.repeat(clips[:, middle : middle + 1], frames, 1)
        views["single_frames"] = classifier, lambda clips: clips[:, middle : middle + 1]
        views["frame_classifier"] = by_looks, lambda clips: clips[:, middle : middle + 1]
    taken_for: dict[str, list[np.ndarray]] = {name: [] for name in views}
    for rows in with_progress(chunks(range(len(held_out)), _CHUNK), "classifying held-out clips"):
        clips = held_out.read(rows)
        for name, (who, view) in views.items():
            taken_for[name].append(who.probabilities(view(clips)).argmax(1))
    classes, most = classifier.classes, np.bincount(held_out.labels).max()
    counts = {
        name: confusion(np.concatenate(parts), held_out.labels, len(classes)) for name, parts in taken_for.items()
    }
    accuracies = {name: Accuracy.of_counts(classes, found) for name, found in counts.items()}
    return Accuracies.model_validate({"chance": float(most / len(held_out)), **accuracies})


def in_lines(about: ClassifierFile) -> list[str]:
    """What ``classifier.json`` says of a classifier, for people."""
    training, data, accuracy, classes = about.training, about.data, about.accuracy, about.classes
    lines = [
        f"{training.steps_done} steps, {training.minutes:.1f} minutes of training on {data.training_clips} "
        f"clips; held out: {data.held_out_clips} clips, {data.held_out}"
    ]
    if not training.finished:
        lines.append(
            f"stopped at step {training.steps_done} of {training.steps}, before the learning rate had fallen; "
            "the same command with more minutes goes on"
        )
    measured = accuracy.measured
    for name, part in measured.items():
        lines.append(
            f"{TITLES[name]}: {part.value:.1%} right ({part.hits} of {part.of}; 95 % interval "
            f"{part.low:.1%} to {part.high:.1%})"
        )
    lines.append(f"naming the most frequent class: {accuracy.chance:.1%}")
    width = max(len(name) for name in classes)
    heads = [name.replace("_", " ") for name in measured]
    lines.append(f"by class, per cent: {', '.join(heads)}")
    for label in classes:
        shares = [part.by_class.get(label) for part in measured.values()]
        row = "  ".join("    -" if share is None else f"{100 * (share.value or 0):5.1f}" for share in shares)
        lines.append(f"  {label:{width}}  {row}")
    if len(classes) <= _SHOWN:
        lines.append("held-out clips of each class (rows), and what they are taken for (columns, in the same order):")
        for label, counts in zip(classes, accuracy.clips.confusion):
            lines.append(f"  {label:{width}}  " + " ".join(f"{count:4d}" for count in counts))
    return lines


def versions() -> dict[str, str]:
    """What the numbers were made with."""
    return {"dvdgan": dvdgan.__version__, "torch": torch.__version__, "python": platform.python_version()}


def in_record(classifier: Classifier, generated: np.ndarray | None) -> ClassifierResults:
    """The classifier for the record of an evaluation.

    Args:
        classifier: one that was measured and saved.
        generated: confusion of generated clips, int64 ``[K, K]``; None where they have no classes.
    """
    about, classes = classifier.about, classifier.classes
    accuracy, data = about.accuracy, about.data
    return ClassifierResults(
        path=str(classifier.path),
        key=classifier.weights_sha256,
        trained_on=f"{data.source}, {data.training_clips:,} clips",
        classes=classes,
        chance=accuracy.chance,
        accuracy=accuracy.clips,
        still={TITLES[name]: part for name, part in accuracy.measured.items() if part is not accuracy.clips},
        fidelity=Accuracy(missing="clips have no classes")
        if generated is None
        else Accuracy.of_counts(classes, generated),
    )
