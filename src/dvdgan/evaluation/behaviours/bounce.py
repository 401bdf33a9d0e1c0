"""bounce: one or two balls, told apart by their hues, fall, bounce off the floor, and rise again.

Hues of balls are peaks, 60 degrees apart, of the histogram of what is vivid where something moves; each is tracked as
the mean place of its pixels, and is there in every frame. Turns need a speed of 0.01 H per frame on both sides. Speeds
at the floor are those of the steps before and after, carried to the floor by the acceleration between bounces. The
background is the median of each pixel over the frames in which no ball and no shadow, which lies at the floor, covers
it.

A ball is round by its pixels' angular moments about its centre: a square's fourth is above 0.35, while its side ratio
is that of a disc. A ball in pieces would pass but for how far its pixels spread. Radii are 0.08 H and more in truth,
and steps 1.2 radii at most; blur takes some of that. Reversed clips bounce as well (what a ball loses at one bounce is
less than what can be seen in a clip), so they may pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dvdgan.data.phenomena.bounce import FLOOR_Y
from dvdgan.evaluation.behaviours.behaviour import Behaviour, Limits, Measurements, Numbers, Percentile, first_failure
from dvdgan.evaluation.behaviours.pixels import hue_gap, hue_saturation_value, opened

_ABOUT = "One or two round balls fall evenly, bounce off the floor, never in mid-air, and keep their size."
_APART = 60  # degrees between the hues of two balls
_WITHIN = 28  # degrees around a ball's hue that are the ball's
_BINS = 72  # of the histogram of hues
_MOVES = 40 / 255  # what a pixel changes by where a ball comes and goes
_BALL_SHARE = 0.015  # of the frame: the least that is a ball
_FAST = 0.01  # H per frame; a turn needs this speed on both sides
_NEAR_FLOOR = 0.07  # H; lower edges below do not count as free flight
_AROUND = 1.25  # radii from its centre to which a ball's soft edge reaches at most
_SHADOW = 0.14  # H to either side of the floor to which shadows reach
_SHADOW_ASIDE = 2.6  # radii, and ...
_SHADOW_AWAY = 0.3  # ... times the ball's height over the floor, that they reach to a side
_STRAY = 0.1 * 255  # of a channel


@dataclass(frozen=True)
class Track:
    """One ball over time: its centre ``x`` and ``y`` ``[T]`` in H, its ``area`` ``[T]`` in H², ``size``, how far its
    pixels lie from its centre compared to a disc's, ``[T]``, 1 for a disc, and ``angular``, the largest of
    the medians over time of its angular moments of order 2 to 6, 0 for a disc.
    """

    x: np.ndarray
    y: np.ndarray
    area: np.ndarray
    size: np.ndarray
    angular: float

    @property
    def radius(self) -> float:
        """Of a disc of the median area, in H."""
        return float(np.sqrt(np.median(self.area) / np.pi))


def measure(clip: np.ndarray) -> Measurements:
    """How balls move; of two balls the worse number of each.

    Numbers: ``balls``, how many; ``area_change``, the largest departure of an area from its median; ``size``, the
    largest spread of a ball's pixels compared to a disc's; ``angular``, the largest median of an angular moment;
    ``radius``, the smallest; ``jump``, the longest step in radii; ``floor_turns``, the fewest turns at the floor of any
    ball; ``air_turns``, turns from downward to upward elsewhere; ``lowest``, of any lower edge, below the floor in H;
    ``quicker``, the largest speed off the floor over that onto it; ``side_turns`` and ``wall_share``, sideways turns
    and the share of them at a wall (1 where there are none); ``fall``, the mean downward acceleration between bounces
    in H per frame² (0 where it cannot be seen); ``fall_change``, its coefficient of variation; ``stray``, the largest
    share of a frame that differs from the background and is no ball and no shadow; ``unrest``, the root mean square of
    what is neither, less the background, in [0, 1].
    """
    hsv = hue_saturation_value(clip)
    hues = _ball_hues(clip, *hsv)
    if not 1 <= len(hues) <= 2:
        return Measurements({"balls": float(len(hues))}, "no ball, or more than two" if hues else "no moving ball")
    balls = [_track(*hsv, hue) for hue in hues]
    if min(ball.area.min() for ball in balls) < _BALL_SHARE / 3:
        return Measurements({"balls": float(len(hues))}, "a ball is not there all the time")
    rows = [_ball_numbers(ball, clip.shape[2] / clip.shape[1]) for ball in balls]
    largest = ("area_change", "size", "angular", "jump", "lowest", "quicker", "fall_change")
    worst = {name: max(row[name] for row in rows) for name in largest}
    worst |= {name: min(row[name] for row in rows) for name in ("radius", "floor_turns", "fall")}
    worst |= {name: sum(row[name] for row in rows) for name in ("air_turns", "side_turns", "wall_turns")}
    walls = worst.pop("wall_turns")
    worst["wall_share"] = walls / worst["side_turns"] if worst["side_turns"] else 1.0
    return Measurements({"balls": float(len(hues))} | worst | _rest(clip, balls))


def _rest(clip: np.ndarray, balls: list[Track]) -> Numbers:
    """What moves beside balls and shadows, and how still the background is."""
    frames, height, width = clip.shape[:3]
    x, y = (np.arange(width) + 0.5) / height, ((np.arange(height) + 0.5) / height)[:, None]
    ball = np.zeros((frames, height, width), bool)
    shadow = ball.copy()
    for one in balls:
        cx, cy = one.x[:, None, None], one.y[:, None, None]
        ball |= np.hypot(x - cx, y - cy) < _AROUND * one.radius + 1 / height
        reach = _SHADOW_ASIDE * one.radius + _SHADOW_AWAY * np.maximum(FLOOR_Y - one.radius - cy, 0)
        shadow |= (np.abs(x - cx) < reach) & (np.abs(y - FLOOR_Y) < _SHADOW)
    taken = ball | shadow
    often = taken.mean(0) > 0.75  # hardly ever seen
    values = np.where(taken[..., None], np.nan, clip)
    values[:, often] = 0
    difference = np.where(taken[..., None] | often[..., None], 0, clip - np.nanmedian(values, axis=0))
    free = ~taken & ~often
    stray = opened(np.abs(difference).max(-1) > _STRAY)
    return {
        "stray": float(stray.mean((1, 2)).max()),
        "unrest": float(np.sqrt((difference**2).sum() / max(3 * int(free.sum()), 1)) / 255),
    }


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
    size = np.sqrt(np.maximum(inertia, 0) * 2 * np.pi / np.maximum(area, 1e-9))
    ray = (x - cx[:, None, None]) + 1j * (y[:, None] - cy[:, None, None])
    moments = [
        np.abs((weight * ray**k).sum((1, 2))) / np.maximum((weight * np.abs(ray) ** k).sum((1, 2)), 1e-12)
        for k in range(2, 7)
    ]
    return Track(cx, cy, area, size, np.median(moments, axis=1).max())


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


def _speed(y: np.ndarray, radius: float, contact: int, fall: float, way: int) -> float:
    """The speed at the floor in H per frame, after (1) or before (-1) the contact in a frame.

    That of the second step from the contact, as the first may hold the contact itself, and what the fall adds from
    the middle of that step to the floor; where the clip ends before, that of the first step.
    """
    near, far = contact + way, contact + 2 * way
    if not 0 <= far < len(y):
        near, far = contact, contact + way
    above = FLOOR_Y - radius - (y[near] + y[far]) / 2
    return float(np.sqrt((y[near] - y[far]) ** 2 + 2 * max(fall, 0.0) * max(above, 0.0)))


def _ball_numbers(ball: Track, width: float) -> Numbers:
    radius = ball.radius
    low = ball.y + radius  # the lower edge
    upward = [t for t, sign in _turns(ball.y) if sign > 0]
    floors = [t for t in upward if abs(low[t] - FLOOR_Y) <= 0.05]
    aside = [min(ball.x[t] - radius, width - ball.x[t] - radius) <= 0.05 for t, _ in _turns(ball.x)]
    # Over two frames to either side: four times the acceleration, the same noise.
    bends = (ball.y[4:] - 2 * ball.y[2:-2] + ball.y[:-4]) / 4
    near = low > FLOOR_Y - _NEAR_FLOOR
    fall = bends[[t for t in range(len(bends)) if not near[t : t + 5].any()]]
    mean = float(fall.mean()) if len(fall) >= 2 else 0.0
    quicker = [_speed(ball.y, radius, t, mean, 1) / max(_speed(ball.y, radius, t, mean, -1), _FAST) for t in floors]
    return {
        "area_change": float(np.abs(ball.area / np.median(ball.area) - 1).max()),
        "size": float(ball.size.max()),
        "angular": float(ball.angular),
        "radius": radius,
        "jump": float(np.hypot(np.diff(ball.x), np.diff(ball.y)).max()) / max(radius, 1e-6),
        "floor_turns": float(len(floors)),
        "air_turns": float(len(upward) - len(floors)),
        "lowest": float(low.max() - FLOOR_Y),
        "quicker": min(max(quicker, default=0.0), 100.0),
        "side_turns": float(len(aside)),
        "wall_turns": float(sum(aside)),
        "fall": mean,
        "fall_change": min(float(fall.std()) / mean, 100.0) if mean > 0 else 100.0,
    }


def _limits(percentile: Percentile) -> Limits:
    return {
        "most_angular": max(0.15, 1.5 * percentile("angular", 99)),
        "most_stray": max(0.005, 1.5 * percentile("stray", 99)),
        "least_fall": 0.5 * percentile("fall", 5),
    }


def _check(numbers: Numbers, limits: Limits) -> str:
    return first_failure(
        "valid",
        [
            (numbers["radius"] >= 0.06, "balls too small"),
            (numbers["area_change"] <= 0.3, "a ball grows or shrinks"),
            (numbers["size"] <= 1.4, "a ball falls apart"),
            (numbers["angular"] <= limits["most_angular"], "a ball is not round"),
            (numbers["unrest"] <= 3 / 255, "the background is not still"),
            (numbers["stray"] <= limits["most_stray"], "something else moves"),
        ],
    ) or first_failure(
        "behaviour",
        [
            (numbers["floor_turns"] >= 1, "a ball does not bounce off the floor"),
            (numbers["air_turns"] == 0, "a ball bounces in mid-air"),
            (numbers["lowest"] <= 0.05, "a ball sinks into the floor"),
            (numbers["quicker"] <= 1.1, "a ball leaves the floor quicker than it came"),
            (numbers["wall_share"] >= 0.9, "a ball turns sideways in mid-air"),
            (numbers["jump"] <= 1.5, "a ball jumps"),
            (numbers["fall"] >= limits["least_fall"], "no fall between bounces, or too slow a one"),
            (numbers["fall_change"] <= 0.5, "the fall is uneven"),
        ],
    )


BOUNCE = Behaviour(_ABOUT, measure, _limits, _check, fewest_frames=12, may_pass=("reversed",))
