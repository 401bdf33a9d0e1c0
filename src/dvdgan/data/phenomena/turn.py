"""Turn: a painted vase, egg or gourd turns in place about its upright axis; its near side always moves to the right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dvdgan.data.phenomena.palettes import linear_to_srgb, pick_palette, recolour, srgb_to_linear, to_uint8
from dvdgan.data.phenomena.shapes import (
    REAL,
    draw_light,
    draw_room,
    pixel_grid,
    shading,
    soft_disc,
)
from dvdgan.data.phenomena.textures import mix, smoothstep

_SAMPLES = 3  # per pixel in each direction
_STEPS = 14  # along each ray


@dataclass(frozen=True)
class _Solid:
    """A surface of revolution: its radius over its height, where it stands, and how far from above it is seen."""

    height: float
    base: float  # y of the middle of its foot
    centre: float  # x of its axis
    elevation: float
    heights: np.ndarray  # [N], from 0 to ``height``
    radii: np.ndarray  # [N]

    def radius(self, z: np.ndarray) -> np.ndarray:
        return np.interp(z, self.heights, self.radii, left=-1.0, right=-1.0)


def _draw_solid(rng: np.random.Generator) -> _Solid:
    height, girth = rng.uniform(0.62, 0.73), rng.uniform(0.25, 0.35)
    full, pear, waist, neck = rng.uniform(2.0, 3.6), rng.normal(0, 0.22), rng.normal(0, 0.2), rng.normal(0, 0.12)
    foot = rng.uniform(0.02, 0.09)
    z = np.linspace(0.0, 1.0, 257)
    along = foot + z * (1.0 - foot)
    radii = (1.0 - np.abs(2.0 * along - 1.0) ** full) ** (1.0 / full)
    radii = radii * np.exp(sum(c * np.cos(k * np.pi * z) for k, c in ((1, pear), (2, waist), (3, neck))))
    radii *= girth / radii.max()
    elevation, base, centre = np.radians(rng.uniform(7.0, 15.0)), rng.uniform(0.84, 0.88), rng.uniform(0.47, 0.53)
    return _Solid(height, base, centre, elevation, z * height, radii)


def _hit(solid: _Solid, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where parallel rays through the points (x, y) ``[K]`` first meet the solid.

    Returns:
        Whether they meet it, at what height on it, and how far toward the viewer from its axis; each ``[K]``.
    """
    cos, sin = np.cos(solid.elevation), np.sin(solid.elevation)
    across, up = x - solid.centre, solid.base - y

    def inside(depth: np.ndarray) -> np.ndarray:
        z, near = up * cos + depth * sin, depth * cos - up * sin
        radius = solid.radius(z)
        return np.where(radius > 0, radius * radius, -1.0) - across * across - near * near

    widest = solid.radii.max()
    start, end = (up * sin + widest) / cos, (up * sin - widest) / cos
    depths = start + (end - start) * np.linspace(0.0, 1.0, _STEPS)[:, None]
    first = np.argmax(inside(depths) > 0, axis=0)
    met = first > 0
    step = (end - start) / (_STEPS - 1)
    outer, inner = start + step * (first - 1), start + step * first
    for _ in range(7):
        middle = 0.5 * (outer + inner)
        within = inside(middle) > 0
        outer, inner = np.where(within, outer, middle), np.where(within, middle, inner)
    return met, up * cos + inner * sin, inner * cos - up * sin


