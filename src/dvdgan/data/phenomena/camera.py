"""zoom-in, zoom-out, pan-left, pan-right: a steady camera over a painted world that has no edge.

A world (see `worlds`) is painted once and seen through a camera that only zooms or only pans. Zoom-out runs zoom-in's
path backward and pan-right mirrors pan-left's, so that a single frame says nothing about the class.
"""

from __future__ import annotations

import numpy as np

from dvdgan.data.phenomena.palettes import pick_palette, to_uint8
from dvdgan.data.phenomena.textures import filter_matrix, pixel_centres, resample, smoothstep
from dvdgan.data.phenomena.worlds import WORLDS, World

_LONGEST = 48  # frames; the camera of a longer clip goes as far, more slowly
_OVERSAMPLE = 1.5  # painted samples per pixel of the closest view, along each axis


def _eased(rng: np.random.Generator, frames: int) -> np.ndarray:
    """A path ``[frames]`` from -0.5 to 0.5, steady with a gentle start and stop."""
    t = np.linspace(0, 1, frames)
    ease = rng.uniform(0.0, 0.35)
    return (1 - ease) * t + ease * smoothstep(0, 1, t) - 0.5


def _extent(frames: int, growth: float) -> float:
    """How much farther the camera goes in a clip of this length than in one of 14 frames; never beyond the world."""
    frames = min(frames, _LONGEST)
    return min(frames / 12, (frames / 14) ** growth)


def _film(world: World, centre: np.ndarray, scale: np.ndarray, size: int) -> np.ndarray:
    """Film ``world`` with the frame's height spanning ``scale`` ``[T]`` of it around ``centre`` ``[T, 2]``."""
    pitch = scale.min() / (_OVERSAMPLE * size)
    margin = 0.5 * scale[:, None] * (1 + 4 / size) + 2 * pitch
    low, high = (centre - margin).min(0), (centre + margin).max(0)
    x, y = (np.arange(a, b, pitch).astype(np.float32) for a, b in zip(low, high))
    picture = world.paint(x, y)
    pixels = pixel_centres(size, -0.5, 0.5)
    frames = []
    for (cx, cy), s in zip(centre, scale):
        rows, columns = (filter_matrix(c + s * pixels, axis, s / size) for c, axis in ((cy, y), (cx, x)))
        frames.append(resample(picture, rows, columns))
    return to_uint8(np.stack(frames))


def _world(rng: np.random.Generator) -> World:
    palette = pick_palette(rng)
    return WORLDS[int(rng.integers(len(WORLDS)))](rng, palette)


def _zoom(rng: np.random.Generator, size: int, frames: int, direction: int) -> tuple[np.ndarray, dict]:
    path = _eased(rng, frames)
    log_scale = direction * path * rng.uniform(0.68, 0.95) * _extent(frames, 0.3) + rng.uniform(-0.15, 0.15)
    home, fixed = rng.uniform(-0.12, 0.12, 2), rng.uniform(-0.12, 0.12, 2)
    scale = np.exp(-log_scale)
    centre = home - scale[:, None] * fixed
    clip = _film(_world(rng), centre, scale, size)
    return clip, {"log_scale": log_scale, "center": centre}


def _pan(rng: np.random.Generator, size: int, frames: int, direction: int) -> tuple[np.ndarray, dict]:
    path = _eased(rng, frames)
    way = path * direction * rng.uniform(0.46, 0.78) * _extent(frames, 0.5)
    home = rng.uniform(-0.12, 0.12, 2)
    drift = rng.uniform(-0.06, 0.06)
    zoom = rng.uniform(-0.15, 0.15)
    centre = home + np.stack([way, drift * way], -1)
    clip = _film(_world(rng), centre, np.full(frames, np.exp(-zoom)), size)
    return clip, {"log_scale": np.full(frames, zoom), "center": centre}


def render_zoom_in(rng: np.random.Generator, size: int, frames: int) -> tuple[np.ndarray, dict]:
    """Render a camera that moves closer to a painted world.

    Returns:
        The clip, uint8 ``[frames, size, size, 3]``, and its truth: ``log_scale`` ``[T]``, the natural logarithm of the
        magnification, rising; ``center`` ``[T, 2]``, the point of the world (x, y, in H at magnification 1) at the
        middle of the frame.
    """
    return _zoom(rng, size, frames, 1)


def render_zoom_out(rng: np.random.Generator, size: int, frames: int) -> tuple[np.ndarray, dict]:
    """Render a camera that backs away from a painted world; like ``render_zoom_in``, ``log_scale`` falling."""
    return _zoom(rng, size, frames, -1)


def render_pan_left(rng: np.random.Generator, size: int, frames: int) -> tuple[np.ndarray, dict]:
    """Render a camera that moves left over a painted world, whose content so moves right.

    Returns:
        The clip, uint8 ``[frames, size, size, 3]``, and its truth: ``center`` ``[T, 2]``, the point of the world
        (x, y, in H at magnification 1) at the middle of the frame, x falling; ``log_scale`` ``[T]``, constant.
    """
    return _pan(rng, size, frames, -1)


def render_pan_right(rng: np.random.Generator, size: int, frames: int) -> tuple[np.ndarray, dict]:
    """Render a camera that moves right over a painted world; like ``render_pan_left``, ``center`` x rising."""
    return _pan(rng, size, frames, 1)
