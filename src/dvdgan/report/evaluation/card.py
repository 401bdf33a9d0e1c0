"""An evaluation's main figures in the card of the model that was evaluated."""

from __future__ import annotations

from pathlib import Path

from dvdgan.atomic import atomic_path
from dvdgan.card import with_scores
from dvdgan.documents import read_text
from dvdgan.evaluation.record import Evaluation
from dvdgan.report.evaluation.answers import answers, headlines, of_prediction
from dvdgan.report.evaluation.tables import prediction_table
from dvdgan.report.words import number


def write_scores(path: Path, evaluation: Evaluation) -> None:
    """Put an evaluation's main figures into the ``card.md`` of its model; the file is replaced whole.

    Raises:
        OSError, DocumentError: the card cannot be read or written.
    """
    card = with_scores(read_text(path), _scores(evaluation))
    with atomic_path(path) as temporary:
        temporary.write_text(card, encoding="utf-8")


def _scores(evaluation: Evaluation) -> str:
    evaluated, reference = evaluation.evaluated, evaluation.reference
    sets = f"{len(evaluated.seeds)} sets, " if len(evaluated.seeds) > 1 else ""
    lines = [
        f"Of {evaluated.clips.count:,} clips ({sets}truncation {evaluated.truncation or 1:g}) against "
        f"{reference.clips.count:,} of {reference.path}, {reference.split}. The baseline is what real clips get in "
        "their place.",
        "",
        "| score | this model | baseline |",
        "|---|---|---|",
    ]
    for line in headlines(evaluation):
        score, real = line.score, "" if line.score.baseline.mean is None else number(line.score.baseline.mean)
        lines.append(f"| {score.name}, {score.space} ({score.better} is better) | {line.value} | {real} |")
    if evaluation.prediction:
        table = prediction_table(evaluation.prediction)
        lines += ["", f"| {table.groups[0][0]} | {' | '.join(f'{c.name} ({c.note})' for c in table.columns)} |"]
        lines.append("|---|" + "---|" * len(table.columns))
        lines += [f"| {row.name} | {' | '.join(cell.text for cell in row.cells)} |" for row in table.rows]
        lines += ["", *of_prediction(evaluation.prediction, evaluation.scores).sentences[1:]]
    asked = answers(evaluation)[:-1]  # the last one is how sure that is, for which the page has reasons
    lines += ["", *(f"- {answer.question} {answer.figure}" for answer in asked)]
    lines += ["", f"Measured {evaluation.made} by dvdgan {evaluation.versions.get('dvdgan', '')}."]
    return "\n".join(lines)
