"""What the behaviours share: luma, hue, correlation, ranks, and masks that are widened, opened and cut into parts."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

_WITHIN_FRAME = np.pad(ndimage.generate_binary_structure(2, 1)[None], [(1, 1), (0, 0), (0, 0)])
_LUMA = np.array([0.299, 0.587, 0.114], np.float32) / 255


def luma(clip: np.ndarray) -> np.ndarray:
    """Rec. 601 luma in [0, 1], float32 ``[...]``, of RGB codes ``[..., 3]``, uint8 or any other."""
    return clip.astype(np.float32) @ _LUMA


def hue_saturation_value(clip: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hue in degrees [0, 360), saturation and value in [0, 1], float32 ``[...]``, of uint8 RGB ``[..., 3]``.

    A grey has hue 0 and saturation 0.
    """
    r, g, b = np.moveaxis(clip.astype(np.float32) / 255, -1, 0)
    high, low = np.maximum(np.maximum(r, g), b), np.minimum(np.minimum(r, g), b)
    span = high - low
    safe = np.where(span > 0, span, 1)
    sector = np.where(high == r, (g - b) / safe, np.where(high == g, (b - r) / safe + 2, (r - g) / safe + 4))
    return sector * 60 % 360, span / np.where(high > 0, high, 1), high


def hue_gap(a: np.ndarray | float, b: np.ndarray | float) -> np.ndarray:
    """The angle between hues in degrees, in [0, 180]."""
    return np.abs((np.asarray(a) - b + 180) % 360 - 180)


def correlation(a: np.ndarray, b: np.ndarray, weight: np.ndarray | float = 1.0) -> np.ndarray:
    """Pearson correlation over the last two axes of ``[..., H, W]``, weighted; 0 where either picture is flat."""
    weight = np.broadcast_to(np.asarray(weight, np.float32), np.broadcast_shapes(a.shape, b.shape))
    total = np.maximum(weight.sum((-2, -1), keepdims=True), 1e-6)
    a = a - (weight * a).sum((-2, -1), keepdims=True) / total
    b = b - (weight * b).sum((-2, -1), keepdims=True) / total
    total = total[..., 0, 0]
    aa, bb, ab = ((weight * x).sum((-2, -1)) / total for x in (a * a, b * b, a * b))
    flat = 1e-7  # a spread of less than a tenth of one code of 8 bits
    return np.where((aa > flat) & (bb > flat), ab / np.sqrt(np.maximum(aa * bb, flat * flat)), 0.0)


def rank_correlation(values: np.ndarray) -> float:
    """Spearman's correlation of ``[T]`` with the order that it is in; 0 where all are equal."""
    from scipy.stats import spearmanr  # takes half a second, which trainings on other clips need not wait for

    return float(spearmanr(values, np.arange(len(values))).statistic) if np.ptp(values) > 0 else 0.0


def median3(pictures: np.ndarray) -> np.ndarray:
    """The 3×3 median of ``[T, H, W]``; beyond the border its pixels are repeated."""
    return ndimage.median_filter(pictures, (1, 3, 3), mode="nearest")


def widened(mask: np.ndarray, reach: float) -> np.ndarray:
    """Masks bool ``[T, H, W]`` dilated by a disc of this radius in pixels."""
    return np.stack([ndimage.distance_transform_edt(~one) <= reach if one.any() else one for one in mask])


def opened(mask: np.ndarray) -> np.ndarray:
    """Masks bool ``[T, H, W]`` without what is too thin for a square of 2×2 pixels; the border counts as inside."""
    padded = np.pad(mask, [(0, 0), (1, 1), (1, 1)], mode="edge")
    return ndimage.binary_opening(padded, np.ones((1, 2, 2), bool))[:, 1:-1, 1:-1]


def large_parts(mask: np.ndarray, share: float) -> np.ndarray:
    """Of each mask bool ``[T, H, W]`` the parts (4 neighbours) with this share of the largest's area or more."""
    label, count = ndimage.label(mask, _WITHIN_FRAME)
    sizes = np.bincount(label.ravel(), minlength=count + 1)
    sizes[0] = 0
    size = sizes[label]
    return mask & (size >= share * size.max((1, 2), keepdims=True))


def centre_of(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the weight ``[T, H, W]`` lies: its mean x and y ``[T]``, in H from the top left, and its sum ``[T]``.

    Where there is none, x and y are 0.
    """
    h, w = weight.shape[1:]
    total = weight.sum((1, 2), dtype=np.float64)
    safe = np.where(total > 0, total, 1)
    x = weight.sum(1, dtype=np.float64) @ ((np.arange(w) + 0.5) / h) / safe
    y = weight.sum(2, dtype=np.float64) @ ((np.arange(h) + 0.5) / h) / safe
    return x, y, total
