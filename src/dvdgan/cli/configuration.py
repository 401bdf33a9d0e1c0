"""Commands that show presets and fields."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from dvdgan.config_files import field_paths, load_config, preset_names
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
