"""Intervals of shares."""

from __future__ import annotations


def wilson(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a share of which ``hits`` out of ``count`` independent tries are known (Wilson 1927).

    Of no tries it is from 0 to 1.
    """
    from scipy.stats import binomtest  # takes half a second, which commands without shares need not wait for

    if not count:
        return 0.0, 1.0
    interval = binomtest(hits, count).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)
