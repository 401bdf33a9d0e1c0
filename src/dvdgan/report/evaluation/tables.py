"""The page's tables: scores with their baselines, controls, classes, and what is taken for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from dvdgan.evaluation.classifier.results import Accuracy
from dvdgan.evaluation.measured import Share
from dvdgan.evaluation.prediction.results import FrameCurve, Prediction
from dvdgan.evaluation.record import Evaluation, Space
from dvdgan.evaluation.scores import Score
from dvdgan.report.words import interval, measured, number, percent, share, share_interval, times

_MOST_CONFUSED = 8


@dataclass(frozen=True)
class Cell:
    """A cell of a table."""

    text: str = ""
    note: str = ""  # in small letters below
    order: float | None = None  # what the column is sorted by
    faint: bool = False


@dataclass(frozen=True)
class Row:
    """A row with its heading."""

    name: str
    cells: list[Cell]
    about: str = ""
    note: str = ""


@dataclass(frozen=True)
class Column:
    """A column's heading, and the heading that it shares with its neighbours."""

    name: str
    note: str
    group: str


@dataclass(frozen=True)
class Table:
    """Headings and rows."""

    columns: list[Column]
    rows: list[Row]

    @property
    def groups(self) -> list[tuple[str, int]]:
        """The shared headings, each with how many columns it spans."""
        return [(group, len(list(columns))) for group, columns in groupby(self.columns, lambda column: column.group)]


def by_space(evaluation: Evaluation) -> list[tuple[Space, list[Score]]]:
    """Scores of each space, in the order of the spaces."""
    found = [
        (space, [score for score in evaluation.scores if score.space == space.name]) for space in evaluation.spaces
    ]
    return [(space, scores) for space, scores in found if scores]


def score_groups(evaluation: Evaluation) -> list[tuple[Space, list[Row]]]:
    """Each score with its baseline; cells: the value, real against real, how many times worse, and the counts."""
    return [(space, [_score_row(score) for score in scores]) for space, scores in by_space(evaluation)]


def _score_row(score: Score) -> Row:
    baseline, value = score.baseline, score.overall.value
    ratio = score.times_worse(value)
    first, second, *_ = [*sides(score), "", ""]
    ranged = ""
    if baseline.low is not None and baseline.high is not None:
        ranged = f"{interval(baseline.low, baseline.high)}, {baseline.repeats} repeats"
    cells = [
        _missing(score.overall.missing) if value is None else Cell(measured(score.overall), score.overall.over),
        _missing(baseline.missing) if baseline.mean is None else Cell(number(baseline.mean), ranged),
        Cell(times(ratio) or "–"),
        Cell(first or "–", second),
    ]
    warned = "; ".join(score.warnings)
    return Row(score.name, cells, about=" ".join(filter(None, (score.about, score.unit))), note=warned)


def sides(score: Score) -> list[str]:
    """How many generated clips a score compares, and how many real ones, as far as it looks at them."""
    counts = ((score.generated_count, "generated"), (score.real_count, "real"))
    return [f"{count:,} {side}" for count, side in counts if count is not None]


def control_table(evaluation: Evaluation) -> Table | None:
    """Scores as columns; generated clips, real ones and corrupted ones as rows. None if no control was scored."""
    scores = [score for _, group in by_space(evaluation) for score in group if score.controls]
    if not scores:
        return None
    unseen = set(evaluation.unseen())
    rows = [
        Row("generated", [_generated(score) for score in scores]),
        Row(
            "real",
            [Cell("–" if s.baseline.mean is None else number(s.baseline.mean)) for s in scores],
            "other real clips",
        ),
    ]
    for corruption, about in evaluation.corruptions.items():
        note = "not seen by any score" if corruption in unseen else ""
        rows.append(Row(corruption, [_control(score, corruption) for score in scores], about, note))
    columns = [Column(score.name, f"{score.better} is better", score.space) for score in scores]
    return Table(columns, rows)


def _generated(score: Score) -> Cell:
    value = score.overall.value
    if value is None:
        return Cell("–")
    return Cell(number(value), times(score.times_worse(value)))


def _control(score: Score, corruption: str) -> Cell:
    control = score.controls.get(corruption)
    if control is None or control.value is None:
        return Cell("–", control.missing if control else "")
    unseen = score.sees(corruption) is False
    notes = [times(score.times_worse(control.value)), "not\u00a0seen" if unseen else ""]
    return Cell(number(control.value), ",\u00a0".join(filter(None, notes)), faint=unseen)


