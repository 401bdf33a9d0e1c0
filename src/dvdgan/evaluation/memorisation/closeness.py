"""Do more samples lie near to training clips than held-out clips do? The counts, how sure they are, and the verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dvdgan.evaluation.metrics.intervals import wilson
from dvdgan.evaluation.record import Verdict

QUANTILE = 0.05
"""The share of held-out clips that are the closest ones."""

FEWEST = 59
"""Clips, held out and samples, below which the absence of copies cannot be told: of fewer, chances are above 5 % that
none is among the closest 5 %."""

_CHANCE = 0.01  # of as many near samples or more, if they were no copies, below which they are taken for copies


@dataclass(frozen=True)
class Closeness:
    """How many samples lie below the closest 5 % of held-out clips, by distance or by ratio.

    Attributes:
        hits: samples below the threshold.
        count: samples.
        low: of the 95 % Wilson interval of their share, like `high`.
        high: see `low`.
        threshold: the value of the last of the closest 5 % of held-out clips (of the closest one, below 20 clips).
        threshold_low: of the 95 % interval of the distribution's own 5 % quantile, like `threshold_high`; None where
            held-out clips are too few to have one.
        threshold_high: see `threshold_low`.
        share_low: share of the samples below `threshold_low`; None with it.
        share_high: share of the samples below `threshold_high`; None with it.
        expected: the share if samples were as held-out clips are.
        chance: of as many samples below the threshold, or more, if samples were as held-out clips are; it counts in
            that both are few.
    """

    hits: int
    count: int
    low: float
    high: float
    threshold: float
    threshold_low: float | None
    threshold_high: float | None
    share_low: float | None
    share_high: float | None
    expected: float
    chance: float


def closeness(values: np.ndarray, held_out: np.ndarray) -> Closeness:
    """How many of `values`, float64 ``[N]``, lie below the closest 5 % of `held_out`, float64 ``[H]``; N, H >= 1.

    The threshold is the k-th lowest of the H values, for the largest k with k / (H + 1) <= 5 % (or the lowest one). One
    more value of their distribution then lies below it with a chance of exactly k / (H + 1), whatever the distribution.
    """
    count, ranked = len(held_out), np.sort(held_out)
    rank = max(1, int(QUANTILE * (count + 1) + 1e-9))
    hits = int((values < ranked[rank - 1]).sum())
    lowest, highest = _quantile_ranks(count)
    low, high = (None if at is None else float(ranked[at - 1]) for at in (lowest, highest))
    interval = wilson(hits, len(values))
    return Closeness(
        hits=hits,
        count=len(values),
        low=interval[0],
        high=interval[1],
        threshold=float(ranked[rank - 1]),
        threshold_low=low,
        threshold_high=high,
        share_low=None if low is None else float((values < low).mean()),
        share_high=None if high is None else float((values < high).mean()),
        expected=rank / (count + 1),
        chance=_chance(hits, len(values), rank, count),
    )


def _quantile_ranks(count: int) -> tuple[int | None, int | None]:
    """Ranks, from 1, between which the 5 % quantile of a distribution lies in 95 % of draws of `count` values."""
    log_odds = math.log(QUANTILE), math.log1p(-QUANTILE)
    logs = [_log_choose(count, k) + k * log_odds[0] + (count - k) * log_odds[1] for k in range(count + 1)]
    at_most = np.cumsum(np.exp(logs))  # of so many values below the quantile
    low = int(np.searchsorted(at_most, 0.025, side="right"))  # the largest r with P(fewer than r below it) <= 2.5 %
    high = int(np.searchsorted(at_most, 0.975)) + 1  # the smallest r with P(fewer than r below it) >= 97.5 %
    return (low or None), (high if high <= count else None)


def _chance(hits: int, count: int, rank: int, held_out: int) -> float:
    """Chance that `hits` or more of `count` values lie below the `rank`-th lowest of others of their distribution."""
    if not hits:
        return 1.0
    orders = _log_choose(count + held_out, held_out)
    logs = [
        _log_choose(near + rank - 1, near) + _log_choose(count - near + held_out - rank, count - near) - orders
        for near in range(hits, count + 1)
    ]
    return float(min(1.0, np.exp(logs).sum()))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def verdict(by_distance: Closeness, by_ratio: Closeness | None, held_out: int, far: bool) -> tuple[Verdict, str]:
    """What the tests say together, and why.

    Args:
        by_distance: samples that lie near to a training clip.
        by_ratio: samples that lie nearer to one training clip than to the next ones; None if there are no others.
        held_out: held-out clips that both are compared with.
        far: whether half of the samples lie farther from training clips than 95 % of held-out clips.
    """
    deciding = by_distance if by_ratio is None else by_ratio
    if deciding.chance < _CHANCE:
        what = "a training clip" if by_ratio is None else "one training clip, as against the next ones,"
        return "copies", (
            f"{deciding.hits} of {deciding.count} samples lie nearer to {what} than the closest held-out clips do "
            f"({percent(deciding.expected)} expected; as many by chance: {_odds(deciding.chance)}). "
            f"Look at the nearest pairs.{_unsure(deciding, held_out)}"
        )
    if held_out < FEWEST or by_distance.count < FEWEST:
        few = f"{by_distance.count} samples and {held_out} held-out clips are too few to tell that there are no copies"
        return "cannot tell", f"{few}; it takes {FEWEST} of each."
    if by_distance.chance < _CHANCE:
        return "cannot tell", (
            f"{by_distance.hits} of {by_distance.count} samples lie near to training clips, more than chance gives "
            f"({percent(by_distance.expected)} expected; as many by chance: {_odds(by_distance.chance)}), "
            "but to several alike and no single one. Bland clips, which lie in the middle of all, do that, and so do "
            "copies of clips that training has many times."
        )
    if far:
        return "cannot tell", (
            "Half of the samples lie farther from every training clip than 95 % of held-out clips do. They are no near "
            "copies, but poor clips lie far from everything, whether or not they began as copies."
        )
    high = max(by_distance.high, deciding.high)
    return "no sign of copies", (
        "No more samples lie near to training clips than of held-out clips"
        f"{'' if by_ratio is None else ', nor near to a single one'}. Up to {percent(high)} of such samples cannot be "
        f"excluded at this count.{_unsure(by_distance, held_out)}"
    )


def _unsure(test: Closeness, held_out: int) -> str:
    """What the threshold's own interval makes of the share."""
    if test.share_high is None:
        return f" {held_out} held-out clips are too few to say how sure the threshold is."
    low = 0.0 if test.share_low is None else test.share_low
    return (
        f" The threshold comes of {held_out} held-out clips; within its 95 % interval, the share of samples is between "
        f"{percent(low)} and {percent(test.share_high)}."
    )


def _odds(chance: float) -> str:
    return "less than 1e-06" if chance < 1e-6 else f"{chance:.1g}"


def percent(share: float) -> str:
    """A share in words, with three significant digits."""
    return f"{100 * share:.3g} %"
