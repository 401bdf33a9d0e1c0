"""Shapes and light: pixel grids, strokes, hues, shaded solids, soft shadows, and the room they stand in.

Lengths are in frame heights, x to the right and y downward from the top left corner; colours are linear RGB in [0, 1].
Directions are (x, y, z) with z toward the viewer, so a light from above has a negative y.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dvdgan.data.phenomena.palettes import Palette, linear_to_srgb, srgb_to_linear
from dvdgan.data.phenomena.textures import mix, pixel_centres, smoothstep

REAL = np.float32


def pixel_grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The x ``[1, size]`` and y ``[size, 1]`` of the pixel centres of a square frame, float32 in (0, 1)."""
    centres = pixel_centres(size)
    return centres[None, :], centres[:, None]


def cone_distance(
    x: np.ndarray, y: np.ndarray, start: np.ndarray, end: np.ndarray, radii: tuple[float, float] = (0.0, 0.0)
) -> tuple[np.ndarray, np.ndarray]:
    """Signed distance to segments with round ends whose radius changes evenly from start to end.

    Args:
        x, y: coordinates, any shapes that broadcast together.
        start, end: the segments' ends ``[..., 2]``; leading axes broadcast against x and y.
        radii: radius at the start and at the end.

    Returns:
        The distance (exact for equal radii, close for nearly equal ones), and the place along the segment in [0, 1].
    """
    dx, dy = end[..., 0] - start[..., 0], end[..., 1] - start[..., 1]
    px, py = x - start[..., 0], y - start[..., 1]
    along = np.clip((px * dx + py * dy) / np.maximum(dx * dx + dy * dy, 1e-12), 0.0, 1.0)
    return np.hypot(px - along * dx, py - along * dy) - (radii[0] + (radii[1] - radii[0]) * along), along


