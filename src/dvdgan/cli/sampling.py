"""Commands that make clips, and that list the models to make them with."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from dvdgan.cli.options import Device, Model
from dvdgan.console import say

if TYPE_CHECKING:
    from dvdgan.clips import ClipStream
    from dvdgan.pipeline import Pipeline


class Precision(str, Enum):
    """Arithmetic of sampling."""

    fp32 = "fp32"
    bf16 = "bf16"


_TRUNCATION = "Below 1: less variety, better looks."
Scale = Annotated[int, typer.Option(min=1, max=64, help="Whole-number enlargement of the pixels.")]
Fps = Annotated[Optional[float], typer.Option(min=0.1, max=1000, help="Frames per second of the files.")]
BatchSize = Annotated[int, typer.Option(min=1, max=65_536, help="Most clips per forward pass.")]
SamplingPrecision = Annotated[Precision, typer.Option(help="fp32, or bf16, which is quicker.")]


class Truncation(str, Enum):
    """What --truncation means."""

    scale = "scale"
    resample = "resample"


def generate(
    model: Model,
    class_: Annotated[
        Optional[list[str]],
        typer.Option(
            "--class", help="A class name; again for several. By default all in turn, or the first with --interpolate."
        ),
    ] = None,
    num: Annotated[
        Optional[int], typer.Option(min=1, max=1_000_000, help="How many clips; by default one per class.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**62, help="Clip i has the noise of seed + i.")] = 0,
    out: Annotated[
        Path, typer.Option(help=".mp4, .gif, .webp, .png (a sheet), .npz, or a directory (an MP4 per clip).")
    ] = Path("clips.mp4"),
    truncation: Annotated[float, typer.Option(min=0, max=1000, help=_TRUNCATION)] = 1.0,
    truncation_kind: Annotated[
        Truncation, typer.Option(help="scale: standard deviation of z; resample: threshold on z.")
    ] = Truncation.scale,
    interpolate: Annotated[
        int,
        typer.Option(
            min=0, max=10_000, help="Clips on the way from seed to seed + 1, or from class to class; 0 is off."
        ),
    ] = 0,
    frames: Annotated[
        Optional[int], typer.Option(min=1, max=100_000, help="Frames per clip; by default the model's.")
    ] = None,
    loop: Annotated[
        int,
        typer.Option(
            min=0, max=100_000, help="So many last frames melt into the first: clips that play round. 0 is off."
        ),
    ] = 0,
    scale: Scale = 1,
    fps: Fps = None,
    batch_size: BatchSize = 16,
    precision: SamplingPrecision = Precision.fp32,
    device: Device = None,
    list_classes: Annotated[bool, typer.Option("--list-classes", help="Print the class names and end.")] = False,
) -> None:
    """Make clips with a model, each in one forward pass."""
    from dvdgan.clips import output_kind
    from dvdgan.pipeline import load

    if not list_classes:
        output_kind(out)  # refuses a wrong suffix before the model is read
    if interpolate and num is not None:
        raise typer.BadParameter("--interpolate says how many clips are made: leave --num out")
    if interpolate and loop:
        raise typer.BadParameter("--loop goes without --interpolate")
    pipeline = load(model, device, precision.value, batch_size)
    if list_classes:
        say("\n".join(pipeline.classes) if pipeline.classes else "(unconditional)")
        return
    options: dict[str, Any] = {"truncation": truncation, "truncation_kind": truncation_kind.value, "frames": frames}
    _write(_stream(pipeline, class_ or [], num, seed, interpolate, loop, options), out, scale, fps)


def predict(
    model: Model,
    first: Annotated[
        list[Path],
        typer.Option(help="A picture, a clip or a folder of numbered frames to go on from; again for several."),
    ],
    class_: Annotated[
        Optional[list[str]],
        typer.Option("--class", help="A class name, or again: one for each --first where as many, else all for each."),
    ] = None,
    num: Annotated[int, typer.Option(min=1, max=1_000_000, help="Futures of each.")] = 1,
    seed: Annotated[int, typer.Option(min=0, max=2**62, help="Future i has the noise of seed + i.")] = 0,
    out: Annotated[
        Path,
        typer.Option(help=".mp4, .gif, .webp, .png (a sheet), .npz, or a directory (an MP4 per clip, without marks)."),
    ] = Path("futures.mp4"),
    truncation: Annotated[float, typer.Option(min=0, max=1, help=_TRUNCATION)] = 1.0,
    frames: Annotated[
        Optional[int], typer.Option(min=1, max=100_000, help="Frames to make; by default the model's.")
    ] = None,
    chain: Annotated[
        bool, typer.Option("--chain", help="Of many frames: begin anew, from the last ones, after each trained length.")
    ] = False,
    scale: Scale = 1,
    fps: Fps = None,
    batch_size: BatchSize = 16,
    precision: SamplingPrecision = Precision.fp32,
    device: Device = None,
) -> None:
    """Go on from first frames with a predictor; given frames are framed in mosaics and sheets."""
    from dvdgan.clips import output_kind
    from dvdgan.pipeline import load

    output_kind(out)  # refuses a wrong suffix before the model is read
    pipeline = load(model, device, precision.value, batch_size)
    clips = pipeline.stream_prediction(first, class_ or None, num, seed, truncation, frames, chain)
    _write(clips, out, scale, fps)


def _write(clips: ClipStream, out: Path, scale: int, fps: float | None) -> None:
    """Make the clips into files, with a progress bar, and name these."""
    from dvdgan.data.progress import progress_bar
    from dvdgan.runs.signals import exit_on_signals

    clips.fps = fps or clips.fps
    with exit_on_signals(), progress_bar("making frames", len(clips) * clips.frames) as clips.progress:
        written = clips.save(out, scale)
    for path in written:
        say(path)


def _stream(
    pipeline: Pipeline,
    classes: list[str],
    num: int | None,
    seed: int,
    interpolate: int,
    loop: int,
    options: dict[str, Any],
) -> ClipStream:
    if not interpolate:
        return pipeline.stream(classes or None, num, seed, loop=loop, **options)
    seeds = [seed] * len(classes) if len(classes) > 1 else [seed, seed + 1]
    return pipeline.stream_interpolation(classes or None, seeds, interpolate, **options)


def models(model: Annotated[Optional[str], typer.Option(help="Print the card of this one.")] = None) -> None:
    """List the models that come with dvdgan, or print a model's card."""
    from dvdgan.models import builtin_models, load_model

    if model is not None:
        say(load_model(model).card.rstrip("\n"))
        return
    for name in builtin_models():
        network = load_model(name).config.network
        size = f"{network.frames} frames of {network.size}x{network.size}"
        if network.first_frames:
            size += f", {network.first_frames} of them given"
        say(f"{name:24} {network.classes} classes, {size}; `dvdgan models --model {name}` prints its card")
