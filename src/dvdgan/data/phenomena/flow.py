"""flow: smoke that rises and curls, lit in two colours before a dark ground.

One substance for the whole class: smoke, always upward.
"""

from __future__ import annotations

import numpy as np

from dvdgan.data.phenomena.palettes import luma, pick_palette, to_uint8
from dvdgan.data.phenomena.textures import Waves, mix, pixel_centres, ramp, smoothstep

_EDDIES, _PUFFS = 7, 14  # waves in the eddies that stir the smoke, and in the smoke
_STIRS = 3


def _stirred(eddies: Waves, x: np.ndarray, y: np.ndarray, turn: np.ndarray, reach: float) -> tuple[np.ndarray, ...]:
    """Points moved ``reach`` along the eddies, a flow that neither squeezes nor spreads, in a few short steps."""
    strength = eddies.amplitude / np.linalg.norm(eddies.k, axis=1)
    for _ in range(_STIRS):
        along, down = np.zeros_like(x), np.zeros_like(y)
        for (kx, ky), phase, a in zip(eddies.k, (eddies.phase + turn).astype(np.float32), strength):
            swirl = a * np.sin(kx * x + ky * y + phase)
            along += ky * swirl
            down -= kx * swirl
        x, y = x + np.float32(reach / _STIRS) * along, y + np.float32(reach / _STIRS) * down
    return x, y


def render(rng: np.random.Generator, size: int, frames: int) -> tuple[np.ndarray, dict]:
    """Render rising smoke.

    Returns:
        The clip, uint8 ``[frames, size, size, 3]``, and its truth: ``velocity``, the smoke's mean vertical velocity in
        H per frame, downward positive, so always negative, -0.045 to -0.028; ``substance``, always ``smoke``.
    """
    palette = pick_palette(rng)
    tones = palette.tones[np.argsort(luma(palette.tones))].astype(np.float32)
    bright, tinted = tones[int(rng.integers(3, 5))], tones[int(rng.integers(1, 4))]
    shadow, dark, light = (c.astype(np.float32) for c in (palette.shadow, palette.ground[2], palette.light))
    bright = bright + (light - bright) * np.float32(max(0.0, 0.62 - float(luma(bright))))
    speed = rng.uniform(0.028, 0.045)
    puffs = Waves.draw(rng, _PUFFS, rng.uniform(0.9, 1.2), 0.24, 1.1, (0.8, 1.2))
    eddies = Waves.draw(rng, _EDDIES, 1.1, 0.36, 0.7)
    rates = [rng.uniform(-0.085, 0.085, n) for n in (_PUFFS, _EDDIES)]
    reach = rng.uniform(0.15, 0.22)
    middle, width, lean = rng.uniform(0.35, 0.65), rng.uniform(0.34, 0.5), rng.uniform(-0.25, 0.25)
    side = rng.choice([-1, 1])

    grid = pixel_centres(size)
    x, y = np.meshgrid(grid, grid)
    away = np.hypot(x - middle, 0.8 * (y - 0.5))
    ground = mix(0.2 * dark + 0.06 * tinted, 0.05 * dark + 0.5 * shadow, smoothstep(0.0, 0.75, away))
    thin, full = 0.35 * tinted + 0.03 * bright, 0.7 * tinted + 0.1 * bright
    hues = np.stack([thin, full, 0.85 * bright, 0.6 * bright + 0.4 * light])
    clip = np.empty((frames, size, size, 3), np.uint8)
    for t in range(frames):
        u, v = _stirred(eddies, x, y + np.float32(0.8 * speed * t), rates[1] * t, reach)
        thick = puffs(u, v + np.float32(0.2 * speed * t), rates[0] * t)
        axis = middle + lean * (0.6 - y) + 0.5 * (x - u)
        thick = thick + 0.75 - 1.2 * ((x - axis) / (width * (1.15 - 0.35 * y))) ** 2
        down, across = np.gradient(thick, 1 / size)
        lit = 0.42 + 0.36 * np.tanh(0.5 * (thick - 0.7)) + 0.24 * np.tanh(0.1 * (down - side * across))
        clip[t] = to_uint8(mix(ground, ramp(hues, lit), smoothstep(-1.1, 1.5, thick)))
    return clip, {"velocity": -speed, "substance": "smoke"}
