"""Training steps of this version against those of another one, in turns, as a ratio.

    python bench/against.py e877c18 --recipes cpu-32-quick cpu-32      # a commit, a tag, a branch
    python bench/against.py cfd9ec5 --recipes phenomena-64 --fields training.discriminators_first=0
    python bench/against.py e877c18 --fields training.precision=fp32   # where bf16 is slow; so training.memory_format

The other version is laid out in a temporary folder from git; both run on the libraries that are installed now, each in
processes of its own, one after another, because a machine's speed moves from minute to minute. Prints, for each recipe,
seconds of a training step (the least, without the time in which it waited for a processor that others had) and how many
times as many steps this version makes, also turn by turn. Leave the machine alone meanwhile.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from timing import undisturbed

HERE = Path(__file__).resolve().parent.parent
CLASSES = 9


def least_step(recipe: str, fields: list[str], steps: int) -> float:
    """Seconds of a training step of the version that is first on the path, whichever it is; the least of several."""
    import torch

    try:
        from dvdgan.config.files import load_config, override
    except ImportError:  # before there was config/
        from dvdgan.config_files import load_config, override  # type: ignore[import-not-found, no-redef]
    torch.set_flush_denormal(True)
    try:
        from dvdgan.runs.memory import keep_freed_memory
    except ImportError:  # before there were runs/
        from dvdgan.training.memory import keep_freed_memory  # type: ignore[import-not-found, no-redef]
    keep_freed_memory()
    config = override(load_config(recipe), [f"network.classes={CLASSES}", "training.seed=0", *fields])
    network, t = config.network, config.training
    real = torch.rand(t.batch_size, network.frames, 3, network.size, network.size) * 2 - 1
    labels = torch.arange(t.batch_size) // getattr(network, "group", 1) % CLASSES
    one_step = _step(config, real, labels)
    seconds = []
    for step in range(steps + 2):
        begun = undisturbed()
        one_step(step)
        seconds.append(undisturbed() - begun)
    return min(seconds[2:])


def _step(config, real, labels):
    """A training step of this version, given how many were done."""
    import torch

    t, batch = config.training, config.training.batch_size
    reuse, precision = getattr(t, "reuse_fakes", False), t.precision.replace("auto", "bf16")
    try:
        from dvdgan.training.batches import Batch
        from dvdgan.training.state import TrainingState
        from dvdgan.training.step import discriminator_step, generate, generator_step
    except ImportError:  # an earlier version
        from dvdgan.training.steps import Learner

        learner = Learner(config, torch.device("cpu"), precision, "channels_last")

        def earlier(step):
            for substep in range(t.d_steps - reuse):
                learner.discriminator_step(real, labels, labels, step * t.d_steps + substep)
            if reuse:
                fake = learner.make_fakes(labels, batch, step)
                learner.discriminator_step(real, labels, labels, (step + 1) * t.d_steps - 1, fake)
                learner.generator_step(labels, batch, step, fake)
            else:
                learner.generator_step(labels, batch, step)

        return earlier

    layout = t.memory_format.replace("auto", "channels_last")
    state, clips = TrainingState(config, torch.device("cpu"), precision, layout), Batch(real, labels)

    def now(step):
        state.step = step
        for index in range(t.d_steps - reuse):
            discriminator_step(state, clips, generate(state, labels, index), index)
        fake = generate(state, labels)
        if reuse:
            discriminator_step(state, clips, fake, t.d_steps - 1)
        generator_step(state, clips, fake)

    return now


def in_process(source: Path, job: list[str]) -> float:
    """`least_step` in a process of its own, of the version in a folder."""
    environment = {**os.environ, "PYTHONPATH": str(source)}
    command = [sys.executable, __file__, *job]
    return float(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", nargs="?", default="HEAD", help="what git calls the other version")
    parser.add_argument("--recipes", nargs="+", default=["cpu-32-quick", "cpu-32"])
    parser.add_argument("--fields", nargs="*", default=[], metavar="FIELD=VALUE", help="of all recipes")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30, help="of each turn, after two that warm up")
    parser.add_argument("--step-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step_of:
        print(least_step(options.step_of, options.fields, options.steps))
        return
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(
            ["git", "archive", options.version, "src"], cwd=HERE, check=True, stdout=subprocess.PIPE
        ).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        for recipe in options.recipes:
            job = ["--step-of", recipe, "--steps", str(options.steps), "--fields", *options.fields]
            turns = [
                (in_process(Path(folder) / "src", job), in_process(HERE / "src", job)) for _ in range(options.turns)
            ]
            other, ours = (min(times) for times in zip(*turns))
            spread = ", ".join(f"{theirs / own:.2f}" for theirs, own in turns)
            print(
                f"{recipe}: {other:.3f} s at {options.version}, {ours:.3f} s here: {other / ours:.2f} times ({spread})"
            )


if __name__ == "__main__":
    main()
