"""Scores in one feature space: of generated clips, over seeds and classes, with baselines and controls beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dvdgan.data.progress import progress_bar
from dvdgan.evaluation import corruptions
from dvdgan.evaluation.cache import Cache
from dvdgan.evaluation.clip_set import ClipSet
from dvdgan.evaluation.features.extract import FeatureExtractor, extract
from dvdgan.evaluation.measured import Measured
from dvdgan.evaluation.metrics.baselines import baseline, held_out_draws
from dvdgan.evaluation.metrics.registry import MetricGroup, Side
from dvdgan.evaluation.model_clips import model_set
from dvdgan.evaluation.prediction.naive import naive, naive_set
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


def side(space: FeatureSpace, clips: ClipSet, cache: Cache) -> Side:
    """The features of a set, in a space."""
    return Side(space.view(extract(clips, space.extractor, cache)), clips.labels)


def extract_all(extractor: FeatureExtractor, sets: Sets, corrupted: Mapping[str, ClipSet], cache: Cache) -> None:
    """Compute the features of all sets, as far as they are not kept yet."""
    every = [sets.reference, sets.held_out, *sets.generated, *corrupted.values()]
    with progress_bar(f"features: {extractor.name}", sum(map(len, every))) as advance:
        for clips in every:
            extract(clips, extractor, cache, advance)


def score_space(
    space: FeatureSpace, sets: Sets, corrupted: Mapping[str, ClipSet], settings: EvaluationSettings, cache: Cache
) -> list[Score]:
    """All scores of a space; features that are not kept yet are computed first, see `extract_all`."""
    real, held_out = side(space, sets.reference, cache), side(space, sets.held_out, cache)
    generated = [side(space, clips, cache) for clips in sets.generated]
    controls = {name: side(space, clips, cache) for name, clips in corrupted.items()}
    scores: list[Score] = []
    total = len(space.groups) * (len(generated) + 1 + len(controls))
    with progress_bar(f"scores: {space.record.name}", total) as advance:

        def measured(group: MetricGroup, some: Side, interval: bool) -> dict[str, Measured]:
            advance(1)
            return group.measure(real, some, interval)

        for group in space.groups:
            of_sets = [measured(group, some, interval=True) for some in generated]
            baselines = _baselines(group, real, held_out, len(generated[0]), settings)
            advance(1)
            of_controls = {name: measured(group, some, interval=False) for name, some in controls.items()}
            warned = group.warnings(real, generated[0])
            by_class = _by_class(group, real, held_out, generated, sets.classes, settings) if group.by_class else {}
            for metric in group.metrics:
                beneath, warnings = baselines[metric.key], list(warned.get(metric.key, []))
                if len(generated) == 1:
                    warnings.append("one seed only: how much another seed would change it is not known")
                if beneath.note:
                    warnings.append(beneath.note)
                score = Score(
                    key=f"{space.prefix}/{metric.key}",
                    name=metric.name,
                    space=space.record.name,
                    better=metric.better,
                    about=metric.about,
                    headline=metric.headline,
                    overall=over_seeds([found[metric.key] for found in of_sets]),
                    baseline=beneath,
                    generated_count=len(generated[0]),
                    real_count=len(real) if metric.compares else None,
                    controls={name: found[metric.key] for name, found in of_controls.items()},
                    per_class={name: found[metric.key] for name, found in by_class.items()},
                    warnings=warnings,
                )
                scores.append(score)
    return scores


def _baselines(
    group: MetricGroup, real: Side, held_out: Side, generated: int, settings: EvaluationSettings
) -> dict[str, Baseline]:
    """Real against real at the counts of the score, for each metric."""
    draws = held_out_draws(len(real), held_out.labels, generated, settings.baseline_repeats, settings.seed)
    found = [group.measure(real, held_out.take(rows), False) for rows in draws]
    counts, asked = (len(draws[0]), len(real)), (generated, len(real))
    there = f"{len(real)} real and {len(held_out)} held-out clips"
    return {
        metric.key: baseline([one[metric.key].value for one in found], counts, asked, there) for metric in group.metrics
    }


def _by_class(
    group: MetricGroup,
    real: Side,
    held_out: Side,
    generated: Sequence[Side],
    classes: Sequence[str],
    settings: EvaluationSettings,
) -> dict[str, dict[str, ClassScore]]:
    """By class and metric, the mean over the seeds, beside real against real at the same counts."""
    found = {}
    for label, title in enumerate(classes):
        own, others, *made = (some.take(np.flatnonzero(some.labels == label)) for some in (real, held_out, *generated))
        counts = len(made[0]), len(own)
        if any(len(some) != counts[0] for some in made):
            made = made[:1]  # the others are of other counts, which do not compare
        if min(counts) < _FEWEST:
            few = f"{counts[1]} real and {counts[0]} generated clips of the class; it needs {_FEWEST} of each"
            found[title] = {metric.key: ClassScore(counts=counts, missing=few) for metric in group.metrics}
            continue
        values = [group.measure(own, some, False) for some in made]
        baselines = _baselines(group, own, others, counts[0], settings) if len(others) >= _FEWEST else {}
        found[title] = {
            metric.key: _class_score(over_seeds([one[metric.key] for one in values]), baselines.get(metric.key), counts)
            for metric in group.metrics
        }
    return found


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
) -> Sweep:
    """Scores over truncation in spaces that are cheap, on as many clips of the first seed as a set has."""
    points = []
    with progress_bar("over truncation", len(truncations) * len(spaces)) as advance:
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
