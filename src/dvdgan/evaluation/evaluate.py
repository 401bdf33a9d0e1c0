"""Evaluate a model, or a folder of clips, against data: scores with baselines and controls, copies, behaviours.

Everything that takes time is kept by content in a cache, so that the same command goes on after an interruption, and
another evaluation of the same clips finds what is there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from dvdgan.data.progress import progress_bar
from dvdgan.devices import pick_device
from dvdgan.evaluation.cache import CHUNK, Cache
from dvdgan.evaluation.classifier.classifier import Classifier
from dvdgan.evaluation.classifier.report import in_record
from dvdgan.evaluation.classifier.results import ClassifierResults, confusion
from dvdgan.evaluation.clip_set import ClipSet, chunks
from dvdgan.evaluation.corruptions import CORRUPTIONS
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.features.extract import extract
from dvdgan.evaluation.inputs import open_inputs
from dvdgan.evaluation.memorisation.copies import Copies, find_copies
from dvdgan.evaluation.parts import Parts
from dvdgan.evaluation.pass_rates import score_behaviours
from dvdgan.evaluation.prediction.naive import naive
from dvdgan.evaluation.prediction.scoring import futures_of, score_prediction
from dvdgan.evaluation.provenance import evaluated_of, reference_of, settings_of, versions_of
from dvdgan.evaluation.record import AbsentPart, Evaluation, is_record
from dvdgan.evaluation.scoring import corrupted_sets, extract_all, score_space, sweep
from dvdgan.evaluation.sets import Sets, choose_sets
from dvdgan.evaluation.settings import EvaluationSettings
from dvdgan.evaluation.shown import ShownClips, by_worst
from dvdgan.evaluation.spaces import FeatureSpace, Spaces, open_spaces
from dvdgan.models import Model

JSON, CACHE = "evaluation.json", "cache"
"""What an evaluation's directory holds."""

MOST_MOVING = 120
"""Classes whose clips are shown: with more, each would have to be too small."""

_SHOWN_BYTES = 1 << 31  # of the clips that the page shows, before they are encoded
_GOOD_CLASSIFIER = 0.9  # share of held-out clips below which a classifier is said to be a poor one


