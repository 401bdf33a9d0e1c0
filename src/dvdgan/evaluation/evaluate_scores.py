"""Scores in one feature space: of generated clips, over seeds and classes, with floors and controls beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dvdgan.evaluation import corruptions as damages
from dvdgan.evaluation import record as records
from dvdgan.evaluation import results_convert
from dvdgan.evaluation.clipsets import ClipSet, Mapped, content_key
from dvdgan.evaluation.evaluate_clips import Sets, model_set
from dvdgan.evaluation.evaluate_measures import Family, Side
from dvdgan.evaluation.evaluate_progress import Advance, Stages, steps
from dvdgan.evaluation.evaluate_settings import EvaluationSettings
from dvdgan.evaluation.evaluate_spaces import FeatureSpace
from dvdgan.evaluation.features.extract import extract
from dvdgan.evaluation.metrics.baselines import Floor, real_floor
from dvdgan.evaluation.metrics.intervals import over_seeds
from dvdgan.evaluation.metrics.scores import ClassScores, Rows, Score, by_class
from dvdgan.evaluation.results_convert import measured
from dvdgan.models import Model

_CLASS_DRAWS = 3  # draws of real against real for each class
_FEWEST = 4  # clips of a class on either side, below which it has no score


@dataclass(frozen=True)
class Look:
    """How a space's features are come by.

    Attributes:
        space: the space.
        cache: where features and statistics are kept.
        batch: clips that are looked at together.
    """

    space: FeatureSpace
    cache: Path
    batch: int = 16

    def at(self, clips: ClipSet, progress: Callable[[int, int], None] | None = None) -> Side:
        """The features of a set, in the space."""
        features = self.space.view(extract(clips, self.space.extractor, self.cache, self.batch, progress))
        key = content_key("statistics", clips.key, self.space.record.key)
        return Side(features, clips.labels, self.cache, key)


def controls(sets: Sets, settings: EvaluationSettings) -> dict[str, ClipSet]:
    """Held-out clips, damaged in each way that clips of their length can be; none if the settings say so."""
    if not settings.controls:
        return {}
    return {
        name: Mapped(
            sets.standins,
            damages.on(sets.standins, name, settings.seed),
            f"held-out clips, {name}",
            damages.key(name, settings.seed),
        )
        for name, damage in damages.DAMAGES.items()
        if sets.standins.frames >= damage.least_frames
    }


def look_at_all(look: Look, sets: Sets, damaged: Mapping[str, ClipSet], stages: Stages) -> None:
    """Compute the features of all sets, as far as they are not kept yet."""
    every = [sets.reference, sets.held_out, *sets.generated, *damaged.values()]
    name = look.space.extractor.name
    with stages.bar(f"features: {name}", f"looking: {name}", sum(map(len, every))) as advance:
        for clips in every:
            look.at(clips, steps(advance))


def score_space(
    look: Look, sets: Sets, damaged: Mapping[str, ClipSet], settings: EvaluationSettings, stages: Stages
) -> list[records.Score]:
    """All scores of a space.

    Args:
        look: the space; features that are not kept yet are computed first, see `look_at_all`.
        sets: the clips.
        damaged: controls by the damage's name.
        settings: how many draws.
        stages: shows how far it is.
    """
    real, held_out = look.at(sets.reference), look.at(sets.held_out)
    generated = [look.at(clips) for clips in sets.generated]
    families = look.space.families
    total = len(families) * (len(generated) + settings.floor_draws + len(damaged))
    total += sum(len(generated) + 1 for family in families if family.by_class and sets.classes)
    with stages.bar(f"scores: {look.space.name}", f"scores: {look.space.name}", total) as advance:
        found = [_Scored(family, real, held_out, generated, sets, settings, advance) for family in families]
        for name, clips in damaged.items():
            side = look.at(clips)
            for one in found:
                one.damaged(name, side)
    return [record for one in found for record in one.records(look.space.prefix)]


class _Scored:
    """One family: measured on generated clips and on real ones in their place."""

    def __init__(
        self,
        family: Family,
        real: Side,
        held_out: Side,
        generated: list[Side],
        sets: Sets,
        settings: EvaluationSettings,
        advance: Advance,
    ) -> None:
        self.family, self.real, self.held_out, self.sets, self.settings = family, real, held_out, sets, settings
        self.advance = advance
        self.controls: dict[str, dict[str, Score]] = {}
        self.overall: list[dict[str, Score]] = []
        for side in generated:
            self.overall.append(family.measure(real, side, True))
            advance(1)
        self.floors = self._floors(real, held_out, len(generated[0]), settings.floor_draws)
        self.classes = self._classes(generated) if family.by_class and sets.classes else {}
        self.class_floors = self._class_floors(generated[0]) if self.classes else {}

    def damaged(self, name: str, side: Side) -> None:
        """Measure a control."""
        self.controls[name] = self.family.measure(self.real, side, False)
        self.advance(1)

    def records(self, prefix: str) -> list[records.Score]:
        """What was measured, for the report."""
        made = []
        for name, told in self.family.named.items():
            made.append(
                results_convert.score(
                    f"{prefix}/{name}",
                    over_seeds([scores[name] for scores in self.overall]),
                    results_convert.floor(self.floors[name]),
                    {damage: scores[name] for damage, scores in self.controls.items()},
                    self.classes.get(name),
                    self.class_floors.get(name),
                    told.about,
                    told.headline,
                )
            )
        return made

    def _floors(self, real: Side, held_out: Side, standins: int, draws: int, advance: bool = True) -> dict[str, Floor]:
        """A floor for each score of the family; what one draw gives all of them is measured once."""
        known: dict[tuple[bytes, bytes], dict[str, Score]] = {}

        def measure(name: str) -> Callable[[Rows, Rows], Score]:
            def one(real_rows: Rows, other_rows: Rows) -> Score:
                key = real_rows.tobytes(), other_rows.tobytes()
                if key not in known:
                    known[key] = self.family.measure(real.take(real_rows), held_out.take(other_rows), False)
                    if advance:
                        self.advance(1)
                return known[key][name]

            return one

        counts = len(real), len(real), standins, draws
        labels, others = held_out.labels, len(held_out)
        return {
            name: real_floor(measure(name), *counts, self.settings.seed, held_out=others, held_out_labels=labels)
            for name in self.family.named
        }

    def _classes(self, generated: list[Side]) -> dict[str, ClassScores]:
        """Class by class, the mean over the seeds."""
        per_seed: list[dict[str, ClassScores]] = []
        for side, overall in zip(generated, self.overall):
            scores: dict[str, ClassScores] = {}
            for name in self.family.named:

                def measure(real_rows: Rows, rows: Rows, side: Side = side, name: str = name) -> Score:
                    if len(rows) == len(side):
                        return overall[name]  # noqa: B023 (called at once)
                    return self.family.measure(self.real.take(real_rows), side.take(rows), False)[name]

                scores[name] = by_class(measure, self.real.labels, side.labels, self.sets.classes, _FEWEST)
            per_seed.append(scores)
            self.advance(1)
        return {name: _over_seeds([scores[name] for scores in per_seed]) for name in self.family.named}

    def _class_floors(self, generated: Side) -> dict[str, dict[str, float]]:
        """By score and class, the mean of real against real at the same counts."""
        floors: dict[str, dict[str, float]] = {name: {} for name in self.family.named}
        for label, title in enumerate(self.sets.classes):
            real, other = (side.take(np.flatnonzero(side.labels == label)) for side in (self.real, self.held_out))
            count = int((generated.labels == label).sum())
            if min(len(real), len(other), count) < _FEWEST:
                continue
            for name, floor in self._floors(real, other, count, _CLASS_DRAWS, advance=False).items():
                if floor.mean is not None and floor.matched:
                    floors[name][title] = floor.mean
        self.advance(1)
        return floors


def _over_seeds(scores: list[ClassScores]) -> ClassScores:
    """The mean over seeds of each class; of a class whose counts differ from seed to seed, the first seed's."""
    by_name = {}
    for name, first in scores[0].by_class.items():
        own = [score.by_class[name] for score in scores]
        by_name[name] = over_seeds(own) if all(score.counts == first.counts for score in own) else first
    return replace(scores[0], by_class=by_name)


