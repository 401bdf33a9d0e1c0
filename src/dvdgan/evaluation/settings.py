"""How much an evaluation looks at, how a classifier is trained; settings from FIELD=VALUE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field

from dvdgan.config import DataConfig
from dvdgan.config.files import override
from dvdgan.config.model import FrozenModel

SEEDS_APART = 1_000_000
"""The first seed of each set of a model's clips lies so far from that of the set before: sets share no seed, and the
clips of a smaller set are the first of a larger one."""

_MOST = 500  # clips of a set, unless asked for
_CLASSES = 9  # as many clips as of so many classes, where there are fewer
_FRAMES_224_FROM = 96  # pixels of a clip from which EfficientNet sees frames at 224 px, and at 128 px below

Model = TypeVar("Model", bound=FrozenModel)


def _listed(value: Any) -> Any:
    """Numbers of a list such as ``1,0.8,0.6``; an empty text is none."""
    if isinstance(value, str):
        return [part for part in value.split(",") if part.strip()]
    return () if value is None else [value] if isinstance(value, (int, float)) else value


Truncations = Annotated[
    tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(max_length=100), BeforeValidator(_listed)
]


class EvaluationSettings(FrozenModel):
    """What is measured."""

    num: int | None = Field(None, ge=2, le=SEEDS_APART)
    """Generated clips of each set, and held-out clips in their place in baselines and controls. null: per_class of each
    class (of 9, where there are fewer), at most 500, and half of the held-out clips at most."""
    per_class: int = Field(20, ge=1, le=100_000)
    """Clips of each class, see num; 10 with --quick."""
    seeds: int = Field(3, ge=1, le=100)
    """Sets of generated clips, each of other seeds; scores are their mean, with the deviation over them; 2 with
    --quick."""
    futures: int = Field(4, ge=1, le=1000)
    """Clips that a predictor makes of each start, of which the mean and the best count; 2 with --quick."""
    truncation: float = Field(1.0, gt=0, le=1)
    """Of the model's noise; 1 is none."""
    truncations: Truncations = (1.0, 0.8, 0.6, 0.44)
    """Points of the curve over truncation, such as 1,0.8,0.6; fewer than two leave it out, as --quick does."""
    size: int | None = Field(None, ge=16, le=1024)
    """Height and width of the clips in a folder, in pixels. null: the data's, then the classifier's, else 64."""
    frames: int | None = Field(None, ge=1, le=4096)
    """Frames per clip. null: the model's, then the classifier's, else 12."""
    controls: bool = True
    """Score corrupted real clips; false with --quick. Those that a predictor is to beat are scored in any case."""
    frame_size: int | None = Field(None, ge=32, le=1024)
    """Height and width at which EfficientNet sees frames, in pixels. null: 128 for clips below 96 px, else 224."""
    windows: int = Field(10_000, ge=1, le=10_000_000)
    """Training clips are looked up in at most so many windows, in each of the spaces; 3000 with --quick."""
    baseline_repeats: int = Field(10, ge=1, le=1000)
    """Repeats of real against real; 5 with --quick."""
    shown: int = Field(4, ge=0, le=1000)
    """Clips of each class that the page shows on each side."""
    pairs: int = Field(5, ge=0, le=1000)
    """Nearest pairs that the page shows of each kind, in each of the spaces."""
    seed: int = Field(0, ge=0, le=2**53)
    """Of the choice of clips, of corruptions and of everything random."""
    cache: Path | None = None
    """Folder in which clips and features are kept. null: cache, in the folder of the report."""
    fvd_weights: Path | None = None
    """I3D's TorchScript file, for FVD. null leaves FVD out."""
    fvd_sha256: str | None = None
    """Its SHA-256, if it is another file than StyleGAN-V's; its score is then not called FVD."""
    inception_weights: Path | None = None
    """Inception's TorchScript file, for FID. null leaves FID out."""
    inception_sha256: str | None = None
    """Its SHA-256, if it is another file than StyleGAN2-ADA's; its score is then not called FID."""

    def clips(self, classes: int) -> int:
        """How many clips a set of so many classes has; 0 where there are none."""
        return self.num or min(self.per_class * max(classes, _CLASSES), _MOST)

    def seen_at(self, size: int) -> int:
        """At how many pixels EfficientNet sees the frames of clips of a size."""
        return self.frame_size or (224 if size >= _FRAMES_224_FROM else 128)


class ClassifierSettings(FrozenModel):
    """How a classifier is trained. The same settings and clips give the same classifier, on one machine."""

    size: int = Field(64, ge=32, le=1024)
    """Height and width of its clips, in pixels. By default a packed store's, else 64."""
    frames: int = Field(12, ge=1, le=4096)
    """Frames of its clips."""
    steps: int = Field(1000, ge=1, le=10**9)
    """Optimiser steps, over which the learning rate falls to 0 as a cosine."""
    batch_size: int = Field(32, ge=2, le=65_536)
    """Clips per step."""
    learning_rate: float = Field(3e-3, gt=0, le=1)
    """Of AdamW, at the start, after a rise over the first steps."""
    weight_decay: float = Field(0.02, ge=0, le=1)
    """Of AdamW."""
    widths: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field((), max_length=16)
    """Channels of each stage of the network; [] follows from the size."""
    seed: int = Field(0, ge=0, le=2**53)
    """Of the initial weights and everything random."""
    held_out_fraction: float = Field(0.2, gt=0, lt=1)
    """Share of each class that is held out of a source that has no test part."""
    held_out_clips: int = Field(1000, ge=1, le=1_000_000)
    """Held-out clips that accuracy is measured on, at most, about."""


QUICK: Mapping[str, Any] = {
    "per_class": 10,
    "seeds": 2,
    "futures": 2,
    "truncations": (),
    "controls": False,
    "windows": 3000,
    "baseline_repeats": 5,
}
"""What ``--quick`` changes: an evaluation of a minute or two."""


def parse_settings(defaults: Model, texts: Sequence[str]) -> tuple[Model, list[str]]:
    """Settings from FIELD=VALUE texts, some of which say how the data is read.

    Args:
        defaults: the settings that are changed.
        texts: such as ``num=90`` or ``data.stride=2``; values are YAML. A field of the data may come without ``data.``
            where the settings have none of that name.

    Returns:
        The settings, and the texts that are about the data, with ``data.``.

    Raises:
        ConfigError: there is no such field, or it cannot have the value.
    """
    own, of_data = [], []
    for text in texts:
        name = text.partition("=")[0].strip()
        if name.startswith("data."):
            of_data.append(text)
        elif name in DataConfig.model_fields and name not in type(defaults).model_fields:
            of_data.append(f"data.{text}")
        else:
            own.append(text)
    return override(defaults, own, [f"data.{name}" for name in DataConfig.model_fields]), of_data


def settings_help(model: type[FrozenModel]) -> str:
    """The fields of settings with their help texts and defaults, a line each."""
    lines = []
    for name, field in model.model_fields.items():
        values = field.default if isinstance(field.default, tuple) else [field.default]
        default = ",".join("null" if value is None else str(value).lower() for value in values)
        lines.append(f"{name} ({default}): {' '.join((field.description or '').split())}")
    return "\n\n".join(lines)
