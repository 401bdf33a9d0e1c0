"""Which behaviour each class of phenomena is scored by."""

from __future__ import annotations

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
