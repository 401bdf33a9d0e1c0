"""bounce: one or two balls, told apart by their hues, fall, bounce off the floor, and rise again.

Hues of balls are peaks, 60 degrees apart, of the histogram of what is vivid where something moves; each is tracked as
the mean place of its pixels. Turns need a speed of 0.01 H per frame on both sides. Every ball turns upward at the
floor at least once (lower edge within 0.05 H of it) and never elsewhere, at least 90 % of sideways turns are within
0.05 W of a wall, the downward acceleration between bounces (over two frames to either side) is positive with a
coefficient of variation of at most 0.5, and areas stay within 30 %. Beyond that definition: a ball's pixels spread at
most 1.4 times as far as a disc's of its area, or a ball in pieces would pass; its radius is at least 0.06 H and its
steps at most 1.5 radii (in truth 0.08 and 1.2, blurred). Reversed clips bounce as well (what a ball loses at one
bounce is less than what can be seen in a clip), so they may pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dvdgan.data.phenomena.bounce import FLOOR_Y
from dvdgan.evaluation.behaviours.behaviour import Behaviour, Limits, Measured, Numbers, Percentile, first_failure
from dvdgan.evaluation.behaviours.pixels import hue_gap, hue_saturation_value

_ABOUT = "One or two balls fall evenly, bounce off the floor, never in mid-air, and keep their size."
_APART = 60  # degrees between the hues of two balls
_WITHIN = 28  # degrees around a ball's hue that are the ball's
_BINS = 72  # of the histogram of hues
_MOVES = 40 / 255  # what a pixel changes by where a ball comes and goes
_BALL_SHARE = 0.015  # of the frame: the least that is a ball
_FAST = 0.01  # H per frame; a turn needs this speed on both sides
_NEAR_FLOOR = 0.07  # H; lower edges below do not count as free flight


@dataclass(frozen=True)
class Track:
    """One ball over time: its centre ``x`` and ``y`` ``[T]`` in H, its ``area`` ``[T]`` in H², and ``size``, how far
    its pixels lie from its centre compared to a disc's, ``[T]``, 1 for a disc.
    """

    x: np.ndarray
    y: np.ndarray
    area: np.ndarray
    size: np.ndarray

    @property
    def radius(self) -> float:
        """Of a disc of the median area, in H."""
        return float(np.sqrt(np.median(self.area) / np.pi))


def measure(clip: np.ndarray) -> Measured:
    """How balls move; of two balls the worse number of each.

    Numbers: ``balls``, how many; ``area_change``, the largest departure of an area from its median; ``size``, the
    largest spread of a ball's pixels compared to a disc's; ``radius``, the smallest; ``jump``, the longest step in
    radii; ``floor_turns``, the fewest turns at the floor of any ball; ``air_turns``, turns from downward to upward
    elsewhere; ``side_turns`` and ``wall_share``, sideways turns and the share of them at a wall (1 where there are
    none); ``fall``, the mean downward acceleration between bounces in H per frame² (0 where it cannot be seen);
    ``fall_change``, its coefficient of variation.
    """
    hsv = hue_saturation_value(clip)
    hues = _ball_hues(clip, *hsv)
    if not 1 <= len(hues) <= 2:
        return Measured({"balls": float(len(hues))}, "no ball, or more than two" if hues else "no moving ball")
    balls = [_track(*hsv, hue) for hue in hues]
    if min(ball.area.min() for ball in balls) < _BALL_SHARE / 3:
        return Measured({"balls": float(len(hues))}, "a ball is not there all the time")
    rows = [_ball_numbers(ball, clip.shape[2] / clip.shape[1]) for ball in balls]
    worst = {name: max(row[name] for row in rows) for name in ("area_change", "size", "jump", "fall_change")}
    worst |= {name: min(row[name] for row in rows) for name in ("radius", "floor_turns", "fall")}
    worst |= {name: sum(row[name] for row in rows) for name in ("air_turns", "side_turns", "wall_turns")}
    walls = worst.pop("wall_turns")
    worst["wall_share"] = walls / worst["side_turns"] if worst["side_turns"] else 1.0
    return Measured({"balls": float(len(hues))} | worst)


def _ball_hues(clip: np.ndarray, hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> list[float]:
    """The hues of the balls: peaks, well apart, of the histogram of what is vivid where something moves."""
    vivid = (saturation > 0.45) & (value > 0.3)
    moves = (clip.max(0).astype(int) - clip.min(0)).max(-1) > 255 * _MOVES
    weight = np.histogram(hue[vivid & moves], bins=_BINS, range=(0, 360))[0] / hue.size
    wide = np.sum([np.roll(weight, k) * (1 - abs(k) / 6) for k in range(-5, 6)], axis=0)
    peaks: list[float] = []
    for k in np.argsort(-wide, kind="stable"):
        centre = (k + 0.5) * 360 / _BINS
        if wide[k] >= _BALL_SHARE and all(hue_gap(centre, other) >= _APART for other in peaks):
            peaks.append(float(centre))
    return peaks


def _track(found: np.ndarray, saturation: np.ndarray, value: np.ndarray, hue: float) -> Track:
    height, width = found.shape[1:]
    weight = (hue_gap(found, hue) < _WITHIN) * np.clip((saturation - 0.32) / 0.15, 0, 1)
    weight = weight * np.clip((value - 0.08) / 0.08, 0, 1)
    x, y = (np.arange(width) + 0.5) / height, (np.arange(height) + 0.5) / height
    across, along = weight.sum(1), weight.sum(2)
    total = np.maximum(across.sum(1), 1e-9)
    cx, cy = across @ x / total, along @ y / total
    inertia = across @ x**2 / total - cx**2 + along @ y**2 / total - cy**2
    area = total / height**2
    return Track(cx, cy, area, np.sqrt(np.maximum(inertia, 0) * 2 * np.pi / np.maximum(area, 1e-9)))


def _turns(path: np.ndarray) -> list[tuple[int, float]]:
    """The frames in which a coordinate turns, and the sign of its speed before; slow steps do not count."""
    speed = np.diff(path)
    moving = np.flatnonzero(np.abs(speed) >= _FAST)
    found = []
    for a, b in pairwise(moving):
        if speed[a] * speed[b] < 0:
            between = np.arange(a + 1, b + 1)
            sign = float(np.sign(speed[a]))
            found.append((int(between[np.argmax(sign * path[between])]), sign))
    return found


def _ball_numbers(ball: Track, width: float) -> Numbers:
    radius = ball.radius
    low = ball.y + radius  # the lower edge
    at_floor = [abs(low[t] - FLOOR_Y) <= 0.05 for t, sign in _turns(ball.y) if sign > 0]
    aside = [min(ball.x[t] - radius, width - ball.x[t] - radius) <= 0.05 for t, _ in _turns(ball.x)]
    # Over two frames to either side: four times the acceleration, the same noise.
    bends = (ball.y[4:] - 2 * ball.y[2:-2] + ball.y[:-4]) / 4
    near = low > FLOOR_Y - _NEAR_FLOOR
    fall = bends[[t for t in range(len(bends)) if not near[t : t + 5].any()]]
    mean = float(fall.mean()) if len(fall) >= 2 else 0.0
    return {
        "area_change": float(np.abs(ball.area / np.median(ball.area) - 1).max()),
        "size": float(ball.size.max()),
        "radius": radius,
        "jump": float(np.hypot(np.diff(ball.x), np.diff(ball.y)).max()) / max(radius, 1e-6),
        "floor_turns": float(sum(at_floor)),
        "air_turns": float(len(at_floor) - sum(at_floor)),
        "side_turns": float(len(aside)),
        "wall_turns": float(sum(aside)),
        "fall": mean,
        "fall_change": min(float(fall.std()) / mean, 100.0) if mean > 0 else 100.0,
    }


def _limits(percentile: Percentile) -> Limits:
    return {}


def _check(numbers: Numbers, limits: Limits) -> str:
    return first_failure(
        "valid",
        [
            (numbers["radius"] >= 0.06, "balls too small"),
            (numbers["area_change"] <= 0.3, "a ball grows or shrinks"),
            (numbers["size"] <= 1.4, "a ball falls apart"),
        ],
    ) or first_failure(
        "behaviour",
        [
            (numbers["floor_turns"] >= 1, "a ball does not bounce off the floor"),
            (numbers["air_turns"] == 0, "a ball bounces in mid-air"),
            (numbers["wall_share"] >= 0.9, "a ball turns sideways in mid-air"),
            (numbers["jump"] <= 1.5, "a ball jumps"),
            (numbers["fall"] > 0, "no fall between bounces"),
            (numbers["fall_change"] <= 0.5, "the fall is uneven"),
        ],
    )


BOUNCE = Behaviour(_ABOUT, measure, _limits, _check, fewest_frames=12, may_pass=("reversed",))
