"""The training loop: start it, interrupt it, start it again with the same arguments, and it goes on."""

from __future__ import annotations

import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from dvdgan.sampling import from_uint8
from dvdgan.training import precision
from dvdgan.training.checkpoint import CheckpointError, list_checkpoints, load_checkpoint, save_checkpoint
from dvdgan.training.journal import Journal, Means
from dvdgan.training.memory import keep_freed_memory
from dvdgan.training.motion import first_frame_jump, motion
from dvdgan.training.progress import ProgressDisplay
from dvdgan.training.run_directory import RunDirectory, TrainingError
from dvdgan.training.samples import class_weights, finished_generator, write_model, write_real_samples, write_samples
from dvdgan.training.steps import Learner


class Interrupted(Exception):
    """A run that was told to stop, and has saved; ``signal`` is the number of the signal."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signal = signum


def _print(text: str) -> None:
    print(text, flush=True)


def train(
    config: Config,
    out: Path | str,
    minutes: float | None = None,
    device: str | None = None,
    say: Callable[[str], None] = _print,
) -> Path:
    """Train, or go on training, a run.

    Args:
        config: the configuration; ``config.data.source`` must be set.
        out: the run's directory; made if missing.
        minutes: stop once the run has trained for this long, all its parts together; None trains all the steps.
        device: such as ``cpu`` or ``cuda:1``; None takes the accelerator where there is one.
        say: where lines for the user go.

    Returns:
        The model directory, ``out/model``.

    Raises:
        TrainingError: the run's directory belongs to another configuration, or a loss is no longer finite.
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
    with directory.locked():
        return _train_in(directory, config, where, minutes, say)


def _train_in(
    directory: RunDirectory, config: Config, where: torch.device, minutes: float | None, say: Callable[[str], None]
) -> Path:
    out, resuming = directory.path, directory.started
    check_model_place(out / "model")
    if resuming:
        directory.check(config)
    dataset = open_dataset(
        config.data,
        config.network.size,
        config.network.frames,
        out / "data",
        seed=config.training.seed,
        keep=resuming,  # a resumed run goes on with the clips that it started with
    )
    config = updated(config, network={"classes": len(dataset.classes)})
    if resuming:
        decided = directory.decided(dataset.store.identity)
        directory.write_config(config)
    else:
        decided = {**precision.choose(config, where), "threads": torch.get_num_threads()}
        directory.start(config, decided | {"data": dataset.store.identity, "torch": torch.__version__})
    say(f"{where}: {decided['precision']}, {decided['memory_format']}, {decided['threads']} threads")
    torch.set_num_threads(decided["threads"])
    learner = Learner(config, where, decided["precision"], decided["memory_format"])
    return Run(learner, dataset, out, minutes, say).go()


