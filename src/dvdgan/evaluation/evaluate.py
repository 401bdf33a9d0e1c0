"""Evaluate a model, or a folder of clips, against data: scores with floors and controls, copies, behaviours, a page.

Everything that takes time is kept by content in a cache, so that the same command goes on after an interruption, and
another evaluation of the same clips finds what is there.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch

import dvdgan
from dvdgan.data.rendering import PHENOMENA
from dvdgan.devices import pick_device
from dvdgan.evaluation import record as parts
from dvdgan.evaluation import results_convert
from dvdgan.evaluation.classifier.classifier import Classifier
from dvdgan.evaluation.classifier.report import TITLES
from dvdgan.evaluation.clipsets import ClipSet, content_key
from dvdgan.evaluation.corruptions import DAMAGES
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.evaluate_behaviours import score_behaviours
from dvdgan.evaluation.evaluate_clips import Sets, choose_sets
from dvdgan.evaluation.evaluate_inputs import Inputs, open_inputs
from dvdgan.evaluation.evaluate_kept import Kept
from dvdgan.evaluation.evaluate_memorisation import Copies, find_copies
from dvdgan.evaluation.evaluate_progress import Stages, steps
from dvdgan.evaluation.evaluate_scores import Look, controls, look_at_all, score_space, sweep
from dvdgan.evaluation.evaluate_settings import EvaluationSettings
from dvdgan.evaluation.evaluate_spaces import FieldFiles, Spaces, open_spaces
from dvdgan.evaluation.features.extract import extract
from dvdgan.evaluation.features.weights import file_sha256
from dvdgan.evaluation.metrics.classification import class_fidelity
from dvdgan.evaluation.record import AbsentPart, ClipList, Evaluated, Evaluation, Reference, Sweep
from dvdgan.evaluation.shown import by_worst
from dvdgan.models import Model, with_scores
from dvdgan.report.evaluation.card import write_scores
from dvdgan.report.evaluation.media import EvaluationMedia
from dvdgan.report.evaluation.page import MOST_MOVING, write_evaluation_page

JSON, PAGE, CACHE = "evaluation.json", "evaluation.html", "cache"
"""What an evaluation's directory holds."""

_SHOWN_BYTES = 1 << 31  # of the clips that the page shows, before they are encoded
_GOOD_JUDGE = 0.9  # share of held-out clips below which a classifier is said to be a poor one


def evaluate(
    out: Path | str,
    *,
    model: Path | str | None = None,
    clips: Path | str | None = None,
    data: str | None = None,
    fields: Sequence[str] = (),
    stride: int | None = None,
    classifier: Path | str | None = None,
    settings: EvaluationSettings | None = None,
    files: FieldFiles | None = None,
    cache: Path | str | None = None,
    device: str | None = None,
    progress: bool = True,
    say: Callable[[str], None] = print,
    command: str = "",
) -> Evaluation:
    """Measure generated clips against real ones; write the record, the page, and the main scores into the model's card.

    Args:
        out: the directory to write; ``evaluation.json`` and ``evaluation.html`` in it are replaced.
        model: a model's directory, or a run's; or
        clips: a folder of clips, a list of them, or a packed store.
        data: ``phenomena``, a folder or list of clips, or a packed store: its training part is what clips are compared
            with, and other clips of it are held out for floors, controls and the question of copies. None is what the
            model was trained on.
        fields: changes to how the data is read, such as ``test_fraction=0.1``.
        stride: every how many frames of the data are taken; None is the model's, else 1.
        classifier: a classifier's directory; None does without.
        settings: how much is looked at.
        files: the field's own networks, for FVD and FID.
        cache: where features are kept; None is ``OUT/cache``.
        device: such as ``cpu``; None takes the accelerator where there is one.
        progress: show progress bars on stderr.
        say: where lines for the user go.
        command: the command line, for the record.

    Raises:
        EvaluationError: something that is given cannot be used; the message names it and the mend.
        ModelError, DataError, ConfigError, DeviceError: likewise.
    """
    settings, out = settings or EvaluationSettings(), Path(out)
    if out.exists() and not out.is_dir():
        raise EvaluationError(f"{out}: is a file; name a directory for the report")
    kept = Path(cache) if cache is not None else out / CACHE
    where, stages = pick_device(device), Stages(progress)
    on = None if device is None else str(device)
    known = None if classifier is None else Classifier.load(classifier, where)
    brought = (files or FieldFiles()).load(where)
    with stages.timed("data"):
        model, clips = (None if path is None else Path(path) for path in (model, clips))
        given = open_inputs(model, clips, data, fields, stride, known, settings, kept, on, progress, say)
    with closing(given):
        sets = choose_sets(given.made, given.parts, settings, kept)
        spaces = open_spaces(sets.reference, known, settings, brought, where)
        say(_in_short(sets, spaces))
        run = _Run(given, sets, spaces, known, settings, kept, stages)
        results, copies = run.measure(where, command)
        results.save(out / JSON)
        say(str(write_evaluation_page(results, run.media(results, copies), out / PAGE)))
        if results.evaluated.kind == "model":
            say(_to_card(results, given.path / "card.md"))
    return results


