"""Intervals of shares and of means."""

from __future__ import annotations

import numpy as np


def wilson(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a share of which ``hits`` out of ``count`` independent tries are known (Wilson 1927).

    Of no tries it is from 0 to 1.
    """
    from scipy.stats import binomtest  # takes half a second, which commands without shares need not wait for

    if not count:
        return 0.0, 1.0
    interval = binomtest(hits, count).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def mean_half_width(values: np.ndarray) -> np.ndarray:
    """Half the width of the 95 % interval of a mean (Student's t), over the first axis of independent values.

    Args:
        values: ``[N, ...]``, N of 2 or more.
    """
    from scipy.stats import t

    count = len(values)
    return t.ppf(0.975, count - 1) * values.std(0, ddof=1) / np.sqrt(count)
