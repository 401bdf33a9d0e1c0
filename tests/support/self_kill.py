"""A training that kills itself: ``python self_kill.py POINT COUNT -- <arguments of dvdgan>``.

At the COUNT-th passage through the named point the process sends itself SIGKILL, so that nothing after the point runs:
no ``finally``, no flush of a buffer. The points are wrapped from here; dvdgan itself knows nothing of them. `NEVER`
as the point runs the command untouched.

``python self_kill.py --serve`` imports dvdgan once and then forks a child for every JSON line on stdin, which has
``point``, ``count``, ``arguments`` and ``log`` (the file for the child's output). It answers with the child's return
code, negative for a signal. POSIX only.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import dvdgan.cli
import dvdgan.data.store.frame_files
import dvdgan.models
import dvdgan.runs.checkpoint
import dvdgan.training.samples
import dvdgan.training.step
from dvdgan.data.store.writer import StoreWriter
from dvdgan.runs.log import Log
from dvdgan.training.state import TrainingState
from support.forked import fork

NEVER = "never"
LAST_WORDS = "killing myself"
LONGEST = 600  # seconds that a process may take


class Trap:
    """Counts passages; the ``count``-th is the last."""

    def __init__(self, count: int) -> None:
        self.left = count

    def due(self) -> bool:
        """Count a passage, and say whether it is the last."""
        self.left -= 1
        return self.left == 0


def die() -> None:
    """End this process at once."""
    os.write(2, f"\n{LAST_WORDS}\n".encode())
    os.kill(os.getpid(), signal.SIGKILL)


def halve(path: str | Path) -> None:
    """Leave the first half of a file, as if its writing had stopped there."""
    os.truncate(path, os.path.getsize(path) // 2)


def on_rename(trap: Trap, matches: Callable[[Path], bool], when: str) -> None:
    """Die at a rename to a path that matches: ``before`` it, ``after`` it, or before it with ``half`` of the source."""

    def deadly(real: Callable[..., None]) -> Callable[..., None]:
        def rename(source: Any, target: Any, *rest: Any, **options: Any) -> None:
            due = matches(Path(target)) and trap.due()
            if due and when == "half":
                halve(source)
            if due and when != "after":
                die()
            real(source, target, *rest, **options)
            if due:
                die()

        return rename

    os.replace, os.rename = deadly(os.replace), deadly(os.rename)


def on_entry(trap: Trap, owner: Any, name: str, act: Callable[..., None]) -> None:
    """Call ``act`` with the arguments of ``owner.name`` instead of ``owner.name`` itself, at the last passage."""
    real = getattr(owner, name)

    def wrapped(*args: Any, **options: Any) -> Any:
        if trap.due():
            act(*args, **options)
        return real(*args, **options)

    setattr(owner, name, wrapped)


def in_descent(trap: Trap, optimiser: str, when: str) -> None:
    """Die in a descent: ``before`` the optimiser's step, ``after`` it, or at the ``end``."""
    real = dvdgan.training.step.descend

    def descend(state: TrainingState, name: str, *args: Any) -> Any:
        due = name == optimiser and trap.due()
        if due and when == "before":
            state.optimisers[name].register_step_pre_hook(lambda *_: die())
        if due and when == "after":
            state.optimisers[name].register_step_post_hook(lambda *_: die())
        found = real(state, name, *args)
        if due:
            die()
        return found

    dvdgan.training.step.descend = descend


def half_saved(trap: Trap, module: Any) -> None:
    """Die in the module's ``save_file``, with half of the file written."""
    real = module.save_file

    def save(tensors: Any, path: Any, *rest: Any, **options: Any) -> None:
        due = trap.due()
        real(tensors, path, *rest, **options)
        if due:
            halve(path)
            die()

    module.save_file = save


def half_renamed_next(trap: Trap, writer: str) -> None:
    """Die in a writer of samples, with half of its temporary file written."""
    on_entry(trap, dvdgan.training.samples, writer, lambda *_, **__: on_rename(Trap(1), lambda path: True, "half"))


