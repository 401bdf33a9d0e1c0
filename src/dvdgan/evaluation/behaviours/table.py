"""How the behaviours do on clips whose truth is known: a table of pass rates, real clips beside controls.

``python -m dvdgan.evaluation.behaviours.table --size 32 --frames 12`` renders held-out phenomena and prints the
table; ``--write 200`` makes the stored limits for that size and length anew instead, from so many training clips of
each class.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence

import numpy as np

from dvdgan.data import phenomena
from dvdgan.data.progress import with_progress
from dvdgan.evaluation.behaviours.calibration import STORED, calibration, load, rendered_calibration, save
from dvdgan.evaluation.behaviours.scoring import OTHER, score_sets
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.measured import PassRate
from dvdgan.randomness import numpy_generator

CONTROLS = ("real", "frozen", "shuffled", "reversed", OTHER)
"""The columns of the table."""


def render_heldout(size: int, frames: int, clips: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Held-out phenomena: uint8 ``[9·clips, T, H, W, 3]``, class by class, and labels int64 ``[9·clips]``."""
    keys = [(label, index) for label in phenomena.CLASSES for index in range(clips)]
    rendered = np.empty((len(keys), frames, size, size, 3), np.uint8)
    for row, (label, index) in enumerate(with_progress(keys, f"rendering at {size} px")):
        rendered[row] = phenomena.render(label, index, seed=seed, size=size, frames=frames, split="heldout").clip
    return rendered, np.repeat(np.arange(len(phenomena.CLASSES)), clips)


def control_sets(
    clips: np.ndarray, labels: np.ndarray, seed: int = 0, first: int = 0
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Clips ``[N, T, H, W, 3]`` as they are, frozen at their first frame, shuffled and reversed, with their labels.

    Clip i's order follows from the seed and `first` + i, so that a set may be taken in parts.
    """
    frames = clips.shape[1]
    orders = [
        numpy_generator(seed, "behaviours: shuffled", first + row).permutation(frames) for row in range(len(clips))
    ]
    shuffled = np.stack([clip[order] for clip, order in zip(clips, orders)])
    frozen = np.broadcast_to(clips[:, :1], clips.shape)
    controls = {"real": clips, "frozen": frozen, "shuffled": shuffled, "reversed": clips[:, ::-1]}
    return {name: (some, labels) for name, some in controls.items()}


def control_table(size: int, frames: int, clips: int, others: int, seed: int) -> dict[str, dict[str, PassRate]]:
    """Pass rates of held-out phenomena and of controls made from them, by class and set.

    Args:
        size: height and width, in pixels.
        frames: frames per clip.
        clips: held-out clips of each class.
        others: of them, those that are also scored as each other class.
        seed: the data set's.

    Raises:
        EvaluationError: phenomena cannot be rendered so.
    """
    limits = calibration(size, frames)
    real, labels = render_heldout(size, frames, clips, seed)
    few = np.concatenate([np.flatnonzero(labels == k)[:others] for k in range(len(phenomena.CLASSES))])
    sets = control_sets(real, labels)
    return score_sets(sets, phenomena.CLASSES, limits, (real[few], labels[few]))


def markdown(table: Mapping[str, Mapping[str, PassRate]]) -> str:
    """The table as markdown: percentages, with the 95 % interval in brackets."""
    lines = [f"| class | {' | '.join(CONTROLS)} |", "|---|" + "---:|" * len(CONTROLS)]
    for label, rates in table.items():
        cells = [_cell(rates[name]) if name in rates else "" for name in CONTROLS]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(rate: PassRate) -> str:
    return f"{100 * (rate.value or 0):.1f} [{100 * (rate.low or 0):.1f}, {100 * (rate.high or 0):.1f}]"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m dvdgan.evaluation.behaviours.table", description=__doc__)
    parser.add_argument("--size", type=int, default=32, help="height and width of the clips in pixels")
    parser.add_argument("--frames", type=int, default=12, help="frames per clip")
    parser.add_argument("--clips", type=int, default=100, help="held-out clips of each class")
    parser.add_argument(
        "--others", type=int, default=25, help="of them, those that are scored as the other classes too"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the rendered data set")
    parser.add_argument("--failures", action="store_true", help="say why real clips failed, and what others passed as")
    parser.add_argument(
        "--write", type=int, metavar="CLIPS", help="make the stored limits anew, from so many of each class"
    )
    args = parser.parse_args(arguments)
    try:
        if args.write is not None:
            made = rendered_calibration(args.size, args.frames, args.write, args.seed)
            kept = (
                [one for one in load() if (one.size, one.frames) != (made.size, made.frames)] if STORED.exists() else []
            )
            save(STORED, sorted([*kept, made], key=lambda one: (one.size, one.frames)))
            print(f"{STORED}: {made.describe()}")
            return 0
        begun = time.perf_counter()
        table = control_table(args.size, args.frames, args.clips, args.others, args.seed)
        limits = calibration(args.size, args.frames)
    except (EvaluationError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{args.frames} frames of {args.size} px; % that pass [95 % interval]; limits {limits.describe()}\n")
    print(markdown(table))
    if args.failures:
        for label, rates in table.items():
            for name in CONTROLS:
                print(f"{label}, {name}: {rates[name].hits} of {rates[name].of} pass; {rates[name].failures}")
    print(f"\n{time.perf_counter() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
