"""From seeds to pixels: what the pipeline and a training's sample sheets share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from dvdgan.config import Config
from dvdgan.devices import autocast, full_fp32
from dvdgan.networks import Generator, estimate_statistics
from dvdgan.networks.statistics import statistics_of
from dvdgan.randomness import numpy_generator

TruncationKind = Literal["scale", "resample"]
_MOST_SETTLED = 64  # clips in a batch with which standing statistics are estimated
LEAST_THRESHOLD = 0.01
"""The smallest threshold of ``resample``: about one number in a hundred is accepted."""


class FirstFrames(NamedTuple):
    """First frames of clips, for generators that predict."""

    frames: Tensor
    """``[N, D, H, W, 3]``, uint8."""
    labels: Tensor
    """The class of each clip, int64 ``[N]``; 0 without classes."""


def latents(seeds: Sequence[int], z_dim: int, truncation: float = 1.0, kind: TruncationKind = "scale") -> Tensor:
    """One latent per seed, the same whatever the batch that it is made in.

    Args:
        seeds: one per clip, each >= 0.
        z_dim: size of a latent.
        truncation: with ``scale`` the standard deviation of z (as in the paper's figure, 0.44), of which 1 is none;
            with ``resample`` the threshold, 0.01 or more, beyond which a component is sampled again (BigGAN).
        kind: which of the two.

    Returns:
        ``[len(seeds), z_dim]``, fp32.

    Raises:
        ValueError: truncation is not above 0 (and at most 1 with ``scale``).
    """
    if not 0 < truncation < math.inf or (kind == "scale" and truncation > 1):
        most = " and at most 1" if kind == "scale" else ""
        raise ValueError(f"truncation must be above 0{most}, not {truncation}")
    if kind == "resample" and truncation < LEAST_THRESHOLD:
        raise ValueError(f"a threshold of {truncation} would draw for ever; take {LEAST_THRESHOLD} or more")
    rows = np.stack([_latent(numpy_generator(seed, "latent"), z_dim, truncation, kind) for seed in seeds])
    return torch.from_numpy(rows.astype(np.float32))


def _latent(rng: np.random.Generator, z_dim: int, truncation: float, kind: TruncationKind) -> np.ndarray:
    z = rng.standard_normal(z_dim)
    if kind == "scale":
        return z * truncation
    while (beyond := np.abs(z) > truncation).any():
        z[beyond] = rng.standard_normal(int(beyond.sum()))
    return z


def to_uint8(clips: Tensor) -> np.ndarray:
    """Network clips ``[N, T, 3, H, W]`` in [−1, 1] to uint8 ``[N, T, H, W, 3]``."""
    pixels = clips.detach().float().add(1).mul(127.5).round_().clamp_(0, 255).to(torch.uint8)
    return pixels.permute(0, 1, 3, 4, 2).contiguous().cpu().numpy()


def from_uint8(clips: np.ndarray, device: torch.device | None = None) -> Tensor:
    """uint8 ``[N, T, H, W, 3]`` to network clips ``[N, T, 3, H, W]`` in [−1, 1], fp32."""
    pixels = torch.from_numpy(np.ascontiguousarray(clips)).to(device)
    return pixels.permute(0, 1, 4, 2, 3).float().div_(127.5).sub_(1)


@torch.no_grad()
def make_clips(
    network: Generator,
    z: Tensor,
    labels: Tensor | None,
    frames: int | None = None,
    batch_size: int = 16,
    precision: str = "fp32",
    first: np.ndarray | None = None,
) -> np.ndarray:
    """Run a generator on latents in batches, each in one forward pass, or by chunks of time where a clip is large.

    Args:
        network: a finished generator in evaluation mode.
        z: latents ``[N, z_dim]``.
        labels: ``[N]`` integers, ``[N, classes]`` mixtures, or None.
        frames: number of frames to make; by default the network's.
        batch_size: most clips per forward pass; fewer where clips are large.
        precision: ``fp32`` or ``bf16``.
        first: the clips' first frames, uint8 ``[N, D, H, W, 3]``, for a generator that predicts.

    Returns:
        uint8 ``[N, T, H, W, 3]``; with first frames ``[N, D + T, H, W, 3]``.
    """
    length, most = network.check_frames(frames), largest_pass(network)
    batch_size = max(1, min(batch_size, most // length))
    parts = []
    for start in range(0, len(z), batch_size):
        part = slice(start, start + batch_size)
        y = None if labels is None else labels[part]
        given = None if first is None else first[part]
        pieces = stream_clips(network, z[part], y, length, min(length, most), precision, given)
        parts.append(np.concatenate(list(pieces), axis=1))
    return np.concatenate(parts)


_PASS_BYTES = 1 << 30  # about what the widest activations of a forward pass may take
_LIVE = 12  # times the last block's output in fp32, which a forward pass holds at its peak; counted by `dvdgan.plan`


def largest_pass(network: Generator) -> int:
    """Frames that a forward pass may make within about a gibibyte of activations."""
    config = network.config
    return max(1, _PASS_BYTES // (4 * _LIVE * config.size**2 * config.generator.width))


def stream_clips(
    network: Generator,
    z: Tensor,
    labels: Tensor | None,
    frames: int,
    chunk: int,
    precision: str = "fp32",
    first: np.ndarray | None = None,
) -> Iterator[np.ndarray]:
    """Run a generator on one batch of latents, some frames at a time.

    Args:
        network: a finished generator in evaluation mode.
        z: latents ``[B, z_dim]``.
        labels: ``[B]`` integers, ``[B, classes]`` mixtures, or None.
        frames: T, to be made.
        chunk: frames at a time; T makes the clips in one forward pass, as does a generator that attends over time.
        precision: ``fp32`` or ``bf16``.
        first: see `make_clips`.

    Yields:
        The frames in order, uint8 ``[B, chunk, H, W, 3]``; before them the first frames, if any.
    """
    device = next(network.parameters()).device
    y = None if labels is None else labels.to(device)
    given = None
    if first is not None:
        given = from_uint8(first, device)
        yield first
    pieces = network.stream(z.to(device), y, frames, frames if network.attends_over_time else chunk, given)
    while True:
        with autocast(device, precision), full_fp32():  # entered each time, since another clip may be made in between
            piece = next(pieces, None)
        if piece is None:
            return
        yield to_uint8(piece)


def chain_clips(
    network: Generator, z: Tensor, labels: Tensor | None, frames: int, chunk: int, precision: str, first: np.ndarray
) -> Iterator[np.ndarray]:
    """`stream_clips` of a predictor, with the last frames made as the new first frames after each trained length."""
    yield first
    while frames > 0:
        length, seen = min(frames, network.frames), [first]
        pieces = stream_clips(network, z, labels, length, chunk, precision, first)
        next(pieces)  # the first frames
        for piece in pieces:
            seen = [*seen, piece]
            yield piece
        first = np.concatenate(seen, axis=1)[:, -network.config.first_frames :]
        frames -= length


def loop_clips(pieces: Iterator[np.ndarray], frames: int, overlap: int) -> Iterator[np.ndarray]:
    """Make clips loop: their last frames are cross-faded into their first.

    With x the frames made and K the overlap: x[K] to x[frames − 1], then x[frames + k] cross-faded into x[k] for k from
    0 to K − 1, so that the end leads to the beginning at the pace of the clip.

    Args:
        pieces: ``frames + overlap`` frames in order, uint8 ``[B, t, H, W, 3]``.
        frames: of the loop, more than the overlap.
        overlap: K.

    Yields:
        uint8 ``[B, t, H, W, 3]``.
    """
    early, number = [], 0
    for piece in pieces:
        for time in range(piece.shape[1]):
            frame = piece[:, time : time + 1]
            if number < overlap:
                early.append(frame)
            elif number < frames:
                yield frame
            else:
                share = (number - frames + 1) / (overlap + 1)  # of the early frame
                mixed = (1 - share) * frame + share * early[number - frames]
                yield np.rint(mixed).astype(np.uint8)
            number += 1


def statistics_batch(config: Config) -> int:
    """Clips in a batch with which a model's statistics are estimated: as many as its batch norms saw in training."""
    return min(max(1, config.training.batch_size // config.training.accumulate), _MOST_SETTLED)


def settle_statistics(
    network: Generator,
    class_weights: Sequence[float] | None,
    truncation: float = 1.0,
    kind: TruncationKind = "scale",
    batches: int = 16,
    batch_size: int = 32,
    seed: int = 0,
    precision: str = "fp32",
    first: FirstFrames | None = None,
) -> dict[str, Tensor]:
    """Estimate a generator's standing statistics for one truncation, in place.

    Args:
        network: a generator, whose batch norms get the statistics.
        class_weights: relative frequency of each class; None when unconditional.
        truncation: see `latents`.
        kind: see `latents`.
        batches: number of batches.
        batch_size: clips per batch.
        seed: of the random latents and labels.
        precision: ``fp32`` or ``bf16``.
        first: first frames of real clips and their classes, used in turn, for a generator that predicts.

    Returns:
        The statistics, for `load_statistics`.
    """
    device, chunk = next(network.parameters()).device, network.chunk
    most = max(1, largest_pass(network) // batch_size)
    if network.chunks_are_exact and most < (chunk or network.frames):  # the same in less memory
        network.chunk = most
    try:
        with autocast(device, precision):
            drawn = _random_batches(network.z_dim, class_weights, truncation, kind, batches, batch_size, seed, device)
            estimate_statistics(network, drawn if first is None else _going_on(first, drawn, device))
    finally:
        network.chunk = chunk
        network.eval()
    return statistics_of(network)


def _random_batches(
    z_dim: int,
    class_weights: Sequence[float] | None,
    truncation: float,
    kind: TruncationKind,
    batches: int,
    batch_size: int,
    seed: int,
    device: torch.device,
) -> Iterator[tuple[Tensor, Tensor | None]]:
    for batch in range(batches):
        rng = numpy_generator(seed, "statistics", batch)
        z = np.stack([_latent(rng, z_dim, truncation, kind) for _ in range(batch_size)]).astype(np.float32)
        labels = None
        if class_weights is not None:
            p = np.asarray(class_weights, float) / np.sum(class_weights)
            labels = torch.from_numpy(rng.choice(len(p), batch_size, p=p)).to(device)
        yield torch.from_numpy(z).to(device), labels


def _going_on(
    first: FirstFrames, drawn: Iterator[tuple[Tensor, Tensor | None]], device: torch.device
) -> Iterator[tuple[Tensor, Tensor | None, Tensor]]:
    """Batches of latents, labels and first frames: random latents, and real clips in turn."""
    start = 0
    for z, labels in drawn:
        rows = torch.arange(start, start + len(z)) % len(first.labels)
        start += len(z)
        own = None if labels is None else first.labels[rows].to(device)
        yield z, own, from_uint8(first.frames[rows].cpu().numpy(), device)
