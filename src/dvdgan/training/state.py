"""The state of a DVD-GAN's training: networks, optimisers, averages and counters, all that a checkpoint holds."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dvdgan.config import Config
from dvdgan.evaluation.features.efficientnet import load_efficientnet
from dvdgan.networks import (
    Generator,
    ProjectedDiscriminator,
    SpatialDiscriminator,
    TemporalDiscriminator,
    use_channels_last,
)
from dvdgan.networks.batch_norm import replicate_batch_norms
from dvdgan.networks.checkpointing import Checkpointing, set_checkpointing
from dvdgan.randomness import torch_generator
from dvdgan.runs import distributed
from dvdgan.runs.noise import SampleNoise, sample_numbers
from dvdgan.runs.schedule import decay_factor
from dvdgan.runs.state import RunState, number_of
from dvdgan.sampling import FirstFrames, statistics_batch
from dvdgan.training.adam import Adam
from dvdgan.training.batches import Rows
from dvdgan.training.ema import WeightAverage
from dvdgan.training.health import Monitor
from dvdgan.training.losses import LeCam


class TrainingState(RunState):
    """The networks, freshly initialised, and all that goes with them.

    Args:
        config: the run's configuration.
        device: where to train.
        precision: ``fp32`` or ``bf16`` (autocast).
        memory_format: ``contiguous`` or ``channels_last``.
        checkpointing: what is computed again instead of being kept.

    Attributes:
        generator: G.
        discriminators: D_S as ``spatial``, D_T as ``temporal``, D_P as ``projected``.
        learners: the networks by name, to call where they learn: their gradients are then those of all processes.
        ema: the average of G's weights.
        lecam: LeCam's moving averages, by discriminator.
        monitor: what the health alarms remember.
        first: of real clips, for a finished generator's statistics, where G predicts what follows; None where it makes
            whole clips.
        sampled_step: the step of the last sample sheet; -1 before the first.
        score: of the samples of that step, by which checkpoints compare; None where it was not measured.
        noted_overrides: how many overrides the log has.
    """

    def __init__(
        self,
        config: Config,
        device: torch.device,
        precision: str,
        memory_format: str,
        checkpointing: Checkpointing = "none",
    ) -> None:
        self.config, self.device, self.precision = config, device, precision
        network, t = config.network, config.training
        self.generator = Generator(network, generator=torch_generator(t.seed, "init/generator"))
        self.discriminators: dict[str, Any] = {}
        if network.spatial is not None:
            rng = torch_generator(t.seed, "init/spatial")
            self.discriminators["spatial"] = SpatialDiscriminator(network, generator=rng)
        if network.temporal is not None:
            rng = torch_generator(t.seed, "init/temporal")
            self.discriminators["temporal"] = TemporalDiscriminator(network, generator=rng)
        if network.projected is not None:
            rng = torch_generator(t.seed, "init/projected")
            self.discriminators["projected"] = ProjectedDiscriminator(network, load_efficientnet(), generator=rng)
        networks = {"generator": self.generator, **self.discriminators}
        for net in networks.values():
            net.to(device)
            set_checkpointing(net, checkpointing)
            if memory_format == "channels_last":
                use_channels_last(net)
        betas = (t.beta1, t.beta2)
        d_parameters = [p for discriminator in self.discriminators.values() for p in discriminator.parameters()]
        optimisers = {
            "adam_g": Adam(self.generator.parameters(), t.lr_g, betas, t.adam_eps),
            "adam_d": Adam(d_parameters, t.lr_d, betas, t.adam_eps),
        }
        self.learners: dict[str, nn.Module] = dict(networks)
        self.ema = WeightAverage(self.generator, t.ema)
        super().__init__(networks, optimisers, {f"ema/{key}": value for key, value in self.ema.parameters.items()})
        self.first: FirstFrames | None = None
        if network.first_frames:
            self._keep_first(t.statistics_batches * statistics_batch(config))
        decay = t.regularisation.lecam_decay ** (1 / t.accumulate)  # the averages move at each part of a batch
        self.lecam = {name: LeCam(decay) for name in self.discriminators}
        self.monitor = Monitor(t.health)
        self.sampled_step = -1
        self.score: float | None = None
        self.noted_overrides = 0

    def _keep_first(self, count: int) -> None:
        """Make room for the first frames of so many real clips."""
        network = self.config.network
        frames = torch.zeros(count, network.first_frames, network.size, network.size, 3, dtype=torch.uint8)
        self.first = FirstFrames(frames, torch.zeros(count, dtype=torch.int64))
        self.others |= {"first/frames": self.first.frames, "first/labels": self.first.labels}

    def join(self) -> None:
        """Go on from the main process's state, and learn as one with the other processes."""
        if distributed.world_size() == 1:
            return
        distributed.take_from_main(self.tensors().values())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # PyTorch 2.13 renames broadcast_buffers
            for name, network in self.networks.items():
                self.learners[name] = DistributedDataParallel(
                    network, broadcast_buffers=False, gradient_as_bucket_view=True
                )
        replicate_batch_norms(self.generator, True)

    @contextmanager
    def keep_gradients(self, names: Iterable[str]) -> Iterator[None]:
        """Add gradients up in this process: they are not exchanged yet."""
        with ExitStack() as stack:
            for name in names:
                learner = self.learners[name]
                if isinstance(learner, DistributedDataParallel):
                    stack.enter_context(learner.no_sync())
            yield

    @property
    def only_discriminators_learn(self) -> bool:
        """Whether this is one of the run's first steps, in which G stays as it is."""
        return self.step < self.config.training.discriminators_first

    @contextmanager
    def discriminators_frozen(self) -> Iterator[None]:
        """Give the discriminators' parameters no gradients: G learns through them."""
        for discriminator in self.discriminators.values():
            discriminator.requires_grad_(False)
        yield
        for discriminator in self.discriminators.values():
            discriminator.requires_grad_(True)

    def d_step(self, index: int) -> int:
        """Number, over the whole run, of a discriminator step within the step that comes."""
        return self.step * self.config.training.d_steps + index

    def noise(self, kind: str, batch: int, rows: Rows) -> SampleNoise:
        """Random numbers of this process's samples of a batch; see `SampleNoise`.

        Args:
            kind: ``d`` or ``g``, for whose step the batch is.
            batch: number of it, of its kind, over the whole run.
            rows: those of a part of the batch, or all.
        """
        t = self.config.training
        numbers = sample_numbers(batch, t.batch_size)
        return SampleNoise(t.seed, kind, numbers if rows is None else [numbers[row] for row in rows])

    def set_learning_rates(self) -> dict[str, float]:
        """Set G's and D's learning rates of the step that comes, and return them under their names in the log."""
        t = self.config.training
        factor = decay_factor(self.step, t.steps, t.decay_start, t.lr_decay)
        rates = {}
        for name, rate, first in (("g", t.lr_g, t.discriminators_first), ("d", t.lr_d, 0)):
            learned = max(self.step - first, 0)  # steps in which it did
            rates[f"lr_{name}"] = rate * (factor * min(1.0, (learned + 1) / max(t.lr_warmup, 1)))
            for group in self.optimisers[f"adam_{name}"].param_groups:
                group["lr"] = rates[f"lr_{name}"]
        return rates

    def numbers(self) -> dict[str, Any]:
        """Everything but tensors, JSON-serialisable."""
        return {
            **super().numbers(),
            "lecam": {name: [averages.real, averages.fake] for name, averages in self.lecam.items()},
            "health": self.monitor.state(),
            "sampled_step": self.sampled_step,
            "score": self.score if self.sampled_step == self.step else None,
            "noted_overrides": self.noted_overrides,
        }

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Take over what `tensors` and `numbers` gave.

        Raises:
            CheckpointError: they are of other networks, or no training's.
        """
        if self.first is not None:  # as many as the run began with, whatever its batches are now
            self._keep_first(len(tensors.get("first/frames", self.first.frames)))
        super().restore(tensors, numbers)
        for name, (real, fake) in numbers["lecam"].items():
            self.lecam[name].real, self.lecam[name].fake = real, fake
        self.monitor = Monitor(self.config.training.health, numbers["health"])
        self.sampled_step = number_of(numbers, "sampled_step", int, least=-1)
        self.score = number_of(numbers, "score", type(None), int, float, least=-math.inf)
        self.noted_overrides = number_of(numbers, "noted_overrides", int)
