"""What a training step measures, and its averages between two lines of the log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dvdgan.runs.distributed import gathered
from dvdgan.runs.log import Means
from dvdgan.training.batches import Batch
from dvdgan.training.losses import DiscriminatorLoss
from dvdgan.training.motion import first_frame_jump, motion

DISCRIMINATORS = {"spatial": "D_S", "temporal": "D_T", "projected": "D_P"}
"""The discriminators' names, and the paper's, which has no D_P."""

_STILL = 1e-4  # motion of real clips, in units of the luma range, that a ratio divides by at least


class DiscriminatorMetrics(NamedTuple):
    """One update of one discriminator."""

    loss: float  # without penalties
    real: float  # mean score of real clips
    fake: float  # mean score of generated clips
    auc: float  # share of pairs of a real and a generated clip that it ranks rightly
    gradient: float  # norm
    penalty_real: float | None = None  # R1, without its weight; None where it was not applied
    penalty_fake: float | None = None  # R2


DiscriminatorUpdate = dict[str, DiscriminatorMetrics]
"""What one discriminator step measured, by discriminator."""


class GeneratorMetrics(NamedTuple):
    """One update of G."""

    losses: dict[str, float]  # by discriminator
    gradient: float  # norm


class MotionMetrics(NamedTuple):
    """How much the clips of one step move, clip by clip: `dvdgan.training.motion`."""

    real: list[float]
    fake: list[float]
    real_classes: list[str]  # names; "" without classes
    fake_classes: list[str]
    first_frame_real: list[float]  # empty for clips of two frames, and where generated ones begin later
    first_frame: list[float]  # of generated clips

    def sums_by_class(self) -> tuple[dict[str, tuple[float, int]], dict[str, tuple[float, int]]]:
        """Sum of the motion and number of clips by class, of real clips and of generated ones."""
        return _sums(self.real, self.real_classes), _sums(self.fake, self.fake_classes)


class StepSeconds(NamedTuple):
    """How long a training step took."""

    data: float  # of waiting for clips
    d: float  # of the discriminators' updates, without that
    g: float  # of the generator's update


class StepMetrics(NamedTuple):
    """What one training step measured."""

    discriminators: list[DiscriminatorUpdate]  # in turn
    generator: GeneratorMetrics | None  # None while only the discriminators learn
    motion: MotionMetrics | None  # None for images
    seconds: StepSeconds

    def gradients(self) -> dict[str, float]:
        """The largest norm of each network's gradients."""
        norms: dict[str, float] = {}
        for update in self.discriminators:
            norms |= {name: max(one.gradient, norms.get(name, 0.0)) for name, one in update.items()}
        return norms | ({} if self.generator is None else {"generator": self.generator.gradient})


def discriminator_metrics(parts: Sequence[DiscriminatorLoss], gradient: Tensor) -> DiscriminatorMetrics:
    """What one update of a discriminator measured: means over the parts of the batch and over the processes."""
    penalties = {
        "penalty_real": [part.penalty_real for part in parts if part.penalty_real is not None],
        "penalty_fake": [part.penalty_fake for part in parts if part.penalty_fake is not None],
    }
    values = {
        "loss": _mean(part.plain for part in parts),
        "real": _mean(part.real.mean() for part in parts),
        "fake": _mean(part.fake.mean() for part in parts),
        "auc": _mean(pairs_ranked_rightly(part.real, part.fake) for part in parts),
        "gradient": gradient,
    }
    return DiscriminatorMetrics(**_numbers(values | {name: _mean(found) for name, found in penalties.items() if found}))


def generator_metrics(parts: Sequence[Mapping[str, Tensor]], gradient: Tensor) -> GeneratorMetrics:
    """What one update of G measured: means over the parts of the batch and over the processes; losses by name."""
    found = _numbers({name: _mean(part[name] for part in parts) for name in parts[0]} | {"gradient": gradient})
    return GeneratorMetrics(gradient=found.pop("gradient"), losses=found)