def hsv(linear: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hue in degrees [0, 360), saturation and value in [0, 1] of the sRGB codes of linear RGB ``[..., 3]``."""
    code = linear_to_srgb(linear)
    high, low = code.max(-1), code.min(-1)
    spread = np.maximum(high - low, 1e-9)
    r, g, b = code[..., 0], code[..., 1], code[..., 2]
    other = np.where(high == g, (b - r) / spread + 2.0, (r - g) / spread + 4.0)
    sector = np.where(high == r, (g - b) / spread % 6.0, other)
    return sector * 60.0 % 360.0, (high - low) / np.maximum(high, 1e-9), high


def from_hsv(hue: float, saturation: float, value: float) -> np.ndarray:
    """Linear RGB ``[3]`` of a hue in degrees and an sRGB saturation and value in [0, 1]."""
    k = (np.array([5.0, 3.0, 1.0]) + hue / 60.0) % 6.0
    return srgb_to_linear(value * (1.0 - saturation * np.clip(np.minimum(k, 4.0 - k), 0.0, 1.0)))


def hue_gap(a: float, b: float) -> float:
    """The angle between two hues, in degrees [0, 180]."""
    return float(abs((a - b + 180.0) % 360.0 - 180.0))


def mottle(rng: np.random.Generator) -> np.ndarray:
    """Draw the waves of a gentle large-scale variation of tone (see ``mottling``): ``[6, 3]``, kx, ky, phase."""
    angle, cycles = rng.uniform(0, np.pi, 6), rng.uniform(0.6, 3.2, 6)
    turn = 2 * np.pi
    return np.stack([turn * cycles * np.cos(angle), turn * cycles * np.sin(angle), rng.uniform(0, turn, 6)], axis=1)


def mottling(waves: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Values of about unit spread on the grid of x and y, with no period below 0.3 frame heights."""
    return sum(np.sin(kx * x + ky * y + phase) for kx, ky, phase in waves.astype(REAL)) * REAL((2 / len(waves)) ** 0.5)


@dataclass(frozen=True)
class Light:
    """A key light and what surrounds it.

    Attributes:
        direction: ``[3]``, unit vector toward the light.
        key: ``[3]``, colour of the light.
        sky: ``[3]``, colour of the light from all around.
        bounce: ``[3]``, colour of the light that the floor throws back up.
    """

    direction: np.ndarray
    key: np.ndarray
    sky: np.ndarray
    bounce: np.ndarray


def draw_light(rng: np.random.Generator, palette: Palette) -> Light:
    """Draw a key light from above, left or right, always on the viewer's side."""
    side = rng.choice([-1.0, 1.0]) * rng.uniform(0.28, 0.75)
    direction = np.array([side, -rng.uniform(0.5, 0.95), rng.uniform(0.55, 0.95)])
    sky = 0.5 * palette.ground[1] + 0.35 * palette.light + 0.15 * palette.shadow
    bounce = 0.6 * palette.ground[1] + 0.4 * palette.light
    return Light(direction / np.linalg.norm(direction), palette.light, sky, bounce)


def shading(normal: tuple[np.ndarray, np.ndarray, np.ndarray], light: Light) -> tuple[np.ndarray, np.ndarray]:
    """How a glossy solid reflects a light: lambert, light from all around, a rim, and a soft highlight.

    Args:
        normal: the x, y and z of the unit surface normal, each of any one shape; z >= 0.
        light: the light.

    Returns:
        Two arrays ``[..., 3]``: the factor for the surface's own colour, and the gloss to add on top.
    """
    nx, ny, nz = normal
    lx, ly, lz = light.direction
    facing = nx * lx + ny * ly + nz * lz
    lambert = np.clip((facing + 0.2) / 1.2, 0.0, 1.0) ** 1.2
    under = 0.5 + 0.5 * ny
    ambient = mix(0.36 * light.sky, 0.4 * light.bounce, under) * (0.65 + 0.35 * nz)[..., None]
    half = np.array([lx, ly, lz + 1.0])
    hx, hy, hz = half / np.linalg.norm(half)
    highlight = np.clip(nx * hx + ny * hy + nz * hz, 0.0, 1.0) ** 48
    rim = (1.0 - nz) ** 3 * np.clip(0.5 - 0.6 * ny - 0.3 * nx * np.sign(lx), 0.0, 1.0)
    factor = lambert[..., None] * light.key + ambient
    gloss = 0.5 * highlight[..., None] * light.key + 0.16 * rim[..., None] * light.sky
    return factor.astype(REAL), gloss.astype(REAL)


@dataclass(frozen=True)
class Room:
    """A wall over a floor, lit from one side.

    Attributes:
        wall: ``[3, 3]``, tones of the wall from where the light falls to the far corner.
        floor: ``[2, 3]``, tones of the floor, far and near.
        edge: height y where the wall meets the floor.
        pool: ``[2]``, where on the wall the light falls.
        reach: how far the light spreads.
        waves: the mottling of the wall.
    """

    wall: np.ndarray
    floor: np.ndarray
    edge: float
    pool: np.ndarray
    reach: float
    waves: np.ndarray

    def paint(self, size: int) -> np.ndarray:
        """The empty room, linear RGB ``[size, size, 3]``."""
        x, y = pixel_grid(size)
        tone = 1.0 + 0.018 * mottling(self.waves, x, y)[..., None]
        away = np.hypot(x - self.pool[0], 1.15 * (y - self.pool[1])) / self.reach
        wall = mix(self.wall[0], self.wall[1], smoothstep(0.0, 0.75, away))
        wall = mix(wall, self.wall[2], 0.75 * smoothstep(0.55, 1.5, away))
        wall = wall * (1.0 - 0.22 * smoothstep(self.edge - 0.16, self.edge, y))[..., None]
        near = np.clip((y - self.edge) / (1.0 - self.edge), 0.0, 1.0)
        floor = mix(self.floor[0], self.floor[1], near * np.ones_like(x))
        floor = floor * (1.12 - 0.3 * smoothstep(0.0, 1.0, np.abs(x - self.pool[0])))[..., None]
        below = smoothstep(-0.008, 0.008 + 0.5 / size, y - self.edge) * np.ones_like(x)
        return (mix(wall, floor, below) * tone).astype(REAL)


def draw_room(rng: np.random.Generator, ground: np.ndarray, light: Light, edge: tuple[float, float]) -> Room:
    """Draw a room.

    Args:
        rng: where the scene's parameters come from.
        ground: ``[3, 3]``, a palette's background tones from light to dark.
        light: the light that falls on the wall.
        edge: lowest and highest y where the wall meets the floor.
    """
    side = np.sign(light.direction[0])
    pool = np.array([0.5 + side * rng.uniform(0.08, 0.34), rng.uniform(0.12, 0.42)])
    swap = rng.uniform() < 0.4
    far, near = (ground[0], ground[1]) if swap else (ground[1], 0.55 * ground[1] + 0.45 * ground[2])
    wall = np.stack([ground[1], 0.5 * (ground[1] + ground[2]), ground[2]]) if swap else ground
    floor = np.stack([far, near])
    return Room(wall, floor, rng.uniform(*edge), pool, rng.uniform(0.75, 1.05), mottle(rng))


def soft_disc(x: np.ndarray, y: np.ndarray, centre: tuple, radii: tuple, blur: float | np.ndarray) -> np.ndarray:
    """A blurred ellipse, for shadows: near 1 in its middle, 0 outside.

    Args:
        x, y: coordinates that broadcast together.
        centre: x and y of the middle; numbers or arrays that broadcast with the coordinates.
        radii: half width and half height, likewise.
        blur: softness of the edge as a share of the radii, > 0: the edge is spread over 1 - blur to 1 + blur.
    """
    away = np.sqrt(((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2)
    return smoothstep(1.0, 0.0, np.clip((away - 1.0 + blur) / (2.0 * blur), 0.0, 1.0))
