"""Measures of a made frame against the real one, on pixels: PSNR and SSIM."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from scipy import ndimage

from dvdgan.evaluation.clip_set import content_key

MOST_DB = 100.0
"""PSNR of equal frames, which is infinite. Frames of 64 px that differ in one value by one level have 89 dB."""

_PEAK = 255.0
_DEVIATION, _RADIUS = 1.5, 5  # of SSIM's window of 11 x 11 pixels
_C1, _C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2


class FrameMeasure(Protocol):
    """What compares frames.

    Attributes:
        key: SHA-256, in hex, of all that its numbers follow from.
    """

    key: str

    def see(self, frames: np.ndarray) -> Any:
        """What is compared of frames, uint8 ``[M, H, W, 3]``."""

    def compare(self, a: Any, b: Any) -> np.ndarray:
        """Of M frames that were seen and M others, or a single one: float64 ``[M]``."""


class Psnr:
    """Peak signal-to-noise ratio in dB: of the mean squared error over pixels and channels, at most `MOST_DB`."""

    key = content_key("psnr", 1, MOST_DB)

    def see(self, frames: np.ndarray) -> np.ndarray:
        """The values, float64."""
        return frames.astype(np.float64)

    def compare(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """dB, ``[M]``."""
        error = np.square(a - b).mean((1, 2, 3))
        return 10 * np.log10(_PEAK**2 / np.maximum(error, _PEAK**2 * 10 ** (-MOST_DB / 10)))


class Ssim:
    """Structural similarity (Wang et al. 2004), of each channel, averaged: 1 for equal frames.

    Windows of 11 × 11 pixels, weighted by a Gaussian, wherever one lies within the frame; K1 is 0.01, K2 is 0.03.
    """

    key = content_key("ssim", 1)

    def see(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The values ``[M, 3, H, W]`` and, by window, their means and mean squares, float64."""
        values = np.moveaxis(frames.astype(np.float64), -1, 1)
        return values, _windowed(values), _windowed(values**2)

    def compare(self, a: tuple[np.ndarray, ...], b: tuple[np.ndarray, ...]) -> np.ndarray:
        """Similarities, ``[M]``."""
        (x, mean_x, square_x), (y, mean_y, square_y) = a, b
        both, squares = mean_x * mean_y, mean_x**2 + mean_y**2
        covariance, variances = _windowed(x * y) - both, square_x + square_y - squares
        ratio = (2 * both + _C1) * (2 * covariance + _C2) / ((squares + _C1) * (variances + _C2))
        return ratio.mean((1, 2, 3))


def _windowed(values: np.ndarray) -> np.ndarray:
    """Gaussian means of the windows within ``[..., H, W]``: ``[..., H - 10, W - 10]``."""
    means = ndimage.gaussian_filter(values, _DEVIATION, radius=_RADIUS, axes=(-2, -1))
    return means[..., _RADIUS:-_RADIUS, _RADIUS:-_RADIUS]
