"""What several tests measure on rendered clips."""

import numpy as np
from scipy.ndimage import binary_dilation, map_coordinates


def luma(clip):
    """Luma in [0, 1] of uint8 ``[..., 3]``."""
    return clip @ np.array([0.299, 0.587, 0.114]) / 255


def correlation(a, b):
    """Pearson correlation of two pictures, 0 where one is flat."""
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum() + 1e-12))


def spread(mask, reach):
    """Masks ``[..., H, W]`` widened by a disc of the given radius in pixels."""
    y, x = np.mgrid[-int(reach) : int(reach) + 1, -int(reach) : int(reach) + 1]
    disc = np.hypot(y, x) <= reach
    return binary_dilation(mask, disc.reshape((1,) * (mask.ndim - 2) + disc.shape))


def aligned(before, after, log_scale, shift):
    """Correlation, over the middle 80 %, of the second picture with the first magnified and moved by (x, y) pixels."""
    size = len(before)
    edge, middle = size // 10, (size - 1) / 2
    at = np.mgrid[edge : size - edge, edge : size - edge] - middle - np.array(shift[::-1])[:, None, None]
    moved = map_coordinates(before, at / np.exp(log_scale) + middle, order=1, mode="nearest")
    return correlation(moved, after[edge : size - edge, edge : size - edge])


def best_shift(before, after):
    """The shift (x, y) in pixels, and its correlation, that brings the first picture to the second."""
    shifts = [(x, y) for x in range(-7, 8) for y in (-1, 0, 1)]
    scores = [aligned(before, after, 0.0, s) for s in shifts]
    return shifts[int(np.argmax(scores))], max(scores)
