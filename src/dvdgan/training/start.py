"""Start a training, or go on with one that was interrupted, by the same arguments."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from dvdgan.config import Config
from dvdgan.config_files import updated
from dvdgan.data.dataset import ClipDataset
from dvdgan.data.sources import open_dataset
from dvdgan.devices import pick_device
from dvdgan.models import check_model_place
from dvdgan.training import precision
from dvdgan.training.checkpoint import is_disk_full, list_checkpoints
from dvdgan.training.evaluating import Evaluator, classifier_errors, open_classifier
from dvdgan.training.loop import Run
from dvdgan.training.memory import keep_freed_memory
from dvdgan.training.probe import Probe
from dvdgan.training.run_directory import STORED_DATA, Changes, RunDirectory, TrainingError, TrainingFailed, in_words
from dvdgan.training.samples import watched_classes
from dvdgan.training.steps import Learner
from dvdgan.training.transfer import transfer

if TYPE_CHECKING:
    from dvdgan.evaluation.classifier.classifier import Classifier


def _print(text: str) -> None:
    print(text, flush=True)


def train(
    config: Config,
    out: Path | str,
    minutes: float | None = None,
    device: str | None = None,
    say: Callable[[str], None] = _print,
    override: bool = False,
) -> Path:
    """Train, or go on training, a run.

    Args:
        config: the configuration; ``config.data.source`` must be set.
        out: the run's directory; made if missing.
        minutes: stop once the run has trained for this long, all its parts together; None trains all the steps.
        device: such as ``cpu`` or ``cuda:1``; None takes the accelerator where there is one.
        say: where lines for the user go.
        override: go on although settings or clips differ from those that the run was started with; the difference is
            recorded in ``run.json`` and in the log. The networks themselves cannot change.

    Returns:
        The model directory, ``out/model``.

    Raises:
        TrainingError: the run's directory belongs to another configuration or other clips, is damaged or in use; a
            value is no longer finite; the disk is full; TensorBoard is missing; the classifier cannot be used.
        Interrupted: a SIGINT, SIGTERM or SIGHUP came; everything is saved.
        CheckpointError: no checkpoint can be used.
        DataError: the clips cannot be used.
        DeviceError: there is no such device.
        ModelError: ``out/model`` holds something else than a model.
    """
    torch.set_flush_denormal(True)
    keep_freed_memory()
    out, where = Path(out), pick_device(device)
    if config.data.source is None:
        raise TrainingError(
            "there is no data: set --data (data.source) to phenomena, a folder of clips or a packed store"
        )
    directory = RunDirectory(out)
    try:
        with directory.locked():
            return _train_in(directory, config, where, minutes, say, override)
    except Exception as error:
        if not is_disk_full(error):
            raise
        saved = list_checkpoints(out / "checkpoints")
        then = f"goes on from {saved[-1].name}" if saved else "starts anew, since there is no checkpoint yet"
        raise TrainingFailed(
            f"{getattr(error, 'filename', None) or out}: the disk is full; make room and give the same command again, "
            f"which {then}"
        ) from error


def _train_in(
    directory: RunDirectory,
    config: Config,
    where: torch.device,
    minutes: float | None,
    say: Callable[[str], None],
    override: bool,
) -> Path:
    out, resuming = directory.path, directory.started
    check_model_place(out / "model")
    directory.remove_leftovers()
    changes = directory.changes(config, override) if resuming else {}
    classifier = open_classifier(config.training.classifier, where)
    store = directory.store() if resuming else out / "data"
    if STORED_DATA & set(changes):
        store = directory.new_store()  # the old one stays until the new clips are accepted
    dataset = open_dataset(
        config.data,
        config.network.size,
        config.network.frames,
        store,
        seed=config.training.seed,
        keep=resuming,  # a resumed run goes on with the clips that it started with
        say=say,
        group=config.network.group,
    )
    with closing(dataset.store):
        if classifier is not None:
            with classifier_errors():
                classifier.require_classes(dataset.classes)
        return _train_on(dataset, classifier, directory, config, where, minutes, say, override, store.name, changes)


def _train_on(
    dataset: ClipDataset,
    classifier: Classifier | None,
    directory: RunDirectory,
    config: Config,
    where: torch.device,
    minutes: float | None,
    say: Callable[[str], None],
    override: bool,
    store: str,
    changes: Changes,
) -> Path:
    out, resuming = directory.path, directory.started
    say(dataset.summary())
    config = updated(config, network={"classes": len(dataset.classes)})
    here = {"torch": torch.__version__, "device": where.type}
    if resuming:
        decided = directory.decided()
        changes |= directory.other_clips(dataset, override)
        changes |= directory.other_classifier(None if classifier is None else classifier.weights_sha256, override)
        decided.pop("evaluation", None)  # said anew
        for field in {"precision", "memory_format"} & {name.removeprefix("training.") for name in changes}:
            pinned = {name: decided[name] for name in ("precision", "memory_format") if name != field}
            new = precision.choose(updated(config, training=pinned), where)[field]
            changes[f"training.{field}"] = (decided[field], new)
            decided[field] = new
        for name, value in here.items():
            if decided.setdefault(name, value) != value:
                say(f"warning: {name} was {decided[name]}, and is {value} now: not bit for bit what it would have been")
    else:
        decided = {**precision.choose(config, where), "threads": torch.get_num_threads(), **here}
    say(f"{where}: {decided['precision']}, {decided['memory_format']}, {decided['threads']} threads")
    torch.set_num_threads(decided["threads"])
    probe = evaluator = None
    if count := config.training.health.clips:
        watched = watched_classes(dataset.class_weights, count)
        probe = Probe.fit(dataset, check_clips=count, labels=watched)
        if len(watched) < len(dataset.classes):
            clips = 8 * len(dataset.classes)
            say(f"samples of {len(watched)} classes are checked; training.health.clips={clips} checks all")
        evaluator = Evaluator(classifier, dataset, watched, count, out / "evaluation", say)
    if "training.classifier" in changes:
        directory.forget_scores()
    learner = Learner(config, where, decided["precision"], decided["memory_format"])
    if config.training.start_from is not None and not resuming:
        decided["started_from"] = transfer(config.training.start_from, learner, dataset.classes)
        shares = ", ".join(f"{100 * share:.0f} % of {name}" for name, share in decided["started_from"]["taken"].items())
        say(f"started from {config.training.start_from}: {shares}")
    run = Run(learner, dataset, probe, evaluator, out, minutes, say, decided.get("started_from"))
    overrides = decided.setdefault("overrides", [])
    if changes:
        overrides.append({"step": run.step, "changes": {name: list(pair) for name, pair in changes.items()}})
        say(f"override: {in_words(changes)}")
    directory.write(config, decided | run.facts() | {"store": store})
    return run.go(overrides, new_clips="data" in changes)
