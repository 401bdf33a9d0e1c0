"""The ``dvdgan`` command. Each command is a thin call of the Python API."""

from __future__ import annotations

import json
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from dvdgan import __version__
from dvdgan.config import Config, DataConfig
from dvdgan.config_files import ConfigError, field_paths, load_config, override, preset_names, updated
from dvdgan.evaluation.commands import evaluate_command, train_classifier_command

if TYPE_CHECKING:
    from dvdgan.pipeline import Clips, Pipeline

app = typer.Typer(
    help="DVD-GAN: train a class-conditional video GAN, and make whole clips in one forward pass.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
data_app = typer.Typer(help="Look at, pack and render data.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.command("evaluate")(evaluate_command)
app.command("train-classifier")(train_classifier_command)


class Precision(str, Enum):
    """Arithmetic of sampling."""

    fp32 = "fp32"
    bf16 = "bf16"


class Truncation(str, Enum):
    """What --truncation means."""

    scale = "scale"
    resample = "resample"


class Split(str, Enum):
    """Which of the rendered scenes."""

    train = "train"
    heldout = "heldout"


@app.command()
def train(
    preset: Annotated[str, typer.Argument(help="A preset's name (see `dvdgan presets`), or the path of a YAML file.")],
    overrides: Annotated[
        Optional[list[str]], typer.Argument(metavar="[FIELD=VALUE]...", help="Fields to change (see `dvdgan fields`).")
    ] = None,
    data: Annotated[
        Optional[str], typer.Option(help="`phenomena` (rendered), a folder or list of clips, or a packed store.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The run's directory.")] = Path("run"),
    minutes: Annotated[
        Optional[float], typer.Option(min=0, help="Stop after so many minutes of training, interruptions not counted.")
    ] = None,
    device: Annotated[
        Optional[str], typer.Option(help="Such as cpu or cuda; by default the accelerator, if any.")
    ] = None,
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

    config = load_config(preset, overrides or [])
    if data is not None:
        config = updated(config, data={"source": data})
    try:
        run(config, out, minutes, device, say=typer.echo, override=override)
    except Interrupted as stop:
        typer.echo(f"{stop}; the same command resumes", err=True)
        raise typer.Exit(128 + stop.signal) from None


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run's directory; the training may be at work.")],
    out: Annotated[Optional[Path], typer.Option(help="The page to write; by default RUN/report.html.")] = None,
) -> None:
    """Make one HTML page of a run: health, clips, film strip, curves, settings. It needs no network to be read."""
    from dvdgan.report import write_run_page

    typer.echo(write_run_page(run, out))


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run's directory.")],
    out: Annotated[Path, typer.Argument(help="The model directory to write.")],
    checkpoint: Annotated[
        str, typer.Option(help="newest, best (its samples came closest to real clips), or a step.")
    ] = "newest",
    device: Annotated[
        Optional[str], typer.Option(help="Such as cpu or cuda; by default the accelerator, if any.")
    ] = None,
) -> None:
    """Make a model of one of a run's checkpoints."""
    from dvdgan.training.export import export_model

    typer.echo(export_model(run, out, checkpoint, device))


@app.command()
def generate(
    model: Annotated[Path, typer.Option(help="A model directory (or a run's directory).")],
    class_: Annotated[
        Optional[list[str]],
        typer.Option(
            "--class", help="A class name; again for several. By default all in turn, or the first with --interpolate."
        ),
    ] = None,
    num: Annotated[Optional[int], typer.Option(min=1, help="How many clips; by default one per class.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Clip i has the noise of seed + i.")] = 0,
    out: Annotated[
        Path, typer.Option(help=".mp4, .gif, .webp, .png (a sheet), .npz, or a directory (an MP4 per clip).")
    ] = Path("clips.mp4"),
    truncation: Annotated[float, typer.Option(help="Below 1: less variety, better looks.")] = 1.0,
    truncation_kind: Annotated[
        Truncation, typer.Option(help="scale: standard deviation of z; resample: threshold on z.")
    ] = Truncation.scale,
    interpolate: Annotated[
        int, typer.Option(min=0, help="Clips on the way from seed to seed + 1, or from class to class; 0 is off.")
    ] = 0,
    frames: Annotated[Optional[int], typer.Option(min=1, help="Frames per clip; by default the model's.")] = None,
    scale: Annotated[int, typer.Option(min=1, help="Whole-number enlargement of the pixels.")] = 1,
    fps: Annotated[Optional[float], typer.Option(min=0.1, help="Frames per second of the files.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Clips per forward pass.")] = 16,
    precision: Annotated[Precision, typer.Option(help="fp32, or bf16, which is quicker.")] = Precision.fp32,
    device: Annotated[
        Optional[str], typer.Option(help="Such as cpu or cuda; by default the accelerator, if any.")
    ] = None,
    list_classes: Annotated[bool, typer.Option("--list-classes", help="Print the class names and end.")] = False,
) -> None:
    """Make clips with a model."""
    from rich.console import Console
    from rich.progress import Progress

    from dvdgan.pipeline import load, output_kind

    if not list_classes:
        output_kind(out)  # refuses a wrong suffix before any work
    if interpolate and num is not None:
        raise typer.BadParameter("--interpolate says how many clips are made: leave --num out")
    pipeline = load(model, device, precision.value, batch_size)
    if list_classes:
        typer.echo("\n".join(pipeline.classes) if pipeline.classes else "(unconditional)")
        return
    options: dict[str, Any] = {"truncation": truncation, "truncation_kind": truncation_kind.value, "frames": frames}
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("making clips", total=None)
        pipeline.progress = lambda done, of: bar.update(task, completed=done, total=of)
        clips = _make(pipeline, class_ or [], num, seed, interpolate, options)
    clips.fps = fps or clips.fps
    for path in clips.save(out, scale):
        typer.echo(path)


def _make(
    pipeline: Pipeline, classes: list[str], num: int | None, seed: int, interpolate: int, options: dict[str, Any]
) -> Clips:
    if not interpolate:
        return pipeline(classes or None, num, seed, **options)
    seeds = [seed] * len(classes) if len(classes) > 1 else [seed, seed + 1]
    return pipeline.interpolate(classes or None, seeds, interpolate, **options)


@app.command()
def presets() -> None:
    """List the presets."""
    for name in preset_names():
        typer.echo(f"{name:24} {load_config(name).description}")


@app.command()
def fields(
    preset: Annotated[
        Optional[str], typer.Argument(help="Show this preset's values instead of the help texts.")
    ] = None,
) -> None:
    """List the configuration's fields, or a preset with all of its values."""
    if preset is not None:
        typer.echo(load_config(preset).to_yaml(), nl=False)
        return
    for path, text in field_paths().items():
        typer.echo(f"{path:44} {' '.join(text.split())}")


@data_app.command()
def render(
    what: Annotated[str, typer.Argument(metavar="phenomena", help="The rendered data set: phenomena.")],
    out: Annotated[Path, typer.Argument(help="Folder to write; a subfolder per class.")],
    size: Annotated[int, typer.Option(min=32, max=256, help="Height and width, in pixels.")] = 64,
    frames: Annotated[int, typer.Option(min=2, help="Frames per clip.")] = 16,
    clips_per_class: Annotated[int, typer.Option(min=1, help="Clips of each class.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="The data set's seed.")] = 0,
    split: Annotated[Split, typer.Option(help="Which scenes; the two splits share none.")] = Split.train,
) -> None:
    """Write the rendered data set as labelled MP4 files, with the truth of each beside it."""
    from dvdgan.data.rendering import render_phenomena

    if what != "phenomena":
        raise typer.BadParameter(f"there is no rendered data set {what!r}; there is phenomena")
    render_phenomena(out, size, frames, clips_per_class, seed, split.value)
    typer.echo(out)


_FIELDS = typer.Argument(metavar="[FIELD=VALUE]...", help="How clips are found and read: data.* of `dvdgan fields`.")


@data_app.command()
def pack(
    path: Annotated[str, typer.Argument(help="A folder of clips in any layout, or a list of them (.csv, .jsonl).")],
    out: Annotated[Path, typer.Argument(help="The packed store to write.")],
    fields: Annotated[Optional[list[str]], _FIELDS] = None,
    size: Annotated[int, typer.Option(min=32, max=512, help="The frames' short side, in pixels.")] = 64,
) -> None:
    """Decode clips once, into a packed store that `dvdgan train --data` reads; an interrupted packing goes on."""
    from dvdgan.data.sources import pack_source

    store = pack_source(_data_config(path, fields), out, size, say=lambda text: typer.echo(text, err=True))
    classes = f"{len(store.classes)} classes" if store.classes else "no classes"
    skipped = f", {len(store.skipped)} files could not be used (see index.json)" if store.skipped else ""
    typer.echo(f"{out}: {len(store)} clips, {classes}, {store.bytes / 2**20:.0f} MiB{skipped}")


@data_app.command()
def inspect(
    path: Annotated[str, typer.Argument(help="A folder of clips in any layout, a list of them, or a packed store.")],
    fields: Annotated[Optional[list[str]], _FIELDS] = None,
    sheet: Annotated[Optional[Path], typer.Option(help="Write a contact sheet here (.png).")] = None,
    json_file: Annotated[Optional[Path], typer.Option("--json", help="Write all that was found here.")] = None,
    headers: Annotated[
        bool, typer.Option("--headers", help="Read headers only: quick, but finds less damage and no near copies.")
    ] = False,
    size: Annotated[int, typer.Option(min=32, max=512, help="Short side for which a store's size is told.")] = 64,
) -> None:
    """Tell what clips there are: classes, lengths, sizes, rates, problems, near copies; check a packed store."""
    from dvdgan.data.inspect.inspection import as_text, contact_sheet
    from dvdgan.data.sources import inspect_source
    from dvdgan.data.write.encode import atomic_path
    from dvdgan.data.write.sheets import write_image

    found = inspect_source(_data_config(path, fields), size, headers_only=headers)
    typer.echo(as_text(found))
    if sheet is not None:
        typer.echo(write_image(sheet, contact_sheet(found)))
    if json_file is not None:
        with atomic_path(json_file) as temporary:
            temporary.write_text(json.dumps(found.to_json(), indent=1), encoding="utf-8")
        typer.echo(json_file)


def _data_config(path: str, fields: list[str] | None) -> DataConfig:
    """The data section of a configuration, its fields named with or without ``data.``."""
    named = [text if text.startswith("data.") else f"data.{text}" for text in fields or []]
    return override(updated(Config(), data={"source": path}), named).data


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    if version:
        typer.echo(f"dvdgan {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command; an error that the user can mend is one line on stderr and exit code 1."""
    from dvdgan.data.errors import DataError
    from dvdgan.devices import DeviceError
    from dvdgan.evaluation.errors import EvaluationError
    from dvdgan.models import ModelError
    from dvdgan.pipeline import PipelineError
    from dvdgan.report import ReportError
    from dvdgan.training.checkpoint import CheckpointError
    from dvdgan.training.run_directory import TrainingError

    mendable = (
        *(ConfigError, DataError, DeviceError, ModelError, PipelineError, ReportError),
        *(CheckpointError, EvaluationError, TrainingError, OSError),
    )
    try:
        app()
    except mendable as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
