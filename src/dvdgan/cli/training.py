"""Commands that train, and that show and export what was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dvdgan.cli.options import SOURCE, Device, Fields, Minutes, Run
from dvdgan.config.files import load_config, updated
from dvdgan.console import say


def train(
    preset: Annotated[str, typer.Argument(help="A preset's name (see `dvdgan presets`), or the path of a YAML file.")],
    fields: Fields = None,
    data: Annotated[Optional[str], SOURCE] = None,
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
    from dvdgan.training import train as run

    config = load_config(preset, fields or [])
    if data is not None:
        config = updated(config, data={"source": data})
    run(config, out, minutes, device, say=say, override=override)


def report(
    run: Run,
    out: Annotated[Optional[Path], typer.Option(help="The page to write; by default RUN/report.html.")] = None,
) -> None:
    """Make one HTML page of a run, also of one at work: health, clips, film strip, curves, settings.

    It needs no network to be read.
    """
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
