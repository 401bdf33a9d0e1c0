"""Do an evaluation's clips behave as their class? Of phenomena, whose behaviours are defined; kept by content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dvdgan.data.progress import with_progress
from dvdgan.evaluation import behaviours
from dvdgan.evaluation.behaviours import BEHAVIOURS
from dvdgan.evaluation.behaviours.calibration import Calibration, load, rendered_calibration, save, stored
from dvdgan.evaluation.behaviours.scoring import OTHER, ClipScorer, control_clips, pass_rate, score_as_others
from dvdgan.evaluation.cache import Cache
from dvdgan.evaluation.clip_set import ClipSet, content_key
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.measured import PassRate, Share
from dvdgan.evaluation.record import BehaviourRates, Behaviours
from dvdgan.evaluation.sets import Sets

_OTHERS = 5  # real clips of each class that are scored as each other class
_PIECE = 32  # clips that are in memory at once


def score_behaviours(sets: Sets, stride: int, seed: int, cache: Cache) -> Behaviours:
    """Pass rates of generated clips beside real, frozen, shuffled, reversed and other classes' clips.

    Raises:
        EvaluationError: the clips have no classes with behaviours, or are not as the limits of behaviours need them.
    """
    unknown = [name for name in sets.classes if name not in BEHAVIOURS]
    if not sets.classes or unknown:
        which = f"for {', '.join(unknown[:5])}" if unknown else "for clips without classes"
        raise EvaluationError(f"behaviours are defined for the phenomena, not {which}")
    size, frames = sets.reference.size, sets.reference.frames
    if all(frames < BEHAVIOURS[name].fewest_frames for name in sets.classes):
        raise EvaluationError(f"clips of {frames} frames are too short to show a behaviour")
    if stride != 1:
        raise EvaluationError(f"behaviours have limits for every frame, not for every {stride}th")
    limits = _limits(size, frames, cache)
    known = [[clips.key, clips.labels.tolist()] for clips in (sets.held_out, *sets.generated)]
    return cache.entry(
        f"behaviours-{content_key(_code(), limits.key, sets.classes, seed, known)}.json",
        lambda: score_sets(sets.generated, sets.held_out, limits, seed),
        lambda path: Behaviours.model_validate_json(path.read_bytes()),
        lambda path, made: path.write_text(made.model_dump_json(), encoding="utf-8"),
    )


def score_sets(
    generated: Sequence[ClipSet], real: ClipSet, limits: Calibration, seed: int, others: int = _OTHERS
) -> Behaviours:
    """Pass rates, a few clips at a time: sets of large clips do not fit into memory.

    Args:
        generated: these count together.
        real: clips of the same classes, of which controls are made.
        limits: for clips of this size and length.
        seed: of shuffled frames.
        others: real clips of each class that are scored as each other class.
    """
    classes = real.classes
    able = np.array([limits.frames >= BEHAVIOURS[name].fewest_frames for name in classes])
    failures: dict[tuple[str, str], list[str]] = {}
    pieces: list[tuple[ClipSet, bool, np.ndarray]] = []  # of clips whose class can show its behaviour
    for clips, is_real in (*((some, False) for some in generated), (real, True)):
        rows = np.flatnonzero(able[clips.labels])
        pieces += [(clips, is_real, rows[start : start + _PIECE]) for start in range(0, len(rows), _PIECE)]
    for clips, is_real, rows in with_progress(pieces, f"scoring behaviours, {_PIECE} clips at a time"):
        pixels, titles = clips.read(rows.tolist()), [classes[label] for label in clips.labels[rows]]
        shown = control_clips(pixels, seed, int(rows[0])) if is_real else {"generated": pixels}
        for name, some in shown.items():
            for title, clip in zip(titles, some):
                failures.setdefault((title, name), []).append(ClipScorer(clip, limits)(title))
    rates: dict[str, dict[str, PassRate]] = {classes[label]: {} for label in np.flatnonzero(able)}
    for (title, name), found in failures.items():
        rates[title][name] = pass_rate(found)
    few = np.concatenate([np.flatnonzero(real.labels == label)[:others] for label in np.flatnonzero(able)])
    numbers = np.cumsum(able) - 1  # of the classes that can be shown
    wrong = score_as_others(real.read(few.tolist()), numbers[real.labels[few]], list(rates), limits)
    for title, rate in wrong.items():
        rates[title][OTHER] = rate
    return _record(rates, limits.describe())


def _record(rates: Mapping[str, dict[str, PassRate]], thresholds: str) -> Behaviours:
    """Pass rates ``[class][set]``, and those over all classes."""
    overall = {}
    for name in dict.fromkeys(name for of_class in rates.values() for name in of_class):
        some = [of_class[name] for of_class in rates.values() if name in of_class]
        overall[name] = Share.make(sum(share.hits for share in some), sum(share.of for share in some))
    by_class = [
        BehaviourRates(
            label=title, about=BEHAVIOURS[title].about, rates=of_class, may_pass=list(BEHAVIOURS[title].may_pass)
        )
        for title, of_class in rates.items()
    ]
    return Behaviours(thresholds=thresholds, overall=overall, by_class=by_class)


def _limits(size: int, frames: int, cache: Cache) -> Calibration:
    """Limits for clips of a size and length: those that come with dvdgan, kept ones, or new ones, which take time."""
    return stored(size, frames) or cache.entry(
        f"limits-{content_key(_code(), size, frames)}.json",
        lambda: rendered_calibration(size, frames),
        lambda path: load(path)[0],
        lambda path, made: save(path, [made]),
    )


def _code() -> str:
    """A digest of the code that measures behaviours, and of the scenes: what was found by another is found anew."""
    digest = hashlib.sha256()
    for folder in (Path(behaviours.__file__).parent, Path(behaviours.__file__).parents[2] / "data" / "phenomena"):
        for module in sorted(folder.glob("*.py")):
            digest.update(module.name.encode() + b"\0" + module.read_bytes())
    return digest.hexdigest()
