"""Trainings that are killed again and again, and compared with one that never was.

A `Training` is one setting: its clips, its configuration, its reference run. `Training.suffer` starts it, lets it kill
itself at each point of a plan in turn, and lets it finish; `differences` compares what two runs left behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file

from conftest import tiny_config
from dvdgan.config.files import updated
from dvdgan.data.write.encode import write_clip
from dvdgan.runs.checkpoint import load_checkpoint
from support.self_kill import LAST_WORDS, LONGEST, NEVER, POINTS

PROGRAM = Path(__file__).with_name("self_kill.py")
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
STEPS, CHECKPOINT_EVERY, SAMPLE_EVERY, LOG_EVERY = 12, 3, 2, 2  # a sheet and a checkpoint meet at step 6
TIMINGS = ("hours", "seconds")

_LAZY = {"lecam": 0.1, "r1": 1.0, "r2": 1.0, "every": 3, "augment": ["color", "translation", "cutout"], "noise": 0.1}
_RANDOM = {"sampling": "by_class", "crop": "random"}
_GROUPS = {
    "spatial": {"frames": 2, "width": 4, "multipliers": [1, 2, 2, 4], "group": 3},
    "temporal": {"width": 4, "multipliers": [1, 2, 4, 4], "group": 3},
}
SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "plain": {},
    "LeCam, lazy R1 and R2, DiffAugment": {"training": {"regularisation": _LAZY}},
    "relativistic, R1 and R2": {
        "training": {"loss": "relativistic", "regularisation": {"r1": 1.0, "r2": 1.0, "every": 1}}
    },
    "by class, random crops, flips": {"data": _RANDOM | {"flip": True}},
    "linear decay, one D step": {"training": {"lr_decay": "linear", "decay_start": 4, "d_steps": 1}},
    "bf16, channels_last": {"training": {"precision": "bf16", "memory_format": "channels_last"}},
    "three D steps, one checkpoint kept": {"training": {"d_steps": 3, "keep_checkpoints": 1, "log_every": 5}},
    "groups, by class, flips": {"training": {"batch_size": 6}, "data": _RANDOM | {"flip": True}, "network": _GROUPS},
    "first frames, TSRU, TrIVD-GAN's views, warm-up": {
        "training": {"lr_warmup": 5, "regularisation": {"reconstruction": 5.0}, "reuse_fakes": True},
        "network": {
            "first_frames": 1,
            "generator": {
                **{"z_dim": 8, "embed_dim": 8, "width": 4, "multipliers": [4, 2, 2], "stem_multiplier": 4},
                "recurrence": "tsru_c",
            },
            "spatial": {"frames": 2, "width": 4, "multipliers": [1, 2, 4], "pool": 2},
            "temporal": {"width": 4, "multipliers": [1, 2, 4], "crop": True},
        },
    },
    "all at once": {
        "training": {
            "regularisation": _LAZY,
            "lr_decay": "cosine",
            "beta1": 0.5,
            "precision": "bf16",
            "memory_format": "channels_last",
            "long_clips": 0.5,
        },
        "data": _RANDOM,
    },
}
"""What is trained, by name: the fields of the training and of the data that differ from the plain setting's."""

_NAMES = list(POINTS)
_BEFORE_TRAINING = _NAMES[: _NAMES.index("once the log is trimmed")]
_AFTER_TRAINING = _NAMES[_NAMES.index("half a model") :]
AGAIN = "between the old model and the new"  # needs a run that has finished


class Kill(NamedTuple):
    """A point to die at, and the step in which to."""

    point: str
    step: int = 0


Start = Callable[[str, int, list[str], Path], int]
"""Runs the program with a point, a count and arguments, its output in a file; gives its return code."""


def start_process(point: str, count: int, arguments: list[str], log: Path) -> int:
    """A process of its own."""
    command = [sys.executable, str(PROGRAM), point, str(count), "--", *arguments]
    with open(log, "wb") as file:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=os.environ | ENVIRONMENT, timeout=LONGEST
        ).returncode


