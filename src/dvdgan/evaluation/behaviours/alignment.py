"""By what shift and what magnification one picture becomes the next: a direct least-squares fit, coarse to fine.

The model is second(x) = first((x − shift) / e^log_scale), x from the middle of the frame. A grid of shifts and scales
on small pictures gives the start; Gauss-Newton steps with robust weights (Lucas and Kanade 1981; Geman and McClure's
weights) refine it. Only the central 80 % of the second picture count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dvdgan.evaluation.behaviours.pixels import correlation

_CENTRAL = 0.8
_COARSE = 16  # pixels: the most that the grid's pictures have
_FINE = 64  # the most that the last fit's pictures have
_ACROSS, _DOWN = np.arange(-4, 5) * 0.055, np.arange(-2, 3) * 0.055  # shifts of the grid, in H
_SCALES = np.arange(-2, 3) * 0.11  # of the grid, in log
_STEPS = 6  # per size, at most; fewer once all are smaller than ...
_SMALL = 2e-4  # ... this, in H and log scale
_BLOCKS = 8  # to a side
_MOST = np.array([0.4, 0.4, 0.6])  # a fit that goes beyond is cut off


Region = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Which points count, bool, of x ``[1, N]`` and y ``[M, 1]`` from the frame's middle, in H."""


@dataclass(frozen=True)
class Fit:
    """How pictures follow from others.

    Attributes:
        shift: float64 ``[P, 2]``, how far the content moves to the right and downward, in H.
        log_scale: float64 ``[P]``, natural logarithm of the magnification.
    """

    shift: np.ndarray
    log_scale: np.ndarray

    def then(self, later: Fit) -> Fit:
        """First this motion, then the later one."""
        shift = self.shift * np.exp(later.log_scale)[:, None] + later.shift
        return Fit(shift, self.log_scale + later.log_scale)


@dataclass(frozen=True)
class Aligned:
    """How well pictures follow from others by a fit, over the central 80 % of what both show.

    Attributes:
        before: float64 ``[P]``, correlation in colour of the two pictures as they are.
        after: float64 ``[P]``, the same once the first is aligned.
        tint: float64 ``[P, 3]``, by how much the mean colour is higher in the second than in the first, aligned.
        errors: float64 ``[2, P, 8, 8]``, the mean squared difference of each block of the picture before and after;
            NaN where nothing of it is shown.
    """

    before: np.ndarray
    after: np.ndarray
    tint: np.ndarray
    errors: np.ndarray


def align(first: np.ndarray, second: np.ndarray, start: Fit | None = None, where: Region | None = None) -> Fit:
    """Fit shift and magnification.

    Args:
        first: luma float32 ``[P, H, W]`` in [0, 1].
        second: as many pictures of the same size.
        start: where to start; without it, at the best of a grid.
        where: the part of the second pictures that counts; all of their central 80 % without it.
    """
    pyramid = [(first, second)]
    while pyramid[-1][0].shape[1] >= 2 * _COARSE:
        pyramid.append((_halved(pyramid[-1][0]), _halved(pyramid[-1][1])))
    fit = _search(*pyramid[-1]) if start is None else np.column_stack([start.shift, start.log_scale])
    for a, b in reversed(pyramid):
        if a.shape[1] <= _FINE:
            fit = _refine(a, b, fit, where)
    return Fit(fit[:, :2], fit[:, 2])


def aligned(first: np.ndarray, second: np.ndarray, fit: Fit) -> Aligned:
    """Compare pictures float32 ``[P, 3, H, W]`` in [0, 1] once the first ones are moved by the fit."""
    warped, seen = _warp(first, np.column_stack([fit.shift, fit.log_scale]))
    still, target, seen = _middle(first), _middle(second), seen[:, None]
    count = np.maximum(seen.sum((2, 3)), 1)
    tint = ((target - warped) * seen).sum((2, 3), dtype=np.float64) / count
    errors = np.stack([_blocks((target - one) ** 2 * seen, seen) for one in (still, warped)])
    before, after = (_colour_correlation(one, target, seen) for one in (still, warped))
    return Aligned(before, after, tint, errors)


def shrunk(pictures: np.ndarray) -> np.ndarray:
    """Pictures ``[P, H, W, 3]`` as float32 ``[P, 3, h, w]``, halved until they have at most 64 pixels across."""
    small = np.moveaxis(pictures.astype(np.float32) / 255, 3, 1).reshape(-1, *pictures.shape[1:3])
    while small.shape[1] > _FINE:
        small = _halved(small)
    return small.reshape(len(pictures), 3, *small.shape[1:])