Pattern = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _draw_pattern(rng: np.random.Generator, solid: _Solid) -> Pattern:
    """A painted pattern: the share of figure over ground, in [0, 1], at a longitude and a height in [0, 1]."""
    kind, lobes, rows = int(rng.integers(6)), int(rng.choice([2, 3, 3, 4])), int(rng.integers(2, 4))
    phase, twist, size, wave = rng.uniform(0, 2 * np.pi, 5), rng.uniform(-0.35, 0.35), rng.uniform(), rng.uniform()
    orders, rises = rng.permutation([1, 2, 3, 3, 4]), rng.uniform(-2.4, 2.4, 5)
    broad = solid.height / (solid.radii.mean() * 2.0)

    def stripes(u: np.ndarray, z: np.ndarray) -> np.ndarray:
        return np.cos(lobes * (u + twist * 4 * (z - 0.5))) + 0.3 * (size - 0.5)

    def lozenges(u: np.ndarray, z: np.ndarray) -> np.ndarray:
        return np.cos(lobes * u) + np.cos(2 * np.pi * rows * 0.5 * z + phase[0]) * (0.7 + 0.4 * wave)

    def spots(u: np.ndarray, z: np.ndarray) -> np.ndarray:
        row = np.clip(np.floor(z * rows), 0, rows - 1)
        aside = 2.0 * np.sin(0.5 * (lobes * u + np.pi * row)) / lobes
        return 0.62 + 0.2 * size - 1.5 * np.hypot(aside, (z - (row + 0.5) / rows) * broad * 1.6)

    def waves(u: np.ndarray, z: np.ndarray) -> np.ndarray:
        return np.sin(2 * np.pi * (0.7 + 0.25 * rows) * z + phase[0] + (1.3 + 0.6 * wave) * np.cos(lobes * u))

    def islands(u: np.ndarray, z: np.ndarray) -> np.ndarray:
        return sum(np.cos(n * u + rise * 2 * (z - 0.5) + p) for n, rise, p in zip(orders, rises, phase)) / 1.6

    def petals(u: np.ndarray, z: np.ndarray) -> np.ndarray:
        edge = (0.24 + 0.08 * size) * np.cos(lobes * u)
        return 4.0 * np.maximum(0.3 + edge - z, z - 0.74 - edge * (2 * (wave < 0.5) - 1))

    drawn = (stripes, lozenges, spots, waves, islands, petals)[kind]
    lean = 0.22 * rng.uniform()

    def pattern(u: np.ndarray, z: np.ndarray) -> np.ndarray:
        return smoothstep(-0.13, 0.13, drawn(u + lean * np.sin(u + phase[4]), z))

    return pattern


def _draw_colours(rng: np.random.Generator, tones: np.ndarray, backdrop: np.ndarray) -> np.ndarray:
    """Four colours ``[4, 3]``: ground, two figures that stand out from it in luma, and the trim."""
    codes, behind = linear_to_srgb(tones[rng.permutation(len(tones))]), linear_to_srgb(backdrop)
    near = np.abs(codes - behind).max(axis=1) < 0.3
    order = np.argsort(near, kind="stable")  # what could be taken for the backdrop comes last
    codes, near = codes[order], near[order]
    weights = np.array([0.299, 0.587, 0.114])
    base = codes[0] @ weights
    for i in (1, 2):
        bright = codes[i] @ weights
        if abs(bright - base) < 0.24 or near[i]:
            goals = [goal for goal in (base - 0.28, base + 0.28) if 0.12 <= goal <= 0.92]
            goal = max(goals, key=lambda g: abs(g - behind @ weights))
            codes[i] = 1 - (1 - codes[i]) * (1 - goal) / (1 - bright) if goal > bright else codes[i] * goal / bright
    return srgb_to_linear(codes[:4])


