"""What a record says of what was measured: the clips, what they are compared with, settings and versions."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy
import torch

import dvdgan
from dvdgan.card import with_scores
from dvdgan.config.data import PHENOMENA
from dvdgan.evaluation.clip_set import ClipSet, content_key
from dvdgan.evaluation.features.weights import file_sha256
from dvdgan.evaluation.inputs import Inputs
from dvdgan.evaluation.record import ClipList, Evaluated, Reference
from dvdgan.evaluation.sets import Sets
from dvdgan.evaluation.settings import EvaluationSettings
from dvdgan.models import Model

_NOT_LISTED = {"num", "size", "frames", "cache", "fvd_weights", "fvd_sha256", "inception_weights", "inception_sha256"}


def evaluated_of(given: Inputs, sets: Sets, settings: EvaluationSettings) -> Evaluated:
    """What was evaluated: the generated clips, and the model that made them."""
    made, path = given.made, given.path
    clips = _clip_list("generated", sets.generated, sets.classes)
    if not isinstance(made, Model):
        return Evaluated(kind="clips", path=str(path), name=path.resolve().name, clips=clips, classes=sets.classes)
    return Evaluated(
        kind="model",
        path=str(path),
        name=(path.resolve().parent if path.name == "model" else path.resolve()).name,
        clips=clips,
        classes=sets.classes,
        seeds=sets.seeds,
        truncation=settings.truncation,
        weights_sha256=file_sha256(path / "model.safetensors"),
        card=with_scores(made.card) if made.card else "",
        config=made.config.model_dump(mode="json"),
    )


def reference_of(given: Inputs, sets: Sets) -> Reference:
    """What it was compared with: the training clips."""
    size, rendered = sets.reference.size, given.parts.train.store.about.get("source") == PHENOMENA
    return Reference(
        path=str(given.data.source),
        split="training part",
        clips=_clip_list(sets.reference.name, [sets.reference], sets.classes),
        classes=sets.classes,
        stride=given.data.stride,
        resize=f"none; rendered at {size} px" if rendered else f"short side to {size} px, antialiased; middle cut",
    )


def _clip_list(name: str, sets: Sequence[ClipSet], classes: Sequence[str]) -> ClipList:
    labels = np.concatenate([clips.labels for clips in sets])
    return ClipList(
        name=name,
        count=len(labels),
        ids=[title for clips in sets for title in clips.ids],
        key=sets[0].key if len(sets) == 1 else content_key("joined", [clips.key for clips in sets]),
        frames=sets[0].frames,
        size=sets[0].size,
        fps=sets[0].fps,
        counts={title: int((labels == label).sum()) for label, title in enumerate(classes)},
    )


def settings_of(given: Inputs, sets: Sets, settings: EvaluationSettings) -> dict[str, Any]:
    """Settings and counts, by name."""
    return {
        "generated_clips_of_each_set": sets.count,
        "reference_clips": len(sets.reference),
        "held_out_clips": len(sets.held_out),
        "corrupted_clips": len(sets.controls) if settings.controls or sets.given else 0,
        "held_out": given.parts.how,
        "training_clips": len(sets.training),
        "classes_come": "as often as in training",
        **settings.model_dump(mode="json", exclude=_NOT_LISTED),
    }


def versions_of(device: torch.device) -> dict[str, str]:
    """Versions of what computes, and the device."""
    return {
        "dvdgan": dvdgan.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "device": str(device),
    }
