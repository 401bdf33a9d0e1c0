"""The whole configuration; `dvdgan.config.files` reads it from YAML and overrides it."""

from __future__ import annotations

import yaml
from pydantic import Field, model_validator

from dvdgan.config.data import DataConfig
from dvdgan.config.model import FrozenModel
from dvdgan.config.network import NetworkConfig
from dvdgan.config.training import TrainingConfig


class Config(FrozenModel):
    """A whole configuration: what `dvdgan train` reads and what a model directory keeps."""

    name: str = "custom"
    """Name of the preset."""
    description: str = ""
    """Its purpose, in one line."""
    network: NetworkConfig = Field(default_factory=NetworkConfig)
    """The networks."""
    data: DataConfig = Field(default_factory=DataConfig)
    """The data."""
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    """The training."""

    def to_yaml(self) -> str:
        """The whole tree as YAML text; `dvdgan.config.files.load_config` reads it back to an equal configuration."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, width=120)

    @model_validator(mode="after")
    def _check(self) -> Config:
        if self.training.regularisation.reconstruction and not self.network.first_frames:
            raise ValueError(
                "training.regularisation.reconstruction compares with what followed given frames: set "
                "network.first_frames, or training.regularisation.reconstruction=0"
            )
        noise_on = self.training.regularisation.noise_on
        if noise_on != "all" and getattr(self.network, noise_on) is None:
            raise ValueError(
                f"training.regularisation.noise_on={noise_on}, but there is no network.{noise_on}: set "
                "training.regularisation.noise_on=all"
            )
        if self.training.long_clips:
            self._check_long_clips()
        size, group, parts = self.training.batch_size, self.network.group, self.training.accumulate
        if size % group:
            raise ValueError(
                f"training.batch_size ({size}) must be a multiple of the discriminators' group ({group}), clips of one "
                f"class that are scored together: set training.batch_size={max(size // group, 1) * group}, or "
                "network.spatial.group=1 and network.temporal.group=1"
            )
        if size % (group * parts):
            of = f" of groups of {group} clips" if group > 1 else ""
            least = group * parts
            raise ValueError(
                f"training.batch_size ({size}) cannot be cut into training.accumulate ({parts}) equal parts{of}: set "
                f"training.batch_size={-(-size // least) * least}, or training.accumulate=1"
            )
        return self

    def _check_long_clips(self) -> None:
        g, off = self.network.generator, "or training.long_clips=0"
        if self.network.made_frames == 1:
            raise ValueError(f"training.long_clips needs 2 frames or more to make: set network.frames, {off}")
        if g.norm_statistics != "per_step":
            raise ValueError(
                "training.long_clips goes on with the statistics of the last step: set "
                f"network.generator.norm_statistics=per_step, {off}"
            )
        if g.attention in ("separable", "full"):
            raise ValueError(
                f"training.long_clips needs clips that can be made from their middle on, which attention={g.attention} "
                f"is not for: set network.generator.attention=spatial or none, {off}"
            )
