"""Are an evaluation's clips copies? Their nearest training clips, over time shifts and flips, in each space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dvdgan.evaluation import record as parts
from dvdgan.evaluation.clipsets import ClipSet, content_key
from dvdgan.evaluation.clipsets_choice import choose_in_all
from dvdgan.evaluation.clipsets_data import DatasetSet
from dvdgan.evaluation.evaluate_clips import Sets
from dvdgan.evaluation.evaluate_progress import Stages, steps
from dvdgan.evaluation.evaluate_settings import EvaluationSettings
from dvdgan.evaluation.evaluate_spaces import Neighbourhood
from dvdgan.evaluation.features.extract import FeatureExtractor, extract
from dvdgan.evaluation.memorisation.nearest import Scale, nearest
from dvdgan.evaluation.memorisation.pairs import nearness, pairs, pixels
from dvdgan.evaluation.memorisation.pixels import Fingerprints, near_copies
from dvdgan.evaluation.memorisation.search import Memorisation, memorisation
from dvdgan.evaluation.memorisation.windows import STARTS, TrainingWindows

_PLANS = ((STARTS, True), (STARTS, False), (3, False), (2, False), (1, False))
_PLANS_WITH_FLIPS = ((STARTS, True), (3, True), (2, True), (1, True), (1, False))
"""Windows of a clip, and whether each comes mirrored, from all to few; the latter where training mirrors clips."""


class Joined:
    """A `ClipSet` of several sets' clips, one after another; all have one size, length and classes."""

    def __init__(self, sets: list[ClipSet], name: str) -> None:
        """Take over what they say of their clips."""
        first = sets[0]
        self.name, self.classes = name, first.classes
        self.frames, self.size, self.fps = first.frames, first.size, first.fps
        self.labels = np.concatenate([clips.labels for clips in sets])
        self.ids = [name for clips in sets for name in clips.ids]
        self.key = content_key("joined", [clips.key for clips in sets])
        self._sets = sets
        self._starts = np.cumsum([0, *(len(clips) for clips in sets)])

    def __len__(self) -> int:
        """How many clips there are."""
        return int(self._starts[-1])

    def read(self, rows: Sequence[int]) -> np.ndarray:
        """Clips by their numbers, uint8 ``[n, T, S, S, 3]``."""
        numbers = np.asarray(rows, np.int64)
        clips = np.empty((len(numbers), self.frames, self.size, self.size, 3), np.uint8)
        for some, start in zip(self._sets, self._starts):
            here = (numbers >= start) & (numbers < start + len(some))
            if here.any():
                clips[here] = some.read((numbers[here] - start).tolist())
        return clips


@dataclass(frozen=True)
class Copies:
    """What was found.

    Attributes:
        record: for the report.
        shown: the clips of the record's pairs, in their order.
        warnings: what was left out.
    """

    record: parts.Memorisation
    shown: list[tuple[np.ndarray, np.ndarray]]
    warnings: list[str]


def find_copies(
    around: list[Neighbourhood],
    sets: Sets,
    settings: EvaluationSettings,
    cache: Path,
    stages: Stages,
    unsearched: str = "",
) -> Copies:
    """Compare generated clips with training clips in each space.

    Args:
        around: the spaces; at least one.
        sets: the clips.
        settings: how many windows and pairs.
        cache: where features are kept.
        stages: shows how far it is.
        unsearched: why the model may have learned from other clips; the absence of copies is then not told.

    Raises:
        EvaluationError: nothing can be compared, such as where no held-out clip is no near copy of a training clip.
    """
    windows, warnings = _windows(sets.training, settings)
    samples = Joined(list(sets.generated), "samples")
    copies = near_copies(
        nearest(
            _features(sets.held_out, Fingerprints(), cache, stages),
            windows.references(_features(windows, Fingerprints(), cache, stages)),
            Scale.none(Fingerprints.dimension),
        )
    )
    found: list[Memorisation] = []
    records: list[parts.Nearness] = []
    listed: list[parts.Pair] = []
    shown: list[tuple[np.ndarray, np.ndarray]] = []
    labelled = bool(sets.classes)
    for space in around:
        references = windows.references(_features(windows, space.clips, cache, stages))
        both = [
            np.concatenate([space.vectors(extract(clips, space.extractor, cache)) for clips in some])
            for some in (sets.generated, [sets.held_out])
        ]
        with stages.timed("copies"):
            one = memorisation(
                both[0],
                references,
                both[1],
                space.name,
                sets.groups,
                samples.labels if labelled else None,
                sets.held_out.labels if labelled else None,
                sets.classes,
                copies,
                Scale.none(both[0].shape[1]) if space.plain else None,
                settings.pairs,
                stages.shown,
            )
            if unsearched and one.verdict == "no sign of copies":
                one = replace(one, verdict="cannot tell", reason=f"{unsearched} Among those searched: {one.reason}")
            found.append(one)
            records.append(nearness(one, f"{space.about} Sought in {windows.about()}."))
            listed += pairs(one, samples.ids, windows.ids, sets.held_out.ids)
            shown += pixels(one, samples, windows, sets.held_out)
    order = sorted(range(len(listed)), key=lambda place: listed[place].kind != "generated")  # generated ones first
    record = parts.Memorisation(
        spaces=records,
        generated_count=len(samples),
        held_out_count=max(len(one.held_out_rows) for one in found),
        training_count=found[0].training_count,
        pairs=[listed[place] for place in order],
    )
    return Copies(record, [shown[place] for place in order], warnings)


def _features(clips: ClipSet, extractor: FeatureExtractor, cache: Path, stages: Stages) -> np.ndarray:
    with stages.bar("copies", f"looking for copies: {extractor.name}", len(clips)) as advance:
        return extract(clips, extractor, cache, progress=steps(advance))


def _windows(training: DatasetSet, settings: EvaluationSettings) -> tuple[TrainingWindows, list[str]]:
    """As many windows of training clips as the settings allow, and what was left out for that."""
    plans = _PLANS_WITH_FLIPS if training.dataset.flip else _PLANS
    for starts, mirrored in plans:
        windows = TrainingWindows(training, starts, mirrored)
        if len(windows) <= settings.windows:
            return windows, []
    few = training.only(choose_in_all(training, settings.windows, seed=settings.seed))
    warning = (
        f"copies were looked for among {len(few)} of {len(training)} training clips only: copies of the others stay "
        "unseen (settings: windows)"
    )
    return TrainingWindows(few, *plans[-1]), [warning]
