"""Train a classifier, or go on with one that was interrupted, by the same arguments; then tell how often it is right.

Beside the classifier, a network of the same kind learns from the same clips' single frames, one drawn at random from
each, in the same steps: what it reaches is what looks alone tell of a class. The classifier itself sees single frames
only as clips that stand still, which it never learned from, and which it may take for anything.

No labels are smoothed: that would bound the probabilities, and with them the Inception Score.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dvdgan.atomic import atomic_path
from dvdgan.capacity import gib, machine_memory
from dvdgan.config import DataConfig
from dvdgan.config.data import PHENOMENA
from dvdgan.data.prefetch import Prefetcher
from dvdgan.devices import autocast, pick_device
from dvdgan.documents import read_json
from dvdgan.evaluation.classifier.classifier import ABOUT, WEIGHTS, Classifier, is_classifier
from dvdgan.evaluation.classifier.network import ClassifierNetwork, default_widths
from dvdgan.evaluation.classifier.report import in_lines, measure, versions
from dvdgan.evaluation.classifier.results import TrainingClips, TrainingDone
from dvdgan.evaluation.clip_set import choose
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.parts import Parts, open_parts
from dvdgan.evaluation.real_clips import middle_windows
from dvdgan.evaluation.settings import ClassifierSettings
from dvdgan.networks import use_channels_last
from dvdgan.randomness import torch_generator
from dvdgan.runs.augment import NUMBERS, diff_augment
from dvdgan.runs.checkpoint import is_disk_full, list_checkpoints
from dvdgan.runs.directory import RunDirectory, TrainingFailed
from dvdgan.runs.memory import keep_freed_memory
from dvdgan.runs.noise import SampleNoise, sample_numbers
from dvdgan.runs.precision import quickest
from dvdgan.runs.retention import Retention
from dvdgan.runs.run import Run
from dvdgan.runs.schedule import decay_factor
from dvdgan.runs.state import RunState
from dvdgan.sampling import from_uint8

TRAINING = "training"
"""What resuming needs lies in this folder of the classifier's directory; it may be deleted once the classifier is
done."""

_TIMED_CLIPS = 8  # in the choice of a precision


def train_classifier(
    data: DataConfig,
    out: Path | str,
    settings: ClassifierSettings | None = None,
    minutes: float | None = None,
    device: str | None = None,
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
        say: where lines for the user go.

    Returns:
        The classifier. ``about`` has what was measured; ``out/training/log.jsonl`` tells how it went.

    Raises:
        EvaluationError: `out` is something else, or a classifier of other settings or clips; the clips have no two
        classes.
        DataError: the clips cannot be used.
        CheckpointError: no checkpoint can be used.
        TrainingError: another training is at work in `out`.
        TrainingFailed: a loss is not finite, or the disk is full.
        Interrupted: a SIGINT, SIGTERM or SIGHUP came; everything is saved.
        DeviceError: there is no such device.
    """
    settings = settings or ClassifierSettings()
    if not settings.widths:
        settings = settings.model_copy(update={"widths": default_widths(settings.size)})
    out, where = Path(out), pick_device(device)
    if data.source is None:
        raise EvaluationError("there is no data: set --data to phenomena, a folder of clips or a packed store")
    known = (ABOUT, WEIGHTS, TRAINING)
    if os.path.lexists(out) and not (out.is_dir() and all(p.name in known or p.name[0] == "." for p in out.iterdir())):
        raise EvaluationError(f"{out}: exists and is no classifier's directory; choose another --out")
    if (out / ABOUT).exists() and not is_classifier(out):
        raise EvaluationError(f"{out / ABOUT}: is no classifier's; choose another --out")
    if (out / TRAINING).is_symlink():
        raise EvaluationError(f"{out / TRAINING}: is a link, and nothing is written elsewhere; choose another --out")
    needed = settings.batch_size * settings.frames * settings.size**2 * 12
    if needed > machine_memory():
        raise EvaluationError(
            f"batch_size: {settings.batch_size} clips of {settings.frames} frames of {settings.size} px need more than "
            f"{gib(needed)} at once, and there are {gib(machine_memory())}; set it, frames or size lower"
        )
    torch.set_flush_denormal(True)
    keep_freed_memory()
    folder = out / TRAINING
    try:
        with RunDirectory(folder).locked():
            going_on = _resuming(folder, settings, data)
            parts = open_parts(
                data,
                settings.size,
                settings.frames,
                folder,
                settings.held_out_fraction,
                settings.held_out_clips,
                settings.seed,
                keep=going_on,  # a resumed training goes on with the clips that it started with
                say=say,
            )
            with closing(parts):
                parts = _checked(parts, settings, data.source)
                state = _State(parts, settings, where)
                run = Run(folder, state, settings.steps, minutes, Retention(newest=2), say)
                if state.clips != _identity(parts):
                    raise EvaluationError(f"{out}: its training began on other clips; choose another --out")
                _train(run, state, parts, settings)
                return _finish(state, parts, data, settings, out, say)
    except Exception as error:
        if not is_disk_full(error):
            raise
        raise TrainingFailed(f"{out}: the disk is full; make room and give the same command again") from error


