"""The page's charts: how far from real, curves over truncation, confusion, distances and intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from dvdgan.evaluation.record import Baseline, Better, Confusion, Histogram, Measured, Score, Share
from dvdgan.report.evaluation.svg import (
    Scale,
    anchored,
    band,
    diamond,
    drawing,
    fitting,
    line,
    linear,
    logarithmic,
    tag,
    text,
    ticks,
    widened,
)
from dvdgan.report.evaluation.words import number, percent

_WIDTH = 340.0
_LABELLED = 40  # classes up to which a confusion matrix names its rows
_NUMBERED = 12  # and up to which it writes the shares


def ruler(score: Score) -> Markup | None:
    """Where a score lies between real clips and damaged ones, better to the left; None if there are neither."""
    value, floor = score.overall.value, score.baseline
    if value is None:
        return None
    controls = [(name, control.value) for name, control in score.controls.items() if control.value is not None]
    known = [value, *(v for _, v in controls), *(v for v in (floor.low, floor.high) if v is not None)]
    if len(known) == 1:
        return None
    left, right, axis = 14.0, _WIDTH - 14, 34.0
    low, high = min(known), max(known)
    if score.better == "lower" and low > 0 and high > 20 * low:
        scale = logarithmic(low * 0.9, high * 1.1, left, right)
    else:
        low, high = widened(low, high)
        scale = linear(low, high, left, right) if score.better == "lower" else linear(high, low, left, right)
    parts = [line(left, axis, right, axis, "axis")]
    rows: list[tuple[float, str]] = []  # places and what is written below them
    if floor.low is not None and floor.high is not None:
        ends = sorted((scale(floor.low), scale(floor.high)))
        width = max(4.0, ends[1] - ends[0])
        middle = (ends[0] + ends[1]) / 2
        parts.append(band(middle - width / 2, axis - 8, width, 16, "real", "real against real"))
        rows.append((middle, f"real {number(floor.mean or 0.0)}"))
    for name, other in controls:
        seen = score.sees(name)
        parts.append(
            tag(
                "circle",
                tag("title", f"{name}: {number(other)}" + (", not seen" if seen is False else "")),
                cx=scale(other),
                cy=axis,
                r=4,
                class_="control" + (" unseen" if seen is False else ""),
            )
        )
    visible = sorted((pair for pair in controls if score.sees(pair[0]) is not False), key=lambda pair: scale(pair[1]))
    for name, other in visible[:1] + visible[-1:] if len(visible) > 1 else visible:
        rows.append((scale(other), f"{name} {number(other)}"))
    place = scale(value)
    parts.append(diamond(place, axis, f"generated: {number(value)}"))
    x, anchor = anchored(place, left, right, f"generated {number(value)}")
    parts.append(text(x, 14, f"generated {number(value)}", anchor, "t strong"))
    heights = [axis + 24 + 15 * row for row in range(len(rows))]
    parts += [line(at, axis + 9, at, y - 11, "lead") for (at, _), y in zip(rows, heights)]
    for (at, label), y in zip(rows, heights):  # after the lines, whose colour they cover
        x, anchor = anchored(at, left, right, label)
        parts.append(text(x, y, label, anchor))
    said = f"generated {number(value)}; " + "; ".join(label for _, label in rows) + "; better is to the left"
    return drawing(_WIDTH, axis + 20 + 15 * len(rows), said, parts)


def curve(name: str, points: Sequence[tuple[float, Measured]], floor: Baseline, better: Better) -> Markup:
    """A score over truncation, with its spread and the floor's range.

    Args:
        name: the score's name.
        points: truncation and value.
        floor: drawn as a band, where there is one.
        better: which way the score points.
    """
    ordered = sorted(points, key=lambda point: point[0])
    there = [(x, m.value, *_ends(m.value, m)) for x, m in ordered if m.value is not None]
    height, left, right, top, bottom = 220.0, 52.0, _WIDTH - 14, 14.0, 184.0
    values = [end for _, _, least, most in there for end in (least, most)]
    values += [end for end in (floor.low, floor.high) if end is not None]
    low, high = widened(min(values), max(values))
    along = linear(*widened(there[0][0], there[-1][0], 0.04), left, right)
    up = linear(low, high, bottom, top)
    parts = _frame(along, up, [x for x, *_ in there], ticks(low, high), (left, right, top, bottom))
    if floor.low is not None and floor.high is not None:
        top_of = up(floor.high)
        parts.append(band(left, top_of, right - left, max(2.0, up(floor.low) - top_of), "real", "real against real"))
        inside = top_of - 4 if top_of > top + 14 else up(floor.low) + 13
        parts.append(text(right - 4, inside, "real against real", "end"))
    path = "M" + "L".join(f"{along(x):.1f} {up(y):.1f}" for x, y, *_ in there)
    parts.append(tag("path", d=path, class_="line"))
    for x, y, least, most in there:
        if most > least:
            parts.append(line(along(x), up(least), along(x), up(most), "whisker"))
        parts.append(diamond(along(x), up(y), f"truncation {x:g}: {number(y)}", 4.5))
    parts.append(text((left + right) / 2, height - 4, "truncation", "middle"))
    said = f"{name} over truncation: " + ", ".join(f"{number(y)} at {x:g}" for x, y, *_ in there)
    return drawing(_WIDTH, height, f"{said}; {better} is better", parts)


def tradeoff(x_name: str, y_name: str, points: Sequence[tuple[float, float, float]]) -> Markup:
    """Two scores against each other, a point for each truncation.

    Args:
        x_name: label of the axis to the right.
        y_name: label of the axis upwards.
        points: truncation, x and y.
    """
    height, left, right, top, bottom = 240.0, 52.0, _WIDTH - 14, 28.0, 198.0
    ordered = sorted(points)
    x_low, x_high = widened(min(p[1] for p in ordered), max(p[1] for p in ordered), 0.12)
    y_low, y_high = widened(min(p[2] for p in ordered), max(p[2] for p in ordered), 0.12)
    along, up = linear(x_low, x_high, left, right), linear(y_low, y_high, bottom, top)
    parts = _frame(along, up, ticks(x_low, x_high), ticks(y_low, y_high), (left, right, top, bottom))
    path = "M" + "L".join(f"{along(x):.1f} {up(y):.1f}" for _, x, y in ordered)
    parts.append(tag("path", d=path, class_="line"))
    rising = (ordered[-1][1] - ordered[0][1]) * (ordered[-1][2] - ordered[0][2]) > 0
    beside, anchor = (-8, "end") if rising else (8, "start")
    labels: list[tuple[float, float]] = []
    for truncation, x, y in [ordered[0], *ordered[:0:-1]]:  # the ends first: they are always named
        place, level = along(x), up(y)
        parts.append(diamond(place, level, f"truncation {truncation:g}: {number(x)}, {number(y)}", 4.5))
        if all(abs(place - a) > 24 or abs(level - b) > 13 for a, b in labels):
            parts.append(text(place + beside, level - 5, f"{truncation:g}", anchor))
            labels.append((place, level))
    parts += [text(4, 13, y_name), text((left + right) / 2, height - 6, x_name, "middle")]
    said = "; ".join(f"truncation {t:g}: {x_name} {number(x)}, {y_name} {number(y)}" for t, x, y in ordered)
    return drawing(_WIDTH, height, said, parts)


def heat_map(confusion: Confusion, side: str) -> Markup:
    """A confusion matrix, each row in shares of its class: darker is more. Only cells that are not empty are drawn.

    Args:
        confusion: the counts.
        side: whose clips, in words.
    """
    names, count = confusion.classes, len(confusion.classes)
    named = count <= _LABELLED
    longest = max((len(name) for name in names), default=0)
    left = min(96.0, 8 + 6.2 * longest) if named else 16.0
    top = min(84.0, 10 + 5.0 * longest) if named else 16.0
    cell = max(13.0 if named else 4.0, min(30.0, (_WIDTH - left - 4) / max(1, count)))
    width, height = left + cell * count + 2, top + cell * count + 2
    parts = [band(left, top, cell * count, cell * count, "empty")]
    for row, (name, counts) in enumerate(zip(names, confusion.counts)):
        total = sum(counts)
        if named:
            parts.append(text(left - 5, top + (row + 0.5) * cell + 4, fitting(name, left - 8), "end"))
            x, y = left + (row + 0.5) * cell + 4, top - 5
            turned = f"rotate(-55 {x:.1f} {y:.1f})"
            parts.append(text(x - 2, y, fitting(name, top / 0.8), "start", transform=turned))
        for column, hits in enumerate(counts):
            if not hits:
                continue
            part = hits / total
            said = f"{name}, judged {names[column]}: {percent(part)} ({hits} of {total})"
            place = {"x": left + column * cell, "y": top + row * cell, "width": cell, "height": cell}
            parts.append(
                tag("rect", tag("title", said), **place, class_="heat", fill_opacity=round(0.08 + 0.92 * part, 2))
            )
            if count <= _NUMBERED and part >= 0.005:
                middle = (left + (column + 0.5) * cell, top + (row + 0.5) * cell + 3.5)
                parts.append(text(*middle, f"{100 * part:.0f}", "middle", "cell on" if part > 0.45 else "cell"))
    right = sum(confusion.counts[k][k] for k in range(count))
    total = sum(map(sum, confusion.counts))
    said = f"confusion matrix of {side} clips, {count} classes: {right} of {total} judged as their class"
    return drawing(width, height, said, parts)


def histogram(counts: Histogram, threshold: float) -> Markup:
    """Distances to the nearest training clip: bars for generated clips, a stepped line for held-out ones."""
    height, left, right, top, bottom = 220.0, 40.0, _WIDTH - 14, 30.0, 184.0
    shares = [[c / max(1, sum(side)) for c in side] for side in (counts.generated, counts.held_out)]
    low, high = min(counts.edges[0], threshold), max(counts.edges[-1], threshold)
    tallest = max(max(side) for side in shares) or 1.0
    along, up = linear(low, high, left, right), linear(0, tallest * 1.05, bottom, top)
    parts = _frame(along, up, ticks(low, high), [], (left, right, top, bottom))
    parts += [text(left - 5, up(y) + 4, percent(y), "end") for y in ticks(0, tallest, 3)]
    path = f"M{along(counts.edges[0]):.1f} {bottom}"
    for start, end, generated, held_out in zip(counts.edges, counts.edges[1:], *shares):
        said = f"{number(start)} to {number(end)}: {percent(generated)} of generated, {percent(held_out)} of held-out"
        parts.append(
            band(
                along(start) + 0.5,
                up(generated),
                along(end) - along(start) - 1,
                bottom - up(generated),
                "generated",
                said,
            )
        )
        path += f"L{along(start):.1f} {up(held_out):.1f}L{along(end):.1f} {up(held_out):.1f}"
    parts.append(tag("path", d=f"{path}L{along(counts.edges[-1]):.1f} {bottom}", class_="steps"))
    label = "closest 5 % of held-out"
    x, anchor = anchored(along(threshold), left, right, label)
    parts += [line(along(threshold), top - 8, along(threshold), bottom, "threshold"), text(x, 13, label, anchor)]
    parts.append(text((left + right) / 2, height - 4, "distance to the nearest training clip", "middle"))
    said = "clips by distance to the nearest training clip; the closest 5 % of held-out ones lie within "
    said += number(threshold)
    return drawing(_WIDTH, height, said, parts)


def share_bar(share: Share, kind: str) -> Markup:
    """A share as a bar from 0 to 100 %, with its interval.

    Args:
        share: measured.
        kind: ``generated``, ``real`` or ``control``: the bar's class.
    """
    width, middle = 120.0, 9.0
    scale = linear(0, 1, 1, width - 1)
    parts = [band(0, middle - 5, width, 10, "empty")]
    if share.value is not None and share.low is not None and share.high is not None:
        parts.append(band(1, middle - 5, scale(share.value) - 1, 10, kind))
        parts.append(line(scale(share.low), middle, scale(share.high), middle, "whisker"))
        parts += [line(scale(end), middle - 4, scale(end), middle + 4, "whisker") for end in (share.low, share.high)]
    said = f"{percent(share.value or 0)} of {share.of}" if share.of else "not measured"
    return drawing(width, 18, said, parts)


def _ends(value: float, result: Measured) -> tuple[float, float]:
    """The ends of a bar that shows how far a value moves."""
    if result.spread is not None:
        return value - result.spread, value + result.spread
    return (value, value) if result.low is None or result.high is None else (result.low, result.high)


def _frame(
    along: Scale,
    up: Scale,
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    sides: tuple[float, float, float, float],
) -> list[Markup]:
    """Axes, grid and their numbers; sides are left, right, top and bottom."""
    left, right, _, bottom = sides
    parts = [line(left, bottom, right, bottom, "axis")]
    for y in y_ticks:
        parts += [line(left, up(y), right, up(y), "gridline"), text(left - 6, up(y) + 4, _tick(y), "end")]
    last = -math.inf
    for x in x_ticks:
        if along(x) - last >= 6 * len(_tick(x)) + 8:
            last = along(x)
            parts += [line(last, bottom, last, bottom + 4, "axis"), text(last, bottom + 17, _tick(x), "middle")]
    return parts


def _tick(value: float) -> str:
    return f"{value:,.6g}".replace("-", "−") if value == 0 or 1e-4 <= abs(value) < 1e6 else number(value)
