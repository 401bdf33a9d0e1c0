"""Are an evaluation's clips copies? Their nearest training clips, over time shifts and flips, in each space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dvdgan.evaluation.cache import Cache
from dvdgan.evaluation.clip_set import ClipSet, choose, joined
from dvdgan.evaluation.features.extract import FeatureExtractor, extract
from dvdgan.evaluation.memorisation.nearest import Nearest, Scale, nearest
from dvdgan.evaluation.memorisation.pixels import NEAR, Fingerprints
from dvdgan.evaluation.memorisation.results import Memorisation, Pair
from dvdgan.evaluation.memorisation.search import Comparison, compare
from dvdgan.evaluation.memorisation.windows import STARTS, TrainingWindows, training_windows
from dvdgan.evaluation.progress import Stages
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
    spaces: Sequence[Neighbourhood],
    sets: Sets,
    settings: EvaluationSettings,
    cache: Cache,
    stages: Stages,
    unsearched: str = "",
) -> Copies:
    """Compare generated clips with training clips in each space.

    Args:
        spaces: at least one.
        sets: the clips.
        settings: how many windows and pairs.
        cache: where features are kept.
        stages: shows how far it is.
        unsearched: why the model may have learned from other clips; the absence of copies is then not stated.

    Raises:
        EvaluationError: nothing can be compared, such as where no held-out clip is no near copy of a training clip.
    """
    windows, warnings = _windows(sets.training, settings)
    samples = joined(sets.generated, "samples")
    different = _different(_features(samples, Fingerprints(), cache, stages))
    near_copies = np.isin(sets.groups, windows.groups) | _near_copies(sets.held_out, windows, cache, stages)
    found: list[Comparison] = []
    pairs: list[Pair] = []
    shown: list[tuple[np.ndarray, np.ndarray]] = []
    for space in spaces:
        references = _features(windows.clips, space.clips, cache, stages)
        sides = [
            np.concatenate([space.vectors(extract(clips, space.extractor, cache)) for clips in some])
            for some in (sets.generated, [sets.held_out])
        ]
        scale = Scale.none(references.shape[1]) if space.plain else Scale.of(references)
        about = f"{space.about} Sought in {windows.about()}."
        with stages.timed("copies"):
            held_out = nearest(sides[1], references, windows.groups, scale)
            around = nearest(sides[0][different], references, windows.groups, scale)
            labels = samples.labels[different], sets.held_out.labels
            one = compare(around, held_out, near_copies, *labels, space.name, about)
        everything = np.arange(len(different))
        for kind, clips, near, rows in (
            ("generated", samples.take(different), around, everything),
            ("held out", sets.held_out, held_out, one.counted),
        ):
            rows = rows[np.argsort(near.distances[rows], kind="stable")][: settings.pairs]
            pairs += [_pair(kind, clips, windows, near, row, space.name) for row in rows.tolist()]
            shown += zip(clips.read(rows.tolist()), windows.clips.read(near.rows[rows].tolist()))
        if unsearched and one.record.verdict == "no sign of copies":
            reason = f"{unsearched} Among those searched: {one.record.reason}"
            one = replace(one, record=one.record.model_copy(update={"verdict": "cannot tell", "reason": reason}))
        if len(different) < len(samples):
            reason = (
                f"{len(different)} of {len(samples)} samples count: of those that are near copies of one another, one "
                f"does. {one.record.reason}"
            )
            one = replace(one, record=one.record.model_copy(update={"reason": reason}))
        found.append(one)
    order = sorted(range(len(pairs)), key=lambda place: pairs[place].kind != "generated")  # generated ones first
    record = Memorisation(
        spaces=[one.record for one in found],
        generated_count=len(samples),
        held_out_count=max(len(one.counted) for one in found),
        training_count=windows.count,
        pairs=[pairs[place] for place in order],
    )
    return Copies(record, [shown[place] for place in order], warnings)


def _near_copies(held_out: ClipSet, windows: TrainingWindows, cache: Cache, stages: Stages) -> np.ndarray:
    """Which held-out clips are near copies of a training clip by their fingerprints, bool ``[H]``."""
    own, theirs = (_features(clips, Fingerprints(), cache, stages) for clips in (held_out, windows.clips))
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


def _features(clips: ClipSet, extractor: FeatureExtractor, cache: Cache, stages: Stages) -> np.ndarray:
    with stages.bar("copies", f"looking for copies: {extractor.name}", len(clips)) as advance:
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
