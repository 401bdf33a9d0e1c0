"""Frames on an even grid of time: the rate of a file from its timestamps, and which frame belongs to which time.

Output frame k belongs to time k / rate after the first frame, and is the frame of the file that is nearest in time (the
earlier of two that are equally near). So a file of constant rate gives every frame once, frames that a variable-rate
file holds are repeated, and a window of a clip is the same frames whether or not what lies before it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise, repeat
from math import ceil, floor
from typing import NamedTuple

import numpy as np

LONGEST_GAP = Fraction(5)
"""Seconds. Frames further apart are a jump of the file's clock, not a still: the time between them is left out, and
each of the two is held for the file's usual interval."""

FASTEST, SLOWEST = 1000, Fraction(1, 3600)
"""Frame rates that are believed, in frames per second."""

_DEFAULT_RATE = Fraction(25)  # frames per second of a file that says nothing
_LOOSE = 0.25  # of a frame: how far timestamps may lie from an even grid that is said to be theirs
_WIDEST = (
    0.45  # of a frame: the same where that is less than their rounding; at half a frame, grid times lie between two
)


@dataclass(frozen=True)
class Header:
    """What a file's header and its timestamps say.

    Attributes:
        width: of a frame as displayed, in pixels: after rotation and with square pixels.
        height: of a frame as displayed, in pixels.
        fps: nominal frame rate, in frames per second.
        frames: how many frames `open_clip` is expected to give at that rate; an estimate for long files.
        seconds: length of the clip; an estimate where `frames` is.
        alpha: whether frames can be transparent.
        kind: container and codec for people, such as ``mp4/h264``; ``gif``, ``webp``, ``apng``, ``png``, ``jpeg``,
            ``bmp``, or ``frames`` for a folder.
        variable: whether the frame rate varies.
    """

    width: int
    height: int
    fps: float
    frames: int
    seconds: float
    alpha: bool
    kind: str
    variable: bool


class TimedFrame(NamedTuple):
    """A frame of a file, not yet converted to RGB."""

    time: Fraction
    """Seconds after the first frame."""
    duration: Fraction
    """Seconds that it lasts if it is the last one; 0 where the file does not say."""
    pixels: Callable[[], np.ndarray]
    """Converts it: uint8 ``[H, W, 3 or 4]``."""


@dataclass(frozen=True)
class Reader:
    """A clip that can be read.

    Attributes:
        header: what is known before it is read.
        rate: the nominal rate of `header`, exactly.
        frames: given a time in seconds, an iterator of the frames in order, from the first one or from one at least two
            usual intervals before that time. The file is open only while it runs.
        still: a single picture, which is one frame at any rate.
    """

    header: Header
    rate: Fraction
    frames: Callable[[Fraction], Iterator[TimedFrame]]
    still: bool = False


def nominal_rate(
    times: Sequence[int | Fraction], tick: Fraction, base: Fraction | None = None, average: Fraction | None = None
) -> tuple[Fraction, bool]:
    """The frame rate that a file's timestamps keep to.

    The rate that the container declares is believed if all timestamps agree with it. Otherwise it is that of the usual
    gap: the median, sharpened by the mean of the gaps that differ from it by rounding only.

    Args:
        times: of the first frames, sorted, in ticks; the first one is 0.
        tick: what timestamps are rounded to, in seconds.
        base: the container's rate of which all frames are multiples, in frames per second.
        average: the container's mean rate.

    Returns:
        The rate in frames per second, and whether the gaps vary too much for an even grid to give every frame once.
    """
    declared = [rate for rate in (base, average) if rate and SLOWEST <= rate <= FASTEST]
    gaps = sorted(gap for gap in (b - a for a, b in pairwise(times)) if gap > 0)
    if not gaps:
        return (declared[-1] if declared else _DEFAULT_RATE), False
    usual = gaps[(len(gaps) - 1) // 2]
    near = [gap for gap in gaps if abs(Fraction(gap - usual)) <= max(Fraction(usual, 10), Fraction(1))]
    own = min(max(_rate_of(near, tick), SLOWEST), Fraction(FASTEST))
    for rate in (*declared, own):
        if _off_grid(times, rate * tick) <= min(1.01 * float(rate * tick) + 1e-6, _WIDEST):
            return rate, False
    for rate in (*reversed(declared), own):
        if _off_grid(times, rate * tick) <= _LOOSE:
            return rate, False
    return own, True


def on_grid(
    frames: Iterable[TimedFrame], rate: Fraction, nominal: Fraction, first: int = 0, last: int | None = None
) -> Generator[np.ndarray, None, tuple[int, Fraction | None]]:
    """Give output frames number `first` up to but not including `last` (None is the end).

    A frame that is given several times is one array. Nothing is read beyond what settles the last number.

    Args:
        frames: in order of time; those long before `first` may be left out.
        rate: of the output, in frames per second.
        nominal: the file's own rate, by which its last frame lasts where the file says less or nothing.
        first: number of the first output frame.
        last: number that ends the output.

    Returns:
        How many frames were given, and the length of the clip in seconds (None if the output ended before it did).
    """
    given = 0
    number = first
    reach = 1 / (2 * min(rate, nominal))  # seconds that a frame counts for on either side of it, at a jump
    reach = min(reach, LONGEST_GAP / 2)
    before: TimedFrame | None = None
    for after in frames:
        if before is not None:
            gap = after.time - before.time
            jump = gap > LONGEST_GAP
            until = floor((before.time + (reach if jump else gap / 2)) * rate) + 1
            until = until if last is None else min(until, last)
            if number < until:
                yield from repeat(before.pixels(), until - number)
                given, number = given + until - number, until
            if jump:
                number = max(number, ceil((after.time - reach) * rate))
            if last is not None and number >= last:
                return given, None
        before = after
    if before is None:
        return 0, Fraction(0)
    hold = max(before.duration, 1 / nominal)
    seconds = before.time + (hold if hold <= LONGEST_GAP else 2 * reach)
    end = max(1, round(seconds * rate))
    end = end if last is None else min(end, last)
    if number < end:
        yield from repeat(before.pixels(), end - number)
        given += end - number
    return given, seconds


def count(times: Sequence[Fraction], hold: Fraction, rate: Fraction) -> int:
    """How many frames a file gives at its own rate, from all its timestamps and what its last frame lasts."""
    none = np.empty(0)
    timed = [TimedFrame(time, hold, lambda: none) for time in times]
    return sum(1 for _ in on_grid(timed, rate, rate))


def _rate_of(gaps: list[int | Fraction], tick: Fraction) -> Fraction:
    """Frames per second of gaps that are alike but for rounding to ticks: a whole rate or an NTSC one if it may be."""
    span = sum(gaps)
    rate = Fraction(len(gaps)) / (span * tick)
    if gaps[0] == gaps[-1]:
        return rate
    for nice in (Fraction(round(rate)), Fraction(round(rate * 1001 / 1000) * 1000, 1001)):
        if abs(nice / rate - 1) <= Fraction(2) / span:
            return nice
    return rate


def _off_grid(times: Sequence[int | Fraction], rate: Fraction) -> float:
    """How far timestamps lie from an even grid of so many frames per tick at most, in frames."""
    per_tick = float(rate)
    return max(abs(float(time) * per_tick - index) for index, time in enumerate(times))
