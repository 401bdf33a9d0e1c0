"""The floor of a score: what it says of real clips against other real clips at the same counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.metrics.scores import Rows, Score, plain
from dvdgan.randomness import keyed_rng


@dataclass(frozen=True)
class Floor:
    """What a score says of real clips against real clips; a model that were perfect would score about this.

    Attributes:
        mean: over the draws; None where none of them had a value.
        low: the least of them.
        high: the greatest of them. Draws from one pool share clips, so that this range is somewhat too narrow.
        deviation: their standard deviation; None of one draw.
        draws: how many had a value.
        reference: clips on the real side of each draw (the fewest of any).
        standins: real clips that stood in for generated ones in each draw (the fewest of any).
        matched: whether these are the counts that were asked for.
        note: what was done instead where they are not, or why there is no mean.
    """

    mean: float | None
    low: float | None
    high: float | None
    deviation: float | None
    draws: int
    reference: int
    standins: int
    matched: bool
    note: str | None

    def to_json(self) -> dict[str, Any]:
        """Plain strings and finite numbers."""
        return plain(asdict(self))


def affordable(pool: int, reference: int, standins: int) -> tuple[int, int]:
    """The counts nearest to those wanted, in their ratio, for two sets of a pool that share no clip.

    Measure generated clips at these counts, too, and score and floor compare.
    """
    if reference + standins <= pool:
        return reference, standins
    few = min(max(1, round(pool * standins / (reference + standins))), pool - 1)
    return pool - few, few


def real_floor(
    measure: Callable[[Rows, Rows], Score | float | None],
    pool: int,
    reference: int,
    standins: int,
    repeats: int = 10,
    seed: int = 0,
    labels: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    held_out: int | None = None,
    held_out_labels: np.ndarray | None = None,
) -> Floor:
    """Measure real clips against real clips that they share none with, in several keyed random draws.

    With a set of held-out real clips these stand in for generated ones; otherwise the pool is parted.

    Args:
        measure: takes the rows of the reference, in the pool, and those of the stand-ins, in the held-out set if there
            is one and in the pool if not.
        pool: how many real clips there are.
        reference: how many of them the score had on its real side.
        standins: how many generated clips the score had.
        repeats: how many draws; only one where every draw would be the same.
        seed: of the draws.
        labels: int64 ``[pool]``; if given, both sides have the pool's shares of classes. Not with ``held_out``.
        groups: int64 ``[pool]``, equal for clips that are near copies or cut from one film; if given, no group is on
            both sides, which would make the floor too low. A group goes with the class of its first clip. Not with
            ``held_out``.
        held_out: how many held-out real clips there are; None if none.
        held_out_labels: int64 ``[held_out]``; if given, stand-ins have the held-out clips' shares of classes.

    Raises:
        EvaluationError: fewer than 2 clips, counts that are not positive, or labels or groups that do not fit.
    """
    if pool < 2 or reference < 1 or standins < 1 or repeats < 1 or (held_out is not None and held_out < 1):
        raise EvaluationError(f"a floor of {reference} against {standins} needs real clips; there are {pool}")
    if held_out is not None and (labels is not None or groups is not None):
        raise EvaluationError("labels and groups part one pool of real clips; leave them out with held-out clips")
    for what, numbers in (("labels", labels), ("groups", groups)):
        if numbers is not None and len(numbers) != pool:
            raise EvaluationError(f"{len(numbers)} {what} for {pool} real clips; give one for each")
    if held_out_labels is not None and len(held_out_labels) != held_out:
        raise EvaluationError(f"{len(held_out_labels)} labels for {held_out} held-out clips; give one for each")
    wanted = reference, standins
    if held_out is None:
        wanted = affordable(pool, reference, standins)
        strata = _strata(pool, labels, groups)
    elif reference >= pool and standins >= held_out:
        repeats = 1
    values: list[float] = []
    sizes: list[tuple[int, int]] = []
    for repeat in range(repeats):
        rng = keyed_rng(seed, "real floor", repeat)
        if held_out is None:
            first, other = _part(rng, strata, *wanted)
        else:
            first = np.sort(rng.permutation(pool)[:reference])
            labelled = np.zeros(held_out, np.int64) if held_out_labels is None else held_out_labels
            other = _drawn(rng, labelled, min(standins, held_out))
        sizes.append((len(first), len(other)))
        found = measure(first, other) if len(first) and len(other) else None
        value = found.value if isinstance(found, Score) else found
        if value is not None and np.isfinite(value):
            values.append(float(value))
    least = min(size[0] for size in sizes), min(size[1] for size in sizes)
    matched = least == (reference, standins)
    note = None
    if not values:
        note = f"no draw of {least[0]} against {least[1]} real clips could be measured"
    elif not matched:
        note = _unmatched(pool, held_out, (reference, standins), least, groups is not None)
    return Floor(
        mean=float(np.mean(values)) if values else None,
        low=min(values, default=None),
        high=max(values, default=None),
        deviation=float(np.std(values, ddof=1)) if len(values) > 1 else None,
        draws=len(values),
        reference=least[0],
        standins=least[1],
        matched=matched,
        note=note,
    )


def _unmatched(pool: int, held_out: int | None, asked: tuple[int, int], got: tuple[int, int], grouped: bool) -> str:
    there = f"{pool} real clips" if held_out is None else f"{pool} real and {held_out} held-out clips"
    apart = "that share no clip" + (" and no group" if grouped else "")
    return (
        f"{there} are too few for {asked[0]} against {asked[1]} {apart}: the floor is that of {got[0]} against "
        f"{got[1]}, where most scores are worse; measure generated clips at these counts, too, before comparing"
    )


def _strata(pool: int, labels: np.ndarray | None, groups: np.ndarray | None) -> list[list[np.ndarray]]:
    """Rows of a pool, as groups that stay together, for each class (of their first clip)."""
    groups = np.arange(pool) if groups is None else groups
    order = np.argsort(groups, kind="stable")
    units = np.split(order, np.flatnonzero(np.diff(np.asarray(groups)[order])) + 1)
    strata: dict[int, list[np.ndarray]] = {}
    for unit in units:
        strata.setdefault(0 if labels is None else int(labels[unit[0]]), []).append(unit)
    return [strata[label] for label in sorted(strata)]


def _part(
    rng: np.random.Generator, strata: list[list[np.ndarray]], reference: int, standins: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of two sets that share no group, each with the strata's shares; fewer than asked where groups do not fit."""
    sizes = np.array([sum(len(unit) for unit in stratum) for stratum in strata])
    both = _shares(sizes, reference + standins)
    second = _shares(both, standins)
    sides: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for stratum, total, few in zip(strata, both, second):
        room = [int(total - few), int(few)]
        for unit in (stratum[i] for i in rng.permutation(len(stratum))):
            side = 1 if room[1] > 0 else 0
            if room[side] > 0:
                sides[side].append(rng.permutation(unit)[: room[side]])
                room[side] -= len(sides[side][-1])
    first, other = (np.sort(np.concatenate(side)) if side else np.empty(0, np.int64) for side in sides)
    return first, other


def _drawn(rng: np.random.Generator, labels: np.ndarray, count: int) -> np.ndarray:
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