class Run:
    """A training under way. See `train`."""

    def __init__(
        self, learner: Learner, dataset: ClipDataset, out: Path, minutes: float | None, say: Callable[[str], None]
    ) -> None:
        self.learner, self.dataset, self.out, self.minutes, self.say = learner, dataset, out, minutes, say
        self.config = learner.config
        self.weights = class_weights(dataset, self.config.data.sampling)
        self.step, self.seconds, self.means = 0, 0.0, Means()
        self.rates = (0.0, 0.0)  # learning rates of G and D
        self.saved_step = -1
        self._restore()

    def go(self) -> Path:
        """Train to the end, the budget or a signal; write samples, checkpoints, the log and the model."""
        t = self.config.training
        if self.step == 0:
            write_real_samples(self.dataset, self.config, self.out / "samples")
        journal = Journal(self.out / "log.jsonl", self.step)
        try:
            with (
                _signals() as stop,
                Prefetcher(self.dataset, t.batch_size, t.d_steps, self.step) as batches,
                ProgressDisplay(self.step, t.steps, self.seconds, self.minutes, self.say) as display,
            ):
                mark = time.perf_counter()
                while self.step < t.steps and not self._over_budget() and not stop:
                    self._train_one_step(batches)
                    self.step += 1
                    now = time.perf_counter()
                    self.seconds, mark = self.seconds + now - mark, now
                    if self.step % t.log_every == 0:
                        line = self._log(journal)
                        display.show(self.step, self.seconds, line)
                    else:
                        display.show(self.step, self.seconds, None)
                    ends = self.step == t.steps or self._over_budget()
                    if self.step % t.checkpoint_every == 0 or ends or stop:
                        self._save()
                    if self.step % t.sample_every == 0 and not ends and not stop:
                        self._sample()
        finally:
            journal.close()
        if stop:
            self._save()
            raise Interrupted(stop[0])
        return self._finish()

    def _train_one_step(self, batches: Prefetcher) -> None:
        t, learner, seconds = self.config.training, self.learner, {"data": 0.0, "d": 0.0, "g": 0.0}
        self.rates = learner.set_learning_rates(self.step)
        for substep in range(t.d_steps):
            tick = time.perf_counter()
            clips, labels = next(batches)
            real, y = from_uint8(clips, learner.device), self._labels(labels)
            fake_y = self._labels(self.dataset.fake_labels(self.step, substep, t.batch_size))
            tock = time.perf_counter()
            self.means.add(learner.discriminator_step(real, y, fake_y, self.step * t.d_steps + substep))
            seconds["data"] += tock - tick
            seconds["d"] += time.perf_counter() - tock  # `add` has waited for the device
        tick = time.perf_counter()
        fake_y = self._labels(self.dataset.fake_labels(self.step, t.d_steps, t.batch_size))
        scalars, fake = learner.generator_step(fake_y, t.batch_size, self.step)
        self.means.add(scalars)
        seconds["g"] = time.perf_counter() - tick
        self.means.add({f"seconds/{part}": value for part, value in seconds.items()})
        if self.config.network.frames > 1:
            names = self.dataset.classes
            self.means.add_by_class("motion_real", motion(real), y, names)
            self.means.add_by_class("motion_fake", motion(fake), fake_y, names)
            self.means.add_by_class("first_frame", first_frame_jump(fake), None, names)

    def _labels(self, labels: np.ndarray) -> torch.Tensor | None:
        return torch.from_numpy(labels).to(self.learner.device) if self.dataset.classes else None

    def _log(self, journal: Journal) -> dict[str, Any]:
        means = self.means.take()
        parts = {name.split("/")[1]: means.pop(name) for name in list(means) if name.startswith("seconds/")}
        line: dict[str, Any] = {"step": self.step, "hours": self.seconds / 3600}
        line |= {"lr_g": self.rates[0], "lr_d": self.rates[1]}
        real = {n.partition("/")[2]: means.pop(n) for n in list(means) if n.startswith("motion_real")}
        fake = {n.partition("/")[2]: means.pop(n) for n in list(means) if n.startswith("motion_fake")}
        line |= means | self.learner.gradient_norms()
        if real:
            ratio = {name: fake[name] / max(real[name], 1e-4) for name in fake if name in real}
            line["motion_ratio"] = ratio.pop("")
            line["motion_ratio_by_class"] = ratio
        line["seconds"] = parts
        self._require_finite({name: value for name, value in line.items() if isinstance(value, float)})
        journal.write(line)
        return line

    def _require_finite(self, values: dict[str, float]) -> None:
        broken = [name for name, value in values.items() if not np.isfinite(value)]
        if broken:
            last = list_checkpoints(self.out / "checkpoints")
            kept = f"the last checkpoint is {last[-1].name}" if last else "there is no checkpoint yet"
            raise TrainingError(
                f"step {self.step}: {', '.join(broken)} not finite; {kept}. Lower training.lr_d and training.lr_g, "
                "or set training.precision=fp32, in a new run"
            )

    def _over_budget(self) -> bool:
        return self.minutes is not None and self.seconds >= 60 * self.minutes

    def _save(self) -> None:
        if self.saved_step == self.step:
            return
        self._require_finite({name: total for name, (total, _) in self.means.sums.items()})
        numbers = {"step": self.step, "seconds": self.seconds, "means": self.means.sums, **self.learner.numbers()}
        keep = self.config.training.keep_checkpoints
        save_checkpoint(self.out / "checkpoints", self.step, self.learner.tensors(), numbers, keep)
        self.saved_step = self.step

    def _restore(self) -> None:
        checkpoints = list_checkpoints(self.out / "checkpoints")
        for path in reversed(checkpoints):
            try:
                tensors, numbers = load_checkpoint(path)
            except CheckpointError as error:
                self.say(f"warning: {error}")
                continue
            self.learner.restore(tensors, numbers)
            self.step, self.seconds, self.means = numbers["step"], numbers["seconds"], Means(numbers["means"])
            self.saved_step = self.step
            self.say(f"resumed at step {self.step}, after {self.seconds / 60:.1f} minutes of training")
            return
        if checkpoints:
            raise TrainingError(f"{self.out / 'checkpoints'}: every checkpoint is damaged; delete them to start anew")

    def _sample(self) -> None:
        network = finished_generator(self.learner, self.weights)
        write_samples(network, self.learner, self.dataset.classes, self.out / "samples", self.step)

    def _finish(self) -> Path:
        network = finished_generator(self.learner, self.weights)
        write_samples(network, self.learner, self.dataset.classes, self.out / "samples", self.step)
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


@contextmanager
def _signals() -> Iterator[list[int]]:
    """A list that receives the number of a SIGINT or SIGTERM; a second one kills as usual.

    Outside the main thread, where Python allows no handlers, the list stays empty.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def note(signum: int, frame: Any) -> None:
        received.append(signum)
        signal.signal(signum, before[signum])

    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, note)
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _machine(device: torch.device) -> str:
    return (
        f"{torch.get_num_threads()} threads of a {platform.machine()} processor"
        if device.type == "cpu"
        else str(device)
    )
