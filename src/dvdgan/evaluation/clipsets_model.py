"""Sets of clips that a model makes: each the same for its seed and class, whatever it is made together with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from dvdgan.evaluation.clipsets import content_key
from dvdgan.evaluation.clipsets_choice import apportioned
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.models import Model
from dvdgan.networks.statistics import load_statistics, statistics_of
from dvdgan.sampling import TruncationKind, latents, make_clips, settle_statistics

_VERSION = 1  # raised whenever other pixels are made
_PIXELS = 1 << 23  # of the frames of all clips of a forward pass, unless its batch is given
_SETTLING = 16  # clips per batch of statistics that the model does not bring: the pipeline's own batch by default


class ModelSet:
    """A `ClipSet` of clips that are made when they are read.

    In fp32 a clip is the same whatever batch it is made in, up to one level of 255 in a few pixels; in bf16 it may
    differ by more. Equal keys are equal pixels up to that, and up to the device's own rounding.

    Args:
        model: from `load_model`; left as it was.
        labels: ``[N]`` class of each clip; None for a model without classes.
        seeds: ``[N]`` seed of each clip's noise, >= 0.
        truncation: see `dvdgan.sampling.latents`. Statistics for it come with the model or are estimated at the first
            reading, always from the same draws.
        kind: see `dvdgan.sampling.latents`.
        frames: frames per clip; None is what the model was trained for.
        precision: ``fp32`` or ``bf16``.
        batch_size: clips per forward pass; None is 16, and fewer of large clips.
        name: what the report calls the set; None names the truncation.

    Attributes:
        seeds: see above.
        truncation: see above.
        kind: see above.
        precision: see above.
        (And those of a `ClipSet`. The key follows from the generator's tensors, its configuration, the statistics, and
        all of the arguments but the batch's size and the name.)

    Raises:
        EvaluationError: labels or seeds that the model cannot have, or another number out of its range.
    """

    def __init__(
        self,
        model: Model,
        labels: Sequence[int] | np.ndarray | None,
        seeds: Sequence[int],
        truncation: float = 1.0,
        kind: TruncationKind = "scale",
        frames: int | None = None,
        precision: str = "fp32",
        batch_size: int | None = None,
        name: str | None = None,
    ) -> None:
        """Check what is asked for; nothing is made yet."""
        self.seeds = [int(seed) for seed in seeds]
        if self.seeds and min(self.seeds) < 0:
            raise EvaluationError(f"seeds must be 0 or more, not {min(self.seeds)}")
        self.labels = np.zeros(len(self.seeds), np.int64) if labels is None else np.asarray(labels, np.int64)
        if len(self.labels) != len(self.seeds):
            raise EvaluationError(f"{len(self.labels)} labels for {len(self.seeds)} seeds: give one for each")
        count = len(model.classes)
        if (labels is None) != (count == 0):
            raise EvaluationError(f"the model has {count or 'no'} classes: give {'labels' if count else 'no labels'}")
        if ((self.labels < 0) | (self.labels >= max(1, count))).any():
            raise EvaluationError(f"labels are from 0 to {count - 1}, for the model's {count} classes")
        if precision not in ("fp32", "bf16"):
            raise EvaluationError(f"precision must be fp32 or bf16, not {precision!r}")
        if batch_size is None:  # 16 small clips, 2 of 48 frames of 256 px
            pixels = (frames or model.config.network.frames) * model.config.network.size**2
            batch_size = max(1, min(16, _PIXELS // pixels))
        if batch_size < 1 or (frames is not None and frames < 1):
            raise EvaluationError(f"batch_size and frames must be 1 or more, not {batch_size} and {frames}")
        try:
            latents([0], model.generator.z_dim, truncation, kind)
        except ValueError as error:
            raise EvaluationError(str(error)) from None
        self.classes = model.classes
        self.frames = model.config.network.frames if frames is None else frames
        self.size, self.fps = model.config.network.size, model.config.data.fps
        self.truncation, self.kind, self.precision = truncation, kind, precision
        self.name = (f"samples at truncation {truncation:g}" if truncation < 1 else "samples") if name is None else name
        self.ids = [
            f"seed {seed}, class {self.classes[label]}" if self.classes else f"seed {seed}"
            for seed, label in zip(self.seeds, self.labels.tolist())
        ]
        self._model, self._batch_size = model, batch_size
        known = model.statistics.get(truncation) if kind == "scale" or truncation == 1.0 else None
        self._statistics = known
        self.key = content_key(
            "model",
            _VERSION,
            generator_key(model),
            self._statistics_key(),
            *(truncation, kind, self.frames, precision, self.seeds, self.labels.tolist()),
        )

    @classmethod
    def per_class(cls, model: Model, per_class: int, first_seed: int = 0, **settings: object) -> ModelSet:
        """As many clips of each class, of seeds from `first_seed` on, classes in turn; `settings` as of the class."""
        return cls.in_all(model, per_class * max(1, len(model.classes)), first_seed, balanced=True, **settings)

    @classmethod
    def in_all(
        cls, model: Model, count: int, first_seed: int = 0, balanced: bool = False, **settings: object
    ) -> ModelSet:
        """So many clips, of seeds from `first_seed` on.

        Args:
            model: from `load_model`.
            count: how many; the clips of a smaller number are the first of a larger one.
            first_seed: seed of the first clip; the others' follow.
            balanced: classes come equally often, and not as often as in the data that the model was trained on.
            settings: further arguments of the class.
        """
        if count < 1:
            raise EvaluationError(f"clips to make must be 1 or more, not {count}")
        labels = None
        if model.classes:
            labels = apportioned([1.0] * len(model.classes) if balanced else model.class_weights, count)
        return cls(model, labels, range(first_seed, first_seed + count), **settings)  # type: ignore[arg-type]

    def __len__(self) -> int:
        """How many clips there are."""
        return len(self.seeds)

    def read(self, rows: Sequence[int]) -> np.ndarray:
        """Make clips by their numbers, uint8 ``[n, T, S, S, 3]``.

        Raises:
            EvaluationError: the model cannot make clips of so many frames.
        """
        if not len(rows):
            return np.empty((0, self.frames, self.size, self.size, 3), np.uint8)
        generator = self._model.generator
        z = latents([self.seeds[row] for row in rows], generator.z_dim, self.truncation, self.kind)
        y = torch.from_numpy(self.labels[np.asarray(rows, np.int64)]) if self.classes else None
        before = statistics_of(generator)
        try:
            self._settle()
            return make_clips(generator, z, y, self.frames, self._batch_size, self.precision)
        except ValueError as error:
            raise EvaluationError(f"{self.name}: {error}") from None
        finally:
            load_statistics(generator, before)

    def _settle(self) -> None:
        """Put the statistics of this truncation in place."""
        if self._statistics is not None:
            load_statistics(self._model.generator, self._statistics)
            return
        weights, batches = self._model.class_weights or None, self._model.config.training.statistics_batches
        self._statistics = settle_statistics(
            self._model.generator, weights, self.truncation, self.kind, batches, _SETTLING, precision=self.precision
        )

    def _statistics_key(self) -> str:
        """Of the statistics that the model brings, or of how they are estimated."""
        if self._statistics is not None:
            return _tensors_key(self._statistics)
        batches = self._model.config.training.statistics_batches
        return content_key("estimated", batches, _SETTLING, list(self._model.class_weights))


def generator_key(model: Model) -> str:
    """SHA-256, in hex, of a generator's configuration and tensors, but for the statistics of a truncation."""
    statistics = statistics_of(model.generator).keys()
    tensors = {name: value for name, value in model.generator.state_dict().items() if name not in statistics}
    return content_key(model.config.network.model_dump(mode="json"), _tensors_key(tensors))


def _tensors_key(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
