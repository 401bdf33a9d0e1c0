"""The limits that real clips set, made before any model is scored, and kept with the code for the usual sizes."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from dvdgan.data import phenomena
from dvdgan.data.progress import with_progress
from dvdgan.data.workers import Limits as TaskLimits
from dvdgan.data.workers import Workers
from dvdgan.evaluation.behaviours import BEHAVIOURS, whole
from dvdgan.evaluation.behaviours.behaviour import Limits, Measurements, percentiles
from dvdgan.evaluation.errors import EvaluationError

STORED = Path(__file__).with_name("thresholds.json")
"""The limits for the usual sizes and lengths, made by ``python scripts/behaviours_table.py --write 200``."""

CLIPS = 200
"""Real clips of each class that the limits are made from, unless said otherwise."""

_FEWEST = 20  # clips of a class from which percentiles are taken


@dataclass(frozen=True)
class Calibration:
    """What real clips of one size and length allow.

    Attributes:
        size: height and width, in pixels.
        frames: frames per clip.
        clips: real clips of each class that set the limits, the fewest of any.
        made: how the limits were made.
        limits: by class; without the classes that clips of this length cannot show.
    """

    size: int
    frames: int
    clips: int
    made: str
    limits: dict[str, Limits]

    @property
    def key(self) -> str:
        """Hex sha256 of the limits."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def describe(self) -> str:
        """One line for a report: how the limits were made, and the start of their key."""
        return f"{self.made} ({self.clips} clips per class, {self.key[:12]})"


def calibration(size: int, frames: int) -> Calibration:
    """The stored limits for phenomena of this size and length, or new ones, see `rendered_calibration`."""
    return stored(size, frames) or rendered_calibration(size, frames)


def stored(size: int, frames: int) -> Calibration | None:
    """The limits that come with dvdgan for clips of this size, in px, and so many frames; None if there are none."""
    return next((one for one in load() if (one.size, one.frames) == (size, frames)), None)


def rendered_calibration(size: int, frames: int, clips: int = CLIPS, seed: int = 0) -> Calibration:
    """Make limits from phenomena that are rendered for it: the first training clips of each class, and nothing kept.

    Raises:
        EvaluationError: phenomena cannot be rendered so, or too few clips.
    """
    if clips < _FEWEST:
        raise EvaluationError(f"behaviours: limits need {_FEWEST} real clips of each class, not {clips}")
    chosen = [label for label, behaviour in BEHAVIOURS.items() if frames >= behaviour.fewest_frames]
    keys = [(label, index) for label in chosen for index in range(clips)]
    task = functools.partial(_render_and_look, size=size, frames=frames, seed=seed)
    found: dict[str, list[Measurements]] = {label: [] for label in chosen}
    title = f"limits from real clips at {size} px"
    with Workers(None, TaskLimits(seconds=600.0, gib=16.0)) as workers:
        results = with_progress(workers.run(task, keys), title, len(keys))
        for (label, _), result in zip(keys, results):
            if result.reason is not None:
                raise EvaluationError(f"behaviours: no limits for {frames} frames of {size} px: {result.reason}")
            found[label].append(result.value)
    made = f"from rendered training clips of seed {seed}, {frames} frames of {size} px"
    return Calibration(size, frames, clips, made, {label: _limits(label, some) for label, some in found.items()})


def load(path: Path = STORED) -> list[Calibration]:
    """The limits in a file.

    Raises:
        EvaluationError: the file is missing or broken.
    """
    try:
        return [Calibration(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))["calibrations"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvaluationError(f"{path}: holds no limits of behaviours ({error}); install dvdgan anew") from None


def save(path: Path, calibrations: list[Calibration]) -> None:
    """Write limits to a file, with how they were made."""
    about = "Made by: python scripts/behaviours_table.py --size SIZE --frames FRAMES --write CLIPS"
    content = {"about": about, "calibrations": [asdict(one) for one in calibrations]}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _render_and_look(label: str, index: int, size: int, frames: int, seed: int) -> Measurements:
    clip = phenomena.render(label, index, seed=seed, size=size, frames=frames).clip
    measured = BEHAVIOURS[label].measure(clip)
    return Measurements({**measured.numbers, **whole.measure(clip)}, measured.missing)


def _limits(label: str, measured: list[Measurements]) -> Limits:
    """The limits of one class, to six significant digits."""
    found = [one.numbers for one in measured if not one.missing]
    if len(found) < 0.9 * len(measured):
        reasons = sorted({one.missing for one in measured if one.missing})
        raise EvaluationError(
            f"behaviours: {label}: only {len(found)} of {len(measured)} real clips are valid ({', '.join(reasons)}); "
            f"are these clips of class {label}?"
        )
    real = percentiles(found)
    limits = {**whole.limits(real), **BEHAVIOURS[label].limits(real)}
    return {name: float(f"{value:.6g}") for name, value in limits.items()}
