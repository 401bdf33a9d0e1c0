"""The networks of the paper and of its relatives. They know nothing of data or training."""

from dvdgan.networks.discriminators import SpatialDiscriminator, TemporalDiscriminator, choose_frames
from dvdgan.networks.generator import Generator
from dvdgan.networks.layers import fold_spectral_norm, power_iterate, use_channels_last
from dvdgan.networks.projected import ProjectedDiscriminator
from dvdgan.networks.statistics import estimate_statistics

__all__ = [
    "Generator",
    "ProjectedDiscriminator",
    "SpatialDiscriminator",
    "TemporalDiscriminator",
    "choose_frames",
    "estimate_statistics",
    "fold_spectral_norm",
    "power_iterate",
    "use_channels_last",
]
