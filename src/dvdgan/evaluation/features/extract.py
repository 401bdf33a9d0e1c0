"""The first step of a measurement: features of clips, kept by content so that nothing is computed twice."""

from __future__ import annotations

from functools import partial
from typing import Literal, Protocol

import numpy as np

from dvdgan.data.progress import Advance
from dvdgan.evaluation.cache import CHUNK, Cache
from dvdgan.evaluation.clip_set import ClipSet, chunks, content_key
from dvdgan.evaluation.errors import EvaluationError

VERSION = 1
"""Raised when features that were kept before must be computed again whatever the extractor."""

_AT_ONCE = 16  # clips that are read and looked at together

Unit = Literal["clip", "frames"]


class FeatureExtractor(Protocol):
    """What sees a clip as numbers.

    Attributes:
        name: what the report calls it.
        key: SHA-256, in hex, of all that its features follow from: weights, settings, and a version of its code.
        dimension: numbers per vector, D.
        unit: ``clip`` if a clip gives one vector, ``frames`` if it gives several.
    """

    name: str
    key: str
    dimension: int
    unit: Unit

    def __call__(self, clips: np.ndarray) -> np.ndarray:
        """Features of clips, uint8 ``[N, T, H, W, 3]``: float32 ``[N, D]`` (clip) or ``[N, T', D]`` (frames)."""


def extract(clips: ClipSet, extractor: FeatureExtractor, cache: Cache, advance: Advance | None = None) -> np.ndarray:
    """Features of all clips of a set, one or more; chunks of clips that are in the cache are not looked at again.

    Returns:
        float32 ``[N, D]``, or ``[N, T', D]`` if the extractor's unit is frames.

    Raises:
        EvaluationError: a clip that cannot be read, or features that are not finite or of another shape than the
            extractor says.
        OSError: the cache cannot be written.
    """
    if clips.of is not None:
        whole, places = clips.of
        found = extract(whole, extractor, cache)[places]
        if advance is not None:
            advance(len(clips))
        return found
    parts = []
    for rows in chunks(range(len(clips)), CHUNK):
        key = content_key(VERSION, clips.key, rows.start, rows.stop, extractor.key)
        make = partial(_computed, clips, rows, extractor)
        parts.append(cache.arrays("features", key, make)["features"])
        if advance is not None:
            advance(len(rows))
    return np.concatenate(parts)


def _computed(clips: ClipSet, rows: range, extractor: FeatureExtractor) -> dict[str, np.ndarray]:
    parts = []
    for some in chunks(rows, _AT_ONCE):
        part = extractor(clips.read(some))
        dimensions = 3 if extractor.unit == "frames" else 2
        if part.ndim != dimensions or len(part) != len(some) or part.shape[-1] != extractor.dimension:
            wanted = f"[{len(some)}, {'frames, ' if extractor.unit == 'frames' else ''}{extractor.dimension}]"
            raise EvaluationError(f"{extractor.name}: gives features {list(part.shape)}, not {wanted}")
        finite = np.isfinite(part).all(axis=tuple(range(1, part.ndim)))
        if not finite.all():
            clip = clips.ids[some[int(np.argmin(finite))]]
            raise EvaluationError(f"{extractor.name}: sees no finite numbers in {clip} of {clips.name}")
        parts.append(part)
    return {"features": np.concatenate(parts)}
