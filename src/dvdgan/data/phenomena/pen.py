"""Pen: a red crayon wanders over light paper and leaves one long stroke of dark ink, which stays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dvdgan.data.phenomena.palettes import Palette, luma, pick_palette, recolour, to_uint8
from dvdgan.data.phenomena.shapes import (
    REAL,
    cone_distance,
    draw_light,
    from_hsv,
    hsv,
    hue_gap,
    mottle,
    mottling,
    pixel_grid,
    shading,
)
from dvdgan.data.phenomena.textures import coverage, mix, smoothstep

TIP_HUE = 8.0
"""Hue of the pen in degrees, kept for it alone: ink is dark and at least 50 degrees away, paper is light and pale."""

_STEP = 0.01  # length of the pieces a stroke is made of


def _swing(u: np.ndarray) -> np.ndarray:
    """A rounded triangle wave of period 2 pi in [-1, 1]: nearly even speed, and soft turns."""
    return np.arcsin(0.94 * np.sin(u)) / np.arcsin(0.94)


def _draw_curve(rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """An endless smooth curve over the page: points ``[N, 2]`` at parameters ``[N]``, some frame height per unit."""
    kind, way, ratio = int(rng.integers(4)), rng.choice([-1.0, 1.0]), rng.uniform()
    phase, more, tilt = rng.uniform(0, 2 * np.pi, 2), rng.uniform(size=4), rng.uniform(0, 2 * np.pi)
    middle = 0.5 + rng.uniform(-0.03, 0.03, 2)

    def rosette(u: np.ndarray) -> np.ndarray:
        petals, big = 2.7 + 1.5 * ratio, 0.18 + 0.04 * more[0]
        a, b = 2.0 * u + phase[0], -way * petals * 2.0 * u + phase[1]
        small = 0.37 - big
        return np.stack([big * np.cos(a) + small * np.cos(b), big * np.sin(a) + small * np.sin(b)], axis=1)

    def spiral(u: np.ndarray) -> np.ndarray:
        radius = 0.235 - 0.14 * _swing(u + 2 * np.pi * ratio)
        angle, squash = (3.3 + 0.6 * more[1]) * u + phase[0], 0.8 + 0.2 * more[0]
        return np.stack([radius * np.cos(angle), way * squash * radius * np.sin(angle)], axis=1)

    def script(u: np.ndarray) -> np.ndarray:
        loop, reach = 0.1 + 0.035 * more[0], 0.24 + 0.03 * more[1]
        turn = way * (8.0 + 2.0 * ratio) * u + phase[0]
        x = reach * _swing(2.1 * u - np.pi / 2 + 0.8 * more[2]) + loop * np.cos(turn)
        y = 0.25 * _swing(0.6 * u + 2 * np.pi * more[3]) + 1.15 * loop * np.sin(turn)
        return np.stack([x, y], axis=1)

    def eights(u: np.ndarray) -> np.ndarray:
        long, wide, round_ = 0.36 + 0.03 * more[0], 0.17 + 0.08 * more[1], 0.35 + 0.4 * more[3]
        swing = 2.2 * u + phase[0]
        along, aside = long * np.sin(swing), wide * np.sin(2.0 * swing + more[2] - 0.5)
        spin = way * round_ * u
        x, y = along * np.cos(spin) - aside * np.sin(spin), along * np.sin(spin) + aside * np.cos(spin)
        return np.stack([x, y], axis=1)

    shape = (rosette, spiral, script, eights)[kind]
    angle = tilt if kind != 2 else 0.5 * (tilt / np.pi - 1.0)
    turned = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return lambda u: middle + shape(u) @ turned


def _even(curve: Callable[[np.ndarray], np.ndarray], length: float) -> np.ndarray:
    """Points along the curve, ``_STEP`` apart, for at least the given length in frame heights: ``[N, 2]``."""
    until = length + 1.0
    while True:
        points = curve(np.arange(0.0, until, 0.004))
        along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
        if along[-1] > length:
            break
        until *= 1.5
    at = np.arange(0.0, length, _STEP)
    return np.stack([np.interp(at, along, points[:, k]) for k in (0, 1)], axis=1)


def _draw_inks(rng: np.random.Generator, palette: Palette) -> np.ndarray:
    """Two dark inks ``[2, 3]`` from the palette, away from the hue of the pen."""
    hue, _, _ = hsv(palette.tones[rng.permutation(len(palette.tones))])
    spare, value, saturation = rng.uniform(165.0, 285.0), rng.uniform(0.2, 0.36, 2), rng.uniform(0.5, 0.85, 2)
    clear = [h for h in hue if hue_gap(h, TIP_HUE) > 60.0][:2]
    clear += [spare, spare + 40.0][len(clear) :]
    return np.stack([from_hsv(*parts) for parts in zip(clear, saturation, value)])


def _paper(size: int, tone: np.ndarray, side: float, waves: np.ndarray) -> np.ndarray:
    """Paper lit from one side, linear RGB ``[size, size, 3]``."""
    x, y = pixel_grid(size)
    light = 1.0 + 0.06 * (side * (x - 0.5) + 0.6 * (0.5 - y)) + 0.012 * mottling(waves, x, y)
    light = light * (1.0 - 0.2 * smoothstep(0.42, 0.85, np.hypot(x - 0.5, y - 0.5)))
    return (tone * light[..., None]).astype(REAL)


def render(rng: np.random.Generator, size: int, frames: int) -> tuple[np.ndarray, dict]:
    """Draw a clip of a pen that writes.

    Args:
        rng: where the scene comes from.
        size: height and width in pixels.
        frames: number of frames T.

    Returns:
        The clip, uint8 ``[T, size, size, 3]``, and the truth: ``tip`` ``[T, 2]``, where the pen touches the paper, in
        frame heights, and ``ink`` bool ``[T, size, size]``, the pixels inked so far, also those under the pen.
    """
    palette = pick_palette(rng)
    light = draw_light(rng, palette)
    inks = _draw_inks(rng, palette).astype(REAL)
    pale = recolour(palette.ground[0], 0.0, rng.uniform(0.5, 0.9))
    tone = pale + (0.98 - pale) * np.clip((rng.uniform(0.84, 0.92) - luma(pale)) / (0.99 - luma(pale)), 0.0, 1.0)
    paper = _paper(size, np.clip(tone, 0.0, 0.93), float(np.sign(light.direction[0])), mottle(rng))
    curve = _draw_curve(rng)
    speed, width, change = rng.uniform(0.115, 0.15), rng.uniform(0.035, 0.044), rng.uniform(0.9, 2.0)
    lean = np.radians(rng.uniform(20.0, 60.0)) * rng.choice([1.0, 1.0, 1.0, -1.0])
    red = from_hsv(TIP_HUE + rng.uniform(-4.0, 4.0), rng.uniform(0.82, 0.92), rng.uniform(0.9, 0.98)).astype(REAL)
    body, press, start = rng.uniform(0.17, 0.21), *rng.uniform(0, 2 * np.pi, 2)

    points = _even(curve, speed * (frames + 1) + 2 * _STEP)
    place = _STEP * np.arange(len(points))
    widths = width * (1.0 + 0.1 * np.sin(2 * np.pi * place / 0.9 + press))
    tints = (0.5 + 0.5 * np.cos(2 * np.pi * place / change + start)).astype(REAL)
    reached = ((speed * (np.arange(frames) + 0.6)) / _STEP).astype(int)
    tips = points[reached]

    x, y = pixel_grid(size)
    distance, tint = np.full((size, size), 1.0, REAL), np.zeros((size, size), REAL)
    axis = np.array([np.sin(lean), -np.cos(lean)])
    fall = -light.direction[:2] * 0.09
    across = np.array([-axis[1], axis[0]])
    clip = np.empty((frames, size, size, 3), REAL)
    ink = np.empty((frames, size, size), bool)
    done = 0
    for t in range(frames):
        piece = slice(done, reached[t] + 1)
        done = int(reached[t])
        lay = points[piece]
        left, top = np.maximum(((lay.min(0) - 0.07) * size).astype(int), 0)
        right, bottom = ((lay.max(0) + 0.07) * size).astype(int) + 1
        box = np.s_[top:bottom, left:right]
        away, _ = cone_distance(x[:, left:right, None], y[top:bottom, :, None], lay[:-1], lay[1:])
        away = away - widths[piece][:-1]
        nearest = away.argmin(axis=-1)
        away = np.take_along_axis(away, nearest[..., None], axis=-1)[..., 0]
        tint[box] = np.where(away < 0.5 / size, tints[piece][nearest], tint[box])
        distance[box] = np.minimum(distance[box], away)
        cover = coverage(-distance, 1 / size)
        ink[t] = cover > 0.5
        page = mix(paper, mix(inks[0], inks[1], tint), cover)

        foot, end = tips[t], tips[t] + body * axis
        gone, far = cone_distance(x, y, foot, end + fall, (0.02, 0.05))
        shadow = 0.42 * smoothstep(0.5, -0.5, gone / (0.014 + 0.05 * far)) * (1.0 - 0.5 * far)
        page = page * (1.0 - shadow[..., None] * (1.0 - 0.4 * palette.shadow))
        edge, along = cone_distance(x, y, foot, foot + 0.1 * axis, (0.024, 0.056))
        barrel, _ = cone_distance(x, y, foot + 0.1 * axis, end, (0.056, 0.056))
        edge = np.minimum(edge, barrel)
        aside = ((x - foot[0]) * across[0] + (y - foot[1]) * across[1]) / (0.024 + 0.032 * along)
        aside = np.clip(aside, -0.98, 0.98)
        v, u = np.nonzero(edge < 0.5 / size)
        curved, up = aside[v, u], (x - foot[0]) * axis[0] + (y - foot[1]) * axis[1]
        factor, gloss = shading((curved * across[0], curved * across[1], np.sqrt(1.0 - curved**2)), light)
        collar = 1.0 - 0.45 * coverage(0.014 - np.abs(up[v, u] - 0.118), 1 / size)
        paint = red * (0.1 + 0.85 * factor) * collar[:, None] + 0.5 * gloss
        page[v, u] = mix(page[v, u], paint, coverage(-edge[v, u], 1 / size))
        clip[t] = page
    return to_uint8(clip), {"tip": tips, "ink": ink}
