"""Which clips an evaluation looks at: generated ones, real ones that they are compared with, and held-out real ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dvdgan.evaluation.classifier.data import Parts
from dvdgan.evaluation.clipsets import ClipSet, Subset
from dvdgan.evaluation.clipsets_choice import apportioned
from dvdgan.evaluation.clipsets_data import DatasetSet, readable
from dvdgan.evaluation.clipsets_model import ModelSet
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.evaluate_kept import Kept
from dvdgan.evaluation.evaluate_settings import SEEDS_APART, EvaluationSettings
from dvdgan.evaluation.memorisation.windows import groups_of
from dvdgan.models import Model

REFERENCE = 2
"""Reference clips, and held-out clips, for each clip of a generated set: floors draw halves of the held-out ones."""

_NAMED = 5  # classes that a warning names
_FEWEST_TIMES = 1.5  # clips for each of a generated set from which floors have draws that differ
_SPEED = 1.05  # ratio of frame rates from which clips are said to be of another speed


class Chosen(Subset):
    """Some clips of a set, with the evaluation's own classes.

    Args:
        whole: the set.
        rows: numbers of its clips.
        labels: int64 ``[n]``, the class of each, among `classes`.
        classes: names, the same for all sets of an evaluation.
        name: what the report calls it.
    """

    def __init__(
        self, whole: ClipSet, rows: np.ndarray, labels: np.ndarray, classes: Sequence[str], name: str | None = None
    ) -> None:
        """Take over what the set says of these clips, but for their classes."""
        super().__init__(whole, rows, name)
        self.classes, self.labels = list(classes), np.asarray(labels, np.int64)


@dataclass
class Sets:
    """The clips of an evaluation, all of one size and length, with the same classes.

    Attributes:
        classes: names; empty if either side has none.
        weights: how often each class comes in training; one number without classes.
        generated: the sets of generated clips, equally many in each.
        reference: real clips of the training part.
        held_out: real clips that were not trained on.
        standins: as many of these as a set of generated clips has, or all: what is damaged.
        training: all clips of the training part, in the order of the data set.
        groups: of each held-out clip, what it shares with its near copies.
        seeds: the first seed of each generated set; empty where clips come from a folder.
        warnings: what is not as asked.
    """

    classes: list[str]
    weights: list[float]
    generated: list[ClipSet]
    reference: ClipSet
    held_out: ClipSet
    standins: ClipSet
    training: DatasetSet
    groups: list[str]
    seeds: list[int]
    warnings: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Clips of each generated set."""
        return len(self.generated[0])


