"""What clips are like, in numbers: those of a class, or all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dvdgan.data.decode.timing import Header
from dvdgan.data.inspect.clip import InspectedClip
from dvdgan.data.inspect.hints import rate_name
from dvdgan.data.layouts.listing import TEST, TRAIN


@dataclass(frozen=True)
class Spread:
    """How a number varies over clips."""

    least: float
    median: float
    most: float


@dataclass(frozen=True)
class Summary:
    """What the clips of a class are like, or all of them.

    Attributes:
        name: of the class; empty for all clips.
        clips: how many can be used.
        train: how many of them are said to be for training.
        test: how many of them are said to be for testing.
        problems: how many cannot be used, as far as it is known that they belong here.
        frames: of all clips.
        seconds: of all clips.
        frames_per_clip: None without clips, as are the next two.
        seconds_per_clip: likewise.
        fps: frame rates; None, too, if no clip has two frames.
        rates: how many clips have each frame rate, the commonest first.
        variable: how many clips have a frame rate that varies.
        sizes: how many clips have each size, as width x height in pixels, the commonest first.
        smallest: the size of the fewest pixels; empty without clips, as is the next.
        largest: the size of the most pixels.
        formats: how many clips there are of each container and codec.
        alpha: how many clips can be transparent.
        hdr: how many clips have high dynamic range.
    """

    name: str
    clips: int
    train: int
    test: int
    problems: int
    frames: int
    seconds: float
    frames_per_clip: Spread | None
    seconds_per_clip: Spread | None
    fps: Spread | None
    rates: dict[str, int]
    variable: int
    sizes: dict[str, int]
    smallest: str
    largest: str
    formats: dict[str, int]
    alpha: int
    hdr: int

    @classmethod
    def of(cls, name: str, clips: Sequence[InspectedClip], problems: int) -> Summary:
        """Of the clips of a class that can be used, and how many cannot."""
        moving = [clip for clip in clips if clip.header.frames > 1]
        by_pixels = sorted(clips, key=lambda clip: clip.header.width * clip.header.height)
        return cls(
            name=name,
            clips=len(clips),
            train=sum(clip.entry.split == TRAIN for clip in clips),
            test=sum(clip.entry.split == TEST for clip in clips),
            problems=problems,
            frames=sum(clip.header.frames for clip in clips),
            seconds=sum(clip.header.seconds for clip in clips),
            frames_per_clip=_spread(clip.header.frames for clip in clips),
            seconds_per_clip=_spread(clip.header.seconds for clip in clips),
            fps=_spread(clip.header.fps for clip in moving),
            rates=_tally(rate_name(clip.header.fps) for clip in moving),
            variable=sum(clip.header.variable for clip in moving),
            sizes=_tally(_size(clip.header) for clip in clips),
            smallest=_size(by_pixels[0].header) if clips else "",
            largest=_size(by_pixels[-1].header) if clips else "",
            formats=_tally(clip.header.kind for clip in clips),
            alpha=sum(clip.header.alpha for clip in clips),
            hdr=sum(bool(clip.header.hdr) for clip in clips),
        )


def _spread(values: Iterable[float]) -> Spread | None:
    numbers = list(values)
    return Spread(min(numbers), float(np.median(numbers)), max(numbers)) if numbers else None


def _tally(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _size(header: Header) -> str:
    return f"{header.width}x{header.height}"
