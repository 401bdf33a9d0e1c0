"""What a comparison with training clips puts into an evaluation's record and onto its page of pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dvdgan.evaluation import record as parts
from dvdgan.evaluation.clipsets import ClipSet
from dvdgan.evaluation.memorisation.search import Memorisation, Neighbour

_BINS = 30


def nearness(found: Memorisation, about: str = "") -> parts.Nearness:
    """The record of one space.

    Args:
        found: the comparison.
        about: what the space sees, and over what the nearest was sought (`TrainingWindows.about`).
    """
    test, alone = found.by_distance, found.by_ratio
    return parts.Nearness(
        space=found.space,
        about=about,
        threshold=test.threshold,
        nearer=parts.Share(hits=test.hits, of=test.count, low=test.low, high=test.high),
        expected=test.expected,
        alone=None if alone is None else parts.Share(hits=alone.hits, of=alone.count, low=alone.low, high=alone.high),
        verdict=found.verdict,
        reason=" ".join([found.reason, *found.notes]),
        histogram=_histogram(found.distances, found.held_out_distances),
    )


def pairs(
    found: Memorisation, samples: Sequence[str], training: Sequence[str], held_out: Sequence[str]
) -> list[parts.Pair]:
    """The records of the nearest pairs, samples first.

    Args:
        found: the comparison.
        samples: what each sample is known by (`ClipSet.ids`).
        training: what each window of a training clip is known by.
        held_out: what each held-out clip is known by.
    """
    sides: tuple[tuple[list[Neighbour], Sequence[str], bool], ...] = (
        (found.pairs, samples, True),
        (found.held_out_pairs, held_out, False),
    )
    return [
        parts.Pair(
            kind="generated" if generated else "held out",
            clip=ids[pair.row],
            training=training[pair.window],
            distance=pair.distance,
            space=found.space,
            shift=pair.shift,
            flipped=pair.flipped,
        )
        for neighbours, ids, generated in sides
        for pair in neighbours
    ]


def pixels(
    found: Memorisation, samples: ClipSet, training: ClipSet, held_out: ClipSet
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The clips of `pairs`, in their order, each uint8 ``[T, H, W, 3]``: the clip, and the training window beside it.

    Args:
        found: the comparison.
        samples: the samples.
        training: the windows of training clips.
        held_out: the held-out clips.
    """
    sides = (samples, found.pairs), (held_out, found.held_out_pairs)
    return [
        (clip, window)
        for clips, neighbours in sides
        for clip, window in zip(
            clips.read([pair.row for pair in neighbours]), training.read([pair.window for pair in neighbours])
        )
    ]


def _histogram(generated: np.ndarray, held_out: np.ndarray) -> parts.Histogram:
    both = np.concatenate([generated, held_out])
    low, high = float(both.min()), float(both.max())
    if high - low < 1e-6 * max(high, 1.0):  # all alike: one bin around them
        low, high = max(0.0, low - 0.5), high + 0.5
    edges = np.linspace(low, high, _BINS + 1)
    edges[0], edges[-1] = low, high
    counts = [np.histogram(values, edges)[0].tolist() for values in (generated, held_out)]
    return parts.Histogram(edges=edges.tolist(), generated=counts[0], held_out=counts[1])
