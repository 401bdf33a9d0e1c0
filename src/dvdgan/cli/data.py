"""Commands that look at, pack and render clips."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Optional

import typer

from dvdgan.config import Config, DataConfig
from dvdgan.config.data import PackSettings, RenderSettings
from dvdgan.config.files import override, updated
from dvdgan.console import say
from dvdgan.evaluation.settings import parse_settings, settings_help

app = typer.Typer(help="Look at, pack and render data.", no_args_is_help=True)

_DATA = "How clips are found and read: data.* of `dvdgan fields`."
PackFields = Annotated[
    Optional[list[str]], typer.Argument(metavar="[FIELD=VALUE]...", help=f"{settings_help(PackSettings)}\n\n{_DATA}")
]


@app.command()
def render(
    out: Annotated[Path, typer.Option(help="Folder to write; a subfolder per class.")],
    fields: Annotated[
        Optional[list[str]], typer.Argument(metavar="[FIELD=VALUE]...", help=settings_help(RenderSettings))
    ] = None,
) -> None:
    """Write the rendered data set, phenomena, as labelled MP4 files, with the truth of each beside it."""
    from dvdgan.data.rendering import render_phenomena

    settings, others = parse_settings(RenderSettings(), [text.removeprefix("data.") for text in fields or []])
    if others:
        raise typer.BadParameter(f"{others[0]} says how clips are read, and nothing is read here")
    render_phenomena(out, settings.size, settings.frames, settings.clips_per_class, settings.seed, settings.split)
    say(out)


@app.command()
def pack(
    data: Annotated[str, typer.Option(help="A folder or list of clips.")],
    out: Annotated[Path, typer.Option(help="The packed store to write.")],
    fields: PackFields = None,
) -> None:
    """Decode clips once, into a packed store that `dvdgan train --data` reads; an interrupted packing goes on.

    With shards=N, the store lies in N tar files that readers of WebDataset understand.
    """
    from rich.filesize import decimal

    from dvdgan.data.sources import pack_source

    config, settings = pack_settings(data, fields)
    store = pack_source(config, out, settings.size, say=partial(say, err=True))
    classes = f"{len(store.classes)} classes" if store.classes else "no classes"
    skipped = f", {len(store.skipped)} files could not be used (see index.json)" if store.skipped else ""
    say(f"{out}: {len(store)} clips, {classes}, {decimal(store.bytes)}{skipped}")


@app.command()
def inspect(
    data: Annotated[str, typer.Option(help="A folder or list of clips, or a packed store.")],
    fields: PackFields = None,
    sheet: Annotated[Optional[Path], typer.Option(help="Write a contact sheet here (.png, .jpg or .webp).")] = None,
    json_file: Annotated[Optional[Path], typer.Option("--json", help="Write all that was found here.")] = None,
    headers: Annotated[
        bool, typer.Option("--headers", help="Read headers only: quick, but finds less damage and no near copies.")
    ] = False,
) -> None:
    """Say what clips there are: classes, lengths, sizes, rates, problems, near copies; check a packed store.

    The size is that of the packed store whose bytes are estimated.
    """
    from dvdgan.atomic import atomic_path
    from dvdgan.data.inspect.inspection import inspect_source
    from dvdgan.data.inspect.report import as_json, as_text, contact_sheet, is_json_of_inspection
    from dvdgan.data.write.mark import check_free
    from dvdgan.data.write.sheets import check_image_suffix, write_image

    if sheet is not None:
        check_image_suffix(sheet)
        check_free(sheet)
    if json_file is not None:
        if sheet is not None and sheet.resolve() == json_file.resolve():
            raise typer.BadParameter(f"--sheet and --json name one file, {sheet}; name two")
        check_free(json_file, is_json_of_inspection)
    config, settings = pack_settings(data, fields)
    found = inspect_source(config, settings.size, headers_only=headers)
    say(as_text(found))
    if sheet is not None:
        say(write_image(sheet, contact_sheet(found)))
    if json_file is not None:
        with atomic_path(json_file) as temporary:
            temporary.write_text(as_json(found), encoding="utf-8")
        say(json_file)


def pack_settings(source: str, fields: list[str] | None) -> tuple[DataConfig, PackSettings]:
    """What `pack` and `inspect` do: a source, and FIELD=VALUE of how it is read and packed."""
    settings, of_data = parse_settings(PackSettings(), fields or [])
    return override(updated(Config(), data={"source": source}), of_data).data, settings
