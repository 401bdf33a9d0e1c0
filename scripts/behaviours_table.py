"""How the behaviours do on clips whose truth is known: a table of pass rates, real clips beside controls.

    python scripts/behaviours_table.py --size 32 --frames 12                # held-out phenomena, in Markdown
    python scripts/behaviours_table.py --size 32 --frames 12 --write 200    # the stored limits, made anew

Cells are the share that passes, in per cent, with the 95 % interval in brackets.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dvdgan.config import DataConfig
from dvdgan.data.dataset import ClipDataset
from dvdgan.data.errors import DataError
from dvdgan.data.rendering import packed_phenomena
from dvdgan.evaluation.behaviours.calibration import STORED, calibration, load, rendered_calibration, save
from dvdgan.evaluation.behaviours.scoring import OTHER
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.measured import PassRate
from dvdgan.evaluation.pass_rates import score_sets
from dvdgan.evaluation.real_clips import middle_windows
from dvdgan.evaluation.record import BehaviourRates

CONTROLS = ("real", "frozen", "shuffled", "reversed", OTHER)
"""The columns of the table."""


def control_rates(size: int, frames: int, clips: int, others: int, seed: int) -> list[BehaviourRates]:
    """Pass rates of held-out phenomena and of controls made from them, by class and set.

    Args:
        size: height and width, in pixels.
        frames: frames per clip.
        clips: held-out clips of each class.
        others: of them, those that are also scored as each other class.
        seed: the data set's.

    Raises:
        DataError, EvaluationError: phenomena cannot be rendered so.
    """
    with tempfile.TemporaryDirectory() as folder:
        store = packed_phenomena(Path(folder) / "heldout", size, frames, clips, seed, "heldout")
        real = middle_windows(ClipDataset(store, DataConfig(split="all"), size, frames))
        return score_sets([], real, calibration(size, frames), 0, others).by_class


def markdown(table: Sequence[BehaviourRates]) -> str:
    """The table as Markdown."""
    lines = [f"| class | {' | '.join(CONTROLS)} |", "|---|" + "---:|" * len(CONTROLS)]
    for part in table:
        cells = [_cell(part.rates[name]) if name in part.rates else "" for name in CONTROLS]
        lines.append(f"| {part.label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(rate: PassRate) -> str:
    return f"{100 * (rate.value or 0):.1f} [{100 * (rate.low or 0):.1f}, {100 * (rate.high or 0):.1f}]"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=32, help="height and width of the clips in pixels")
    parser.add_argument("--frames", type=int, default=12, help="frames per clip")
    parser.add_argument("--clips", type=int, default=100, help="held-out clips of each class")
    parser.add_argument("--others", type=int, default=25, help="of them, those that are scored as other classes too")
    parser.add_argument("--seed", type=int, default=0, help="seed of the rendered data set")
    parser.add_argument("--failures", action="store_true", help="say why real clips failed, and what others passed as")
    parser.add_argument("--write", type=int, metavar="CLIPS", help="make the stored limits anew, from so many a class")
    args = parser.parse_args(arguments)
    try:
        if args.write is not None:
            made = rendered_calibration(args.size, args.frames, args.write, args.seed)
            kept = [one for one in load() if (one.size, one.frames) != (made.size, made.frames)]
            save(STORED, sorted([*kept, made], key=lambda one: (one.size, one.frames)))
            print(f"{STORED}: {made.describe()}")
            return 0
        table = control_rates(args.size, args.frames, args.clips, args.others, args.seed)
        print(f"{args.frames} frames of {args.size} px; limits {calibration(args.size, args.frames).describe()}\n")
    except (EvaluationError, DataError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(markdown(table))
    if args.failures:
        for part in table:
            for name, rate in part.rates.items():
                print(f"{part.label}, {name}: {rate.hits} of {rate.of} pass; {rate.failures}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
