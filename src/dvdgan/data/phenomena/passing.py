"""passing: one object crosses a still scene, in at one side and out at the other.

A ball or a bus over land, a boat over water, a balloon, a leaf or a fish over a soft sky or sea. Nothing else moves:
a pixel that neither the object nor the small shadow under it reaches keeps its value for the whole clip.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dvdgan.data.phenomena.palettes import Palette, luma, pick_palette, to_uint8
from dvdgan.data.phenomena.textures import (
    Waves,
    coverage,
    light_from,
    mix,
    pixel_centres,
    ramp,
    relief,
    smoothstep,
    window,
)

_SAMPLES = 2  # painted samples per pixel along each axis
_REACH = 1.75  # how far from its middle an object is painted, in half-widths; all of them end within
_MARGIN = 0.26  # luma wanted between the object and what is behind it
Layer = tuple[np.ndarray, np.ndarray]


def _box(u: np.ndarray, v: np.ndarray, half_u: float, half_v: float, corner: float) -> np.ndarray:
    """Distance inside (positive) a rounded box around the origin."""
    a, b = np.abs(u) - half_u + corner, np.abs(v) - half_v + corner
    return corner - np.hypot(np.maximum(a, 0), np.maximum(b, 0)) - np.minimum(np.maximum(a, b), 0)


def _tinted(tone: np.ndarray, shade: np.ndarray) -> np.ndarray:
    return (tone * shade[..., None]).astype(np.float32)


class _Backdrop:
    """The still scene: a sky over hills and land or water, or one soft sky or sea over the whole frame."""

    def __init__(self, rng: np.random.Generator, palette: Palette, setting: str) -> None:
        self.setting = setting
        ground, shadow, light = (c.astype(np.float32) for c in (palette.ground, palette.shadow, palette.light))
        tint = palette.tones[int(rng.integers(5))].astype(np.float32)
        day = rng.uniform() < 0.75 and luma(ground[0]) > 0.75
        if day:
            self.sky = np.stack([ground[0], 0.45 * ground[0] + 0.55 * ground[1]])
            self.land = np.stack([0.9 * ground[1] + 0.1 * tint, 0.65 * ground[1] + 0.2 * ground[2] + 0.15 * tint])
            self.glow = self.disc = light
        else:
            self.sky = np.stack([0.55 * ground[2] + 0.13 * tint, 0.3 * ground[2] + 0.5 * shadow])
            self.land = np.stack([0.45 * ground[2] + 0.05 * tint, 0.15 * ground[2] + 0.5 * shadow])
            self.glow = 0.35 * ground[1] + 0.15 * light
            self.disc = 0.35 * ground[1] + 0.25 * light
        self.horizon = rng.uniform(0.46, 0.62) + (0.3 if setting == "air" else 0)
        self.sun = rng.uniform(0.1, 0.9), rng.uniform(0.08, 0.35)
        self.sun_size = rng.uniform(0.07, 0.12)
        self.clouds = Waves.draw(rng, 12, 1.2, 0.2, 0.9, (1.6, 0.75))
        self.ridges = [Waves.draw(rng, 6, 1.0, 0.3, 0.8) for _ in range(3)]
        self.texture = Waves.draw(rng, 14, 0.9, 0.16, 0.7, (2.2, 0.7) if setting == "water" else (1.4, 0.8))
        self.light = light_from(-np.pi / 2 + rng.uniform(-1, 1), 0.8)
        self.pool = rng.uniform(0.2, 0.8, 2)

    def paint(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        rows, pitch = y[:, None], float(x[1] - x[0])
        cloud = self.clouds.grid(x, y)
        picture = ramp(self.sky, 1 - rows / self.horizon + 0.1 * cloud)
        glow = np.broadcast_to(self.glow, picture.shape)
        picture = mix(picture, glow, 0.5 * smoothstep(0.1, 1.0, cloud) * smoothstep(2.6, 0.4, cloud))
        away = np.hypot(x - self.sun[0], rows - self.sun[1])
        picture = mix(picture, glow, 0.5 * np.exp(-((away / 0.3) ** 2)))
        picture = mix(picture, self.disc, 0.75 * coverage(self.sun_size - away, pitch))
        for i, ridge in enumerate(self.ridges):
            crest = self.horizon - 0.05 * (2.6 - i) + 0.035 * ridge.grid(x, np.zeros(1, np.float32))
            tone = self.sky[0] + (self.land[1] - self.sky[0]) * np.float32(0.3 + 0.25 * i)
            body = mix(_tinted(tone, np.ones_like(away)), glow, 0.3 * smoothstep(0.0, 0.14, rows - crest))
            picture = mix(picture, body, coverage(rows - crest, pitch))
        texture = self.texture.grid(x, y)
        depth = np.clip((rows - self.horizon) / (1 - self.horizon), 0, 1)
        body = ramp(self.land, depth + 0.17 * texture)
        body = body * (1 + (relief(0.01 * texture, pitch, self.light) - 1) * smoothstep(0, 0.3, depth))[..., None]
        if self.setting == "water":
            path = np.exp(-(((x - self.sun[0]) / (0.08 + 0.12 * depth)) ** 2)) * smoothstep(-0.3, 1.3, texture)
            body = mix(body, glow, 0.6 * path)
        picture = mix(picture, body, coverage(rows - self.horizon, pitch))
        shade = 0.35 * smoothstep(0.35, 1.05, np.hypot(x - self.pool[0], rows - self.pool[1]))
        return (picture * (1 - shade)[..., None]).astype(np.float32)


def _ball(u: np.ndarray, v: np.ndarray, tones: np.ndarray, light: np.ndarray, turn: float) -> list[Layer]:
    away = np.hypot(u, v)
    rise = np.sqrt(np.clip(1 - away**2, 0, None))
    lit = np.clip(u * light[0] + v * light[1] + rise * light[2], 0, 1)
    band = u * np.cos(turn) + v * np.sin(turn)
    skin = mix(tones[0], tones[1], smoothstep(-0.06, 0.06, 0.24 - np.abs(band)))
    return [(1 - away, (skin * (0.6 + 0.5 * lit)[..., None] + 0.25 * (lit**16)[..., None]).astype(np.float32))]


def _bus(u: np.ndarray, v: np.ndarray, tones: np.ndarray, light: np.ndarray, turn: float) -> list[Layer]:
    body = _box(u, v + 0.1, 1.0, 0.58, 0.2)
    stripe = mix(tones[0], tones[1], smoothstep(-0.03, 0.03, 0.07 - np.abs(v - 0.18)))
    cell = (u + 1.0) % 0.44 - 0.22
    panes = np.minimum(_box(cell, v + 0.26, 0.15, 0.15, 0.06), 0.86 - np.abs(u))
    pane = 0.04 if tones[0].mean() > 0.35 else 0.5
    glass = _tinted(pane + 0.3 * tones[1], 1.0 + 0.9 * (cell - v - 0.2))
    layers = [(body, stripe * (1.0 - 0.3 * v)[..., None]), (panes, glass)]
    for hub in (-0.55, 0.55):
        away = np.hypot(u - hub, v - 0.46)
        layers.append((0.22 - away, _tinted(0.25 * tones[0], np.ones_like(away))))
        layers.append((0.1 - away, _tinted(0.8 * tones[1], np.ones_like(away))))
    return layers


def _boat(u: np.ndarray, v: np.ndarray, tones: np.ndarray, light: np.ndarray, turn: float) -> list[Layer]:
    u, v = u * np.cos(0.15 * np.sin(turn)) + v * np.sin(0.15 * np.sin(turn)), v + 0.15
    hull = np.minimum(0.9 + 0.1 * u - 1.3 * np.clip(v - 0.4, 0, 1) - np.abs(u), np.minimum(v - 0.4, 0.8 - v))
    main = np.minimum(np.minimum(u + 0.02, 0.3 - v), 0.62 * (v + 1.1) * (1.4 - 0.5 * (v + 1.1)) - u)
    jib = np.minimum(np.minimum(-0.06 - u, 0.3 - v), u + 0.5 * (v + 0.9))
    return [
        (np.minimum(0.03 - np.abs(u + 0.02), np.minimum(v + 1.1, 0.45 - v)), _tinted(tones[1], 0.7 + 0 * u)),
        (main, _tinted(tones[0], 1.12 - 0.45 * np.clip(u, 0, 1) - 0.1 * v)),
        (jib, _tinted(0.75 * tones[0] + 0.25 * tones[1], 1.0 + 0.3 * u)),
        (hull, _tinted(tones[1], 1.15 - 0.7 * (v - 0.4))),
    ]


def _balloon(u: np.ndarray, v: np.ndarray, tones: np.ndarray, light: np.ndarray, turn: float) -> list[Layer]:
    v = v + 0.25
    half = np.where(v < 0.1, np.sqrt(np.clip(1 - ((v - 0.1) / 1.0) ** 2, 0, 1)), 1 - 0.72 * np.clip(v - 0.1, 0, 2) ** 2)
    half = 0.92 * np.clip(half, 0.05, 1)
    envelope = np.minimum(np.minimum(half - np.abs(u), v + 0.9), 0.98 - v)
    gore = np.arcsin(np.clip(u / half, -1, 1)) * 2.6
    skin = mix(tones[0], tones[1], smoothstep(-0.25, 0.25, np.cos(2 * gore)))
    lit = 0.88 + 0.28 * (u * light[0] + v * light[1]) + 0.06 * np.abs(np.sin(gore))
    ropes = np.minimum(0.02 - np.abs(np.abs(u) - 0.17), np.minimum(v - 0.9, 1.25 - v))
    basket = _box(u, v - 1.3, 0.2, 0.15, 0.05)
    return [
        (ropes, _tinted(0.4 * tones[1], 1 + 0 * u)),
        (envelope, (skin * lit[..., None]).astype(np.float32)),
        (basket, _tinted(0.6 * tones[0], 1.1 - 0.4 * u)),
    ]


def _leaf(u: np.ndarray, v: np.ndarray, tones: np.ndarray, light: np.ndarray, turn: float) -> list[Layer]:
    angle = 0.5 * np.sin(turn) + 0.15
    u, v = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
    v = v - 0.12 * np.cos(1.6 * u)
    half = 0.62 * np.clip(1 - u**2, 0, 1) ** 0.7 * (1 - 0.25 * u)
    side = 0.93 + 0.16 * np.sign(v) * np.sign(light[1]) * smoothstep(0, 0.06, np.abs(v))
    ribs = 0.07 * np.cos(8 * (np.abs(v) * 0.8 - u)) * smoothstep(0.03, 0.15, np.abs(v))
    skin = mix(tones[0], tones[1], 0.6 * smoothstep(0.2, 1.0, u))
    stalk = np.minimum(0.035 - np.abs(v), np.minimum(u + 1.25, 0.8 - u))
    return [
        (half - np.abs(v), (skin * (side + ribs)[..., None]).astype(np.float32)),
        (stalk, _tinted(0.55 * tones[0], 1 + 0 * u)),
    ]


def _fish(u: np.ndarray, v: np.ndarray, tones: np.ndarray, light: np.ndarray, turn: float) -> list[Layer]:
    v = v + 0.07 * np.sin(2.2 * u + 2.5 * turn) * (0.6 - u)
    body = (1 - np.hypot((u - 0.22) / 0.78, v / 0.5)) * 0.5
    tail = np.minimum(np.minimum(-0.35 - u, 0.1 - 0.62 * (u + 0.42) - np.abs(v)), u + 1 - 0.35 * np.cos(4 * v) + 0.35)
    fin = np.minimum(0.72 - np.hypot((u - 0.1) * 1.3, v + 0.15), -0.2 - v)
    belly = 1.08 - 0.3 * v
    scales = smoothstep(-0.3, 0.3, np.sin(7 * u + 2 * np.cos(6 * v))) * smoothstep(0.62, 0.4, u)
    eye = np.hypot(u - 0.68, v + 0.1)
    return [
        (fin, _tinted(tones[1], 0.95 + 0.2 * u)),
        (tail, _tinted(tones[1], 0.95 - 0.25 * u)),
        (body, (mix(tones[0], tones[1], 0.55 * scales) * belly[..., None]).astype(np.float32)),
        (0.09 - eye, _tinted(0.12 * tones[0], 1 + 0 * u)),
    ]


# What crosses: its setting, its painter, how far down from its middle it reaches over its half-width.
_OBJECTS: dict[str, tuple[str, Callable[..., list[Layer]], float]] = {
    "ball": ("land", _ball, 1.0),
    "bus": ("land", _bus, 0.68),
    "boat": ("water", _boat, 0.65),
    "balloon": ("air", _balloon, 1.2),
    "leaf": ("air", _leaf, 0.9),
    "fish": ("air", _fish, 0.65),
}


def _contrasting(tones: np.ndarray, behind: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Two of ``tones`` ``[5, 3]`` that keep clear of the luma range of ``behind`` ``[2]``, moved until they do."""
    y = luma(tones)
    low, high = behind
    bright = low + high < 1
    clear = y - high if bright else low - y
    first, second = sorted(order, key=lambda i: min(clear[i], _MARGIN), reverse=True)[:2]
    chosen = tones[[first, second]].copy()
    for tone in chosen:
        for _ in range(12):
            if (luma(tone) - high if bright else low - luma(tone)) >= _MARGIN:
                break
            tone += 0.15 * (np.float64(bright) - tone)
    return chosen.astype(np.float32)


