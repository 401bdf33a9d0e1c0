"""Which clips an evaluation looks at: generated ones, real ones that they are compared with, and held-out real ones."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dvdgan.data.decode.clip import VIDEO_SUFFIXES
from dvdgan.evaluation.cache import Cache
from dvdgan.evaluation.clip_set import ClipSet, apportioned, ranked
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.model_clips import model_set, start_rows
from dvdgan.evaluation.parts import Parts
from dvdgan.evaluation.real_clips import RealClips, middle_windows, readable
from dvdgan.evaluation.settings import SEEDS_APART, EvaluationSettings
from dvdgan.models import Model
from dvdgan.wording import some_of

REFERENCE = 2
"""Reference clips, and held-out clips, for each clip of a generated set: baselines draw halves of the held-out ones."""

_COARSE = 64  # pixels up to which it matters that video files halve the resolution of colour
_NAMED = 5  # classes that a warning names
_FEWEST_TIMES = 1.5  # clips for each of a generated set from which repeats of the baseline differ
_SPEED = 1.05  # ratio of frame rates from which clips are said to be of another speed


@dataclass
class Sets:
    """The clips of an evaluation, all of one size and length, with the same classes.

    Attributes:
        classes: names; empty if either side has none.
        weights: how often each class comes in training; one number without classes.
        generated: the sets of generated clips, equally many in each.
        reference: real clips of the training part.
        held_out: real clips that were not trained on.
        controls: as many of these as a set of generated clips has, or all: what is corrupted.
        training: all clips of the training part, in the order of the data set.
        groups: of each held-out clip, what it shares with its near copies.
        seeds: the first seed of each generated set; empty where clips come from a folder.
        warnings: what is not as asked.
        starts: held-out clips whose first frames each clip of a generated set begins with, the same for every set; None
            unless the model predicts what follows.
        given: how many first frames that are.
    """

    classes: list[str]
    weights: list[float]
    generated: list[ClipSet]
    reference: ClipSet
    held_out: ClipSet
    controls: ClipSet
    training: RealClips
    groups: list[str]
    seeds: list[int]
    warnings: list[str]
    starts: ClipSet | None = None
    given: int = 0

    @property
    def count(self) -> int:
        """Clips of each generated set."""
        return len(self.generated[0])


def choose_sets(made: Model | RealClips, parts: Parts, settings: EvaluationSettings, cache: Cache) -> Sets:
    """Choose the clips, classes coming as often as training shows them; the rest follows from the settings' seed.

    Raises:
        EvaluationError: no class in common, or too few clips to compare anything.
    """
    warnings: list[str] = []
    if isinstance(made, RealClips):
        made = _as_in_data(made, parts.train.classes, warnings)
        warnings += _coarse_colour(made, parts)
    classes = _common(made.classes, parts.train.classes, warnings)
    training = middle_windows(parts.train, "train", fps=parts.held_out.fps * parts.train.config.stride)
    weights = [1.0]
    if classes:
        known = dict(zip(parts.train.classes, parts.train.class_weights))
        weights = [known[name] for name in classes]
    count = settings.clips(len(classes))
    if settings.num is None and len(parts.held_out) < REFERENCE * count:
        count = min(count, max(2, len(parts.held_out) // REFERENCE))
        warnings.append(
            f"{count} clips a set, half of those that are held out: of more, baselines would hardly differ (num)"
        )
    pools = {"training": _Pool(training, classes), "held-out": _Pool(parts.held_out, classes)}
    wanted = np.bincount(apportioned(weights, count), minlength=len(weights))
    generated: list[ClipSet]
    seeds: list[int] = []
    if isinstance(made, RealClips) and len(made) < 2:
        raise EvaluationError(f"{made.name}: {len(made)} clip is too few to compare; it takes 2")
    if isinstance(made, RealClips):
        generated = _of_folder(_Pool(made, classes), wanted, settings, warnings)
        wanted = np.bincount(generated[0].labels, minlength=len(weights))
    chosen: dict[str, ClipSet] = {}
    rows: dict[str, np.ndarray] = {}
    for name, pool in pools.items():
        rows[name] = pool.readable(pool.deal(pool.real_counts(wanted), settings.seed)[0], cache, warnings)
        chosen[name] = pool.take(rows[name])
        so = "scores, baselines and controls are then not of the same mix; take fewer clips (num)"
        warnings += pool.missing(pool.real_counts(wanted), name, so)
    starts, given = None, 0
    if isinstance(made, Model):
        if given := made.config.network.first_frames:
            pool, able = pools["held-out"], rows["held-out"]
            chosen_rows = start_rows(pool.whole, able, pool.labels[able], weights, count, settings.seed)
            starts = pool.take(chosen_rows, "held-out clips whose first frames are given")
            if made.classes and not classes:
                warnings.append("clips go on from held-out ones of no known class, under the model's classes in turn")
        seeds = [place * SEEDS_APART for place in range(settings.seeds)]
        generated = [
            model_set(made, classes, weights, count, seed, settings.truncation, settings.frames, cache, starts)
            for seed in seeds
        ]
    for clips in (training, parts.held_out, *([made] if isinstance(made, RealClips) else [])):
        warnings += _left_out(clips)
    if isinstance(made, RealClips) and not 1 / _SPEED < made.fps / parts.held_out.fps < _SPEED:
        rates = f"{made.fps:g} frames per second, real ones {parts.held_out.fps:g}"
        warnings.append(f"generated clips have {rates}: movement is compared frame by frame, at these two speeds")
    controls = np.intersect1d(pools["held-out"].deal(wanted, settings.seed)[0], rows["held-out"])
    if len(generated[0]) < 2:
        raise EvaluationError(f"{generated[0].name}: {len(generated[0])} clips are too few to compare; it takes 2")
    if min(len(controls), *map(len, chosen.values())) < 2:
        raise EvaluationError(
            f"{parts.train.store.about.get('root', parts.train.store.path)}: {len(chosen['held-out'])} held-out and "
            f"{len(chosen['training'])} training clips are too few to compare; add clips, or hold more out "
            "(data.test_fraction)"
        )
    groups = parts.held_out.groups
    if parts.held_out.dataset.store.path != parts.train.store.path:  # other clips, whatever they are called
        groups = [f"held out: {group}" for group in groups]
    return Sets(
        classes=classes,
        weights=weights,
        generated=generated,
        reference=chosen["training"],
        held_out=chosen["held-out"],
        controls=replace(
            pools["held-out"].take(controls), of=(chosen["held-out"], np.searchsorted(rows["held-out"], controls))
        ),
        training=training,
        groups=[groups[row] for row in rows["held-out"]],
        seeds=seeds,
        warnings=warnings,
        starts=starts,
        given=given,
    )


class _Pool:
    """Clips that are chosen from, by the evaluation's classes; those of other classes have the label −1."""

    def __init__(self, whole: RealClips, classes: Sequence[str]) -> None:
        self.whole, self.classes = whole, list(classes)
        self.labels = np.zeros(len(whole), np.int64)
        if classes:
            order = [self.classes.index(name) if name in classes else -1 for name in whole.classes]
            self.labels = np.array(order, np.int64)[whole.labels]
        self.there = np.bincount(self.labels[self.labels >= 0], minlength=max(1, len(classes)))

    def deal(self, wanted: np.ndarray, seed: int, sets: int = 1) -> list[np.ndarray]:
        """Rows of several sets that share none, each with so many clips of each class, or as many as there are."""
        dealt: list[list[np.ndarray]] = [[] for _ in range(sets)]
        for label, number in enumerate(wanted.tolist()):
            members = ranked(self.whole, np.flatnonzero(self.labels == label), seed)
            number = min(number, len(members) // sets)
            for place in range(sets):
                dealt[place].append(members[place * number : (place + 1) * number])
        return [np.sort(np.concatenate(rows)) for rows in dealt]

    def real_counts(self, wanted: np.ndarray) -> np.ndarray:
        """`REFERENCE` times as many of each class; somewhat fewer of all if that keeps the mix that is wanted."""
        often = min((self.there[label] / number for label, number in enumerate(wanted) if number), default=0.0)
        times = min(often, REFERENCE) if often >= _FEWEST_TIMES else REFERENCE
        return np.floor(wanted * times + 1e-9).astype(np.int64)

    def readable(self, rows: np.ndarray, cache: Cache, warnings: list[str]) -> np.ndarray:
        """Those of these rows that can be read, with a warning of the others."""
        good = rows[readable(self.whole.take(rows), cache)]
        lost = [self.whole.ids[row] for row in np.setdiff1d(rows, good)]
        if lost:
            warnings.append(f"left out, since they cannot be read: {some_of(lost, _NAMED)}")
        return good

    def take(self, rows: np.ndarray, name: str | None = None) -> ClipSet:
        """These clips, as a set of the evaluation."""
        return replace(self.whole.take(rows, name), labels=self.labels[rows], classes=self.classes)

    def missing(self, wanted: np.ndarray, what: str, so: str) -> list[str]:
        """A warning that names the classes with fewer clips than wanted, and says what follows."""
        few = [label for label in range(len(wanted)) if self.there[label] < wanted[label]]
        if not few:
            return []
        if not self.classes:
            return [f"there are {self.there[0]} {what} clips, not {wanted[0]}: {so}"]
        named = some_of([f"{self.classes[row]} {self.there[row]} of {wanted[row]}" for row in few], _NAMED)
        return [f"{len(few)} of {len(self.classes)} classes have fewer {what} clips than asked ({named}): {so}"]


def _of_folder(pool: _Pool, wanted: np.ndarray, settings: EvaluationSettings, warnings: list[str]) -> list[ClipSet]:
    """As many sets, up to the settings' seeds, as there are clips for; with fewer clips than for one, one of all."""
    full = [int(pool.there[label] // number) for label, number in enumerate(wanted) if number]
    sets = min(settings.seeds, max(1, min(full)))
    if sets < settings.seeds:
        warnings.append(
            f"{len(pool.whole)} clips in {pool.whole.name} are enough for {sets} of {settings.seeds} sets of "
            f"{int(wanted.sum())}; with fewer clips a set (num) there is a spread over more sets"
        )
    warnings += pool.missing(wanted, "generated", "real clips are taken in the same mix")
    names = [pool.whole.name if sets == 1 else f"{pool.whole.name}, set {place + 1}" for place in range(sets)]
    return [pool.take(rows, name) for rows, name in zip(pool.deal(wanted, settings.seed, sets), names)]


def _left_out(clips: RealClips) -> list[str]:
    """Warnings of clips that are too short, and of files that could not be read."""
    dataset, found = clips.dataset, []
    if dataset.left_out:
        found.append(f"{clips.name}: {dataset.left_out} clips are shorter than {clips.frames} frames and left out")
    if dataset.store.skipped:
        found.append(f"{clips.name}: {len(dataset.store.skipped)} files could not be read")
    return found


def _as_in_data(made: RealClips, real: Sequence[str], warnings: list[str]) -> RealClips:
    """Clips of a folder with the data's names of their classes where these differ in case and the like, and are clear.

    As file names they differ in Unicode form, and in signs that ``dvdgan generate`` writes as ``_``.
    """

    def plain(name: str) -> str:
        return re.sub(r"[^\w-]", "_", unicodedata.normalize("NFC", name)).casefold()

    renamed = {}
    for name in made.classes:
        same = [one for one in real if plain(one) == plain(name)]
        alike = [one for one in made.classes if plain(one) == plain(name)]
        if name not in real and len(same) == len(alike) == 1:
            renamed[name] = same[0]
    if renamed:
        listed = some_of([f"{name} as {other}" for name, other in renamed.items()], _NAMED)
        warnings.append(f"{made.name}: classes are taken for the data's of nearly that name: {listed}")
    return replace(made, classes=[renamed.get(name, name) for name in made.classes])


def _coarse_colour(made: RealClips, parts: Parts) -> list[str]:
    """A warning where small clips come of video files and real ones do not: their colour is coarser."""
    coded = [
        any(clips.dataset.store.sources[window.clip].lower().endswith(VIDEO_SUFFIXES) for window in clips.windows)
        for clips in (made, parts.held_out)
    ]
    if made.size > _COARSE or coded != [True, False]:
        return []
    return [
        f"{made.name}: read from video files, whose colour has half the resolution; at {made.size} px that alone takes "
        "scores of frames out of the baseline: give the clips as .npz (dvdgan generate --out NAME.npz), GIF or WebP"
    ]


def _common(made: Sequence[str], real: Sequence[str], warnings: list[str]) -> list[str]:
    """The classes that both sides have, in the data's order."""
    if not made or not real:
        if made or real:
            which = "the data has" if made else "the generated clips have"
            warnings.append(f"{which} no classes, so there are no scores class by class")
        return []
    common = [name for name in real if name in made]
    if not common:
        raise EvaluationError(
            f"generated clips have the classes {', '.join(made[:8])}, the data {', '.join(real[:8])}: they share none; "
            "give the data that the model was trained on, or name the class folders alike"
        )
    for where, names, others in (("the generated clips", real, made), ("the data", made, real)):
        if lacking := [name for name in names if name not in others]:
            warnings.append(f"left out, since {where} do not have them: {some_of(lacking, _NAMED)}")
    return common
