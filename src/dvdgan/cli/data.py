"""Commands that look at, pack and render clips."""

from __future__ import annotations

from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated, Optional

import typer

from dvdgan.cli.options import DataFields, Source
from dvdgan.config import Config, DataConfig
from dvdgan.config.files import override, updated
from dvdgan.console import say

app = typer.Typer(help="Look at, pack and render data.", no_args_is_help=True)


class Split(str, Enum):
    """Which of the rendered scenes."""

    train = "train"
    heldout = "heldout"


@app.command()
def render(
    out: Annotated[Path, typer.Option(help="Folder to write; a subfolder per class.")],
    size: Annotated[int, typer.Option(min=32, max=256, help="Height and width, in pixels.")] = 64,
    frames: Annotated[int, typer.Option(min=2, max=4096, help="Frames per clip.")] = 16,
    clips_per_class: Annotated[int, typer.Option(min=1, max=1_000_000, help="Clips of each class.")] = 20,
    seed: Annotated[int, typer.Option(min=0, max=2**62, help="The data set's seed.")] = 0,
    split: Annotated[Split, typer.Option(help="Which scenes; the two splits share none.")] = Split.train,
) -> None:
    """Write the rendered data set, phenomena, as labelled MP4 files, with the truth of each beside it."""
    from dvdgan.data.rendering import render_phenomena

    render_phenomena(out, size, frames, clips_per_class, seed, split.value)
    say(out)


@app.command()
def pack(
    data: Source,
    out: Annotated[Path, typer.Option(help="The packed store to write.")],
    fields: DataFields = None,
    size: Annotated[int, typer.Option(min=32, max=512, help="The frames' short side, in pixels.")] = 64,
) -> None:
    """Decode clips once, into a packed store that `dvdgan train --data` reads; an interrupted packing goes on.

    With shards=N, the store lies in N tar files that readers of WebDataset understand.
    """
    from dvdgan.data.sources import pack_source

    store = pack_source(data_config(data, fields), out, size, say=partial(say, err=True))
    classes = f"{len(store.classes)} classes" if store.classes else "no classes"
    skipped = f", {len(store.skipped)} files could not be used (see index.json)" if store.skipped else ""
    say(f"{out}: {len(store)} clips, {classes}, {store.bytes / 2**20:.0f} MiB{skipped}")


@app.command()
def inspect(
    data: Source,
    fields: DataFields = None,
    sheet: Annotated[Optional[Path], typer.Option(help="Write a contact sheet here (.png).")] = None,
    json_file: Annotated[Optional[Path], typer.Option("--json", help="Write all that was found here.")] = None,
    headers: Annotated[
        bool, typer.Option("--headers", help="Read headers only: quick, but finds less damage and no near copies.")
    ] = False,
    size: Annotated[int, typer.Option(min=32, max=512, help="Short side for which a store's size is told.")] = 64,
) -> None:
    """Tell what clips there are: classes, lengths, sizes, rates, problems, near copies; check a packed store."""
    from dvdgan.atomic import atomic_path
    from dvdgan.data.inspect.inspection import inspect_source
    from dvdgan.data.inspect.report import as_json, as_text, contact_sheet, is_json_of_inspection
    from dvdgan.data.write.mark import check_free
    from dvdgan.data.write.sheets import write_image

    if sheet is not None:
        check_free(sheet)
    if json_file is not None:
        check_free(json_file, is_json_of_inspection)
    found = inspect_source(data_config(data, fields), size, headers_only=headers)
    say(as_text(found))
    if sheet is not None:
        say(write_image(sheet, contact_sheet(found)))
    if json_file is not None:
        with atomic_path(json_file) as temporary:
            temporary.write_text(as_json(found), encoding="utf-8")
        say(json_file)


def data_config(source: str, fields: list[str] | None) -> DataConfig:
    """The data section of a configuration, its fields named with or without ``data.``."""
    named = [text if text.startswith("data.") else f"data.{text}" for text in fields or []]
    return override(updated(Config(), data={"source": source}), named).data
