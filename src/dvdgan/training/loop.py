"""The training loop: start it, interrupt it, start it again with the same arguments, and it goes on."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dvdgan.config import Config
from dvdgan.config_files import updated
from dvdgan.data.clips import ClipDataset, Prefetcher
from dvdgan.data.sources import open_dataset
from dvdgan.devices import pick_device
from dvdgan.models import check_model_place
from dvdgan.networks import Generator
from dvdgan.sampling import from_uint8
from dvdgan.training import precision
from dvdgan.training.checkpoint import is_disk_full, list_checkpoints, prune, restore_newest, save_and_prune
from dvdgan.training.health import Event, Monitor
from dvdgan.training.journal import Journal, Means
from dvdgan.training.memory import keep_freed_memory
from dvdgan.training.motion import first_frame_jump, motion
from dvdgan.training.probe import Probe
from dvdgan.training.progress import ProgressDisplay
from dvdgan.training.run_directory import RunDirectory, TrainingError
from dvdgan.training.samples import (
    finished_generator,
    probe_clips,
    write_model,
    write_real_samples,
    write_samples,
)
from dvdgan.training.signals import Interrupted, stop_signals
from dvdgan.training.steps import Learner
from dvdgan.training.tensorboard import TensorBoard


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
        TrainingError: the run's directory belongs to another configuration, a value is no longer finite, or the disk is
            full.
        Interrupted: a SIGINT or SIGTERM came; everything is saved.
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
        kept = f"the newest checkpoint, {saved[-1].name}, is whole" if saved else "there is no checkpoint yet"
        file = getattr(error, "filename", None) or out
        raise TrainingError(
            f"{file}: the disk is full; {kept}: make room and give the same command again, which goes on from it"
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
    dataset = open_dataset(
        config.data,
        config.network.size,
        config.network.frames,
        out / "data",
        seed=config.training.seed,
        # a resumed run goes on with the clips that it started with
        keep=resuming and "data.source" not in changes,
    )
    config = updated(config, network={"classes": len(dataset.classes)})
    if resuming:
        decided = directory.decided()
        changes |= directory.other_clips(dataset, override)
        if {"training.precision", "training.memory_format"} & set(changes):
            decided |= precision.choose(config, where)
    else:
        decided = {**precision.choose(config, where), "threads": torch.get_num_threads(), "torch": torch.__version__}
    say(f"{where}: {decided['precision']}, {decided['memory_format']}, {decided['threads']} threads")
    torch.set_num_threads(decided["threads"])
    probe = Probe.fit(dataset, check_clips=config.training.health.clips) if config.training.health.clips else None
    learner = Learner(config, where, decided["precision"], decided["memory_format"])
    run = Run(learner, dataset, probe, out, minutes, say)
    if changes:
        directory.record_override(decided, run.step, changes)
        say(f"override: {'; '.join(f'{name} {old} -> {new}' for name, (old, new) in changes.items())}")
    directory.write(config, decided | run.facts())
    return run.go(decided.get("overrides", []))


class Run:
    """A training under way. See `train`."""

    def __init__(
        self,
        learner: Learner,
        dataset: ClipDataset,
        probe: Probe | None,
        out: Path,
        minutes: float | None,
        say: Callable[[str], None],
    ) -> None:
        self.learner, self.dataset, self.probe, self.out = learner, dataset, probe, out
        self.minutes, self.say = minutes, say
        self.config = learner.config
        self.weights = dataset.class_weights
        self.rates = (0.0, 0.0)  # learning rates of G and D
        self.network: Generator | None = None  # the finished generator of this step, once it was made
        numbers = restore_newest(out / "checkpoints", learner.restore, say) or {}
        self.step: int = numbers.get("step", 0)
        self.seconds: float = numbers.get("seconds", 0.0)
        self.means = Means(numbers.get("means"))
        self.monitor = Monitor(self.config.training.health, numbers.get("health"))
        self.sampled_step: int = numbers.get("sampled_step", -1)
        self.score: float | None = numbers.get("score")
        self.lines: int = numbers.get("lines", 0)
        self.saved_step = self.step if numbers else -1
        if numbers:
            say(f"resumed at step {self.step}, after {self.seconds / 60:.1f} minutes of training")
            prune(out / "checkpoints", self.config.training)  # a kill right after a save leaves one too many

    def facts(self) -> dict[str, Any]:
        """What ``run.json`` says of the data."""
        facts: dict[str, Any] = {
            "data": self.dataset.store.identity,
            "clips": len(self.dataset),
            "classes": self.dataset.classes,
            "class_weights": self.weights,
        }
        if self.probe is not None:
            facts |= {"floor": self.probe.floor, "real_accuracy_by_class": self.probe.real_accuracy_by_class}
        return facts

    def go(self, overrides: list[dict[str, Any]]) -> Path:
        """Train to the end, the budget or a signal; write samples, checkpoints, the log and the model.

        Args:
            overrides: the run's, for the log.
        """
        t = self.config.training
        if self.step == 0:
            write_real_samples(self.dataset, self.config, self.out / "samples")
        self.board = TensorBoard(self.out / "tensorboard", self.step) if t.tensorboard else None
        self.journal = Journal(self.out / "log.jsonl", self.lines)
        try:
            for entry in overrides:
                if entry["step"] == self.step:
                    self._note_override(entry)
            with (
                stop_signals() as stop,
                Prefetcher(self.dataset, t.batch_size, t.d_steps, self.step) as batches,
                ProgressDisplay(self.step, t.steps, self.seconds, self.minutes, self.say) as self.display,
            ):
                mark = time.perf_counter()
                while self.step < t.steps and not self._over_budget() and not stop:
                    self._train_one_step(batches)
                    now = time.perf_counter()
                    self.seconds, mark = self.seconds + now - mark, now
                    line = self._log() if self.step % t.log_every == 0 else None
                    self.display.show(self.step, self.seconds, line)
                    ends = self.step == t.steps or self._over_budget()
                    if self.step % t.sample_every == 0 or ends:
                        self._sample()  # before the checkpoint, which then holds that it was done
                    if self.step % t.checkpoint_every == 0 or ends or stop:
                        self._save()
            if stop:
                self._save()
                raise Interrupted(stop[0])
            if self.sampled_step != self.step:
                self._sample()
                self._save(again=True)
        finally:
            self.journal.close()
            if self.board is not None:
                self.board.close()
        return self._finish()

    def _train_one_step(self, batches: Prefetcher) -> None:
        t, learner, seconds = self.config.training, self.learner, {"data": 0.0, "d": 0.0, "g": 0.0}
        self.rates = learner.set_learning_rates(self.step)
        self.network = None
        found: dict[str, float] = {}
        for substep in range(t.d_steps):
            tick = time.perf_counter()
            clips, labels = next(batches)
            real, y = from_uint8(clips, learner.device), self._labels(labels)
            fake_y = self._labels(self.dataset.fake_labels(self.step, substep, t.batch_size))
            tock = time.perf_counter()
            found |= self.means.add(learner.discriminator_step(real, y, fake_y, self.step * t.d_steps + substep))
            seconds["data"] += tock - tick
            seconds["d"] += time.perf_counter() - tock  # `add` has waited for the device
            self._require_finite(found)
        tick = time.perf_counter()
        fake_y = self._labels(self.dataset.fake_labels(self.step, t.d_steps, t.batch_size))
        scalars, fake = learner.generator_step(fake_y, t.batch_size, self.step)
        found |= self.means.add(scalars)
        seconds["g"] = time.perf_counter() - tick
        self.means.add({f"seconds/{part}": value for part, value in seconds.items()})
        if self.config.network.frames > 1:
            names = self.dataset.classes
            self.means.add_by_class("motion_real", motion(real), y, names)
            self.means.add_by_class("motion_fake", motion(fake), fake_y, names)
            self.means.add_by_class("first_frame", first_frame_jump(fake), None, names)
            self.means.add_by_class("first_frame_real", first_frame_jump(real), None, names)
        self._require_finite(found)
        self.step += 1
        norms = {name.removeprefix("grad_"): norm for name, norm in found.items() if name.startswith("grad_")}
        self._report(self.monitor.gradients(self.step, norms))

    def _labels(self, labels: np.ndarray) -> torch.Tensor | None:
        return torch.from_numpy(labels).to(self.learner.device) if self.dataset.classes else None

    def _log(self) -> dict[str, Any]:
        means = self.means.take()
        parts = {name.split("/")[1]: means.pop(name) for name in list(means) if name.startswith("seconds/")}
        line: dict[str, Any] = {"step": self.step, "hours": self.seconds / 3600}
        line |= {"lr_g": self.rates[0], "lr_d": self.rates[1]}
        real = {n.partition("/")[2]: means.pop(n) for n in list(means) if n.startswith("motion_real")}
        fake = {n.partition("/")[2]: means.pop(n) for n in list(means) if n.startswith("motion_fake")}
        line |= means
        if real:
            ratio = {name: fake[name] / max(real[name], 1e-4) for name in fake if name in real}
            line["motion_ratio"] = ratio.pop("")
            line["motion_ratio_by_class"] = ratio
        line["seconds"] = parts
        self._write(line)
        self._report(self.monitor.logged(self.step, line, self.config.training.log_every))
        return line

    def _sample(self) -> None:
        """Write a sheet and clips, and check what is on them and more."""
        self.network = finished_generator(self.learner, self.weights)
        sheet = write_samples(self.network, self.learner, self.dataset.classes, self.out / "samples", self.step)
        if self.board is not None:
            self.board.sheet(sheet, self.step)
        self.sampled_step, self.score = self.step, None
        if self.probe is None:
            return
        clips, labels = probe_clips(self.network, self.learner, self.weights)
        check = self.probe.check(clips, labels)
        self.score = check.score
        self._write({"step": self.step, "check": asdict(check) | {"score": check.score}})
        self._report(self.monitor.checked(self.step, asdict(check), set(self.probe.usable_classes)))

    def _write(self, line: dict[str, Any]) -> None:
        self.journal.write(line)
        if self.board is not None:
            self.board.write(line)

    def _report(self, events: list[Event]) -> None:
        for event in events:
            self._write(event.line())
            self.display.note(str(event))

    def _note_override(self, entry: dict[str, Any]) -> None:
        changes = "; ".join(f"{name} {old} -> {new}" for name, (old, new) in entry["changes"].items())
        event = {"event": "override", "about": None, "state": "note", "message": changes, "advice": ""}
        self._write({"step": self.step, **event})

    def _require_finite(self, found: dict[str, float]) -> None:
        """Stop before anything of this step is saved.

        Raises:
            TrainingError: a value is not finite.
        """
        broken = [name for name, value in found.items() if not np.isfinite(value)]
        if broken:
            event = self.monitor.not_finite(self.step, broken)
            self._write(event.line())
            last = list_checkpoints(self.out / "checkpoints")
            kept = f"the last checkpoint is {last[-1].name}" if last else "there is no checkpoint yet"
            raise TrainingError(f"step {self.step}: {event.message}; {kept}; {event.advice}")

    def _over_budget(self) -> bool:
        return self.minutes is not None and self.seconds >= 60 * self.minutes

    def _save(self, again: bool = False) -> None:
        if self.saved_step == self.step and not again:
            return
        numbers = {
            "step": self.step,
            "seconds": self.seconds,
            "means": self.means.sums,
            "health": self.monitor.state(),
            "lines": self.journal.lines,
            "sampled_step": self.sampled_step,
            "score": self.score if self.sampled_step == self.step else None,
            **self.learner.numbers(),
        }
        folder = self.out / "checkpoints"
        save_and_prune(folder, self.step, self.learner.tensors(), numbers, self.config.training, self.display.note)
        self.saved_step = self.step

    def _finish(self) -> Path:
        network = self.network or finished_generator(self.learner, self.weights)
        facts = {
            "Trained on": f"{self.config.data.source}, {len(self.dataset)} clips",
            "Steps": f"{self.step} generator steps of {self.config.training.batch_size} clips",
            "Time": f"{self.seconds / 60:.0f} minutes on {_machine(self.learner.device)}",
            "Scores": "not measured",
        }
        write_model(network, self.learner, self.dataset.classes, self.weights, self.out / "model", facts)
        self.say(
            f"{self.step} steps, {self.seconds / 60:.1f} minutes of training; the model is in {self.out / 'model'}"
        )
        return self.out / "model"


def _machine(device: torch.device) -> str:
    return (
        f"{torch.get_num_threads()} threads of a {platform.machine()} processor"
        if device.type == "cpu"
        else str(device)
    )
