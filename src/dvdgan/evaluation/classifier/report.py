"""How often a classifier is right on held-out clips, and on what is left of them without movement."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

import dvdgan
from dvdgan.data.progress import with_progress
from dvdgan.evaluation.classifier.classifier import Classifier
from dvdgan.evaluation.classifier.results import ClassifierResults, Confusion
from dvdgan.evaluation.clip_set import ClipSet
from dvdgan.evaluation.measured import Share
from dvdgan.evaluation.metrics.classification import confusion

CLIPS, FROZEN_FIRST, FROZEN_MIDDLE = "clips", "frozen_first", "frozen_middle"
SINGLE_FRAMES, FRAME_CLASSIFIER = "single_frames", "frame_classifier"

TITLES = {
    CLIPS: "held-out clips",
    FROZEN_FIRST: "their first frame, held still",
    FROZEN_MIDDLE: "their middle frame, held still",
    SINGLE_FRAMES: "their middle frame alone, classifier",
    FRAME_CLASSIFIER: "their middle frame alone, classifier of frames",
}
"""What each accuracy of ``classifier.json`` is measured on, and what sees it.

A classifier is made so that a frame alone and that frame held still are the same to it. It never learned from either,
so what it misses there may still be visible: the classifier of frames, which learned from nothing else, tells what
looks give away. Of classes that share one distribution of scenes (zoom-in and zoom-out, pan-left and pan-right),
neither can tell the direction, and only what lies above them is movement.
"""

_CHUNK = 32  # clips that are read at once
_SHOWN = 12  # classes of which a whole matrix is printed


def measure(classifier: Classifier, by_looks: Classifier | None, held_out: ClipSet) -> dict[str, Any]:
    """Measure a classifier on held-out clips; each is read once.

    Args:
        classifier: of clips.
        by_looks: a classifier of single frames; None leaves out what has to do with frames (clips of one frame).
        held_out: clips that neither has learned from, with the classifier's classes.

    Returns:
        For ``classifier.json``: ``chance``, what naming the most frequent class reaches, 0 to 1, and for each of
        `TITLES` its ``hits``, ``of`` how many, ``low`` and ``high`` of the 95 % Wilson interval, the same ``by_class``
        (no entry for a class without clips), and the ``confusion``: rows are classes, columns what they are taken for.
    """
    middle, frames = held_out.frames // 2, held_out.frames
    views: dict[str, tuple[Classifier, Callable[[np.ndarray], np.ndarray]]] = {CLIPS: (classifier, lambda clips: clips)}
    if by_looks is not None:
        views[FROZEN_FIRST] = classifier, lambda clips: np.repeat(clips[:, :1], frames, 1)
        views[FROZEN_MIDDLE] = classifier, lambda clips: np.repeat(clips[:, middle : middle + 1], frames, 1)
        views[SINGLE_FRAMES] = classifier, lambda clips: clips[:, middle : middle + 1]
        views[FRAME_CLASSIFIER] = by_looks, lambda clips: clips[:, middle : middle + 1]
    taken_for: dict[str, list[np.ndarray]] = {name: [] for name in views}
    for start in with_progress(range(0, len(held_out), _CHUNK), "classifying held-out clips"):
        clips = held_out.read(range(start, min(start + _CHUNK, len(held_out))))
        for name, (who, view) in views.items():
            taken_for[name].append(who.probabilities(view(clips)).argmax(1))
    most = np.bincount(held_out.labels, minlength=len(classifier.classes)).max()
    accuracy: dict[str, Any] = {"chance": float(most / len(held_out))}
    for name, parts in taken_for.items():
        counts = confusion(np.concatenate(parts), held_out.labels, len(classifier.classes))
        accuracy[name] = {
            **_share(counts.trace(), counts.sum()),
            "by_class": {
                label: _share(counts[k, k], counts[k].sum())
                for k, label in enumerate(classifier.classes)
                if counts[k].any()
            },
            "confusion": counts.tolist(),
        }
    return accuracy


def in_lines(about: dict[str, Any]) -> list[str]:
    """What ``classifier.json`` says of a classifier, for people.

    Args:
        about: its content.
    """
    training, data, accuracy, classes = about["training"], about["data"], about["accuracy"], about["classes"]
    lines = [
        f"{training['steps_done']} steps, {training['minutes']:.1f} minutes of training on {data['training_clips']} "
        f"clips; held out: {data['held_out_clips']} clips, {data['held_out']}"
    ]
    if not training["finished"]:
        lines.append(
            f"stopped at step {training['steps_done']} of {training['steps']}, before the learning rate had fallen; "
            "the same command with more minutes goes on"
        )
    measured = [name for name in TITLES if name in accuracy]
    for name in measured:
        entry = accuracy[name]
        lines.append(
            f"{TITLES[name]}: {entry['hits'] / entry['of']:.1%} right ({entry['hits']} of {entry['of']}; 95 % interval "
            f"{entry['low']:.1%} to {entry['high']:.1%})"
        )
    lines.append(f"naming the most frequent class: {accuracy['chance']:.1%}")
    width = max(len(name) for name in classes)
    heads = [name.replace("_", " ") for name in measured]
    lines.append(f"by class, per cent: {', '.join(heads)}")
    for label in classes:
        shares = [accuracy[name]["by_class"].get(label) for name in measured]
        row = "  ".join("    -" if e is None else f"{100 * e['hits'] / e['of']:5.1f}" for e in shares)
        lines.append(f"  {label:{width}}  {row}")
    if len(classes) <= _SHOWN:
        lines.append("held-out clips of each class (rows), and what they are taken for (columns, in the same order):")
        for label, row in zip(classes, accuracy[CLIPS]["confusion"]):
            lines.append(f"  {label:{width}}  " + " ".join(f"{count:4d}" for count in row))
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
    accuracy, data, classes = classifier.about["accuracy"], classifier.about["data"], classifier.classes
    no_classes = "clips have no classes"
    return ClassifierResults(
        path=str(classifier.path),
        key=classifier.weights_sha256,
        trained_on=f"{data['source']}, {data['training_clips']:,} clips",
        accuracy=_of_entry(accuracy[CLIPS]),
        still={
            title: _of_entry(accuracy[name]) for name, title in TITLES.items() if name in accuracy and name != CLIPS
        },
        chance=accuracy["chance"],
        fidelity=Share(missing=no_classes) if generated is None else Share.make(generated.trace(), generated.sum()),
        fidelity_by_class={}
        if generated is None
        else {label: Share.make(generated[k, k], generated[k].sum()) for k, label in enumerate(classes)},
        accuracy_by_class={label: _of_entry(entry) for label, entry in accuracy[CLIPS]["by_class"].items()},
        confusion_real=Confusion(classes=classes, counts=accuracy[CLIPS]["confusion"]),
        confusion_generated=None if generated is None else Confusion(classes=classes, counts=generated.tolist()),
    )


def _of_entry(entry: Mapping[str, Any]) -> Share:
    return Share.make(entry["hits"], entry["of"])


def _share(hits: int, of: int) -> dict[str, Any]:
    """An entry of ``classifier.json``."""
    return Share.make(int(hits), int(of)).model_dump(exclude={"missing"})
