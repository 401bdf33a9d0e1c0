"""What one more core, more frames and less memory cost: threads and processes, streaming, checkpointing.

    python bench/scaling.py                           # everything; needs two cores that are left alone
    python bench/scaling.py --parts streaming checkpointing --threads 1

- **cores**: a training step on one thread, on two, and in two processes of one thread each that share the batch (over
  gloo, started by ``torch.distributed.run``): seconds, and how many times as quick as on one thread.
- **streaming**: one clip of a model, by chunks of its trained length, by the number of frames: seconds a frame, and the
  peak memory of the process.
- **checkpointing**: a training step by each kind of ``training.checkpointing``: seconds, also as a ratio, and the peak
  memory of the process.

Each figure comes from processes of their own, in turns; the least of all steps counts, without the time in which a
process waited for a processor that others had (on Linux, of its main thread). Writes JSON beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

from dvdgan.networks.checkpointing import KINDS, Checkpointing
from dvdgan.pipeline import Pipeline
from dvdgan.runs import distributed
from dvdgan.runs.memory import keep_freed_memory
from dvdgan.sampling import stream_clips
from speed import CLASSES, RECIPES, WIDTHS, Ours, case, peak
from timing import undisturbed

PARTS = ("cores", "streaming", "checkpointing")
CORES = {"1 thread": (1, 1), "2 threads": (1, 2), "2 processes": (2, 1)}  # processes, and threads of each
FRAMES = (16, 64, 256)
WARM, STEPS = 1, 3

Figures = dict[str, float]


def step_of(name: str, precision: str, checkpointing: Checkpointing) -> Figures:
    """What a process does: training steps of a case, on its share of the batch if it is one of several."""
    if checkpointing != "chunks":  # as trainings do
        keep_freed_memory()
    with distributed.joined(600, lambda: "start again"):
        config = case(name)
        network, share = config.network, config.training.batch_size // distributed.world_size()
        ours = Ours(config, precision, checkpointing)
        ours.state.join()
        real = torch.rand(share, network.frames, 3, network.size, network.size) * 2 - 1
        labels = torch.arange(share) // network.group % CLASSES
        seconds = []
        for _ in range(WARM + STEPS):
            distributed.wait()
            start = undisturbed()
            ours.training_step(real, labels)
            distributed.wait()
            seconds.append(undisturbed() - start)
        return {"seconds": min(seconds[WARM:]), "peak MiB": peak()}


def stream_of(model: str, precision: str, frames: int) -> Figures:
    """What a process does: clips of so many frames, one after another."""
    pipeline = Pipeline.from_pretrained(model)
    generator, labels = pipeline.model.generator, torch.tensor([0])
    seconds = []
    for _ in range(WARM + STEPS):
        z, start = torch.randn(1, generator.z_dim), undisturbed()
        for _piece in stream_clips(generator, z, labels, frames, generator.frames, precision):
            pass
        seconds.append(undisturbed() - start)
    return {"seconds": min(seconds[WARM:]) / frames, "peak MiB": peak()}


def in_processes(job: list[str], processes: int = 1, threads: int | None = None) -> Figures:
    """What the processes of a job find; several find the same seconds, and memory is that of the first."""
    environment = {**os.environ} | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
    several = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        command = [sys.executable, *(several if processes > 1 else []), __file__, "--out", str(out), "--job", *job]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        return json.loads(out.read_text(encoding="utf-8"))


def in_turns(jobs: dict[str, tuple], turns: int) -> dict[str, Figures]:
    """The least of what some jobs, each the arguments of `in_processes`, find in several turns."""
    found: dict[str, Figures] = {}
    for _ in range(turns):
        for name, job in jobs.items():
            figures = in_processes(*job)
            found[name] = {what: min(value, found.get(name, {}).get(what, value)) for what, value in figures.items()}
    return found


def show(title: str, found: dict[str, Figures], unit: str) -> None:
    """Print a part's figures, and their ratios to the first one's."""
    print(f"\n{title}")
    first = next(iter(found.values()))["seconds"]
    for name, figures in found.items():
        ratio, memory = figures["seconds"] / first, figures["peak MiB"]
        print(f"  {name:12} {figures['seconds']:.4f} s {unit}, {ratio:.2f} of the first; {memory:,.0f} MiB at most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS, help="what to measure")
    parser.add_argument("--cases", nargs="+", default=["cpu-32-quick", "w16"], choices=[*RECIPES, *WIDTHS])
    parser.add_argument("--model", default="phenomena-64", help="whose clips are streamed")
    parser.add_argument("--precision", default="bf16", choices=["bf16", "fp32"])
    parser.add_argument("--threads", type=int, help="of streaming and checkpointing; by default PyTorch's choice")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("scaling.json"), help="the JSON file")
    parser.add_argument("--job", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        torch.set_flush_denormal(True)
        kind, name, precision, what = options.job
        figures = stream_of(name, precision, int(what)) if kind == "stream" else step_of(name, precision, what)
        if os.environ.get("RANK", "0") == "0":
            options.out.write_text(json.dumps(figures), encoding="utf-8")
        return

    found: dict[str, dict[str, Figures]] = {}
    precision, threads = options.precision, options.threads
    if "cores" in options.parts:
        for name in options.cases:
            jobs = {what: (["step", name, precision, "none"], *cores) for what, cores in CORES.items()}
            show(f"{name}: cores", found.setdefault(f"cores/{name}", in_turns(jobs, options.turns)), "a step")
    if "streaming" in options.parts:
        jobs = {str(n): (["stream", options.model, precision, str(n)], 1, threads) for n in FRAMES}
        found["streaming"] = in_turns(jobs, options.turns)
        show(f"{options.model}: frames, streamed", found["streaming"], "a frame")
    if "checkpointing" in options.parts:
        for name in options.cases:
            jobs = {kind: (["step", name, precision, kind], 1, threads) for kind in KINDS}
            found[f"checkpointing/{name}"] = in_turns(jobs, options.turns)
            show(f"{name}: checkpointing", found[f"checkpointing/{name}"], "a step")
    options.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(f"\n{options.out}")


if __name__ == "__main__":
    main()
