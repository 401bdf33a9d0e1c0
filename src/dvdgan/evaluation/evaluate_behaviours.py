"""Do an evaluation's clips behave as their class? Of phenomena, whose behaviours are defined; kept by content."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from dvdgan.data.progress import with_progress
from dvdgan.data.write.encode import atomic_path
from dvdgan.evaluation import behaviours, results_convert
from dvdgan.evaluation import record as parts
from dvdgan.evaluation.behaviours import (
    BEHAVIOURS,
    OTHER,
    Calibration,
    Outcome,
    PassRate,
    calibration,
    score_as_others,
)
from dvdgan.evaluation.behaviours.calibration import load, save
from dvdgan.evaluation.behaviours.table import control_sets
from dvdgan.evaluation.clipsets import ClipSet, content_key
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.evaluate_clips import Sets
from dvdgan.evaluation.evaluate_progress import Stages

_OTHERS = 5  # real clips of each class that are judged as each other class
_PIECE = 32  # clips that are in memory at once


def score_behaviours(sets: Sets, stride: int, seed: int, cache: Path, stages: Stages) -> parts.Behaviours:
    """Pass rates of generated clips beside real, frozen, shuffled, reversed and other classes' clips.

    Args:
        sets: the clips.
        stride: every how many frames of the source are taken.
        seed: of shuffled frames.
        cache: where what was found is kept.
        stages: shows how far it is.

    Raises:
        EvaluationError: the clips have no classes with behaviours, or are not as the limits of behaviours need them.
    """
    unknown = [name for name in sets.classes if name not in BEHAVIOURS]
    if not sets.classes or unknown:
        which = f"for {', '.join(unknown[:5])}" if unknown else "for clips without classes"
        raise EvaluationError(f"behaviours are defined for the phenomena, not {which}")
    frames = sets.reference.frames
    if all(frames < BEHAVIOURS[name].fewest_frames for name in sets.classes):
        raise EvaluationError(f"clips of {frames} frames are too short to show a behaviour")
    if stride != 1:
        raise EvaluationError(f"behaviours have limits for every frame, not for every {stride}th")
    with stages.timed("behaviours"):
        limits = _limits(sets.reference.size, sets.reference.frames, cache, stages.shown)
        known = [sets.held_out.key, sets.held_out.labels.tolist(), [clips.key for clips in sets.generated]]
        labels = [clips.labels.tolist() for clips in sets.generated]
        key = content_key("behaviours", _code(), limits.key, sets.classes, seed, known, labels)
        path = cache / f"behaviours-{key}.json"
        if path.is_file():
            try:
                return parts.Behaviours.model_validate_json(path.read_bytes())
            except ValueError:
                path.unlink()
        found = _measured(sets, limits, seed, stages.shown)
        with atomic_path(path) as partial:
            partial.write_text(found.model_dump_json(), encoding="utf-8")
        return found


def _measured(sets: Sets, limits: Calibration, seed: int, progress: bool) -> parts.Behaviours:
    """All of it, a few clips at a time: sets of large clips do not fit into memory."""
    shown = [name for name in sets.classes if limits.frames >= BEHAVIOURS[name].fewest_frames]
    able = np.array([name in shown for name in sets.classes])
    judged: dict[str, list[tuple[int, Outcome]]] = {}

    def classifier(name: str, clips: np.ndarray, labels: np.ndarray) -> None:
        outcomes = behaviours.classifier_clips(clips, labels, sets.classes, limits)
        judged.setdefault(name, []).extend(zip(labels.tolist(), outcomes))

    real = sets.held_out
    both = [*((clips, False) for clips in sets.generated), (real, True)]
    pieces = [(clips, is_real, rows) for clips, is_real in both for rows in _pieces(clips, able)]
    for clips, is_real, rows in with_progress(pieces, f"judging behaviours, {_PIECE} clips at a time", progress):
        pixels, labels = clips.read(rows.tolist()), clips.labels[rows]
        if is_real:
            for name, (damaged, _) in control_sets(pixels, labels, seed, int(rows[0])).items():
                classifier(name, damaged, labels)
        else:
            classifier("generated", pixels, labels)
    rates = {
        title: {
            name: PassRate.of([outcome for number, outcome in outcomes if number == label])
            for name, outcomes in judged.items()
            if any(number == label for number, _ in outcomes)
        }
        for label, title in enumerate(sets.classes)
        if title in shown
    }
    few = np.concatenate([np.flatnonzero(real.labels == label)[:_OTHERS] for label in np.flatnonzero(able)])
    numbers = np.cumsum(able) - 1  # of the classes that can be shown
    others = score_as_others(real.read(few.tolist()), numbers[real.labels[few]], shown, limits, progress)
    for title, rate in others.items():
        rates[title][OTHER] = rate
    about = {name: BEHAVIOURS[name].about for name in shown}
    may_pass = {name: BEHAVIOURS[name].may_pass for name in shown}
    return results_convert.behaviours(rates, limits.describe(), about, may_pass)


def _pieces(clips: ClipSet, able: np.ndarray) -> list[np.ndarray]:
    """Numbers of a set's clips whose class can show its behaviour, a few at a time."""
    rows = np.flatnonzero(able[clips.labels])
    return [rows[start : start + _PIECE] for start in range(0, len(rows), _PIECE)]


def _limits(size: int, frames: int, cache: Path, progress: bool) -> Calibration:
    """Limits for clips of a size and length: those that come with dvdgan, kept ones, or new ones, which take time."""
    if any((known.size, known.frames) == (size, frames) for known in load()):
        return calibration(size, frames)
    path = cache / f"limits-{content_key(_code(), size, frames)}.json"
    if path.is_file():
        try:
            return load(path)[0]
        except EvaluationError:
            path.unlink()
    made = calibration(size, frames, progress)
    with atomic_path(path) as partial:
        save(partial, [made])
    return made


def _code() -> str:
    """A digest of the code that measures behaviours, and of the scenes: what was found by another is found anew."""
    digest = hashlib.sha256()
    for folder in (Path(behaviours.__file__).parent, Path(behaviours.__file__).parents[2] / "data" / "phenomena"):
        for module in sorted(folder.glob("*.py")):
            digest.update(module.name.encode() + b"\0" + module.read_bytes())
    return digest.hexdigest()