@contextlib.contextmanager
def forked_starts() -> Iterator[Start]:
    """Start processes as forks of one that has imported what they need and done nothing else: each starts at once."""
    command = [sys.executable, str(PROGRAM), "--serve"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | ENVIRONMENT
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def start(point: str, count: int, arguments: list[str], log: Path) -> int:
            order = {"point": point, "count": count, "arguments": arguments, "log": str(log)}
            print(json.dumps(order), file=server.stdin, flush=True)
            return int(server.stdout.readline())

        yield start  # at the end the server meets the end of its stdin


class Training:
    """One setting, in a folder of its own.

    Args:
        folder: where everything goes.
        setting: a key of `SETTINGS`.
        start: how processes are started.
    """

    def __init__(self, folder: Path, setting: str, start: Start) -> None:
        self.folder, self.setting, self.start = folder, setting, start
        folder.mkdir(parents=True, exist_ok=True)
        self.clips, self._yaml = folder / "clips", folder / "tiny.yaml"
        if not self.clips.exists():  # a store also knows its clips by their times
            _write_clips(self.clips)
        every = {"checkpoint_every": CHECKPOINT_EVERY, "sample_every": SAMPLE_EVERY, "log_every": LOG_EVERY}
        health = {"clips": 12, "grace": 3, "window": 4}  # soon, so that there are events
        fields: dict[str, dict[str, Any]] = {
            "training": {"steps": STEPS, "health": health, **every},
            "data": {},
            "network": {},
        }
        for part, changes in SETTINGS[setting].items():
            fields[part] |= changes
        self.config = updated(tiny_config(self.clips), **fields)
        self._yaml.write_text(self.config.to_yaml(), encoding="utf-8")
        self.started = 0

    def reference(self) -> Path:
        """The run that nobody killed."""
        out = self.folder / "reference"
        if not (out / "model").exists():
            self.finish(out)
        return out

    def finish(self, out: Path) -> None:
        """Run to the end."""
        code, text = self._run(NEVER, 0, out)
        assert code == 0, f"{self.setting}: ended with {code}\n{text}"

    def kill(self, out: Path, kill: Kill) -> None:
        """Run until the process kills itself.

        Raises:
            AssertionError: it ended in another way.
        """
        if kill.point == AGAIN:
            self.finish(out)
        count = self.passages(kill, newest_step(out))
        code, text = self._run(kill.point, count, out)
        how = f"{self.setting}, {kill.point}, passage {count}, step {kill.step}"
        assert code != 0, f"{how}: never reached; the run finished\n{text}"
        assert code == -signal.SIGKILL, f"{how}: ended with {code}\n{text}"
        assert LAST_WORDS in text, f"{how}: killed by somebody else\n{text}"

    def suffer(self, out: Path, plan: list[Kill]) -> list[str]:
        """Kill a run at each point of the plan, in order, and let it finish; the differences from the reference."""
        for kill in plan:
            self.kill(out, kill)
        self.finish(out)
        return differences(self.reference(), out)

    def passages(self, kill: Kill, resumed: int) -> int:
        """Which passage, of a process that resumes at step ``resumed``, is that of the step to die in."""
        t, point, step = self.config.training, kill.point, max(kill.step, 1)
        if "store" in point:
            return step  # the number of the clip; of the other points there is one
        if point in _BEFORE_TRAINING or point in _AFTER_TRAINING or point == "once the log is trimmed":
            return 1
        if point in ("within the D step", "after D's optimiser, before its power iteration"):
            return (step - resumed - 1) * t.d_steps + 1 + step % t.d_steps
        if point == "half a log line":
            return sum(resumed < at <= step for at in self._logged())
        if point in ("half a sheet", "half a sample MP4"):
            real = resumed == 0  # those of the real clips come first
            return int(real) + sum(at > resumed for at in self._ends(t.sample_every) if at <= kill.step)
        if "checkpoint" in point:
            return sum(resumed < at <= step for at in self._ends(t.checkpoint_every))
        return step - resumed

    def plan(self, points: list[str], rng: random.Random) -> list[Kill]:
        """Draw a step for each point at which it can be reached, and put them in an order in which all are reached."""
        return sorted((self._draw(point, rng) for point in points), key=self._order)

    def _draw(self, point: str, rng: random.Random) -> Kill:
        t = self.config.training
        if point == "half a clip in the store":
            return Kill(point, rng.randint(1, len(list(self.clips.rglob("*.mp4")))))
        if point in _BEFORE_TRAINING or point in _AFTER_TRAINING:
            return Kill(point)
        if point == "half a log line":
            return Kill(point, rng.choice(self._logged()))
        if point in ("half a sheet", "half a sample MP4"):
            return Kill(point, rng.choice([0, *self._ends(t.sample_every)]))
        if "checkpoint" in point:
            return Kill(point, rng.choice(self._ends(t.checkpoint_every)))
        return Kill(point, rng.randint(1, STEPS))

    def _order(self, kill: Kill) -> tuple[int, int, int]:
        phase = 0 if kill.point in _BEFORE_TRAINING else 2 if kill.point in _AFTER_TRAINING else 1
        return phase, kill.step if phase == 1 else 0, _NAMES.index(kill.point)

    def _ends(self, every: int) -> list[int]:
        """Multiples of ``every`` to the last step, and the last step."""
        return sorted({*range(every, STEPS + 1, every), STEPS})

    def _logged(self) -> list[int]:
        """The step of each line of the reference's log, in which some steps have several."""
        return [json.loads(line)["step"] for line in (self.reference() / "log.jsonl").read_text("utf-8").splitlines()]

    def _run(self, point: str, count: int, out: Path) -> tuple[int, str]:
        self.started += 1
        log = self.folder / f"{out.name}-{self.started:02d}.txt"
        arguments = ["train", str(self._yaml), "--out", str(out), "--device", "cpu"]
        code = self.start(point, count, arguments, log)
        return code, log.read_text(encoding="utf-8", errors="replace")[-4000:]


def newest_step(out: Path) -> int:
    """The step of a run's newest checkpoint; 0 without one."""
    steps = [int(path.stem.partition("-")[2]) for path in (out / "checkpoints").glob("step-*.safetensors")]
    return max(steps, default=0)


def differences(ours: Path, theirs: Path) -> list[str]:
    """What two finished runs left behind differently, timings apart; and what should not have been left behind."""
    found = [f"{path}: left behind" for run in (ours, theirs) for path in _leftovers(run)]
    a, b = (
        {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file() and not _is_left_over(path, run)}
        for run in (ours, theirs)
    )
    found += [f"{name}: only in {ours.name if name in a else theirs.name}" for name in sorted(a ^ b)]
    for name in sorted(a & b):
        x, y = ours / name, theirs / name
        if name == ".lock" or (name.startswith("checkpoints/") and x.suffix != ".safetensors"):
            continue  # nothing in it, or a checksum over timings too, which load_checkpoint may check
        found += [f"{name}: {what}" for what in _compare(x, y)]
    return found


def _compare(x: Path, y: Path) -> list[str]:
    if x.parent.name == "checkpoints":
        (tensors, numbers), (others, other_numbers) = load_checkpoint(x), load_checkpoint(y)
        apart = _different_tensors(tensors, others)
        left, right = (_untimed(n | {"means": _untimed(n["means"])}) for n in (numbers, other_numbers))
        return apart + ([] if left == right else [f"{left} is not {right}"])
    if x.suffix == ".safetensors":
        return _different_tensors(load_file(x), load_file(y))
    if x.name == "log.jsonl":
        a, b = ([_untimed(json.loads(line)) for line in path.read_text("utf-8").splitlines()] for path in (x, y))
        lines = [f"line {i}: {p} is not {q}" for i, (p, q) in enumerate(zip(a, b), 1) if p != q]
        return lines + ([] if len(a) == len(b) else [f"{len(a)} lines, not {len(b)}"])
    if x.name == "card.md":
        a, b = (
            [line for line in path.read_text("utf-8").splitlines() if not line.startswith("- Time:")] for path in (x, y)
        )
        return [] if a == b else ["another text"]
    return [] if x.read_bytes() == y.read_bytes() else ["other bytes"]


def _different_tensors(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> list[str]:
    """Names of tensors that are not equal bit by bit."""
    apart = [f"{name} is in one only" for name in sorted(ours.keys() ^ theirs.keys())]
    for name in sorted(ours.keys() & theirs.keys()):
        a, b = ours[name].contiguous(), theirs[name].contiguous()
        if (a.shape, a.dtype) != (b.shape, b.dtype) or a.numpy().tobytes() != b.numpy().tobytes():
            apart.append(name)
    return apart


def _untimed(entries: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entries.items() if name.split("/")[0] not in TIMINGS}


def _leftovers(run: Path) -> list[str]:
    paths = [path for path in run.rglob("*") if _is_left_over(path, run)]
    return sorted(str(path.relative_to(run.parent)) for path in paths if not _is_left_over(path.parent, run))


def _is_left_over(path: Path, run: Path) -> bool:
    """Whether it, or a folder in the run that it lies in, has the name of something unfinished."""
    names = path.relative_to(run).parts if path != run else ()
    return any(name != ".lock" and (name.startswith(".") or "partial" in name) for name in names)


def _write_clips(folder: Path) -> None:
    """Twelve MP4 files of a moving square in three classes, wider than high, of several lengths."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(("dot", "bar", "sky")):
        for index in range(4):
            clip = np.full((5 + index % 2, 32, 44, 3), 30, np.uint8)
            x, y = rng.integers(0, 24, 2)
            for time in range(len(clip)):
                clip[time, y : y + 8, x + 2 * time : x + 2 * time + 8, label] = 200
            write_clip(folder / name / f"{index}.mp4", clip, 12.0)