def render(rng: np.random.Generator, size: int, frames: int) -> tuple[np.ndarray, dict]:
    """Draw a clip of a turning solid; seen from above it turns counter-clockwise, so its near side moves to the right.

    Args:
        rng: where the scene comes from.
        size: height and width in pixels.
        frames: number of frames T.

    Returns:
        The clip, uint8 ``[T, size, size, 3]``, and the truth: ``angle`` ``[T]``, how far it has turned in radians, and
        ``mask`` ``[size, size]``, the solid's silhouette.
    """
    palette = pick_palette(rng)
    light = draw_light(rng, palette)
    ground = recolour(palette.ground, 0.0, 0.8)
    room = draw_room(rng, ground, light, (0.7, 0.79))
    solid = _draw_solid(rng)
    colours = _draw_colours(rng, palette.tones, room.wall[1]).astype(REAL)
    pattern = _draw_pattern(rng, solid)
    speed, around, hem = np.radians(rng.uniform(10.0, 17.0)), rng.uniform(0, 2 * np.pi), rng.uniform(size=2)
    angle = speed * np.arange(frames)

    x, y = pixel_grid(size)
    picture = room.paint(size)
    foot, girth = solid.radii[0], solid.radii.max()
    shade = (0.3 * palette.shadow + 0.06).astype(REAL)
    lean = -light.direction[0]
    cast = soft_disc(x, y, (solid.centre + lean * girth * 0.9, solid.base - 0.02), (girth * 1.25, 0.33 * girth), 0.75)
    stand = (solid.centre + lean * 0.03, solid.base - 0.004)
    contact = soft_disc(x, y, stand, (foot * 1.1 + 0.05, 0.3 * foot + 0.02), 0.6)
    for depth in (0.62 * cast, 0.75 * contact):
        picture = picture * (1.0 - depth[..., None] * (1.0 - shade))

    sub = (np.arange(_SAMPLES) + 0.5) / (_SAMPLES * size)
    offsets = np.stack(np.meshgrid(sub, sub), axis=-1).reshape(-1, 2) - 0.5 / size
    box = np.abs(x - solid.centre) < girth + 1.0 / size
    box = box & (y < solid.base + 0.1) & (y > solid.base - solid.height - 0.1)
    v, u = np.nonzero(box)
    px = (x[0, u][:, None] + offsets[:, 0]).ravel().astype(float)
    py = (y[v, 0][:, None] + offsets[:, 1]).ravel().astype(float)
    met, z, near = _hit(solid, px, py)
    met = met.reshape(len(v), -1)
    keep = np.asarray(met.any(axis=1))
    v, u, met = v[keep], u[keep], met[keep]
    px, z, near = (a.reshape(len(keep), -1)[keep] for a in (px, z, near))
    share = met.mean(axis=1, keepdims=True).astype(REAL)

    across = px - solid.centre
    slope = np.interp(z, solid.heights, np.gradient(solid.radii, solid.heights))
    around_axis = np.arctan2(across, near)
    steep = 1.0 / np.sqrt(1.0 + slope * slope)
    side, front, top = np.sin(around_axis) * steep, np.cos(around_axis) * steep, -slope * steep
    cos, sin = np.cos(solid.elevation), np.sin(solid.elevation)
    facing = np.clip(front * cos + top * sin, 0.0, 1.0)
    factor, gloss = shading((side, -(top * cos - front * sin), facing), light)
    hidden = smoothstep(0.0, 0.12, z)  # the floor darkens the foot
    weight = met[..., None] / met.sum(axis=1)[:, None, None].astype(REAL)
    factor = factor * (0.55 + 0.45 * hidden)[..., None].astype(REAL) * weight
    gloss = (gloss * weight).sum(axis=1)
    tall = (z / solid.height).astype(REAL)
    longitude = around_axis.astype(REAL)
    band = smoothstep(0.015, 0.0, tall - 0.035 - 0.05 * hem[0])
    if hem[1] < 0.6:
        band = np.maximum(band, smoothstep(0.9, 0.92, tall))

    clip = np.broadcast_to(picture, (frames, size, size, 3)).copy()
    for t in range(frames):
        turned = longitude - REAL(angle[t])
        figure = mix(colours[1], colours[2], smoothstep(-0.35, 0.35, np.cos(turned + REAL(around))))
        paint = mix(mix(colours[0], figure, pattern(turned, tall)), colours[3], band)
        clip[t, v, u] += share * ((paint * factor).sum(axis=1) + gloss - clip[t, v, u])
    mask = np.zeros((size, size), dtype=bool)
    mask[v, u] = share[:, 0] > 0.5
    return to_uint8(clip), {"angle": angle, "mask": mask}
