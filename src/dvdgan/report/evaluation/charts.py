"""The charts of an evaluation: how far from real, scores over truncation, confusion and distances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from dvdgan.evaluation.classifier.results import Accuracy
from dvdgan.evaluation.measured import Measured
from dvdgan.evaluation.memorisation.results import Nearness
from dvdgan.evaluation.record import Evaluation
from dvdgan.evaluation.scores import Score
from dvdgan.report.charts import AMBER, BLUE, GREEN, GREY, Chart, add_level, dress, plain
from dvdgan.report.evaluation.tables import by_space
from dvdgan.report.words import interval, number, percent

_LABELLED = 40  # classes up to which a confusion matrix names its rows
_NUMBERED = 12  # and up to which it writes the shares


def ruler(score: Score) -> Chart | None:
    """Where a score lies between real clips and corrupted ones, better to the left; None if there are neither."""
    value, baseline = score.overall.value, score.baseline
    controls = [(name, control.value) for name, control in score.controls.items() if control.value is not None]
    real = [] if baseline.low is None or baseline.high is None else [baseline.low, baseline.high]
    if value is None or not (real or controls):
        return None
    figure, lower = go.Figure(), score.better == "lower"
    for row, name, seen, marker in (
        ("corrupted", "seen", True, {"symbol": "circle-open", "size": 9, "color": GREY}),
        ("corrupted", "not seen", False, {"symbol": "x-thin-open", "size": 8, "color": GREY}),
    ):
        shown = [control for control in controls if (score.sees(control[0]) is not False) == seen]
        shown.sort(key=lambda control: control[1], reverse=not lower)  # the mildest first
        if not shown:
            continue
        least, most = (shown[0], shown[-1]) if seen and len(shown) > 1 else (None, None)
        figure.add_scatter(
            x=[other for _, other in shown],
            y=[row] * len(shown),
            mode="markers+text",
            marker=marker,
            text=[plain(control[0]) if control in (least, most) else "" for control in shown],
            textposition=["bottom right" if control == least else "top left" for control in shown],
            textfont={"size": 11},
            hovertext=[plain(f"{control}: {number(other)}{'' if seen else ', not seen'}") for control, other in shown],
            hoverinfo="text",
            name=name,
        )
    figure.add_scatter(
        x=real,
        y=["real"] * len(real),
        mode="lines+markers",
        line={"color": GREEN, "width": 10},
        marker={"symbol": "square", "size": 8, "color": GREEN},
        hovertext=[f"real against real: {interval(*real)} in {baseline.repeats} repeats"] * 2 if real else [],
        hoverinfo="text",
    )
    low, high = _ends(value, score.overall)
    bars = _bars([(value, low, high)])
    _diamonds(figure, [value], ["generated"], [f"generated: {number(value)}"], error_x=bars)
    known = [value, *real, *(other for _, other in controls)]
    log = lower and min(known) > 0 and max(known) > 20 * min(known)
    way = True if lower else "reversed"
    figure.update_xaxes(type="log" if log else "linear", autorange=way, nticks=6, zeroline=False)
    if log:
        figure.update_xaxes(dtick="D2" if max(known) < 300 * min(known) else 1, exponentformat="none")
    rows = [*(["corrupted"] if controls else []), *(["real"] if real else []), "generated"]
    figure.update_yaxes(categoryorder="array", categoryarray=rows, range=[-0.7, len(rows) - 0.5])
    dress(figure, 36 + 38 * len(rows), showlegend=False, hovermode="closest", margin={"l": 72, "t": 4, "b": 24})
    said = f"{score.name}: generated {number(value)}"
    said += f"; real against real {interval(*real)}" if real else ""
    said += "".join(f"; {name} {number(other)}" for name, other in controls)
    return Chart(f"ruler-{score.key}", score.name, "", figure, said=f"{said}; better is to the left")


def curves(evaluation: Evaluation) -> list[Chart]:
    """Each score over truncation, with its spread and the range of real clips against real ones."""
    made = []
    for score in evaluation.scores:
        points = sorted(
            (point.truncation, point.values[score.key])
            for point in (evaluation.sweep.points if evaluation.sweep else [])
            if score.key in point.values and point.values[score.key].value is not None
        )
        if points:
            made.append(_curve(score, [(x, m.value or 0.0, *_ends(m.value or 0.0, m)) for x, m in points]))
    return made


def _curve(score: Score, points: Sequence[tuple[float, float, float, float]]) -> Chart:
    figure, baseline = go.Figure(), score.baseline
    hover = [f"truncation {x:g}: {number(y)}" for x, y, *_ in points]
    bars = _bars([rest for _, *rest in points])
    _diamonds(figure, [x for x, *_ in points], [y for _, y, *_ in points], hover, error_y=bars)
    if baseline.low is not None and baseline.high is not None:
        label = {"text": "real against real", "font": {"size": 11, "color": GREEN}, "yanchor": "bottom"}
        look = {"fillcolor": GREEN, "opacity": 0.25, "line_width": 0, "layer": "below"}
        figure.add_hrect(y0=baseline.low, y1=baseline.high, annotation=label, **look)
        figure.update_yaxes(autorangeoptions={"include": [baseline.low, baseline.high]})
    figure.update_xaxes(title="truncation", nticks=6)
    figure.update_yaxes(nticks=5, automargin=True, exponentformat="power")
    dress(figure, 230, showlegend=False, hovermode="closest", margin={"b": 44})
    said = f"{score.name} over truncation: " + ", ".join(f"{number(y)} at {x:g}" for x, y, *_ in points)
    return Chart(f"curve-{score.key}", score.name, f"{score.space}; {score.better} is better", figure, said=said)


def tradeoffs(evaluation: Evaluation) -> list[Chart]:
    """In each space, the first score that should be low against each that should be high, a point per truncation."""
    made = []
    for space, scores in by_space(evaluation):
        low = next((score for score in scores if score.better == "lower"), None)
        for high in scores if low else ():
            points = [] if low is None or high.better == "lower" else _both(evaluation, low.key, high.key)
            if low and len(points) > 1:
                about = f"{space.name}; better is up and to the left. Numbers at the points: truncation."
                made.append(_tradeoff(low, high, about, points))
    return made


def _both(evaluation: Evaluation, x_key: str, y_key: str) -> list[tuple[float, float, float]]:
    """Truncation and the values of two scores, where both are there."""
    found = []
    for point in evaluation.sweep.points if evaluation.sweep else ():
        x, y = (point.values[key].value if key in point.values else None for key in (x_key, y_key))
        if x is not None and y is not None:
            found.append((point.truncation, x, y))
    return sorted(found)


def _tradeoff(low: Score, high: Score, about: str, points: list[tuple[float, float, float]]) -> Chart:
    figure = go.Figure()
    hover = [f"truncation {t:g}: {low.name} {number(x)}, {high.name} {number(y)}" for t, x, y in points]
    rising = (points[-1][1] - points[0][1]) * (points[-1][2] - points[0][2]) > 0
    _diamonds(
        figure,
        [x for _, x, _ in points],
        [y for _, _, y in points],
        hover,
        text=_labels(points),
        textposition="top left" if rising else "top right",
        textfont={"size": 11},
    )
    figure.update_xaxes(title=plain(low.name), nticks=5)
    figure.update_yaxes(title=plain(high.name), nticks=5, automargin=True)
    dress(figure, 250, showlegend=False, hovermode="closest", margin={"l": 56, "b": 44})
    title = f"{high.name} against {low.name}"
    return Chart(f"tradeoff-{low.key}-{high.key}", title, about, figure, said="; ".join(hover))


def heat_map(names: Sequence[str], accuracy: Accuracy, key: str, title: str, about: str) -> Chart:
    """A confusion matrix, each row in per cent of its class: stronger colour is more.

    Cells without clips are left out, except for the diagonal, which places all rows and columns.
    """
    count = len(names)
    columns, rows, shares, texts = [], [], [], []
    for row, counts in enumerate(accuracy.confusion):
        total = sum(counts)
        for column, hits in enumerate(counts):
            if hits or row == column:
                columns.append(column)
                rows.append(row)
                shares.append(round(100 * hits / total, 2) if hits else None)
                said = f"{plain(names[row])}, taken for {plain(names[column])}: "
                texts.append(f"{said}{percent(hits / total)} ({hits} of {total})" if hits else "")
    gap = 1 if count <= _LABELLED else 0
    figure = go.Figure(
        go.Heatmap(
            x=columns,
            y=rows,
            z=shares,
            zmin=0,
            zmax=100,
            colorscale=[[0, "rgba(59,130,246,0.08)"], [1, BLUE]],
            showscale=False,
            xgap=gap,
            ygap=gap,
            text=texts,
            hoverinfo="text",
            hoverongaps=False,
            texttemplate="%{z:.0f}" if count <= _NUMBERED else None,
            textfont={"size": 10},
        )
    )
    dress(figure, 440, hovermode="closest", margin={"l": 10, "t": 10, "b": 10, "r": 10})
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(
            tickmode="array",
            tickvals=list(range(count)),
            ticktext=[plain(name, 14) for name in names],
            showticklabels=count <= _LABELLED,
            automargin=True,
            constrain="domain",
            showgrid=False,
            zeroline=False,
        )
    figure.update_xaxes(side="top", tickangle=-55)
    figure.update_yaxes(autorange="reversed", scaleanchor="x")
    said = f"confusion matrix, {count} classes: {accuracy.hits} of {accuracy.of} clips taken for their class"
    return Chart(key, title, about, figure, said=said)


def histogram(nearness: Nearness) -> Chart | None:
    """Distances to the nearest training clip: bars for generated clips, a stepped line for held-out ones."""
    found = nearness.histogram
    if found is None:
        return None
    generated, held_out = ([c / max(1, sum(side)) for c in side] for side in (found.generated, found.held_out))
    spans = list(zip(found.edges, found.edges[1:]))
    figure = go.Figure()
    figure.add_bar(
        x=[(start + end) / 2 for start, end in spans],
        y=generated,
        width=[0.94 * (end - start) for start, end in spans],
        marker={"color": AMBER, "line": {"width": 0}},
        name="generated",
        hovertext=[
            f"{interval(*span)}: {percent(made)} of generated, {percent(real)} of held-out"
            for span, made, real in zip(spans, generated, held_out)
        ],
        hoverinfo="text",
    )
    figure.add_scatter(
        x=[found.edges[0], *found.edges],
        y=[0, *held_out, 0],
        mode="lines",
        line={"color": GREEN, "width": 2.5, "shape": "hv"},
        name="held out",
        hoverinfo="skip",
    )
    add_level(figure, nearness.threshold, "closest 5 % of held-out", axis="x")
    figure.update_xaxes(title={"text": "distance to the nearest training clip"}, nticks=6)
    figure.update_yaxes(tickformat=".0%", rangemode="tozero", nticks=5, automargin=True)
    dress(figure, 270, hovermode="closest", margin={"t": 22, "b": 64})
    said = "clips by distance to the nearest training clip; the closest 5 % of held-out ones lie within "
    return Chart(f"distances-{nearness.space}", nearness.space, "", figure, said=said + number(nearness.threshold))


def _diamonds(figure: go.Figure, x: list[Any], y: list[Any], hover: list[str], **more: Any) -> None:
    """Points of generated clips, joined by a line, each with a text that shows on hovering."""
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines+markers+text",
        line={"color": AMBER, "width": 2},
        marker={"symbol": "diamond", "size": 11, "color": AMBER},
        cliponaxis=False,
        hovertext=[plain(text, 120) for text in hover],
        hoverinfo="text",
        **more,
    )


def _labels(points: list[tuple[float, float, float]]) -> list[str]:
    """The truncation at each point, the ends first; none where it would cover another's."""
    wide, tall = (max(p[axis] for p in points) - min(p[axis] for p in points) or 1.0 for axis in (1, 2))
    texts = [""] * len(points)
    for place in (0, *range(len(points) - 1, 0, -1)):
        _, x, y = points[place]
        others = [p for p, text in zip(points, texts) if text]
        if all(abs(x - p[1]) > 0.08 * wide or abs(y - p[2]) > 0.08 * tall for p in others):
            texts[place] = f"{points[place][0]:g}"
    return texts


def _ends(value: float, result: Measured) -> tuple[float, float]:
    """The ends of a bar that shows how far a value moves."""
    if result.spread is not None:
        return value - result.spread, value + result.spread
    return (value, value) if result.low is None or result.high is None else (result.low, result.high)


def _bars(points: Sequence[Sequence[float]]) -> dict[str, object]:
    """Plotly's error bars of values with their low and high ends."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [high - value for value, _, high in points],
        "arrayminus": [value - low for value, low, _ in points],
        "color": GREY,
        "thickness": 1.5,
        "width": 3,
    }
