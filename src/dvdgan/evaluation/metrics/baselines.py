"""The real-vs-real baseline of a score: what it says of real clips against other real clips at the same counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dvdgan.evaluation.scores import Baseline
from dvdgan.randomness import numpy_generator

Rows = np.ndarray
"""Numbers of clips, int64 ``[n]``."""

_REPEATS = 10
_PURPOSE = "real floor"  # names the random numbers, so that another word would change them


def held_out_draws(pool: int, held_out_labels: np.ndarray, generated: int, repeats: int, seed: int) -> list[Rows]:
    """Held-out real clips in the place of generated ones, drawn several times, each class as often as among all.

    Args:
        pool: how many real clips the score compares with.
        held_out_labels: int64 ``[H]``, classes of the held-out clips.
        generated: how many clips the score compares; fewer where there are not as many held-out ones.
        repeats: how many times; only one where all would be the same.
        seed: of the random choice.

    Returns:
        Rows of the held-out clips, ascending.
    """
    count = len(held_out_labels)
    draws = []
    for repeat in range(1 if generated >= count else repeats):
        rng = numpy_generator(seed, _PURPOSE, repeat)
        rng.permutation(pool)  # of the real clips, all of which are taken; kept for the numbers that follow it
        draws.append(_drawn(rng, held_out_labels, min(generated, count)))
    return draws


def disjoint_splits(labels: np.ndarray, groups: np.ndarray, generated: int) -> list[tuple[Rows, Rows]]:
    """One pool of real clips divided in two, ten times; each part has the pool's shares of classes.

    Args:
        labels: int64 ``[N]``, N >= 2.
        groups: int64 ``[N]``, equal for clips that are near copies or cut from one film: no group is in both parts,
            which would make the baseline too low. A group goes with the class of its first clip.
        generated: clips of the second part, below N; fewer where groups do not fit.

    Returns:
        Rows of the part that stands for real clips, and of the one that stands for generated ones, ascending.
    """
    order = np.argsort(groups, kind="stable")
    units = np.split(order, np.flatnonzero(np.diff(np.asarray(groups)[order])) + 1)
    strata: dict[int, list[np.ndarray]] = {}
    for unit in units:
        strata.setdefault(int(labels[unit[0]]), []).append(unit)
    by_class = [strata[label] for label in sorted(strata)]
    return [_part(numpy_generator(0, _PURPOSE, repeat), by_class, generated) for repeat in range(_REPEATS)]


def baseline(values: Sequence[float | None], counts: tuple[int, int], asked: tuple[int, int], there: str) -> Baseline:
    """What a score says of real clips, from its value on each of several draws.

    Args:
        values: of each draw; None or not finite where it could not be measured.
        counts: of clips in the place of generated ones, and of real clips, in each draw (the fewest of any).
        asked: counts of generated and of real clips that the score has.
        there: how many real clips there are, in words, for the note where draws have fewer than asked.
    """
    known = [float(value) for value in values if value is not None and np.isfinite(value)]
    if not known:
        missing = f"no split of {counts[1]} against {counts[0]} real clips could be measured"
        return Baseline(counts=counts, missing=missing)
    note = ""
    if counts != asked:
        note = (
            f"{there} are too few for {asked[1]} against {asked[0]} that share no clip: the baseline is that of "
            f"{counts[1]} against {counts[0]}, where most scores are worse; measure generated clips at these counts, "
            "too, before comparing"
        )
    mean = float(np.mean(known))
    return Baseline(mean=mean, low=min(known), high=max(known), repeats=len(known), counts=counts, note=note)


def _part(rng: np.random.Generator, strata: list[list[np.ndarray]], few: int) -> tuple[Rows, Rows]:
    """Rows of two sets that share no group, each with the strata's shares; fewer than asked where groups do not fit."""
    sizes = np.array([sum(len(unit) for unit in stratum) for stratum in strata])
    sides: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for stratum, total, second in zip(strata, sizes, _shares(sizes, few)):
        room = [int(total - second), int(second)]
        for unit in (stratum[i] for i in rng.permutation(len(stratum))):
            side = 1 if room[1] > 0 else 0
            if room[side] > 0:
                sides[side].append(rng.permutation(unit)[: room[side]])
                room[side] -= len(sides[side][-1])
    first, other = (np.sort(np.concatenate(side)) if side else np.empty(0, np.int64) for side in sides)
    return first, other


def _drawn(rng: np.random.Generator, labels: np.ndarray, count: int) -> Rows:
    """Rows of so many clips, ascending, each class as often as among all."""
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    shares = _shares(np.array([len(rows) for rows in members]), count)
    return np.sort(np.concatenate([rng.permutation(rows)[:few] for rows, few in zip(members, shares)]))


def _shares(sizes: np.ndarray, total: int) -> np.ndarray:
    """``total`` in proportion to sizes ``[K]``, at most their sum, in whole numbers by largest remainder."""
    exact = sizes * (total / sizes.sum())
    shares = np.floor(exact + 1e-9).astype(np.int64)
    shares[np.argsort(shares - exact, kind="stable")[: total - int(shares.sum())]] += 1
    return shares