def _resuming(folder: Path, settings: ClassifierSettings, data: DataConfig) -> bool:
    """Whether there is a training to go on with; what it was started with lies beside its checkpoints.

    Raises:
        EvaluationError: it was started with other settings, each of which is named.
    """
    path = folder / "settings.json"
    # what decides which clips there are; not how quickly they are decoded, nor at what speed they are watched
    deciding = data.model_dump(mode="json", exclude={"workers", "decode_seconds", "decode_gib", "fps", "split"})
    now = settings.model_dump(mode="json") | {f"data.{k}": v for k, v in deciding.items()}
    if not list_checkpoints(folder / "checkpoints"):
        with atomic_path(path) as partial:
            partial.write_text(json.dumps(now, indent=1), encoding="utf-8")
        return False
    try:
        before = read_json(path)
        sources = before.get("data.source"), data.source  # as paths: one may be spelled in several ways
        same = None not in sources and PHENOMENA not in sources and len(set(map(os.path.abspath, sources))) == 1
        other = [
            f"{k} was {before.get(k)}, not {now.get(k)}"
            for k in before | now
            if before.get(k) != now.get(k) and not (same and k == "data.source")
        ]
    except (OSError, ValueError, TypeError, AttributeError):
        raise EvaluationError(f"{path}: missing or damaged beside checkpoints; choose another --out") from None
    if other:
        mend = "give the same again, or choose another --out"
        raise EvaluationError(f"{folder.parent}: its training began otherwise ({'; '.join(other[:5])}); {mend}")
    return True


def _checked(parts: Parts, settings: ClassifierSettings, source: str) -> Parts:
    """Parts with at least two classes, and no more held-out clips than wanted, classes as often as among all."""
    if len(parts.train.classes) < 2:
        found = f"only the class {parts.train.classes[0]}" if parts.train.classes else "no classes"
        raise EvaluationError(
            f"{source}: a classifier tells classes apart, and these clips have {found}; sort them first"
        )
    if len(parts.held_out) <= settings.held_out_clips:
        return parts
    return replace(parts, held_out=parts.held_out.take(choose(parts.held_out, settings.held_out_clips)))


class _State(RunState):
    """The networks, freshly initialised, and all that goes with them."""

    networks: Mapping[str, ClassifierNetwork]

    def __init__(self, parts: Parts, settings: ClassifierSettings, device: torch.device) -> None:
        self.device, self.precision, self.clips = device, "", _identity(parts)  # the precision is chosen by _train
        names = ("clips", "frames") if settings.frames > 1 else ("clips",)
        networks = {name: _network(len(parts.train.classes), settings, device, name) for name in names}
        optimisers = {
            f"adam_{name}": torch.optim.AdamW(_groups(network, settings.weight_decay), settings.learning_rate)
            for name, network in networks.items()
        }
        super().__init__(networks, optimisers)

    def numbers(self) -> dict[str, Any]:
        return {**super().numbers(), "clips": self.clips, "precision": self.precision}

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        super().restore(tensors, numbers)
        self.clips, self.precision = numbers["clips"], numbers["precision"]


def _identity(parts: Parts) -> list[str]:
    return [parts.train.store.identity, parts.held_out.key]


def _network(classes: int, settings: ClassifierSettings, device: torch.device, name: str) -> ClassifierNetwork:
    generator = torch_generator(settings.seed, f"classifier: initial weights, {name}")
    network = ClassifierNetwork(classes, settings.widths, generator)
    use_channels_last(network.to(device))
    return network


