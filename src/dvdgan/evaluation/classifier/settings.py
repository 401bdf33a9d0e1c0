"""How a classifier is trained, and whether a training that was interrupted goes on under the same settings."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dvdgan.config import DataConfig
from dvdgan.data.write.encode import atomic_path
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.runs.checkpoint import list_checkpoints


@dataclass(frozen=True)
class ClassifierSettings:
    """How a classifier is trained. The same settings and clips give the same classifier, on one machine.

    Attributes:
        size: height and width of its clips, in pixels, 32 and more.
        frames: frames of its clips.
        steps: optimiser steps, over which the learning rate falls to 0 as a cosine.
        batch_size: clips per step.
        learning_rate: of AdamW, at the start, after a rise over the first steps.
        weight_decay: of AdamW.
        widths: channels of each stage of the network; () is `default_widths` of the size.
        seed: of the initial weights and every draw.
        held_out_fraction: share of each class that is held out of a source that has no test part.
        held_out_clips: held-out clips that accuracy is told on, at most, about.
    """

    size: int = 64
    frames: int = 12
    steps: int = 1000
    batch_size: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    widths: tuple[int, ...] = ()
    seed: int = 0
    held_out_fraction: float = 0.2
    held_out_clips: int = 1000

    def __post_init__(self) -> None:
        """Refuse values out of their range.

        Raises:
            EvaluationError: one is; it is named.
        """
        least = {
            "size": 32,
            "frames": 1,
            "steps": 1,
            "batch_size": 2,
            "seed": 0,
            "weight_decay": 0,
            "held_out_clips": 1,
        }
        for name, low in least.items():
            if getattr(self, name) < low:
                raise EvaluationError(f"{name} must be {low} or more, not {getattr(self, name)}")
        if not 0 < self.held_out_fraction < 1:
            raise EvaluationError(f"held_out_fraction must be between 0 and 1, not {self.held_out_fraction}")
        if self.learning_rate <= 0 or any(width < 1 for width in self.widths):
            raise EvaluationError("learning_rate and widths must be above 0")


def resuming(folder: Path, settings: ClassifierSettings, data: DataConfig) -> bool:
    """Whether there is a training to go on with; what it was started with is kept beside its checkpoints.

    Raises:
        EvaluationError: it was started with other settings, each of which is named.
    """
    path = folder / "settings.json"
    now = json.loads(json.dumps(asdict(settings) | {f"data.{k}": v for k, v in _deciding(data).items()}))
    if not list_checkpoints(folder / "checkpoints"):
        with atomic_path(path) as partial:
            partial.write_text(json.dumps(now, indent=1), encoding="utf-8")
        return False
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        other = [f"{k} was {before.get(k)}, not {now.get(k)}" for k in before | now if before.get(k) != now.get(k)]
    except (OSError, ValueError, TypeError):
        raise EvaluationError(f"{path}: missing or damaged beside checkpoints; choose another --out") from None
    if other:
        mend = "give the same again, or choose another --out"
        raise EvaluationError(f"{folder.parent}: its training began otherwise ({'; '.join(other[:5])}); {mend}")
    return True


def _deciding(data: DataConfig) -> dict[str, Any]:
    """What decides which clips there are; not how quickly they are decoded, nor at what speed they are watched."""
    return data.model_dump(mode="json", exclude={"workers", "decode_seconds", "decode_gib", "fps", "split"})


def in_short(data: DataConfig) -> dict[str, Any]:
    """The source, and what else of a configuration is not as it is by default."""
    return {"source": data.source, **data.model_dump(mode="json", exclude_defaults=True, exclude={"split"})}