def evaluate(
    out: Path | str,
    *,
    model: Path | str | None = None,
    clips: Path | str | None = None,
    data: str | None = None,
    fields: Sequence[str] = (),
    classifier: Path | str | None = None,
    settings: EvaluationSettings | None = None,
    device: str | None = None,
    say: Callable[[str], None] = print,
    command: str = "",
) -> tuple[Evaluation, ShownClips]:
    """Measure generated clips against real ones, and write the record.

    Args:
        out: the directory to write; ``evaluation.json`` in it is replaced.
        model: a model's directory, a run's, or the name of a built-in model; or
        clips: a folder of clips, a list of them, or a packed store.
        data: ``phenomena``, a folder or list of clips, or a packed store: its training part is what clips are compared
            with, and other clips of it are held out for baselines, controls and the question of copies. None is what
            the model was trained on.
        fields: changes to how the data is read, such as ``data.test_fraction=0.1``.
        classifier: a classifier's directory; None does without.
        settings: what is measured.
        device: such as ``cpu``; None takes the accelerator where there is one.
        say: where lines for the user go.
        command: the command line, for the record.

    Returns:
        The record, and the clips that its page shows (`dvdgan.report.evaluation.page.write_evaluation_page`).

    Raises:
        EvaluationError: something that is given cannot be used; the message names it and the mend.
        ModelError, DataError, ConfigError, DeviceError: likewise.
    """
    settings, out = settings or EvaluationSettings(), Path(out)
    if out.exists() and not out.is_dir():
        raise EvaluationError(f"{out}: is a file; name a directory for the report")
    if os.path.lexists(out / JSON) and not is_record(out / JSON):
        raise EvaluationError(f"{out / JSON}: is no record of an evaluation; choose another --out")
    if (out / CACHE).is_symlink():
        raise EvaluationError(f"{out / CACHE}: is a link; name the place that it leads to with cache=FOLDER")
    folder = settings.cache or out / CACHE
    cache, where = Cache(folder), pick_device(device)
    seconds: dict[str, float] = {}

    # Inputs: the clips, and the networks that look at them.
    known = None if classifier is None else Classifier.load(classifier, where)
    with _timed(seconds, "data"):
        model, clips = (None if path is None else Path(path) for path in (model, clips))
        given = open_inputs(model, clips, data, fields, known, settings, folder, device, say)
    with closing(given.parts):
        parts, learned = _without_learned(given.parts, known)
        sets = choose_sets(given.made, parts, settings, cache)
        spaces = open_spaces(sets.reference, known, settings, where)
        say(_in_short(sets, spaces))
        absent: dict[AbsentPart, str] = {}
        warnings = [*learned, *sets.warnings, *spaces.missing, *_about_classifier(known, sets, given.data.stride)]
        if given.unsearched:
            warnings.append(f"copies: {given.unsearched}")
        if isinstance(given.made, Model) and given.made.config.network.projected is not None:
            warnings.append(
                "frames: a discriminator of the model's training saw them by features of EfficientNet-Lite0, too, "
                "which flatters scores that are measured with these"
            )

        # Clips and features, as far as they are not kept yet.
        futures: list[ClipSet] = []
        if isinstance(given.made, Model):
            futures = futures_of(given.made, sets, settings, cache)
            every = [*sets.generated, *futures[len(sets.generated) :]]
            with _timed(seconds, "making clips"), progress_bar("making clips", sum(map(len, every))) as advance:
                for some in every:
                    for rows in chunks(range(len(some)), CHUNK):
                        some.read(rows)
                        advance(len(rows))
        corrupted = corrupted_sets(sets, settings)
        for extractor in {space.extractor.key: space.extractor for space in spaces.spaces}.values():
            with _timed(seconds, f"features: {extractor.name}"):
                extract_all(extractor, sets, corrupted, cache)

        # Measures.
        scores = []
        for space in spaces.spaces:
            with _timed(seconds, f"scores: {space.record.name}"):
                scores += score_space(space, sets, corrupted, settings, cache)
        curve = prediction = copies = behaving = None
        swept = [space for space in spaces.spaces if space.swept]
        truncations = _truncations(given.made, swept, sets, settings, absent, warnings)
        if isinstance(given.made, Model) and truncations:
            with _timed(seconds, "truncation"):
                curve = sweep(swept, given.made, sets, settings, truncations, cache)
        if sets.given:
            with _timed(seconds, "prediction"):
                prediction = score_prediction(sets, futures, where, cache)
        try:
            if not spaces.neighbourhoods:
                raise EvaluationError("clips below 12 px are too small to compare")
            with _timed(seconds, "copies"):
                copies = find_copies(spaces.neighbourhoods, sets, settings, cache, given.unsearched)
            warnings += copies.warnings
        except EvaluationError as error:
            absent["memorisation"] = str(error)
        try:
            with _timed(seconds, "behaviours"):
                behaving = score_behaviours(sets, given.data.stride, settings.seed, cache)
        except EvaluationError as error:
            absent["behaviours"] = str(error)

        # The record.
        described = {name: one.description for name, one in CORRUPTIONS.items()} | naive(sets.given)
        results = Evaluation(
            made=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            evaluated=evaluated_of(given, sets, settings),
            reference=reference_of(given, sets),
            spaces=[space.record for space in spaces.spaces],
            scores=scores,
            corruptions={name: described[name] for name in corrupted},
            sweep=curve,
            classifier=_classifier(known, sets, cache, absent),
            memorisation=None if copies is None else copies.record,
            behaviours=behaving,
            prediction=prediction,
            absent=absent,
            warnings=warnings,
            settings=settings_of(given, sets, settings),
            seconds=seconds,
            versions=versions_of(where),
            command=command,
        )
        results.save(out / JSON)
        return results, _shown(results, sets, settings, copies)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Take down how long a stage takes, unless it fails."""
    begun = time.perf_counter()
    yield
    seconds[stage] = round(time.perf_counter() - begun, 2)


def _truncations(
    made: object,
    swept: Sequence[FeatureSpace],
    sets: Sets,
    settings: EvaluationSettings,
    absent: dict[AbsentPart, str],
    warnings: list[str],
) -> list[float]:
    """The points of the curve over truncation; none, and why, where there is no curve."""
    asked = found = settings.truncations
    if isinstance(made, Model) and sets.given:
        found = tuple(one for one in asked if one in made.statistics)
        if lacking := [f"{one:g}" for one in asked if one not in found]:
            warnings.append(
                f"not in the curve over truncation: {', '.join(lacking)}; a predictor's statistics come with it"
            )
    if not isinstance(made, Model):
        absent["sweep"] = "clips in a folder have no truncation; evaluate a model"
    elif len(set(asked)) < 2:
        absent["sweep"] = "it was not asked for (truncations)"
    elif len(set(found)) < 2:
        absent["sweep"] = "this predictor has no statistics for two of the truncations"
    elif not swept:
        absent["sweep"] = "no space is quick enough for it; give a classifier"
    return [] if "sweep" in absent else sorted(set(found), reverse=True)


def _without_learned(parts: Parts, classifier: Classifier | None) -> tuple[Parts, list[str]]:
    """Both parts of the data without held-out clips that the classifier was trained on, and what is to be said of it.

    Raises:
        EvaluationError: it was trained on all of them.
    """
    if classifier is None:
        return parts, []
    learned = classifier.learned_from(parts.held_out)
    same = "train it on the same parts of the data (dvdgan train-classifier, with the same data.* fields)"
    count, of = int(learned.sum()), len(learned)
    if count == of:
        raise EvaluationError(f"{classifier.place}: was trained on all {of} clips that are held out here; {same}")
    if not count:
        return parts, []
    said = f"{classifier.place} was trained on {count} of the {of} clips that are held out here, which are left out"
    return replace(parts, held_out=parts.held_out.take(np.flatnonzero(~learned))), [f"{said}; {same}"]


def _about_classifier(classifier: Classifier | None, sets: Sets, stride: int) -> list[str]:
    if classifier is None:
        return []
    right = classifier.about.accuracy.clips.value or 0.0
    notes = classifier.notes(sets.reference.size, sets.reference.frames, stride)
    if right < _GOOD_CLASSIFIER:
        notes.append(
            f"the classifier is right on {right:.0%} of held-out clips only: what it says of generated clips is worth "
            "no more"
        )
    if not classifier.about.training.finished:
        notes.append("the classifier's training was ended early, before its learning rate had fallen")
    return notes


def _classifier(
    classifier: Classifier | None, sets: Sets, cache: Cache, absent: dict[AbsentPart, str]
) -> ClassifierResults | None:
    if classifier is None:
        absent["classifier"] = "none was given; dvdgan train-classifier trains one, and --classifier names it"
        return None
    generated = None
    if sets.classes:
        features = np.concatenate([extract(clips, classifier, cache) for clips in sets.generated])
        order = np.array([classifier.classes.index(name) for name in sets.classes])
        labels = order[np.concatenate([clips.labels for clips in sets.generated])]
        predicted = classifier.probabilities_of(features).argmax(1)
        generated = confusion(predicted, labels, len(classifier.classes))
    return in_record(classifier, generated)


def _shown(results: Evaluation, sets: Sets, settings: EvaluationSettings, copies: Copies | None) -> ShownClips:
    """The clips that the page shows, of many classes the worst; a predictor's beside how its starts went on."""
    sides = sets.generated[0], sets.starts or sets.reference
    names = sets.classes or [""]
    moving = set(by_worst(names, results)[:MOST_MOVING] if len(names) > MOST_MOVING else names)
    room = _SHOWN_BYTES // (2 * len(moving) * sides[0].frames * sides[0].size ** 2 * 3)
    most = min(settings.shown, max(1, room))
    shown: dict[str, tuple[np.ndarray | None, np.ndarray | None]] = {}
    for label, name in enumerate(names):
        if name not in moving:
            shown[name] = None, None
            continue
        rows = [np.flatnonzero(clips.labels == label)[:most] for clips in sides]
        if most and all(map(len, rows)):
            left, right = (clips.read(some.tolist()) for clips, some in zip(sides, rows))
            shown[name] = left, right
    return ShownClips(shown, [] if copies is None else copies.shown)


def _in_short(sets: Sets, spaces: Spaces) -> str:
    of = f"{len(sets.generated)} sets of {sets.count}" if len(sets.generated) > 1 else str(sets.count)
    return (
        f"{of} generated clips against {len(sets.reference)} training clips, {len(sets.held_out)} held out; "
        f"seen by {', '.join(space.record.name for space in spaces.spaces)}"
    )
