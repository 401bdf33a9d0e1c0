"""The page of a run: read its directory, make pictures and curves small, and write one file that needs nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from dvdgan import __version__
from dvdgan.config_files import ConfigError, field_paths, load_config, parse_config
from dvdgan.data.write.encode import atomic_path
from dvdgan.report.pictures import chosen, shots
from dvdgan.report.record import Event, Record, ReportError, Sample, read_record
from dvdgan.report.templates import page_environment

_SHOWN_EVENTS = 300
_NOT_COMPARED = {"name", "description", "network.classes", "data.source"}  # what every run sets for itself


@dataclass(frozen=True)
class Fact:
    """A short fact with its heading."""

    heading: str
    text: str
    about: str = ""


@dataclass(frozen=True)
class Difference:
    """A setting that is not the preset's."""

    name: str
    preset: str
    here: str
    about: str


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
        ReportError: there is no run, Plotly is not installed, or the page cannot be written.
    """
    run = Path(run)
    out = run / "report.html" if out is None else Path(out)
    record = read_record(run)
    try:
        from plotly.offline import get_plotlyjs

        from dvdgan.report.curves import charts
    except ImportError as error:
        raise ReportError(f"{run}: its curves need {error.name or 'plotly'}; pip install 'dvdgan[report]'") from None
    if out.is_dir():
        raise ReportError(f"{out}: is a directory; name a file, such as {out / 'report.html'}")
    shown = charts(record)
    page = _template().render(
        record=record,
        name=str(record.setting("name") or "run"),
        directory=run.resolve().name,
        made=_now(),
        version=__version__,
        facts=_header_facts(record),
        progress=_progress(record),
        latest=_latest(record),
        raised=_by_kind(record.raised),
        events=record.events[::-1][:_SHOWN_EVENTS],
        **_pictures(record),
        charts=shown,
        figures=_script_json([{"key": chart.key, "figure": json.loads(chart.figure.to_json())} for chart in shown]),
        plotly=Markup(get_plotlyjs()) if shown else "",
        differences=_differences(record),
        run_facts=_run_facts(record),
        overrides=[event for event in record.events if event.event == "override"],
        checkpoints=[(c.step, c.path.name, size(c.size)) for c in reversed(record.checkpoints)],
    )
    try:
        with atomic_path(out) as temporary:
            temporary.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ReportError(f"{out}: cannot be written ({error.strerror}); name another file") from None
    return out


def _by_kind(events: list[Event]) -> list[list[Event]]:
    """Events of one kind together, in the order in which the kinds first came: what to do about them is the same."""
    kinds: dict[str, list[Event]] = {}
    for event in events:
        kinds.setdefault(event.event, []).append(event)
    return list(kinds.values())


def _template() -> Any:
    environment = page_environment("dvdgan.report")
    environment.filters |= {"grouped": lambda number: f"{number:,}", "words": words}
    return environment.get_template("run.html.j2")


def _now() -> str:
    now = datetime.now().astimezone()
    return f"{now.day} {now:%B %Y, %H:%M %Z}"


def _script_json(value: Any) -> Markup:
    """JSON that can stand inside a script element: nothing in it can end the element."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _pictures(record: Record) -> dict[str, Any]:
    """The shots of the film strip, that of the training clips, and whether there are moving ones."""
    samples = chosen(record.samples)
    real, *rest = shots([record.real or Sample(0, None, None), *samples])
    made = [shot for shot in rest if shot.clip or shot.sheet]
    moving = any(shot.clip for shot in (real, *made))
    return {"shots": made, "real": real, "moving": moving, "samples": len(record.samples)}


def _header_facts(record: Record) -> list[Fact]:
    facts = record.facts
    source, classes = record.setting("data.source"), record.setting("network.classes")
    precision = [facts.get("precision"), facts.get("memory_format")]
    side, frames = record.setting("network.size"), record.setting("network.frames")
    what = None if side is None else f"{side}×{side}" + (" images" if frames == 1 else f", {frames} frames")
    count = len(record.classes) or classes
    found = {
        "Training so far": None if record.hours is None else duration(3600 * record.hours),
        "Seconds per step": None if record.seconds_per_step is None else f"{record.seconds_per_step:.3g} s",
        "Makes": what,
        "Data": "phenomena, rendered by dvdgan" if source == "phenomena" else source,
        "Clips": f"{facts['clips']:,}" if isinstance(facts.get("clips"), int) else None,
        "Classes": "none (unconditional)" if count == 0 else count,
        "Precision": ", ".join(str(part).replace("_", " ") for part in precision if part),
        "Threads": facts.get("threads"),
    }
    return [Fact(heading, str(fact)) for heading, fact in found.items() if fact not in (None, "")]


