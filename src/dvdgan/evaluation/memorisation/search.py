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

from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.memorisation.closeness import closeness, percent, verdict
from dvdgan.evaluation.memorisation.nearest import Nearest
from dvdgan.evaluation.memorisation.results import Histogram, Nearness

_MIX = 0.1  # difference of the classes' shares, 0 to 1, from which a note says that classes are mixed otherwise
_EQUAL = 1e-4  # distance within which features are of one clip, but for rounding
_BINS = 30


@dataclass(frozen=True)
class Comparison:
    """How near samples and held-out clips lie to training clips in one space.

    Attributes:
        record: the verdict, and what it follows from.
        counted: int64, numbers of the held-out clips that counted.
    """

    record: Nearness
    counted: np.ndarray


def compare(
    samples: Nearest,
    held_out: Nearest,
    near_copies: np.ndarray,
    labels: np.ndarray,
    held_out_labels: np.ndarray,
    space: str,
    about: str,
) -> Comparison:
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
    return Comparison(record, counted)


def _mixed_otherwise(labels: np.ndarray, held_out: np.ndarray) -> list[str]:
    """A note, if samples are of other classes than held-out clips, or as often."""
    classes = int(max(labels.max(), held_out.max())) + 1
    shares = [np.bincount(numbers, minlength=classes) / len(numbers) for numbers in (labels, held_out)]
    apart = float(np.abs(shares[0] - shares[1]).sum() / 2)
    if apart <= _MIX:
        return []
    return [
        f"Samples and held-out clips differ in how often each class comes ({percent(apart)} of the clips); as classes "
        "differ in how near their clips are to one another, look at the classes one by one."
    ]


def _histogram(generated: np.ndarray, held_out: np.ndarray) -> Histogram:
    both = np.concatenate([generated, held_out])
    low, high = float(both.min()), float(both.max())
    if high - low < 1e-6 * max(high, 1.0):  # all alike: one bin around them
        low, high = max(0.0, low - 0.5), high + 0.5
    edges = np.linspace(low, high, _BINS + 1)
    edges[0], edges[-1] = low, high
    counts = [np.histogram(values, edges)[0].tolist() for values in (generated, held_out)]
    return Histogram(edges=edges.tolist(), generated=counts[0], held_out=counts[1])
