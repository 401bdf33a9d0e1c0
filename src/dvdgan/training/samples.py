"""What a run shows of itself: sheets and clips at fixed seeds, and the finished model."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dvdgan.card import card
from dvdgan.config import Config
from dvdgan.data.dataset import ClipDataset
from dvdgan.data.write.encode import write_clip
from dvdgan.data.write.sheets import clip_grid, clip_sheet, write_image
from dvdgan.models import Model, save_model
from dvdgan.networks import Generator
from dvdgan.networks.statistics import load_statistics, statistics_of
from dvdgan.randomness import numpy_generator
from dvdgan.sampling import latents, make_clips, settle_statistics, statistics_batch
from dvdgan.training.run_file import StartedFrom
from dvdgan.training.state import TrainingState

SHOWN_CLASSES = 32  # most of them on a sheet
_WRITTEN = re.compile(r"step-([0-9]{8}|[1-9][0-9]{8,17})\.(png|mp4)")
CHECKED_PER_CLASS = 8  # at least, where there are so many classes that only some can be checked
CHECK_SEED = 1_000_000_000  # far from the seeds of sheets and of evaluations
TRUNCATIONS = (1.0, 0.8, 0.6, 0.44)  # those whose statistics a model keeps; 0.44 is the paper's figure's


def finished_generator(state: TrainingState, weights: list[float]) -> Generator:
    """The averaged generator with spectral norm folded in and standing statistics for truncation 1."""
    network = state.ema.folded_generator(state.generator)
    settle(network, state, weights, 1.0)
    return network


def settle(network: Generator, state: TrainingState, weights: list[float], truncation: float) -> dict[str, Tensor]:
    """Estimate standing statistics with the run's settings."""
    t = state.config.training
    return settle_statistics(
        network,
        weights or None,
        truncation,
        batches=t.statistics_batches,
        batch_size=statistics_batch(state.config),
        seed=t.seed,
        precision=state.precision,
        first=state.first,
    )


def keep_first_frames(state: TrainingState, dataset: ClipDataset) -> None:
    """Keep first frames of the run's first clips in its state, where G predicts what follows."""
    if state.first is not None:
        clips, labels = dataset.samples(range(len(state.first.labels)))
        state.first.frames.copy_(torch.from_numpy(clips[:, : state.config.network.first_frames]))
        state.first.labels.copy_(torch.from_numpy(labels))


def first_frames(dataset: ClipDataset, labels: np.ndarray | None, config: Config, count: int) -> np.ndarray | None:
    """First frames of training clips, always the same, for sheets and checks; None where G makes whole clips.

    Args:
        dataset: the clips.
        labels: the class of each, int64 ``[N]``; None without classes. Those of one class are different clips as far
            as there are; a class without clips goes on from those of the first one that has some.
        config: the run's.
        count: N.

    Returns:
        uint8 ``[N, D, size, size, 3]``.
    """
    given = config.network.first_frames
    if not given:
        return None
    labels = np.zeros(count, np.int64) if labels is None else labels
    frames = np.empty((count, given, config.network.size, config.network.size, 3), np.uint8)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        clips = dataset.reference(int(label), len(rows))
        if not len(clips):
            clips = dataset.reference(int(dataset.labels.min()), len(rows))
        clips = clips[:, :given]
        frames[rows] = clips[np.arange(len(rows)) % len(clips)]
    return frames


def write_samples(
    network: Generator, state: TrainingState, dataset: ClipDataset, folder: Path, step: int
) -> np.ndarray:
    """Write ``step-<step>.png`` (a row per clip, time to the right) and ``step-<step>.mp4`` (a mosaic).

    Returns:
        The sheet, uint8 ``[H', W', 3]``.
    """
    per_class, classes = state.config.training.sample_clips, dataset.classes
    if classes:
        labels = torch.from_numpy(np.repeat(_shown_classes(classes), per_class))
        names = [classes[int(label)] for label in labels]
    else:
        labels, names = None, [f"seed {seed}" for seed in range(4 * per_class)]
    z = latents(range(len(names)), network.z_dim)
    first = first_frames(dataset, None if labels is None else labels.numpy(), state.config, len(names))
    clips = make_clips(network, z, labels, precision=state.precision, first=first)
    return _write(clips, names, folder / f"step-{step:08d}", state.config, per_class)


def _shown_classes(classes: list[str]) -> np.ndarray:
    """Numbers of the classes on sheets, int64: all, or as many as fit, evenly spaced."""
    return np.unique(np.linspace(0, len(classes) - 1, min(len(classes), SHOWN_CLASSES)).astype(int))


