"""Which clips show their class's behaviour, and what share of each class does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from dvdgan.data.progress import with_progress
from dvdgan.evaluation.behaviours import BEHAVIOURS, whole
from dvdgan.evaluation.behaviours.behaviour import Measurements
from dvdgan.evaluation.behaviours.calibration import Calibration
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.measured import PassRate
from dvdgan.randomness import numpy_generator

OTHER = "other class"
"""The name of the control that scores clips by the behaviour of a class that is not theirs."""


def pass_rate(failures: Sequence[str]) -> PassRate:
    """The share of clips that pass, from why each fails: "" where it passes, see `ClipScorer`."""
    found = Counter(filter(None, failures))
    return PassRate.make(len(failures) - found.total(), len(failures), failures=dict(found.most_common()))


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

    def __call__(self, label: str) -> str:
        """Why the clip fails as one of class ``label``; "" where it is alive, whole, valid and shows the behaviour.

        The reason is the first: ``alive: …``, ``whole: …``, ``valid: …`` or ``behaviour: …``.

        Raises:
            EvaluationError: the calibration has no limits for the class, although clips of this length can show it.
        """
        if label not in BEHAVIOURS:
            raise EvaluationError(f"behaviours: none is defined for class {label!r}, only for {', '.join(BEHAVIOURS)}")
        behaviour = BEHAVIOURS[label]
        if len(self._clip) < behaviour.fewest_frames:
            return f"valid: fewer than the {behaviour.fewest_frames} frames that show it"
        if label not in self._limits:
            raise EvaluationError(
                f"behaviours: this calibration has no limits for class {label!r}; calibrate with that class"
            )
        limits = self._limits[label]
        if failed := whole.check(self._whole, limits):
            return failed
        if behaviour.measure not in self._measured:
            self._measured[behaviour.measure] = behaviour.measure(self._clip)
        measured = self._measured[behaviour.measure]
        return f"valid: {measured.missing}" if measured.missing else behaviour.check(measured.numbers, limits)


def score(
    clips: np.ndarray, labels: np.ndarray, classes: Sequence[str], calibration: Calibration
) -> dict[str, PassRate]:
    """The share of each class's clips that show its behaviour; no class without clips.

    Args:
        clips: uint8 ``[N, T, H, W, 3]``.
        labels: int64 ``[N]``, which of ``classes`` each shows.
        classes: names, among those of phenomena.
        calibration: limits for clips of this size and length.

    Raises:
        EvaluationError: clips or classes that do not fit the behaviours or the calibration.
    """
    failures: dict[str, list[str]] = {name: [] for name in classes}
    for clip, label in zip(clips, labels, strict=True):
        failures[classes[label]].append(ClipScorer(clip, calibration)(classes[label]))
    return {name: pass_rate(found) for name, found in failures.items() if found}


def score_as_others(
    clips: np.ndarray, labels: np.ndarray, classes: Sequence[str], calibration: Calibration
) -> dict[str, PassRate]:
    """The share of the other classes' clips that pass as each class: what its behaviour wrongly lets through.

    Arguments and errors as for `score`. Every clip is scored by the behaviours of all classes but its own.
    """
    failures: dict[str, list[str]] = {name: [] for name in classes}
    for clip, label in with_progress(list(zip(clips, labels, strict=True)), "scoring other classes"):
        scorer = ClipScorer(clip, calibration)
        for name in classes:
            if name != classes[label]:
                failures[name].append(scorer(name))
    return {name: pass_rate(found) for name, found in failures.items() if found}


def control_clips(clips: np.ndarray, seed: int, first: int) -> dict[str, np.ndarray]:
    """Real clips ``[N, T, H, W, 3]`` as they are, frozen at their first frame, shuffled and reversed.

    Clip i's order follows from the seed and `first` + i, so that a set may be taken in parts.
    """
    rngs = [numpy_generator(seed, "behaviours: shuffled", first + row) for row in range(len(clips))]
    shuffled = np.stack([clip[rng.permutation(len(clip))] for clip, rng in zip(clips, rngs)])
    frozen = np.broadcast_to(clips[:, :1], clips.shape)
    return {"real": clips, "frozen": frozen, "shuffled": shuffled, "reversed": clips[:, ::-1]}
