"""The command line: each command is a thin call of the Python API.

A mistake of the user is one line on stderr and exit code 2; a failure of the work is one line and exit code 1; a signal
is 128 plus its number.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from itertools import pairwise
from typing import Annotated, Any

import typer

from dvdgan import __version__
from dvdgan.cli import configuration, data, evaluation, sampling, training
from dvdgan.console import say

app = typer.Typer(
    help="DVD-GAN: train a class-conditional video GAN, and make whole clips in one forward pass.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(training.train)
app.command()(training.report)
app.command()(training.export)
app.command()(sampling.generate)
app.command()(sampling.predict)
app.command()(sampling.models)
app.command()(evaluation.evaluate)
app.command()(evaluation.train_classifier)
app.command()(configuration.presets)
app.command()(configuration.fields)
app.command()(configuration.plan)
app.add_typer(data.app, name="data")


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False) -> None:
    if version:
        say(f"dvdgan {__version__}")
        raise typer.Exit


def main(arguments: list[str] | None = None) -> None:
    """Run a command, and exit.

    Args:
        arguments: as on the command line; None takes the process's own.

    Raises:
        SystemExit: always, with the exit code.
    """
    given = sys.argv[1:] if arguments is None else arguments
    for name, value in pairwise(["an argument", *given]):
        if not value or (value.startswith("--") and value.endswith("=")):
            name = value.rstrip("=") or name
            say(f"error: {name} is empty; name it (is a variable of the shell not set?)", err=True)
            sys.exit(2)
    try:
        code = app(arguments, standalone_mode=False)
    except Exception as error:
        code = _explain(error)
    sys.exit(code if isinstance(code, int) else 0)


def _explain(error: Exception) -> int:
    """Say on stderr, in one line, what went wrong; returns the exit code."""
    from dvdgan.clips import OutputError
    from dvdgan.config.files import ConfigError
    from dvdgan.data.errors import DataError
    from dvdgan.devices import DeviceError
    from dvdgan.documents import DocumentError
    from dvdgan.evaluation.errors import EvaluationError
    from dvdgan.models import ModelError
    from dvdgan.report import ReportError
    from dvdgan.requests import PipelineError
    from dvdgan.runs.checkpoint import CheckpointError
    from dvdgan.runs.directory import TrainingError
    from dvdgan.training import Interrupted, TrainingFailed

    mistakes = (ConfigError, DataError, DeviceError, EvaluationError, ModelError, OutputError, PipelineError)
    parser_error: Any = error  # typer's, whose classes have had several homes
    if hasattr(error, "format_message"):
        if not error.format_message() or "NoArgs" in type(error).__name__:
            parser_error.show()
        else:
            say(f"error: {' '.join(parser_error.format_message().split())}", err=True)
        return 2
    speaks = os.environ.get("RANK", "0") == "0"  # of several processes, one
    if isinstance(error, Interrupted):
        if speaks:
            say(f"{error}; the same command resumes", err=True)
        return 128 + error.signal
    line = " ".join(str(error).splitlines())  # a path may have several
    if isinstance(error, (TrainingFailed, CheckpointError, OSError)):
        say(f"error: {line}", err=True)
        return 1
    if isinstance(error, (*mistakes, DocumentError, ReportError, TrainingError)):
        if speaks or not isinstance(error, ConfigError):  # several processes read the same configuration
            say(f"error: {line}", err=True)
        return 2
    with tempfile.NamedTemporaryFile("w", prefix="dvdgan-", suffix=".txt", delete=False, encoding="utf-8") as file:
        traceback.print_exception(error, file=file)
    say(f"internal error: {type(error).__name__}: {' '.join(str(error).split())}; see {file.name}", err=True)
    return 1
