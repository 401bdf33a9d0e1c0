"""The commands ``dvdgan evaluate`` and ``dvdgan train-classifier``: thin calls of the Python API."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from dvdgan.cli.options import DataFields, Device, Minutes, Source
from dvdgan.console import say

if TYPE_CHECKING:
    from dvdgan.evaluation.results import Evaluation
    from dvdgan.evaluation.shown import ShownClips


def evaluate(
    fields: DataFields = None,
    model: Annotated[Optional[Path], typer.Option(help="A model directory (or a run's directory); or …")] = None,
    clips: Annotated[Optional[Path], typer.Option(help="… a folder of clips, a list of them, a packed store.")] = None,
    data: Annotated[
        Optional[str],
        typer.Option(help="Real clips: `phenomena`, a folder, a list, a packed store. By default the model's."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The directory of the report.")] = Path("evaluation"),
    classifier: Annotated[Optional[Path], typer.Option(help="A classifier, from `dvdgan train-classifier`.")] = None,
    num: Annotated[
        Optional[int],
        typer.Option(help="Generated clips of each set. [default: 20 per class, 180 to 500; half with --quick]"),
    ] = None,
    seeds: Annotated[Optional[int], typer.Option(help="Sets of generated clips. [default: 3; 2 with --quick]")] = None,
    truncation: Annotated[float, typer.Option(help="Of the model's noise; in (0, 1].")] = 1.0,
    truncations: Annotated[
        Optional[str],
        typer.Option(help="Points of the curve; '' leaves it out. [default: 1,0.8,0.6,0.44; none with --quick]"),
    ] = None,
    stride: Annotated[Optional[int], typer.Option(help="Take every stride-th frame of the data.")] = None,
    size: Annotated[Optional[int], typer.Option(help="Pixels of the clips in a folder.")] = None,
    frames: Annotated[Optional[int], typer.Option(help="Frames per clip.")] = None,
    fvd_weights: Annotated[Optional[Path], typer.Option(help="I3D's TorchScript file, for FVD.")] = None,
    fvd_sha256: Annotated[Optional[str], typer.Option(help="Its hash, if it is another file.")] = None,
    inception_weights: Annotated[Optional[Path], typer.Option(help="Inception's TorchScript file, for FID.")] = None,
    inception_sha256: Annotated[Optional[str], typer.Option(help="Its hash, if it is another file.")] = None,
    cache: Annotated[Optional[Path], typer.Option(help="Where features are kept. [default: OUT/cache]")] = None,
    controls: Annotated[Optional[bool], typer.Option(help="Score damaged real clips. [default: unless quick]")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A minute or two: fewer clips, no curve, no controls.")
    ] = False,
    device: Device = None,
) -> None:
    """Measure generated clips against real ones: scores, copies, behaviours, one page; the same command goes on."""
    from dvdgan.evaluation.evaluate import evaluate as run
    from dvdgan.evaluation.evaluate_settings import EvaluationSettings, numbers
    from dvdgan.evaluation.evaluate_spaces import FieldFiles
    from dvdgan.report.html import check_path, plotly_js

    points = None if truncations is None else numbers(truncations, "truncations")
    asked = {"num": num, "seeds": seeds, "size": size, "frames": frames, "controls": controls, "truncations": points}
    given: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    check_path(out / "evaluation.html")
    plotly_js(out / "evaluation.html")  # what the page needs is missed before the work, not after it
    try:
        results, shown = run(
            out,
            model=model,
            clips=clips,
            data=data,
            fields=fields or [],
            stride=stride,
            classifier=classifier,
            settings=(EvaluationSettings.quick if quick else EvaluationSettings)(truncation=truncation, **given),
            files=FieldFiles(fvd_weights, fvd_sha256, inception_weights, inception_sha256),
            cache=cache,
            device=device,
            say=say,
            command=shlex.join(["dvdgan", *sys.argv[1:]]),
        )
        publish(results, shown, out)
    except KeyboardInterrupt:
        say("interrupted; the same command goes on", err=True)
        raise typer.Exit(130) from None


def publish(results: Evaluation, shown: ShownClips, out: Path) -> None:
    """Write an evaluation's page, and its main scores into the model's card."""
    from dvdgan.report.evaluation.card import write_scores
    from dvdgan.report.evaluation.page import write_evaluation_page

    say(write_evaluation_page(results, shown, out / "evaluation.html"))
    if results.evaluated.kind == "model":
        card = Path(results.evaluated.path) / "card.md"
        try:
            write_scores(card, results)
        except OSError as error:
            say(f"{card}: not changed ({error.strerror}); the scores are in evaluation.html only")
        else:
            say(f"{card}: has the main scores")


def train_classifier(
    data: Source,
    fields: DataFields = None,
    out: Annotated[Path, typer.Option(help="The classifier's directory.")] = Path("classifier"),
    size: Annotated[Optional[int], typer.Option(help="Pixels of its clips. [default: a packed store's, or 64]")] = None,
    frames: Annotated[int, typer.Option(help="Frames of its clips.")] = 12,
    steps: Annotated[int, typer.Option(help="Steps of training.")] = 1000,
    minutes: Minutes = None,
    device: Device = None,
) -> None:
    """Train a classifier of clips, which `dvdgan evaluate` measures with; the same command resumes."""
    from dvdgan.config import DataConfig
    from dvdgan.evaluation.classifier.settings import ClassifierSettings
    from dvdgan.evaluation.classifier.training import train_classifier as run
    from dvdgan.evaluation.evaluate_inputs import data_config, store_size
    from dvdgan.runs.signals import Interrupted

    settings = ClassifierSettings(size=size or store_size(data) or 64, frames=frames, steps=steps)
    try:
        run(data_config(DataConfig(source=data), fields or []), out, settings, minutes, device, say=say)
    except Interrupted as stop:
        say(f"{stop}; the same command resumes", err=True)
        raise typer.Exit(128 + stop.signal) from None