def choose_sets(made: Model | DatasetSet, parts: Parts, settings: EvaluationSettings, folder: Path) -> Sets:
    """Choose the clips, classes coming as often as training shows them; the rest follows from the settings' seed.

    Args:
        made: a model, or clips from a folder.
        parts: both parts of the data, of the same size and length.
        settings: how many.
        folder: where a model's clips are kept.

    Raises:
        EvaluationError: no class in common, or too few clips to compare anything.
    """
    warnings: list[str] = []
    classes = _common(made.classes, parts.train.classes, warnings)
    training = DatasetSet(parts.train, "train", fps=parts.held_out.fps * parts.train.stride)
    weights = [1.0]
    if classes:
        known = dict(zip(parts.train.classes, parts.train.class_weights))
        weights = [known[name] for name in classes]
    count = settings.clips(len(classes))
    if settings.num is None and len(parts.held_out) < REFERENCE * count:
        count = min(count, max(2, len(parts.held_out) // REFERENCE))
        warnings.append(
            f"{count} clips a set, half of those that are held out: of more, floors would have few draws (--num)"
        )
    pools = {"training": _Pool(training, classes), "held-out": _Pool(parts.held_out, classes)}
    wanted = np.bincount(apportioned(weights, count), minlength=len(weights))
    generated: list[ClipSet]
    if isinstance(made, Model):
        seeds = [place * SEEDS_APART for place in range(settings.seeds)]
        options = settings.truncation, settings.frames, folder
        generated = [model_set(made, classes, weights, count, seed, *options) for seed in seeds]
    else:
        generated, seeds = _of_folder(_Pool(made, classes), wanted, settings, warnings), []
        wanted = np.bincount(generated[0].labels, minlength=len(weights))
    rows = {name: pool.deal(pool.real_counts(wanted), settings.seed)[0] for name, pool in pools.items()}
    for name, pool in pools.items():
        rows[name], lost = pool.readable(rows[name], folder)
        warnings += lost
        so = "scores, floors and controls are then not of the same mix; take fewer clips (--num)"
        warnings += pool.missing(pool.real_counts(wanted), classes, name, so)
    for clips in (training, parts.held_out, *([made] if isinstance(made, DatasetSet) else [])):
        warnings += _left_out(clips)
    if isinstance(made, DatasetSet) and not 1 / _SPEED < made.fps / parts.held_out.fps < _SPEED:
        rates = f"{made.fps:g} frames per second, real ones {parts.held_out.fps:g}"
        warnings.append(f"generated clips have {rates}: movement is compared frame by frame, at these two speeds")
    standins = np.intersect1d(pools["held-out"].deal(wanted, settings.seed)[0], rows["held-out"])
    reference, held_out = (pools[name].chosen(rows[name]) for name in ("training", "held-out"))
    if min(len(reference), len(held_out), len(standins), len(generated[0])) < 2:
        raise EvaluationError(
            f"{parts.held_out.name}: {len(held_out)} held-out, {len(reference)} training and {len(generated[0])} "
            "generated clips are too few to compare; add clips, or hold more out (data.test_fraction)"
        )
    groups = groups_of(parts.held_out)
    if parts.held_out.dataset.store.path != parts.train.store.path:  # other clips, whatever they are called
        groups = [f"held out: {group}" for group in groups]
    return Sets(
        classes=classes,
        weights=weights,
        generated=generated,
        reference=reference,
        held_out=held_out,
        standins=pools["held-out"].chosen(standins),
        training=training,
        groups=[groups[row] for row in rows["held-out"]],
        seeds=seeds,
        warnings=warnings,
    )


class _Pool:
    """Clips that are chosen from: by a hash of their names, the lowest of each class first."""

    def __init__(self, whole: ClipSet, classes: Sequence[str]) -> None:
        self.whole, self.classes = whole, classes
        index = {name: label for label, name in enumerate(classes)}
        order = np.array([index.get(name, -1) for name in whole.classes] or [0], np.int64) if classes else None
        self.labels = np.zeros(len(whole), np.int64) if order is None else order[whole.labels]

    def deal(self, wanted: np.ndarray, seed: int, sets: int = 1) -> list[np.ndarray]:
        """Rows of several sets that share none, each with so many clips of each class, or as many as there are."""
        dealt: list[list[np.ndarray]] = [[] for _ in range(sets)]
        for label, number in enumerate(wanted.tolist()):
            members = np.flatnonzero(self.labels == label).tolist()
            rank = {row: hashlib.sha256(f"{seed}:{self.whole.ids[row]}".encode()).digest() for row in members}
            members.sort(key=lambda row: (rank[row], row))
            number = min(number, len(members) // sets)
            for place in range(sets):
                dealt[place].append(np.array(members[place * number : (place + 1) * number], np.int64))
        return [np.sort(np.concatenate(rows)) for rows in dealt]

    def real_counts(self, wanted: np.ndarray) -> np.ndarray:
        """`REFERENCE` times as many of each class; somewhat fewer of all if that keeps the mix that is wanted."""
        there = np.bincount(self.labels[self.labels >= 0], minlength=len(wanted))
        often = min((there[label] / number for label, number in enumerate(wanted) if number), default=0.0)
        times = min(often, REFERENCE) if often >= _FEWEST_TIMES else REFERENCE
        return np.floor(wanted * times + 1e-9).astype(np.int64)

    def readable(self, rows: np.ndarray, folder: Path) -> tuple[np.ndarray, list[str]]:
        """Those of these rows that can be read, and a warning of the others."""
        if not isinstance(self.whole, DatasetSet):
            return rows, []
        kept = rows[readable(self.whole.only(rows), folder)]
        lost = [self.whole.ids[row] for row in np.setdiff1d(rows, kept)]
        more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
        return kept, [f"left out, since they cannot be read: {', '.join(lost[:_NAMED])}{more}"] if lost else []

    def chosen(self, rows: np.ndarray, name: str | None = None) -> ClipSet:
        """These clips, as a set of the evaluation."""
        return Chosen(self.whole, rows, self.labels[rows], self.classes, name)

    def missing(self, wanted: np.ndarray, classes: Sequence[str], what: str, so: str) -> list[str]:
        """A warning that names the classes with fewer clips than wanted, and says what follows."""
        there = np.bincount(self.labels[self.labels >= 0], minlength=len(wanted))
        few = [label for label in range(len(wanted)) if there[label] < wanted[label]]
        if not few:
            return []
        if not classes:
            return [f"there are {there[0]} {what} clips, not {wanted[0]}: {so}"]
        named = ", ".join(f"{classes[label]} {there[label]} of {wanted[label]}" for label in few[:_NAMED])
        more = f" and {len(few) - _NAMED} more" if len(few) > _NAMED else ""
        return [f"{len(few)} of {len(classes)} classes have fewer {what} clips than asked ({named}{more}): {so}"]


def model_set(
    model: Model,
    classes: Sequence[str],
    weights: Sequence[float],
    count: int,
    first_seed: int,
    truncation: float,
    frames: int | None,
    folder: Path,
) -> Kept:
    """A model's clips under the evaluation's classes, kept in a folder; classes come as often as their weights say."""
    labels = own = apportioned(weights, count)
    if model.classes:
        numbers = np.array([model.classes.index(name) for name in classes], np.int64)
        own = numbers[labels] if classes else apportioned(model.class_weights, count)
    seeds = range(first_seed, first_seed + count)
    made = ModelSet(model, own if model.classes else None, seeds, truncation, frames=frames)
    return Kept(Chosen(made, np.arange(count), labels, classes), folder)


def _of_folder(pool: _Pool, wanted: np.ndarray, settings: EvaluationSettings, warnings: list[str]) -> list[ClipSet]:
    """As many sets, up to the settings' seeds, as there are clips for; with fewer clips than for one, one of all."""
    there = np.bincount(pool.labels[pool.labels >= 0], minlength=len(wanted))
    full = [int(there[label] // number) for label, number in enumerate(wanted) if number]
    sets = min(settings.seeds, max(1, min(full)))
    if sets < settings.seeds:
        warnings.append(
            f"{len(pool.whole)} clips in {pool.whole.name} are enough for {sets} of {settings.seeds} sets of "
            f"{int(wanted.sum())}; with fewer clips a set (--num) there is a spread over more sets"
        )
    warnings += pool.missing(wanted, pool.classes, "generated", "real clips are taken in the same mix")
    names = [pool.whole.name if sets == 1 else f"{pool.whole.name}, set {place + 1}" for place in range(sets)]
    return [pool.chosen(rows, name) for rows, name in zip(pool.deal(wanted, settings.seed, sets), names)]


def _left_out(clips: DatasetSet) -> list[str]:
    """Warnings of clips that are too short, and of files that could not be read."""
    dataset, found = clips.dataset, []
    if dataset.left_out:
        found.append(f"{clips.name}: {dataset.left_out} clips are shorter than {clips.frames} frames and left out")
    if dataset.store.skipped:
        found.append(f"{clips.name}: {len(dataset.store.skipped)} files could not be read")
    return found


def _common(made: Sequence[str], real: Sequence[str], warnings: list[str]) -> list[str]:
    """The classes that both sides have, in the data's order."""
    if not made or not real:
        if made or real:
            which = "the data has" if made else "the generated clips have"
            warnings.append(f"{which} no classes, so nothing is told class by class")
        return []
    common = [name for name in real if name in made]
    if not common:
        raise EvaluationError(
            f"generated clips have the classes {', '.join(made[:8])}, the data {', '.join(real[:8])}: they share none; "
            "give the data that the model was trained on, or name the class folders alike"
        )
    for where, names, others in (("the generated clips", real, made), ("the data", made, real)):
        if lacking := [name for name in names if name not in others]:
            more = " …" if len(lacking) > _NAMED else ""
            warnings.append(f"left out, since {where} do not have them: {', '.join(lacking[:_NAMED])}{more}")
    return common
