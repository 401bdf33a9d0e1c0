"""What somebody should know of clips before training on them, in plain words, with the field that mends it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from dvdgan.data.inspect.clip import InspectedClip
from dvdgan.data.layouts.listing import TEST, TRAIN
from dvdgan.data.layouts.splits import leaks
from dvdgan.wording import counted, some_of

_FEW = 10  # a class with fewer clips to train on is named
_UNEVEN = 10  # classes are uneven where the largest has more than this many times the clips of the smallest
_WINDOWS = (12, 16, 24, 48)  # frames: lengths of windows that are in use. The paper's are 12 and 48, and 16 on UCF-101
_ALIKE = 1.05  # times: frame rates and aspect ratios that differ less are taken for the same
_NAMED = 3  # examples in a hint
_listed = partial(some_of, most=_NAMED)


@dataclass(frozen=True)
class Hint:
    """Something to know."""

    kind: str  # a fixed name for it, such as ``few-clips``
    text: str  # one paragraph
    about: list[str]  # the clips, classes or groups that it is about, all of them


def near_copies_across(clips: Sequence[InspectedClip], near: Iterable[list[int]]) -> list[list[int]]:
    """The groups of near copies with clips both to train on and to test with."""
    return [group for group in near if {TRAIN, TEST} <= {clips[index].entry.split for index in group}]


def find_hints(
    clips: Sequence[InspectedClip],
    classes: Sequence[str],
    near: Sequence[list[int]],
    size: int,
    target_fps: float | None = None,
) -> list[Hint]:
    """Everything that is worth saying, the most harmful first.

    Args:
        clips: those that can be used.
        classes: names of the classes; empty if clips have none.
        near: groups of near copies, as indices of clips.
        size: pixels of the short side at which the clips are to be packed.
        target_fps: frames per second at which all are to be packed; None: each at its own rate.
    """
    if not clips:
        return []
    training = [clip for clip in clips if clip.entry.split != TEST]
    return [
        *_across_splits(clips, near),
        *_across_classes(clips, classes, near),
        *_leaking_groups(clips),
        *_class_sizes(training, classes),
        *_copies(clips, near),
        *_not_moving(clips),
        *_short(clips),
        *_rates(clips, target_fps),
        *_shapes(clips),
        *_small(clips, size),
        *_alpha(clips),
        *_hdr(clips),
    ]


def _across_splits(clips: Sequence[InspectedClip], near: Sequence[list[int]]) -> Iterator[Hint]:
    if groups := near_copies_across(clips, near):
        examples = []
        for group in groups[:_NAMED]:
            first = {clips[index].entry.split: clips[index].entry.source for index in reversed(group)}
            examples.append(f"{first[TRAIN]} (train) and {first[TEST]} (test)")
        text = (
            f"Near copies across the split: {counted(len(groups), 'group')}, such as {'; '.join(examples)}. What is "
            "learnt by heart then looks like skill in every score. Keep near copies on one side, by groups "
            "(data.group, or a list's column group) or by the source's split."
        )
        yield Hint("near-copies-across-splits", text, _sources(clips, groups))


def _across_classes(
    clips: Sequence[InspectedClip], classes: Sequence[str], near: Sequence[list[int]]
) -> Iterator[Hint]:
    groups = [group for group in near if len({clips[index].entry.label for index in group}) > 1]
    if groups and classes:
        examples = []
        for group in groups[:_NAMED]:
            first = clips[group[0]]
            other = next(clips[index] for index in group if clips[index].entry.label != first.entry.label)
            examples.append(f"{first.entry.source} and {other.entry.source}")
        text = (
            f"Near copies across classes: {counted(len(groups), 'group')}, such as {'; '.join(examples)}. A label is "
            "wrong, or these classes hardly differ."
        )
        yield Hint("near-copies-across-classes", text, _sources(clips, groups))


def _leaking_groups(clips: Sequence[InspectedClip]) -> Iterator[Hint]:
    named = [clip for clip in clips if clip.entry.group]
    if torn := leaks([clip.entry.group for clip in named], [clip.entry.split for clip in named]):
        text = (
            f"Groups across the split: {counted(len(torn), 'group')} with clips on both sides ({_listed(torn)}). Near "
            "copies of what was trained on make every score look better than it is. Mend the source's split."
        )
        yield Hint("groups-across-splits", text, torn)


def _class_sizes(training: Sequence[InspectedClip], classes: Sequence[str]) -> Iterator[Hint]:
    if not classes and len(training) < _FEW:
        yield Hint("few-clips", f"Few clips: {len(training)} to train on. They are learnt by heart. Add clips.", [])
    counts = Counter(clip.entry.label for clip in training)
    sizes = sorted((counts[label], name) for label, name in enumerate(classes))
    if none := [name for count, name in sizes if count == 0]:
        text = f"Classes without a clip to train on: {len(none)} of {len(classes)} ({_listed(none)})."
        yield Hint("empty-classes", text, none)
    sizes = [(count, name) for count, name in sizes if count]
    if few := [(count, name) for count, name in sizes if count < _FEW]:
        named = [f"{name} with {count}" for count, name in few]
        text = (
            f"Classes with fewer than {_FEW} clips to train on: {len(few)} of {len(classes)} ({_listed(named)}). They "
            "are learnt by heart. Add clips, or leave these classes out."
        )
        yield Hint("few-clips", text, [name for _, name in few])
    if sizes and sizes[-1][0] > _UNEVEN * sizes[0][0]:
        (least, smallest), (most, largest) = sizes[0], sizes[-1]
        text = (
            f"Uneven classes: {most:,} clips of {largest} to train on, {least:,} of {smallest}. "
            "data.sampling=by_class draws every class equally often."
        )
        yield Hint("uneven-classes", text, [largest, smallest])


def _copies(clips: Sequence[InspectedClip], near: Sequence[list[int]]) -> Iterator[Hint]:
    training = sum(clip.entry.split != TEST for clip in clips)
    parts = [[index for index in group if clips[index].entry.split != TEST] for group in near]
    if groups := [group for group in parts if len(group) > 1]:
        examples = [f"{clips[group[0]].entry.source} and {clips[group[1]].entry.source}" for group in groups[:_NAMED]]
        text = (
            f"Near copies: {sum(map(len, groups)):,} of {counted(training, 'clip')} to train on, in "
            f"{counted(len(groups), 'group')}, such as {'; '.join(examples)}. They add no variety, and draw "
            "training to what they show. Leave copies out unless they are meant."
        )
        yield Hint("near-copies", text, _sources(clips, groups))


def _not_moving(clips: Sequence[InspectedClip]) -> Iterator[Hint]:
    if still := [clip.entry.source for clip in clips if clip.still]:
        text = (
            f"Stills: all frames are equal in {_of(still, clips)} ({_listed(still)}). They teach that a clip need not "
            "move. Leave them out."
        )
        yield Hint("stills", text, still)
    if single := [clip.entry.source for clip in clips if clip.header.frames == 1]:
        text = (
            f"One frame only: {_of(single, clips)} ({_listed(single)}). They train networks for pictures "
            "(network.frames=1), and no others."
        )
        yield Hint("one-frame", text, single)


def _short(clips: Sequence[InspectedClip]) -> Iterator[Hint]:
    moving = [clip for clip in clips if clip.header.frames > 1]
    counts = [(frames, sum(clip.header.frames < frames for clip in moving)) for frames in _WINDOWS]
    if named := [f"{frames} frames in {count:,}" for frames, count in counts if count]:
        text = (
            f"Short clips: fewer than {', '.join(named)} of {counted(len(clips), 'clip')}. A run needs "
            "(network.frames - 1) x data.stride + 1 frames of each; data.short says what becomes of clips with fewer."
        )
        yield Hint("short-clips", text, [clip.entry.source for clip in moving if clip.header.frames < _WINDOWS[-1]])


def _rates(clips: Sequence[InspectedClip], target_fps: float | None) -> Iterator[Hint]:
    moving = [clip for clip in clips if clip.header.frames > 1]
    rates = sorted(clip.header.fps for clip in moving)
    if target_fps is None and rates and rates[-1] > _ALIKE * rates[0]:
        usual, count = Counter(map(rate_name, rates)).most_common(1)[0]
        text = (
            f"Mixed frame rates: {rate_name(rates[0])} to {rate_name(rates[-1])} fps ({usual} in {count:,} of "
            f"{counted(len(moving), 'clip')}). The same movement is fast in one clip and slow in another. Set "
            f"data.target_fps={usual}, or what suits."
        )
        about = [clip.entry.source for clip in moving if not 1 / _ALIKE <= clip.header.fps / float(usual) <= _ALIKE]
        yield Hint("mixed-rates", text, about)
    if varying := [clip.entry.source for clip in moving if clip.header.variable]:
        text = (
            f"Varying frame rate: within {_of(varying, clips)} ({_listed(varying)}). Frames are taken at an even rate, "
            "by their timestamps, so some are repeated or left out."
        )
        yield Hint("variable-rates", text, varying)


def _shapes(clips: Sequence[InspectedClip]) -> Iterator[Hint]:
    shapes = sorted(clip.header.width / clip.header.height for clip in clips)
    cuts = {
        clip.entry.source: 1 - min(clip.header.width, clip.header.height) / max(clip.header.width, clip.header.height)
        for clip in clips
    }
    if long := {source: cut for source, cut in cuts.items() if cut > 1 - 1 / _ALIKE}:
        least, most = (f"{100 * cut:.0f}" for cut in (min(long.values()), max(long.values())))
        title = "Frames that are not square: width by height"
        if shapes[-1] > _ALIKE * shapes[0]:
            title = f"Mixed aspect ratios: width by height {shapes[0]:.2f} to"
        text = (
            f"{title} {shapes[-1]:.2f}. The square in the middle, which is trained on, leaves out "
            f"{least if least == most else f'{least} to {most}'} % of the frames of {_of(list(long), clips)}. "
            "data.crop=random shows other parts, too."
        )
        yield Hint("aspect-ratios", text, list(long))


def _small(clips: Sequence[InspectedClip], size: int) -> Iterator[Hint]:
    if small := [clip for clip in clips if min(clip.header.width, clip.header.height) < size]:
        least = min(small, key=lambda clip: min(clip.header.width, clip.header.height))
        smallest = f"{least.header.width}x{least.header.height}"
        text = (
            f"Small frames: {_of(small, clips)}, the smallest {smallest}. At {size} pixels they are enlarged, and soft."
        )
        yield Hint("small-frames", text, [clip.entry.source for clip in small])


def _alpha(clips: Sequence[InspectedClip]) -> Iterator[Hint]:
    if clear := [clip.entry.source for clip in clips if clip.header.alpha]:
        text = (
            f"Transparent pixels: in {_of(clear, clips)}. What shows through is white, unless data.background says "
            "otherwise; random draws another colour each time."
        )
        yield Hint("transparent", text, clear)


def _hdr(clips: Sequence[InspectedClip]) -> Iterator[Hint]:
    if bright := [clip.entry.source for clip in clips if clip.header.hdr]:
        text = (
            f"High dynamic range (HLG or PQ): {_of(bright, clips)} ({_listed(bright)}). They are tone-mapped to "
            "standard range: white stays white, and what is brighter is nearly so."
        )
        yield Hint("hdr", text, bright)


def rate_name(fps: float) -> str:
    """A frame rate for people: 24, 23.98."""
    return f"{fps:.4g}"


def _sources(clips: Sequence[InspectedClip], groups: Iterable[list[int]]) -> list[str]:
    return [clips[index].entry.source for group in groups for index in group]


def _of(some: Sequence[object], clips: Sequence[InspectedClip]) -> str:
    return f"{len(some):,} of {counted(len(clips), 'clip')}"
