"""Which curves a page shows of a run, and how a healthy one of each looks."""

from __future__ import annotations

import math

import numpy as np
import plotly.graph_objects as go

from dvdgan.report.charts import AMBER, BLUE, GREEN, GREY, RED, Chart
from dvdgan.report.run.figures import Look, chart_of, classes_chart, finish, lines_chart, mark_events, trace
from dvdgan.report.run.record import Record, is_number
from dvdgan.report.run.thinning import Bins

_DISCRIMINATORS = {
    "spatial": ("D_S, single frames", BLUE),
    "temporal": ("D_T, whole clip", AMBER),
    "projected": ("D_P, single frames by features", GREEN),
}


def charts(record: Record) -> list[Chart]:
    """The charts that the run has data for, in the page's order."""
    lines = record.lines
    made = [
        *_losses(lines),
        *_gradients(lines),
        *_clips(record),
        *_checks(record),
        *_evaluations(record),
        _seconds(lines),
        _rates(lines),
    ]
    shown = [chart for chart in made if chart is not None]
    last = max([record.step, *(event.step for event in record.events)], default=0)
    for chart in shown:
        mark_events(chart.figure, record.events)
        finish(chart, last)
    return shown


def _of_both(name: str) -> dict[str, Look]:
    """A number that is logged of each discriminator."""
    return {f"{name}_{discriminator}": look for discriminator, look in _DISCRIMINATORS.items()}


def _losses(lines: Bins) -> list[Chart | None]:
    return [
        lines_chart(
            lines,
            _of_both("loss"),
            "discriminator-losses",
            "Discriminator losses",
            "What the discriminators fail at, lower being better for them. Healthy: wavering with no trend below "
            "the start; a fall to 0 that stays means that the discriminator has won and teaches nothing more.",
        ),
        lines_chart(
            lines,
            _of_both("loss_g"),
            "generator-losses",
            "Generator losses",
            "How badly the generator fools each discriminator. Healthy: wavering within a band; a steady climb means "
            "that it falls behind. The level itself says nothing about quality.",
        ),
        *[
            lines_chart(
                lines,
                {f"real_{name}": ("training clips", GREEN), f"fake_{name}": ("generated clips", AMBER)},
                f"scores-{name}",
                f"Scores of {title}",
                "The mean score for training clips and for generated ones. Healthy: training clips above generated "
                "ones, with a gap that stays small and does not keep widening.",
            )
            for name, (title, _) in _DISCRIMINATORS.items()
        ],
        lines_chart(
            lines,
            _of_both("auc"),
            "ranking",
            "Pairs ranked rightly (AUC)",
            "The share of pairs of a training clip and a generated one that a discriminator ranks rightly. Healthy: "
            "between 0.6 and 0.95; 0.5 is guessing, and a line that lies on 1 tells the generator nothing.",
            (0.5, "guessing", GREY),
            (1.0, "saturated", GREY),
        ),
    ]


def _gradients(lines: Bins) -> list[Chart | None]:
    norms = lines_chart(
        lines,
        {"grad_generator": ("generator", GREEN), **_of_both("grad")},
        "gradients",
        "Gradient norms",
        "The length of each network's gradient, on a logarithmic axis. Healthy: level, within a factor of ten or so; "
        "spikes come before a collapse, and a fall towards 0 means that learning has stopped.",
    )
    if norms:
        found = np.concatenate([trace.y for trace in norms.figure.data])
        found = found[found > 0]
        narrow = len(found) > 0 and found.max() < 300 * found.min()
        norms.figure.update_yaxes(type="log", exponentformat="power", dtick="D2" if narrow else 1)
    penalties = lines_chart(
        lines,
        {
            f"penalty_{side}_{name}": (f"{where}, {title}", colour)
            for side, where, colours in (("real", "training clips", (BLUE, AMBER)), ("fake", "generated", (GREEN, RED)))
            for (name, (title, _)), colour in zip(_DISCRIMINATORS.items(), colours)
        },
        "penalties",
        "Gradient penalties",
        "How steep the discriminators are around the clips, before the penalty's weight. Healthy: level or slowly "
        "rising; a climb without end wants a larger weight.",
    )
    return [norms, penalties]


