"""Commands that show presets and fields."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from dvdgan.cli.options import Fields
from dvdgan.config.files import field_paths, load_config, preset_names
from dvdgan.console import say


def presets() -> None:
    """List the presets."""
    for name in preset_names():
        say(f"{name:24} {load_config(name).description}")


def fields(
    preset: Annotated[
        Optional[str], typer.Argument(help="Show this preset's values instead of the help texts.")
    ] = None,
) -> None:
    """List the configuration's fields, or a preset with all of its values."""
    if preset is not None:
        say(load_config(preset).to_yaml().rstrip("\n"))
        return
    for path, text in field_paths().items():
        say(f"{path:44} {' '.join(text.split())}")


def plan(
    preset: Annotated[
        Optional[str], typer.Argument(help="A preset's name, or the path of a YAML file; none with --all.")
    ] = None,
    fields: Fields = None,
    every: Annotated[bool, typer.Option("--all", help="A table of all presets.")] = False,
    devices: Annotated[int, typer.Option(min=1, max=65_536, help="Devices that share a batch.")] = 1,
    flops: Annotated[
        Optional[float],
        typer.Option(
            min=1e6, max=1e18, help="FLOP/s that an accelerator sustains; by default CPUs like this one, measured."
        ),
    ] = None,
    num_clips: Annotated[
        Optional[int], typer.Option(min=1, max=10**10, help="Clips of the training data, for its size on disk.")
    ] = None,
) -> None:
    """Say what a training costs, before it: parameters, operations, memory, disk and time."""
    from dvdgan.plan import in_lines, table

    if every == (preset is not None):
        raise typer.BadParameter("give a preset, or --all")
    if every:
        say(table({name: load_config(name, fields or []) for name in preset_names()}, devices, flops))
    else:
        assert preset is not None
        say(in_lines(load_config(preset, fields or []), num_clips, devices, flops))
