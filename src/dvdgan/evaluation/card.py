"""An evaluation's main figures in the card of the model that was evaluated."""

from __future__ import annotations

from pathlib import Path

from dvdgan.data.write.encode import atomic_path
from dvdgan.evaluation.results import Evaluation
from dvdgan.models import SCORES, UNMEASURED
from dvdgan.report.evaluation.answers import answers, headlines
from dvdgan.report.evaluation.words import measured, number


def scored(card: str, evaluation: Evaluation | None) -> str:
    """A card, Markdown, with these scores in the place of any that it had; None says that there are none."""
    before, found, after = card.partition(f"{SCORES}\n")
    if not found:
        before = f"{before.rstrip()}\n\n"
    rest = after[after.index("\n## ") :] if "\n## " in after else ""
    return f"{before}{SCORES}\n\n{UNMEASURED if evaluation is None else _scores(evaluation)}\n{rest}"


def write_scores(path: Path, evaluation: Evaluation) -> None:
    """Put an evaluation's main figures into a card; the file is replaced whole.

    Args:
        path: the model's ``card.md``.
        evaluation: of this model.

    Raises:
        OSError: the card cannot be read or written.
    """
    card = scored(path.read_text(encoding="utf-8"), evaluation)
    with atomic_path(path) as temporary:
        temporary.write_text(card, encoding="utf-8")


def _scores(evaluation: Evaluation) -> str:
    evaluated, reference = evaluation.evaluated, evaluation.reference
    main = {(line.name, line.space) for line in headlines(evaluation)}
    sets = f"{len(evaluated.seeds)} sets, " if len(evaluated.seeds) > 1 else ""
    lines = [
        f"Of {evaluated.clips.count:,} clips ({sets}truncation {evaluated.truncation or 1:g}) against "
        f"{reference.clips.count:,} of {reference.path}, {reference.split}. The floor is what real clips get in their "
        "place.",
        "",
        "| score | this model | floor |",
        "|---|---|---|",
    ]
    for score in evaluation.scores:
        if (score.name, score.space) in main:
            floor = "" if score.floor.mean is None else number(score.floor.mean)
            lines.append(
                f"| {score.name}, {score.space} ({score.better} is better) | {measured(score.overall)} | {floor} |"
            )
    asked = answers(evaluation)[:-1]  # the last one is how sure that is, for which the page has reasons
    lines += ["", *(f"- {answer.question} {answer.figure}" for answer in asked)]
    lines += ["", f"Measured {evaluation.made} by dvdgan {evaluation.versions.get('dvdgan', '')}."]
    return "\n".join(lines)