def watched_classes(weights: list[float], clips: int) -> np.ndarray:
    """Classes whose samples are checked, int64 ``[K]``: all, or so few, evenly spaced, that each has 8 of the clips.

    Args:
        weights: from `ClipDataset.class_weights`; classes of weight 0 are left out.
        clips: how many are made.
    """
    present = np.flatnonzero(np.array(weights))
    most = max(1, clips // CHECKED_PER_CLASS)
    return present[np.linspace(0, len(present) - 1, min(len(present), most)).astype(int)]


def shown_clips(dataset: ClipDataset, watched: np.ndarray, per_class: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training clips of `watched_classes`, the same for every run, to compare samples with.

    Of classes that stay themselves when mirrored every other clip is to be mirrored; a class that only mirrored clips
    of another one show has these.

    Args:
        dataset: the clips.
        watched: int64 ``[K]``.
        per_class: how many of each class at most.

    Returns:
        Numbers of clips of the data set, int64 ``[N]``; which are to be mirrored, bool ``[N]``; and the classes that
        they then show, int64 ``[N]``.
    """
    turns_into = np.array([-1 if other is None else other for other in dataset.mirrored])[dataset.labels]
    members, mirror = [], []
    for label in watched.tolist():
        pool = np.flatnonzero(dataset.labels == label)
        pool = pool if len(pool) else np.flatnonzero(turns_into == label)
        chosen = np.sort(numpy_generator(0, "samples: training clips", label).permutation(pool)[:per_class])
        odd = np.arange(len(chosen)) % 2 == 1
        members.append(chosen)
        mirror.append((dataset.labels[chosen] != label) | odd & (turns_into[chosen] == label))
    return np.concatenate(members), np.concatenate(mirror), np.repeat(watched, [len(some) for some in members])


def remove_samples_after(folder: Path, step: int) -> None:
    """Remove sheets and clips of later steps, which a resumed run has not come to yet."""
    for path in folder.glob("step-*.*"):
        written = _WRITTEN.fullmatch(path.name)
        if written is not None and int(written[1]) > step:
            path.unlink()


def check_clips(network: Generator, state: TrainingState, dataset: ClipDataset) -> tuple[np.ndarray, np.ndarray | None]:
    """Clips for a `SampleChecker`, other ones than the sheets': `watched_classes` in turn, always the same noise.

    Args:
        network: from `finished_generator`.
        state: the run's.
        dataset: the clips that are trained on; classes of weight 0 are left out.

    Returns:
        Clips, uint8 ``[N, T, H, W, 3]``, and their labels, int64 ``[N]``, or None without classes; N is
        ``training.health.clips``.
    """
    t, weights = state.config.training, dataset.class_weights
    count = t.health.clips
    z = latents(range(CHECK_SEED, CHECK_SEED + count), network.z_dim)
    labels = np.resize(watched_classes(weights, count), count) if weights else None
    asked = None if labels is None else torch.from_numpy(labels)
    first = first_frames(dataset, labels, state.config, count)
    clips = make_clips(network, z, asked, batch_size=min(t.batch_size, 64), precision=state.precision, first=first)
    return clips, labels


def write_real_samples(dataset: ClipDataset, config: Config, folder: Path) -> None:
    """Write ``real.png`` and ``real.mp4``: training clips, laid out as the samples are."""
    per_class = config.training.sample_clips
    if dataset.classes:
        shown = _shown_classes(dataset.classes)
        groups = [(dataset.classes[int(k)], dataset.reference(int(k), per_class)) for k in shown]
    else:
        groups = [("clip", dataset.reference(0, 4 * per_class))]
    names = [name for name, clips in groups for _ in clips]
    _write(np.concatenate([clips for _, clips in groups]), names, folder / "real", config, per_class)


def _write(clips: np.ndarray, names: list[str], stem: Path, config: Config, per_class: int) -> np.ndarray:
    stem.parent.mkdir(parents=True, exist_ok=True)
    scale = max(1, 64 // config.network.size)
    given = config.network.first_frames
    sheet = clip_sheet(clips, names, columns=min(config.network.frames, 12), scale=scale, given=given)
    write_image(stem.with_suffix(".png"), sheet)
    if clips.shape[1] > 1:
        columns = per_class * max(1, round(np.sqrt(len(clips)) / per_class))
        write_clip(stem.with_suffix(".mp4"), clip_grid(clips, columns=columns, scale=2 * scale), config.data.fps)
    return sheet


def write_model(
    network: Generator,
    state: TrainingState,
    classes: list[str],
    weights: list[float],
    directory: Path,
    summary: dict[str, str],
    with_discriminators: bool = False,
) -> None:
    """Write the finished model directory, with statistics for several truncations and a card.

    Args:
        network: from `finished_generator`.
        state: the run's.
        classes: class names.
        weights: from `ClipDataset.class_weights`.
        directory: where to.
        summary: what the card says of the training, by heading.
        with_discriminators: write them, too, for trainings that start from the model.
    """
    statistics = {1.0: statistics_of(network)}
    statistics |= {truncation: settle(network, state, weights, truncation) for truncation in TRUNCATIONS[1:]}
    load_statistics(network, statistics[1.0])
    discriminators: dict[str, Tensor] = {}
    if with_discriminators:
        for name, discriminator in state.discriminators.items():
            discriminators |= {f"{name}/{key}": value for key, value in discriminator.named_parameters()}
    text = card(state.config, classes, summary)
    save_model(Model(network, state.config, classes, weights, statistics, text, discriminators), directory)


def training_summary(state: TrainingState, clips: int, started_from: StartedFrom | None) -> dict[str, str]:
    """What a model's card says of its training, by heading.

    Args:
        state: the run's.
        clips: how many it was trained on.
        started_from: from `dvdgan.training.transfer.transfer`, where the run started from other weights.
    """
    config = state.config
    summary = {
        "Trained on": f"{config.data.source}, {clips} clips",
        "Steps": f"{state.step} generator steps of {config.training.batch_size} clips",
        "Time": f"{state.seconds / 60:.0f} minutes",
    }
    if started_from is not None:
        before = f"{started_from.steps} steps, {started_from.seconds / 60:.0f} minutes"
        summary["Started from"] = Path(started_from.source).name + (f" ({before})" if started_from.steps else "")
    return summary
