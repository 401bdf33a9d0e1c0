"""Which curves a page shows of a run, and how a healthy one of each looks."""

from __future__ import annotations

import math
from typing import Any, TypeGuard

import numpy as np
import plotly.graph_objects as go

from dvdgan.report.charts import AMBER, BLUE, GREEN, GREY, RED, Chart, add_level
from dvdgan.report.run.figures import chart_of, classes_chart, finish, lines_chart, mark_events, trace
from dvdgan.report.run.record import Record
from dvdgan.report.run.thinning import Bins

_DISCRIMINATORS = {"spatial": ("D_S, single frames", BLUE), "temporal": ("D_T, whole clip", AMBER)}


def charts(record: Record) -> list[Chart]:
    """The charts that the run has data for, in the page's order."""
    lines, checks = record.lines, record.checks
    made = [
        _losses(lines),
        _generator_losses(lines),
        *[_scores(lines, discriminator) for discriminator in _DISCRIMINATORS],
        _ranking(lines),
        _gradients(lines),
        _penalties(lines),
        _motion(lines, record.setting("training.health.motion")),
        _first_frame(lines),
        _diversity(checks),
        _accuracy(record),
        _distance(record),
        _classifier_distance(record),
        _fidelity(record),
        _behaviours(record),
        _seconds(lines),
        _rates(lines),
    ]
    shown = [chart for chart in made if chart is not None]
    last = max([record.step, *(event.step for event in record.events)], default=0)
    for chart in shown:
        mark_events(chart.figure, record.events)
        finish(chart, last)
    return shown


def _losses(lines: Bins) -> Chart | None:
    return lines_chart(
        lines,
        {f"loss_{discriminator}": look for discriminator, look in _DISCRIMINATORS.items()},
        "discriminator-losses",
        "Discriminator losses",
        "What the two discriminators fail at, lower being better for them. Healthy: wavering with no trend below the "
        "start; a fall to 0 that stays means that the discriminator has won and teaches nothing more.",
    )


def _generator_losses(lines: Bins) -> Chart | None:
    return lines_chart(
        lines,
        {f"loss_g_{discriminator}": look for discriminator, look in _DISCRIMINATORS.items()},
        "generator-losses",
        "Generator losses",
        "How badly the generator fools each discriminator. Healthy: wavering within a band; a steady climb means that "
        "it falls behind. The level itself says nothing about quality.",
    )


def _scores(lines: Bins, discriminator: str) -> Chart | None:
    name = _DISCRIMINATORS[discriminator][0]
    return lines_chart(
        lines,
        {f"real_{discriminator}": ("training clips", GREEN), f"fake_{discriminator}": ("generated clips", AMBER)},
        f"scores-{discriminator}",
        f"Scores of {name}",
        "The mean score for training clips and for generated ones. Healthy: training clips above generated ones, with "
        "a gap that stays small and does not keep widening.",
    )


def _ranking(lines: Bins) -> Chart | None:
    chart = lines_chart(
        lines,
        {f"auc_{discriminator}": look for discriminator, look in _DISCRIMINATORS.items()},
        "ranking",
        "Pairs ranked rightly (AUC)",
        "The share of pairs of a training clip and a generated one that a discriminator ranks rightly. Healthy: "
        "between 0.6 and 0.95; 0.5 is guessing, and a line that lies on 1 tells the generator nothing.",
    )
    if chart:
        add_level(chart.figure, 0.5, "guessing")
        add_level(chart.figure, 1.0, "saturated")
    return chart


def _gradients(lines: Bins) -> Chart | None:
    looks = {"generator": ("generator", GREEN), **_DISCRIMINATORS}
    chart = lines_chart(
        lines,
        {f"grad_{network}": look for network, look in looks.items()},
        "gradients",
        "Gradient norms",
        "The length of each network's gradient, on a logarithmic axis. Healthy: level, within a factor of ten or so; "
        "spikes come before a collapse, and a fall towards 0 means that learning has stopped.",
    )
    if chart:
        norms = np.concatenate([trace.y for trace in chart.figure.data])
        norms = norms[norms > 0]
        narrow = len(norms) > 0 and norms.max() < 300 * norms.min()
        chart.figure.update_yaxes(type="log", exponentformat="power", dtick="D2" if narrow else 1)
    return chart


def _penalties(lines: Bins) -> Chart | None:
    looks = {
        f"penalty_{side}_{discriminator}": (f"{where}, {_DISCRIMINATORS[discriminator][0]}", colour)
        for side, where, colours in (("real", "training clips", (BLUE, AMBER)), ("fake", "generated", (GREEN, RED)))
        for discriminator, colour in zip(_DISCRIMINATORS, colours)
    }
    return lines_chart(
        lines,
        looks,
        "penalties",
        "Gradient penalties",
        "How steep the discriminators are around the clips, before the penalty's weight. Healthy: level or slowly "
        "rising; a climb without end wants a larger weight.",
    )


def _motion(lines: Bins, alarm: Any) -> Chart | None:
    chart = classes_chart(
        lines,
        "motion_ratio",
        "motion",
        "Motion",
        "How much changes from frame to frame in generated clips, as a ratio to training clips of the same class. "
        "Healthy: close to 1; well below, clips are nearly frozen, far above, they flicker.",
        worse=lambda ratio: abs(math.log(max(ratio, 1e-3))),
    )
    if chart:
        add_level(chart.figure, 1.0, "as real")
        if isinstance(alarm, float):
            add_level(chart.figure, alarm, "alarm", RED)
    return chart


