"""Clips of which a window shows where it was cut."""

import numpy as np

from dvdgan.config import DataConfig
from dvdgan.data.dataset import ClipDataset

SIZE = 16


def coded_clip(number, frames, height, width):
    """Each pixel says where it is: red holds column, green row, blue 16 times the clip's number plus the time."""
    clip = np.empty((frames, height, width, 3), np.uint8)
    clip[..., 0] = np.arange(width)
    clip[..., 1] = np.arange(height)[:, None]
    clip[..., 2] = 16 * number + np.arange(frames)[:, None, None]
    return clip


def origin(clip):
    """(clip number, start, stride, top, left, mirrored) of a window of coded clips."""
    number, start = divmod(int(clip[0, 0, 0, 2]), 16)
    times = clip[:, 0, 0, 2].astype(int) % 16
    columns = clip[0, 0, :, 0].astype(int)
    assert np.array_equal(np.abs(np.diff(columns)), np.ones(SIZE - 1))
    strides = set(np.diff(times).tolist())
    assert len(strides) == 1
    return number, start, strides.pop(), int(clip[0, 0, 0, 1]), int(columns.min()), bool(columns[1] < columns[0])


def windows_of(store, frames, size=SIZE, seed=0, group=1, split="all", **fields):
    """Windows of a store's clips; what is not an argument of `ClipDataset` is a field of its `DataConfig`."""
    return ClipDataset(store, DataConfig(split=split, **fields), size, frames, seed, group)
