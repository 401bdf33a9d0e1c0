"""What the charts of both pages share: colours that suit a light page and a dark one, labels and reference lines."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any, Literal

import plotly.graph_objects as go

BLUE, AMBER, GREEN, GREY, RED = "#3b82f6", "#f59e0b", "#10b981", "#8b8b94", "#ef4444"
_GRID = {"gridcolor": "rgba(128,128,128,0.18)", "zerolinecolor": "rgba(128,128,128,0.35)", "linecolor": GREY}


@dataclass(frozen=True)
class Chart:
    """A figure with its heading and how to read it."""

    key: str
    title: str
    about: str
    figure: go.Figure
    wide: bool = False
    said: str = ""
    """What it shows, for readers who do not see it."""


def plain(text: str, longest: int = 40) -> str:
    """A text that Plotly shows as it is, on one line of at most so many characters: its labels are a small HTML."""
    text = " ".join(text.split())
    return html.escape(text if len(text) <= longest else text[: longest - 1] + "…", quote=False)


def add_level(figure: go.Figure, at: float, label: str, colour: str = GREY, axis: Literal["x", "y"] = "y") -> None:
    """A line with a label across the chart, from a place on the ``x`` or ``y`` axis, which reaches it in any case."""
    look = {"line": {"color": colour, "width": 1, "dash": "dash"}}
    text = {"text": label, "font": {"size": 11, "color": colour}}
    if axis == "y":
        figure.add_hline(y=at, **look, annotation={**text, "x": 1, "xanchor": "left", "yanchor": "middle"})
        figure.update_layout(margin={"r": 68})
    else:
        figure.add_vline(x=at, **look, annotation={**text, "y": 1, "xanchor": "center", "yanchor": "bottom"})
    along = figure.layout[f"{axis}axis"]
    along.autorangeoptions.include = [*(along.autorangeoptions.include or ()), at]


def dress(figure: go.Figure, height: int, **layout: Any) -> None:
    """What all figures share: no background, greys that do on light and on dark, room for labels.

    Args:
        figure: the figure; axes keep what was set on them before.
        height: in pixels.
        layout: more of Plotly's layout, over what is shared.
    """
    margin = {"l": 46, "r": figure.layout.margin.r or 12, "t": 16, "b": 36} | layout.pop("margin", {})
    figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": GREY, "size": 12, "family": "system-ui, sans-serif"},
        height=height,
        margin=margin,
        hoverlabel={"bgcolor": "rgba(24,24,27,0.92)", "font": {"color": "#f4f4f5", "size": 12}, "namelength": -1},
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0, "font": {"size": 11}},
    )
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(**_GRID, title={"font": {"size": 12}, "standoff": 6})
    figure.update_layout(**layout)
