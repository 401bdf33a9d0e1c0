"""Commands that show presets and fields."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from dvdgan.config_files import field_paths, load_config, preset_names


def presets() -> None:
    """List the presets."""
    for name in preset_names():
        typer.echo(f"{name:24} {load_config(name).description}")


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