def prediction_ways(prediction: Prediction) -> dict[str, str]:
    """What each curve of a prediction is called."""
    many = prediction.futures
    model = (
        {"mean": f"mean of {many} futures", "best": f"best of {many} futures"} if many > 1 else {"mean": "the model"}
    )
    return model | {"copied": "last given frame, held", "extrapolated": "linear extrapolation"}


def prediction_table(prediction: Prediction) -> Table:
    """Measures as columns; the model and the baselines as rows."""
    group = f"{prediction.made} made frames, {prediction.starts:,} starts"
    columns = [
        Column(measure.name, ", ".join(filter(None, (measure.unit, f"{measure.better} is better"))), group)
        for measure in prediction.measures
    ]
    rows = []
    for way, name in prediction_ways(prediction).items():
        cells = [_predicted(measure.curves.get(way), measure.missing) for measure in prediction.measures]
        if any(cell.text != "–" for cell in cells):
            rows.append(Row(name, cells))
    return Table(columns, rows)


def _predicted(curve: FrameCurve | None, missing: str) -> Cell:
    if curve is None or curve.overall.value is None:
        return _missing(missing)
    low, high = curve.overall.low, curve.overall.high
    return Cell(number(curve.overall.value), "" if low is None or high is None else interval(low, high))


def class_table(evaluation: Evaluation) -> Table | None:
    """Classes as rows: clips, scores, what the classifier says and the share that behaves. None without any of them."""
    columns: list[Column] = []
    cells: dict[str, list[Cell]] = {label: [] for label in evaluation.classes}

    def add(name: str, note: str, group: str, made: dict[str, Cell]) -> None:
        if made:
            columns.append(Column(name, note, group))
            for label, row in cells.items():
                row.append(made.get(label, Cell("–")))

    for _, scores in by_space(evaluation):
        for score in scores:
            add(score.name, f"{score.better} is better", score.space, _class_scores(score))
    classifier, behaviours = evaluation.classifier, evaluation.behaviours
    if classifier:
        group = "Classifier takes them for their class"
        add("generated", "higher is better", group, _shares(classifier.fidelity.by_class))
        add("real", "held out", group, _shares(classifier.accuracy.by_class))
    if behaviours:
        for kind in ("generated", "real"):
            rates = {part.label: part.rates[kind] for part in behaviours.by_class if kind in part.rates}
            add(kind, "higher is better" if kind == "generated" else "", "Behave as their class", _shares(rates))
    if not columns or not cells:
        return None
    return Table(columns, [Row(label, row, note=_class_counts(evaluation, label)) for label, row in cells.items()])


def _class_scores(score: Score) -> dict[str, Cell]:
    made = {}
    for label, part in score.per_class.items():
        if part.value is None:
            made[label] = _missing(part.missing)
        else:
            note = "" if part.baseline is None else f"real {number(part.baseline)}"
            made[label] = Cell(number(part.value), note, part.value)
    return made


def _class_counts(evaluation: Evaluation, label: str) -> str:
    sides = [(evaluation.evaluated.clips.counts, "generated"), (evaluation.reference.clips.counts, "real")]
    return ", ".join(f"{counts[label]:,} {side}" for counts, side in sides if label in counts)


def _shares(parts: Mapping[str, Share]) -> dict[str, Cell]:
    return {
        label: Cell(share(part), share_interval(part), part.value) if part.of else _missing(part.missing)
        for label, part in parts.items()
    }


def _missing(reason: str) -> Cell:
    return Cell("–", reason, faint=True)


def most_confused(classes: Sequence[str], accuracy: Accuracy) -> list[str]:
    """The most frequent mistakes, in words: what is taken for what, and how often."""
    found: list[tuple[float, str]] = []
    for row, (name, taken) in enumerate(zip(classes, accuracy.confusion)):
        for column, hits in enumerate(taken):
            if hits and row != column:
                part = hits / sum(taken)
                found.append((part, f"{name} for {classes[column]}: {percent(part)} of {sum(taken)}"))
    return [said for _, said in sorted(found, key=lambda mistake: -mistake[0])[:_MOST_CONFUSED]]
