"""Near copies: clips that are the same recording, encoded anew, resized, slightly cropped or trimmed, in other colours.

A clip becomes a vector of a few coarse pictures, and two clips are near copies if their vectors point nearly the same
way. The vector has two parts, what the clip looks like on average and how it departs from that over time, so clips
before one background are distinguished by what moves. Colour is left out: skin-tone variants are near copies.
"""

from __future__ import annotations

import hashlib

import numpy as np
from PIL import Image
from scipy.fft import dctn

from dvdgan.data.progress import with_progress

NEAR_COPY = 0.85
"""Cosine from which two clips are near copies.

Measured on the rendered phenomena (copies of 120 clips; 1,980 clips for the others): below it lie 5 % of the copies,
most of them cropped by 5 % on every side or by 8 % on two, or 2 of 24 frames shorter; above it lie 2 in a million pairs
of distinct clips of nine classes, and none in 413,100 pairs of animated emoji of different classes.
"""

_PARTS = 4  # stretches of the clip, each one picture
_PER_PART = 4  # frames that make up a picture
_SIDE = 32  # pixels of a picture
_WAVES = 8  # spatial frequencies along each axis, from 0: half waves per side
_MOTION = 0.5  # the most that movement counts for, of 1
_LITTLE = 0.02  # movement of this share of the appearance counts for half of that
_FEATURELESS = 1 / 255  # of full brightness: a root mean square of detail that is no more than rounding
_ROWS, _COLUMNS = 1024, 8192  # of a tile of the matrix of all pairs: 32 MiB
_MANY = 5000  # clips whose comparison takes long enough for a progress bar


_TILT = np.hypot(*np.indices((_WAVES, _WAVES)))  # makes up for pictures having less of the finer waves


def fingerprint(frames: np.ndarray) -> np.ndarray:
    """A unit vector of 320 numbers that near copies nearly share.

    A clip without detail has nothing to be known by; its vector is drawn from its bytes, so that only an equal clip
    shares it.

    Args:
        frames: uint8 ``[T, H, W, 3]``, of any size and number; 16 evenly spaced ones are used, and a few dozen
            pixels are enough.

    Returns:
        float32 ``[320]``.
    """
    pictures = np.stack([_picture(frames, part) for part in range(_PARTS)])
    waves = dctn(pictures, axes=(1, 2), norm="ortho")[:, :_WAVES, :_WAVES] / _SIDE
    waves[:, 0, 0] = 0
    if np.sqrt(np.mean(np.sum(waves**2, axis=(1, 2)))) < _FEATURELESS:
        return _from_bytes(frames, (1 + _PARTS) * _WAVES**2)
    waves = (waves * _TILT).reshape(_PARTS, -1)
    appearance = waves.mean(axis=0)
    movement = waves - appearance
    much, still = np.sqrt(np.mean(np.sum(movement**2, axis=1))), np.linalg.norm(appearance)
    share = _MOTION * much / (much + _LITTLE * still)
    parts = np.sqrt(1 - share) * _evened(appearance), np.sqrt(share) * _evened(movement.ravel())
    vector = np.concatenate(parts)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def near_duplicates(fingerprints: np.ndarray) -> list[list[int]]:
    """Groups of clips that are near copies of each other, directly or by way of others.

    All pairs are compared, in tiles: N clips take about 640 N² / 2 floating-point operations (20,000 clips some seconds
    on two cores, 100,000 a minute or two) and 1.3 kB each.

    Args:
        fingerprints: float32 ``[N, D]``, from `fingerprint`.

    Returns:
        The groups of two and more, each sorted, in the order of their first clips.
    """
    count = len(fingerprints)
    first = np.arange(count)  # of each clip's group, the first clip
    tiles = [(row, column) for row in range(0, count, _ROWS) for column in range(0, count, _COLUMNS)]
    tiles = [(row, column) for row, column in tiles if column + _COLUMNS > row]  # each pair once
    for row, column in with_progress(tiles, "looking for near copies") if count > _MANY else tiles:
        near = fingerprints[row : row + _ROWS] @ fingerprints[column : column + _COLUMNS].T >= NEAR_COPY
        for index in np.flatnonzero(near.any(axis=1)):
            groups = first[column + np.flatnonzero(near[index])]
            if (groups != first[row + index]).any():
                joined = np.zeros(count, bool)
                joined[groups] = joined[first[row + index]] = True
                first[joined[first]] = np.flatnonzero(joined)[0]
    order = np.argsort(first, kind="stable")
    starts = np.flatnonzero(np.diff(first[order], prepend=-1))
    return [group.tolist() for group in np.split(order, starts[1:]) if len(group) > 1]


def _picture(frames: np.ndarray, part: int) -> np.ndarray:
    """The mean of a few frames of one part of the clip, brightness from 0 to 1, ``[_SIDE, _SIDE]``."""
    begin, end = part * len(frames) / _PARTS, (part + 1) * len(frames) / _PARTS
    times = np.linspace(begin, end - 1, _PER_PART).round().clip(0, len(frames) - 1)
    greys = [Image.fromarray(np.ascontiguousarray(frames[int(time)])).convert("L") for time in np.unique(times)]
    small = [np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR), np.float64) for grey in greys]
    return np.mean(small, axis=0) / 255


def _evened(vector: np.ndarray) -> np.ndarray:
    """A unit vector of the square roots, so that no few numbers outweigh the rest; zeros stay zeros."""
    roots = np.sign(vector) * np.sqrt(np.abs(vector))
    return roots / max(float(np.linalg.norm(roots)), 1e-12)


def _from_bytes(frames: np.ndarray, length: int) -> np.ndarray:
    """A unit vector that another clip shares only if its frames have the same bytes."""
    digest = hashlib.sha256(repr(frames.shape).encode() + np.ascontiguousarray(frames).tobytes()).digest()
    vector = np.random.default_rng(list(digest)).standard_normal(length)
    return (vector / np.linalg.norm(vector)).astype(np.float32)
