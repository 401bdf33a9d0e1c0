"""Do more samples lie near to training clips than held-out clips do? The counts, how sure they are, and the verdict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from dvdgan.evaluation.measured import Share
from dvdgan.evaluation.memorisation.results import Verdict

QUANTILE = 0.05
"""The share of held-out clips that are the closest ones."""

FEWEST = 59
"""Clips, held out and samples, from which on the absence of copies can be stated: of fewer, chances are above 5 % that
none is among the closest 5 %."""

_CHANCE = 0.01  # of as many near samples or more, if they were no copies, below which they are taken for copies


@dataclass(frozen=True)
class Closeness:
    """How many samples lie below the closest 5 % of held-out clips, by distance or by ratio.

    Attributes:
        below: samples below the threshold.
        threshold: the value of the last of the closest 5 % of held-out clips (of the closest one, below 20 clips).
        between: shares of the samples below the ends of the threshold's own 95 % interval; None for an end that
            held-out clips are too few to have.
        expected: the share if samples were as held-out clips are.
        chance: of as many samples below the threshold, or more, if samples were as held-out clips are; it counts in
            that both are few.
    """

    below: Share
    threshold: float
    between: tuple[float | None, float | None]
    expected: float
    chance: float


def closeness(values: np.ndarray, held_out: np.ndarray) -> Closeness:
    """How many of `values`, float64 ``[N]``, lie below the closest 5 % of `held_out`, float64 ``[H]``; N, H >= 1.

    The threshold is the k-th lowest of the H values, for the largest k with k / (H + 1) <= 5 % (or the lowest one). One
    more value of their distribution then lies below it with a chance of exactly k / (H + 1), whatever the distribution;
    how many of N do is negative hypergeometric.
    """
    count, ranked = len(held_out), np.sort(held_out)
    rank = max(1, int(QUANTILE * (count + 1) + 1e-9))
    hits = int((values < ranked[rank - 1]).sum())
    chance = stats.nhypergeom.pmf(np.arange(hits, len(values) + 1), len(values) + count, len(values), rank).sum()
    low, high = (None if at is None else float((values < ranked[at - 1]).mean()) for at in _quantile_ranks(count))
    return Closeness(
        below=Share.make(hits, len(values)),
        threshold=float(ranked[rank - 1]),
        between=(low, high),
        expected=rank / (count + 1),
        chance=float(min(1.0, chance)) if hits else 1.0,
    )


def _quantile_ranks(count: int) -> tuple[int | None, int | None]:
    """Ranks, from 1, between which the 5 % quantile of a distribution lies in 95 % of draws of `count` values."""
    at_most = stats.binom.cdf(np.arange(count + 1), count, QUANTILE)  # of so many values below the quantile
    low = int(np.searchsorted(at_most, 0.025, side="right"))  # the largest r with P(fewer than r below it) <= 2.5 %
    high = int(np.searchsorted(at_most, 0.975)) + 1  # the smallest r with P(fewer than r below it) >= 97.5 %
    return (low or None), (high if high <= count else None)


def verdict(by_distance: Closeness, by_ratio: Closeness | None, held_out: int, far: bool) -> tuple[Verdict, str]:
    """What the tests say together, and why.

    Args:
        by_distance: samples that lie near to a training clip.
        by_ratio: the same of the ratio of the distance to the nearest training clip to that of the next ones; None if
            there are no others.
        held_out: held-out clips that both are compared with.
        far: whether half of the samples lie farther from training clips than 95 % of held-out clips.
    """
    deciding = by_distance if by_ratio is None else by_ratio
    if deciding.chance < _CHANCE:
        to_nearest = "distance to the nearest training clip"
        what = to_nearest if by_ratio is None else f"ratio of the {to_nearest} to that of the next ones"
        return "copies", (
            f"{deciding.below.hits} of {deciding.below.of} samples have a {what} below the held-out 5th percentile "
            f"({percent(deciding.expected)} expected; as many by chance: {_odds(deciding.chance)}). "
            f"Look at the nearest pairs.{_unsure(deciding, held_out)}"
        )
    if held_out < FEWEST or by_distance.below.of < FEWEST:
        few = f"{by_distance.below.of} samples and {held_out} held-out clips are too few"
        return "cannot tell", f"{few} to tell that there are no copies; it takes {FEWEST} of each."
    if by_distance.chance < _CHANCE:
        return "cannot tell", (
            f"{by_distance.below.hits} of {by_distance.below.of} samples lie near to training clips, more than chance "
            f"gives ({percent(by_distance.expected)} expected; as many by chance: {_odds(by_distance.chance)}), "
            "but to several alike and no single one. Bland clips, which lie in the middle of all, do that, and so do "
            "copies of clips that training has many times."
        )
    if far:
        return "cannot tell", (
            "Half of the samples lie farther from every training clip than 95 % of held-out clips do. They are no near "
            "copies, but poor clips lie far from everything, whether or not they began as copies."
        )
    high = max(by_distance.below.high or 1.0, deciding.below.high or 1.0)
    return "no sign of copies", (
        "No more samples lie near to training clips than of held-out clips"
        f"{'' if by_ratio is None else ', nor near to a single one'}. Up to {percent(high)} of such samples cannot be "
        f"excluded at this count.{_unsure(by_distance, held_out)}"
    )


def _unsure(test: Closeness, held_out: int) -> str:
    """What the threshold's own interval makes of the share."""
    low, high = test.between
    if high is None:
        return f" {held_out} held-out clips are too few to say how sure the threshold is."
    return (
        f" The threshold comes of {held_out} held-out clips; within its 95 % interval, the share of samples is between "
        f"{percent(low or 0.0)} and {percent(high)}."
    )


def _odds(chance: float) -> str:
    return "less than 1e-06" if chance < 1e-6 else f"{chance:.1g}"


def percent(share: float) -> str:
    """A share in words, with three significant digits."""
    return f"{100 * share:.3g} %"