class _Run:
    """An evaluation whose clips are chosen."""

    def __init__(
        self,
        given: Inputs,
        sets: Sets,
        spaces: Spaces,
        classifier: Classifier | None,
        settings: EvaluationSettings,
        cache: Path,
        stages: Stages,
    ) -> None:
        self.given, self.sets, self.spaces, self.classifier = given, sets, spaces, classifier
        self.settings, self.cache, self.stages = settings, cache, stages
        self.absent: dict[AbsentPart, str] = {}
        self.warnings = [*sets.warnings, *spaces.missing, *self._about_classifier()]
        if given.unsearched:
            self.warnings.append(f"copies: {given.unsearched}")

    def measure(self, device: torch.device, command: str) -> tuple[Evaluation, Copies | None]:
        """All parts, one after another, and the copies' own pictures."""
        self._make()
        sets, settings = self.sets, self.settings
        looks = [Look(space, self.cache) for space in self.spaces.spaces]
        damaged, scores, seen = controls(sets, settings), [], set()
        for look in looks:
            if look.space.extractor.key not in seen:
                look_at_all(look, sets, damaged, self.stages)
                seen.add(look.space.extractor.key)
        for look in looks:
            scores += score_space(look, sets, damaged, settings, self.stages)
        curve = self._sweep(looks)
        copies = self._copies()
        try:
            shown = score_behaviours(sets, self.given.data.stride, settings.seed, self.cache, self.stages)
        except EvaluationError as error:
            shown, self.absent["behaviours"] = None, str(error)
        results = Evaluation(
            made=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            evaluated=self._evaluated(),
            reference=self._reference(),
            spaces=[space.record for space in self.spaces.spaces],
            scores=scores,
            corruptions={name: DAMAGES[name].describe() for name in damaged},
            sweep=curve,
            classifier=self._classifier(),
            memorisation=None if copies is None else copies.record,
            behaviours=shown,
            absent=self.absent,
            warnings=self.warnings,
            settings=self._settings(),
            seconds=self.stages.seconds,
            versions=_versions(device),
            command=command,
        )
        return results, copies

    def _make(self) -> None:
        """Make the model's clips, as far as they are not kept."""
        made = [clips for clips in self.sets.generated if isinstance(clips, Kept)]
        if made:
            with self.stages.bar("making clips", "making clips", sum(map(len, made))) as advance:
                for clips in made:
                    clips.fill(steps(advance))

    def _sweep(self, looks: list[Look]) -> Sweep | None:
        if not isinstance(self.given.made, Model):
            self.absent["sweep"] = "clips in a folder have no truncation; evaluate a model"
        elif len(set(self.settings.truncations)) < 2:
            self.absent["sweep"] = "it was not asked for (--truncations)"
        elif not any(look.space.swept for look in looks):
            self.absent["sweep"] = "no space is quick enough for it; give a classifier"
        else:
            return sweep(looks, self.given.made, self.sets, self.settings, self.cache, self.stages)
        return None

    def _copies(self) -> Copies | None:
        around = self.spaces.neighbourhoods
        try:
            if not around:
                raise EvaluationError("clips below 12 px are too small to compare")
            found = find_copies(around, self.sets, self.settings, self.cache, self.stages, self.given.unsearched)
        except EvaluationError as error:
            self.absent["memorisation"] = str(error)
            return None
        self.warnings += found.warnings
        return found

    def _about_classifier(self) -> list[str]:
        classifier = self.classifier
        if classifier is None:
            return []
        clips = classifier.about["accuracy"]["clips"]
        notes = classifier.notes(self.sets.reference.size, self.sets.reference.frames, self.given.data.stride)
        if clips["hits"] < _GOOD_JUDGE * clips["of"]:
            right = f"{clips['hits'] / clips['of']:.0%} of held-out clips"
            notes.append(f"the classifier is right on {right} only: what it says of generated clips is worth no more")
        if not classifier.about["training"]["finished"]:
            notes.append("the classifier's training was ended early, before its learning rate had fallen")
        return notes

    def _classifier(self) -> parts.Classifier | None:
        classifier, sets = self.classifier, self.sets
        if classifier is None:
            self.absent["classifier"] = "none was given; dvdgan train-classifier trains one, and --classifier names it"
            return None
        fidelity = None
        if sets.classes:
            features = np.concatenate([extract(clips, classifier.features, self.cache) for clips in sets.generated])
            order = np.array([classifier.classes.index(name) for name in sets.classes])
            labels = order[np.concatenate([clips.labels for clips in sets.generated])]
            fidelity = class_fidelity(
                classifier.probabilities_of(features), labels, classifier.classes, classifier.features.name
            )
        data = classifier.about["data"]
        trained_on = f"{data['source']}, {data['training_clips']:,} clips"
        return results_convert.classifier(
            classifier.about,
            str(classifier.path),
            classifier.weights_sha256,
            trained_on,
            TITLES,
            fidelity,
            "clips have no classes",
        )

    def _evaluated(self) -> Evaluated:
        sets, made, path = self.sets, self.given.made, self.given.path
        is_model = isinstance(made, Model)
        return Evaluated(
            kind="model" if is_model else "clips",
            path=str(path),
            name=(path.resolve().parent if is_model and path.name == "model" else path.resolve()).name,
            clips=_clip_list("generated", sets.generated, sets.classes),
            classes=sets.classes,
            seeds=sets.seeds,
            truncation=self.settings.truncation if is_model else None,
            weights_sha256=file_sha256(path / "model.safetensors") if is_model else None,
            card=with_scores(made.card) if isinstance(made, Model) and made.card else "",
            config=made.config.model_dump(mode="json") if isinstance(made, Model) else {},
        )

    def _reference(self) -> Reference:
        sets, data = self.sets, self.given.data
        about = self.given.parts.train.store.about
        size, rendered = sets.reference.size, about.get("source") == PHENOMENA
        return Reference(
            path=str(data.source),
            split="training part",
            clips=_clip_list(sets.reference.name, [sets.reference], sets.classes),
            classes=sets.classes,
            stride=data.stride,
            resize=f"none; rendered at {size} px" if rendered else f"short side to {size} px, antialiased; middle cut",
        )

    def _settings(self) -> dict[str, Any]:
        sets = self.sets
        counts = {
            "generated_clips_of_each_set": sets.count,
            "reference_clips": len(sets.reference),
            "held_out_clips": len(sets.held_out),
            "damaged_clips": len(sets.standins) if self.settings.controls else 0,
            "held_out": self.given.parts.how,
            "training_clips": len(sets.training),
            "classes_come": "as often as in training",
        }
        given = {name: value for name, value in asdict(self.settings).items() if name not in ("num", "size", "frames")}
        return {**counts, **given, "truncations": list(self.settings.truncations)}

    def media(self, results: Evaluation, copies: Copies | None) -> EvaluationMedia:
        """The clips that the page shows: of many classes, those of the worst."""
        sets = self.sets
        sides = sets.generated[0], sets.reference
        names = sets.classes or [""]
        moving = set(by_worst(names, results)[:MOST_MOVING] if len(names) > MOST_MOVING else names)
        room = _SHOWN_BYTES // (2 * len(moving) * sides[0].frames * sides[0].size ** 2 * 3)
        most = min(self.settings.shown, max(1, room))
        shown: dict[str, tuple[np.ndarray | None, np.ndarray | None]] = {}
        for label, name in enumerate(names):
            if name not in moving:
                shown[name] = None, None
                continue
            rows = [np.flatnonzero(side.labels == label)[:most] for side in sides]
            if most and all(map(len, rows)):
                left, right = (side.read(some.tolist()) for side, some in zip(sides, rows))
                shown[name] = left, right
        return EvaluationMedia(sides[0].fps, shown, [] if copies is None else copies.shown)


