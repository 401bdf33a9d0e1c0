"""Train a classifier, or go on with one that was interrupted, by the same arguments; then tell how often it is right.

Beside the classifier, a network of the same kind learns from the same clips' single frames, one drawn at random from
each, in the same steps: what it reaches is what looks alone tell of a class. The classifier itself sees single frames
only as clips that stand still, which it never learned from, and which it may take for anything.

No labels are smoothed: that would bound the probabilities, and with them the Inception Score.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from torch import Tensor

from dvdgan.config import DataConfig, TrainingConfig
from dvdgan.data.prefetch import Prefetcher
from dvdgan.devices import pick_device
from dvdgan.evaluation.classifier.classifier import ABOUT, WEIGHTS, Classifier
from dvdgan.evaluation.classifier.network import ClassifierNetwork, default_widths
from dvdgan.evaluation.classifier.report import in_lines, measure, versions
from dvdgan.evaluation.classifier.settings import in_short, resuming
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.parts import Parts, open_parts
from dvdgan.evaluation.settings import ClassifierSettings
from dvdgan.networks import use_channels_last
from dvdgan.randomness import torch_generator
from dvdgan.sampling import autocast, from_uint8
from dvdgan.training.augment import diff_augment
from dvdgan.training.checkpoint import gather, is_disk_full, restore_newest, save_and_prune, scatter
from dvdgan.training.draws import Draws
from dvdgan.training.journal import Journal, Means
from dvdgan.training.memory import keep_freed_memory
from dvdgan.training.run_directory import RunDirectory
from dvdgan.training.signals import Interrupted, stop_signals
from dvdgan.training.steps import decay_factor

TRAINING = "training"
"""What resuming needs lies in this folder of the classifier's directory; it may be deleted once the classifier is
done."""

_ROUNDS = 4  # of the choice of a precision
_TIMED_CLIPS = 8
_KEPT = TrainingConfig(keep_checkpoints=2)


def train_classifier(
    data: DataConfig,
    out: Path | str,
    settings: ClassifierSettings | None = None,
    minutes: float | None = None,
    device: str | None = None,
    precision: str = "auto",
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> Classifier:
    """Train a classifier on clips, or go on, until the steps or the minutes end; then measure and save it.

    Args:
        data: the clips, as for a training of the model: its flips, crops, stride and sampling count; both parts of the
            split are used (see `open_parts`).
        out: the classifier's directory; made if missing.
        settings: see there; an interrupted training goes on under the same ones only.
        minutes: stop once it has trained for this long, all its parts together; None trains all the steps. Where the
            minutes end first, the learning rate has not fallen yet, which ``classifier.json`` says (``finished``).
        device: such as ``cpu``; None takes the accelerator where there is one.
        precision: ``fp32``, ``bf16``, or ``auto``, which takes the quicker one.
        progress: show a progress bar on stderr.
        say: where lines for the user go.

    Returns:
        The classifier. ``about`` has what was measured; ``out/training/log.jsonl`` tells how it went.

    Raises:
        EvaluationError: `out` is something else, or a classifier of other settings or clips; the clips have no two
        classes.
        DataError: the clips cannot be used.
        CheckpointError: no checkpoint can be used.
        TrainingError: another training is at work in `out`.
        Interrupted: a SIGINT, SIGTERM or SIGHUP came; everything is saved.
        DeviceError: there is no such device.
    """
    settings = settings or ClassifierSettings()
    if not settings.widths:
        settings = settings.model_copy(update={"widths": default_widths(settings.size)})
    out, where = Path(out), pick_device(device)
    if data.source is None:
        raise EvaluationError("there is no data: set --data to phenomena, a folder of clips or a packed store")
    if precision not in ("auto", "fp32", "bf16"):
        raise EvaluationError(f"precision is auto, fp32 or bf16, not {precision!r}")
    known = (ABOUT, WEIGHTS, TRAINING)
    if out.exists() and not (out.is_dir() and all(p.name in known or p.name[0] == "." for p in out.iterdir())):
        raise EvaluationError(f"{out}: exists and is no classifier's directory; choose another place")
    torch.set_flush_denormal(True)
    keep_freed_memory()
    folder = out / TRAINING
    try:
        with RunDirectory(folder).locked():
            going_on = resuming(folder, settings, data)
            parts = open_parts(
                data,
                settings.size,
                settings.frames,
                folder,
                settings.held_out_fraction,
                settings.held_out_clips,
                settings.seed,
                progress,
                keep=going_on,  # a resumed training goes on with the clips that it started with
                say=say,
            )
            with closing(parts):
                run = _Run(parts, data, settings, folder, where, precision, minutes, say)
                run.go(progress)
                return run.finish(out, progress)
    except Exception as error:
        if not is_disk_full(error):
            raise
        raise EvaluationError(f"{out}: the disk is full; make room and give the same command again") from error


class _Run:
    """A training under way."""

    def __init__(
        self,
        parts: Parts,
        data: DataConfig,
        settings: ClassifierSettings,
        folder: Path,
        device: torch.device,
        precision: str,
        minutes: float | None,
        say: Callable[[str], None],
    ) -> None:
        self.parts, self.data, self.settings, self.folder = parts, data, settings, folder
        self.device, self.minutes, self.say = device, minutes, say
        self.classes = parts.train.classes
        self.networks = {"clips": self._network("clips")}
        if settings.frames > 1:
            self.networks["frames"] = self._network("frames")
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            f"adam_{name}": torch.optim.AdamW(_groups(network, settings.weight_decay), settings.learning_rate)
            for name, network in self.networks.items()
        }
        self.identity = [parts.train.store.identity, parts.held_out.key]
        numbers = restore_newest(folder / "checkpoints", self._restore, say) or {}
        if numbers and numbers["clips"] != self.identity:
            raise EvaluationError(f"{folder.parent}: its training began on other clips; choose another --out")
        self.step: int = numbers.get("step", 0)
        self.seconds: float = numbers.get("seconds", 0.0)
        self.means = Means(numbers.get("means"))
        self.lines: int = numbers.get("lines", 0)
        self.saved_step = self.step if numbers else -1
        self.precision = numbers.get("precision") or (self._quicker() if precision == "auto" else precision)
        if numbers:
            say(f"resumed at step {self.step}, after {self.seconds / 60:.1f} minutes of training")

    def go(self, progress: bool) -> None:
        """Train until the steps, the minutes or a signal end it."""
        s, out_of = self.settings, self.settings.steps
        self.say(f"{self.parts.train.summary()}; {len(self.parts.held_out)} clips held out: {self.parts.how}")
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[status]}"))
        self.journal = Journal(self.folder / "log.jsonl", self.lines, self.say)
        with (
            closing(self.journal),
            stop_signals() as stop,
            Prefetcher(self.parts.train, s.batch_size, 1, self.step) as batches,
            Progress(*columns, console=Console(stderr=True), disable=not progress) as bar,
        ):
            task = bar.add_task("training a classifier", total=out_of, completed=self.step, status="")
            mark = time.perf_counter()
            while self.step < out_of and not self._over_budget() and not stop:
                self._train_one_step(*next(batches))
                now = time.perf_counter()
                self.seconds, mark = self.seconds + now - mark, now
                status = f"step {self.step} of {out_of}, {self.seconds / 60:.1f} min"
                if self.step % _log_every(s) == 0:
                    line = {"step": self.step, "hours": self.seconds / 3600, "lr": self._rate(), **self.means.take()}
                    self.journal.write(line)
                    status += f", accuracy {line['accuracy_clips']:.0%}"
                bar.update(task, completed=self.step, status=status)
                if self.step % (10 * _log_every(s)) == 0 or stop:
                    self._save()
            self._save()
            if stop:
                raise Interrupted(stop[0])

    def finish(self, out: Path, progress: bool) -> Classifier:
        """Measure what the networks are now, and save the classifier."""
        s = self.settings
        classifier = Classifier(self.networks["clips"], self.classes, s.size, s.frames, s.widths)
        by_looks = None
        if "frames" in self.networks:
            by_looks = Classifier(self.networks["frames"], self.classes, s.size, 1, s.widths)
        accuracy = measure(classifier, by_looks, self.parts.held_out, progress)
        about = {
            "data": {
                **in_short(self.data),
                "training_clips": len(self.parts.train),
                "held_out_clips": len(self.parts.held_out),
                "held_out": self.parts.how,
                "identity": self.identity,
            },
            "training": {
                **s.model_dump(exclude={"size", "frames", "widths"}),
                "steps_done": self.step,
                "finished": self.step == s.steps,
                "minutes": round(self.seconds / 60, 2),
                "device": self.device.type,
                "precision": self.precision,
            },
            "accuracy": accuracy,
            "versions": versions(),
        }
        classifier.save(out, about)
        for line in in_lines(classifier.about):
            self.say(line)
        return classifier

    def _network(self, name: str) -> ClassifierNetwork:
        s = self.settings
        network = ClassifierNetwork(
            len(self.classes), s.widths, torch_generator(s.seed, f"classifier: initial weights, {name}")
        )
        use_channels_last(network.to(self.device))
        return network

    def _train_one_step(self, clips: np.ndarray, labels: np.ndarray) -> None:
        s = self.settings
        draws = Draws(s.seed, self.step * s.batch_size, s.batch_size, "classifier")
        y = torch.from_numpy(labels).to(self.device)
        x = from_uint8(clips, self.device)
        seen = {"clips": diff_augment(x, ("color", "translation"), draws.augmentation("clips"))}
        if "frames" in self.networks:
            times = torch.from_numpy((draws.uniform("frame", 1)[:, 0] * s.frames).astype(np.int64))
            frames = x[torch.arange(len(x)), times.to(self.device)][:, None]
            seen["frames"] = diff_augment(frames, ("color", "translation"), draws.augmentation("frames"))
        found: dict[str, float | Tensor] = {}
        for name, network in self.networks.items():
            optimiser = self.optimisers[f"adam_{name}"]
            for group in optimiser.param_groups:
                group["lr"] = self._rate()
            with autocast(self.device, self.precision):
                scores = network(seen[name]).float()
            loss = F.cross_entropy(scores, y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            found[f"loss_{name}"] = loss.detach()
            found[f"accuracy_{name}"] = (scores.argmax(1) == y).float().mean()
        broken = [name for name, value in self.means.add(found).items() if not np.isfinite(value)]
        if broken:
            raise EvaluationError(f"step {self.step}: {', '.join(broken)} is not finite; lower the learning rate")
        self.step += 1

    def _rate(self) -> float:
        """The learning rate of this step: a rise over the first twentieth of the steps, then a cosine to 0."""
        s = self.settings
        rise = min(1.0, (self.step + 1) / max(1, s.steps // 20))
        return s.learning_rate * rise * decay_factor(self.step, s.steps, 0, "cosine")

    def _quicker(self) -> str:
        """Whether bf16 autocast or fp32 is quicker here, forward and backward, each tried in turns."""
        s, network = self.settings, self._network("clips")
        clips = torch.zeros(min(_TIMED_CLIPS, s.batch_size), s.frames, 3, s.size, s.size, device=self.device)

        def seconds(precision: str) -> float:
            start = time.perf_counter()
            with autocast(self.device, precision):
                network(clips).sum().backward()
            if self.device.type != "cpu":
                torch.accelerator.synchronize(self.device)
            return time.perf_counter() - start

        rounds = [[seconds("fp32"), seconds("bf16")] for _ in range(_ROUNDS)][1:]  # the first one warms up
        fp32, bf16 = (min(times) for times in zip(*rounds))
        return "bf16" if bf16 < fp32 else "fp32"

    def _over_budget(self) -> bool:
        return self.minutes is not None and self.seconds >= 60 * self.minutes

    def _restore(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        scatter(tensors, {**self.networks}, self.optimisers, {})

    def _save(self) -> None:
        if self.saved_step == self.step:
            return
        numbers = {
            "step": self.step,
            "seconds": self.seconds,
            "means": self.means.sums,
            "lines": self.journal.lines,
            "clips": self.identity,
            "precision": self.precision,
        }
        self.journal.sync()
        tensors = gather({**self.networks}, self.optimisers, {})
        save_and_prune(self.folder / "checkpoints", self.step, tensors, numbers, _KEPT, self.say)
        self.saved_step = self.step


def _groups(network: ClassifierNetwork, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters with and without weight decay: weights of convolutions and of the last layer, and all others."""
    weights = [parameter for parameter in network.parameters() if parameter.dim() > 1]
    others = [parameter for parameter in network.parameters() if parameter.dim() <= 1]
    return [{"params": weights, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _log_every(settings: ClassifierSettings) -> int:
    """Steps between lines of the log; ten times as many between checkpoints."""
    return max(1, min(20, settings.steps // 20))
