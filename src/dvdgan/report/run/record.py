"""What a run's directory says of it, read without ever failing on a part that is missing or half written.

This reads the log on its own, line by line, instead of through `dvdgan.training`: the log of a long run with hundreds
of classes does not fit into memory, and a page needs no PyTorch.
"""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeGuard

from dvdgan.documents import DocumentError, parse_json, parse_yaml, read_lines, read_text, shortened
from dvdgan.report.html import ReportError
from dvdgan.report.media import Sample
from dvdgan.report.run.thinning import Bins, Key
from dvdgan.runs.events import Event
from dvdgan.runs.retention import SavedCheckpoint

State = Literal["running", "finished", "stopped"]

_RECENT_LINES = 50
_MOST_STEPS = 10**18


@dataclass
class Record:
    """A run, as its directory shows it."""

    run: Path
    config: dict[str, Any] = field(default_factory=dict)  # config.yaml
    config_text: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)  # run.json
    lines: Bins = field(default_factory=Bins)  # training lines
    checks: Bins = field(default_factory=Bins)
    evaluations: Bins = field(default_factory=Bins)
    best: tuple[int, float] | None = None  # step and distance of the samples that a classifier found nearest to real
    events: list[Event] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)  # by step
    real: Sample | None = None
    checkpoints: list[SavedCheckpoint] = field(default_factory=list)  # by step; they are not opened
    card: str = ""  # the finished model's
    state: State = "stopped"
    step: int = 0  # finished generator steps
    hours: float | None = None  # of training
    seconds_per_step: float | None = None  # median of the last lines
    notices: list[str] = field(default_factory=list)  # what could not be read

    @property
    def raised(self) -> list[Event]:
        """Events that were raised and not cleared since."""
        standing: dict[tuple[str, str | None], Event] = {}
        for event in self.events:
            if event.state == "raised":
                standing.setdefault((event.event, event.about), event)
            elif event.state == "cleared":
                standing.pop((event.event, event.about), None)
        return list(standing.values())

    @property
    def real_distance(self) -> float | None:
        """The baseline of the checks' distance: what real clips reach."""
        found = self.metadata.get("baseline")
        return float(found) if is_number(found) else None

    @property
    def real_classifier_distance(self) -> float | None:
        """The baseline of the evaluations' distance: what training clips reach against each other."""
        return self.evaluations.last.get(("baseline", ""))

    def setting(self, path: str) -> Any:
        """A field of the configuration by its dotted path; None where there is none."""
        node: Any = self.config
        for name in path.split("."):
            node = node.get(name) if isinstance(node, dict) else None
        return node

    @property
    def classes(self) -> list[str]:
        """Names of the classes: from run.json, or else those that the log names."""
        named = self.metadata.get("classes")
        if isinstance(named, list):
            return [str(name) for name in named]
        for bins in (self.lines, self.checks, self.evaluations):
            for name in bins.names():
                if name.endswith("_by_class"):
                    return bins.parts(name)
        return []


def read_record(run: Path) -> Record:
    """Read all that a page shows of a run, except for its pictures.

    Raises:
        ReportError: there is no such directory, no run in it, or a model.
    """
    if not run.is_dir():
        reason = "is a file, not a run's directory" if run.exists() else "there is no such directory"
        raise ReportError(f"{run}: {reason}; give the directory that was the --out of a training")
    if (run / "model.safetensors").is_file() and not (run / "run.json").is_file():
        raise ReportError(f"{run}: is a model, not a run; give the directory that was the --out of its training")
    if not any((run / name).is_file() for name in ("config.yaml", "run.json", "log.jsonl")):
        raise ReportError(
            f"{run}: no run in this directory (none of config.yaml, run.json, log.jsonl); "
            "give the directory that was the --out of a training"
        )
    record = Record(run)
    _read_settings(record)
    _read_log(record)
    _list_files(record)
    record.state = _state(record)
    return record


def _read_settings(record: Record) -> None:
    for name, parse in (("config.yaml", parse_yaml), ("run.json", parse_json)):
        try:
            text = read_text(record.run / name)
            tree = parse(text, name)
        except FileNotFoundError:
            record.notices.append(f"{name} is missing.")
            continue
        except DocumentError as error:
            record.notices.append(f"{name} cannot be read ({shortened(str(error))}).")
            continue
        if not isinstance(tree, dict):
            record.notices.append(f"{name} cannot be read (it holds no named fields).")
        elif name == "config.yaml":
            record.config, record.config_text = tree, text
        else:
            record.metadata = tree


