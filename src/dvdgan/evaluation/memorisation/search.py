"""Are samples copies of training clips? How near they lie to them, against how near held-out clips lie (PAPER.md 9).

Held-out clips were never seen in training, so a sample that lies nearer to a training clip than the closest 5 % of them
is suspicious. Of samples that are no copies, about 5 % do.

Distance alone errs both ways: bland clips lie in the middle of all, near to many training clips that they copy nothing
of, and a copy that is noisy or blurred lies farther away than a new clip would. So a second test, which decides, asks
how near the nearest training clip is as a share of how near the 20 next ones are, again against held-out clips (after
the adaptive threshold of Carlini et al. 2023, "Extracting Training Data from Diffusion Models"). It too fails where a
flaw that copies share is larger than training clips are apart.

Both compare samples with held-out clips as two draws of one distribution. That the classes are mixed alike is up to the
caller; that held-out clips are no near copies of training clips, or of one another, is up to their groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.measured import Share
from dvdgan.evaluation.memorisation.nearest import Nearest
from dvdgan.evaluation.memorisation.results import Histogram, Nearness, Verdict

QUANTILE = 0.05
"""The share of held-out clips that are the closest ones."""

FEWEST = 59
"""Clips, held out and samples, from which on the absence of copies can be stated: of fewer, chances are above 5 % that
none is among the closest 5 %."""

_CHANCE = 0.01  # of as many near samples or more, if they were no copies, below which they are taken for copies
_MIX = 0.1  # difference of the classes' shares, 0 to 1, from which a note says that classes are mixed otherwise
_EQUAL = 1e-4  # distance within which features are of one clip, but for rounding
_BINS = 30


def compare(
    samples: Nearest,
    held_out: Nearest,
    near_copies: np.ndarray,
    labels: np.ndarray,
    held_out_labels: np.ndarray,
    space: str,
    about: str,
) -> tuple[Nearness, np.ndarray]:
    """Compare how near samples and held-out clips lie to training clips.

    Args:
        samples: what lies nearest to each of the N samples.
        held_out: what lies nearest to each of H clips that were not trained on, one window each.
        near_copies: bool ``[H]``, held-out clips that have near copies among the training clips: they are left out,
            since they would make near what is not, as are those with the same features as a training clip.
        labels: int64 ``[N]``, the classes of the samples.
        held_out_labels: int64 ``[H]``.
        space: name of the features.
        about: what they see, and over what the nearest was sought.

    Returns:
        The verdict with what it follows from, and the numbers of the held-out clips that counted, int64.

    Raises:
        EvaluationError: no held-out clip counts.
    """
    equalling = (held_out.distances <= _EQUAL) & ~near_copies
    counted, count = np.flatnonzero(~near_copies & ~equalling), len(near_copies)
    if not len(counted):
        raise EvaluationError(
            f"{space}: each of the {count} held-out clips has a near copy among the training clips, so none is held "
            "out; hold out other clips (data.test_fraction, data.group)"
        )
    distances = held_out.distances[counted]
    by_distance, by_ratio = closeness(samples.distances, distances), None
    if samples.ratios is not None and held_out.ratios is not None:
        by_ratio = closeness(samples.ratios, held_out.ratios[counted])
    far = float(np.median(samples.distances)) > float(np.quantile(distances, 0.95))
    word, reason = verdict(by_distance, by_ratio, len(counted), far)
    notes = []
    if near_copies.any():
        notes.append(f"{near_copies.sum()} of {count} held-out clips have near copies in training and were left out.")
    if equalling.any():
        notes.append(f"{equalling.sum()} of {count} held-out clips equal a training clip and were left out.")
    notes += _mixed_otherwise(labels, held_out_labels[counted])
    record = Nearness(
        space=space,
        about=about,
        threshold=by_distance.threshold,
        nearer=by_distance.below,
        expected=by_distance.expected,
        alone=None if by_ratio is None else by_ratio.below,
        verdict=word,
        reason=" ".join([reason, *notes]),
        histogram=_histogram(samples.distances, distances),
    )
    return record, counted


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
    ends = stats.quantile_test(held_out, p=QUANTILE).confidence_interval(0.95)
    low, high = (None if np.isnan(end) else float((values < end).mean()) for end in ends)
    return Closeness(
        below=Share.make(hits, len(values)),
        threshold=float(ranked[rank - 1]),
        between=(low, high),
        expected=rank / (count + 1),
        chance=float(min(1.0, chance)) if hits else 1.0,
    )


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
            f"({_percent(deciding.expected)} expected; as many by chance: {_odds(deciding.chance)}). "
            f"Look at the nearest pairs.{_unsure(deciding, held_out)}"
        )
    if held_out < FEWEST or by_distance.below.of < FEWEST:
        few = f"{by_distance.below.of} samples and {held_out} held-out clips are too few"
        return "cannot tell", f"{few} to tell that there are no copies; it takes {FEWEST} of each."
    if by_distance.chance < _CHANCE:
        return "cannot tell", (
            f"{by_distance.below.hits} of {by_distance.below.of} samples lie near to training clips, more than chance "
            f"gives ({_percent(by_distance.expected)} expected; as many by chance: {_odds(by_distance.chance)}), "
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
        f"{'' if by_ratio is None else ', nor near to a single one'}. Up to {_percent(high)} of such samples cannot be "
        f"excluded at this count.{_unsure(by_distance, held_out)}"
    )


def _unsure(test: Closeness, held_out: int) -> str:
    """What the threshold's own interval makes of the share."""
    low, high = test.between
    if high is None:
        return f" {held_out} held-out clips are too few to say how sure the threshold is."
    return (
        f" The threshold comes of {held_out} held-out clips; within its 95 % interval, the share of samples is between "
        f"{_percent(low or 0.0)} and {_percent(high)}."
    )


def _odds(chance: float) -> str:
    return "less than 1e-06" if chance < 1e-6 else f"{chance:.1g}"


def _percent(share: float) -> str:
    """A share in words, with three significant digits."""
    return f"{100 * share:.3g} %"


def _mixed_otherwise(labels: np.ndarray, held_out: np.ndarray) -> list[str]:
    """A note, if samples are of other classes than held-out clips, or as often."""
    classes = int(max(labels.max(), held_out.max())) + 1
    shares = [np.bincount(numbers, minlength=classes) / len(numbers) for numbers in (labels, held_out)]
    apart = float(np.abs(shares[0] - shares[1]).sum() / 2)
    if apart <= _MIX:
        return []
    return [
        f"Samples and held-out clips differ in how often each class comes ({_percent(apart)} of the clips); as classes "
        "differ in how near their clips are to one another, look at the classes one by one."
    ]


def _histogram(generated: np.ndarray, held_out: np.ndarray) -> Histogram:
    both = np.concatenate([generated, held_out])
    low, high = float(both.min()), float(both.max())
    if high - low < 1e-6 * max(high, 1.0):  # all alike: one bin around them
        low, high = max(0.0, low - 0.5), high + 0.5
    edges = np.linspace(low, high, _BINS + 1)
    counts = [np.histogram(values, edges)[0].tolist() for values in (generated, held_out)]
    return Histogram(edges=edges.tolist(), generated=counts[0], held_out=counts[1])
