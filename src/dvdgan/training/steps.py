"""One discriminator step and one generator step (paper, sections 3.3 and 4)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dvdgan.config import Config
from dvdgan.networks import Generator, SpatialDiscriminator, TemporalDiscriminator, power_iterate, use_channels_last
from dvdgan.randomness import torch_generator
from dvdgan.sampling import autocast
from dvdgan.training import losses
from dvdgan.training.augment import diff_augment
from dvdgan.training.checkpoint import gather, scatter
from dvdgan.training.draws import Draws
from dvdgan.training.ema import WeightAverage


class Learner:
    """The networks of a run with their optimisers and the average of G's weights.

    Args:
        config: the run's configuration.
        device: where to train.
        precision: ``fp32`` or ``bf16`` (autocast).
        memory_format: ``contiguous`` or ``channels_last``.
    """

    def __init__(self, config: Config, device: torch.device, precision: str, memory_format: str) -> None:
        self.config, self.device, self.precision = config, device, precision
        network, t = config.network, config.training
        self.generator = Generator(network, torch_generator(t.seed, "init/generator"))
        self.discriminators: dict[str, Any] = {}
        if network.spatial is not None:
            self.discriminators["spatial"] = SpatialDiscriminator(network, torch_generator(t.seed, "init/spatial"))
        if network.temporal is not None:
            self.discriminators["temporal"] = TemporalDiscriminator(network, torch_generator(t.seed, "init/temporal"))
        for net in self.networks.values():
            net.to(device)
            if memory_format == "channels_last":
                use_channels_last(net)
        betas = (t.beta1, t.beta2)
        d_parameters = [p for discriminator in self.discriminators.values() for p in discriminator.parameters()]
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            "adam_g": torch.optim.Adam(self.generator.parameters(), t.lr_g, betas, t.adam_eps, fused=True),
            "adam_d": torch.optim.Adam(d_parameters, t.lr_d, betas, t.adam_eps, fused=True),
        }
        self.ema = WeightAverage(self.generator, t.ema)
        self.lecam = {name: losses.LeCam(t.regularisation.lecam_decay) for name in self.discriminators}
        self.last_real: tuple[Tensor, Tensor | None] | None = None

    @property
    def networks(self) -> dict[str, nn.Module]:
        """G and the discriminators by name."""
        return {"generator": self.generator, **self.discriminators}

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor that a checkpoint holds."""
        return gather(self.networks, self.optimisers, self.ema.parameters)

    def numbers(self) -> dict[str, Any]:
        """Every other number that a checkpoint holds."""
        return {"lecam": {name: [state.real, state.fake] for name, state in self.lecam.items()}}

    def restore(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Load what `tensors` and `numbers` gave.

        Raises:
            CheckpointError: the tensors do not fit the networks.
        """
        scatter(tensors, self.networks, self.optimisers, self.ema.parameters)
        for name, (real, fake) in numbers["lecam"].items():
            self.lecam[name].real, self.lecam[name].fake = real, fake

    def set_learning_rates(self, step: int) -> tuple[float, float]:
        """Set and return G's and D's learning rates of a G step, counted from 0."""
        t = self.config.training
        factor = decay_factor(step, t.steps, t.decay_start, t.lr_decay)
        for name, rate in (("adam_g", t.lr_g), ("adam_d", t.lr_d)):
            for group in self.optimisers[name].param_groups:
                group["lr"] = rate * factor
        return t.lr_g * factor, t.lr_d * factor

    def make_fakes(self, fake_labels: Tensor | None, batch_size: int, step: int) -> Tensor:
        """The clips ``[B, T, 3, H, W]`` from which G learns at G step ``step``, with their graph.

        Args:
            fake_labels: the classes to generate ``[B]``, or None.
            batch_size: B.
            step: G steps done so far.
        """
        z = self._generator_draws(step, batch_size).latent(self.generator.z_dim).to(self.device)
        with autocast(self.device, self.precision):
            return self.generator(z, fake_labels)

    def discriminator_step(
        self,
        real: Tensor,
        labels: Tensor | None,
        fake_labels: Tensor | None,
        d_step: int,
        fake: Tensor | None = None,
    ) -> dict:
        """Update both discriminators.

        Args:
            real: clips ``[B, T, 3, H, W]`` in [−1, 1].
            labels: their classes ``[B]``, or None.
            fake_labels: the classes to generate ``[B]``, or None. The relativistic loss pairs a real and a generated
                clip of one class, and takes ``labels`` instead.
            d_step: discriminator steps done so far.
            fake: clips ``[B, T, 3, H, W]`` that were generated of those classes; None makes some. No gradient goes to
                them.

        Returns:
            Scalars by name: per discriminator the loss without penalties, the mean scores of real and fake, the share
            of pairs that it ranks rightly, and the norm of its gradient.
        """
        t = self.config.training
        draws = Draws(t.seed, d_step * len(real), len(real), "d", self.config.network.group)
        penalise = (t.regularisation.r1 or t.regularisation.r2) and d_step % t.regularisation.every == 0
        self.last_real = (real, labels)
        if t.loss == "relativistic":
            fake_labels = labels
        if fake is None:
            z = draws.latent(self.generator.z_dim).to(self.device)
            with torch.no_grad(), autocast(self.device, self.precision):
                fake = self.generator(z, fake_labels)
        fake = fake.detach().float()
        both_labels = None if labels is None or fake_labels is None else torch.cat([labels, fake_labels])

        scalars: dict[str, Tensor] = {}
        total = torch.zeros((), device=self.device)
        shown = [self._augment(real, draws, "real"), self._augment(fake, draws, "fake")]
        for name, discriminator in self.discriminators.items():
            with autocast(self.device, self.precision):
                seen = torch.cat(
                    [self._view(discriminator, clip, draws, side) for clip, side in zip(shown, ("real", "fake"))]
                )
                real_score, fake_score = discriminator(seen, both_labels).float().chunk(2)
            d_loss = losses.hinge_d if t.loss == "hinge" else losses.relativistic_d
            plain_loss = loss = d_loss(real_score, fake_score)
            if t.regularisation.lecam:
                loss = loss + t.regularisation.lecam * self.lecam[name](real_score, fake_score)
            if penalise:
                for weight, clip, y, side in (
                    (t.regularisation.r1, real, labels, "real"),
                    (t.regularisation.r2, fake, fake_labels, "fake"),
                ):
                    if weight:
                        view = self._view(discriminator, clip, draws, side)
                        penalty = losses.gradient_penalty(partial(discriminator, labels=y), view)
                        scalars[f"penalty_{side}_{name}"] = penalty.detach()
                        loss = loss + weight / 2 * t.regularisation.every * penalty
            total = total + loss
            scalars |= {
                f"loss_{name}": plain_loss.detach(),
                f"real_{name}": real_score.detach().mean(),
                f"fake_{name}": fake_score.detach().mean(),
                f"auc_{name}": pairs_ranked_rightly(real_score.detach(), fake_score.detach()),
            }
        return scalars | self._descend("adam_d", total, self.discriminators)

    def generator_step(
        self, fake_labels: Tensor | None, batch_size: int, step: int, fake: Tensor | None = None
    ) -> tuple[dict, Tensor]:
        """Update G and its average.

        Args:
            fake_labels: the classes to generate ``[B]``, or None. The relativistic loss takes those of the last real
                clips instead.
            batch_size: B.
            step: G steps done so far.
            fake: what `make_fakes` gave for this step; None makes it.

        Returns:
            Scalars by name, and the generated clips ``[B, T, 3, H, W]``, detached.
        """
        t = self.config.training
        draws = self._generator_draws(step, batch_size)
        if t.loss == "relativistic" and self.last_real is not None:
            fake_labels = self.last_real[1]
        for discriminator in self.discriminators.values():
            discriminator.requires_grad_(False)
        if fake is None:
            fake = self.make_fakes(fake_labels, batch_size, step)
        shown = self._augment(fake.float(), draws, "fake")
        total = torch.zeros((), device=self.device)
        scalars: dict[str, Tensor] = {}
        for name, discriminator in self.discriminators.items():
            with autocast(self.device, self.precision):
                score = discriminator(self._view(discriminator, shown, draws, "fake"), fake_labels).float()
            if t.loss == "hinge":
                loss = losses.hinge_g(score)
            else:
                assert self.last_real is not None
                real, labels = self.last_real
                with torch.no_grad(), autocast(self.device, self.precision):
                    seen = self._view(discriminator, self._augment(real, draws, "real"), draws, "real")
                    real_score = discriminator(seen, labels).float()
                loss = losses.relativistic_g(real_score, score)
            total = total + loss
            scalars[f"loss_g_{name}"] = loss.detach()
        scalars |= self._descend("adam_g", total, {"generator": self.generator})
        for discriminator in self.discriminators.values():
            discriminator.requires_grad_(True)
        self.ema.update(self.generator, step)
        return scalars, fake.detach().float()

    def _descend(self, optimiser: str, loss: Tensor, networks: Mapping[str, nn.Module]) -> dict[str, Tensor]:
        """One optimiser step; returns the norm of each network's gradient."""
        self.optimisers[optimiser].zero_grad(set_to_none=True)
        loss.backward()
        norms = {
            f"grad_{name}": torch.nn.utils.get_total_norm([p.grad for p in net.parameters() if p.grad is not None])
            for name, net in networks.items()
        }
        self.optimisers[optimiser].step()
        for network in networks.values():
            power_iterate(network)
        return norms

    def _generator_draws(self, step: int, batch_size: int) -> Draws:
        return Draws(self.config.training.seed, step * batch_size, batch_size, "g", self.config.network.group)

    def _augment(self, clip: Tensor, draws: Draws, side: str) -> Tensor:
        transforms = self.config.training.regularisation.augment
        return diff_augment(clip, transforms, draws.augmentation(side)) if transforms else clip

    def _view(self, discriminator: nn.Module, clip: Tensor, draws: Draws, side: str) -> Tensor:
        if isinstance(discriminator, SpatialDiscriminator):
            return discriminator.view(clip, draws.frame_noise(side, clip.shape[1]))
        assert isinstance(discriminator, TemporalDiscriminator)
        return discriminator.view(clip)


def pairs_ranked_rightly(real: Tensor, fake: Tensor) -> Tensor:
    """Share of pairs (real, fake) in which real scores higher, ties by half: 0.5 is chance, 1 tells all apart.

    Args:
        real: scores ``[B]`` or ``[B, 1]``.
        fake: scores of the same shape.
    """
    difference = real.reshape(-1, 1) - fake.reshape(1, -1)
    return (torch.sign(difference).mean() + 1) / 2


def decay_factor(step: int, steps: int, start: int, kind: str) -> float:
    """Factor on the learning rates at G step ``step`` of ``steps``: 1 until ``start``, then down to 0."""
    if kind == "none" or step < start:
        return 1.0
    done = min((step - start) / max(steps - start, 1), 1.0)
    return 1.0 - done if kind == "linear" else 0.5 * (1 + math.cos(math.pi * done))
