"""Behaviours: does a clip do what its class is about? Measurements on pixels, for the rendered phenomena.

A clip passes if it is alive (it changes from frame to frame as much as real ones do), whole (one scene from beginning
to end), valid (the thing that its class is about can be found) and shows the behaviour. Measures see pixels only; a
failed detection is a failure. Their limits come from real training clips of the same size and length, and were stored
before any model was scored.

    limits = calibration.calibration(size=32, frames=12)
    rates = scoring.score(clips, labels, classes, limits)   # {"pen": PassRate(hits=…, of=…, low=…, high=…), …}
"""

from dvdgan.evaluation.behaviours import bounce, camera, flow, passing, pen, turn
from dvdgan.evaluation.behaviours.behaviour import Behaviour

BEHAVIOURS: dict[str, Behaviour] = {
    "pen": pen.PEN,
    "zoom-in": camera.ZOOM_IN,
    "zoom-out": camera.ZOOM_OUT,
    "pan-left": camera.PAN_LEFT,
    "pan-right": camera.PAN_RIGHT,
    "passing": passing.PASSING,
    "bounce": bounce.BOUNCE,
    "turn": turn.TURN,
    "flow": flow.FLOW,
}
"""Which behaviour each class of phenomena is scored by."""