def _colour_correlation(a: np.ndarray, b: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Correlation over pixels and channels of ``[P, 3, H, W]``, each channel less its mean."""
    first, second = (
        one - (one * seen).sum((2, 3), keepdims=True) / np.maximum(seen.sum((2, 3), keepdims=True), 1) for one in (a, b)
    )
    rows = (len(a), 3 * a.shape[2], a.shape[3])  # the channels one below the other
    weight = np.repeat(seen, 3, axis=1).reshape(rows)
    return correlation(first.reshape(rows), second.reshape(rows), weight)


def _blocks(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Means over blocks ``[P, N, N]`` of values ``[P, 3, H, W]`` where they are seen ``[P, 1, H, W]``."""
    sums = []
    for one in (values.mean(1), seen[:, 0].astype(np.float64)):
        for axis in (1, 2):
            length = one.shape[axis]
            edges = np.arange(min(_BLOCKS, length)) * length // min(_BLOCKS, length)
            one = np.add.reduceat(one, edges, axis=axis)
        sums.append(one)
    return np.where(sums[1] > 0, sums[0] / np.maximum(sums[1], 1), np.nan)


def _halved(pictures: np.ndarray) -> np.ndarray:
    h, w = (n // 2 * 2 for n in pictures.shape[1:])
    return pictures[:, :h, :w].reshape(len(pictures), h // 2, 2, w // 2, 2).mean((2, 4))


def _smooth(pictures: np.ndarray) -> np.ndarray:
    """Slightly blurred, so that interpolation, which blurs too, does not pass for a change of scale."""
    for axis in (1, 2):
        n = pictures.shape[axis]
        before, after = np.maximum(np.arange(n) - 1, 0), np.minimum(np.arange(n) + 1, n - 1)
        pictures = 0.5 * pictures + 0.25 * (pictures.take(before, axis) + pictures.take(after, axis))
    return pictures


def _coordinates(count: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """The pixel centres of a side, and those of its middle, from the frame's middle and in heights."""
    every = (np.arange(count) + 0.5 - count / 2) / height
    edge = round(0.5 * (1 - _CENTRAL) * count)
    return every, every[edge : count - edge]


def _middle(pictures: np.ndarray) -> np.ndarray:
    h, w = pictures.shape[-2:]
    top, left = (round(0.5 * (1 - _CENTRAL) * n) for n in (h, w))
    return pictures[..., top : h - top, left : w - left]


def _interpolation(count: int, height: int, shift: np.ndarray, log_scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matrices ``[..., M, count]`` that sample a side linearly for its middle M pixels, and which of them it shows."""
    every, middle = _coordinates(count, height)
    at = (middle - shift[..., None]) * np.exp(-log_scale[..., None])
    place = (at - every[0]) * height
    seen = (place > -0.5) & (place < count - 0.5)
    place = np.clip(place, 0, count - 1)
    return np.maximum(1 - np.abs(place[..., None] - np.arange(count)), 0).astype(np.float32), seen


def _warp(pictures: np.ndarray, fit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pictures ``[P, (3,) H, W]`` moved by ``[P, 3]``, their middle only, and which of its pixels they show."""
    h, w = pictures.shape[-2:]
    rows, seen_rows = _interpolation(h, h, fit[:, 1], fit[:, 2])
    columns, seen_columns = _interpolation(w, h, fit[:, 0], fit[:, 2])
    seen = seen_rows[:, :, None] & seen_columns[:, None, :]
    if pictures.ndim == 4:
        rows, columns = rows[:, None], columns[:, None]
    return rows @ pictures @ columns.swapaxes(-1, -2), seen


def _search(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The best of a grid of shifts and scales, ``[P, 3]``: shift x, shift y, log scale."""
    h, w = first.shape[1:]
    rows, seen_rows = _interpolation(h, h, *np.broadcast_arrays(_DOWN, _SCALES[:, None]))  # [S, D, M, H]
    columns, seen_columns = _interpolation(w, h, *np.broadcast_arrays(_ACROSS, _SCALES[:, None]))  # [S, A, N, W]
    target = _middle(second)
    scores = np.empty((len(first), len(_SCALES), len(_DOWN), len(_ACROSS)), np.float32)
    for s in range(len(_SCALES)):
        moved = rows[s, :, None] @ first[:, None, None] @ columns[s].swapaxes(1, 2)  # [P, D, A, M, N]
        seen = seen_rows[s][:, None, :, None] & seen_columns[s][:, None, :]
        scores[:, s] = correlation(moved, target[:, None, None], seen)
    s, down, across = np.unravel_index(scores.reshape(len(first), -1).argmax(1), scores.shape[1:])
    return np.stack([_ACROSS[across], _DOWN[down], _SCALES[s]], 1)


def _refine(first: np.ndarray, second: np.ndarray, fit: np.ndarray, where: Region | None) -> np.ndarray:
    """A few Gauss-Newton steps from ``fit`` ``[P, 3]``."""
    h, w = first.shape[1:]
    _, x = _coordinates(w, h)
    _, y = _coordinates(h, h)
    first, target = _smooth(first), _middle(_smooth(second))
    if min(target.shape[1:]) < 3:
        return fit
    counts = np.ones((len(y), len(x)), bool) if where is None else where(x[None, :], y[:, None])
    for _ in range(_STEPS):
        warped, seen = _warp(first, fit)
        seen = seen & counts
        down, across = np.gradient(warped, axis=(1, 2))
        down, across = down * h, across * h
        stretch = (x - fit[:, 0, None])[:, None, :] * across + (y - fit[:, 1, None])[:, :, None] * down
        error = np.where(seen, target - warped, 0)
        spread = np.maximum(2.5 * np.median(np.abs(error), axis=(1, 2), keepdims=True), 0.02)
        weight = seen / (1 + (error / spread) ** 2) ** 2
        slopes = -np.stack([across, down, stretch], 1).reshape(len(first), 3, -1).astype(np.float32)
        weighted = slopes * weight.reshape(len(first), 1, -1).astype(np.float32)
        normal = weighted @ slopes.swapaxes(1, 2) + 1e-3 * np.eye(3)
        step = np.linalg.solve(normal, weighted @ error.reshape(len(first), -1, 1))[..., 0]
        fit = np.clip(fit + np.clip(step, -0.08, 0.08), -_MOST, _MOST)
        if np.abs(step).max() < _SMALL:
            break
    return fit