def _train(run: Run, state: _State, parts: Parts, settings: ClassifierSettings) -> None:
    """Train until the steps, the minutes or a signal end it."""
    run.say(f"{parts.train.summary()}; {len(parts.held_out)} clips held out: {parts.how}")
    if not state.precision:
        state.precision = _quicker(len(parts.train.classes), settings, state.device)
    every = max(1, min(20, settings.steps // 20))  # steps between lines of the log
    with run.training("training a classifier"), Prefetcher(parts.train, settings.batch_size, 1, state.step) as batches:
        while run.goes_on:
            rate = _learning_rate(state.step, settings)
            for name, metrics in _training_step(state, settings, rate, *next(batches)).items():
                for kind, value in metrics.items():
                    state.means.add(name, kind, value)
            run.count_step()
            figures = None
            if run.due(every):
                means = state.means.take()
                values = {f"{kind}_{name}": value for name, found in means.items() for kind, value in found.items()}
                run.write({"hours": state.seconds / 3600, "lr": rate, **values})
                figures = f"accuracy {means['clips']['accuracy']:.0%}"
            run.show(figures)
            if run.due(10 * every) or run.stopped:
                run.save()
        run.save()


def _training_step(
    state: _State, settings: ClassifierSettings, rate: float, clips: np.ndarray, labels: np.ndarray
) -> dict[str, dict[str, float]]:
    """Update each network; its ``loss`` and its ``accuracy``.

    Raises:
        TrainingFailed: one is not finite.
    """
    noise = SampleNoise(settings.seed, "classifier", sample_numbers(state.step, settings.batch_size))

    def augmented(clips: Tensor, name: str) -> Tensor:
        return diff_augment(clips, ("color", "translation"), noise.uniform(f"augment/{name}", NUMBERS))

    y, x = torch.from_numpy(labels).to(state.device), from_uint8(clips, state.device)
    seen = {"clips": augmented(x, "clips")}
    if "frames" in state.networks:
        times = torch.from_numpy((noise.uniform("frame", 1)[:, 0] * settings.frames).astype(np.int64))
        seen["frames"] = augmented(x[torch.arange(len(x)), times.to(state.device)][:, None], "frames")
    metrics = {}
    for name, network in state.networks.items():
        optimiser = state.optimisers[f"adam_{name}"]
        for group in optimiser.param_groups:
            group["lr"] = rate
        with autocast(state.device, state.precision):
            scores = network(seen[name]).float()
        loss = F.cross_entropy(scores, y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        metrics[name] = {"loss": float(loss.detach()), "accuracy": float((scores.argmax(1) == y).float().mean())}
    broken = [f"loss_{name}" for name, found in metrics.items() if not np.isfinite(found["loss"])]
    if broken:
        raise TrainingFailed(f"step {state.step}: {', '.join(broken)} is not finite; lower the learning rate")
    return metrics


def _learning_rate(step: int, settings: ClassifierSettings) -> float:
    """The learning rate of a step: a rise over the first twentieth of the steps, then a cosine to 0."""
    rise = min(1.0, (step + 1) / max(1, settings.steps // 20))
    return settings.learning_rate * rise * decay_factor(step, settings.steps, 0, "cosine")


def _quicker(classes: int, settings: ClassifierSettings, device: torch.device) -> str:
    """Whether bf16 autocast or fp32 is quicker here, forward and backward."""
    network = _network(classes, settings, device, "clips")
    shape = (min(_TIMED_CLIPS, settings.batch_size), settings.frames, 3, settings.size, settings.size)
    clips = torch.zeros(shape, device=device)

    def work(precision: str) -> None:
        with autocast(device, precision):
            network(clips).sum().backward()

    return quickest(["fp32", "bf16"], work, device)


def _finish(
    state: _State, parts: Parts, data: DataConfig, settings: ClassifierSettings, out: Path, say: Callable[[str], None]
) -> Classifier:
    """Measure what the networks are now, and save the classifier."""
    s, classes = settings, parts.train.classes
    classifier = Classifier(state.networks["clips"], classes, s.size, s.frames, s.widths)
    by_looks = None
    if "frames" in state.networks:
        by_looks = Classifier(state.networks["frames"], classes, s.size, 1, s.widths)
    learned = TrainingClips(
        source=data.source,
        **data.model_dump(mode="json", exclude_defaults=True, exclude={"source", "split"}),
        training_clips=len(parts.train),
        held_out_clips=len(parts.held_out),
        held_out=parts.how,
        identity=state.clips,
        clips=" ".join(sorted(set().union(*middle_windows(parts.train, "train").identities))),
    )
    done = TrainingDone(
        **s.model_dump(exclude={"size", "frames", "widths"}),
        steps_done=state.step,
        finished=state.step == s.steps,
        minutes=round(state.seconds / 60, 2),
        device=state.device.type,
        precision=state.precision,
    )
    classifier.save(out, learned, done, measure(classifier, by_looks, parts.held_out), versions())
    for line in in_lines(classifier.about):
        say(line)
    return classifier


def _groups(network: ClassifierNetwork, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters with and without weight decay: weights of convolutions and of the last layer, and all others."""
    weights = [parameter for parameter in network.parameters() if parameter.dim() > 1]
    others = [parameter for parameter in network.parameters() if parameter.dim() <= 1]
    return [{"params": weights, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
