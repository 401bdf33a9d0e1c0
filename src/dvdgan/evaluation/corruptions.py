"""Controls: real clips, corrupted in one known way each, that a score must punish if its word on samples is to count.

A score of video that does not rise when frames are shuffled or frozen says nothing of motion, and one that does not
rise under blur says nothing of sharpness (PAPER.md 9). What happens to a clip is drawn from (seed, the clip's number),
so it is the same in whatever batch the clip comes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from dvdgan.evaluation.clip_set import ClipSet
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.randomness import numpy_generator

VERSION = 2
"""Raised whenever a corruption makes other pixels than before, so that nothing kept of the old ones is used."""

_SIZE = 64  # pixels at which lengths in pixels are given; they grow with the clip
_WAVES = 4  # of a warp: half waves per side, from 0

CUT_SHARE = 0.5
JITTER_PIXELS = 3
FLICKER_DEVIATION = 0.12
BLUR_PIXELS = 1.5
NOISE_LEVELS = 12
WARP_PIXELS = 4
REPEATS = 5


@dataclass(frozen=True)
class Corruption:
    """One way to corrupt a clip.

    Attributes:
        description: one line for the report.
        function: of (clip uint8 ``[T, H, W, 3]``, generator, another clip); returns a clip of that shape. None: the
            other clip comes in as it is.
        least_frames: fewer frames cannot be corrupted so.
        others: of a set and a seed, the other clip that comes in for each clip, int64 ``[N]``; None if none does.
    """

    description: str
    function: Callable[[np.ndarray, np.random.Generator, np.ndarray], np.ndarray] | None
    least_frames: int = 2
    others: Callable[[ClipSet, int], np.ndarray] | None = None


def corrupted(clips: ClipSet, name: str, seed: int = 0) -> ClipSet:
    """A set's clips, each corrupted when it is read; partners, where the corruption needs them, are of the same set.

    Args:
        clips: as many frames as the corruption needs.
        name: of `CORRUPTIONS`.
        seed: of everything random, >= 0.

    Raises:
        EvaluationError: a set of a single clip where a corruption needs another one.
    """
    corruption = CORRUPTIONS[name]
    others = None if corruption.others is None else corruption.others(clips, seed)

    def function(some: np.ndarray, rows: Sequence[int]) -> np.ndarray:
        beside = some if others is None else clips.read(others[list(rows)].tolist())
        if corruption.function is None:
            return beside
        rngs = [numpy_generator(seed, f"evaluation: {name}", int(row)) for row in rows]
        return np.stack([corruption.function(*clip) for clip in zip(some, rngs, beside)])

    found = clips.mapped(function, f"held-out clips, {name}", [name, seed, VERSION])
    if corruption.function is not None or others is None:
        return found
    whole, places = clips.of or (clips, np.arange(len(clips)))
    return replace(found, of=(whole, places[others]))


def partners(count: int, seed: int = 0) -> np.ndarray:
    """For each of `count` clips, another one: int64 ``[count]``, a permutation in which none stays in its place.

    Each clip is the partner of exactly one other, so that the set of all frames at each time stays as it was, and a
    score that looks at single frames has nothing to see.

    Raises:
        EvaluationError: fewer than two clips.
    """
    if count < 2:
        raise EvaluationError(f"a cut to another clip needs at least 2 clips, not {count}; take more real clips")
    order = numpy_generator(seed, "evaluation: partners").permutation(count)
    found = np.empty(count, np.int64)
    found[order] = np.roll(order, -1)
    return found


def repeats(clips: ClipSet, seed: int = 0) -> np.ndarray:
    """For each clip one of its class, int64 ``[N]``: each of a fifth of the class, drawn from the seed, five times."""
    found = np.empty(len(clips), np.int64)
    for label in np.unique(clips.labels).tolist():
        members = numpy_generator(seed, "evaluation: repeats", label).permutation(np.flatnonzero(clips.labels == label))
        found[members] = members[np.arange(len(members)) // REPEATS * REPEATS]
    return found


def _shuffled(clip: np.ndarray, rng: np.random.Generator, partner: np.ndarray) -> np.ndarray:
    order = rng.permutation(len(clip))
    while (order[1:] > order[:-1]).all():  # in order already
        order = rng.permutation(len(clip))
    return clip[order]


def _reversed(clip: np.ndarray, rng: np.random.Generator, partner: np.ndarray) -> np.ndarray:
    return clip[::-1]


def _frozen(clip: np.ndarray, rng: np.random.Generator, partner: np.ndarray) -> np.ndarray:
    return np.repeat(clip[rng.integers(len(clip))][None], len(clip), axis=0)


def _cut(clip: np.ndarray, rng: np.random.Generator, partner: np.ndarray) -> np.ndarray:
    foreign = round(CUT_SHARE * len(clip))
    return np.concatenate([clip[:-foreign], partner[-foreign:]])


def _jittered(clip: np.ndarray, rng: np.random.Generator, partner: np.ndarray) -> np.ndarray:
    reach = max(1, round(_pixels(clip, JITTER_PIXELS)))
    shifts = rng.integers(-reach, reach + 1, (len(clip), 2))
    while (shifts == shifts[0]).all():  # all frames alike: a shift of the clip, no jitter
        shifts = rng.integers(-reach, reach + 1, (len(clip), 2))
    height, width = clip.shape[1:3]
    padded = np.pad(clip, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="edge")
    corners = reach - shifts  # a shift of +1 moves the picture down or to the right
    return np.stack([frame[y : y + height, x : x + width] for frame, (y, x) in zip(padded, corners)])


def _flickering(clip: np.ndarray, rng: np.random.Generator, partner: np.ndarray) -> np.ndarray:
    gains = 1 + FLICKER_DEVIATION * rng.standard_normal(len(clip))
    return _bytes(clip * np.maximum(gains, 0).astype(np.float32)[:, None, None, None])


def _blurred(clip: np.ndarray, rng: np.random.Generator, partner: np.ndarray) -> np.ndarray:
    sigma = _pixels(clip, BLUR_PIXELS)
    radius = max(1, int(np.ceil(3 * sigma)))
    return _bytes(ndimage.gaussian_filter(clip.astype(np.float32), sigma, mode="nearest", radius=radius, axes=(1, 2)))


def _noisy(clip: np.ndarray, rng: np.random.Generator, partner: np.ndarray) -> np.ndarray:
    return _bytes(clip + np.float32(NOISE_LEVELS) * rng.standard_normal(clip.shape, np.float32))


def _warped(clip: np.ndarray, rng: np.random.Generator, partner: np.ndarray) -> np.ndarray:
    height, width = clip.shape[1:3]
    places = np.indices((height, width)) + _smooth_field(height, width, rng) * _pixels(clip, WARP_PIXELS)
    channels = np.moveaxis(clip.astype(np.float32), -1, 1).reshape(-1, height, width)
    bent = [ndimage.map_coordinates(channel, places, order=1, mode="nearest") for channel in channels]
    return _bytes(np.moveaxis(np.reshape(bent, (len(clip), 3, height, width)), 1, -1))


def _smooth_field(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """By how much each pixel moves, down and to the right, ``[2, H, W]``; the longest of all moves has length 1."""
    waves = np.arange(_WAVES)
    weights = rng.standard_normal((2, _WAVES, _WAVES)) / (1 + waves[:, None] ** 2 + waves**2)
    weights[:, 0, 0] = 0  # a shift of everything
    down, across = (np.cos(np.pi * np.outer(waves, (np.arange(n) + 0.5) / n)) for n in (height, width))
    field = np.einsum("kuv,uy,vx->kyx", weights, down, across)
    return field / np.hypot(*field).max()


def _pixels(clip: np.ndarray, length: float) -> float:
    """A length that is given for clips of 64 px, in pixels of this one."""
    return length * min(clip.shape[1:3]) / _SIZE


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


CORRUPTIONS: dict[str, Corruption] = {
    "shuffled": Corruption("the frames in another order, drawn for each clip", _shuffled),
    "reversed": Corruption("the frames from last to first", _reversed),
    "frozen": Corruption("one frame of the clip, drawn for each, all the time", _frozen),
    "cut": Corruption(
        f"the last {CUT_SHARE:g} of the frames come from another clip, of any class",
        _cut,
        others=lambda clips, seed: partners(len(clips), seed),
    ),
    "jittered": Corruption(
        f"each frame moved by whole pixels, up to {JITTER_PIXELS:g} of 64 each way; the edge is repeated", _jittered
    ),
    "flickering": Corruption(
        f"the brightness of each frame times a random gain around 1, standard deviation {FLICKER_DEVIATION:g}",
        _flickering,
    ),
    "blurred": Corruption(
        f"each frame blurred by a Gaussian, standard deviation {BLUR_PIXELS:g} px of 64", _blurred, least_frames=1
    ),
    "noisy": Corruption(
        f"Gaussian noise on each value of each frame, standard deviation {NOISE_LEVELS:g} of 255",
        _noisy,
        least_frames=1,
    ),
    "warped": Corruption(
        f"all frames of a clip bent alike by one smooth field, drawn for each, up to {WARP_PIXELS:g} px of 64",
        _warped,
        least_frames=1,
    ),
    "repeated": Corruption(
        f"a clip in {REPEATS} of each class, and each of these {REPEATS} times: all look real, and few differ",
        None,
        least_frames=1,
        others=repeats,
    ),
}
"""The controls, in the order in which reports name them: of time, of pictures, and of the set as a whole."""
