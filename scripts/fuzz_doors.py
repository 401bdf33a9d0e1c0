"""Open damaged inputs through dvdgan's commands, and count what comes of it.

    python scripts/fuzz_doors.py --minutes 10 --seed 1 --door config --door run

A valid input of each door (a configuration, a model's directory, a run's, a list of clips, a packed store, a
classifier) is made once; each case is a copy of it with one to three changes: a value, a
text, bytes, or the file itself. It is opened in a process of its own. Where no command reads a file alone (a
classifier), the Python API is called. What ends otherwise than right or refused is printed and kept.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml

import dvdgan.data.inspect.inspection
import dvdgan.evaluation.evaluate
import dvdgan.pipeline
import dvdgan.report
import dvdgan.training.export  # noqa: F401 (what commands import late is imported once, here)
from dvdgan.cli import main as dvdgan_command
from dvdgan.config import Config
from dvdgan.config.files import parse_config
from dvdgan.data.store.writer import StoreWriter
from dvdgan.data.write.encode import write_clip
from dvdgan.evaluation.classifier.classifier import Classifier
from dvdgan.evaluation.classifier.network import ClassifierNetwork
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.runs.checkpoint import list_checkpoints, load_checkpoint, save_checkpoint

DOORS = ("config", "model", "run", "list", "store", "shards", "classifier")
HANG_SECONDS = 240  # of the processor: a damaged configuration may be a whole one of a large network
BLOCKED_SECONDS = 600  # of the clock, which others' processes make longer
MOST_MEMORY = 2 << 30
ADDRESS_SPACE = 12 << 30  # beyond it a case gets MemoryError, so that the machine lives
CONFIG = {
    "name": "tiny",
    "network": {
        "size": 32,
        "frames": 4,
        "generator": {"z_dim": 8, "embed_dim": 8, "width": 4, "multipliers": [4, 2, 2], "stem_multiplier": 4},
        "spatial": {"frames": 2, "width": 4, "multipliers": [1, 2, 2, 4]},
        "temporal": {"width": 4, "multipliers": [1, 2, 4]},
    },
    "data": {"fps": 12.0},
    "training": {
        "steps": 1,
        "batch_size": 3,
        "d_steps": 1,
        "precision": "fp32",
        "memory_format": "contiguous",
        "sample_clips": 1,
        "statistics_batches": 1,
        "health": {"clips": 8},
    },
}
NASTY: list[Any] = [
    *(float("nan"), float("inf"), -float("inf"), 1e308, 1e-320, -1, 0, -0.5, 10**30, 10**45, 2**63, 2**31, True, None),
    *("", " ", "x" * 300, "x" * 100_000, "\ud800", "\x00", "\x1b[2J", "a\nb", "../../etc", "NaN", "1e400", "é" * 200),
    *([], {}, [[]], [None], [[[[[[[[[[[[1]]]]]]]]]]]], {"": {}}, [0] * 100_000, ["a", "a"], {"a": {"b": {"c": []}}}),
]
SNIPPETS = [
    *(
        "!!bool x",
        "!!timestamp x",
        '!!int ""',
        "!!python/object:os.system x",
        "&a [*a]",
        "*a",
        "<<: 1",
        "---\n",
        "...\n",
    ),
    *("[" * 5000, "{" * 5000, "]", "}", ",", ":", "\x00", "\ufeff", "\\ud800", "\r", "\t", "'", '"', "#", "9" * 5000),
    *("NaN", "-Infinity", "1e999", "1" + ":59" * 3000, "0x" + "f" * 5000, ".inf", "2001-01-01", "null", "~", "|\n"),
]


class Door(NamedTuple):
    """One kind of input."""

    source: Path  # a valid one: a directory
    files: list[str]  # what is damaged, relative to it
    commands: Callable[[Path, Path], list[list[str] | Callable[[], object]]]  # of the copy and of a place to write to


def write_store(path: Path, shards: int | None = None) -> Path:
    """Nine clips of three classes."""
    rng = np.random.default_rng(0)
    with StoreWriter(path, 32, ["dot", "bar", "sky"], {"test": True}, shards=shards) as writer:
        for label in range(3):
            for index in range(3):
                clip = rng.integers(0, 256, (5, 32, 32, 3), np.uint8)
                writer.begin_shard(label * (shards or 1) // 3)
                writer.add(clip, label, f"{label}/{index}", 12.0)
    return path


def make_doors(work: Path) -> dict[str, Door]:
    """A valid input of each kind, and the commands that open it."""
    store = write_store(work / "clips" / "store")
    shards = write_store(work / "clips" / "shards", 2)
    (work / "config").mkdir()
    config = parse_config(CONFIG)
    (work / "config" / "config.yaml").write_text(yaml.safe_dump(CONFIG), "utf-8")
    train = ["train", str(work / "config" / "config.yaml"), "--data", str(store), "--device", "cpu"]
    run_here([*train, "--out", str(work / "run")])
    shutil.copytree(work / "run" / "model", work / "model")
    (work / "list").mkdir()
    for name in ("a", "b", "c"):
        write_clip(work / "list" / f"{name}.mp4", np.zeros((4, 32, 32, 3), np.uint8), 12)
    rows = "path,label,start,end,split,group\na.mp4,run,,,train,\nb.mp4,walk,0:00:00,0:00:00.2,test,g\nc.mp4,run,,,,\n"
    (work / "list" / "list.csv").write_text(rows)
    lines = [{"path": "a.mp4", "label": "run", "start": 0.0}, {"path": "b.mp4", "label": 3, "end": 0.2}]
    (work / "list" / "list.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_classifier(work / "classifier")

    def of_config(copy: Path, out: Path) -> list[list[str] | Callable[[], object]]:
        return [["train", str(copy / "config.yaml"), *train[2:], "--minutes", "0", "--out", str(out)]]

    def of_model(copy: Path, out: Path) -> list[list[str] | Callable[[], object]]:
        make = ["generate", "--model", str(copy), "--num", "2", "--device", "cpu", "--out", str(out / "clips.npz")]
        return [make, ["models", "--model", str(copy)]]

    def of_run(copy: Path, out: Path) -> list[list[str] | Callable[[], object]]:
        return [
            ["report", "--run", str(copy), "--out", str(out / "page.html")],
            ["export", "--run", str(copy), "--out", str(out / "model"), "--device", "cpu"],
            [*train, "--out", str(copy), "training.steps=2"],
        ]

    def of_list(copy: Path, out: Path) -> list[list[str] | Callable[[], object]]:
        return [["data", "inspect", "--data", str(copy / name), "--headers"] for name in ("list.csv", "list.jsonl")]

    def of_store(copy: Path, out: Path) -> list[list[str] | Callable[[], object]]:
        return [["data", "inspect", "--data", str(copy)]]

    def of_classifier(copy: Path, out: Path) -> list[list[str] | Callable[[], object]]:
        evaluate = ["evaluate", "--model", str(work / "model"), "--data", str(store), "--quick", "num=4", "shown=1"]
        where = ["--classifier", str(copy), "--out", str(out / "evaluation"), "data.test_fraction=0.4"]
        few = ["windows=20", "baseline_repeats=1", "seeds=1", f"cache={work / 'cache'}"]
        api: Callable[[], object] = lambda: Classifier.load(copy)  # noqa: E731
        return [api, api, api, [*evaluate, *where, *few, "--device", "cpu"]]

    checkpoint = list_checkpoints(work / "run" / "checkpoints")[-1].relative_to(work / "run").as_posix()
    tensors, numbers = load_checkpoint(work / "run" / checkpoint)
    print(f"{len(config.model_dump())} sections, {len(tensors)} tensors, numbers {sorted(numbers)}", flush=True)
    return {
        "config": Door(work / "config", ["config.yaml"], of_config),
        "model": Door(work / "model", ["config.yaml", "classes.json", "model.safetensors", "card.md"], of_model),
        "run": Door(work / "run", ["config.yaml", "run.json", "log.jsonl", checkpoint, "samples/real.png"], of_run),
        "list": Door(work / "list", ["list.csv", "list.jsonl"], of_list),
        "store": Door(store, ["index.json", "frames.u8"], of_store),
        "shards": Door(shards, ["index.json", "clips-000000.tar", "clips-000001.tar"], of_store),
        "classifier": Door(work / "classifier", ["classifier.json", "model.safetensors"], of_classifier),
    }


def write_classifier(folder: Path) -> None:
    """An untrained one, with a made-up accuracy."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from support.classifiers import save_classifier

    names = ["dot", "bar", "sky"]
    network = ClassifierNetwork(3, (4, 8), torch.Generator().manual_seed(0))
    save_classifier(Classifier(network, names, 32, 4, (4, 8)), folder)


