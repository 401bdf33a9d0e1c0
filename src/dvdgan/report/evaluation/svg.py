"""Inline SVG for light pages and dark ones: elements, scales and ticks. Colours come from the page's classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from markupsafe import Markup, escape

Scale = Callable[[float], float]
"""From a value to a place in the drawing, in pixels."""

_CHARACTER = 6.0  # mean width of a character at the labels' size, in pixels


def tag(name: str, content: str | Markup = "", **attributes: str | float) -> Markup:
    """An SVG element; ``class_`` gives class, and other underscores become hyphens. Text and attributes are escaped."""
    parts = [
        f' {key.rstrip("_").replace("_", "-")}="{escape(_short(value))}"'
        for key, value in attributes.items()
        if value != ""
    ]
    return Markup(f"<{name}{''.join(parts)}>{escape(content)}</{name}>")


def text(x: float, y: float, content: str, anchor: str = "start", class_: str = "t", **more: str | float) -> Markup:
    """A label whose base line is at y; anchor is start, middle or end."""
    return tag("text", content, x=x, y=y, text_anchor=anchor, class_=class_, **more)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def band(x: float, y: float, width: float, height: float, class_: str, title: str = "") -> Markup:
    """A rectangle with a text that shows on hovering."""
    inside = tag("title", title) if title else ""
    return tag("rect", inside, x=x, y=y, width=max(0.0, width), height=max(0.0, height), class_=class_)


def diamond(x: float, y: float, title: str, radius: float = 6.5) -> Markup:
    """The mark of generated clips."""
    points = f"M{_short(x)} {_short(y - radius)}l{radius} {radius}l{-radius} {radius}l{-radius} {-radius}z"
    return tag("path", tag("title", title), d=points, class_="generated")


def drawing(width: float, height: float, label: str, parts: Iterable[Markup]) -> Markup:
    """The whole picture, ``width`` × ``height`` pixels, with what it shows in words."""
    return tag(
        "svg",
        Markup("").join(parts),
        viewBox=f"0 0 {_short(width)} {_short(height)}",
        width=width,
        height=height,
        role="img",
        aria_label=label,
    )


def fitting(content: str, pixels: float) -> str:
    """A text cut so that it has room."""
    most = max(2, int(pixels / _CHARACTER))
    return content if len(content) <= most else content[: most - 1] + "…"


def anchored(x: float, left: float, right: float, content: str) -> tuple[float, str]:
    """Where a label about x stands so that it lies between left and right: its x and its anchor."""
    half = len(content) * _CHARACTER / 2
    if x - half < left:
        return left, "start"
    return (right, "end") if x + half > right else (x, "middle")


def linear(low: float, high: float, start: float, end: float) -> Scale:
    """Values from low to high onto places from start to end."""
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def logarithmic(low: float, high: float, start: float, end: float) -> Scale:
    """The same on a logarithmic scale; low and high are above 0."""
    scale = linear(math.log(low), math.log(high), start, end)
    return lambda value: scale(math.log(value))


def widened(low: float, high: float, share: float = 0.06) -> tuple[float, float]:
    """A range with some room at its ends; never empty."""
    room = share * (high - low) or 0.05 * abs(high) or 0.05
    return low - room, high + room


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers between low and high."""
    step = (high - low) / max(1, about)
    if step <= 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(step))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= step * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 12) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def _short(value: str | float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
