"""The training loop: steps, samples, checkpoints, the log, until the end, the budget or a signal."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dvdgan.data.dataset import ClipDataset
from dvdgan.data.prefetch import Prefetcher
from dvdgan.networks import Generator
from dvdgan.sampling import from_uint8
from dvdgan.training.checkpoint import list_checkpoints, prune, restore_newest, save_and_prune
from dvdgan.training.evaluating import Evaluator
from dvdgan.training.health import Event, Monitor, in_lines
from dvdgan.training.journal import Journal, Means
from dvdgan.training.motion import first_frame_jump, motion, sums_by_class
from dvdgan.training.probe import Probe
from dvdgan.training.progress import ProgressDisplay
from dvdgan.training.run_directory import TrainingFailed, in_words
from dvdgan.training.samples import (
    finished_generator,
    probe_clips,
    remove_samples_after,
    training_facts,
    write_model,
    write_real_samples,
    write_samples,
)
from dvdgan.training.signals import Interrupted, stop_signals
from dvdgan.training.steps import Learner
from dvdgan.training.tensorboard import TensorBoard
from dvdgan.training.waiting import Waiting


class Run:
    """A training under way. See `train`."""

    def __init__(
        self,
        learner: Learner,
        dataset: ClipDataset,
        probe: Probe | None,
        evaluator: Evaluator | None,
        out: Path,
        minutes: float | None,
        say: Callable[[str], None],
        started_from: dict[str, Any] | None = None,
    ) -> None:
        self.started_from = started_from  # from `transfer`
        self.learner, self.dataset, self.probe, self.evaluator, self.out = learner, dataset, probe, evaluator, out
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
        self.noted_overrides: int = numbers.get("noted_overrides", 0)
        self.saved_step = self.step if numbers else -1
        self.waiting = Waiting(dataset.store.workers > 0, dataset.store.workers)
        if numbers:
            say(f"resumed at step {self.step}, after {self.seconds / 60:.1f} minutes of training")
            prune(out / "checkpoints", self.config.training)  # a kill right after a save leaves one too many
            remove_samples_after(out / "samples", self.step)

    def facts(self) -> dict[str, Any]:
        """What ``run.json`` says of the data and of what samples are compared with."""
        facts: dict[str, Any] = {
            "data": self.dataset.store.identity,
            "clips": len(self.dataset),
            "classes": self.dataset.classes,
            "class_weights": self.weights,
        }
        if self.probe is not None:
            facts |= {"floor": self.probe.floor, "real_accuracy_by_class": self.probe.real_accuracy_by_class}
        if self.evaluator is not None and self.evaluator.facts:
            facts["evaluation"] = self.evaluator.facts
        return facts

    def go(self, overrides: list[dict[str, Any]], new_clips: bool) -> Path:
        """Train to the end, the budget or a signal; write samples, checkpoints, the log and the model.

        Args:
            overrides: all of the run's; the log gets those that it lacks.
            new_clips: whether the sheet of real clips is out of date.
        """
        t = self.config.training
        if self.step == 0 or new_clips:
            write_real_samples(self.dataset, self.config, self.out / "samples")
        self.board = TensorBoard(self.out / "tensorboard", self.step) if t.tensorboard else None
        self.journal = Journal(self.out / "log.jsonl", self.lines, self.say)
        try:
            for entry in overrides[self.noted_overrides :]:
                changes = in_words(entry["changes"])
                event = {"event": "override", "about": None, "state": "note", "message": changes, "advice": ""}
                self._write({"step": self.step, **event})
            self.noted_overrides = len(overrides)
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
        only_discriminators = self.step < t.discriminators_first
        for substep in range(t.d_steps):
            tick = time.perf_counter()
            clips, labels = next(batches)
            real, y = from_uint8(clips, learner.device), self._labels(labels)
            shared = t.reuse_fakes and substep == t.d_steps - 1
            fake_y = self._labels(self.dataset.fake_labels(self.step, substep + shared, t.batch_size))
            if t.loss == "relativistic":
                fake_y = y  # each generated clip is compared with a real one of its class
            tock = time.perf_counter()
            with torch.set_grad_enabled(not only_discriminators):
                made = learner.make_fakes(fake_y, t.batch_size, self.step) if shared else None
            scalars = self.means.add(learner.discriminator_step(real, y, fake_y, self.step * t.d_steps + substep, made))
            found |= {name: max(value, found.get(name, value)) for name, value in scalars.items()}
            seconds["data"] += tock - tick
            seconds["d"] += time.perf_counter() - tock  # `add` has waited for the device
            self._require_finite(scalars)
        tick = time.perf_counter()
        fake_y = self._labels(self.dataset.fake_labels(self.step, t.d_steps, t.batch_size))
        if t.loss == "relativistic":
            fake_y = y
        if only_discriminators:
            with torch.no_grad():
                fake = (learner.make_fakes(fake_y, t.batch_size, self.step) if made is None else made).float()
        else:
            g_scalars, fake = learner.generator_step(fake_y, t.batch_size, self.step, made)
            found |= self.means.add(g_scalars)
        seconds["g"] = time.perf_counter() - tick
        self.means.add({f"seconds/{part}": value for part, value in seconds.items()})
        if notice := self.waiting.step(seconds["data"], sum(seconds.values())):
            self.display.note(notice)
        if self.config.network.frames > 1:
            names = self.dataset.classes
            moved_real, moved_fake = motion(real), motion(fake)
            self.means.add_by_class("motion_real", moved_real, y, names)
            self.means.add_by_class("motion_fake", moved_fake, fake_y, names)
            self.monitor.moved(sums_by_class(moved_real, y, names), sums_by_class(moved_fake, fake_y, names))
            if self.config.network.frames > 2:
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
        """Write a sheet and clips; make other clips, and check and evaluate them."""
        self.network = finished_generator(self.learner, self.weights)
        sheet = write_samples(self.network, self.learner, self.dataset.classes, self.out / "samples", self.step)
        if self.board is not None:
            self.board.sheet(sheet, self.step)
        self.sampled_step, self.score = self.step, None
        if self.probe is None:
            return
        clips, labels = probe_clips(self.network, self.learner, self.weights)
        check = self.probe.check(clips, labels)
        found = {} if self.evaluator is None else self.evaluator(clips, labels)
        judged = self.evaluator is not None and self.evaluator.judged
        score = check.score
        self.score = found["distance"] if judged else score
        best_by = "evaluation.distance" if judged else "check.score"
        self._write({"step": self.step, "check": asdict(check) | {"score": score}, "best_by": best_by})
        if found:
            self._write({"step": self.step, "evaluation": found})
        self._report(self.monitor.checked(self.step, asdict(check), set(self.probe.usable_classes)))

    def _write(self, line: dict[str, Any]) -> None:
        self.journal.write(line)
        if self.board is not None:
            self.board.write(line)

    def _report(self, events: list[Event]) -> None:
        for event in events:
            self._write(event.line())
        for text in in_lines(events):
            self.display.note(text)

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
            raise TrainingFailed(f"step {self.step}: {event.message}; {kept}; {event.advice}")

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
            "noted_overrides": self.noted_overrides,
            "sampled_step": self.sampled_step,
            "score": self.score if self.sampled_step == self.step else None,
            **self.learner.numbers(),
        }
        self.journal.sync()
        if self.board is not None:
            self.board.flush()
        folder = self.out / "checkpoints"
        save_and_prune(folder, self.step, self.learner.tensors(), numbers, self.config.training, self.display.note)
        self.saved_step = self.step

    def _finish(self) -> Path:
        network = self.network or finished_generator(self.learner, self.weights)
        facts = training_facts(self.config, len(self.dataset), self.step, self.seconds, self.started_from)
        facts["Time"] += f" on {_machine(self.learner.device)}"
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
