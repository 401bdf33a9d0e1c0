"""Sets of clips that a model makes: each the same for its seed and class, whatever it is made together with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from dvdgan.evaluation.cache import Cache, made_once
from dvdgan.evaluation.clip_set import ClipSet, apportioned, content_key, ranked
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.models import Model
from dvdgan.networks.statistics import load_statistics, statistics_of
from dvdgan.sampling import latents, make_clips, settle_statistics, statistics_batch

_VERSION = 1  # raised whenever other pixels are made
_PIXELS = 1 << 23  # of the frames of all clips of a forward pass


def model_clips(
    model: Model,
    labels: np.ndarray | None,
    seeds: Sequence[int],
    truncation: float = 1.0,
    frames: int | None = None,
    starts: ClipSet | None = None,
) -> ClipSet:
    """Clips that a model makes when they are read, in fp32.

    A clip is the same whatever batch it is made in, up to one level of 255 in a few pixels. Equal keys are equal pixels
    up to that, and up to the device's own rounding.

    Args:
        model: from `load_model`; left as it was.
        labels: int64 ``[N]``, the class of each clip among the model's; None for a model without classes.
        seeds: N seeds of the clips' noise, >= 0.
        truncation: in (0, 1], see `dvdgan.sampling.latents`. Statistics for it come with the model or are estimated at
            the first reading, always from the same noise.
        frames: frames per clip, given ones among them; None is what the model was trained for.
        starts: N real clips of its size, for a model that predicts what follows: each clip begins with the first frames
            of one.

    Raises:
        EvaluationError: a truncation whose statistics do not come with a model that predicts what follows, for they
            cannot be estimated without clips; in reading: the model cannot make clips of so many frames.
    """
    config, generator = model.config, model.generator
    length, size, given = frames or config.network.frames, config.network.size, config.network.first_frames
    known = model.statistics.get(truncation)
    batches, together = config.training.statistics_batches, statistics_batch(config)
    name = f"samples at truncation {truncation:g}" if truncation < 1 else "samples"
    numbers = np.zeros(len(seeds), np.int64) if labels is None else labels
    if given and known is None:
        there = ", ".join(f"{one:g}" for one in sorted(model.statistics, reverse=True))
        raise EvaluationError(f"truncation: {truncation:g} has no statistics in this predictor; there are {there}")

    def statistics() -> dict[str, Tensor]:
        nonlocal known
        if known is None:
            weights = model.class_weights or None
            known = settle_statistics(generator, weights, truncation, "scale", batches, together)
        return known

    def read(rows: Sequence[int]) -> np.ndarray:
        z = latents([seeds[row] for row in rows], generator.z_dim, truncation, "scale")
        y = None if labels is None else torch.from_numpy(numbers[list(rows)])
        before = statistics_of(generator)
        try:
            load_statistics(generator, statistics())
            first = None if starts is None else starts.read(rows)[:, :given]
            # 16 small clips a batch, 2 of 48 frames of 256 px
            batch_size = max(1, min(16, _PIXELS // (length * size**2)))
            return make_clips(generator, z, y, length - given, batch_size, first=first)
        except ValueError as error:
            raise EvaluationError(f"{name}: {error}") from None
        finally:
            load_statistics(generator, before)

    estimated = ["estimated", batches, together, list(model.class_weights)] if known is None else _digest(known)
    ids = [
        f"seed {seed}, class {model.classes[label]}" if model.classes else f"seed {seed}"
        for seed, label in zip(seeds, numbers.tolist())
    ]
    if starts is not None:
        ids = [f"{one}, from the start of {start}" for one, start in zip(ids, starts.ids)]
    return ClipSet(
        name=name,
        ids=ids,
        labels=numbers,
        classes=model.classes,
        frames=length,
        size=size,
        fps=config.data.fps,
        key=content_key(
            *("model", _VERSION, _generator_key(model), estimated),
            *(truncation, length, list(seeds), numbers.tolist()),
            *(() if starts is None else (given, starts.key)),
        ),
        read=read,
    )


def model_set(
    model: Model,
    classes: list[str],
    weights: Sequence[float],
    count: int,
    first_seed: int,
    truncation: float,
    frames: int | None,
    cache: Cache,
    starts: ClipSet | None = None,
) -> ClipSet:
    """A model's clips under the evaluation's classes, each made once; classes come as often as their weights say.

    Where they go on from `starts`, as many, each is of the class of its own.
    """
    labels = apportioned(weights, count) if starts is None else starts.labels
    own = None
    if model.classes:
        numbers = np.array([model.classes.index(name) for name in classes], np.int64)
        own = numbers[labels] if classes else apportioned(model.class_weights, count)
    clips = model_clips(model, own, range(first_seed, first_seed + count), truncation, frames, starts)
    return made_once(replace(clips, labels=labels, classes=classes), cache)


def start_rows(
    clips: ClipSet, rows: np.ndarray, labels: np.ndarray, weights: Sequence[float], count: int, seed: int
) -> np.ndarray:
    """Rows of the clips whose first frames a predictor is given, int64 ``[count]``: clip i's start, whatever the batch.

    Of each class those come that `ranked` puts first, and again where there are too few. The starts of fewer clips are
    the first of those of more.

    Args:
        clips: real ones.
        rows: those that may be chosen, int64 ``[M]``.
        labels: the class of each of these among the evaluation's, int64 ``[M]``.
        weights: how often each class comes; one without clips does not.
        count: how many.
        seed: of the choice.

    Raises:
        EvaluationError: there are no clips.
    """
    members = [ranked(clips, rows[labels == label], seed) for label in range(len(weights))]
    there = [weight if len(some) else 0.0 for weight, some in zip(weights, members)]
    if not any(there):
        raise EvaluationError(f"{clips.name}: no clips to go on from; hold some out (data.test_fraction)")
    chosen, used = np.empty(count, np.int64), np.zeros(len(weights), np.int64)
    for place, label in enumerate(apportioned(there, count).tolist()):
        chosen[place] = members[label][used[label] % len(members[label])]
        used[label] += 1
    return chosen


def _generator_key(model: Model) -> str:
    """Of a generator's configuration and tensors, but for the statistics of a truncation."""
    statistics = statistics_of(model.generator).keys()
    tensors = {name: value for name, value in model.generator.state_dict().items() if name not in statistics}
    return content_key(model.config.network.model_dump(mode="json"), _digest(tensors))


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