def _progress(record: Record) -> dict[str, Any]:
    """Steps done and planned, the share in percent, and the time that is left while training runs."""
    planned = record.setting("training.steps")
    planned = planned if isinstance(planned, int) and planned > 0 else None
    left = None
    if planned and record.state == "running" and record.seconds_per_step and planned > record.step:
        left = duration((planned - record.step) * record.seconds_per_step)
    share = None if planned is None else round(min(100.0, 100 * record.step / planned), 1)
    return {"done": record.step, "planned": planned, "share": share, "left": left}


def _latest(record: Record) -> list[Fact]:
    """The newest values of the numbers that say most, with what they should be."""
    floor = record.facts.get("floor")
    near = f"falls towards {floor:.3g}" if isinstance(floor, float) else "should fall"
    looked_for = [
        (record.lines, "motion_ratio", "Motion", "1 is as real"),
        (record.checks, "diversity", "Diversity", "1 is as real"),
        (record.checks, "accuracy", "Recognised", "share of samples; 1 is all"),
        (record.checks, "distance", "Distance", near),
        (record.evaluations, "distance", "Classifier distance", _towards(record)),
        (record.evaluations, "fidelity", "Class fidelity", "share that the classifier recognises; 1 is all"),
        (record.evaluations, "behaviours", "Behaviours", "share that behaves as its class; 1 is all"),
        (record.lines, "auc_spatial", "AUC of D_S", "0.5 guesses, 1 is too good"),
        (record.lines, "auc_temporal", "AUC of D_T", "0.5 guesses, 1 is too good"),
    ]
    return [
        Fact(heading, f"{bins.last[name, '']:.3g}", about)
        for bins, name, heading, about in looked_for
        if (name, "") in bins.last
    ]


def _towards(record: Record) -> str:
    """Where a classifier's distance should go, and how far it came."""
    floor = record.evaluations.last.get(("floor", ""))
    lowest = f"; lowest {record.best[1]:.3g}, at step {record.best[0]:,}" if record.best else ""
    return ("should fall" if floor is None else f"falls towards {floor:.3g}") + lowest


def _differences(record: Record) -> list[Difference] | None:
    """Settings that are not those of the preset of the run's name; None if there is no such preset."""
    try:
        name = str(record.setting("name") or "")
        preset = _leaves(load_config("" if name.endswith((".yaml", ".yml")) else name).model_dump(mode="json"))
    except ConfigError:
        return None
    try:
        here = _leaves(parse_config(record.config).model_dump(mode="json"))  # with defaults for fields it lacks
    except ConfigError:
        here = _leaves(record.config)
    about = field_paths()
    return [
        Difference(field, _value(preset, field), _value(here, field), about.get(field, ""))
        for field in dict.fromkeys([*preset, *here])
        if field not in _NOT_COMPARED
        and preset.get(field, "") != here.get(field, "")
        and not any(part in preset or part in here for part in _parents(field))  # a network that one of them leaves out
    ]


def _value(leaves: dict[str, Any], field: str) -> str:
    if field in leaves:
        return words(leaves[field])
    return "there" if any(name.startswith(f"{field}.") for name in leaves) else "not set"


def _parents(field: str) -> list[str]:
    parts = field.split(".")
    return [".".join(parts[:depth]) for depth in range(1, len(parts))]


def _run_facts(record: Record) -> list[Fact]:
    """What run.json has beyond the configuration and what the page shows elsewhere."""
    elsewhere = {"config", "overrides", "classes"}
    return [Fact(name.replace("_", " "), words(value)) for name, value in record.facts.items() if name not in elsewhere]


def _leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        leaves |= _leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return leaves


def words(value: Any) -> str:
    """A setting's or a fact's value as a reader would write it."""
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(words(part) for part in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {words(part)}" for name, part in value.items()) or "none"
    return str(value)


def duration(seconds: float) -> str:
    """Seconds as a reader would say them: 48 s, 12 min, 3 h 05 min, 2 d 4 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def size(count: int) -> str:
    """Bytes in a unit that fits."""
    for unit, unit_bytes in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= unit_bytes:
            return f"{count / unit_bytes:.3g} {unit}"
    return f"{count} bytes"
