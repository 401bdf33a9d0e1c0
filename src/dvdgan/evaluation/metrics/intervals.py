"""How sure a number is: intervals of shares, spread over seeds, and plain warnings where there are too few clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.metrics.scores import Counts, Score, Spread, check_labels

Z95 = 1.959963984540054
"""Standard deviations of a Gaussian on each side that hold 95 % of it."""

ENOUGH = 10
"""Clips per dimension from which a Gaussian of them is trusted without a warning. At that count two white samples of
one distribution are about a twentieth of its variance apart (see `dvdgan.evaluation.metrics.frechet`)."""

_NAMED = 5  # classes that a warning names


def wilson(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a share of which ``hits`` out of ``count`` independent tries are known (Wilson 1927).

    Of no tries it is from 0 to 1.

    Raises:
        EvaluationError: not ``0 <= hits <= count``.
    """
    if not 0 <= hits <= count:
        raise EvaluationError(f"{hits} hits of {count} tries are no share")
    if not count:
        return 0.0, 1.0
    share, z2 = hits / count, Z95**2
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z95 / (1 + z2 / count) * np.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    low, high = (0.0 if not hits else centre - half), (1.0 if hits == count else centre + half)
    return float(max(0.0, low)), float(min(1.0, high))


def wilson_spread(hits: int, count: int, kind: str = "95 % interval") -> Spread:
    """`wilson` as a `Spread`, for a score that is a share of clips."""
    low, high = wilson(hits, count)
    return Spread(kind, None, low, high)


def over_seeds(scores: Sequence[Score]) -> Score:
    """One score from those of several seeds: their mean, and standard deviation, least and greatest as its spread.

    Args:
        scores: of one name, extractor and number of clips; each seed's clips are others.

    Returns:
        The mean, with ``details`` that hold each seed's value. With one seed, that seed's score and a warning. Without
        a value where any seed has none.

    Raises:
        EvaluationError: no scores, or scores that do not belong together.
    """
    if not scores:
        raise EvaluationError("no scores; give those of at least one seed")
    first = scores[0]
    if any((s.name, s.measured_with, s.counts) != (first.name, first.measured_with, first.counts) for s in scores):
        raise EvaluationError(f"{first.name}: its seeds differ in name, extractor or counts; measure them alike")
    if len(scores) == 1:
        return first.with_warnings("one seed only: how much another seed would change it is not known")
    values = [score.value for score in scores]
    warnings = tuple(dict.fromkeys(warning for score in scores for warning in score.warnings))
    details = {"seeds": values}
    known = np.array([value for value in values if value is not None])
    if len(known) < len(values):
        reason = next(score.reason for score in scores if score.value is None)
        return replace(first, value=None, spread=None, reason=reason, warnings=warnings, details=details)
    kind = f"standard deviation over {len(values)} seeds"
    spread = Spread(kind, float(known.std(ddof=1)), float(known.min()), float(known.max()))
    return replace(first, value=float(known.mean()), spread=spread, warnings=warnings, details=details)


def dimension_warnings(counts: Counts) -> tuple[str, ...]:
    """Warnings where clips are few for the dimension of a Gaussian.

    They go by clips: frames of one clip are alike, so that many frames of few clips do not make up for clips.
    """
    warnings = []
    d = counts.dimension
    for what, clips, vectors in (
        ("real", counts.real, counts.real_vectors),
        ("generated", counts.generated, counts.generated_vectors),
    ):
        frames = f" ({vectors} vectors, but frames of one clip are alike)" if vectors > clips else ""
        if clips <= d:
            singular = "the covariance is singular" if vectors <= d else "the covariance is close to singular"
            warnings.append(
                f"{clips} {what} clips{frames} for {d} dimensions: {singular} and the distance far too high; only "
                "the floor at the same counts tells what it means"
            )
        elif clips < ENOUGH * d:
            warnings.append(
                f"{clips} {what} clips{frames} for {d} dimensions: the distance is too high; from {ENOUGH * d} clips, "
                f"{ENOUGH} per dimension, that matters less"
            )
    return tuple(warnings)


def class_warnings(labels: np.ndarray, classes: Sequence[str], fewest: int, what: str) -> tuple[str, ...]:
    """A warning that names the classes of which there are fewer than ``fewest`` clips, the rarest first.

    Args:
        labels: int64 ``[N]``.
        classes: names, by label; with none there is nothing to warn of.
        fewest: clips of a class.
        what: which clips, such as "generated".

    Raises:
        EvaluationError: labels that are not those of the classes.
    """
    if not classes:
        return ()
    check_labels(labels, len(classes), f"labels of {what} clips")
    counts = np.bincount(labels, minlength=len(classes))
    rare = [int(label) for label in np.argsort(counts, kind="stable") if counts[label] < fewest]
    if not rare:
        return ()
    named = ", ".join(f"{classes[label]} {counts[label]}" for label in rare[:_NAMED])
    more = f" and {len(rare) - _NAMED} more" if len(rare) > _NAMED else ""
    return (f"{len(rare)} of {len(classes)} classes have fewer than {fewest} {what} clips ({named}{more})",)
