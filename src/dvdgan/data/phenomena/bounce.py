"""Bounce: glossy balls bounce off a floor at a fixed height and off the frame's sides, and never touch each other."""

from __future__ import annotations

import numpy as np

from dvdgan.data.phenomena.palettes import pick_palette, recolour, to_uint8
from dvdgan.data.phenomena.shapes import (
    REAL,
    draw_light,
    draw_room,
    from_hsv,
    hsv,
    hue_gap,
    pixel_grid,
    shading,
    soft_disc,
)
from dvdgan.data.phenomena.textures import coverage, mix

FLOOR_Y = 0.86
"""Height of the floor in every clip: where a ball's lower edge turns, in frame heights from the top."""

_MAX_BALLS = 2
_SETTLED = 47  # from this frame on ...
_SHORTEST = 6  # ... no flight that begins is shorter than this, in frames


def _ball_colours(rng: np.random.Generator, tones: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Two linear RGB colours ``[2, 3]`` from the tones, whose hues are well apart from each other and the ground."""
    order, turn, value = rng.permutation(len(tones)), rng.uniform(0.0, 15.0), rng.uniform(0.72, 0.9, 2)
    hue, saturation, _ = hsv(tones[order])
    ground_hue, ground_saturation, _ = hsv(ground)
    tinted = ground_hue[ground_saturation >= 0.18]
    chosen: list[tuple[float, float]] = []

    def clearance(h: float) -> float:
        gaps = [hue_gap(h, g) / 50.0 for g in tinted] + [hue_gap(h, other) / 75.0 for other, _ in chosen]
        return min(gaps, default=1.0)

    for h, s in zip(hue, saturation):
        if len(chosen) < _MAX_BALLS and s >= 0.4 and clearance(h) >= 1.0:
            chosen.append((h, np.clip(s, 0.62, 0.85)))
    while len(chosen) < _MAX_BALLS:  # the palette has no such tone: the hue that is furthest from all
        chosen.append((max(turn + 15.0 * np.arange(24), key=clearance), 0.64))
    return np.stack([from_hsv(h, s, v) for (h, s), v in zip(chosen, value)])


def _fall(time: np.ndarray, gravity: float, flight: int, first: float) -> np.ndarray:
    """Height over the floor of a ball's lower edge, ``[T]``.

    Each contact leaves the ball a flight one frame shorter than the last, a restitution of about 0.92; as flights last
    whole frames, every contact falls equally near to a frame, and that frame shows the ball at the floor. A ball never
    comes to rest: past frame 47 flights stay at 6 frames.

    Args:
        time: ``[T]``, in frames.
        gravity: acceleration, frame heights per frame squared.
        flight: how long the arc that ends at the first contact lasts, in frames.
        first: time of the first contact.
    """
    begun, lasts = [first - flight], [flight]  # of every arc
    while (contact := first + sum(lasts[1:])) <= time[-1]:
        begun.append(contact)
        lasts.append(max(lasts[-1] - 1, _SHORTEST if contact > _SETTLED else 1))
    arc = np.maximum(np.searchsorted(begun, time, side="right") - 1, 0)
    since = time - np.array(begun)[arc]
    return np.maximum(0.5 * gravity * since * (np.array(lasts)[arc] - since), 0.0)


def _reflect(position: np.ndarray, low: float, high: float) -> np.ndarray:
    """Fold an unbounded coordinate into [low, high] as elastic walls would."""
    span = high - low
    return low + span - np.abs((position - low) % (2.0 * span) - span)


def _motion(rng: np.random.Generator, count: int, radius: np.ndarray, frames: int) -> np.ndarray:
    """The balls' centres ``[T, count, 2]``.

    The first contact and an apex fall inside the first 12 frames, and contacts fall near enough to a frame that the
    lowest frame shows the ball at the floor.
    """
    gravity = rng.uniform(0.0145, 0.017)
    time = np.arange(frames, dtype=float)
    ways = rng.permutation([-1.0, 1.0])
    centres = np.empty((frames, count, 2))
    for i in range(_MAX_BALLS):
        flight = int(rng.integers(11, 14))
        rising, place, off, start, drift = rng.uniform(size=5)
        if i >= count:
            continue
        r = radius[i]
        # Either the apex comes first and the contact half an arc later, or the contact and then the next apex.
        early, late = (0.5 * flight + 1.8, 9.2) if rising < 0.5 else (1.8, 9.7 - 0.5 * flight)
        contact = np.clip(round(early + place * (late - early)) + 0.4 * (off - 0.5), early, late)
        centres[:, i, 1] = FLOOR_Y - r - _fall(time, gravity, flight, contact)
        if count == 1:
            path = r + start * (1.0 - 2.0 * r) + ways[i] * (0.018 + 0.03 * drift) * time
            centres[:, i, 0] = _reflect(path, r, 1.0 - r)
        else:
            # A lane each: a sideways drift that fades, short enough that the ball stays on its side for ever.
            inner = 0.5 - 0.02 - r
            outward = inner - (inner - r) * (0.2 + 0.5 * start)
            travel = (outward - r) + 0.95 * (inner - r) * drift if ways[i] < 0 else (inner - outward)
            path = outward + ways[i] * travel * (1.0 - np.exp(-time / 26.0))
            x = _reflect(path, r, inner + 1.0)
            centres[:, i, 0] = x if i == 0 else 1.0 - x
    return centres


def render(rng: np.random.Generator, size: int, frames: int) -> tuple[np.ndarray, dict]:
    """Draw a clip of one or two bouncing balls.

    Args:
        rng: where the scene comes from.
        size: height and width in pixels.
        frames: number of frames T.

    Returns:
        The clip, uint8 ``[T, size, size, 3]``, and the truth: ``center`` ``[T, N, 2]`` and ``radius`` ``[N]`` in frame
        heights, ``floor`` (the y of the floor), ``hue`` ``[N]`` in degrees.
    """
    palette = pick_palette(rng)
    light = draw_light(rng, palette)
    ground = recolour(palette.ground, 0.0, 0.42)
    room = draw_room(rng, ground, light, (0.7, 0.77))
    colours = _ball_colours(rng, palette.tones, ground)
    count = 1 + int(rng.uniform() < 0.5)
    drawn = rng.uniform(0.0, 1.0, _MAX_BALLS)
    radius = 0.14 + 0.04 * drawn[:1] if count == 1 else 0.112 + 0.033 * drawn
    centres = _motion(rng, count, radius, frames)

    x, y = pixel_grid(size)
    clip = np.broadcast_to(room.paint(size), (frames, size, size, 3)).copy()
    shade = (0.3 * palette.shadow + 0.06).astype(REAL)
    for i in range(count):
        cx, cy = (centres[:, i, k, None, None].astype(REAL) for k in (0, 1))
        height = (FLOOR_Y - radius[i] - cy) / 0.4
        away = -light.direction[0] * 0.22 * height
        radii = (radius[i] * (0.95 + 0.5 * height), radius[i] * (0.24 + 0.12 * height))
        shadow = soft_disc(x, y, (cx + away, FLOOR_Y - 0.004), radii, 0.35 + 0.6 * np.minimum(height, 1.0))
        depth = (0.82 - 0.5 * np.minimum(height, 1.0)) * shadow
        clip *= (1.0 - depth[..., None] * (1.0 - shade)).astype(REAL)
    for i in range(count):
        cx, cy = (centres[:, i, k, None, None].astype(REAL) for k in (0, 1))
        nx, ny = (x - cx) / REAL(radius[i]), (y - cy) / REAL(radius[i])
        square = nx * nx + ny * ny
        t, v, u = np.nonzero(square < (1.0 + 1.0 / (size * radius[i])) ** 2)
        square = square[t, v, u]
        away = np.sqrt(square)
        shrink = 1.0 / np.maximum(away, 1.0)
        normal = (nx[t, 0, u] * shrink, ny[t, v, 0] * shrink, np.sqrt(np.maximum(1.0 - square, 0.0)))
        factor, gloss = shading(normal, light)
        ball = colours[i].astype(REAL) * factor + gloss
        clip[t, v, u] = mix(clip[t, v, u], ball, coverage((1.0 - away) * REAL(radius[i]), 1 / size))
    truth = {"center": centres, "radius": radius, "floor": FLOOR_Y, "hue": hsv(colours[:count])[0]}
    return to_uint8(clip), truth
