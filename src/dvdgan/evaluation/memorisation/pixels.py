"""Copies in pixels, which need no network: coarse pictures of clips, and the fingerprints of near copies.

Both are feature extractors (`dvdgan.evaluation.features.extract.FeatureExtractor`) whose distances mean something by
themselves, so they are compared as they are, with `Scale.none`.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from dvdgan.data.inspect.duplicates import NEAR_COPY, fingerprint
from dvdgan.evaluation.clip_set import content_key
from dvdgan.evaluation.features.extract import Unit

NEAR = float(np.sqrt(2 - 2 * NEAR_COPY))
"""Distance between fingerprints within which clips are near copies, encoded anew, recoloured or slightly cropped."""

CELLS = 12
"""Per side of a coarse picture; smaller clips cannot have one."""

_TIMES = 4  # stretches of time of a coarse picture


class Fingerprints:
    """The fingerprints by which near copies are found when a data set is packed, 320 numbers; colour is left out."""

    name = "fingerprints"
    dimension = 320
    unit: Unit = "clip"
    key = content_key("fingerprints", 1)

    def __call__(self, clips: np.ndarray) -> np.ndarray:
        """Unit vectors, float32 ``[N, 320]``, of uint8 clips ``[N, T, H, W, 3]``."""
        return np.stack([fingerprint(clip) for clip in clips])


class CoarsePixels:
    """Means of 4 stretches of time and 12 by 12 cells, 1,728 numbers.

    Scaled so that the distance of two clips is the root mean square difference of their coarse pictures, in levels of
    255.
    """

    name = "coarse pixels"
    dimension = _TIMES * CELLS * CELLS * 3
    unit: Unit = "clip"
    key = content_key("coarse pixels", 1)

    def __call__(self, clips: np.ndarray) -> np.ndarray:
        """Features, float32 ``[N, 1728]``, of uint8 clips ``[N, T, H, W, 3]``; H and W at least 12."""
        means = np.stack([self._coarse(clip) for clip in clips]).reshape(len(clips), -1)
        return (means / np.sqrt(self.dimension)).astype(np.float32)

    def _coarse(self, clip: np.ndarray) -> np.ndarray:
        means = clip.astype(np.float32)
        for axis, parts in enumerate((_TIMES, CELLS, CELLS)):
            edges = np.linspace(0, means.shape[axis], parts + 1)  # neighbouring parts share a row that both cut through
            bounds = [(int(low), int(np.ceil(high - 1e-9))) for low, high in pairwise(edges)]
            means = np.stack([means.take(range(*bound), axis).mean(axis) for bound in bounds], axis)
        return means