def _to_card(results: Evaluation, path: Path) -> str:
    """Write the main scores into the model's card; what to say of it."""
    try:
        write_scores(path, results)
    except OSError as error:
        return f"{path}: not changed ({error.strerror}); the scores are in {PAGE} only"
    return f"{path}: has the main scores"


def _clip_list(name: str, sets: Sequence[ClipSet], classes: Sequence[str]) -> ClipList:
    labels = np.concatenate([clips.labels for clips in sets])
    counts: Mapping[str, int] = {title: int((labels == label).sum()) for label, title in enumerate(classes)}
    return ClipList(
        name=name,
        count=len(labels),
        ids=[title for clips in sets for title in clips.ids],
        key=sets[0].key if len(sets) == 1 else content_key("joined", [clips.key for clips in sets]),
        frames=sets[0].frames,
        size=sets[0].size,
        fps=sets[0].fps,
        counts=dict(counts),
    )


def _in_short(sets: Sets, spaces: Spaces) -> str:
    of = f"{len(sets.generated)} sets of {sets.count}" if len(sets.generated) > 1 else str(sets.count)
    return (
        f"{of} generated clips against {len(sets.reference)} training clips, {len(sets.held_out)} held out; "
        f"looked at by {', '.join(space.name for space in spaces.spaces)}"
    )


def _versions(device: torch.device) -> dict[str, str]:
    return {
        "dvdgan": dvdgan.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "device": str(device),
    }
