"""Frames on an even grid of time: the rate of a file from its timestamps, and which frame belongs to which time.

Output frame k belongs to time k / rate after the first frame, and is the frame of the file that is shown then, or comes
within half of the file's usual interval. So a file of constant rate gives every frame once, however its times are
rounded, frames that a variable-rate file holds are repeated, and a window of a clip is the same frames whether or not
what lies before it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise, repeat
from math import ceil, floor
from typing import NamedTuple

import numpy as np

from dvdgan.data.worker_process import heartbeat

LONGEST_GAP = Fraction(900)
"""Seconds. Frames further apart are a jump of the file's clock, not a still: the time between them is left out, and
each of the two is held for the file's usual interval. No GIF can hold a frame for so long."""

LONGEST_GAP_OF_STREAMS = Fraction(10)
"""The same for containers whose clock may jump where recordings were joined, such as MPEG-TS; FFmpeg has it, too."""

FASTEST, SLOWEST = 1000, Fraction(1, 3600)
"""Frame rates that are believed, in frames per second."""

LATEST = 1e9
"""Seconds; no clip is so long."""

_DEFAULT_RATE = Fraction(25)  # frames per second of a file that says nothing
_LOOSE = 0.25  # of a frame: how far timestamps may lie from an even grid that is said to be theirs
_WIDEST = 0.45  # of a frame: the same where that is less than their rounding; at half a frame, times lie between two


@dataclass(frozen=True)
class Length:
    """How long a clip is, from the times of all its frames."""

    rate: Fraction  # its nominal rate, in frames per second
    seconds: Fraction  # from the first frame to the end of the last one, jumps included
    change: Fraction = Fraction(0)  # when the last frame takes the place of the one before it, in seconds
    jumps: tuple[tuple[Fraction, Fraction], ...] = ()  # times before and after each jump of its clock, in seconds
    still: bool = False  # a single picture, which is one frame at any rate

    def numbers(self, rate: Fraction, first: int = 0, last: int | None = None) -> list[range]:
        """The numbers of the frames that `on_grid` gives from `first` up to but not including `last`, without jumps."""
        if self.still:
            return [range(first, min(1, 1 if last is None else last))]
        end = max(1, _nearest(self.seconds * rate), floor(self.change * rate) + 1)
        end = end if last is None else min(end, last)
        runs, begin = [], first
        for before, after in self.jumps:
            reach = _reach(rate, self.rate)
            stop, go_on = floor((before + reach) * rate) + 1, ceil((after - reach) * rate)
            runs.append(range(begin, min(max(stop, begin), end)))
            begin = max(begin, stop, go_on)
        return [run for run in (*runs, range(begin, end)) if run]

    def frames(self, rate: Fraction) -> int:
        """How many frames `on_grid` gives."""
        return sum(map(len, self.numbers(rate)))


@dataclass(frozen=True)
class Header:
    """What a file's header and its timestamps say.

    Attributes:
        width: of a frame as displayed, in pixels: after rotation and with square pixels.
        height: of a frame as displayed, in pixels.
        fps: nominal frame rate, in frames per second.
        frames: how many frames `open_clip` gives at that rate, counted.
        seconds: length of the clip, from its first frame to the end of the last one.
        alpha: whether frames can be transparent.
        kind: container and codec for people, such as ``mp4/h264``; ``gif``, ``webp``, ``apng``, ``png``, ``jpeg``,
            ``bmp``, or ``frames`` for a folder.
        variable: whether the frame rate varies.
        begins: when the first frame is shown on the container's own clock, in seconds: later than 0 where sound begins
            earlier.
        hdr: ``HLG`` or ``PQ`` for high dynamic range, else empty.
        length: what `frames` and `seconds` are counted from; None for a clip that is packed.
    """

    width: int
    height: int
    fps: float
    frames: int
    seconds: float
    alpha: bool
    kind: str
    variable: bool
    begins: float = 0.0
    hdr: str = ""
    length: Length | None = None

    def nothing_at(self, start: float, end: float | None) -> str:
        """Why a window, in seconds on the container's clock, has no frame."""
        if end is not None and end <= self.begins + 1 / self.fps:
            return f"its picture begins at {self.begins:.6g} s, and nothing is to be seen before {end:g} s"
        stop = self.begins + self.seconds
        if start < stop:
            return f"no frame at {start:g} s, where its timestamps jump"
        return f"begins at {start:g} s, but is {stop:.6g} s long"


class TimedFrame(NamedTuple):
    """A frame of a file, not yet converted to RGB."""

    time: Fraction  # seconds after the first frame
    duration: Fraction  # seconds that it lasts if it is the last one; 0 where the file does not say
    pixels: Callable[[], np.ndarray]  # converts it: uint8 ``[H, W, 3 or 4]``


