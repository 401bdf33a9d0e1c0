"""How a whole picture moves through a clip: what the classes about the frame are measured by.

Shift and scale are fitted (see `alignment`) from each frame to the next, and to the one after that, so that what comes
in every other frame only is not taken for a motion. Over a third of the clip the fits of neighbours are joined, and
refined: one picture that moves still follows then; rings, waves and what slides in parts do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dvdgan.evaluation.behaviours.alignment import Fit, Region, align, aligned, shrunk
from dvdgan.evaluation.behaviours.behaviour import Limits, Numbers, Percentile
from dvdgan.evaluation.behaviours.pixels import luma

_SLOW = 0.15  # of the mean motion: below, a pair stands still
_TEXTURE = 0.015**2  # mean squared change of a block's colours: below, it is flat ground
_BETTER = 0.5  # of that change stays at most, where the block moves so


@dataclass(frozen=True)
class Followed:
    """How a picture moves.

    Attributes:
        ones: from each frame to the next.
        twos: from each frame to the one after the next.
        far: from each frame to the one a third of the clip later.
        numbers: ``aligned`` and ``worst_pair``, the mean and the least correlation in colour of each frame and the
            next, once aligned; ``far``, the mean of frames a third of the clip apart, and ``gain``, by how much that
            is more than as they are; ``covers``, the mean share of the frame's blocks that change over that time and
            half of whose change at least the fit explains; ``recolours``, the largest change of mean colour of what
            both frames of any pair show.
    """

    ones: Fit
    twos: Fit
    far: Fit
    numbers: Numbers
    luma: np.ndarray

    @property
    def reach(self) -> int:
        """How many frames a third of the clip is."""
        return len(self.luma) - len(self.far.log_scale)

    def parts(self, regions: Sequence[Region]) -> list[Fit]:
        """The far fit of each of some parts of the frame by itself."""
        y = self.luma
        return [align(y[: -self.reach], y[self.reach :], self.far, region) for region in regions]


def follow(clip: np.ndarray) -> Followed:
    """Follow the picture through uint8 ``[T, H, W, 3]``, T >= 4."""
    colour = shrunk(clip)
    y = luma(255 * np.moveaxis(colour, 1, 3))
    count, reach = len(y), max(2, len(y) // 3)
    ones, twos = align(y[:-1], y[1:]), align(y[:-2], y[2:])
    joined = Fit(ones.shift[: count - reach], ones.log_scale[: count - reach])
    for k in range(1, reach):
        joined = joined.then(Fit(ones.shift[k : count - reach + k], ones.log_scale[k : count - reach + k]))
    far = align(y[:-reach], y[reach:], joined)
    near_by, far_off = aligned(colour[:-1], colour[1:], ones), aligned(colour[:-reach], colour[reach:], far)
    before, after = far_off.errors
    moves = (before > _TEXTURE) & (after < _BETTER * before)
    numbers = {
        "aligned": float(near_by.after.mean()),
        "worst_pair": float(near_by.after.min()),
        "far": float(far_off.after.mean()),
        "gain": float((far_off.after - far_off.before).mean()),
        "covers": float(moves.sum() / max(int(np.isfinite(before).sum()), 1)),
        "recolours": float(max(np.abs(near_by.tint).max(), np.abs(far_off.tint).max())),
    }
    return Followed(ones, twos, far, numbers, y)


def limits(percentile: Percentile) -> Limits:
    """Parts of the real median or 1st percentile; colours hold within 0.03, or twice the 99th percentile."""
    return {
        "least_aligned": 0.8 * percentile("aligned", 50),
        "least_pair": 0.95 * percentile("worst_pair", 1),
        "least_covers": min(0.6, 0.7 * percentile("covers", 1)),
        "most_recolours": max(0.03, 2 * percentile("recolours", 99)),
    }


def checks(numbers: Numbers, limits: Limits) -> list[tuple[bool, str]]:
    """Whether the picture follows from frame to frame, and most of it over a third of the clip."""
    return [
        (numbers["aligned"] >= limits["least_aligned"], "frames do not follow by a motion"),
        (numbers["worst_pair"] >= limits["least_pair"], "a frame does not follow by a motion"),
        (numbers["gain"] >= 0.05, "no motion of the whole picture"),
        (numbers["covers"] >= limits["least_covers"], "only a part of the picture moves so"),
        (numbers["recolours"] <= limits["most_recolours"], "colours do not hold"),
    ]


def steadiness(ones: np.ndarray, twos: np.ndarray) -> Numbers:
    """Whether a motion goes one way, from its values in pairs of frames that are 1 and 2 apart.

    Numbers: ``agree``, the share of pairs that go the mean motion's way by 0.15 of it at least, of either distance the
    smaller; ``back``, how far any pair goes the other way, as a share of it; ``largest``, the largest step of any pair,
    per frame; ``slows``, the mean of the last third over that of the first.
    """
    mean = float(ones.mean())
    unit = np.copysign(max(abs(mean), 1e-5), mean)
    both = ones / unit, twos / (2 * unit)
    third = max(len(ones) // 3, 1)
    first, last = float(both[0][:third].mean()), float(both[0][-third:].mean())
    return {
        "agree": float(min((one > _SLOW).mean() for one in both)),
        "back": float(max(-one.min() for one in both)),
        "largest": float(max(np.abs(ones).max(), np.abs(twos).max() / 2)),
        "slows": float(np.clip(last / max(first, 1e-3), -100, 100)),
    }


def steadiness_checks(numbers: Numbers, limits: Limits) -> list[tuple[bool, str]]:
    """Whether the motion goes one way in every pair, never farther than in real clips, and to the end."""
    return [
        (numbers["agree"] >= 0.9 and numbers["back"] <= _SLOW, "not one way throughout"),
        (numbers["largest"] <= limits["most_at_once"], "the picture jumps"),
        (numbers["slows"] >= 1 / 3, "it stops before the end"),
    ]
