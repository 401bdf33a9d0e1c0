"""The controls of an evaluation as a table in Markdown.

The command is ``python -m dvdgan.report.evaluation.controls_table evaluation.json``.
Columns are scores, rows are real clips and what corruptions make of them; generated clips have the last row.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.record import Evaluation, load
from dvdgan.evaluation.scores import Score
from dvdgan.report.words import number, times

THREEFOLD = 3.0
"""From so many times the baseline on, an effect is printed in bold."""


def controls_table(evaluation: Evaluation, keys: Sequence[str] = ()) -> str:
    """Each corruption's values, and how many times worse than the baseline they are; "–" where the score sees nothing.

    Args:
        evaluation: with controls.
        keys: which scores, by their keys; none is all that have controls.

    Raises:
        EvaluationError: a key that no score has, or no controls.
    """
    scores = {score.key: score for score in evaluation.scores if score.controls}
    if unknown := [key for key in keys if key not in scores]:
        raise EvaluationError(f"no score {unknown[0]!r} with controls; there are {', '.join(scores) or 'none'}")
    chosen = [scores[key] for key in keys] or list(scores.values())
    if not chosen:
        raise EvaluationError("this evaluation has no controls; make it with controls=true")
    lines = [f"| clips | {' | '.join(score.key for score in chosen)} |", "|---|" + "---:|" * len(chosen)]
    lines.append(_row("real", [_baseline(score) for score in chosen]))
    for corruption in evaluation.corruptions:
        lines.append(_row(corruption, [_corrupted(score, corruption) for score in chosen]))
    lines.append(_row("generated", [_generated(score) for score in chosen]))
    unseen = evaluation.unseen()
    lines += ["", f"Not seen by any score of this evaluation: {', '.join(unseen) or 'none'}."]
    return "\n".join(lines)


def _row(name: str, cells: list[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


def _baseline(score: Score) -> str:
    return "–" if score.baseline.mean is None else number(score.baseline.mean)


def _corrupted(score: Score, corruption: str) -> str:
    control = score.controls.get(corruption)
    if control is None or control.value is None:
        return "not tried"
    return _cell(control.value, score.times_worse(control.value)) if score.sees(corruption) else "–"


def _generated(score: Score) -> str:
    value = score.overall.value
    return "–" if value is None else _cell(value, score.times_worse(value))


def _cell(value: float, ratio: float | None) -> str:
    if ratio is None:
        return number(value)
    worse = times(ratio)
    return f"{number(value)} ({f'**{worse}**' if ratio >= THREEFOLD else worse})"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m dvdgan.report.evaluation.controls_table", description=__doc__)
    parser.add_argument("evaluation", type=Path, help="the JSON of an evaluation")
    parser.add_argument("scores", nargs="*", help="keys of scores, such as classifier/frechet; by default all")
    args = parser.parse_args(arguments)
    try:
        print(controls_table(load(args.evaluation), args.scores))
    except EvaluationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
