"""Figures over the steps of a training: lines, bands over classes and marks of events."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dvdgan.report.charts import GREY, RED, Chart, add_level, dress, plain
from dvdgan.report.run.record import is_number
from dvdgan.report.run.thinning import Bins
from dvdgan.runs.events import Event

SHOWN_CLASSES = 12
"""With more classes than this, a chart shows the worst of them, and a band for all."""

_BY_CLASS = [
    "#60a5fa", "#f97316", "#34d399", "#f472b6", "#a78bfa", "#facc15",
    "#22d3ee", "#fb7185", "#84cc16", "#c084fc", "#d6a37a", "#94a3b8",
]  # fmt: skip
_SHOWN_EVENTS = 40


Look = tuple[str, str]
"""A line's label and its colour."""
Level = tuple[Any, str, str]
"""Where a reference line lies, its label and its colour; it is left out unless that is a finite number."""


def lines_chart(bins: Bins, looks: dict[str, Look], key: str, title: str, about: str, *levels: Level) -> Chart | None:
    """A chart with a line for each logged name of ``looks``; None if none was logged."""
    figure = go.Figure()
    for name, (label, colour) in looks.items():
        steps, values = bins.series(name)
        if len(steps):
            figure.add_trace(trace(steps, values, label, colour))
    return chart_of(key, title, about, figure, *levels)


def classes_chart(
    bins: Bins,
    name: str,
    key: str,
    title: str,
    about: str,
    *levels: Level,
    worse: Callable[[float], float] = operator.neg,
) -> Chart | None:
    """A chart of a name over all and by class; of the last values, the one with the highest ``worse`` is the worst."""
    by_class = f"{name}_by_class"
    figure, classes = go.Figure(), bins.parts(by_class)
    if len(classes) > SHOWN_CLASSES:
        _band(figure, bins, by_class, classes)
        about += (
            f" Of {len(classes)} classes the {SHOWN_CLASSES} worst by their last value are drawn, and a band for all."
        )
        classes = sorted(classes, key=lambda part: worse(bins.last[by_class, part]), reverse=True)[:SHOWN_CLASSES]
    for part, colour in zip(classes, _BY_CLASS):
        steps, values = bins.series(by_class, part)
        figure.add_trace(trace(steps, values, part, colour, line={"width": 1.3}))
    steps, values = bins.series(name)
    if len(steps):
        figure.add_trace(trace(steps, values, "all classes" if classes else "all clips", GREY, line={"width": 3.5}))
    return chart_of(key, title, about, figure, *levels, wide=bool(classes))


def _band(figure: go.Figure, bins: Bins, name: str, classes: list[str]) -> None:
    steps, table = bins.table([(name, part) for part in classes])
    there = ~np.isnan(table).all(axis=0)
    steps, table = steps[there], table[:, there]
    low, middle, high = np.nanmin(table, axis=0), np.nanmedian(table, axis=0), np.nanmax(table, axis=0)
    thin: dict[str, Any] = {"line": {"width": 0}, "legendgroup": "band", "showlegend": False}
    figure.add_trace(trace(steps, low, "lowest class", GREY, **thin))
    figure.add_trace(
        trace(steps, high, "highest class", GREY, fill="tonexty", fillcolor="rgba(139,139,148,0.2)", **thin)
    )
    figure.add_trace(
        trace(steps, middle, "median class", GREY, line={"width": 1.5, "dash": "dash"}, legendgroup="band")
    )


def trace(steps: np.ndarray, values: np.ndarray, name: str, colour: str, **more: Any) -> go.Scatter:
    """A line over steps, with a dot at each point where they are few; ``more`` goes to Plotly."""
    line = {"color": colour, "width": 2} | more.pop("line", {})
    few = {"mode": "lines+markers", "marker": {"size": 5}} if len(steps) < 30 else {"mode": "lines"}
    return go.Scatter(x=np.rint(steps), y=values.astype(np.float32), name=plain(name), line=line, **few | more)


def chart_of(key: str, title: str, about: str, figure: go.Figure, *levels: Level, wide: bool = False) -> Chart | None:
    """The chart of a figure, with reference lines; None if there is nothing in it."""
    if not figure.data:
        return None
    for at, label, colour in levels:
        if is_number(at):
            add_level(figure, at, label, colour)
    return Chart(key, title, about, figure, wide)


def mark_events(figure: go.Figure, events: list[Event]) -> None:
    """A dotted line where an event was raised, with a mark on its top that says what on hovering."""
    by_step: dict[int, list[str]] = {}
    for event in events:
        if event.state == "raised":
            by_step.setdefault(event.step, []).append(plain(event.event + (f": {event.about}" if event.about else "")))
    shown = dict(sorted(by_step.items())[-_SHOWN_EVENTS:])
    if not shown:
        return
    for step in shown:
        figure.add_shape(
            type="line", x0=step, x1=step, y0=0, y1=1, yref="paper", line={"color": RED, "width": 1, "dash": "dot"}
        )
    figure.add_trace(
        go.Scatter(
            x=list(shown),
            y=[1] * len(shown),
            yaxis="y2",
            mode="markers",
            marker={"symbol": "triangle-down", "size": 9, "color": RED},
            text=["<br>".join(texts[:6]) for texts in shown.values()],
            hovertemplate="%{text}<extra></extra>",
            showlegend=False,
            cliponaxis=False,
        )
    )
    figure.update_layout(yaxis2={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True})


def finish(chart: Chart, last: int) -> None:
    """The look that all charts share, and the whole run, up to step ``last``, on the axis of steps."""
    room = max(1.0, 0.02 * last)
    chart.figure.update_xaxes(
        range=[-room, last + room],
        hoverformat=",d",
        tickformat="~s" if last >= 10_000 else ",d",
        nticks=7,
        unifiedhovertitle={"text": "step %{x:,d}"},
    )
    chart.figure.update_layout(yaxis={"automargin": True, "hoverformat": ".4~g", "nticks": 7})
    dress(chart.figure, 420 if len(chart.figure.data) > 5 else 300, hovermode="x unified", showlegend=True)
