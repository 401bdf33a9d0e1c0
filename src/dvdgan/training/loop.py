"""Train a DVD-GAN, or go on with a training that was interrupted, by the same arguments."""

from __future__ import annotations

import platform
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path

import torch

from dvdgan.config import Config
from dvdgan.config.files import updated
from dvdgan.console import say
from dvdgan.data.dataset import ClipDataset
from dvdgan.data.prefetch import Prefetcher
from dvdgan.data.progress import hidden_progress
from dvdgan.data.sources import open_dataset
from dvdgan.devices import pick_device
from dvdgan.evaluation.classifier.classifier import Classifier
from dvdgan.networks import Generator
from dvdgan.runs import distributed
from dvdgan.runs.checkpoint import is_disk_full
from dvdgan.runs.directory import TrainingError, TrainingFailed
from dvdgan.runs.events import Event
from dvdgan.runs.memory import keep_freed_memory
from dvdgan.runs.noise import sample_numbers
from dvdgan.runs.retention import Retention
from dvdgan.runs.run import Run
from dvdgan.training.batches import Batches
from dvdgan.training.changes import Changes, in_words
from dvdgan.training.data_stalls import DataStallNotice
from dvdgan.training.directory import TrainingDirectory
from dvdgan.training.evaluating import classifier_errors, open_classifier
from dvdgan.training.health import require_finite
from dvdgan.training.metrics import add_to_means, averaged
from dvdgan.training.run_file import Override, RunFile
from dvdgan.training.samples import (
    finished_generator,
    keep_first_frames,
    remove_samples_after,
    training_summary,
    write_model,
    write_real_samples,
)
from dvdgan.training.start import decide, prepare, require_equal_shares
from dvdgan.training.state import TrainingState
from dvdgan.training.step import training_step
from dvdgan.training.transfer import transfer
from dvdgan.training.watching import SampleWatch


def train(
    config: Config,
    out: Path | str,
    minutes: float | None = None,
    device: str | None = None,
    say: Callable[[str], None] = say,
    override: bool = False,
) -> Path:
    """Train, or go on training, a run; as one with other processes, where ``torchrun`` has started several.

    Args:
        config: the configuration; ``config.data.source`` must be set.
        out: the run's directory; made if missing.
        minutes: stop once the run has trained for this long, all its parts together; None trains all the steps.
        device: such as ``cpu`` or ``cuda:1``; None takes the accelerator where there is one.
        say: where lines for the user go.
        override: go on although settings or clips differ from those that the run was started with; the difference is
            recorded in ``run.json`` and in the log. The networks, and what a run started from, cannot change.

    Returns:
        The model directory, ``out/model``.

    Raises:
        TrainingError: the run's directory belongs to another configuration or other clips, is damaged or in use;
            TensorBoard is missing; the classifier cannot be used.
        TrainingFailed: a value is no longer finite, the disk is full, or another process is gone.
        Interrupted: a SIGINT, SIGTERM or SIGHUP came, to any process; everything is saved.
        SystemExit: with code 1, where another process failed and has said why.
        CheckpointError: no checkpoint can be used.
        ConfigError: a step needs more memory than there is; the largest batch that fits is named.
        DataError: the clips cannot be used.
        DeviceError: there is no such device.
        ModelError: ``out/model`` holds something else than a model.
    """
    torch.set_flush_denormal(True)
    directory = TrainingDirectory(Path(out))

    def resumption() -> str:
        saved = directory.checkpoints
        then = f"goes on from {saved[-1].name}" if saved else "starts anew, since there is no checkpoint yet"
        return f"give the same command again, which {then}"

    with distributed.joined(config.training.timeout, resumption):
        main, where = distributed.is_main(), distributed.own_device(pick_device(device))
        if config.data.source is None:
            raise TrainingError(
                "there is no data: set --data (data.source) to phenomena, a folder of clips or a packed store"
            )
        try:
            with directory.locked() if main else nullcontext():
                return _train_in(directory, config, where, minutes, say if main else _silent, override)
        except Exception as error:
            if not is_disk_full(error):
                raise
            place = getattr(error, "filename", None) or out
            raise TrainingFailed(f"{place}: the disk is full; make room and {resumption()}") from error


def _silent(text: str) -> None:
    """What processes other than the main one say."""


def _train_in(
    directory: TrainingDirectory,
    config: Config,
    device: torch.device,
    minutes: float | None,
    say: Callable[[str], None],
    override: bool,
) -> Path:
    # Refuse what can be refused before any work.
    require_equal_shares(config)
    prepared = distributed.from_main(lambda: prepare(directory, config, device, override, say))
    changes = prepared.changes
    main = distributed.is_main()
    classifier = open_classifier(config.training.classifier, device) if main else None

    # Open the clips.
    with hidden_progress(not main):
        dataset = distributed.main_first(
            lambda: open_dataset(
                config.data,
                config.network.size,
                config.network.frames,
                prepared.store,
                seed=config.training.seed,
                keep=prepared.resuming or not main,  # a resumed run goes on with the clips that it started with
                say=say,
                group=config.network.group,
            )
        )
    with closing(dataset.store):
        if classifier is not None:
            with classifier_errors():
                classifier.require_classes(dataset.classes)
        say(dataset.summary())
        config = updated(config, network={"classes": len(dataset.classes)})
        if prepared.resuming:
            changes |= directory.other_clips(dataset, override)
            if main:
                weights = None if classifier is None else classifier.weights_sha256
                changes |= directory.other_classifier(weights, override)
        decided, changes = distributed.from_main(
            lambda: (decide(directory, config, device, dataset, prepared, say), changes)
        )
        torch.set_num_threads(decided.threads)
        return _train_on(dataset, classifier, directory, decided, device, minutes, say, changes)


