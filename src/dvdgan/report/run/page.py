"""The page of a run: read its directory, make pictures and curves small, and write one file that needs nothing else."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from dvdgan.config.files import ConfigError, field_paths, leaves, load_config, parse_config
from dvdgan.report.html import check_path, plotly_js, write_page
from dvdgan.report.media import Sample, chosen, shots
from dvdgan.report.run.record import Record, read_record
from dvdgan.report.words import Property, duration, setting, size
from dvdgan.runs.events import Event

_SHOWN_EVENTS = 300
_NOT_COMPARED = {"name", "description", "network.classes", "data.source"}  # what every run sets for itself


def write_run_page(run: Path, out: Path | None = None) -> Path:
    """Write one self-contained HTML page about a running, stopped or finished training.

    The page loads nothing from anywhere: clips, images, curves and the code that draws them are all inside. It is
    written to a temporary file that is then renamed, so that one that is open in a browser can be made again at any
    time. Making it takes some seconds, and reads the run without changing it.

    Args:
        run: the directory of a training, its ``--out``.
        out: the file to write; None writes ``report.html`` into the run's directory.

    Returns:
        The page's path.

    Raises:
        ReportError: there is no run, or Plotly is not installed.
        OSError: the page cannot be written.
    """
    run = Path(run)
    out = run / "report.html" if out is None else Path(out)
    record = read_record(run)
    check_path(out)
    plotly_js(out)
    from dvdgan.report.run.curves import charts

    return write_page(
        out,
        "run.html.j2",
        charts(record),
        record=record,
        name=str(record.setting("name") or "run"),
        directory=run.resolve().name,
        made=_now(),
        properties=_header(record),
        progress=_progress(record),
        latest=_latest(record),
        raised=_by_kind(record.raised),
        events=record.events[::-1][:_SHOWN_EVENTS],
        **_pictures(record),
        differences=_differences(record),
        run_properties=_run_properties(record),
        overrides=[event for event in record.events if event.event == "override"],
        checkpoints=[(c.step, c.path.name, size(c.size)) for c in reversed(record.checkpoints)],
    )


def _by_kind(events: list[Event]) -> list[list[Event]]:
    """Events of one kind together, in the order in which the kinds first came: what to do about them is the same."""
    kinds: dict[str, list[Event]] = {}
    for event in events:
        kinds.setdefault(event.event, []).append(event)
    return list(kinds.values())


def _now() -> str:
    now = datetime.now().astimezone()
    return f"{now.day} {now:%B %Y, %H:%M %Z}"


def _pictures(record: Record) -> dict[str, Any]:
    """The shots of the film strip, that of the training clips, and whether there are moving ones."""
    samples = chosen(record.samples)
    real, *rest = shots([record.real or Sample(0, None, None), *samples])
    made = [shot for shot in rest if shot.clip or shot.sheet]
    moving = any(shot.clip for shot in (real, *made))
    return {"shots": made, "real": real, "moving": moving, "samples": len(record.samples)}


def _header(record: Record) -> list[Property]:
    metadata = record.metadata
    source, classes = record.setting("data.source"), record.setting("network.classes")
    precision = [metadata.get("precision"), metadata.get("memory_format")]
    side, frames = record.setting("network.size"), record.setting("network.frames")
    what = None if side is None else f"{side}×{side}" + (" images" if frames == 1 else f", {frames} frames")
    count = len(record.classes) or classes
    found = {
        "Training so far": None if record.hours is None else duration(3600 * record.hours),
        "Seconds per step": None if record.seconds_per_step is None else f"{record.seconds_per_step:.3g} s",
        "Makes": what,
        "Data": "phenomena, rendered by dvdgan" if source == "phenomena" else source,
        "Clips": f"{metadata['clips']:,}" if isinstance(metadata.get("clips"), int) else None,
        "Classes": "none (unconditional)" if count == 0 else count,
        "Precision": ", ".join(str(part).replace("_", " ") for part in precision if part),
        "Threads": metadata.get("threads"),
    }
    return [Property(heading, str(entry)) for heading, entry in found.items() if entry not in (None, "")]


def _progress(record: Record) -> dict[str, Any]:
    """Steps done and planned, the share in percent, and the time that is left while training runs."""
    planned = record.setting("training.steps")
    planned = planned if isinstance(planned, int) and planned > 0 else None
    left = None
    if planned and record.state == "running" and record.seconds_per_step and planned > record.step:
        left = duration((planned - record.step) * record.seconds_per_step)
    share = None if planned is None else round(min(100.0, 100 * record.step / planned), 1)
    return {"done": record.step, "planned": planned, "share": share, "left": left}


def _latest(record: Record) -> list[Property]:
    """The newest values of the numbers that say most, with what they should be."""
    lowest = f"; lowest {record.best[1]:.3g}, at step {record.best[0]:,}" if record.best else ""
    looked_for = [
        (record.lines, "motion_ratio", "Motion", "1 is as real"),
        (record.checks, "diversity", "Diversity", "1 is as real"),
        (record.checks, "accuracy", "Recognised", "share of samples; 1 is all"),
        (record.checks, "distance", "Distance", _towards(record.real_distance)),
        (record.evaluations, "distance", "Classifier distance", _towards(record.real_classifier_distance) + lowest),
        (record.evaluations, "fidelity", "Class fidelity", "share that the classifier recognises; 1 is all"),
        (record.evaluations, "behaviours", "Behaviours", "share that behaves as its class; 1 is all"),
        (record.lines, "auc_spatial", "AUC of D_S", "0.5 guesses, 1 is too good"),
        (record.lines, "auc_temporal", "AUC of D_T", "0.5 guesses, 1 is too good"),
        (record.lines, "auc_projected", "AUC of D_P", "0.5 guesses, 1 is too good"),
    ]
    return [
        Property(heading, f"{bins.last[name, '']:.3g}", about)
        for bins, name, heading, about in looked_for
        if (name, "") in bins.last
    ]


def _towards(baseline: float | None) -> str:
    return "should fall" if baseline is None else f"falls towards {baseline:.3g}"


def _differences(record: Record) -> list[tuple[str, str, str, str]] | None:
    """Settings that are not those of the preset of the run's name: the field, its value there and here, and its help.

    None if there is no such preset.
    """
    try:
        name = str(record.setting("name") or "")
        preset = leaves(load_config("" if name.endswith((".yaml", ".yml")) else name).model_dump(mode="json"))
    except ConfigError:
        return None
    try:
        here = leaves(parse_config(record.config).model_dump(mode="json"))  # with defaults for fields it lacks
    except ConfigError:
        here = leaves(record.config)
    about = field_paths()
    return [
        (field, _value(preset, field), _value(here, field), about.get(field, ""))
        for field in dict.fromkeys([*preset, *here])
        if field not in _NOT_COMPARED
        and preset.get(field, "") != here.get(field, "")
        and not any(part in preset or part in here for part in _parents(field))  # a network that one of them leaves out
    ]


def _value(values: dict[str, Any], field: str) -> str:
    if field in values:
        return setting(values[field])
    return "there" if any(name.startswith(f"{field}.") for name in values) else "not set"


def _parents(field: str) -> list[str]:
    parts = field.split(".")
    return [".".join(parts[:depth]) for depth in range(1, len(parts))]


def _run_properties(record: Record) -> list[Property]:
    """What run.json has beyond the configuration and what the page shows elsewhere."""
    elsewhere = {"config", "overrides", "classes"}
    return [
        Property(name.replace("_", " "), setting(value))
        for name, value in record.metadata.items()
        if name not in elsewhere
    ]
