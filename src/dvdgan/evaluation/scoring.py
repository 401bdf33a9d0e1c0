"""Scores in one feature space: of generated clips, over seeds and classes, with baselines and controls beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dvdgan.data.progress import Advance
from dvdgan.evaluation import corruptions
from dvdgan.evaluation.cache import Cache
from dvdgan.evaluation.clip_set import ClipSet, content_key
from dvdgan.evaluation.features.extract import extract
from dvdgan.evaluation.measured import Measured
from dvdgan.evaluation.metrics.baselines import baseline, held_out_splits
from dvdgan.evaluation.metrics.registry import Metric, MetricGroup, Side
from dvdgan.evaluation.model_clips import model_set
from dvdgan.evaluation.prediction.naive import naive, naive_set
from dvdgan.evaluation.progress import Stages
from dvdgan.evaluation.scores import Baseline, ClassScore, Score, Sweep, SweepPoint
from dvdgan.evaluation.sets import Sets
from dvdgan.evaluation.settings import EvaluationSettings
from dvdgan.evaluation.spaces import FeatureSpace
from dvdgan.models import Model

_FEWEST_REPEATS = 5  # of real against real, below which a class's baseline is noise and not shown
_FEWEST = 4  # clips of a class on either side, below which it has no score


def corrupted_sets(sets: Sets, settings: EvaluationSettings) -> dict[str, ClipSet]:
    """Held-out clips, corrupted in each way that clips of their length can be; none if the settings say so.

    Those that a predictor is to beat are there in any case.
    """
    found = {
        name: corruptions.corrupted(sets.controls, name, settings.seed)
        for name, corruption in corruptions.CORRUPTIONS.items()
        if settings.controls and sets.controls.frames >= corruption.least_frames
    }
    return found | {name: naive_set(sets.controls, name, sets.given) for name in naive(sets.given)}


def side(space: FeatureSpace, clips: ClipSet, cache: Cache, advance: Advance | None = None) -> Side:
    """The features of a set, in a space."""
    features = space.view(extract(clips, space.extractor, cache, advance))
    return Side(features, clips.labels, cache, content_key("gaussian", clips.key, space.record.key))


def extract_all(
    spaces: Sequence[FeatureSpace], sets: Sets, corrupted: Mapping[str, ClipSet], cache: Cache, stages: Stages
) -> None:
    """Compute the features of all sets, as far as they are not kept yet."""
    every = [sets.reference, sets.held_out, *sets.generated, *corrupted.values()]
    for extractor in {space.extractor.key: space.extractor for space in spaces}.values():
        name = extractor.name
        with stages.bar(f"features: {name}", f"features: {name}", sum(map(len, every))) as advance:
            for clips in every:
                extract(clips, extractor, cache, advance)


def score_space(
    space: FeatureSpace,
    sets: Sets,
    corrupted: Mapping[str, ClipSet],
    settings: EvaluationSettings,
    cache: Cache,
    stages: Stages,
) -> list[Score]:
    """All scores of a space.

    Args:
        space: features that are not kept yet are computed first, see `extract_all`.
        sets: the clips.
        corrupted: controls, by the corruption's name.
        settings: how many repeats of real against real.
        cache: where features and Gaussians are kept.
        stages: shows how far it is.
    """
    real, held_out = side(space, sets.reference, cache), side(space, sets.held_out, cache)
    generated = [side(space, clips, cache) for clips in sets.generated]
    controls = {name: side(space, clips, cache) for name, clips in corrupted.items()}
    name = f"scores: {space.record.name}"
    scores = []
    with stages.bar(name, name, len(space.groups) * (len(generated) + 1 + len(controls))) as advance:
        for group in space.groups:
            scores += _Scored(group, real, held_out, generated, controls, sets.classes, settings, advance).scores(space)
    return scores


@dataclass(frozen=True)
class _Scored:
    """Metrics that are computed together: of generated clips, and of real ones in their place."""

    group: MetricGroup
    real: Side
    held_out: Side
    generated: list[Side]
    controls: Mapping[str, Side]
    classes: list[str]
    settings: EvaluationSettings
    advance: Advance

    def scores(self, space: FeatureSpace) -> list[Score]:
        """The records of all of them."""
        values = [self._measure(self.real, some, interval=True) for some in self.generated]
        baselines = self._baselines(self.real, self.held_out, len(self.generated[0]), self.settings.baseline_repeats)
        self.advance(1)
        controls = {name: self._measure(self.real, some) for name, some in self.controls.items()}
        by_class = self._by_class() if self.group.by_class else {}
        return [
            self._score(
                space,
                metric,
                [found[metric.key] for found in values],
                baselines[metric.key],
                {name: found[metric.key] for name, found in controls.items()},
                {name: found[metric.key] for name, found in by_class.items()},
            )
            for metric in self.group.metrics
        ]

    def _score(
        self,
        space: FeatureSpace,
        metric: Metric,
        values: list[Measured],
        beneath: Baseline,
        controls: Mapping[str, Measured],
        by_class: Mapping[str, ClassScore],
    ) -> Score:
        warnings = metric.warnings(self.real, self.generated[0])
        if len(values) == 1:
            warnings = [*warnings, "one seed only: how much another seed would change it is not known"]
        return Score(
            key=f"{space.prefix}/{metric.key}",
            name=metric.name,
            space=space.record.name,
            better=metric.better,
            about=metric.about,
            headline=metric.headline,
            overall=over_seeds(values),
            baseline=beneath,
            generated_count=len(self.generated[0]),
            real_count=len(self.real) if metric.compares else None,
            controls=dict(controls),
            per_class=dict(by_class),
            warnings=[*warnings, *([beneath.note] if beneath.note else [])],
        )

    def _measure(self, real: Side, generated: Side, interval: bool = False) -> dict[str, Measured]:
        self.advance(1)
        return self.group.measure(real, generated, interval)

    def _baselines(self, real: Side, held_out: Side, generated: int, repeats: int) -> dict[str, Baseline]:
        """A baseline for each metric."""
        splits = held_out_splits(len(real), held_out.labels, generated, repeats, self.settings.seed)
        found = [self.group.measure(real.take(rows), held_out.take(others), False) for rows, others in splits]
        there = f"{len(real)} real and {len(held_out)} held-out clips"
        return {
            metric.key: baseline([one[metric.key].value for one in found], splits, (generated, len(real)), there)
            for metric in self.group.metrics
        }

    def _by_class(self) -> dict[str, dict[str, ClassScore]]:
        """By class and metric, the mean over the seeds, beside real against real at the same counts."""
        found = {}
        for label, title in enumerate(self.classes):
            real, held_out, *generated = (
                some.take(np.flatnonzero(some.labels == label)) for some in (self.real, self.held_out, *self.generated)
            )
            values = [self._of_class(real, some) for some in generated]
            baselines: dict[str, Baseline] = {}
            if min(len(real), len(held_out), len(generated[0])) >= _FEWEST:
                baselines = self._baselines(real, held_out, len(generated[0]), self.settings.baseline_repeats)
            if any(len(some) != len(generated[0]) for some in generated):
                values = values[:1]  # of other counts, which do not compare
            found[title] = {
                metric.key: _class_score(
                    over_seeds([one[metric.key] for one in values]),
                    baselines.get(metric.key),
                    (len(generated[0]), len(real)),
                )
                for metric in self.group.metrics
            }
        return found

    def _of_class(self, real: Side, generated: Side) -> dict[str, Measured]:
        if min(len(real), len(generated)) >= _FEWEST:
            return self.group.measure(real, generated, False)
        few = f"{len(real)} real and {len(generated)} generated clips of the class; it needs {_FEWEST} of each"
        return {metric.key: Measured(missing=few) for metric in self.group.metrics}


def _class_score(found: Measured, beneath: Baseline | None, counts: tuple[int, int]) -> ClassScore:
    if found.value is None:
        return ClassScore(counts=counts, missing=found.missing)
    known = beneath is not None and not beneath.note and beneath.repeats >= _FEWEST_REPEATS
    mean = beneath.mean if beneath is not None and known else None
    return ClassScore(value=found.value, baseline=mean, counts=counts)


def over_seeds(values: Sequence[Measured]) -> Measured:
    """One number from those of several seeds: their mean, and standard deviation, least and greatest as its spread.

    With one seed it is that seed's number; without a value where any seed has none.
    """
    if len(values) == 1:
        return values[0]
    known = np.array([value.value for value in values if value.value is not None])
    if len(known) < len(values):
        return Measured(missing=next(value.missing for value in values if value.value is None))
    over = f"standard deviation over {len(values)} seeds"
    return Measured(value=known.mean(), spread=known.std(ddof=1), low=known.min(), high=known.max(), over=over)


def sweep(
    spaces: Sequence[FeatureSpace],
    model: Model,
    sets: Sets,
    settings: EvaluationSettings,
    truncations: Sequence[float],
    cache: Cache,
    stages: Stages,
) -> Sweep:
    """Scores over truncation, on as many clips of the first seed as a set has.

    Args:
        spaces: cheap ones.
        model: makes the clips.
        sets: the real clips.
        settings: of the clips.
        truncations: at which it is looked.
        cache: where clips and features are kept.
        stages: shows how far it is.
    """
    truncations = sorted(set(truncations), reverse=True)
    points = []
    with stages.bar("truncation", "over truncation", len(truncations) * len(spaces)) as advance:
        reals = [side(space, sets.reference, cache) for space in spaces]
        for truncation in truncations:
            options = sets.seeds[0], truncation, settings.frames, cache
            clips = model_set(model, sets.classes, sets.weights, sets.count, *options, sets.starts)
            values: dict[str, Measured] = {}
            for space, real in zip(spaces, reals):
                generated = side(space, clips, cache)
                for group in space.groups:
                    found = group.measure(real, generated, False)
                    values |= {f"{space.prefix}/{name}": measured for name, measured in found.items()}
                advance(1)
            points.append(SweepPoint(truncation=truncation, values=values))
    return Sweep(points=points, clips=sets.count)
