"""Commands that train, and that show and export what was trained."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Optional

import typer

from dvdgan.cli.options import Device, Fields, Minutes, Run
from dvdgan.config.files import load_config, updated
from dvdgan.console import say


def train(
    preset: Annotated[str, typer.Argument(help="A preset's name (see `dvdgan presets`), or the path of a YAML file.")],
    fields: Fields = None,
    data: Annotated[
        Optional[str], typer.Option(help="`phenomena` (rendered), a folder or list of clips, or a packed store.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The run's directory.")] = Path("run"),
    minutes: Minutes = None,
    device: Device = None,
    override: Annotated[
        bool,
        typer.Option(
            "--override", help="Go on under other settings (of training and data) than the run's; recorded in it."
        ),
    ] = False,
) -> None:
    """Train a model; the same command again resumes an interrupted run."""
    from dvdgan.training import Interrupted
    from dvdgan.training import train as run

    config = load_config(preset, fields or [])
    if data is not None:
        config = updated(config, data={"source": data})
    main = os.environ.get("RANK", "0") == "0"  # of several processes, one speaks
    if main and not (out / "run.json").exists():
        from dvdgan.capacity import gib
        from dvdgan.devices import pick_device
        from dvdgan.training.memory import fit

        config, costs = fit(config, pick_device(device), int(os.environ.get("WORLD_SIZE", "1")))
        if costs is not None:
            kind = config.training.checkpointing
            say(
                f"a step: {costs.flops_step / 1e9:,.0f} GFLOP, about {gib(costs.training_bytes)} of memory each "
                f"process (training.checkpointing={kind})"
            )
    try:
        run(config, out, minutes, device, say=say, override=override)
    except Interrupted as stop:
        if main:
            say(f"{stop}; the same command resumes", err=True)
        raise typer.Exit(128 + stop.signal) from None


def report(
    run: Annotated[Path, typer.Option(help="A run's directory; the training may be at work.")],
    out: Annotated[Optional[Path], typer.Option(help="The page to write; by default RUN/report.html.")] = None,
) -> None:
    """Make one HTML page of a run: health, clips, film strip, curves, settings. It needs no network to be read."""
    from dvdgan.report import write_run_page

    say(write_run_page(run, out))


def export(
    run: Run,
    out: Annotated[Path, typer.Option(help="The model directory to write.")],
    checkpoint: Annotated[
        str, typer.Option(help="newest, best (its samples came closest to real clips), or a step.")
    ] = "newest",
    discriminators: Annotated[
        bool, typer.Option("--discriminators", help="Write them, too, for trainings that start from the model.")
    ] = False,
    device: Device = None,
) -> None:
    """Make a model of one of a run's checkpoints."""
    from dvdgan.training.export import export_model

    say(export_model(run, out, checkpoint, device, discriminators))