def sweep(
    looks: list[Look],
    model: Model,
    sets: Sets,
    settings: EvaluationSettings,
    folder: Path,
    stages: Stages,
) -> records.Sweep:
    """The scores of the cheap spaces over truncation, on as many clips of the first seed as a set has.

    Args:
        looks: the spaces.
        model: makes the clips.
        sets: the real clips.
        settings: at which truncations.
        folder: where the clips are kept.
        stages: shows how far it is.
    """
    cheap = [look for look in looks if look.space.swept]
    points = sorted(set(settings.truncations), reverse=True)
    with stages.bar("truncation", "over truncation", len(points) * (1 + len(cheap))) as advance:
        made, reals = [], [look.at(sets.reference) for look in cheap]
        for truncation in points:
            options = sets.seeds[0], truncation, settings.frames, folder
            clips = model_set(model, sets.classes, sets.weights, sets.count, *options)
            clips.fill()
            advance(1)
            values = {}
            for look, real in zip(cheap, reals):
                side = look.at(clips)
                for family in look.space.families:
                    for name, score in family.measure(real, side, False).items():
                        values[f"{look.space.prefix}/{name}"] = measured(score)
                advance(1)
            made.append(records.SweepPoint(truncation=truncation, values=values))
    return records.Sweep(points=made, clips=sets.count)
