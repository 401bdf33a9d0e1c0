"""Which clips show their class's behaviour, and what share of each class does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from dvdgan.data.progress import with_progress
from dvdgan.evaluation.behaviours import whole
from dvdgan.evaluation.behaviours.behaviour import Measurements, Outcome
from dvdgan.evaluation.behaviours.calibration import Calibration
from dvdgan.evaluation.behaviours.registry import BEHAVIOURS
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.measured import PassRate, Share
from dvdgan.randomness import numpy_generator

OTHER = "other class"
"""The name of the control that scores clips by the behaviour of a class that is not theirs."""


def pass_rate(outcomes: Sequence[Outcome]) -> PassRate:
    """The share of clips that pass among those that were scored."""
    failures = Counter(outcome.failed for outcome in outcomes if not outcome.passes)
    share = Share.make(len(outcomes) - failures.total(), len(outcomes))
    return PassRate(**share.model_dump(), failures=dict(failures.most_common()))


class ClipScorer:
    """Scores one clip by any class's behaviour, and measures nothing twice.

    Args:
        clip: uint8 ``[T, H, W, 3]``.
        calibration: limits for clips of this size and length.

    Raises:
        EvaluationError: a clip of another shape, type, size or length.
    """

    def __init__(self, clip: np.ndarray, calibration: Calibration) -> None:
        wanted = (calibration.frames, calibration.size, calibration.size, 3)
        if clip.dtype != np.uint8 or clip.shape != wanted:
            raise EvaluationError(
                f"behaviours: limits are for clips uint8 {list(wanted)}, not {clip.dtype} {list(clip.shape)}; "
                "take the calibration of their size and length"
            )
        self._clip, self._limits = clip, calibration.limits
        self._whole = whole.measure(clip)
        self._measured: dict[object, Measurements] = {}

    def __call__(self, label: str) -> Outcome:
        """Score the clip as one of class ``label``.

        Raises:
            EvaluationError: the calibration has no limits for the class, although clips of this length can show it.
        """
        if label not in BEHAVIOURS:
            raise EvaluationError(f"behaviours: none is defined for class {label!r}, only for {', '.join(BEHAVIOURS)}")
        behaviour = BEHAVIOURS[label]
        if len(self._clip) < behaviour.fewest_frames:
            failed = f"valid: fewer than the {behaviour.fewest_frames} frames that show it"
            return Outcome(False, failed, dict(self._whole))
        if label not in self._limits:
            raise EvaluationError(
                f"behaviours: this calibration has no limits for class {label!r}; calibrate with that class"
            )
        limits = self._limits[label]
        if failed := whole.check(self._whole, limits):
            return Outcome(False, failed, dict(self._whole))
        if behaviour.measure not in self._measured:
            self._measured[behaviour.measure] = behaviour.measure(self._clip)
        measured = self._measured[behaviour.measure]
        failed = f"valid: {measured.missing}" if measured.missing else behaviour.check(measured.numbers, limits)
        return Outcome(not failed, failed, {**measured.numbers, **self._whole})


def score_clips(
    clips: np.ndarray, labels: np.ndarray, classes: Sequence[str], calibration: Calibration
) -> list[Outcome]:
    """Score each clip by its own class's behaviour.

    Args:
        clips: uint8 ``[N, T, H, W, 3]``.
        labels: int64 ``[N]``, which of ``classes`` each shows.
        classes: names, among those of phenomena.
        calibration: limits for clips of this size and length.

    Raises:
        EvaluationError: clips, labels or classes that do not fit each other, the behaviours or the calibration.
    """
    _check_labels(clips, labels, classes)
    return [ClipScorer(clip, calibration)(classes[label]) for clip, label in zip(clips, labels)]


def score(
    clips: np.ndarray, labels: np.ndarray, classes: Sequence[str], calibration: Calibration
) -> dict[str, PassRate]:
    """The share of each class's clips that show its behaviour, see `score_clips`; no class without clips."""
    outcomes = score_clips(clips, labels, classes, calibration)
    return _rates([(classes[label], outcome) for label, outcome in zip(labels, outcomes)], classes)


def score_as_others(
    clips: np.ndarray, labels: np.ndarray, classes: Sequence[str], calibration: Calibration
) -> dict[str, PassRate]:
    """The share of the other classes' clips that pass as each class: what its behaviour wrongly lets through.

    Arguments and errors as for `score_clips`. Every clip is scored by the behaviours of all classes but its own.
    """
    _check_labels(clips, labels, classes)
    scored = []
    for clip, label in with_progress(list(zip(clips, labels)), "scoring other classes"):
        scorer = ClipScorer(clip, calibration)
        scored += [(name, scorer(name)) for k, name in enumerate(classes) if k != label]
    return _rates(scored, classes)


def control_clips(clips: np.ndarray, seed: int, first: int) -> dict[str, np.ndarray]:
    """Real clips ``[N, T, H, W, 3]`` as they are, frozen at their first frame, shuffled and reversed.

    Clip i's order follows from the seed and `first` + i, so that a set may be taken in parts.
    """
    rngs = [numpy_generator(seed, "behaviours: shuffled", first + row) for row in range(len(clips))]
    shuffled = np.stack([clip[rng.permutation(len(clip))] for clip, rng in zip(clips, rngs)])
    frozen = np.broadcast_to(clips[:, :1], clips.shape)
    return {"real": clips, "frozen": frozen, "shuffled": shuffled, "reversed": clips[:, ::-1]}


def _rates(scored: list[tuple[str, Outcome]], classes: Sequence[str]) -> dict[str, PassRate]:
    by_class = {label: [outcome for name, outcome in scored if name == label] for label in classes}
    return {label: pass_rate(outcomes) for label, outcomes in by_class.items() if outcomes}


def _check_labels(clips: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> None:
    if len(labels) != len(clips):
        raise EvaluationError(f"behaviours: {len(clips)} clips need as many labels, not {len(labels)}")
    if len(labels) and not 0 <= min(labels) <= max(labels) < len(classes):
        raise EvaluationError(
            f"behaviours: labels run from 0 to {len(classes) - 1}, not {min(labels)} to {max(labels)}"
        )
    if unknown := sorted({classes[label] for label in labels} - set(BEHAVIOURS)):
        raise EvaluationError(f"behaviours: none is defined for {', '.join(unknown)}, only for {', '.join(BEHAVIOURS)}")
