"""The first step of a measurement: features of clips, kept by content so that nothing is computed twice.

A cache is a folder with a file per chunk of clips. Its name is a hash of everything that the features follow from: the
clips' pixels, which of them, and the extractor. An evaluation that was interrupted goes on after its last whole chunk,
and another evaluation of the same clips finds them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from dvdgan.data.write.encode import atomic_path
from dvdgan.evaluation.clipsets import ClipSet, content_key
from dvdgan.evaluation.errors import EvaluationError

CHUNK = 32
"""Clips per file of a cache: what an interruption can cost."""

FORMAT = "dvdgan-features"
VERSION = 1
"""Raised when features that were kept before must be computed again whatever the extractor."""

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


class Derived:
    """Features that follow from another extractor's by a cheap function; only the other one's are kept.

    Args:
        base: the other extractor.
        name: what the report calls it.
        function: of the other's features, float32 ``[N, ...]``, clip by clip.
        unit: see `FeatureExtractor`.
        version: raised whenever `function` gives other numbers.
        dimension: see `FeatureExtractor`; None is the other's.

    Attributes:
        base: the other extractor.
    """

    def __init__(
        self,
        base: FeatureExtractor,
        name: str,
        function: Callable[[np.ndarray], np.ndarray],
        unit: Unit,
        version: int,
        dimension: int | None = None,
    ) -> None:
        """Take over what the other says of itself."""
        self.base = base
        self.name = name
        self.unit: Unit = unit
        self.dimension = base.dimension if dimension is None else dimension
        self.key = content_key("derived", name, version, base.key)
        self._function = function

    def derive(self, features: np.ndarray) -> np.ndarray:
        """These features of clips from the other extractor's features of them."""
        return np.ascontiguousarray(self._function(features), np.float32)

    def __call__(self, clips: np.ndarray) -> np.ndarray:
        """These features of clips, uint8 ``[N, T, H, W, 3]``."""
        return self.derive(self.base(clips))


def frame_differences(base: FeatureExtractor) -> Derived:
    """Differences between consecutive frames' features, T − 1 vectors per clip: what changes, and how fast.

    Args:
        base: an extractor with a vector per frame.

    Raises:
        EvaluationError: the extractor looks at whole clips.
    """
    if base.unit != "frames":
        raise EvaluationError(f"{base.name}: looks at whole clips, so there are no differences between frames")

    def differences(features: np.ndarray) -> np.ndarray:
        if features.shape[1] < 2:
            raise EvaluationError("differences between frames need clips of 2 frames and more; this one has 1")
        return np.diff(features, axis=1)

    return Derived(base, f"{base.name}, differences", differences, "frames", 1)


def extract(
    clip_set: ClipSet,
    extractor: FeatureExtractor,
    cache: Path | None = None,
    batch: int = 16,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Features of all clips of a set, from the cache as far as they are there.

    Args:
        clip_set: the clips.
        extractor: what looks at them.
        cache: the folder of kept features, made where it is missing; None keeps nothing. Files in it that are damaged
            are made again. Several evaluations may share it.
        batch: clips that are read and looked at together. Features of one clip may differ in the last bits with it.
        progress: called with how many clips are done and how many there are.

    Returns:
        float32 ``[N, D]``, or ``[N, T', D]`` if the extractor's unit is frames.

    Raises:
        EvaluationError: no clips, a clip that cannot be read, features that are no numbers or of another shape than the
            extractor says, or a cache that cannot be written.
    """
    if isinstance(extractor, Derived):
        return extractor.derive(extract(clip_set, extractor.base, cache, batch, progress))
    if batch < 1:
        raise EvaluationError(f"batch must be 1 or more clips, not {batch}")
    total = len(clip_set)
    if total == 0:
        raise EvaluationError(f"{clip_set.name}: there are no clips to look at")
    features: np.ndarray | None = None
    for start in range(0, total, CHUNK):
        rows = range(start, min(start + CHUNK, total))
        key = content_key(FORMAT, VERSION, clip_set.key, rows.start, rows.stop, extractor.key)
        path = None if cache is None else Path(cache) / f"{key}.safetensors"
        part = None if path is None else _kept(path, key, len(rows), extractor)
        if part is None:
            part = _computed(clip_set, rows, extractor, batch, progress)
            if path is not None:
                _keep(path, key, part)
        elif progress is not None:
            progress(rows.stop, total)
        if features is None:
            features = np.empty((total, *part.shape[1:]), np.float32)
        if part.shape[1:] != features.shape[1:]:
            raise EvaluationError(f"{extractor.name}: gives {list(part.shape[1:])} and {list(features.shape[1:])}")
        features[rows.start : rows.stop] = part
    assert features is not None  # there is at least one chunk
    return features


def _computed(
    clip_set: ClipSet,
    rows: range,
    extractor: FeatureExtractor,
    batch: int,
    progress: Callable[[int, int], None] | None,
) -> np.ndarray:
    parts = []
    for start in range(rows.start, rows.stop, batch):
        some = range(start, min(start + batch, rows.stop))
        part = extractor(clip_set.read(some))
        if not _fits(part, len(some), extractor):
            wanted = f"[{len(some)}, {'frames, ' if extractor.unit == 'frames' else ''}{extractor.dimension}]"
            raise EvaluationError(f"{extractor.name}: gives {part.dtype} {list(part.shape)}, not float32 {wanted}")
        finite = np.isfinite(part).all(axis=tuple(range(1, part.ndim)))
        if not finite.all():
            clip = clip_set.ids[some[int(np.argmin(finite))]]
            raise EvaluationError(f"{extractor.name}: sees no finite numbers in {clip} of {clip_set.name}")
        parts.append(part)
        if progress is not None:
            progress(some.stop, len(clip_set))
    return np.concatenate(parts)


def _fits(features: np.ndarray, count: int, extractor: FeatureExtractor) -> bool:
    """Whether an array can be the features of so many clips."""
    if features.dtype != np.float32 or features.ndim != (3 if extractor.unit == "frames" else 2):
        return False
    return len(features) == count and features.shape[-1] == extractor.dimension and features.size > 0


def _kept(path: Path, key: str, count: int, extractor: FeatureExtractor) -> np.ndarray | None:
    """The features in a file of the cache; None, and the file is removed, if it is not whole."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="np") as file:
            about, features = file.metadata() or {}, file.get_tensor("features")
        if about.get("key") == key and about.get("sha256") == _sha256(features) and _fits(features, count, extractor):
            return features
    except (SafetensorError, OSError, ValueError):
        pass
    path.unlink(missing_ok=True)
    return None


def _keep(path: Path, key: str, features: np.ndarray) -> None:
    """Write a file of the cache, whole or not at all."""
    about = {"format": FORMAT, "version": str(VERSION), "key": key, "sha256": _sha256(features)}
    try:
        with atomic_path(path) as partial:
            save_file({"features": np.ascontiguousarray(features)}, partial, about)  # it saves any other in disorder
    except (OSError, SafetensorError) as error:
        mend = "choose another folder for kept features, or make room"
        raise EvaluationError(f"{path.parent}: features cannot be kept there ({error}); {mend}") from None


def _sha256(features: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(features).tobytes()).hexdigest()