def _read_log(record: Record) -> None:
    path = record.run / "log.jsonl"
    broken: Counter[str] = Counter()
    recent: deque[tuple[int, float | None, float | None]] = deque(maxlen=_RECENT_LINES)  # step, hours, seconds per step
    for line in _lines(path, record.notices):
        step = line.pop("step")
        record.step = max(record.step, step)
        if "event" in line:
            event = Event.from_line(step, line)
            record.events.append(event)
            if event.event == "override" and "training.classifier " in event.message:
                record.best = None  # another classifier's distances do not compare
            continue
        check = line.pop("check", None)
        if isinstance(check, dict):
            record.checks.add(step, _numbers(check, broken))
        evaluation = line.pop("evaluation", None)
        if isinstance(evaluation, dict):
            found = _numbers(evaluation, broken)
            record.evaluations.add(step, found)
            distance = found.get(("distance", ""))
            if distance is not None and (record.best is None or distance <= record.best[1]):
                record.best = step, distance
        numbers = _numbers(line, broken)
        if numbers:
            record.lines.add(step, numbers)
            parts = [value for (name, part), value in numbers.items() if name == "seconds" and part]
            recent.append((step, numbers.get(("hours", "")), sum(parts) if parts else None))
    record.hours = record.lines.last.get(("hours", ""))
    record.seconds_per_step = _speed(list(recent))
    if broken:
        names = ", ".join(f"{name} ({count})" for name, count in broken.most_common(8))
        record.notices.append(f"Values that are not finite numbers are left out of the curves: {names}.")


def _lines(path: Path, notices: list[str]) -> Iterator[dict[str, Any]]:
    """The log's objects that have a step; whatever else is there, such as half a line, is passed over."""
    try:
        for text in read_lines(path):
            try:
                line = parse_json(text.decode("utf-8", "replace"), path.name, finite=False)
            except DocumentError:
                continue
            if isinstance(line, dict) and type(line.get("step")) is int and 0 <= line["step"] < _MOST_STEPS:
                yield line
    except FileNotFoundError:
        pass
    except DocumentError as error:
        notices.append(f"{path.name} cannot be read ({shortened(str(error))}).")


def _numbers(tree: dict[str, Any], broken: Counter[str]) -> dict[Key, float]:
    """Finite numbers of a line, and of the objects in it; counts the others in ``broken``."""
    numbers: dict[Key, float] = {}
    for name, value in tree.items():
        leaves = [(part, leaf) for part, leaf in value.items() if part] if isinstance(value, dict) else [("", value)]
        for part, leaf in leaves:
            if is_number(leaf):
                numbers[name, part] = float(leaf)
            elif isinstance(leaf, float):
                broken[name] += 1
    return numbers


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a finite number, and no truth value."""
    return type(value) in (int, float) and math.isfinite(value)


def _speed(recent: list[tuple[int, float | None, float | None]]) -> float | None:
    """Median seconds per step: by the clock between two lines, or else the sum of the parts that were timed."""
    clock = [
        3600 * (later[1] - sooner[1]) / (later[0] - sooner[0])
        for sooner, later in pairwise(recent)
        if later[1] is not None and sooner[1] is not None and later[0] > sooner[0] and later[1] > sooner[1]
    ]
    parts = [seconds for _, _, seconds in recent if seconds is not None]
    return statistics.median(clock or parts) if clock or parts else None


def _list_files(record: Record) -> None:
    samples = record.run / "samples"
    found = {path.name: path for path in samples.glob("*.*") if path.is_file()}
    stems = sorted({name.rsplit(".", 1)[0] for name in found if name.endswith((".png", ".mp4"))})
    for stem in stems:
        sheet, clip = found.get(f"{stem}.png"), found.get(f"{stem}.mp4")
        if stem == "real":
            record.real = Sample(0, sheet, clip)
        elif (step := _step(stem)) is not None:
            record.samples.append(Sample(step, sheet, clip))
    for path in (record.run / "checkpoints").glob("step-*.safetensors"):
        step = _step(path.stem)
        try:
            size = path.stat().st_size
        except OSError:  # a running training has just removed it
            continue
        if step is not None:
            record.checkpoints.append(SavedCheckpoint(path, step, size))
    record.samples.sort(key=lambda sample: sample.step)
    record.checkpoints.sort(key=lambda checkpoint: checkpoint.step)
    record.step = max([record.step, *(c.step for c in record.checkpoints)])
    card = record.run / "model" / "card.md"
    try:
        record.card = read_text(card)
    except FileNotFoundError:
        pass
    except DocumentError as error:
        record.notices.append(f"model/card.md cannot be read ({shortened(str(error))}).")


def _step(stem: str) -> int | None:
    number = stem.removeprefix("step-")
    return int(number) if re.fullmatch("step-[0-9]{1,18}", stem) else None


def _state(record: Record) -> State:
    if _is_locked(record.run / ".lock"):
        return "running"
    steps = record.setting("training.steps")
    done = not is_number(steps) or record.step >= steps
    return "finished" if done and (record.run / "model").is_dir() else "stopped"


def _is_locked(path: Path) -> bool:
    """Whether a training holds the lock; tried shared, so that two pages in the making do not disturb each other."""
    try:
        import fcntl
    except ImportError:  # Windows
        return False
    try:
        with open(path, encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            fcntl.flock(file, fcntl.LOCK_UN)
    except OSError:  # no lock file
        return False
    return False
