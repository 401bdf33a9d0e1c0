"""Clips out of a model: ``dvdgan.load(directory)(labels=["pen"], seed=1).save("pen.mp4")``."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dvdgan.capacity import gib, machine_memory
from dvdgan.data.write.encode import atomic_path, write_clip
from dvdgan.data.write.sheets import clip_grid, clip_sheet, write_image
from dvdgan.devices import pick_device
from dvdgan.models import Model, load_model, save_model
from dvdgan.networks.statistics import load_statistics
from dvdgan.sampling import TruncationKind, latents, make_clips, settle_statistics

SUFFIXES = (".mp4", ".gif", ".webp", ".png", ".npz")
_LARGEST = {".mp4": 8192, ".gif": 16_384, ".webp": 16_383, ".png": 65_535}  # pixels on a side; what players open
_GAP = 4  # pixels between the clips of a mosaic
_MOST_NAME = 120  # bytes of a file's name that a label may take: file systems end at 255
_MOST_SETTLED = 64  # clips of a batch by which statistics are estimated
_MEMORY = 0.5  # share of the machine's memory that clips and what is made of them may take


class PipelineError(ValueError):
    """A request that the model cannot fulfil; the message is one line and names the mend."""


def output_kind(path: Path) -> str:
    """What `Clips.save` writes at a path: its suffix in lower case, or nothing for a directory.

    Raises:
        PipelineError: no such kind of file is written.
    """
    suffix = "" if path.is_dir() else path.suffix.lower()
    if suffix and suffix not in SUFFIXES:
        raise PipelineError(f"{path}: cannot write {suffix} files; use {', '.join(SUFFIXES)}, or a directory")
    return suffix


def check_output(path: Path, count: int, frames: int, size: int, scale: int = 1) -> None:
    """Refuse what cannot be written or held, before any work.

    Args:
        path: where `Clips.save` is to write.
        count: clips.
        frames: of each.
        size: height and width of a frame, in pixels.
        scale: enlargement.

    Raises:
        PipelineError: the suffix is unknown, a mosaic or sheet is larger than its format holds, or the clips need more
            than half of the machine's memory.
    """
    suffix = output_kind(path)
    columns = 1 if suffix == "" else int(np.ceil(np.sqrt(count)))
    side = columns * (size * scale + _GAP) + _GAP
    tall = side if suffix != ".png" else count * (size * scale + _GAP)
    most = _LARGEST.get(suffix)
    if most is not None and max(side, tall) > most:
        fewer = "write a directory, or lower --num or --scale"
        raise PipelineError(
            f"{path}: {count} clips in one {suffix} would be {max(side, tall)} pixels, over {most}; {fewer}"
        )
    drawn = 0 if suffix == ".npz" else (size * scale) ** 2 * frames if suffix == "" else side * side * frames
    needed = 3 * (count * frames * size**2 + 2 * drawn)
    if needed > _MEMORY * machine_memory():
        raise PipelineError(
            f"{count} clips of {frames} frames need {gib(needed)} of this machine's {gib(machine_memory())}; "
            "make fewer at a time (--num, --frames), or draw them smaller (--scale)"
        )


@dataclass
class Clips:
    """Generated clips.

    Attributes:
        video: uint8 ``[N, T, H, W, 3]``, RGB.
        labels: what each clip was asked to be, such as ``pen`` or ``pen 50%, flow 50%``.
        seeds: the seed of each clip's noise.
        fps: frames per second for files.
    """

    video: np.ndarray
    labels: list[str]
    seeds: list[int]
    fps: float

    def __len__(self) -> int:
        return len(self.video)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.video[index]

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self.video)

    def save(self, path: str | Path, scale: int = 1) -> list[Path]:
        """Write the clips.

        Args:
            path: ``.mp4``, ``.gif`` or ``.webp`` (several clips become a mosaic), ``.png`` (a sheet: a row per clip,
                time to the right), ``.npz`` (arrays video, labels, seeds, fps), or a directory, which gets an
                MP4 per clip.
            scale: whole-number enlargement, except for npz.

        Returns:
            The files written.

        Raises:
            PipelineError: the suffix is none of these.
        """
        path = Path(path)
        suffix = output_kind(path)
        if suffix == "":
            path.mkdir(parents=True, exist_ok=True)
            names = [f"{index:04d}-{_file_name(label)}-seed{seed}" for index, (label, seed) in enumerate(self._names())]
            return [
                write_clip(path / f"{name}.mp4", clip_grid(clip[None], columns=1, scale=scale, gap=0), self.fps)
                for name, clip in zip(names, self.video)
            ]
        path.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".npz":
            with atomic_path(path) as partial, open(partial, "wb") as file:
                np.savez_compressed(
                    file, video=self.video, labels=np.array(self.labels), seeds=np.array(self.seeds), fps=self.fps
                )
            return [path]
        if suffix == ".png":
            return [
                write_image(
                    path, clip_sheet(self.video, self.labels, columns=min(self.video.shape[1], 16), scale=scale)
                )
            ]
        columns = int(np.ceil(np.sqrt(len(self))))
        mosaic = clip_grid(self.video, columns=columns, scale=scale, gap=_GAP if len(self) > 1 else 0)
        return [write_clip(path, mosaic, self.fps)]

    def _names(self) -> Iterable[tuple[str, int]]:
        return zip(self.labels, self.seeds)


class Pipeline:
    """A loaded model that makes clips.

    Args:
        model: from `load_model`.
        precision: ``fp32``, in which a seed gives one clip whatever the batch, or ``bf16``, which is quicker.
        batch_size: clips per forward pass.

    Attributes:
        progress: called with the clips made and the clips in all after every batch, if set.
    """

    def __init__(self, model: Model, precision: str = "fp32", batch_size: int = 16) -> None:
        self.progress: Callable[[int, int], None] | None = None
        self.model, self.precision, self.batch_size = model, precision, batch_size
        self._settled: tuple[float, TruncationKind] | None = None

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        device: torch.device | str | None = None,
        precision: str = "fp32",
        batch_size: int = 16,
    ) -> Pipeline:
        """Load a model; the same as `dvdgan.load`.

        Args:
            model: a model directory, a run's directory, or the name of a built-in model.
            device: such as ``cpu`` or ``cuda``; None takes the accelerator where there is one.
            precision: ``fp32`` or ``bf16``.
            batch_size: clips per forward pass.

        Raises:
            ModelError: the directory is no model, or is damaged.
            PipelineError: an unknown precision, or a batch size below 1.
        """
        if precision not in ("fp32", "bf16"):
            raise PipelineError(f"precision must be fp32 or bf16, not {precision!r}")
        if batch_size < 1:
            raise PipelineError(f"batch_size must be 1 or more, not {batch_size}")
        return cls(load_model(model, pick_device(device)), precision, batch_size)

    def save_pretrained(self, directory: str | Path) -> None:
        """Write the model as a model directory, which `from_pretrained` reads; one that is there is replaced.

        Raises:
            ModelError: the path is a file, or a directory that is not a model.
        """
        save_model(self.model, directory)

    @property
    def classes(self) -> list[str]:
        """Class names; empty when unconditional."""
        return self.model.classes

    def __call__(
        self,
        labels: str | int | Sequence[str | int] | None = None,
        num: int | None = None,
        seed: int = 0,
        truncation: float = 1.0,
        truncation_kind: TruncationKind = "scale",
        frames: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Clips:
        """Make clips, each in one forward pass.

        Args:
            labels: a class name or number, or one per clip; None goes through all classes in turn.
            num: how many clips, labels being repeated in turn; by default one per label (or per class).
            seed: clip i's noise is that of seed + i, whatever else is made with it.
            truncation: below 1, less variety and better looks; statistics for it are in the model or estimated.
            truncation_kind: see `dvdgan.sampling.latents`.
            frames: number of frames; by default what the model was trained for.
            generator: draws the seed in the place of `seed`: other clips at each call.

        Raises:
            PipelineError: an unknown class (near names are suggested) or a number out of its range.
        """
        if num is not None and num < 1:
            raise PipelineError(f"num must be 1 or more, not {num}")
        indices = self._label_indices(labels)
        count = num if num is not None else max(len(indices), 1)
        chosen = [indices[i % len(indices)] for i in range(count)] if indices else []
        names = [self.classes[index] for index in chosen] if chosen else ["clip"] * count
        if generator is not None:
            seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
        seeds = list(range(seed, seed + count))
        z = self._latents(seeds, truncation, truncation_kind)
        y = torch.tensor(chosen) if chosen else None
        return self._make(z, y, names, seeds, truncation, truncation_kind, frames)

    def interpolate(
        self,
        labels: str | int | Sequence[str | int] | None = None,
        seeds: Sequence[int] = (0, 1),
        steps: int = 8,
        truncation: float = 1.0,
        truncation_kind: TruncationKind = "scale",
        frames: int | None = None,
    ) -> Clips:
        """Make clips on the way between seeds and between classes.

        Args:
            labels: one class, or one per seed; class embeddings are mixed linearly on the way.
            seeds: two or more; noise moves on the sphere from one to the next. Equal seeds keep the noise.
            steps: clips from each to the next, the ends included.
            truncation: see `__call__`.
            truncation_kind: see `__call__`.
            frames: see `__call__`.

        Raises:
            PipelineError: fewer than two seeds, or labels that are neither one nor as many as seeds.
        """
        seeds = list(seeds)
        if len(seeds) < 2 or steps < 2:
            raise PipelineError(
                f"an interpolation needs two seeds or more and two steps or more, not {len(seeds)} and {steps}"
            )
        ends = self._latents(seeds, truncation, truncation_kind)
        y_ends = None
        if self.classes:
            indices = self._label_indices(labels if labels is not None else 0)
            indices = indices * len(seeds) if len(indices) == 1 else indices
            if len(indices) != len(seeds):
                raise PipelineError(f"{len(indices)} classes for {len(seeds)} seeds: give one class, or one per seed")
            y_ends = torch.eye(len(self.classes))[indices]
        elif labels is not None:
            self._label_indices(labels)  # says that the model is unconditional
        z, mixtures, names, nearest = [], [], [], []
        for leg in range(len(seeds) - 1):
            for fraction in np.linspace(0, 1, steps)[1 if leg else 0 :]:
                z.append(_spherical(ends[leg], ends[leg + 1], float(fraction)))
                nearest.append(seeds[leg + round(float(fraction))])
                if y_ends is not None:
                    mixture = torch.lerp(y_ends[leg], y_ends[leg + 1], float(fraction))
                    mixtures.append(mixture)
                    names.append(self._mixture_name(mixture))
                else:
                    names.append("clip")
        y = torch.stack(mixtures) if mixtures else None
        return self._make(torch.stack(z), y, names, nearest, truncation, truncation_kind, frames)

    def _make(
        self,
        z: Tensor,
        y: Tensor | None,
        names: list[str],
        seeds: list[int],
        truncation: float,
        kind: TruncationKind,
        frames: int | None,
    ) -> Clips:
        self._check_memory(min(self.batch_size, len(z)), frames)
        self._settle(truncation, kind)
        try:
            video = make_clips(self.model.generator, z, y, frames, self.batch_size, self.precision, self.progress)
        except ValueError as error:
            raise PipelineError(str(error)) from None
        return Clips(video, names, seeds, self.model.config.data.fps)

    def _check_memory(self, batch: int, frames: int | None) -> None:
        """Refuse batches whose largest feature maps, in and out of the last layer, cannot fit."""
        network = self.model.config.network
        needed = 8 * batch * (frames or network.frames) * network.size**2 * network.last_channels
        if self.model.generator.to_rgb.weight.device.type == "cpu" and needed > machine_memory():
            raise PipelineError(
                f"{batch} clips of {frames or network.frames} frames at once need more than {gib(needed)} of this "
                f"machine's {gib(machine_memory())}; lower --batch-size, or --frames"
            )

    def _latents(self, seeds: Sequence[int], truncation: float, kind: TruncationKind) -> Tensor:
        if min(seeds) < 0:
            raise PipelineError(f"seeds must be 0 or more, not {min(seeds)}")
        try:
            return latents(seeds, self.model.generator.z_dim, truncation, kind)
        except ValueError as error:
            raise PipelineError(str(error)) from None

    def _settle(self, truncation: float, kind: TruncationKind) -> None:
        """Put the standing statistics of a truncation in place: the model's own, or estimated now."""
        if self._settled == (truncation, kind):
            return
        known = self.model.statistics.get(truncation) if kind == "scale" or truncation == 1.0 else None
        if known is not None:
            load_statistics(self.model.generator, known)
        else:
            weights = self.model.class_weights or None
            batches, size = self.model.config.training.statistics_batches, min(self.batch_size, _MOST_SETTLED)
            self._check_memory(size, None)
            settle_statistics(self.model.generator, weights, truncation, kind, batches, size, precision=self.precision)
        self._settled = (truncation, kind)

    def _label_indices(self, labels: str | int | Sequence[str | int] | None) -> list[int]:
        if not self.classes:
            if labels is not None:
                raise PipelineError("this model is unconditional: leave the class out")
            return []
        if labels is None:
            return list(range(len(self.classes)))
        if isinstance(labels, (str, int, np.integer)):
            labels = [labels]
        return [self._label_index(label) for label in labels]

    def _label_index(self, label: str | int) -> int:
        if isinstance(label, (int, np.integer)):
            if not 0 <= label < len(self.classes):
                raise PipelineError(f"class number {label} is not from 0 to {len(self.classes) - 1}")
            return int(label)
        if label in self.classes:
            return self.classes.index(label)
        lower = {name.lower(): index for index, name in enumerate(self.classes)}
        if label.lower() in lower:
            return lower[label.lower()]
        near = difflib.get_close_matches(label.lower(), lower, n=3, cutoff=0.5)
        names = [self.classes[lower[name]] for name in near]
        hint = (
            f"did you mean {' or '.join(names)}?"
            if names
            else f"its classes are {', '.join(self.classes[:20])}" + (" …" if len(self.classes) > 20 else "")
        )
        raise PipelineError(f"the model has no class {label!r}; {hint}")

    def _mixture_name(self, mixture: Tensor) -> str:
        parts = [(self.classes[i], float(w)) for i, w in enumerate(mixture) if w > 0]
        return parts[0][0] if len(parts) == 1 else ", ".join(f"{name} {w:.0%}" for name, w in parts)


load = Pipeline.from_pretrained


def _spherical(a: Tensor, b: Tensor, fraction: float) -> Tensor:
    """Between two latents on the sphere, their lengths interpolated linearly; equal ones stay."""
    length_a, length_b = a.norm(), b.norm()
    angle = torch.acos((torch.dot(a, b) / (length_a * length_b)).clamp(-1, 1))
    if angle < 1e-4:
        return torch.lerp(a, b, fraction)
    direction = (
        torch.sin((1 - fraction) * angle) * a / length_a + torch.sin(fraction * angle) * b / length_b
    ) / torch.sin(angle)
    return direction * torch.lerp(length_a, length_b, fraction)


def _file_name(label: str) -> str:
    name = "".join(c if c.isalnum() or c in "-_" else "_" for c in label)
    return name.encode()[:_MOST_NAME].decode(errors="ignore")
