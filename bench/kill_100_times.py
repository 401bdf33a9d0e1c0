"""Kill trainings 100 times, from inside, at every named point; each must end equal to one that was never killed.

    python bench/kill_100_times.py

Runs of eight settings (losses, regularisers, samplings, precisions) take about a dozen kills each, one after another,
in a plan drawn from --seed; then each finishes and is compared with its reference: weights, optimisers, averages and
numbers of every checkpoint, the log, samples, store and model bit by bit, timings apart, and no file left over. Prints
what each run did and a table of the points. Exit code 1 if anything differs or a point was not reached.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.kills import SETTINGS, Start, Training, forked_starts, start_process
from support.self_kill import POINTS

KILLS_PER_RUN = 12.5


def deal(kills: int, rng: random.Random) -> list[list[str]]:
    """The points of each run: all points equally often in the sum, none twice in one run."""
    runs = math.ceil(kills / KILLS_PER_RUN)
    names = rng.sample(list(POINTS), len(POINTS))
    dealt = sorted((names[index % len(names)] for index in range(kills)), key=names.index)
    return [dealt[run::runs] for run in range(runs)]


def kill_all(folder: Path, kills: int, seed: int, start: Start) -> bool:
    """Run everything; whether all ended equal."""
    rng = random.Random(seed)
    trainings: dict[str, Training] = {}
    tried: Counter[str] = Counter()
    bad: Counter[str] = Counter()
    settings = list(SETTINGS)
    for number, points in enumerate(deal(kills, rng)):
        setting = settings[(seed + number) % len(settings)]
        if setting not in trainings:
            trainings[setting] = Training(folder / setting.replace(" ", "-").replace(",", ""), setting, start)
        training = trainings[setting]
        plan, began = training.plan(points, rng), time.perf_counter()
        try:
            found = training.suffer(training.folder / f"run-{number}", plan)
        except AssertionError as error:  # a point that was not reached, or a run that ended in another way
            found = [str(error)]
        tried.update(points)
        bad.update(points if found else [])
        verdict = "different" if found else "equal"
        print(f"run {number}, {setting}: {len(plan)} kills, {time.perf_counter() - began:.0f} s, {verdict}")
        print("    " + "; ".join(f"{kill.point} ({kill.step})" if kill.step else kill.point for kill in plan))
        for line in found:
            print(f"    DIFFERENT: {line}")
        sys.stdout.flush()
    print(f"\n{'point':50} kills  verdict of its runs")
    for point in POINTS:
        if tried[point]:
            verdict = f"{bad[point]} of {tried[point]} different" if bad[point] else "equal"
            print(f"{point:50} {tried[point]:5}  {verdict}")
    print(f"{'all':50} {tried.total():5}  {'different' if bad else 'equal'}")
    return not bad


def main() -> None:
    """Read the arguments, and kill."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="how many (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="of the plan (default: 0)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the runs here (default: a temporary folder)")
    parser.add_argument("--forked", action="store_true", help="fork the processes from one that has imported dvdgan")
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = args.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if folder.exists() and any(folder.iterdir()):
            parser.error(f"{folder}: is not empty")
        start = stack.enter_context(forked_starts()) if args.forked else start_process
        equal = kill_all(folder.resolve(), args.kills, args.seed, start)
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
