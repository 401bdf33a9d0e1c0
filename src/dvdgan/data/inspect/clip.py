"""One clip, inspected; runs in the processes that decode."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image, ImageOps

from dvdgan.data.decode.timing import Header
from dvdgan.data.inspect.duplicates import fingerprint
from dvdgan.data.layouts.listing import Entry
from dvdgan.data.reading import Reading
from dvdgan.data.store.packing import packed_bytes, parts
from dvdgan.data.write.sheets import BACKGROUND

_SIDE = 64  # pixels: the short side at which clips are decoded to be inspected, and both sides of a thumbnail
_THUMBNAILS = 6  # how many a clip has
_SHOWN_SECONDS = 10.0  # of a clip that is decoded for its thumbnails alone
_SAMPLED = 128  # frames of a clip that are held at a time
_STILL = 4  # levels of 255 at 64 pixels: the most by which encoding changes a picture that stands still


@dataclass(frozen=True)
class InspectedClip:
    """A clip that can be used.

    Attributes:
        entry: the clip, as it is listed or packed.
        header: what its file's header says; frames and seconds are the clip's own, counted if it was decoded.
        still: whether all its frames, two or more, are equal but for what encoding does to them; None: not decoded.
        fingerprint: float32 ``[D]``; None: not decoded.
        thumbnails: uint8 ``[6, 64, 64, 3]``, evenly spread; None: not wanted.
        packed: bytes of each clip that packing makes of it, by its source; empty if it is packed.
    """

    entry: Entry
    header: Header
    still: bool | None = None
    fingerprint: np.ndarray | None = None
    thumbnails: np.ndarray | None = None
    packed: dict[str, int] = field(default_factory=dict)


def inspect_clip(entry: Entry, packing: Reading, whole: bool, thumbnails: bool) -> InspectedClip:
    """Inspect a clip of a file.

    Args:
        entry: the clip.
        packing: how it is to be packed; it is inspected at its own rate, or at the rate that this gives its folder.
        whole: decode all of it; otherwise its header is read, and no more than its first seconds for the thumbnails.
        thumbnails: make thumbnails.

    Raises:
        ClipError: it cannot be read.
    """
    reading = Reading(_SIDE, folder_fps=packing.folder_fps)
    header, numbers = reading.measure(entry)
    count, still, sample = sum(map(len, numbers)), None, None
    if whole or thumbnails:
        end = math.inf if entry.end is None else entry.end
        begins = max(entry.start, header.begins)
        _, frames = reading.open(entry.path, entry.start, end if whole else min(begins + _SHOWN_SECONDS, end))
        decoded, moves, sample = scan(frames)
        if whole:
            count, still = decoded, decoded > 1 and not moves
    return InspectedClip(
        entry,
        replace(header, frames=count, seconds=count / header.fps),
        still,
        fingerprint(sample) if sample is not None and whole else None,
        make_thumbnails(sample) if sample is not None and thumbnails else None,
        {part.source: packed_bytes(part, header, packing) for part in parts(entry, header, packing)},
    )


def scan(frames: Iterable[np.ndarray]) -> tuple[int, bool, np.ndarray]:
    """Read a clip to its end, whatever its length, in bounded memory.

    Args:
        frames: uint8 ``[H, W, 3]`` each, at least one.

    Returns:
        How many frames there are, whether they differ, and up to 128 of them, evenly spaced, ``[T, H, W, 3]``.
    """
    count, every, moves = 0, 1, False
    sample: list[np.ndarray] = []
    for frame in frames:
        if count % every == 0:
            if len(sample) == _SAMPLED:
                sample, every = sample[::2], 2 * every
            if count % every == 0:
                sample.append(frame)
        moves = moves or differs(frame, sample[0])
        count += 1
    return count, moves, np.stack(sample)


def differs(frames: np.ndarray, other: np.ndarray) -> bool:
    """Whether uint8 pictures differ by more than encoding changes one that stands still."""
    return bool((np.maximum(frames, other) - np.minimum(frames, other)).max() > _STILL)


def make_thumbnails(frames: np.ndarray) -> np.ndarray:
    """Evenly spread frames of a clip, uint8 ``[T, H, W, 3]``, whole in a square: uint8 ``[6, 64, 64, 3]``."""
    times = np.linspace(0, len(frames) - 1, _THUMBNAILS).round().astype(int)
    images = [Image.fromarray(np.ascontiguousarray(frames[time])) for time in times]
    method = Image.Resampling.BICUBIC
    return np.stack([np.asarray(ImageOps.pad(image, (_SIDE, _SIDE), method, BACKGROUND)) for image in images])
