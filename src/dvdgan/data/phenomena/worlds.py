"""Painted worlds: flat pictures without an edge, of hills, dunes, cut paper, scallops, pebbles or flowers."""

from __future__ import annotations

import numpy as np

from dvdgan.data.phenomena.palettes import Palette, luma
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

_REACH = 1.6  # how far from its centre a world of separate things is filled, in H; no camera sees beyond
_RIDGES = 16
_RADIAL = pixel_centres(1024)  # shares of a fan's radius at which its rings are coloured


class World:
    """A flat picture without an edge."""

    def __init__(self, rng: np.random.Generator, palette: Palette) -> None:
        self.palette = palette
        self.ground = palette.ground.astype(np.float32)
        tones = palette.tones[rng.permutation(5)].astype(np.float32)
        self.tones = tones
        self.by_luma = tones[np.argsort(luma(tones))]
        self.light = light_from(-np.pi / 2 + rng.uniform(-1.1, 1.1), rng.uniform(0.7, 0.95))
        self.gloom = Waves.draw(rng, 6, 3.0, 0.9)

    def paint(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Linear RGB ``[len(y), len(x), 3]``, float32, at columns x and rows y, in H."""
        raise NotImplementedError

    def lit(self, picture: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The picture under uneven light: broad pools of the key light's colour and of tinted shade."""
        shade = smoothstep(0.3, -2.0, self.gloom.grid(x, y)) * 0.45
        return mix(picture, picture * (0.25 + 0.75 * self.palette.shadow.astype(np.float32)), shade)


class _Paper(World):
    """Sheets of cut paper, one above the other, each with the shadow of the next on it."""

    def __init__(self, rng: np.random.Generator, palette: Palette) -> None:
        super().__init__(rng, palette)
        self.waves = Waves.draw(rng, 12, rng.uniform(0.9, 1.25), rng.uniform(0.28, 0.36), 1.0)
        self.levels = np.linspace(-1.15, 1.25, 6) + rng.uniform(-0.1, 0.1, 6)
        sheets = np.concatenate([self.by_luma, self.ground[[0]]])
        order = np.argsort(luma(sheets) + rng.uniform(-0.12, 0.12, 6))
        self.sheets = sheets[order if rng.uniform() < 0.5 else order[::-1]]
        self.drop = rng.uniform(0.035, 0.055)
        self.grain = Waves.draw(rng, 10, 0.5, 0.22, 0.5)

    def paint(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        height = self.waves.grid(x, y)
        overhead = self.waves.grid(x + self.drop * self.light[0], y + self.drop * self.light[1])
        slope = np.hypot(*np.gradient(height)) + 1e-3
        tooth = 1 + 0.035 * self.grain.grid(x, y)
        picture = np.broadcast_to(self.ground[2], (*height.shape, 3))
        shadow = 0.3 + 0.5 * self.palette.shadow.astype(np.float32)
        for level, sheet in zip(self.levels, self.sheets):
            picture = mix(picture, picture * shadow, smoothstep(-0.22, 0.10, overhead - level))
            glow = 0.9 + 0.22 * smoothstep(0.5, 0.0, height - level)
            picture = mix(picture, sheet * (glow * tooth)[..., None], coverage(height - level, slope))
        return self.lit(picture, x, y)


class _Dunes(World):
    """Sand or silk in long bent folds, lit from the side."""

    def __init__(self, rng: np.random.Generator, palette: Palette) -> None:
        super().__init__(rng, palette)
        angle = rng.uniform(0, np.pi)
        self.across = np.float32(2 * np.pi / rng.uniform(0.3, 0.42)) * np.array([np.cos(angle), np.sin(angle)])
        self.bend = Waves.draw(rng, 8, 1.6, 0.55, 1.3)
        self.bending = rng.uniform(1.3, 2.0)
        self.swell = Waves.draw(rng, 10, 0.8, 0.26, 0.8)
        self.hue = Waves.draw(rng, 6, 2.0, 0.7)
        stops = np.concatenate([self.ground[[1]], self.tones[:2], self.ground[[0]]])
        self.stops = stops[np.argsort(luma(stops))][:: -1 if rng.uniform() < 0.5 else 1]

    def paint(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        fold = self.across[0] * x + (self.across[1] * y)[:, None] + self.bending * self.bend.grid(x, y)
        swell = self.swell.grid(x, y)
        crest = np.sin(fold + 0.7 * np.sin(fold))
        height = 0.034 * crest + 0.017 * swell
        lit = relief(height.astype(np.float32), float(x[1] - x[0]), self.light)
        colour = ramp(self.stops, 0.5 + 0.2 * self.hue.grid(x, y) + 0.3 * crest)
        shade = np.clip(lit, 0.12, 1.6)[..., None]
        picture = colour * shade * self.palette.light + 0.25 * (1 - np.minimum(shade, 1)) * self.palette.shadow
        return self.lit(picture.astype(np.float32), x, y)


class _Hills(World):
    """Ridges behind ridges under a low sun, the far ones in haze."""

    def __init__(self, rng: np.random.Generator, palette: Palette) -> None:
        super().__init__(rng, palette)
        self.ridges = [Waves.draw(rng, 7, 1.2, 0.26, 1.0) for _ in range(_RIDGES)]
        self.base = np.linspace(-0.45, _REACH, _RIDGES) + rng.uniform(-0.025, 0.025, _RIDGES)
        self.sway = rng.uniform(0.06, 0.09, _RIDGES)
        self.sun = (rng.uniform(-0.9, 0.9), rng.uniform(-0.62, -0.3), rng.uniform(0.12, 0.2))
        self.meadow = Waves.draw(rng, 12, 0.5, 0.2, 0.6)
        self.clouds = Waves.draw(rng, 10, 1.2, 0.24, 1.0, (1.6, 0.7))
        self.warm = self.by_luma[3 + int(rng.integers(2))]
        self.haze = 0.62 * self.ground[0] + 0.36 * self.warm
        far = 0.35 * self.ground[1] + 0.5 * self.tones[0]
        self.slopes = np.stack([far, 0.7 * self.tones[1], self.by_luma[0], 0.6 * self.tones[2]])

    def paint(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        rows, pitch = y[:, None], float(x[1] - x[0])
        up = np.broadcast_to((0.1 - rows) / 1.1, (len(y), len(x)))
        picture = ramp(np.stack([self.warm, self.ground[0], self.ground[1], self.ground[2]]), up)
        cloud = smoothstep(0.1, 1.6, self.clouds.grid(x, y))
        picture = mix(picture, 0.5 * self.warm + 0.5 * self.palette.light.astype(np.float32), 0.65 * cloud)
        away = np.hypot(x - self.sun[0], rows - self.sun[1]) - self.sun[2]
        sun = self.palette.light.astype(np.float32) * 0.6 + self.warm * 0.5
        picture = mix(picture, sun, 0.6 * np.exp(-np.maximum(away, 0) / 0.22))
        picture = mix(picture, sun, coverage(-away, pitch))
        meadow = self.meadow.grid(x, y)
        for layer, (ridge, base, sway) in enumerate(zip(self.ridges, self.base, self.sway)):
            crest = (base + sway * ridge.grid(x, np.zeros(1, np.float32)))[0].astype(np.float32)
            depth = rows - crest
            tone = ramp(self.slopes, np.asarray(layer / (_RIDGES - 1), np.float32))
            mist = (0.74 - 0.02 * layer) * smoothstep(0.02, 0.26, depth)
            grass = (1.1 - 0.3 * smoothstep(0.0, 0.1, depth)) * (1 + 0.2 * meadow * smoothstep(0.0, 0.12, depth))
            body = mix(tone * grass[..., None], np.broadcast_to(self.haze, (*depth.shape, 3)), mist)
            slant = np.sqrt(1 + np.gradient(crest, pitch) ** 2)
            picture = mix(picture, body, coverage(depth, pitch * slant))
        return self.lit(picture, x, y)


class _Scallops(World):
    """Rows of overlapping fans of rings, each row in front of the one above it."""

    def __init__(self, rng: np.random.Generator, palette: Palette) -> None:
        super().__init__(rng, palette)
        self.radius = rng.uniform(0.33, 0.45)
        self.rings = rng.uniform(-0.03, 0.09, 400)
        self.size = rng.uniform(0.93, 1.12, 400)
        self.shift = rng.uniform(-0.06, 0.06, (400, 2)) * self.radius
        self.tone = rng.integers(0, 5, (400, 2))
        self.lean = rng.uniform(0.42, 0.6)

    def paint(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        picture = np.empty((len(y), len(x), 3), np.float32)
        picture[:] = self.ground[1]
        shadow = 0.25 + 0.5 * self.palette.shadow.astype(np.float32)
        pitch, number = float(x[1] - x[0]), 0
        for row, cy in enumerate(np.arange(-_REACH, _REACH + self.radius, self.lean * self.radius)):
            for cx in np.arange(-_REACH + (row % 2) * self.radius, _REACH, 2 * self.radius):
                number = (number + 1) % 400
                r = self.radius * self.size[number]
                centre = (cx + self.shift[number, 0], cy + self.shift[number, 1])
                rows, columns = window(x, y, centre, 1.3 * r)
                if rows.start == rows.stop or columns.start == columns.stop:
                    continue
                away = np.hypot(x[columns] - centre[0], y[rows, None] - centre[1]) / r
                part = picture[rows, columns]
                part = mix(part, part * shadow, smoothstep(1.2, 0.9, away))
                first, second = self.tones[self.tone[number, 0]], self.tones[self.tone[number, 1]]
                paper, ring = self.ground[0], self.rings[number]
                fan = np.broadcast_to(first, (len(_RADIAL), 3))
                for band, edge in ((paper, 0.9), (second, 0.8 - ring), (paper, 0.62 - ring), (first, 0.34)):
                    fan = mix(fan, band, coverage((edge - _RADIAL) * r, pitch))
                fan = (fan * (1.1 - 0.3 * _RADIAL)[:, None]).astype(np.float32)
                rings = fan[np.minimum(away * len(_RADIAL), len(_RADIAL) - 1).astype(np.int32)]
                picture[rows, columns] = mix(part, rings, coverage((1 - away) * r, pitch))
        return self.lit(picture, x, y)


class _Scatter(World):
    """Big pebbles, or flowers, strewn over a soft ground."""

    def __init__(self, rng: np.random.Generator, palette: Palette) -> None:
        super().__init__(rng, palette)
        self.flowers = rng.uniform() < 0.5
        spacing = rng.uniform(0.36, 0.46)
        columns = np.arange(-_REACH, _REACH, spacing)
        columns, rows = np.meshgrid(columns, np.arange(-_REACH, _REACH, 0.87 * spacing))
        columns = columns + 0.5 * spacing * (np.arange(len(rows)) % 2)[:, None]
        count = columns.size
        self.centres = np.stack([columns.ravel(), rows.ravel()], -1) + rng.uniform(-0.2, 0.2, (count, 2)) * spacing
        self.radii = spacing * rng.uniform(0.4, 0.62, count)
        self.tone = rng.integers(0, 5, (count, 2))
        self.turn = rng.uniform(0, 2 * np.pi, count)
        self.petals = rng.integers(5, 9, count)
        self.squash = rng.uniform(0.7, 1.0, count)
        self.order = rng.permutation(count)
        self.soil = Waves.draw(rng, 12, 0.9, 0.24)
        self.veins = Waves.draw(rng, 8, 0.5, 0.22)

    def paint(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        pitch = float(x[1] - x[0])
        soil = self.soil.grid(x, y)
        picture = ramp(self.ground[::-1], 0.5 + 0.3 * soil)
        picture = picture * relief(0.01 * soil, pitch, self.light)[..., None]
        veins = self.veins.grid(x, y)
        shadow = 0.22 + 0.4 * self.palette.shadow.astype(np.float32)
        for i in self.order:
            r = self.radii[i]
            rows, columns = window(x, y, tuple(self.centres[i]), 1.6 * r)
            if rows.start == rows.stop or columns.start == columns.stop:
                continue
            dx, dy = (x[columns] - self.centres[i, 0]) / r, (y[rows, None] - self.centres[i, 1]) / r
            part = picture[rows, columns]
            away = np.hypot(dx + 0.25 * self.light[0], dy + 0.25 * self.light[1])
            part = mix(part, part * shadow, 0.8 * smoothstep(1.25, 0.6, away))
            thing = self._flower if self.flowers else self._pebble
            inside, colour = thing(i, dx, dy, veins[rows, columns])
            picture[rows, columns] = mix(part, colour, coverage(inside * r, pitch))
        return self.lit(picture, x, y)

    def _pebble(self, i: int, dx: np.ndarray, dy: np.ndarray, veins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        c, s = np.cos(self.turn[i]), np.sin(self.turn[i])
        u, v = c * dx + s * dy, (c * dy - s * dx) / self.squash[i]
        away = np.sqrt(u * u + v * v + 1e-6)
        away = away * (1 + 0.06 * np.cos(3 * np.arctan2(v, u) + 5 * self.turn[i]))
        rise = np.sqrt(np.clip(1.15 - away**2, 0.02, None))
        lit = dx * self.light[0] + dy * self.light[1] + rise * self.light[2]
        lit = np.clip(lit / np.sqrt(away**2 + rise**2), 0, 1)
        tone, other = self.tones[self.tone[i, 0]], self.tones[self.tone[i, 1]]
        skin = mix(tone, other, smoothstep(0.5, 0.9, np.sin(4 * u + 1.2 * veins + self.turn[i])) * 0.5)
        colour = skin * (0.25 + 0.9 * lit)[..., None] * self.palette.light
        return (1 - away) * self.squash[i], (colour + 0.35 * (lit**18)[..., None]).astype(np.float32)

    def _flower(self, i: int, dx: np.ndarray, dy: np.ndarray, veins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        away = np.hypot(dx, dy)
        angle = np.arctan2(dy, dx) + self.turn[i]
        lobe = np.abs(np.cos(0.5 * self.petals[i] * angle))
        edge = 0.62 + 0.48 * np.sqrt(lobe + 0.02)
        lit = 0.72 + 0.35 * smoothstep(0.0, 0.7, lobe) * smoothstep(0.1, 0.9, away) + 0.08 * veins
        lit = lit + 0.18 * (dx * self.light[0] + dy * self.light[1])
        tone, heart = self.tones[self.tone[i, 0]], self.tones[(self.tone[i, 0] + 1 + self.tone[i, 1] % 4) % 5]
        colour = mix(tone * 0.55, tone * 0.9 + 0.1, smoothstep(0.15, 0.95, away / edge)) * lit[..., None]
        bulb = 1.15 - 1.6 * away + 0.5 * (dx * self.light[0] + dy * self.light[1])
        colour = mix(colour, heart * bulb[..., None], smoothstep(0.36, 0.30, away))
        return edge - away, colour.astype(np.float32)


WORLDS = (_Paper, _Dunes, _Hills, _Scallops, _Scatter, _Scatter)
"""The kinds of worlds, each as likely as it is often here."""
