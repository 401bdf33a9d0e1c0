"""What the behaviours share: luma, hue, correlation, ranks, and masks that are widened, opened and cut into parts."""

from __future__ import annotations

import numpy as np

_LUMA = np.array([0.299, 0.587, 0.114], np.float32) / 255


def luma(clip: np.ndarray) -> np.ndarray:
    """Rec. 601 luma in [0, 1], float32 ``[...]``, of uint8 RGB ``[..., 3]``."""
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
    """Spearman's correlation of ``[T]`` with the order that it is in; ties share their rank; 0 where all are equal."""
    ordered = np.sort(values)
    rank = np.searchsorted(ordered, values) + np.searchsorted(ordered, values, "right")
    if len(values) < 2 or rank.std() == 0:
        return 0.0
    return float(np.corrcoef(rank, np.arange(len(values)))[0, 1])


def median3(pictures: np.ndarray) -> np.ndarray:
    """The 3×3 median of ``[T, H, W]``; beyond the border its pixels are repeated."""
    h, w = pictures.shape[1:]
    padded = np.pad(pictures, [(0, 0), (1, 1), (1, 1)], mode="edge")
    return np.median(np.stack([padded[:, a : a + h, b : b + w] for a in range(3) for b in range(3)]), axis=0)


def widened(mask: np.ndarray, reach: float) -> np.ndarray:
    """Masks bool ``[..., H, W]`` dilated by a disc of this radius in pixels."""
    n = int(reach)
    out = mask.copy()
    h = mask.shape[-2]
    for down in range(n + 1):
        across = int(np.sqrt(reach * reach - down * down))
        row = mask
        if across:  # a run of pixels to both sides, by the counts up to each of its ends
            counts = np.cumsum(np.pad(mask, [(0, 0)] * (mask.ndim - 1) + [(across + 1, across)]), axis=-1)
            row = counts[..., 2 * across + 1 :] > counts[..., : -2 * across - 1]
        if down < h:
            out[..., down:, :] |= row[..., : h - down, :]
            out[..., : h - down, :] |= row[..., down:, :]
    return out


def opened(mask: np.ndarray) -> np.ndarray:
    """Masks bool ``[..., H, W]`` without what is too thin for a square of 2×2 pixels; the border counts as inside."""
    padded = np.pad(mask, [(0, 0)] * (mask.ndim - 2) + [(1, 1), (1, 1)], mode="edge")
    square = padded[..., :-1, :-1] & padded[..., :-1, 1:] & padded[..., 1:, :-1] & padded[..., 1:, 1:]
    return mask & (square[..., :-1, :-1] | square[..., :-1, 1:] | square[..., 1:, :-1] | square[..., 1:, 1:])


def large_parts(mask: np.ndarray, share: float) -> np.ndarray:
    """Of each mask bool ``[T, H, W]`` the connected parts (4 neighbours) with this share of the largest's area or more.

    Runs along rows and along columns take the largest number in them until none changes.
    """
    label = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        new = _spread_along_rows(_spread_along_rows(label).swapaxes(1, 2)).swapaxes(1, 2)
        if np.array_equal(new, label):
            break
        label = new
    sizes = np.bincount(label.ravel(), minlength=mask.size + 1)
    sizes[0] = 0
    size = sizes[label]
    best = size.reshape(len(mask), -1).max(1)[:, None, None]
    return mask & (size >= share * best)


def _spread_along_rows(label: np.ndarray) -> np.ndarray:
    """Give each pixel of a run of nonzero labels ``[T, H, W]`` along a row the run's largest."""
    padded = np.pad(label, [(0, 0), (0, 0), (0, 1)])  # a zero parts the rows
    flat = padded.ravel()
    edges = np.flatnonzero(np.diff(flat > 0, prepend=False))
    starts = np.concatenate([[0], edges])
    largest = np.maximum.reduceat(flat, starts)
    return np.repeat(largest, np.diff(starts, append=len(flat))).reshape(padded.shape)[..., :-1]


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