def _clips(record: Record) -> list[Chart | None]:
    alarm = record.setting("training.health.motion")
    return [
        classes_chart(
            record.lines,
            "motion_ratio",
            "motion",
            "Motion",
            "How much changes from frame to frame in generated clips, as a ratio to training clips of the same class. "
            "Healthy: close to 1; well below, clips are nearly frozen, far above, they flicker.",
            (1.0, "as real", GREY),
            (alarm if isinstance(alarm, float) else None, "alarm", RED),
            worse=lambda ratio: abs(math.log(max(ratio, 1e-3))),
        ),
        lines_chart(
            record.lines,
            {"first_frame": ("generated clips", AMBER), "first_frame_real": ("training clips", GREEN)},
            "first-frame",
            "First frame",
            "The change from the first frame to the second, in units of the clip's median change. Healthy: on the "
            "training clips' line, near 1; several times higher means that clips begin with a jump.",
        ),
    ]


def _guessing(record: Record) -> float | None:
    return 1 / len(record.classes) if len(record.classes) > 1 else None


def _checks(record: Record) -> list[Chart | None]:
    real = record.metadata.get("real_accuracy_by_class")
    reached = [value for value in (real.values() if isinstance(real, dict) else ()) if is_number(value)]
    return [
        classes_chart(
            record.checks,
            "diversity",
            "diversity",
            "Diversity",
            "How much the layouts of samples differ from each other, against training clips. Healthy: rising to 1; a "
            "class that falls towards 0 shows one clip again and again.",
            (1.0, "as real", GREY),
        ),
        classes_chart(
            record.checks,
            "accuracy",
            "accuracy",
            "Recognised classes",
            "The share of samples that a simple classifier takes for the class that was asked for. Healthy: rising "
            "towards what it reaches on training clips.",
            (float(np.mean(reached)) if reached else None, "real clips", GREEN),
            (_guessing(record), "guessing", GREY),
        ),
        lines_chart(
            record.checks,
            {"distance": ("samples", BLUE)},
            "distance",
            "Distance to the training clips",
            "How far samples lie from training clips in a fixed space of simple features. It compares moments of this "
            "run only, not runs or papers. Healthy: falling, quickly at first, towards the baseline that real clips "
            "reach.",
            (record.real_distance, "real clips", GREEN),
        ),
    ]


def _evaluations(record: Record) -> list[Chart | None]:
    found = record.evaluations
    counts = [found.last.get((name, "")) for name in ("clips", "real_clips")]
    samples, real = ("" if count is None else f"{count:,.0f} " for count in counts)
    metadata = record.metadata.get("evaluation")
    return [
        lines_chart(
            found,
            {"distance": ("samples", BLUE)},
            "classifier-distance",
            "Classifier Fréchet distance",
            f"How far {samples}samples lie from {real}training clips in the features of a trained classifier of clips. "
            "It compares with the same classifier at equal counts only. By it the best checkpoints are chosen, the "
            "lowest first. Healthy: falling towards the baseline, which training clips reach against each other.",
            (record.real_classifier_distance, "real clips", GREEN),
        ),
        classes_chart(
            found,
            "fidelity",
            "fidelity",
            "Class fidelity",
            f"The share of samples{_of_each(found, 'clips')} that the classifier takes for the class that was asked "
            "for. Healthy: rising towards its share of held-out real clips.",
            (metadata.get("held_out_fidelity") if isinstance(metadata, dict) else None, "held out", GREEN),
            (_guessing(record), "guessing", GREY),
        ),
        classes_chart(
            found,
            "behaviours",
            "behaviours",
            "Behaviours",
            f"The share of samples{_of_each(found, 'behaviours_clips')} that do what their class is about, such as a "
            "pan that goes left, measured on pixels with limits from real clips. Healthy: rising towards 1, which real "
            "clips all but reach.",
            (1.0, "all", GREY),
        ),
    ]


def _of_each(found: Bins, name: str) -> str:
    """How many samples of each class there were, as part of a sentence."""
    counts = [found.last[f"{name}_by_class", part] for part in found.parts(f"{name}_by_class")]
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
