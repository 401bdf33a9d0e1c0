"""Behaviours: does a clip do what its class is about? Measurements on pixels, for the rendered phenomena.

A clip passes if it is alive (it changes from frame to frame as much as real ones do), whole (one scene from beginning
to end), valid (the thing that its class is about can be found) and shows the behaviour. Measures see pixels only; a
failed detection is a failure. Their limits come from real training clips of the same size and length, and were stored
before any model was scored.

    limits = calibration(size=32, frames=12)
    rates = score(clips, labels, classes, limits)      # {"pen": PassRate(hits=…, of=…, low=…, high=…), …}
"""

from dvdgan.evaluation.behaviours.behaviour import Behaviour
from dvdgan.evaluation.behaviours.calibration import Calibration, calibration, rendered_calibration
from dvdgan.evaluation.behaviours.registry import BEHAVIOURS
from dvdgan.evaluation.behaviours.scoring import (
    OTHER,
    ClipScorer,
    control_clips,
    pass_rate,
    score,
    score_as_others,
)

__all__ = [
    "BEHAVIOURS",
    "OTHER",
    "Behaviour",
    "Calibration",
    "ClipScorer",
    "calibration",
    "control_clips",
    "pass_rate",
    "rendered_calibration",
    "score",
    "score_as_others",
]
