"""dvdgan: DVD-GAN, a class-conditional video GAN that makes a whole clip in one forward pass."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["ClipStream", "Clips", "Pipeline", "load", "load_config", "train"]

if TYPE_CHECKING:
    from dvdgan.clips import Clips, ClipStream
    from dvdgan.config.files import load_config
    from dvdgan.pipeline import Pipeline, load
    from dvdgan.training import train

_HOMES = {
    "ClipStream": "clips",
    "Clips": "clips",
    "Pipeline": "pipeline",
    "load": "pipeline",
    "load_config": "config.files",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    """Import public names when they are first used, so that ``import dvdgan`` is quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'dvdgan' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"dvdgan.{_HOMES[name]}"), name)
