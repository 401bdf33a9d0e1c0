"""Sets of clips in memory."""

import hashlib

import numpy as np

from dvdgan.evaluation.clip_set import ClipSet, content_key


def array_set(clips, labels=None, classes=(), name="clips", fps=12.0, ids=None):
    """A set of clips, uint8 [N, T, S, S, 3]."""
    return ClipSet(
        name=name,
        ids=[f"{name} {number}" for number in range(len(clips))] if ids is None else list(ids),
        labels=np.zeros(len(clips), np.int64) if labels is None else np.asarray(labels, np.int64),
        classes=list(classes),
        frames=clips.shape[1],
        size=clips.shape[2],
        fps=fps,
        key=content_key("array", clips.shape, hashlib.sha256(np.ascontiguousarray(clips).tobytes()).hexdigest()),
        read=lambda rows: clips[np.asarray(rows, np.int64)],
    )


def noise_set(count=6, frames=3, size=8, seed=0, **options):
    """A set of clips of random pixels."""
    return array_set(np.random.default_rng(seed).integers(0, 256, (count, frames, size, size, 3), np.uint8), **options)
