"""The commands ``dvdgan evaluate`` and ``dvdgan train-classifier``: thin calls of the Python API."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from dvdgan.cli.options import Device, Minutes, Source
from dvdgan.config.model import FrozenModel
from dvdgan.console import say
from dvdgan.documents import DocumentError
from dvdgan.evaluation.settings import QUICK, ClassifierSettings, EvaluationSettings, parse_settings, settings_help

if TYPE_CHECKING:
    from dvdgan.evaluation.record import Evaluation
    from dvdgan.evaluation.shown import ShownClips


def _settings(model: type[FrozenModel]) -> Any:
    """The argument of a command that has settings of its own, and those of data."""
    text = f"{settings_help(model)}\n\nHow the data is read: data.* of `dvdgan fields`."
    return typer.Argument(metavar="[FIELD=VALUE]...", help=text)


def evaluate(
    fields: Annotated[Optional[list[str]], _settings(EvaluationSettings)] = None,
    model: Annotated[Optional[Path], typer.Option(help="A model directory (or a run's directory); or …")] = None,
    clips: Annotated[Optional[Path], typer.Option(help="… a folder of clips, a list of them, a packed store.")] = None,
    data: Annotated[
        Optional[str],
        typer.Option(help="Real clips: `phenomena`, a folder, a list, a packed store. By default the model's."),
    ] = None,
    classifier: Annotated[Optional[Path], typer.Option(help="A classifier, from `dvdgan train-classifier`.")] = None,
    out: Annotated[Path, typer.Option(help="The directory of the report.")] = Path("evaluation"),
    quick: Annotated[
        bool, typer.Option("--quick", help="A minute or two: fewer clips, no curve, no controls.")
    ] = False,
    device: Device = None,
) -> None:
    """Measure generated clips against real ones: scores, copies, behaviours, one page; the same command goes on."""
    from dvdgan.evaluation.evaluate import evaluate as run
    from dvdgan.report.html import check_path, plotly_js
    from dvdgan.runs.signals import exit_on_signals

    settings, of_data = parse_settings(EvaluationSettings(**(QUICK if quick else {})), fields or [])
    inputs: dict[str, Any] = {"model": model, "clips": clips, "data": data, "classifier": classifier}
    command = shlex.join(["dvdgan", *sys.argv[1:]])
    check_path(out / "evaluation.html")
    plotly_js(out / "evaluation.html")  # what the page needs is missed before the work, not after it
    try:
        with exit_on_signals():
            results, shown = run(
                out, **inputs, fields=of_data, settings=settings, device=device, say=say, command=command
            )
            publish(results, shown, out)
    except KeyboardInterrupt:
        say("interrupted; the same command goes on", err=True)
        raise typer.Exit(130) from None


def publish(results: Evaluation, shown: ShownClips, out: Path) -> None:
    """Write an evaluation's page, and its main scores into the model's card, unless the model is built in."""
    from dvdgan.models import is_builtin
    from dvdgan.report.evaluation.card import write_scores
    from dvdgan.report.evaluation.page import write_evaluation_page

    say(write_evaluation_page(results, shown, out / "evaluation.html"))
    if results.evaluated.kind == "model":
        card = Path(results.evaluated.path) / "card.md"
        if is_builtin(card.parent):
            say(f"{card}: not changed, since this model comes with dvdgan; the scores are in evaluation.html only")
            return
        try:
            write_scores(card, results)
        except (OSError, DocumentError) as error:
            say(f"{card}: not changed ({getattr(error, 'strerror', error)}); the scores are in evaluation.html only")
        else:
            say(f"{card}: has the main scores")


def train_classifier(
    data: Source,
    fields: Annotated[Optional[list[str]], _settings(ClassifierSettings)] = None,
    out: Annotated[Path, typer.Option(help="The classifier's directory.")] = Path("classifier"),
    minutes: Minutes = None,
    device: Device = None,
) -> None:
    """Train a classifier of clips for `dvdgan evaluate`; the same command resumes."""
    from dvdgan.config import Config
    from dvdgan.config.data import DataConfig
    from dvdgan.config.files import override
    from dvdgan.evaluation.classifier.training import train_classifier as run
    from dvdgan.evaluation.inputs import store_size

    settings, of_data = parse_settings(ClassifierSettings(size=store_size(data) or 64), fields or [])
    clips = override(Config(data=DataConfig(source=data)), of_data).data
    run(clips, out, settings, minutes, device, say=say)
