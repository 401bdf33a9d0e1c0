"""An `Inspection`, shown: a table for the screen, a sheet of thumbnails, and JSON."""

from __future__ import annotations

import json
import re
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict

import numpy as np
from rich.cells import cell_len
from rich.filesize import decimal
from rich.text import Text

from dvdgan.console import printable
from dvdgan.data.errors import DataError
from dvdgan.data.inspect.inspection import SHOWN_CLASSES, Inspection
from dvdgan.data.inspect.summary import Spread, Summary
from dvdgan.data.write.sheets import clip_sheet
from dvdgan.wording import counted

_WIDTH = 80  # cells of a line
_SHOWN_PROBLEMS = 20
_SHOWN_REASONS = 10
_SHOWN_VALUES = 3  # sizes, rates or formats in a line of the totals
_SHEET_ROWS = 36  # about
_NAME = 24  # cells: the widest name of a class on the screen and on the sheet
_GAP = "  "


def as_text(inspection: Inspection) -> str:
    """Totals, a table of the classes, hints, and what cannot be used, in lines of at most 80 cells if it can be.

    `as_json` has what is left out here: classes beyond the 40 largest, problems beyond the first 20.
    """
    blocks = [_totals(inspection)]
    if inspection.classes:
        blocks.append(_table(inspection))
    if inspection.notes:
        blocks.append(["How the source was read:", *_bullets(inspection.notes)])
    if inspection.hints:
        blocks.append(["To know before training:", *_bullets(hint.text for hint in inspection.hints)])
    if inspection.problems:
        blocks.append(_problems(inspection))
    return "\n\n".join("\n".join(line.rstrip() for line in block) for block in blocks) + "\n"


def as_json(inspection: Inspection) -> str:
    """All of it but the thumbnails: an object with the fields of `Inspection`."""
    values = asdict(inspection)
    del values["thumbnails"]
    return json.dumps(values, indent=1)


def is_json_of_inspection(head: bytes, tail: bytes) -> bool:
    """Whether a file with such a beginning is what `as_json` wrote."""
    return re.match(rb'\{\n "path": ".*",\n "layout": ', head) is not None


