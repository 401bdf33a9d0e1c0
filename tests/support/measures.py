"""What several tests measure on rendered clips."""

import numpy as np


def luma(clip):
    """Luma in [0, 1] of uint8 ``[..., 3]``."""
    return clip @ np.array([0.299, 0.587, 0.114]) / 255


def correlation(a, b):
    """Pearson correlation of two pictures, 0 where one is flat."""
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum() + 1e-12))


def spread(mask, reach):
    """Masks ``[..., H, W]`` widened by a disc of the given radius in pixels."""
    n = int(reach)
    padded = np.pad(mask, [(0, 0)] * (mask.ndim - 2) + [(n, n), (n, n)])
    h, w = mask.shape[-2:]
    shifts = [(a, b) for a in range(2 * n + 1) for b in range(2 * n + 1) if np.hypot(a - n, b - n) <= reach]
    return np.any([padded[..., a : a + h, b : b + w] for a, b in shifts], axis=0)
