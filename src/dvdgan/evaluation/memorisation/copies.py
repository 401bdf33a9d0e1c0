"""Are an evaluation's clips copies? Their nearest training clips, over time shifts and flips, in each space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dvdgan.data.progress import progress_bar
from dvdgan.evaluation.cache import Cache
from dvdgan.evaluation.clip_set import ClipSet, choose, joined
from dvdgan.evaluation.features.extract import FeatureExtractor, extract
from dvdgan.evaluation.memorisation.nearest import Nearest, Scale, nearest
from dvdgan.evaluation.memorisation.pixels import NEAR, Fingerprints
from dvdgan.evaluation.memorisation.results import Memorisation, Nearness, Pair
from dvdgan.evaluation.memorisation.search import compare
from dvdgan.evaluation.memorisation.windows import STARTS, TrainingWindows, training_windows
from dvdgan.evaluation.real_clips import RealClips
from dvdgan.evaluation.sets import Sets
from dvdgan.evaluation.settings import EvaluationSettings
from dvdgan.evaluation.spaces import Neighbourhood

_PLANS = ((STARTS, True), (STARTS, False), (3, False), (2, False), (1, False))
_PLANS_WITH_FLIPS = ((STARTS, True), (3, True), (2, True), (1, True), (1, False))
"""Windows of a clip, and whether each comes mirrored, from all to few; the latter where training mirrors clips."""


@dataclass(frozen=True)
class Copies:
    """What was found.

    Attributes:
        record: for the report.
        shown: the clips of the record's pairs, in their order, each uint8 ``[T, H, W, 3]``: the clip, and the training
            window beside it.
        warnings: what was left out.
    """

    record: Memorisation
    shown: list[tuple[np.ndarray, np.ndarray]]
    warnings: list[str]


def find_copies(
    spaces: Sequence[Neighbourhood], sets: Sets, settings: EvaluationSettings, cache: Cache, unsearched: str
) -> Copies:
    """Compare generated clips with training clips in each space.

    Args:
        spaces: at least one.
        sets: the clips.
        settings: how many windows and pairs.
        cache: where features are kept.
        unsearched: why the model may have learned from other clips: the absence of copies is then not stated; or "".

    Raises:
        EvaluationError: nothing can be compared, such as where no held-out clip is no near copy of a training clip.
    """
    windows, warnings = _windows(sets.training, settings)
    samples = joined(sets.generated, "samples")
    different = _different(_features(samples, Fingerprints(), cache))
    near_copies = np.isin(sets.groups, windows.groups) | _near_copies(sets.held_out, windows, cache)
    records: list[Nearness] = []
    most_counted = 0
    pairs: dict[str, list[tuple[Pair, tuple[np.ndarray, np.ndarray]]]] = {"generated": [], "held out": []}
    for space in spaces:
        references = _features(windows.clips, space.clips, cache)
        sides = [
            np.concatenate([space.vectors(extract(clips, space.extractor, cache)) for clips in some])
            for some in (sets.generated, [sets.held_out])
        ]
        scale = Scale.none(references.shape[1]) if space.plain else Scale.of(references)
        about = f"{space.about} Sought in {windows.about()}."
        held_out = nearest(sides[1], references, windows.groups, scale)
        around = nearest(sides[0][different], references, windows.groups, scale)
        labels = samples.labels[different], sets.held_out.labels
        record, counted = compare(around, held_out, near_copies, *labels, space.clips.name, about)
        for kind, clips, near, rows in (
            ("generated", samples.take(different), around, np.arange(len(different))),
            ("held out", sets.held_out, held_out, counted),
        ):
            rows = rows[np.argsort(near.distances[rows], kind="stable")][: settings.pairs]
            shown = zip(clips.read(rows.tolist()), windows.clips.read(near.rows[rows].tolist()))
            named = [_pair(kind, clips, windows, near, row, space.clips.name) for row in rows.tolist()]
            pairs[kind] += zip(named, shown)
        word, reason = record.verdict, record.reason
        if unsearched and word == "no sign of copies":
            word, reason = "cannot tell", f"{unsearched} Among those searched: {reason}"
        if len(different) < len(samples):
            reason = (
                f"{len(different)} of {len(samples)} samples count: of those that are near copies of one another, one "
                f"does. {reason}"
            )
        records.append(record.model_copy(update={"verdict": word, "reason": reason}))
        most_counted = max(most_counted, len(counted))
    generated_first = [*pairs["generated"], *pairs["held out"]]
    found = Memorisation(
        spaces=records,
        generated_count=len(samples),
        held_out_count=most_counted,
        training_count=windows.count,
        pairs=[pair for pair, _ in generated_first],
    )
    return Copies(found, [shown for _, shown in generated_first], warnings)


def _near_copies(held_out: ClipSet, windows: TrainingWindows, cache: Cache) -> np.ndarray:
    """Which held-out clips are near copies of a training clip by their fingerprints, bool ``[H]``."""
    own, theirs = (_features(clips, Fingerprints(), cache) for clips in (held_out, windows.clips))
    return nearest(own, theirs, windows.groups, Scale.none(Fingerprints.dimension)).distances <= NEAR


def _different(fingerprints: np.ndarray) -> np.ndarray:
    """Numbers of the samples that are no near copy of one before them that is such a one, int64, ascending.

    The tests take samples for independent draws, which near copies of one another are not.
    """
    kept, known = [0], fingerprints.copy()  # of those that are kept, as many as there are
    for row, own in enumerate(fingerprints[1:], 1):
        if ((known[: len(kept)] - own) ** 2).sum(1).min() > NEAR**2:
            known[len(kept)] = own
            kept.append(row)
    return np.array(kept, np.int64)


def _pair(kind: str, clips: ClipSet, windows: TrainingWindows, near: Nearest, row: int, space: str) -> Pair:
    window = int(near.rows[row])
    return Pair(
        kind=kind,
        clip=clips.ids[row],
        training=windows.clips.ids[window],
        distance=near.distances[row],
        space=space,
        shift=windows.shifts[window],
        flipped=windows.flipped[window],
    )


def _features(clips: ClipSet, extractor: FeatureExtractor, cache: Cache) -> np.ndarray:
    with progress_bar(f"looking for copies: {extractor.name}", len(clips)) as advance:
        return extract(clips, extractor, cache, advance)


def _windows(training: RealClips, settings: EvaluationSettings) -> tuple[TrainingWindows, list[str]]:
    """As many windows of training clips as the settings allow, and what was left out for that."""
    plans = _PLANS_WITH_FLIPS if training.dataset.config.flip else _PLANS
    for starts, mirrored in plans:
        windows = training_windows(training, starts, mirrored)
        if len(windows.clips) <= settings.windows:
            return windows, []
    few = training.take(choose(training, settings.windows, settings.seed))
    warning = (
        f"copies were looked for among {len(few)} of {len(training)} training clips only: copies of the others stay "
        "unseen (settings: windows)"
    )
    return training_windows(few, *plans[-1]), [warning]
