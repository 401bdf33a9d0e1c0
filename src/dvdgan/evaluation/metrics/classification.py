"""What a classifier says of generated clips: are they clear and varied, and of the class that they were made for?"""

from __future__ import annotations

import numpy as np
from scipy.special import rel_entr

from dvdgan.evaluation.measured import Measured
from dvdgan.randomness import numpy_generator

SPLITS = 10
"""Into how many parts the clips are split for the Inception Score, as published; fewer where a part would have fewer
than 2 clips."""


def inception_score(probabilities: np.ndarray) -> Measured:
    """exp of the mean KL divergence of each clip's class probabilities from their mean (Salimans et al. 2016).

    From 1, where every clip is classified alike, to the number of classes, where each is clear and all are equally
    frequent. It does not see whether clips look real, nor whether those of one class differ. A part of n clips cannot
    score above n.

    Args:
        probabilities: ``[N, K]``, rows that sum to 1.

    Returns:
        The mean over random, nearly equal parts, with the deviation over them (divided by their number, as published).
    """
    p = np.asarray(probabilities, np.float64)
    p = p / p.sum(1, keepdims=True)
    splits = _splits(len(p))
    parts = np.array_split(numpy_generator(0, "inception score").permutation(len(p)), splits)
    values = np.array([np.exp(rel_entr(p[part], p[part].mean(0)).sum(1).mean()) for part in parts])
    if splits == 1:
        return Measured(value=values[0])
    over = f"standard deviation over {splits} splits"
    return Measured(value=values.mean(), spread=values.std(), low=values.min(), high=values.max(), over=over)


def few_in_a_split(clips: int, classes: int) -> list[str]:
    """A warning where the parts of an `inception_score` have few clips for the classes."""
    splits = _splits(clips)
    if splits == 1 or clips // splits >= 10 * classes:
        return []
    return [
        f"each of {splits} splits has {clips // splits} clips for {classes} classes; with fewer than ten a class the "
        "score is too low: compare it only at equal counts"
    ]


def _splits(clips: int) -> int:
    return max(1, min(SPLITS, clips // 2))
