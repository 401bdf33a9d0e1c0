"""Band-limited noise, soft edges and resampling, the brushes that the rendered scenes are painted with.

Lengths are in frame heights H, x to the right and y downward. Pictures are float32 linear RGB ``[H, W, 3]``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def pixel_centres(size: int, start: float = 0.0, end: float = 1.0) -> np.ndarray:
    """Centres ``[size]`` of the pixels that divide ``start`` to ``end`` evenly."""
    return (start + (end - start) * (np.arange(size) + 0.5) / size).astype(np.float32)


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """A smooth step in ``x`` from 0 at ``low`` to 1 at ``high`` (which may be below ``low``)."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def mix(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Colours ``a`` and ``b`` mixed: ``share`` ``[...]`` of b, the rest of a; colours end in an axis of 3."""
    return a + (b - a) * share[..., None]


def coverage(inside: np.ndarray, pitch: float | np.ndarray) -> np.ndarray:
    """Share of a sample, in [0, 1], that a shape covers.

    Args:
        inside: signed distance to the shape's edge, positive inside it.
        pitch: the samples' distance from each other, in the same unit.
    """
    return np.clip(inside / pitch + 0.5, 0.0, 1.0)


def ramp(colours: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Smooth colours ``[..., 3]`` along the list ``colours`` ``[N, 3]`` at ``position`` ``[...]`` in [0, 1]."""
    table = np.linspace(0, len(colours) - 1, 512)
    low = np.minimum(table.astype(int), len(colours) - 2)
    table = mix(colours[low], colours[low + 1], smoothstep(0, 1, table - low)).astype(np.float32)
    return table[(np.clip(position, 0, 1) * 511 + 0.5).astype(np.int32)]


@dataclass(frozen=True)
class Waves:
    """Smooth noise of zero mean and unit variance: a sum of plane waves, endless and never repeating.

    Attributes:
        k: wave vectors ``[K, 2]`` (x, y), radians per H.
        phase: phases ``[K]``, radians.
        amplitude: amplitudes ``[K]``.
    """

    k: np.ndarray
    phase: np.ndarray
    amplitude: np.ndarray

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        count: int,
        longest: float,
        shortest: float,
        roughness: float = 1.0,
        stretch: tuple[float, float] = (1.0, 1.0),
    ) -> Waves:
        """Draw ``count`` waves with wavelengths from ``longest`` to ``shortest``, evenly in octaves.

        Args:
            rng: source of randomness; gives three arrays of ``count`` numbers.
            count: number of waves.
            longest: longest wavelength, in H.
            shortest: shortest wavelength, in H.
            roughness: amplitudes go with the wavelength to this power; 1 is 1/f noise.
            stretch: factors on the wavelengths along x and y.
        """
        octave = (np.arange(count) + rng.uniform(0, 1, count)) / count
        wavelength = longest * (shortest / longest) ** octave
        angle = 2.399963 * np.arange(count) + rng.uniform(-0.9, 0.9, count)
        k = 2 * np.pi / wavelength[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1) / np.array(stretch)
        amplitude = wavelength**roughness
        amplitude *= np.sqrt(2 / np.sum(amplitude**2))
        phase = rng.uniform(0, 2 * np.pi, count)
        return cls(*(a.astype(np.float32) for a in (k, phase, amplitude)))

    def __call__(self, x: np.ndarray, y: np.ndarray, turn: np.ndarray | float = 0.0) -> np.ndarray:
        """The noise at points ``x``, ``y`` of any one shape, each wave's phase advanced by ``turn`` ``[K]``."""
        phase = (self.phase + turn).astype(np.float32)
        total = np.zeros(np.broadcast_shapes(np.shape(x), np.shape(y)), np.float32)
        for (kx, ky), p, a in zip(self.k, phase, self.amplitude):
            total += a * np.cos(kx * x + (ky * y + p))
        return total

    def grid(self, x: np.ndarray, y: np.ndarray, turn: np.ndarray | float = 0.0) -> np.ndarray:
        """The noise ``[H, W]`` on the grid of columns ``x`` ``[W]`` and rows ``y`` ``[H]``, much faster."""
        across = np.outer(self.k[:, 0], x) + (self.phase + turn).astype(np.float32)[:, None]
        down = np.outer(y, self.k[:, 1])
        across_cos, across_sin = (self.amplitude[:, None] * f(across) for f in (np.cos, np.sin))
        return np.cos(down) @ across_cos - np.sin(down) @ across_sin


def relief(height: np.ndarray, pitch: float, light: np.ndarray) -> np.ndarray:
    """How a height field ``[H, W]`` (in H, samples ``pitch`` apart) is lit from ``light`` (x, y, z): 1 on the flat."""
    dy, dx = np.gradient(height, pitch)
    lit = (light[2] - dx * light[0] - dy * light[1]) / np.sqrt(1 + dx * dx + dy * dy)
    return np.maximum(lit, 0) / light[2]


def light_from(angle: float, elevation: float) -> np.ndarray:
    """The unit vector (x, y, z) toward a light at ``angle`` in the picture and ``elevation`` above it, radians."""
    across = np.cos(elevation)
    return np.array([across * np.cos(angle), across * np.sin(angle), np.sin(elevation)], np.float32)


def window(x: np.ndarray, y: np.ndarray, centre: tuple[float, float], reach: float) -> tuple[slice, slice]:
    """Slices of the rows ``y`` and columns ``x`` (ascending) within ``reach`` of ``centre`` (x, y)."""
    rows, columns = (
        slice(*np.searchsorted(axis, (c - reach, c + reach))) for axis, c in ((y, centre[1]), (x, centre[0]))
    )
    return rows, columns


def filter_matrix(at: np.ndarray, source: np.ndarray, reach: float) -> np.ndarray:
    """Weights ``[len(at), len(source)]`` that sample at ``at`` through a tent of half-width ``reach``.

    ``source`` is evenly spaced. Rows sum to 1.
    """
    reach = max(reach, float(source[1] - source[0]))
    weights = np.maximum(1 - np.abs(at[:, None] - source) / reach, 0)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def resample(picture: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """A picture ``[h, w, 3]`` through the matrices ``rows`` ``[H, h]`` and ``columns`` ``[W, w]``: ``[H, W, 3]``."""
    used_rows, used_columns = (np.flatnonzero(m.any(0)) for m in (rows, columns))
    top, bottom, left, right = used_rows[0], used_rows[-1] + 1, used_columns[0], used_columns[-1] + 1
    part = picture[top:bottom, left:right]
    part = (rows[:, top:bottom] @ part.reshape(bottom - top, -1)).reshape(len(rows), right - left, 3)
    return np.matmul(columns[:, left:right], part)