def _mean(values: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean(0)


def _numbers(values: Mapping[str, Tensor]) -> dict[str, float]:
    """Scalars as numbers, their means over the processes; waits for the device, once."""
    scalars = torch.stack([value.float() for value in values.values()])
    return dict(zip(values, gathered(scalars[None]).mean(0).tolist()))


def pairs_ranked_rightly(real: Tensor, fake: Tensor) -> Tensor:
    """Share of pairs (real, fake) in which real scores higher, ties by half: 0.5 is chance, 1 tells all apart.

    Args:
        real: scores ``[B]`` or ``[B, 1]``.
        fake: scores of the same shape.
    """
    difference = real.reshape(-1, 1) - fake.reshape(1, -1)
    return (torch.sign(difference).mean() + 1) / 2


def values_of(metrics: DiscriminatorUpdate | GeneratorMetrics | None) -> Iterator[tuple[str, float]]:
    """The values of one update, under the names that they have in the log."""
    if isinstance(metrics, GeneratorMetrics):
        for name, loss in metrics.losses.items():
            yield f"loss_g_{name}", loss
        yield "grad_generator", metrics.gradient
    for name, one in metrics.items() if isinstance(metrics, dict) else ():
        for kind, value in one._asdict().items():
            if value is not None:
                yield f"{'grad' if kind == 'gradient' else kind}_{name}", value


def measure_motion(real: Batch, fake: Batch, classes: Sequence[str]) -> MotionMetrics | None:
    """How much real and generated clips of all processes move; None for images.

    Args:
        real: real clips.
        fake: generated clips.
        classes: the classes' names.
    """
    frames = real.clips.shape[1]
    if frames == 1:
        return None
    moved_real, moved_fake = (gathered(motion(batch.clips)).tolist() for batch in (real, fake))
    begins = frames > 2 and fake.start == 0
    return MotionMetrics(
        real=moved_real,
        fake=moved_fake,
        real_classes=_names(real.labels, len(moved_real), classes),
        fake_classes=_names(fake.labels, len(moved_fake), classes),
        first_frame_real=gathered(first_frame_jump(real.clips)).tolist() if begins else [],
        first_frame=gathered(first_frame_jump(fake.clips)).tolist() if begins else [],
    )


def _sums(values: Sequence[float], names: Sequence[str]) -> dict[str, tuple[float, int]]:
    sums: dict[str, tuple[float, int]] = {}
    for value, name in zip(values, names):
        total, count = sums.get(name, (0.0, 0))
        sums[name] = (total + value, count + 1)
    return sums


def _names(labels: Tensor | None, count: int, classes: Sequence[str]) -> list[str]:
    return [""] * count if labels is None else [classes[label] for label in gathered(labels).tolist()]


@dataclass(frozen=True)
class AveragedMetrics:
    """`StepMetrics` averaged over the steps, and the clips, since the last line of the log."""

    discriminators: DiscriminatorUpdate
    generator: GeneratorMetrics | None
    motion_ratio: float | None  # motion of generated clips in units of the real ones'
    motion_ratio_by_class: dict[str, float]
    first_frame: float | None
    first_frame_real: float | None
    seconds: StepSeconds

    def fields(self) -> dict[str, Any]:
        """The fields of the log's line."""
        fields: dict[str, Any] = dict(values_of(self.discriminators)) | dict(values_of(self.generator))
        if self.first_frame is not None:
            fields |= {"first_frame": self.first_frame, "first_frame_real": self.first_frame_real}
        if self.motion_ratio is not None:
            fields |= {"motion_ratio": self.motion_ratio, "motion_ratio_by_class": self.motion_ratio_by_class}
        return fields | {"seconds": self.seconds._asdict()}

    def __str__(self) -> str:
        losses = {name: one.loss for name, one in self.discriminators.items()}
        losses |= {f"g_{name}": loss for name, loss in self.generator.losses.items()} if self.generator else {}
        text = "losses " + " ".join(f"{name} {loss:.2f}" for name, loss in losses.items())
        return text if self.motion_ratio is None else f"{text}, motion {self.motion_ratio:.2f} of real"


def add_to_means(means: Means, metrics: StepMetrics) -> None:
    """Take a step's metrics into the means, from which `averaged` takes them; groups have the names of their fields."""
    for update in metrics.discriminators:
        for name, one in update.items():
            for kind, value in one._asdict().items():
                if value is not None:
                    means.add(f"discriminators.{name}", kind, value)
    if metrics.generator is not None:
        means.add("generator", "gradient", metrics.generator.gradient)
        for name, loss in metrics.generator.losses.items():
            means.add("generator.losses", name, loss)
    for part, seconds in metrics.seconds._asdict().items():
        means.add("seconds", part, seconds)
    if (moved := metrics.motion) is not None:
        for group, values, classes in (
            ("motion.real", moved.real, moved.real_classes),
            ("motion.fake", moved.fake, moved.fake_classes),
        ):
            means.add(group, "", *values)
            for value, name in zip(values, classes):
                if name:
                    means.add(group, name, value)
        if moved.first_frame:
            means.add("motion", "first_frame", *moved.first_frame)
            means.add("motion", "first_frame_real", *moved.first_frame_real)


def averaged(means: Means) -> AveragedMetrics:
    """Take the averages of all that `add_to_means` took in; the means start anew."""
    groups = means.take()
    real, fake = groups.get("motion.real", {}), groups.get("motion.fake", {})
    ratios = {name: fake[name] / max(real[name], _STILL) for name in fake if name in real}
    jump, g = groups.get("motion", {}), groups.get("generator")
    of_discriminators = {name: groups.get(f"discriminators.{name}") for name in DISCRIMINATORS}
    return AveragedMetrics(
        discriminators={name: DiscriminatorMetrics(**group) for name, group in of_discriminators.items() if group},
        generator=None if g is None else GeneratorMetrics(groups["generator.losses"], g["gradient"]),
        motion_ratio=ratios.pop("", None),
        motion_ratio_by_class=ratios,
        first_frame=jump.get("first_frame"),
        first_frame_real=jump.get("first_frame_real"),
        seconds=StepSeconds(**groups["seconds"]),
    )