def _train_on(
    dataset: ClipDataset,
    classifier: Classifier | None,
    directory: TrainingDirectory,
    decided: RunFile,
    device: torch.device,
    minutes: float | None,
    say: Callable[[str], None],
    changes: Changes,
) -> Path:
    config, out, weights, main = decided.config, directory.path, dataset.class_weights, distributed.is_main()
    t = config.training

    # Set up what samples are compared with.
    watch = SampleWatch(dataset, classifier, t.health, out / "evaluation", say) if main else None

    # Set up the training state.
    if decided.checkpointing != "chunks":  # which is for those that are short of memory
        keep_freed_memory()
    state = TrainingState(config, device, decided.precision, decided.memory_format, decided.checkpointing)
    if t.start_from is not None and not directory.started:
        decided.started_from = transfer(t.start_from, state, dataset.classes)
        shares = ", ".join(f"{100 * share:.0f} % of {name}" for name, share in decided.started_from.taken.items())
        say(f"started from {t.start_from}: {shares}")

    if not directory.started and main:
        keep_first_frames(state, dataset)

    # Load the newest checkpoint.
    if main and directory.scores_differ(config, changes) and directory.forget_scores():
        say("samples are scored otherwise from now on, and the best checkpoint (training.keep_best) is chosen anew")
    retention = Retention(t.keep_checkpoints, t.keep_best, t.keep_every, t.checkpoint_gib)
    run = Run(out, state, t.steps, minutes, retention, say)
    if main:
        remove_samples_after(out / "samples", state.step)
    if changes:
        pairs = {name: list(pair) for name, pair in changes.items()}
        decided.overrides.append(Override(step=state.step, changes=pairs))
        say(f"override: {in_words(changes)}")
    if any("data" in entry.changes for entry in decided.overrides[state.noted_overrides :]):
        distributed.from_main(lambda: keep_first_frames(state, dataset))  # the checkpoint's are of other clips
    state.join()
    if watch is not None:
        decided.baseline, decided.real_accuracy_by_class = watch.baseline, watch.real_accuracy_by_class
        decided.evaluation = watch.evaluation
        directory.write(decided)
    if main and (state.step == 0 or "data" in changes):
        write_real_samples(dataset, config, out / "samples")

    # Train.
    stalls = DataStallNotice(dataset.store.workers)
    network: Generator | None = None  # the finished generator of this step, once it was made
    with (
        run.training(tensorboard=t.tensorboard),
        Prefetcher(dataset, t.batch_size, t.d_steps, state.step, share=sample_numbers(0, t.batch_size)) as reader,
    ):
        for entry in decided.overrides[state.noted_overrides :]:
            run.write(Event(state.step, "override", None, "note", in_words(entry.changes)).line())
        state.noted_overrides = len(decided.overrides)
        batches = Batches(reader, dataset, t.batch_size, device)
        while run.goes_on:
            network = None

            # Update the discriminators, the generator and its average.
            rates = state.set_learning_rates()
            metrics = training_step(state, batches, dataset.classes)
            require_finite(run, metrics)

            # Measure and watch.
            add_to_means(state.means, metrics)
            run.count_step()
            if metrics.motion is not None:
                state.monitor.moved(*metrics.motion.sums_by_class())
            run.report(state.monitor.gradients(state.step, metrics.gradients()))
            if notice := stalls.step(metrics.seconds.data, sum(metrics.seconds)):
                run.display.note(notice)

            # Log.
            figures = None
            if run.due(t.log_every):
                averages = averaged(state.means)
                run.write({"hours": state.seconds / 3600, **rates, **averages.fields()})
                run.report(state.monitor.logged(state.step, averages, t.log_every))
                figures = str(averages)
            run.show(figures)

            # Write samples; before the checkpoint, which then holds that it was done.
            if watch is not None and (run.ended or run.due(t.sample_every)):
                network = finished_generator(state, weights)
                watch.sample(run, state, network)

            # Save a checkpoint.
            if run.ended or run.stopped or run.due(t.checkpoint_every):
                run.save()

        # Write the last samples, if the run had ended before this start.
        if watch is not None and not run.stopped and state.sampled_step != state.step:
            network = finished_generator(state, weights)
            watch.sample(run, state, network)
            run.save(again=True)

    # Write the model.
    if not main:
        return out / "model"
    summary = training_summary(state, len(dataset), decided.started_from)
    summary["Time"] += f" on {_machine(device)}"
    network = network or finished_generator(state, weights)
    write_model(network, state, dataset.classes, weights, out / "model", summary)
    say(f"{state.step} steps, {state.seconds / 60:.1f} minutes of training; the model is in {out / 'model'}")
    return out / "model"


def _machine(device: torch.device) -> str:
    return (
        f"{torch.get_num_threads()} threads of a {platform.machine()} processor"
        if device.type == "cpu"
        else str(device)
    )
