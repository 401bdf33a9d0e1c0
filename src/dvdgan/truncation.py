"""The truncations of a loaded model: latents, and the standing statistics that go with them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from dvdgan.models import Model
from dvdgan.networks.statistics import load_statistics
from dvdgan.requests import PipelineError
from dvdgan.sampling import MOST_SETTLED, TruncationKind, latents, settle_statistics


class Truncations:
    """Latents and statistics of a model by truncation and its kind; see `dvdgan.sampling.latents`.

    Args:
        model: from `load_model`; its statistics are set.
        precision: ``fp32`` or ``bf16``.
        batch_size: most clips by which statistics are estimated that the model does not bring.
    """

    def __init__(self, model: Model, precision: str, batch_size: int) -> None:
        self._model, self._precision, self._batch_size = model, precision, min(batch_size, MOST_SETTLED)
        self._settled: tuple[float, TruncationKind] | None = None

    def latents(self, seeds: Sequence[int], truncation: float, kind: TruncationKind = "scale") -> Tensor:
        """One latent per seed, ``[len(seeds), z_dim]``.

        Raises:
            PipelineError: a seed below 0, or a truncation that there is not.
        """
        if min(seeds) < 0:
            raise PipelineError(f"seeds must be 0 or more, not {min(seeds)}")
        try:
            return latents(seeds, self._model.generator.z_dim, truncation, kind)
        except ValueError as error:
            raise PipelineError(str(error)) from None

    def settle(self, truncation: float, kind: TruncationKind) -> None:
        """Put the standing statistics of a truncation in place: the model's own, or estimated now.

        Raises:
            PipelineError: a predictor has none for it, whose estimation would take real clips.
        """
        if self._settled == (truncation, kind):
            return
        model = self._model
        known = model.statistics.get(truncation) if kind == "scale" or truncation == 1.0 else None
        if known is not None:
            load_statistics(model.generator, known)
        elif model.config.network.first_frames:
            there = ", ".join(f"{one:g}" for one in sorted(model.statistics, reverse=True))
            raise PipelineError(f"truncation: this model brings statistics for {there}, not for {truncation:g}")
        else:
            settle_statistics(
                model.generator,
                model.class_weights or None,
                truncation,
                kind,
                batches=model.config.training.statistics_batches,
                batch_size=self._batch_size,
                precision=self._precision,
            )
        self._settled = (truncation, kind)
