"""Training: the losses, the loop, checkpoints and what a run shows of itself."""

from dvdgan.training.loop import Interrupted, TrainingError, train

__all__ = ["Interrupted", "TrainingError", "train"]