def _first_frame(lines: Bins) -> Chart | None:
    return lines_chart(
        lines,
        {"first_frame": ("generated clips", AMBER), "first_frame_real": ("training clips", GREEN)},
        "first-frame",
        "First frame",
        "The change from the first frame to the second, in units of the clip's median change. Healthy: on the training "
        "clips' line, near 1; several times higher means that clips begin with a jump.",
    )


def _diversity(checks: Bins) -> Chart | None:
    chart = classes_chart(
        checks,
        "diversity",
        "diversity",
        "Diversity",
        "How much the layouts of samples differ from each other, against training clips. Healthy: rising to 1; a "
        "class that falls towards 0 shows one clip again and again.",
        worse=lambda value: -value,
    )
    if chart:
        add_level(chart.figure, 1.0, "as real")
    return chart


def _accuracy(record: Record) -> Chart | None:
    chart = classes_chart(
        record.checks,
        "accuracy",
        "accuracy",
        "Recognised classes",
        "The share of samples that a simple classifier takes for the class that was asked for. Healthy: rising towards "
        "what it reaches on training clips.",
        worse=lambda value: -value,
    )
    real = record.facts.get("real_accuracy_by_class")
    if chart and isinstance(real, dict):
        reached = [value for value in real.values() if _is_number(value)]
        if reached:
            add_level(chart.figure, float(np.mean(reached)), "real clips", GREEN)
    if chart and len(record.classes) > 1:
        add_level(chart.figure, 1 / len(record.classes), "guessing")
    return chart


def _distance(record: Record) -> Chart | None:
    chart = lines_chart(
        record.checks,
        {"distance": ("samples", BLUE)},
        "distance",
        "Distance to the training clips",
        "How far samples lie from training clips in a fixed space of simple features. It compares moments of this run "
        "only, not runs or papers. Healthy: falling, quickly at first, towards the baseline that real clips reach.",
    )
    floor = record.facts.get("floor")
    if chart and _is_number(floor):
        add_level(chart.figure, float(floor), "real clips", GREEN)
    return chart


def _classifier_distance(record: Record) -> Chart | None:
    last = record.evaluations.last
    samples, real = (f"{last[name, '']:,.0f} " if (name, "") in last else "" for name in ("clips", "real_clips"))
    chart = lines_chart(
        record.evaluations,
        {"distance": ("samples", BLUE)},
        "classifier-distance",
        "Classifier Fréchet distance",
        f"How far {samples}samples lie from {real}training clips in the features of a trained "
        "classifier of clips. It compares with the same classifier at equal counts only. By it the best checkpoints "
        "are chosen, the lowest first. Healthy: falling towards the baseline, which training clips reach against "
        "each other.",
    )
    floor = last.get(("floor", ""))
    if chart and floor is not None:
        add_level(chart.figure, floor, "real clips", GREEN)
    return chart


def _fidelity(record: Record) -> Chart | None:
    chart = classes_chart(
        record.evaluations,
        "fidelity",
        "fidelity",
        "Class fidelity",
        f"The share of samples{_of_each(record, 'clips')} that the classifier takes for the class that was asked for. "
        "Healthy: rising towards its share of held-out real clips.",
        worse=lambda value: -value,
    )
    facts = record.facts.get("evaluation")
    real = facts.get("held_out_fidelity") if isinstance(facts, dict) else None
    if chart and _is_number(real):
        add_level(chart.figure, float(real), "held out", GREEN)
    if chart and len(record.classes) > 1:
        add_level(chart.figure, 1 / len(record.classes), "guessing")
    return chart


def _behaviours(record: Record) -> Chart | None:
    chart = classes_chart(
        record.evaluations,
        "behaviours",
        "behaviours",
        "Behaviours",
        f"The share of samples{_of_each(record, 'behaviours_clips')} that do what their class is about, such as a pan "
        "that goes left, measured on pixels with limits from real clips. Healthy: rising towards 1, which real clips "
        "all but reach.",
        worse=lambda value: -value,
    )
    if chart:
        add_level(chart.figure, 1.0, "all")
    return chart


def _of_each(record: Record, name: str) -> str:
    """How many samples of each class there were, as part of a sentence."""
    by_class = f"{name}_by_class"
    counts = [record.evaluations.last[by_class, part] for part in record.evaluations.parts(by_class)]
    if not counts:
        return ""
    low, high = min(counts), max(counts)
    return f" ({low:.0f}{'' if low == high else f' to {high:.0f}'} of each class)"


def _seconds(lines: Bins) -> Chart | None:
    looks = {"d": ("discriminators", BLUE), "g": ("generator", GREEN), "data": ("waiting for data", AMBER)}
    figure = go.Figure()
    for part in [*looks, *(other for other in lines.parts("seconds") if other not in looks)]:
        steps, values = lines.series("seconds", part)
        if len(steps):
            name, colour = looks.get(part, (part, GREY))
            figure.add_trace(trace(steps, values, name, colour, stackgroup="all", line={"width": 0.5}))
    about = "What a step's time goes to. Healthy: level, with hardly any waiting for data."
    return chart_of("seconds", "Seconds per step", about, figure)


def _rates(lines: Bins) -> Chart | None:
    names = {"lr_g": ("generator", GREEN), "lr_d": ("discriminators", BLUE)}
    if not any(len(set(lines.series(name)[1].tolist())) > 1 for name in names):
        return None
    about = "How large a step each optimiser takes: as the settings plan it, or as it was changed while training."
    chart = lines_chart(lines, names, "rates", "Learning rates", about)
    if chart:
        chart.figure.update_yaxes(exponentformat="e", rangemode="tozero")
    return chart


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
