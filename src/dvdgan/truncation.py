"""The truncations of a loaded model: latents, and the standing statistics that go with them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from dvdgan.models import Model
from dvdgan.networks.statistics import load_statistics
from dvdgan.requests import PipelineError
from dvdgan.sampling import TruncationKind, latents, settle_statistics, statistics_batch


class Truncations:
    """Latents and statistics of a model by truncation and its kind; see `dvdgan.sampling.latents`.

    Args:
        model: from `load_model`; its statistics are set.
        precision: ``fp32`` or ``bf16``, in which statistics are estimated that the model does not bring.
    """

    def __init__(self, model: Model, precision: str) -> None:
        self._model, self._precision = model, precision

    def latents(self, seeds: Sequence[int], truncation: float, kind: TruncationKind = "scale") -> Tensor:
        """One latent per seed, ``[len(seeds), z_dim]``.

        Raises:
            PipelineError: a seed below 0 or above 2**63 - 1, or a truncation that there is not.
        """
        for seed in (min(seeds), max(seeds)):
            if not 0 <= seed < 2**63:
                raise PipelineError(f"seeds must be 0 or more and below 2**63, not {seed}")
        try:
            return latents(seeds, self._model.generator.z_dim, truncation, kind)
        except ValueError as error:
            raise PipelineError(str(error)) from None

    def settle(self, truncation: float, kind: TruncationKind) -> None:
        """Put the standing statistics of a truncation in place: the model's own, or estimated now.

        Raises:
            PipelineError: a predictor has none for it, whose estimation would take real clips.
        """
        model = self._model
        known = model.statistics.get(truncation) if kind == "scale" else None
        wanted = (truncation, kind) if known is not None else (truncation, kind, self._precision)
        if model.settled == wanted:
            return
        model.settled = None
        if known is not None:
            load_statistics(model.generator, known)
        elif model.config.network.first_frames:
            there = ", ".join(f"{one:g}" for one in sorted(model.statistics, reverse=True))
            how = f"{truncation:g}" if kind == "scale" else f"a threshold of {truncation:g} (resample)"
            raise PipelineError(f"truncation: this model brings statistics for {there}, not for {how}")
        else:
            settle_statistics(
                model.generator,
                model.class_weights or None,
                truncation,
                kind,
                batches=model.config.training.statistics_batches,
                batch_size=statistics_batch(model.config),
                precision=self._precision,
            )
        model.settled = wanted