@dataclass(frozen=True)
class Reader:
    """A clip that can be read."""

    header: Header  # what is known before it is read, but for its length
    rate: Fraction  # the nominal rate of `header`, exactly
    # given a time in seconds, an iterator of the frames in order, from the first one or from one at least two usual
    # intervals before that time. The file is open only while it runs
    frames: Callable[[Fraction], Iterator[TimedFrame]]
    length: Callable[[], Length]  # goes through the whole file without decoding it, with a heartbeat every now and then
    still: bool = False  # a single picture, which is one frame at any rate
    longest_gap: Fraction = LONGEST_GAP  # between two frames, in seconds; a longer one is a jump of the clock


def window_numbers(start: float, end: float | None, begins: float, rate: Fraction) -> tuple[int, int | None]:
    """The numbers of the first frame of a window and of the one that ends it (None is the end of the clip).

    The window is in seconds on the container's clock, on which the clip's first frame is shown at `begins`.
    """
    first = max(0, _nearest((_exactly(start) - _exactly(begins)) * rate))
    return first, None if end is None or end > LATEST else _nearest((_exactly(end) - _exactly(begins)) * rate)


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
    frames: Iterable[TimedFrame],
    rate: Fraction,
    nominal: Fraction,
    first: int = 0,
    last: int | None = None,
    longest_gap: Fraction = LONGEST_GAP,
) -> Generator[np.ndarray, None, tuple[int, Fraction | None]]:
    """Give output frames number `first` up to but not including `last` (None is the end).

    A frame that is given several times is one array. Nothing is read beyond what settles the last number. Each frame
    that is read is a heartbeat of the process.

    Args:
        frames: in order of time; those long before `first` may be left out.
        rate: of the output, in frames per second.
        nominal: the file's own rate, by which its last frame lasts where the file says less or nothing.
        first: number of the first output frame.
        last: number that ends the output.
        longest_gap: between two frames, in seconds; a longer one is a jump, and numbers in it are left out.

    Returns:
        How many frames were given, and the length of the clip in seconds (None if the output ended before it did).
    """
    given = 0
    number = first
    reach = _reach(rate, nominal)
    before: TimedFrame | None = None
    for after in frames:
        heartbeat()
        if before is not None:
            gap = after.time - before.time
            jump = gap > longest_gap
            until = floor((before.time + reach if jump else _change(before.time, after.time, nominal)) * rate) + 1
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
    seconds = before.time + _hold(before.duration, nominal, longest_gap)
    end = max(1, _nearest(seconds * rate))
    end = end if last is None else min(end, last)
    if number < end:
        yield from repeat(before.pixels(), end - number)
        given += end - number
    return given, seconds


def measure(times: Sequence[Fraction], duration: Fraction, rate: Fraction, longest_gap: Fraction) -> Length:
    """The length of a clip.

    Args:
        times: of all its frames in order, in seconds after the first one.
        duration: of the last one, in seconds; 0 where the file does not say.
        rate: its nominal rate, in frames per second.
        longest_gap: as for `on_grid`.
    """
    jumps = tuple((a, b) for a, b in pairwise(times) if b - a > longest_gap)
    change = Fraction(0)
    if len(times) > 1 and times[-1] - times[-2] <= longest_gap:
        change = _change(times[-2], times[-1], rate)
    return Length(rate, times[-1] + _hold(duration, rate, longest_gap), change, jumps)


def _nearest(number: Fraction) -> int:
    """The nearest whole number; always the higher of two, so that equal times of whole frames have equally many."""
    return floor(number + Fraction(1, 2))


def _exactly(seconds: float) -> Fraction:
    """The time that a float stands for, to the microsecond: 0.1 is a tenth, and 0.1 + 0.2 three of them."""
    return Fraction(seconds).limit_denominator(1_000_000)


def _change(before: Fraction, after: Fraction, nominal: Fraction) -> Fraction:
    """When one frame takes another's place on the grid: at its time, or a little earlier, as times are rounded."""
    return after - min(after - before, 1 / nominal) / 2


def _hold(duration: Fraction, rate: Fraction, longest_gap: Fraction) -> Fraction:
    """Seconds that the last frame is shown."""
    hold = max(duration, 1 / rate)
    return hold if hold <= longest_gap else 1 / rate


def _reach(rate: Fraction, nominal: Fraction) -> Fraction:
    """Seconds that a frame counts for on either side of it, at a jump."""
    return min(1 / (2 * min(rate, nominal)), LONGEST_GAP_OF_STREAMS / 2)


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
