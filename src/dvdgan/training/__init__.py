"""Training: the losses, the loop, checkpoints and what a run shows of itself."""

from dvdgan.training.run_directory import TrainingError, TrainingFailed
from dvdgan.training.signals import Interrupted
from dvdgan.training.start import train

__all__ = ["Interrupted", "TrainingError", "TrainingFailed", "train"]
