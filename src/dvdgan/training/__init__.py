"""Training: the losses, the loop, checkpoints and what a run shows of itself."""

from dvdgan.runs.directory import TrainingError, TrainingFailed
from dvdgan.runs.signals import Interrupted
from dvdgan.training.loop import train

__all__ = ["Interrupted", "TrainingError", "TrainingFailed", "train"]