def run_here(arguments: list[str]) -> None:
    """A command that has to succeed."""
    child = os.fork()
    if not child:
        status = 1
        try:
            dvdgan_command(arguments)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1]:
        raise SystemExit(f"cannot prepare: {' '.join(arguments)}")


def changed_tree(tree: Any, rng: random.Random) -> Any:
    """A tree of plain values with one of its values changed, removed, doubled or renamed."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            walk(node[key])

    walk(tree)
    if not places:
        return rng.choice(NASTY)
    node, key = rng.choice(places)
    kind = rng.randrange(6)
    if kind == 0:
        del node[key]
    elif kind == 1 and isinstance(node, dict):
        node[rng.choice(["", "x", key.upper() if isinstance(key, str) else "k", "é" * 99])] = node.pop(key)
    elif kind == 2 and type(node[key]) in (int, float):
        node[key] = rng.choice(
            [node[key] * 10.0 ** rng.randint(-12, 12), -node[key], int(node[key]) + 1, str(node[key])]
        )
    elif kind == 3:
        node[key] = [node[key]] * rng.choice([1, 2, 1000])
    else:
        node[key] = rng.choice(NASTY)
    return tree


def changed_text(data: bytes, rng: random.Random) -> bytes:
    """Bytes with a snippet put in, a part removed, repeated or moved, or bits flipped."""
    start, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    kind = rng.randrange(6)
    if kind == 0:
        return data[:start]
    if kind == 1:
        return data[:start] + data[end:]
    if kind == 2:
        return data[:end] + data[start:end] * rng.choice([1, 3, 100]) + data[end:]
    if kind == 3:
        flipped = bytearray(data)
        for _ in range(rng.choice([1, 8, 100])):
            if flipped:
                flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        return bytes(flipped)
    return data[:start] + rng.choice(SNIPPETS).encode("utf-8", "surrogatepass") + data[start:]


def change_file(path: Path, rng: random.Random) -> str:
    """Change a file in one way; says which."""
    kind = rng.randrange(12)
    if kind == 0:
        replace_file(path, how := rng.choice(["pipe", "/dev/zero", "directory", "dangling", "loop", "empty", "sparse"]))
        return how
    if kind == 1:
        if path.is_dir():  # what an earlier change made of it
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
        return "removed"
    if not path.is_file():
        return "gone before"
    if kind < 4 and path.stat().st_size < 1 << 30:
        path.write_bytes(changed_text(path.read_bytes(), rng))
        return "bytes"
    with suppressed():
        if path.suffix == ".safetensors" and path.name.startswith("step-"):
            tensors, numbers = load_checkpoint(path)
            if rng.random() < 0.3:
                name = rng.choice(sorted(tensors))
                tensors[name] = rng.choice([torch.zeros(3), torch.full_like(tensors[name], torch.nan), torch.zeros(0)])
            else:
                numbers = changed_tree(numbers, rng)
            save_checkpoint(path.parent, int(path.stem[5:]), tensors, numbers)
            return "checkpoint with a right checksum"
        text = path.read_text("utf-8")
        if path.suffix == ".yaml":
            path.write_text(yaml.safe_dump(changed_tree(yaml.safe_load(text), rng)), "utf-8")
        elif path.suffix == ".jsonl":
            lines = text.splitlines()
            number = rng.randrange(len(lines))
            lines[number] = json.dumps(changed_tree(json.loads(lines[number]), rng))
            path.write_text("\n".join(lines) + "\n", "utf-8")
        elif path.suffix == ".json":
            path.write_text(json.dumps(changed_tree(json.loads(text), rng)), "utf-8")
        elif path.suffix == ".csv":
            cells = [line.split(",") for line in text.splitlines()]
            row = rng.choice(cells)
            row[rng.randrange(len(row))] = str(rng.choice(NASTY))
            path.write_text("\n".join(map(",".join, cells)) + "\n", "utf-8")
        else:
            path.write_bytes(changed_text(path.read_bytes(), rng))
        return "a value"
    return "nothing"


class suppressed:
    """Damage on damage may not be readable any more; then the file stays as it is."""

    def __enter__(self) -> None:
        """Nothing."""

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        """Pass over errors, but not over an interrupt."""
        return isinstance(error, Exception)


def replace_file(path: Path, how: str) -> None:
    """Put something else than a file in its place."""
    path.unlink(missing_ok=True)
    if how == "pipe":
        os.mkfifo(path)
    elif how == "directory":
        path.mkdir()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "sparse":
        with open(path, "wb") as file:
            file.truncate(5 << 30)
    else:
        path.symlink_to({"/dev/zero": "/dev/zero", "dangling": "nowhere", "loop": path.name}[how])


def opened(command: list[str] | Callable[[], object], folder: Path) -> tuple[str, str]:
    """Run a command in a process of its own: what came of it, and what it printed."""
    log = folder / "output.txt"
    child = os.fork()
    if not child:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        resource.setrlimit(resource.RLIMIT_CPU, (HANG_SECONDS, HANG_SECONDS + 1))
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stdout, sys.stderr = (io.TextIOWrapper(os.fdopen(n, "wb", 0), "utf-8", write_through=True) for n in (1, 2))
        os._exit(status_of(command))
    end = time.monotonic() + BLOCKED_SECONDS
    while time.monotonic() < end:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.02)
    else:
        os.killpg(child, signal.SIGKILL)
        os.wait4(child, 0)
        return "hang", log.read_text("utf-8", "replace")
    text = log.read_text("utf-8", "replace")
    errors = [line for line in text.splitlines() if line.startswith(("error: ", "internal error: "))]
    if usage.ru_maxrss * 1024 > MOST_MEMORY:
        return "memory", text
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
        return "hang", text
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}", text
    code = os.WEXITSTATUS(status)
    if code == 0:
        return "right", text
    if code == 2:
        return ("refused" if len(errors) == 1 and text.splitlines()[-1] == errors[0] else "several lines"), text
    if "internal error" in text or "Traceback" in text or not errors:
        for line in errors:
            with suppressed():
                text += Path(line.rpartition("; see ")[2]).read_text()
        return "traceback", text
    return "failed", text


def status_of(command: list[str] | Callable[[], object]) -> int:
    """The exit code of a command, or of a call of the API."""
    try:
        if callable(command):
            command()
        else:
            dvdgan_command(command)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except EvaluationError as error:
        print(f"error: {error}")
        return 2
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    """Fuzz until the minutes are over, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--door", action="append", choices=DOORS)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "fuzz_doors", help="for what failed")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    counts: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        doors = make_doors(work)
        names = chosen.door or list(doors)
        end, number = time.monotonic() + 60 * chosen.minutes, 0
        while time.monotonic() < end:
            rng = random.Random(f"{chosen.seed}/{number}")
            name = names[number % len(names)]
            door, case = doors[name], work / "case"
            shutil.copytree(door.source, case / "input", symlinks=True)
            (case / "out").mkdir()
            changes = [
                (file, change_file(case / "input" / file, rng))
                for file in rng.choices(door.files, k=rng.choice([1, 1, 1, 2, 3]))
            ]
            command = rng.choice(door.commands(case / "input", case / "out"))
            what, text = opened(command, case)
            counts.setdefault(name, Counter())[what] += 1
            if what not in ("right", "refused"):
                kept = chosen.keep / f"{chosen.seed}-{number}"
                shown = command if isinstance(command, list) else name
                lines = "\n".join(line[:300] for line in text.splitlines()[-40:])
                print(f"\n{what}: {name}, {changes}, {shown}\n{lines}\nkept in {kept}", flush=True)
                keep(case, kept)
            remove(case)
            number += 1
            if number % 500 == 0:
                print(summary(counts), flush=True)
    print(summary(counts))


def keep(case: Path, kept: Path) -> None:
    """Copy a case, but for what cannot be copied."""
    remove(kept)
    with suppressed():
        shutil.copytree(
            case, kept, symlinks=True, ignore=lambda where, names: [n for n in names if odd(Path(where, n))]
        )


def odd(path: Path) -> bool:
    """Whether it is a pipe or a large file."""
    return not path.is_symlink() and not path.is_dir() and (not path.is_file() or path.stat().st_size > 1 << 26)


def remove(path: Path) -> None:
    """Remove a folder that may not be there."""
    shutil.rmtree(path, ignore_errors=True)


def summary(counts: dict[str, Counter[str]]) -> str:
    """The counts of each door, in a line each."""
    rows = [f"{name}: {sum(c.values())} cases; {dict(sorted(c.items()))}" for name, c in sorted(counts.items())]
    return "\n".join([*rows, f"in all: {dict(sorted(sum(counts.values(), Counter()).items()))}"])


if __name__ == "__main__":
    Config()
    main()
