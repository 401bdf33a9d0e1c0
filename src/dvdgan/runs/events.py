"""Events of a run: what began or ended to be wrong, and settings that were changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """One line of the log that is no measurement.

    Attributes:
        step: steps done.
        event: what.
        about: which class or network; None for all.
        state: ``raised``, ``cleared`` or ``note``.
        message: one line with the figure and its threshold.
        advice: what to do about it; empty unless it was raised.
    """

    step: int
    event: str
    about: str | None
    state: str
    message: str
    advice: str = ""

    def line(self) -> dict[str, Any]:
        """The line of the log."""
        return asdict(self)

    @classmethod
    def from_line(cls, step: int, line: Mapping[str, Any]) -> Event:
        """The event of a line of this step, whatever else is missing in it or of another type."""
        event, about, *others = (str(line.get(name) or "") for name in ("event", "about", "state", "message", "advice"))
        return cls(step, event, about or None, *others)

    def __str__(self) -> str:
        about = f" ({self.about})" if self.about else ""
        if self.state == "cleared":
            return f"step {self.step}: no longer: {self.event}{about}: {self.message}"
        return f"warning: step {self.step}: {self.event}{about}: {self.message}; {self.advice}"


def in_lines(events: Sequence[Event]) -> list[str]:
    """Events for the screen: a line for each kind, whatever the number of classes that it is about."""
    kinds: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        kinds.setdefault((event.event, event.state), []).append(event)
    lines = []
    for first, *rest in kinds.values():
        others = f" (also {', '.join(str(event.about) for event in rest)})" if rest else ""
        lines.append(f"{first}{others}")
    return lines
