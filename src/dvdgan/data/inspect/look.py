"""One look at a clip: what `dvdgan.data.inspect.inspection` knows of it. Runs in the processes that decode."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dvdgan.data.decode.clip import Facts, open_clip, probe
from dvdgan.data.errors import ClipError
from dvdgan.data.inspect.duplicates import fingerprint
from dvdgan.data.layouts.listing import Entry
from dvdgan.data.workers import sign_of_life
from dvdgan.data.write.sheets import BACKGROUND

SIDE = 64
"""Pixels: the short side at which clips are looked at, and both sides of the pictures of them."""

PICTURES = 8
"""How many frames of a clip are kept to be shown."""

_SHOWN_SECONDS = 10.0  # of a clip that is decoded for its pictures alone
_KEPT = 128  # frames of a clip that are held at a time
_STILL = 4  # levels of 255 at SIDE pixels: the most by which encoding changes a picture that stands still


@dataclass(frozen=True)
class Seen:
    """A clip that can be used.

    Attributes:
        source: as the listing or the store names it.
        label: index of its class.
        split: ``train``, ``test`` or empty.
        group: what its near copies are said to share; empty for a clip that is a group of its own.
        width: of its frames as displayed, in pixels.
        height: likewise.
        fps: frames per second.
        frames: how many; what the header says if the clip was not decoded.
        seconds: how long.
        kind: container and codec.
        alpha: whether its frames can be transparent.
        variable: whether its frame rate varies.
        still: whether all its frames, two or more, are equal but for what encoding does to them; None: not looked at.
        mark: the fingerprint, float32 ``[D]``; None: not looked at.
        pictures: uint8 ``[PICTURES, SIDE, SIDE, 3]``, evenly spread; None: not wanted.
    """

    source: str
    label: int
    split: str
    group: str
    width: int
    height: int
    fps: float
    frames: int
    seconds: float
    kind: str
    alpha: bool
    variable: bool
    still: bool | None = None
    mark: np.ndarray | None = None
    pictures: np.ndarray | None = None


def look_at(entry: Entry, folder_fps: float, whole: bool, mark: bool, pictures: bool) -> Seen:
    """Look at a clip of a file.

    Args:
        entry: the clip.
        folder_fps: frame rate of folders of frames, in frames per second.
        whole: decode all of it; otherwise its header is read, and no more than its first seconds for the pictures.
        mark: take its fingerprint, if it is decoded whole.
        pictures: keep frames to be shown.

    Raises:
        ClipError: it cannot be read.
    """
    facts = probe(entry.path, folder_fps=folder_fps)
    sign_of_life()
    count, still, kept = _frames_by_header(entry, facts), None, None
    if whole or pictures:
        end = entry.end
        if not whole:
            end = min(entry.start + _SHOWN_SECONDS, np.inf if end is None else end)
        _, frames = open_clip(entry.path, SIDE, start=entry.start, end=end, folder_fps=folder_fps)
        decoded, moves, kept = watch(frames)
        if whole:
            count, still = decoded, decoded > 1 and not moves
    return Seen(
        source=entry.source,
        label=entry.label,
        split=entry.split,
        group=entry.group,
        width=facts.width,
        height=facts.height,
        fps=facts.fps,
        frames=count,
        seconds=count / facts.fps,
        kind=facts.kind,
        alpha=facts.alpha,
        variable=facts.variable,
        still=still,
        mark=fingerprint(kept) if kept is not None and whole and mark else None,
        pictures=framed(kept) if kept is not None and pictures else None,
    )


def watch(frames: Iterable[np.ndarray]) -> tuple[int, bool, np.ndarray]:
    """Watch a clip to its end, whatever its length, in bounded memory.

    Args:
        frames: uint8 ``[H, W, 3]`` each, at least one.

    Returns:
        How many frames there are, whether they differ, and up to 128 of them, evenly spaced, ``[T, H, W, 3]``.
    """
    count, every, moves = 0, 1, False
    kept: list[np.ndarray] = []
    for frame in frames:
        sign_of_life()
        if count % every == 0:
            if len(kept) == _KEPT:
                kept, every = kept[::2], 2 * every
            if count % every == 0:
                kept.append(frame)
        moves = moves or differs(frame, kept[0])
        count += 1
    return count, moves, np.stack(kept)


def differs(frames: np.ndarray, other: np.ndarray) -> bool:
    """Whether uint8 pictures differ by more than encoding changes one that stands still."""
    return bool((np.maximum(frames, other) - np.minimum(frames, other)).max() > _STILL)


def framed(frames: np.ndarray) -> np.ndarray:
    """Evenly spread frames of a clip, uint8 ``[T, H, W, 3]``, whole in a square: ``[PICTURES, SIDE, SIDE, 3]``."""
    times = np.linspace(0, len(frames) - 1, PICTURES).round().astype(int)
    return np.stack([_framed(frames[time]) for time in times])


def _framed(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    scale = SIDE / max(height, width)
    inside = max(1, round(width * scale)), max(1, round(height * scale))
    canvas = Image.new("RGB", (SIDE, SIDE), BACKGROUND)
    image = Image.fromarray(np.ascontiguousarray(frame)).resize(inside, Image.Resampling.BICUBIC)
    canvas.paste(image, ((SIDE - inside[0]) // 2, (SIDE - inside[1]) // 2))
    return np.asarray(canvas)


def _frames_by_header(entry: Entry, facts: Facts) -> int:
    first = round(entry.start * facts.fps)
    last = facts.frames if entry.end is None else min(facts.frames, round(entry.end * facts.fps))
    if last <= first:
        raise ClipError(entry.path, f"begins at {entry.start:g} s, but is {facts.seconds:.6g} s long")
    return last - first
