"""Clips out of a model: ``dvdgan.load(directory)(labels=["pen"], seed=1).save("pen.mp4")``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import numpy as np
import torch
from torch import Tensor

from dvdgan.clips import Batch, ClipStream, OutputType
from dvdgan.devices import pick_device
from dvdgan.interpolation import check_way, way
from dvdgan.models import Model, load_model, save_model
from dvdgan.requests import PipelineError, first_frames, futures, label_indices, require_first_frames
from dvdgan.sampling import (
    TruncationKind,
    chain_clips,
    largest_pass,
    loop_clips,
    stream_clips,
)
from dvdgan.truncation import Truncations

P = ParamSpec("P")


def _made_from(
    stream: Callable[Concatenate[Pipeline, P], ClipStream],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a method that makes clips the arguments of the one that streams them, and ``output_type``."""

    def as_signed(method: Callable[..., Any]) -> Callable[..., Any]:
        own = [argument for argument in signature(method).parameters.values() if argument.kind is argument.KEYWORD_ONLY]
        whole = signature(stream)
        arguments = [*whole.parameters.values(), *own]
        vars(method)["__signature__"] = whole.replace(parameters=arguments, return_annotation="Any")
        return method

    return as_signed


class Pipeline:
    """A loaded model that makes clips.

    Args:
        model: from `load_model`.
        precision: ``fp32``, in which a seed gives one clip whatever the batch, or ``bf16``, which is quicker.
        batch_size: most clips per forward pass; fewer where clips are large.

    Raises:
        PipelineError: an unknown precision, or a batch size below 1.
    """

    def __init__(self, model: Model, precision: str = "fp32", batch_size: int = 16) -> None:
        if precision not in ("fp32", "bf16"):
            raise PipelineError(f"precision must be fp32 or bf16, not {precision!r}")
        if batch_size < 1:
            raise PipelineError(f"batch_size must be 1 or more, not {batch_size}")
        self.model, self.precision, self.batch_size = model, precision, batch_size
        self._truncations = Truncations(model, precision)

    @classmethod
    def from_pretrained(
        cls, model: str | Path, device: torch.device | str | None = None, precision: str = "fp32", batch_size: int = 16
    ) -> Pipeline:
        """Load a model; the same as `dvdgan.load`.

        Args:
            model: a model directory, a run's directory, or the name of a built-in model.
            device: such as ``cpu`` or ``cuda``; None takes the accelerator where there is one.
            precision: ``fp32`` or ``bf16``.
            batch_size: most clips per forward pass; fewer where clips are large.

        Raises:
            ModelError: the directory is not a model, or is damaged.
            PipelineError: an unknown precision, or a batch size below 1.
        """
        return cls(load_model(model, pick_device(device)), precision, batch_size)

    def save_pretrained(self, directory: str | Path) -> None:
        """Write the model as a model directory, which `from_pretrained` reads; an existing one is replaced.

        Raises:
            ModelError: the path is a file, or a directory that is not a model.
        """
        save_model(self.model, directory)

    @property
    def classes(self) -> list[str]:
        """Class names; empty when unconditional."""
        return self.model.classes

    def stream(
        self,
        labels: str | int | Sequence[str | int] | None = None,
        num: int | None = None,
        seed: int = 0,
        truncation: float = 1.0,
        truncation_kind: TruncationKind = "scale",
        frames: int | None = None,
        generator: torch.Generator | None = None,
        loop: int = 0,
    ) -> ClipStream:
        """Make clips when they are saved or read, in the memory of one batch.

        Each is made in one forward pass, or by chunks of time where it is long or large.

        Args:
            labels: a class name or number, or one per clip; None goes through all classes in turn.
            num: how many clips, labels being repeated in turn; by default one per label (or per class).
            seed: clip i's noise is that of seed + i, whatever else is made with it.
            truncation: below 1, less variety and better quality; its statistics are in the model or estimated.
            truncation_kind: see `dvdgan.sampling.latents`.
            frames: number of frames; by default what the model was trained for.
            generator: gives the seed instead of `seed`: other clips at each call.
            loop: number of last frames that are cross-faded into the first, so that a clip loops. Without `frames`, a
                clip is that much shorter than the trained length. 0 is off.

        Raises:
            PipelineError: an unknown class (near names are suggested), a number out of range, or a model that predicts
                from first frames (`predict`).
        """
        if num is not None and num < 1:
            raise PipelineError(f"num must be 1 or more, not {num}")
        require_first_frames(self.model.config, False)
        indices = label_indices(labels, self.classes)
        count = num if num is not None else max(len(indices), 1)
        chosen = [indices[i % len(indices)] for i in range(count)] if indices else []
        names = [self.classes[index] for index in chosen] if chosen else ["clip"] * count
        seed = seed if generator is None else _drawn_seed(generator)
        seeds = list(range(seed, seed + count))
        self._truncations.latents([seed, seeds[-1]], truncation, truncation_kind)  # refuses what is out of range

        def noise(part: slice) -> tuple[Tensor, Tensor | None]:
            z = self._truncations.latents(seeds[part], truncation, truncation_kind)
            return z, torch.tensor(chosen[part]) if chosen else None

        return self._stream(noise, names, seeds, truncation, truncation_kind, frames, loop=loop)

    @_made_from(stream)
    def __call__(self, *args: Any, output_type: OutputType = "clips", **options: Any) -> Any:
        """Make clips; arguments and errors as of `stream`, result as of `Clips.as_type`."""
        return self.stream(*args, **options).read_as(output_type)

    def stream_prediction(
        self,
        first: str | Path | np.ndarray | Sequence[str | Path | np.ndarray],
        labels: str | int | Sequence[str | int] | None = None,
        num: int = 1,
        seed: int = 0,
        truncation: float = 1.0,
        frames: int | None = None,
        chain: bool = False,
        generator: torch.Generator | None = None,
    ) -> ClipStream:
        """Predict from first frames (DVD-GAN-FP), when the clips are saved or read.

        Args:
            first: a picture, a clip or a folder of numbered frames, whose first frames are taken; or such frames, uint8
                ``[D, size, size, 3]``; or several of these.
            labels: class names or numbers: one for each of `first` where there are as many; otherwise each of `first`
                is continued as all of them. None is all classes.
            num: futures of each start and class.
            seed: future i of each has the noise of seed + i.
            truncation: one of those that the model has statistics for.
            frames: number of frames to make; by default what the model was trained for.
            chain: after each trained length, start anew from the last frames made; otherwise the recurrence continues.
            generator: see `stream`.

        Returns:
            Clips, the given frames before the made ones.

        Raises:
            PipelineError: a model that takes no first frames, a number out of range, an unknown class, or arrays that
                cannot be first frames.
            ClipError: a file that is not a clip, or too short.
        """
        require_first_frames(self.model.config, True)
        if num < 1:
            raise PipelineError(f"num must be 1 or more, not {num}")
        seed = seed if generator is None else _drawn_seed(generator)
        given = [first] if isinstance(first, (str, Path, np.ndarray)) else list(first)
        if not given:
            raise PipelineError("first is empty: give a picture, a clip, or several")
        starts = np.stack([first_frames(one, self.model.config) for one in given])  # [S, D, size, size, 3]
        clips = futures(len(given), labels, self.classes, num, seed)
        seeds = [clip.seed for clip in clips]
        names = ["clip" if clip.label is None else self.classes[clip.label] for clip in clips]
        self._truncations.latents([seed, seeds[-1]], truncation)  # refuses what is out of range

        def noise(part: slice) -> tuple[Tensor, Tensor | None]:
            z = self._truncations.latents(seeds[part], truncation)
            return z, torch.tensor([clip.label for clip in clips[part]]) if self.classes else None

        def starting(part: slice) -> np.ndarray:
            return starts[[clip.start for clip in clips[part]]]

        return self._stream(noise, names, seeds, truncation, "scale", frames, starting, chain)

    @_made_from(stream_prediction)
    def predict(self, *args: Any, output_type: OutputType = "clips", **options: Any) -> Any:
        """Predict from first frames; arguments and errors as of `stream_prediction`, result as of `Clips.as_type`."""
        return self.stream_prediction(*args, **options).read_as(output_type)

    def stream_interpolation(
        self,
        labels: str | int | Sequence[str | int] | None = None,
        seeds: Sequence[int] = (0, 1),
        steps: int = 8,
        truncation: float = 1.0,
        truncation_kind: TruncationKind = "scale",
        frames: int | None = None,
        generator: torch.Generator | None = None,
    ) -> ClipStream:
        """Interpolate between seeds and between classes; clips are made when they are saved or read.

        Args:
            labels: one class, or one per seed; class embeddings are interpolated linearly.
            seeds: two or more; noise is interpolated on the sphere. Equal seeds have the same noise throughout.
            steps: clips from each seed to the next, both included.
            truncation: see `stream`.
            truncation_kind: see `stream`.
            frames: see `stream`.
            generator: gives as many seeds in their place.

        Raises:
            PipelineError: fewer than two seeds, or labels that are neither one nor as many as seeds.
        """
        require_first_frames(self.model.config, False)
        check_way(seeds, steps)
        seeds = [_drawn_seed(generator) for _ in seeds] if generator is not None else list(seeds)
        found = way(self._truncations.latents(seeds, truncation, truncation_kind), seeds, labels, self.classes, steps)

        def noise(part: slice) -> tuple[Tensor, Tensor | None]:
            return found.z[part], None if found.mixtures is None else found.mixtures[part]

        return self._stream(noise, found.names, found.seeds, truncation, truncation_kind, frames)

    @_made_from(stream_interpolation)
    def interpolate(self, *args: Any, output_type: OutputType = "clips", **options: Any) -> Any:
        """Interpolate; arguments and errors as of `stream_interpolation`, result as of `Clips.as_type`."""
        return self.stream_interpolation(*args, **options).read_as(output_type)

    def _stream(
        self,
        noise: Callable[[slice], tuple[Tensor, Tensor | None]],  # latents and labels of some of the clips
        names: list[str],
        seeds: list[int],
        truncation: float,
        kind: TruncationKind,
        frames: int | None,
        starting: Callable[[slice], np.ndarray] | None = None,  # first frames of some of the clips
        chain: bool = False,
        loop: int = 0,
    ) -> ClipStream:
        generator, config = self.model.generator, self.model.config
        try:
            length = generator.check_frames(frames)
        except ValueError as error:
            raise PipelineError(str(error)) from None
        shown = config.network.first_frames + length
        if loop:
            shown = length if frames is not None else length - loop
            length = shown + loop
            if not 1 <= loop < shown:
                raise PipelineError(
                    f"loop must be 0 or more and below the {max(shown, 0)} frames that remain, not {loop}; ask for "
                    "more frames"
                )
            if generator.attends_over_time:
                raise PipelineError("loop: this model attends over time, and its end would change with its length")
        if starting is not None:
            self._truncations.settle(truncation, kind)  # refuses a truncation without statistics

        def pieces(part: slice, chunk: int) -> Iterator[np.ndarray]:
            z, y = noise(part)
            if starting is None:
                made = stream_clips(generator, z, y, length, chunk, self.precision)
                return loop_clips(made, shown, loop) if loop else made
            make = chain_clips if chain else stream_clips
            return make(generator, z, y, length, chunk, self.precision, starting(part))

        def batches(most: int | None) -> Iterator[Batch]:
            self._truncations.settle(truncation, kind)
            largest = largest_pass(generator)
            at_once = length if generator.attends_over_time else 1  # frames of a clip, at least
            size = min(self.batch_size, most or self.batch_size, max(1, largest // at_once), len(names))
            chunk = max(1, min(length, largest // size, generator.frames))  # a clip of trained length is one pass
            for start in range(0, len(names), size):
                part = slice(start, min(start + size, len(names)))
                yield range(part.start, part.stop), pieces(part, chunk)

        given = config.network.first_frames
        return ClipStream(names, seeds, config.data.fps, shown, config.network.size, batches, given=given)


def _drawn_seed(generator: torch.Generator) -> int:
    return int(torch.randint(2**31, (), generator=generator, device=generator.device))


load = Pipeline.from_pretrained
