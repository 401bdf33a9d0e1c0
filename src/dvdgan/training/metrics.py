"""What a training step measures, and its averages between two lines of the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from dvdgan.runs.distributed import gathered
from dvdgan.runs.log import Means
from dvdgan.training.batches import Batch
from dvdgan.training.motion import first_frame_jump, motion

DISCRIMINATORS = {"spatial": "D_S", "temporal": "D_T"}
"""The discriminators' names, and the paper's."""

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


class StepMetrics(NamedTuple):
    """What one training step measured."""

    discriminators: list[DiscriminatorUpdate]  # in turn
    generator: GeneratorMetrics | None  # None while only the discriminators learn
    motion: MotionMetrics | None  # None for images
    seconds: dict[str, float]  # of waiting for data, and of the discriminators' and the generator's updates

    def gradients(self) -> dict[str, float]:
        """The largest norm of each network's gradients."""
        norms: dict[str, float] = {}
        for update in self.discriminators:
            norms |= {name: max(one.gradient, norms.get(name, 0.0)) for name, one in update.items()}
        return norms | ({} if self.generator is None else {"generator": self.generator.gradient})


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
    seconds: dict[str, float]

    def fields(self) -> dict[str, Any]:
        """The fields of the log's line."""
        fields: dict[str, Any] = dict(values_of(self.discriminators)) | dict(values_of(self.generator))
        if self.first_frame is not None:
            fields |= {"first_frame": self.first_frame, "first_frame_real": self.first_frame_real}
        if self.motion_ratio is not None:
            fields |= {"motion_ratio": self.motion_ratio, "motion_ratio_by_class": self.motion_ratio_by_class}
        return fields | {"seconds": self.seconds}

    def __str__(self) -> str:
        losses = {name: one.loss for name, one in self.discriminators.items()}
        losses |= {f"g_{name}": loss for name, loss in self.generator.losses.items()} if self.generator else {}
        text = "losses " + " ".join(f"{name} {loss:.2f}" for name, loss in losses.items())
        return text if self.motion_ratio is None else f"{text}, motion {self.motion_ratio:.2f} of real"


def add_to_means(means: Means, metrics: StepMetrics) -> None:
    """Take a step's metrics into the means, from which `averaged` takes them."""
    for update in metrics.discriminators:
        for name, one in update.items():
            for kind, value in one._asdict().items():
                if value is not None:
                    means.add(name, kind, value)
    if metrics.generator is not None:
        means.add("generator", "gradient", metrics.generator.gradient)
        for name, loss in metrics.generator.losses.items():
            means.add("generator losses", name, loss)
    for part, seconds in metrics.seconds.items():
        means.add("seconds", part, seconds)
    if (moved := metrics.motion) is not None:
        for side, values, classes in (
            ("motion of real clips", moved.real, moved.real_classes),
            ("motion of generated clips", moved.fake, moved.fake_classes),
        ):
            means.add(side, "", *values)
            for value, name in zip(values, classes):
                if name:
                    means.add(side, name, value)
        if moved.first_frame:
            means.add("first frame", "fake", *moved.first_frame)
            means.add("first frame", "real", *moved.first_frame_real)


def averaged(means: Means) -> AveragedMetrics:
    """Take the averages of all that `add_to_means` took in; the means start anew."""
    groups = means.take()
    real, fake = groups.get("motion of real clips", {}), groups.get("motion of generated clips", {})
    ratios = {name: fake[name] / max(real[name], _STILL) for name in fake if name in real}
    jump, g = groups.get("first frame", {}), groups.get("generator")
    return AveragedMetrics(
        discriminators={name: DiscriminatorMetrics(**groups[name]) for name in DISCRIMINATORS if name in groups},
        generator=None if g is None else GeneratorMetrics(groups["generator losses"], g["gradient"]),
        motion_ratio=ratios.pop("", None),
        motion_ratio_by_class=ratios,
        first_frame=jump.get("fake"),
        first_frame_real=jump.get("real"),
        seconds=groups.get("seconds", {}),
    )
