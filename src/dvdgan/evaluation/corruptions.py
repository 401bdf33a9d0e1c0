"""Controls: real clips, damaged in one known way each, that a score must punish if its word on samples is to count.

A score of video that does not rise when frames are shuffled or frozen says nothing of motion, and one that does not
rise under blur says nothing of sharpness (PAPER.md 9). What happens to a clip is drawn from (seed, the clip's number),
so it is the same in whatever batch the clip comes, and the draws do not depend on the strength.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from dvdgan.evaluation.errors import EvaluationError
from dvdgan.randomness import keyed_rng

if TYPE_CHECKING:
    from dvdgan.evaluation.clipsets import ClipSet

VERSION = 1
"""Raised whenever a damage makes other pixels than before, so that nothing that was kept of the old ones is used."""

_SIZE = 64  # pixels at which strengths in pixels are given; they grow with the clip
_WAVES = 4  # of a warp: half waves per side, from 0
_Function = Callable[[np.ndarray, np.random.Generator, float, "np.ndarray | None"], np.ndarray]


@dataclass(frozen=True)
class Damage:
    """One way to damage a clip.

    Attributes:
        name: what the report calls it.
        kind: ``temporal`` if each frame by itself stays a frame of a real clip (but for its place or brightness),
            ``spatial`` if the frames are what is damaged and the motion stays.
        description: one line for the report, with the strength's place as ``{strength}``.
        function: of (clip uint8 ``[T, H, W, 3]``, generator, strength, partner or None); returns a clip of that shape.
        strength: the default; None for a damage that has no degrees.
        limit: what the strength is below; it is above 0.
        least_frames: fewer frames cannot be damaged so.
        needs_partner: whether a part of another clip comes in, see `partners`.
    """

    name: str
    kind: Literal["temporal", "spatial"]
    description: str
    function: _Function
    strength: float | None = None
    limit: float = math.inf
    least_frames: int = 2
    needs_partner: bool = False

    def describe(self, strength: float | None = None) -> str:
        """The line for the report, with the strength that was used (None: the default)."""
        degree = self.strength if strength is None else strength
        return self.description if degree is None else self.description.format(strength=f"{degree:g}")


def apply(
    name: str,
    clips: np.ndarray,
    numbers: Sequence[int],
    seed: int = 0,
    strength: float | None = None,
    partners: np.ndarray | None = None,
) -> np.ndarray:
    """Damage clips.

    Args:
        name: of `DAMAGES`.
        clips: uint8 ``[N, T, H, W, 3]``; stays as it is.
        numbers: N numbers, >= 0, one per clip: its row in the set that it belongs to.
        seed: of all draws, >= 0.
        strength: None is the default; in pixels of a clip of 64 px where it is a length.
        partners: the other clip of each, uint8 ``[N, T, H, W, 3]``, for a damage that needs it; otherwise unused.

    Returns:
        uint8 ``[N, T, H, W, 3]``, a new array.

    Raises:
        EvaluationError: no such damage, a strength that it does not have, clips of another shape or type, too few
            frames for it, numbers that do not fit, or partners missing.
    """
    damage = find(name)
    degree = _checked_strength(damage, strength)
    if clips.ndim != 5 or clips.shape[-1] != 3 or clips.dtype != np.uint8:
        raise EvaluationError(f"{name}: clips are uint8 [N, T, H, W, 3], not {clips.dtype} {list(clips.shape)}")
    if clips.shape[1] < damage.least_frames:
        needed = f"clips of at least {damage.least_frames} frames, not {clips.shape[1]}"
        raise EvaluationError(f"{name}: needs {needed}; leave this control out, or use longer clips")
    if len(numbers) != len(clips) or any(number < 0 for number in numbers):
        raise EvaluationError(f"{name}: {len(clips)} clips need as many numbers from 0, not {list(numbers)[:8]}")
    if seed < 0:
        raise EvaluationError(f"{name}: seed is at least 0, not {seed}")
    if damage.needs_partner and (partners is None or partners.shape != clips.shape or partners.dtype != np.uint8):
        found = "none" if partners is None else f"{partners.dtype} {list(partners.shape)}"
        raise EvaluationError(f"{name}: needs another clip for each, uint8 {list(clips.shape)}, not {found}")
    damaged = np.empty_like(clips)
    for row, number in enumerate(numbers):
        rng = keyed_rng(seed, f"evaluation: {name}", int(number))
        partner = partners[row] if damage.needs_partner and partners is not None else None
        damaged[row] = damage.function(clips[row], rng, degree, partner)
    return damaged


def on(
    clip_set: ClipSet, name: str, seed: int = 0, strength: float | None = None
) -> Callable[[np.ndarray, Sequence[int]], np.ndarray]:
    """The damage as a function of clips of a set and their rows, for reading a damaged set a few clips at a time.

    Partners, where the damage needs them, are read from the set.

    Args:
        clip_set: the clips to damage.
        name: of `DAMAGES`.
        seed: of all draws, >= 0.
        strength: None is the default.

    Raises:
        EvaluationError: as `apply`, or a set of a single clip where a damage needs another one.
    """
    damage = find(name)
    _checked_strength(damage, strength)
    others = partners(len(clip_set), seed) if damage.needs_partner else None

    def function(clips: np.ndarray, rows: Sequence[int]) -> np.ndarray:
        read = None if others is None else clip_set.read(others[list(rows)].tolist())
        return apply(name, clips, rows, seed, strength, read)

    return function


def partners(count: int, seed: int = 0) -> np.ndarray:
    """For each of `count` clips, another one: int64 ``[count]``, a permutation in which none stays in its place.

    Each clip is the partner of exactly one other, so that the set of all frames at each time stays as it was, and a
    score that looks at single frames has nothing to see.

    Raises:
        EvaluationError: fewer than two clips.
    """
    if count < 2:
        raise EvaluationError(f"a cut to another clip needs at least 2 clips, not {count}; take more real clips")
    order = keyed_rng(seed, "evaluation: partners").permutation(count)
    found = np.empty(count, np.int64)
    found[order] = np.roll(order, -1)
    return found


def key(name: str, seed: int = 0, strength: float | None = None) -> str:
    """What, beside the clips, determines the damaged pixels; equal keys, equal damage."""
    return f"{name} {_checked_strength(find(name), strength):g} seed {seed} version {VERSION}"


def find(name: str) -> Damage:
    """The damage of that name.

    Raises:
        EvaluationError: there is none.
    """
    if name not in DAMAGES:
        raise EvaluationError(f"no control is called {name!r}; they are {', '.join(DAMAGES)}")
    return DAMAGES[name]


def _checked_strength(damage: Damage, strength: float | None) -> float:
    """The strength that is meant; 0 where the damage has no degrees."""
    if damage.strength is None:
        if strength is not None:
            raise EvaluationError(f"{damage.name}: has no strength, so it cannot be {strength:g}; leave it out")
        return 0.0
    degree = damage.strength if strength is None else float(strength)
    if not 0 < degree < damage.limit:
        raise EvaluationError(f"{damage.name}: strength is above 0 and below {damage.limit:g}, not {degree:g}")
    return degree


def _shuffled(clip: np.ndarray, rng: np.random.Generator, strength: float, partner: np.ndarray | None) -> np.ndarray:
    order = rng.permutation(len(clip))
    while (order[1:] > order[:-1]).all():  # in order already
        order = rng.permutation(len(clip))
    return clip[order]


def _reversed(clip: np.ndarray, rng: np.random.Generator, strength: float, partner: np.ndarray | None) -> np.ndarray:
    return clip[::-1]


def _frozen(clip: np.ndarray, rng: np.random.Generator, strength: float, partner: np.ndarray | None) -> np.ndarray:
    return np.repeat(clip[rng.integers(len(clip))][None], len(clip), axis=0)


def _cut(clip: np.ndarray, rng: np.random.Generator, strength: float, partner: np.ndarray | None) -> np.ndarray:
    assert partner is not None  # `apply` has seen to it
    foreign = min(max(round(strength * len(clip)), 1), len(clip) - 1)
    return np.concatenate([clip[:-foreign], partner[-foreign:]])


def _jittered(clip: np.ndarray, rng: np.random.Generator, strength: float, partner: np.ndarray | None) -> np.ndarray:
    reach = max(1, round(_pixels(clip, strength)))
    shifts = rng.integers(-reach, reach + 1, (len(clip), 2))
    while (shifts == shifts[0]).all():  # all frames alike: a shift of the clip, no jitter
        shifts = rng.integers(-reach, reach + 1, (len(clip), 2))
    height, width = clip.shape[1:3]
    padded = np.pad(clip, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="edge")
    corners = reach - shifts  # a shift of +1 moves the picture down or to the right
    return np.stack([frame[y : y + height, x : x + width] for frame, (y, x) in zip(padded, corners)])


def _flickering(clip: np.ndarray, rng: np.random.Generator, strength: float, partner: np.ndarray | None) -> np.ndarray:
    gains = 1 + strength * rng.standard_normal(len(clip))
    return _bytes(clip * np.maximum(gains, 0).astype(np.float32)[:, None, None, None])


def _blurred(clip: np.ndarray, rng: np.random.Generator, strength: float, partner: np.ndarray | None) -> np.ndarray:
    sigma = _pixels(clip, strength)
    reach = max(1, math.ceil(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    values = clip.astype(np.float32)
    for axis in (1, 2):
        length = clip.shape[axis]
        around = [(reach, reach) if a == axis else (0, 0) for a in range(4)]
        padded = np.moveaxis(np.pad(values, around, mode="edge"), axis, 0)
        mixed = sum(weight * padded[first : first + length] for first, weight in enumerate(weights))
        values = np.moveaxis(np.asarray(mixed), 0, axis)
    return _bytes(values)


def _noisy(clip: np.ndarray, rng: np.random.Generator, strength: float, partner: np.ndarray | None) -> np.ndarray:
    return _bytes(clip + np.float32(strength) * rng.standard_normal(clip.shape, np.float32))


def _warped(clip: np.ndarray, rng: np.random.Generator, strength: float, partner: np.ndarray | None) -> np.ndarray:
    height, width = clip.shape[1:3]
    moves = _smooth_field(height, width, rng) * _pixels(clip, strength)
    y = np.clip(np.arange(height)[:, None] + moves[0], 0, height - 1)
    x = np.clip(np.arange(width) + moves[1], 0, width - 1)
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    down, right = (y - top).astype(np.float32)[..., None], (x - left).astype(np.float32)[..., None]
    bottom, beside = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    upper = clip[:, top, left] * (1 - right) + clip[:, top, beside] * right
    lower = clip[:, bottom, left] * (1 - right) + clip[:, bottom, beside] * right
    return _bytes(upper * (1 - down) + lower * down)


def _smooth_field(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """By how much each pixel moves, down and to the right, ``[2, H, W]``; the longest of all moves has length 1."""
    waves = np.arange(_WAVES)
    weights = rng.standard_normal((2, _WAVES, _WAVES)) / (1 + waves[:, None] ** 2 + waves**2)
    weights[:, 0, 0] = 0  # a shift of everything
    down, across = (np.cos(np.pi * np.outer(waves, (np.arange(n) + 0.5) / n)) for n in (height, width))
    field = np.einsum("kuv,uy,vx->kyx", weights, down, across)
    return field / np.hypot(*field).max()


def _pixels(clip: np.ndarray, strength: float) -> float:
    """A length that is given for clips of 64 px, in pixels of this one."""
    return strength * min(clip.shape[1:3]) / _SIZE


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


_ALL = [
    Damage("shuffled", "temporal", "the frames in another order, drawn for each clip", _shuffled),
    Damage("reversed", "temporal", "the frames from last to first", _reversed),
    Damage("frozen", "temporal", "one frame of the clip, drawn for each, all the time", _frozen),
    Damage(
        "cut",
        "temporal",
        "the last {strength} of the frames come from another clip, of any class",
        _cut,
        strength=0.5,
        limit=1,
        needs_partner=True,
    ),
    Damage(
        "jittered",
        "temporal",
        "each frame moved by whole pixels, up to {strength} of 64 each way; the edge is repeated",
        _jittered,
        strength=3,
        limit=32,
    ),
    Damage(
        "flickering",
        "temporal",
        "the brightness of each frame times a random gain around 1, standard deviation {strength}",
        _flickering,
        strength=0.12,
        limit=1,
    ),
    Damage(
        "blurred",
        "spatial",
        "each frame blurred by a Gaussian, standard deviation {strength} px of 64",
        _blurred,
        strength=1.5,
        limit=16,
        least_frames=1,
    ),
    Damage(
        "noisy",
        "spatial",
        "Gaussian noise on each value of each frame, standard deviation {strength} of 255",
        _noisy,
        strength=12,
        limit=128,
        least_frames=1,
    ),
    Damage(
        "warped",
        "spatial",
        "all frames of a clip bent alike by one smooth field, drawn for each, up to {strength} px of 64",
        _warped,
        strength=4,
        limit=16,
        least_frames=1,
    ),
]

DAMAGES: dict[str, Damage] = {damage.name: damage for damage in _ALL}
"""The controls, in the order in which reports name them: what damages time, then what damages pictures."""