def render(rng: np.random.Generator, size: int, frames: int) -> tuple[np.ndarray, dict]:
    """Render an object that crosses a still scene.

    Returns:
        The clip, uint8 ``[frames, size, size, 3]``, and its truth: ``center`` ``[T, 2]``, the middle of the object
        (x, y, in H from the top left corner, outside the frame at times); ``radius``, half its width in H; ``mask``
        ``[T, H, W]`` bool, the pixels it covers; ``object``, what it is.
    """
    palette = pick_palette(rng)
    name = list(_OBJECTS)[int(rng.integers(len(_OBJECTS)))]
    setting, painter, deep = _OBJECTS[name]
    backdrop = _Backdrop(rng, palette, setting)
    direction = 1 if rng.uniform() < 0.5 else -1
    radius = rng.uniform(0.15, 0.175)
    start, end = rng.uniform(-0.1, -0.03), rng.uniform(1.03, 1.1)
    level = rng.uniform(0, 1)
    bob, bobs, phase = rng.uniform(0.006, 0.022), rng.uniform(0.7, 1.5), rng.uniform(0, 2 * np.pi)
    order = rng.permutation(5)

    t = np.linspace(0, 1, frames)
    x = start + (end - start) * t
    if setting == "air":
        y = 0.27 + 0.3 * level + 0.06 * (t - 0.5) * np.cos(phase) + bob * np.sin(2 * np.pi * bobs * t + phase)
    else:
        floor = backdrop.horizon + 0.1 + 0.18 * level
        y = floor - deep * radius + (0.4 * bob * np.sin(2 * np.pi * bobs * t + phase) if setting == "water" else 0 * t)
    x = x if direction > 0 else 1 - x

    coarse = pixel_centres(32)
    band = np.abs(coarse - y.mean()) < radius
    tones = _contrasting(palette.tones, np.quantile(luma(backdrop.paint(coarse, coarse)[band]), [0.04, 0.96]), order)
    shadow = palette.shadow.astype(np.float32)

    fine = pixel_centres(_SAMPLES * size)
    pitch = 1 / (_SAMPLES * size)
    still = backdrop.paint(fine, fine)
    clip = np.empty((frames, size, size, 3), np.uint8)
    clip[:] = to_uint8(_boxed(still))
    mask = np.zeros((frames, size, size), bool)
    light = backdrop.light * np.array([direction, 1, 1], np.float32)
    for i in range(frames):
        rows, columns = window(fine, fine, (x[i], y[i]), _REACH * radius + pitch)
        pixels = tuple(slice(s.start // _SAMPLES, -(-s.stop // _SAMPLES)) for s in (rows, columns))
        rows, columns = (slice(s.start * _SAMPLES, s.stop * _SAMPLES) for s in pixels)
        if columns.stop == columns.start:
            continue
        u = np.float32(direction / radius) * (fine[columns] - np.float32(x[i]))
        v = (fine[rows, None] - np.float32(y[i])) / np.float32(radius)
        u, v = np.broadcast_arrays(u, v)
        part, covered = still[rows, columns], np.zeros(u.shape, np.float32)
        if setting != "air":
            depth = 0.45 * smoothstep(1.0, 0.5, np.hypot(u / 1.05, (v - deep) / 0.2))
            part = mix(part, part * (0.4 + 0.6 * shadow), depth)
        turn = (x[i] - start) * direction / radius if name == "ball" else 2 * np.pi * bobs * t[i] + phase
        for inside, colour in painter(u, v, tones, light, turn):
            share = coverage(inside * radius, pitch)
            part = mix(part, colour, share)
            covered = np.maximum(covered, share)
        clip[i][pixels] = to_uint8(_boxed(part))
        mask[i][pixels] = _boxed(covered[..., None])[..., 0] > 0.5
    return clip, {"center": np.stack([x, y], -1), "radius": radius, "mask": mask, "object": name}


def _boxed(samples: np.ndarray) -> np.ndarray:
    """Samples ``[h, w, C]`` averaged into pixels ``[h / 2, w / 2, C]``."""
    h, w, c = samples.shape
    return samples.reshape(h // _SAMPLES, _SAMPLES, w // _SAMPLES, _SAMPLES, c).mean((1, 3))