def contact_sheet(inspection: Inspection) -> np.ndarray:
    """Thumbnails of some clips: a row for each, time to the right.

    There are about 36 rows, of the 40 largest classes. A row spans the clip, or its first 10 seconds if only headers
    were read.

    Returns:
        uint8 ``[H, W, 3]``.

    Raises:
        DataError: there is no clip to be shown.
    """
    rows: dict[str, list[np.ndarray]] = defaultdict(list)
    for name, _, thumbnails in inspection.thumbnails:
        rows[name].append(thumbnails)
    if not rows:
        raise DataError(f"{inspection.path}: no clip to be shown")
    per_class = max(1, _SHEET_ROWS // len(rows)) if inspection.classes else _SHEET_ROWS // 3
    clips, labels = [], []
    for name in [summary.name for summary in inspection.classes if summary.name in rows] or [""]:
        some = np.unique(np.linspace(0, len(rows[name]) - 1, per_class).round().astype(int))
        clips += [rows[name][index] for index in some]
        labels += [_cut(_plain(name), _NAME).rstrip()] * len(some)
    return clip_sheet(np.stack(clips), labels, scale=1)


def _totals(inspection: Inspection) -> list[str]:
    total, classes = inspection.total, len(inspection.classes)
    kinds = {"store": "packed store", "flat": "clips without classes", "list": "list", "frames": "folders of frames"}
    layout = kinds.get(inspection.layout, inspection.layout)
    title = [layout, counted(classes, "class") if classes else "no classes"]
    lines = [_plain(inspection.path), ", ".join(dict.fromkeys(title))]
    clips = counted(total.clips, "clip")
    if total.train or total.test:
        rest = total.clips - total.train - total.test
        clips += f": {total.train:,} train, {total.test:,} test" + (f", {rest:,} neither" if rest else "")
    if total.problems:
        clips += f"; {total.problems:,} cannot be used"
    rows = [("clips", clips)]
    if total.clips:
        span = f"; {total.smallest} to {total.largest}" if len(total.sizes) > _SHOWN_VALUES else ""
        varying = f"; varies within {total.variable:,}" if total.variable else ""
        rows += [
            ("length", f"{_time(total.seconds)}, {total.frames:,} frames; a clip has {_lengths(total)}"),
            ("size", f"{_tally(total.sizes)}{span}"),
            ("rate", f"{_tally(total.rates, ' fps') or 'none'}{varying}"),
            ("format", _tally(total.formats) + (f"; {total.alpha:,} with transparency" if total.alpha else "")),
            *([("colour", f"{total.hdr:,} in HDR, which are read in standard range")] if total.hdr else []),
            ("packed", f"{decimal(inspection.packed_bytes)} at {inspection.size} pixels"),
        ]
    if inspection.check == "headers":
        rows.append(("checked", "headers only: not whether clips are damaged, stand still, or are near copies"))
    for name, text in rows:
        lines += textwrap.wrap(f"{name:<9}{text}", _WIDTH, initial_indent="  ", subsequent_indent=" " * 11)
    return lines


def _table(inspection: Inspection) -> list[str]:
    """A row for each of the largest classes; columns without values are left out."""
    order = sorted(inspection.classes, key=lambda summary: -summary.clips)
    shown, more = order[:SHOWN_CLASSES], order[SHOWN_CLASSES:]
    split = inspection.total.train or inspection.total.test
    columns = [
        ("class", [_plain(summary.name) for summary in shown]),
        ("clips", [f"{summary.clips:,}" for summary in shown]),
        ("train", [f"{summary.train:,}" for summary in shown] if split else []),
        ("test", [f"{summary.test:,}" for summary in shown] if split else []),
        ("bad", [f"{summary.problems:,}" for summary in shown] if any(s.problems for s in order) else []),
        ("time", [_time(summary.seconds) for summary in shown]),
        ("frames", [_spread(summary.frames_per_clip) for summary in shown]),
        ("size", [_commonest(summary.sizes) for summary in shown]),
        ("fps", [_commonest(summary.rates) for summary in shown]),
    ]
    columns = [(title, cells) for title, cells in columns if cells]
    widths = [max(map(cell_len, [title, *cells])) for title, cells in columns]
    spare = _WIDTH - sum(widths[1:]) - len(_GAP) * (len(widths) - 1)
    widths[0] = min(widths[0], max(_NAME // 2, spare))
    lines = []
    for row in zip(*([title, *cells] for title, cells in columns)):
        name = _cut(row[0], widths[0])
        lines.append(_GAP.join([name, *(" " * (w - cell_len(cell)) + cell for cell, w in zip(row[1:], widths[1:]))]))
    if more:
        least, most = more[-1].clips, more[0].clips
        each = f"{most:,} clips each" if least == most else f"{least:,} to {most:,} clips"
        lines.append(f"and {counted(len(more), 'more class')}, of {each}")
    return lines


def _problems(inspection: Inspection) -> list[str]:
    problems = inspection.problems
    lines = [f"Cannot be used ({len(problems):,}):"]
    shown = problems[:_SHOWN_PROBLEMS]
    lines += _bullets(f"{problem.source}: {problem.reason}" for problem in shown)
    if len(problems) > len(shown):
        lines.append(f"  and {len(problems) - len(shown):,} more. By reason:")
        reasons = Counter(problem.reason for problem in problems).most_common()
        lines += _bullets(f"{count:,}: {reason}" for reason, count in reasons[:_SHOWN_REASONS])
        if len(reasons) > _SHOWN_REASONS:
            lines.append(f"  and {len(reasons) - _SHOWN_REASONS:,} more reasons")
    return lines


def _bullets(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield from textwrap.wrap(
            _plain(text), _WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False
        ) or ["-"]


def _lengths(total: Summary) -> str:
    frames, seconds = total.frames_per_clip, total.seconds_per_clip
    if frames is None or seconds is None:
        return ""
    if frames.least == frames.most and seconds.least == seconds.most:
        return f"{frames.median:,.0f} frames, {seconds.median:.3g} s"
    return (
        f"{frames.least:,.0f} to {frames.most:,.0f} frames (median {frames.median:,.0f}), "
        f"{seconds.least:.3g} to {seconds.most:.3g} s ({seconds.median:.3g})"
    )


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return ""
    if spread.least == spread.most:
        return f"{spread.median:,.0f}"
    return f"{spread.median:,.0f} ({spread.least:,.0f}-{spread.most:,.0f})"


def _tally(counts: dict[str, int], unit: str = "") -> str:
    """The commonest values: alone, or each with its count."""
    names = list(counts)
    if len(names) == 1:
        return names[0] + unit
    shown = ", ".join(f"{name}{unit} ({counts[name]:,})" for name in names[:_SHOWN_VALUES])
    return shown + (f" and {len(names) - _SHOWN_VALUES:,} others" if len(names) > _SHOWN_VALUES else "")


def _commonest(counts: dict[str, int]) -> str:
    """The commonest value, and how many others there are."""
    if not counts:
        return "-"
    return next(iter(counts)) + (f" +{len(counts) - 1}" if len(counts) > 1 else "")


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes / 60:,.1f} h"


def _plain(text: str) -> str:
    """In one line, and without what moves a cursor."""
    return printable(" ".join(text.split()))


def _cut(text: str, width: int) -> str:
    """Text in exactly so many cells."""
    line = Text(text)
    line.truncate(width, overflow="ellipsis", pad=True)
    return line.plain
