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

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.memorisation.closeness import Closeness, closeness, percent, verdict
from dvdgan.evaluation.memorisation.nearest import Nearest, References, Scale, equal, nearest, shared
from dvdgan.evaluation.metrics.intervals import wilson
from dvdgan.evaluation.record import Verdict

_MIX = 0.1  # difference of the classes' shares, 0 to 1, from which a note says that classes are mixed otherwise


@dataclass(frozen=True)
class Neighbour:
    """A clip and the training clip that lies nearest to it.

    Attributes:
        row: the clip's number among the samples or among the held-out clips.
        training: the training clip's number.
        window: the row of the references: which window of it.
        shift: frames of the source by which that window begins later than the middle one.
        flipped: whether it is mirrored.
        distance: see `dvdgan.evaluation.memorisation.nearest`.
        ratio: of the distance to the mean one of the 20 nearest other groups; None without others.
        nearer_held_out: share of the held-out clips that lie nearer to a training clip.
    """

    row: int
    training: int
    window: int
    shift: int
    flipped: bool
    distance: float
    ratio: float | None
    nearer_held_out: float


@dataclass(frozen=True)
class OfClass:
    """One class: how many of its samples, and of its held-out clips, lie below the threshold of all."""

    hits: int
    count: int
    low: float
    high: float
    held_out_hits: int
    held_out_count: int


