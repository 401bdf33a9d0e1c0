"""The charts of a prediction: how near made frames come to those that followed, over time, beside the baselines."""

from __future__ import annotations

import plotly.graph_objects as go

from dvdgan.evaluation.prediction.results import FrameCurve, Prediction
from dvdgan.report.charts import AMBER, BLUE, GREY, Chart, dress
from dvdgan.report.evaluation.tables import prediction_ways
from dvdgan.report.words import number

_LOOKS = {
    "mean": {"color": AMBER, "width": 2.5},
    "best": {"color": AMBER, "width": 2, "dash": "dot"},
    "copied": {"color": GREY, "width": 2},
    "extrapolated": {"color": BLUE, "width": 2},
}


def prediction_charts(prediction: Prediction) -> list[Chart]:
    """Each measure over the made frames, and how far futures of one start lie apart."""
    names = prediction_ways(prediction)
    made = []
    for measure in prediction.measures:
        curves = [(way, name, measure.curves[way]) for way, name in names.items() if way in measure.curves]
        if curves:
            about = f"{measure.about} {measure.better.capitalize()} is better."
            made.append(_chart(measure.key, measure.name, about, measure.unit, curves))
    if prediction.diversity:
        about = "Mean ST-LPIPS between two futures of one start. Copies of the last frame would all be alike: 0."
        curves = [("mean", "futures of one start", prediction.diversity)]
        made.append(_chart("diversity", "How much futures differ", about, "", curves))
    return made


def _chart(key: str, title: str, about: str, unit: str, curves: list[tuple[str, str, FrameCurve]]) -> Chart:
    figure, said = go.Figure(), []
    for way, name, curve in curves:
        x = list(range(1, len(curve.frames) + 1))
        if way == "mean" and all(frame.low is not None for frame in curve.frames):
            ends = [frame.high for frame in curve.frames] + [frame.low for frame in reversed(curve.frames)]
            band = {"fill": "toself", "fillcolor": "rgba(245,158,11,0.18)", "line": {"width": 0}, "mode": "lines"}
            figure.add_scatter(x=x + x[::-1], y=ends, hoverinfo="skip", showlegend=False, **band)
        figure.add_scatter(
            x=x,
            y=[frame.value for frame in curve.frames],
            mode="lines+markers",
            line=_LOOKS[way],
            marker={"size": 5},
            name=name,
            hovertemplate="%{y:.3g}",
        )
        first, last = (number(frame.value or 0.0) for frame in (curve.frames[0], curve.frames[-1]))
        said.append(f"{name} {first} at the first made frame, {last} at the last")
    figure.update_xaxes(title="made frame", tick0=1, dtick=-(-len(curves[0][2].frames) // 10))
    zero = "normal" if unit == "dB" else "tozero"  # 0 dB means nothing
    figure.update_yaxes(title=unit or None, nticks=5, automargin=True, rangemode=zero)
    dress(figure, 300, hovermode="x unified", margin={"b": 78}, showlegend=True)
    return Chart(f"prediction-{key}", title, about, figure, said=f"{title} over time: {'; '.join(said)}")
