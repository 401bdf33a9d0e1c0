"""The configuration: one tree of typed models, each check with the field's name."""

from dvdgan.config.config import Config
from dvdgan.config.data import DataConfig
from dvdgan.config.network import NetworkConfig
from dvdgan.config.training import TrainingConfig

__all__ = ["Config", "DataConfig", "NetworkConfig", "TrainingConfig"]
