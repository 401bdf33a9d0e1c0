"""Options that several commands have: their help is written here, once."""

from pathlib import Path
from typing import Annotated, Optional

import typer

Model = Annotated[
    str, typer.Option(help="A model directory, a run's directory, or the name of a built-in model (`dvdgan models`).")
]
Run = Annotated[Path, typer.Option(help="A run's directory.")]
SOURCE = typer.Option(help="`phenomena` (rendered), a folder or list of clips, or a packed store.")
Source = Annotated[str, SOURCE]
Device = Annotated[
    Optional[str], typer.Option(help="Such as cpu or cuda; by default the accelerator where there is one.")
]
Minutes = Annotated[
    Optional[float],
    typer.Option(min=0, max=1e8, help="Stop after so many minutes of training, interruptions not counted."),
]
Fields = Annotated[
    Optional[list[str]], typer.Argument(metavar="[FIELD=VALUE]...", help="Settings to change; see `dvdgan fields`.")
]