@dataclass(frozen=True)
class Memorisation:
    """How near samples lie to training clips in one space of features.

    Attributes:
        space: its name.
        verdict: in one of three words.
        reason: the verdict's reason, in a sentence or two.
        by_distance: samples nearer to a training clip than the closest 5 % of held-out clips.
        by_ratio: samples whose nearest training clip is nearer, as a share of how near the next ones are, than that of
            the closest 5 % of held-out clips; None where all training clips are one group.
        distances: float64 ``[N]``, of each sample to its nearest training clip.
        held_out_distances: float64 ``[H]``, of the held-out clips that counted.
        held_out_rows: int64 ``[H]``, their numbers.
        training_count: training clips.
        training_windows: windows in which they were looked up.
        sharing: held-out clips that were left out because they share a group with a training clip.
        equalling: further held-out clips that were left out because a training clip has the same features.
        by_class: the same for each class that has samples; empty without labels.
        notes: what else limits the verdict, a sentence each.
        pairs: the samples that lie nearest to a training clip, the nearest first.
        held_out_pairs: likewise of held-out clips, to compare them with.
    """

    space: str
    verdict: Verdict
    reason: str
    by_distance: Closeness
    by_ratio: Closeness | None
    distances: np.ndarray
    held_out_distances: np.ndarray
    held_out_rows: np.ndarray
    training_count: int
    training_windows: int
    sharing: int
    equalling: int
    by_class: dict[str, OfClass]
    notes: list[str]
    pairs: list[Neighbour]
    held_out_pairs: list[Neighbour]

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values; distances with five significant digits."""
        values = asdict(self)
        for name in ("distances", "held_out_distances"):
            values[name] = [float(f"{value:.5g}") for value in values[name]]
        values["held_out_rows"] = self.held_out_rows.tolist()
        return values


def memorisation(
    samples: np.ndarray,
    training: References,
    held_out: np.ndarray,
    space: str,
    held_out_groups: Sequence[str] | None = None,
    labels: np.ndarray | None = None,
    held_out_labels: np.ndarray | None = None,
    classes: Sequence[str] = (),
    near_copies: np.ndarray | None = None,
    scale: Scale | None = None,
    pairs: int = 12,
    progress: bool = False,
) -> Memorisation:
    """Compare how near samples and held-out clips lie to training clips.

    Args:
        samples: float32 ``[N, D]``, features of the samples.
        training: features of the training clips, in all their windows, and their groups.
        held_out: float32 ``[H, D]``, features of clips that were not trained on, one window each.
        space: name of the features, for the report.
        held_out_groups: H names; a held-out clip whose group has training clips is left out, since it would make near
            what is not. None leaves none out so.
        labels: int64 ``[N]``, the classes of the samples; None says nothing by class.
        held_out_labels: int64 ``[H]``; needed with `labels`.
        classes: names of the classes; needed with `labels`.
        near_copies: bool ``[H]``, held-out clips that are known to be near copies of training clips; left out too.
        scale: units of the distances; None is the training clips' spread.
        pairs: how many of the nearest pairs are listed, of either kind.
        progress: show a progress bar on stderr.

    Raises:
        EvaluationError: features, groups or labels that do not fit together, or no held-out clip that counts.
    """
    count = len(held_out)
    for name, given in (("groups", held_out_groups), ("labels", held_out_labels), ("near_copies", near_copies)):
        if given is not None and len(given) != count:
            raise EvaluationError(f"{space}: {len(given)} {name} for {count} held-out clips")
    if labels is not None and (held_out_labels is None or len(labels) != len(samples) or not classes):
        raise EvaluationError(f"{space}: labels go with one for each sample and held-out clip, and names of classes")
    scale = Scale.of(training.features) if scale is None else scale
    sharing = np.zeros(count, bool) if near_copies is None else np.asarray(near_copies, bool)
    if held_out_groups is not None:
        own = range(training.count) if training.groups is None else training.groups
        sharing = sharing | shared(held_out_groups, [str(group) for group in own])
    of_held_out = nearest(held_out, training, scale, progress)
    equalling = equal(of_held_out) & ~sharing
    rows = np.flatnonzero(~sharing & ~equalling)
    if not len(rows):
        raise EvaluationError(
            f"{space}: each of the {count} held-out clips has a near copy among the training clips, so none is held "
            "out; hold out other clips (data.test_fraction, data.group)"
        )
    of_samples = nearest(samples, training, scale, progress)
    by_distance = closeness(of_samples.distances, of_held_out.distances[rows])
    ratios, theirs = of_samples.ratios, of_held_out.ratios
    by_ratio = None if ratios is None or theirs is None else closeness(ratios, theirs[rows])
    notes = _notes(int(sharing.sum()), int(equalling.sum()), count)
    by_class: dict[str, OfClass] = {}
    if labels is not None and held_out_labels is not None:
        others = held_out_labels[rows]
        near = of_samples.distances < by_distance.threshold, of_held_out.distances[rows] < by_distance.threshold
        by_class = _by_class(near, (labels, others), classes)
        notes += _mixed_otherwise(labels, others, classes)
    far = float(np.median(of_samples.distances)) > float(np.quantile(of_held_out.distances[rows], 0.95))
    word, reason = verdict(by_distance, by_ratio, len(rows), far)
    return Memorisation(
        space=space,
        verdict=word,
        reason=reason,
        by_distance=by_distance,
        by_ratio=by_ratio,
        distances=of_samples.distances,
        held_out_distances=of_held_out.distances[rows],
        held_out_rows=rows,
        training_count=training.count,
        training_windows=len(training.features),
        sharing=int(sharing.sum()),
        equalling=int(equalling.sum()),
        by_class=by_class,
        notes=notes,
        pairs=_pairs(of_samples, np.arange(len(samples)), training, of_held_out.distances[rows], pairs),
        held_out_pairs=_pairs(of_held_out, rows, training, of_held_out.distances[rows], pairs),
    )


def _notes(sharing: int, equalling: int, count: int) -> list[str]:
    notes = []
    if sharing:
        notes.append(f"{sharing} of {count} held-out clips have near copies in training and were left out.")
    if equalling:
        notes.append(f"{equalling} of {count} held-out clips equal a training clip and were left out.")
    return notes


def _by_class(
    near: tuple[np.ndarray, np.ndarray], labels: tuple[np.ndarray, np.ndarray], classes: Sequence[str]
) -> dict[str, OfClass]:
    found = {}
    for label, name in enumerate(classes):
        own, theirs = (hits[numbers == label] for hits, numbers in zip(near, labels))
        if len(own):
            interval = wilson(int(own.sum()), len(own))
            found[name] = OfClass(int(own.sum()), len(own), *interval, int(theirs.sum()), len(theirs))
    return found


def _mixed_otherwise(labels: np.ndarray, held_out: np.ndarray, classes: Sequence[str]) -> list[str]:
    """A note, if samples are of other classes than held-out clips, or as often."""
    shares = [np.bincount(numbers, minlength=len(classes)) / len(numbers) for numbers in (labels, held_out)]
    apart = float(np.abs(shares[0] - shares[1]).sum() / 2)
    if apart <= _MIX:
        return []
    return [
        f"Samples and held-out clips differ in how often each class comes ({percent(apart)} of the clips); as classes "
        "differ in how near their clips are to one another, look at the classes one by one."
    ]


def _pairs(found: Nearest, rows: np.ndarray, training: References, held_out: np.ndarray, most: int) -> list[Neighbour]:
    order = rows[np.argsort(found.distances[rows], kind="stable")][:most]
    return [
        Neighbour(
            row=int(row),
            training=int(training.clips[found.rows[row]]),
            window=int(found.rows[row]),
            shift=int(training.shifts[found.rows[row]]),
            flipped=bool(training.flipped[found.rows[row]]),
            distance=float(found.distances[row]),
            ratio=None if found.ratios is None else float(found.ratios[row]),
            nearer_held_out=float((held_out < found.distances[row]).mean()),
        )
        for row in order
    ]