def half_a_line(log: Log, line: dict[str, Any]) -> None:
    """Write half of a line of the log, and die."""
    text = json.dumps(line).encode()
    os.write(log._file.fileno(), text[: len(text) // 2])
    die()


def once_the_log_is_trimmed(trap: Trap) -> None:
    """Die when a start has cut the log to what its checkpoint holds."""
    real = Log.__init__

    def init(self: Log, *args: Any) -> None:
        real(self, *args)
        if trap.due():
            die()

    Log.__init__ = init


def half_a_clip(trap: Trap) -> None:
    """Die in `StoreWriter.add`, with half of the clip's frames on the disk."""
    real = StoreWriter.add

    def add(self: StoreWriter, frames: Any, *args: Any, **options: Any) -> int:
        def some() -> Any:
            whole = list(frames)
            yield from whole[: len(whole) // 2]
            die()

        return real(self, some() if trap.due() else frames, *args, **options)

    StoreWriter.add = add


def half_an_index(trap: Trap) -> None:
    """Die in the writing of the store's index, with half of it on the disk."""
    real = json.dump

    def dump(tree: Any, file: Any, **options: Any) -> None:
        if Path(file.name).name == "index.json" and trap.due():
            text = json.dumps(tree, **options)
            file.write(text[: len(text) // 2])
            file.flush()
            die()
        real(tree, file, **options)

    json.dump = dump


def before_the_first_frame(trap: Trap) -> None:
    """Die when the store's temporary folder is there, and nothing in it."""

    def open_file(path: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        if "w" in mode and Path(path).suffix == ".u8" and trap.due():
            die()
        return open(path, mode, *args, **options)

    dvdgan.data.store.frame_files.open = open_file


def _checkpoint(path: Path) -> bool:
    return path.parent.name == "checkpoints" and path.suffix == ".safetensors"


def _named(name: str) -> Callable[[Path], bool]:
    return lambda path: path.name == name


POINTS: dict[str, Callable[[Trap], None]] = {
    "empty folder of the store": before_the_first_frame,
    "half a clip in the store": half_a_clip,
    "half an index of the store": half_an_index,
    "before the store's rename": lambda trap: on_rename(trap, _named("data"), "before"),
    "after the store's rename": lambda trap: on_rename(trap, _named("data"), "after"),
    "half a config.yaml": lambda trap: on_rename(trap, _named("config.yaml"), "half"),
    "half a run.json": lambda trap: on_rename(trap, _named("run.json"), "half"),
    "once the log is trimmed": once_the_log_is_trimmed,
    "within the D step": lambda trap: in_descent(trap, "adam_d", "before"),
    "after D's optimiser, before its power iteration": lambda trap: in_descent(trap, "adam_d", "after"),
    "between D and G": lambda trap: on_entry(trap, dvdgan.training.step, "generator_step", lambda *_, **__: die()),
    "within the G step": lambda trap: in_descent(trap, "adam_g", "before"),
    "after G's optimiser, before the average": lambda trap: in_descent(trap, "adam_g", "end"),
    "half a log line": lambda trap: on_entry(trap, Log, "write", half_a_line),
    "half a sheet": lambda trap: half_renamed_next(trap, "write_image"),
    "half a sample MP4": lambda trap: half_renamed_next(trap, "write_clip"),
    "half a checkpoint": lambda trap: half_saved(trap, dvdgan.runs.checkpoint),
    "before the checkpoint's rename": lambda trap: on_rename(trap, _checkpoint, "before"),
    "after the checkpoint's rename": lambda trap: on_rename(trap, _checkpoint, "after"),
    "half a model": lambda trap: half_saved(trap, dvdgan.models),
    "before the model's rename": lambda trap: on_rename(trap, _named("model"), "before"),
    "between the old model and the new": lambda trap: on_rename(trap, _named("model"), "before"),
}
"""What each point does to a process that is to die there, in the order in which a run passes them."""


def run(point: str, count: int, arguments: list[str]) -> None:
    """Run the command line, and die at the point."""
    if point != NEVER:
        POINTS[point](Trap(count))
    sys.argv = ["dvdgan", *arguments]
    dvdgan.cli.main()


def serve() -> None:
    """Fork a child for every line on stdin."""
    import torch._dynamo  # noqa: F401 (two seconds, which the first optimiser of each child would take)

    for line in sys.stdin:
        order = json.loads(line)
        Path(order["log"]).write_bytes(b"")
        child = fork(partial(run, order["point"], order["count"], order["arguments"]), order["log"], LONGEST)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        run(sys.argv[1], int(sys.argv[2]), sys.argv[sys.argv.index("--") + 1 :])
