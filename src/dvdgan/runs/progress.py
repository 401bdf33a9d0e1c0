"""The progress bar of a training: on a terminal a bar with the time left, elsewhere a line per log entry."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn


class ProgressDisplay:
    """Shows how far a training is and when it will end.

    Args:
        title: what the bar is of.
        step: steps done.
        steps: steps in all.
        seconds: seconds trained so far.
        minutes: the budget, or None.
        say: where lines go when there is no terminal.
        enabled: False shows no bar and says nothing but notes.
    """

    def __init__(
        self,
        title: str,
        step: int,
        steps: int,
        seconds: float,
        minutes: float | None,
        say: Callable[[str], None],
        enabled: bool = True,
    ) -> None:
        self.first_step, self.first_seconds = step, seconds
        self.steps, self.minutes, self.say, self.enabled = steps, minutes, say, enabled
        self.console = Console()
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[status]}"))
        self.bar = Progress(*columns, console=self.console, disable=not (enabled and self.console.is_terminal))
        self.task = self.bar.add_task(title, total=1.0, status="")
        self.bar.update(self.task, completed=self._done(step, seconds))

    def __enter__(self) -> ProgressDisplay:
        self.bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.stop()

    def show(self, step: int, seconds: float, figures: str | None) -> None:
        """Move the bar; with the main figures of a line of the log, say them."""
        left = self._seconds_left(step, seconds)
        status = f"step {step}, {left / 60:.1f} min left"
        self.bar.update(self.task, completed=self._done(step, seconds), status=status)
        if figures is not None and self.enabled and not self.console.is_terminal:
            pace = (seconds - self.first_seconds) / max(step - self.first_step, 1)
            self.say(f"{status}, {pace:.2f} s a step, {figures}")

    def note(self, text: str) -> None:
        """Say a line for the user without tearing the bar."""
        if self.console.is_terminal:
            self.console.print(text, markup=False, highlight=False)
        else:
            self.say(text)

    def _done(self, step: int, seconds: float) -> float:
        by_time = seconds / (60 * self.minutes) if self.minutes else 0.0
        return min(max(step / self.steps, by_time), 1.0)

    def _seconds_left(self, step: int, seconds: float) -> float:
        pace = (seconds - self.first_seconds) / max(step - self.first_step, 1)
        left = pace * (self.steps - step)
        return max(0.0, min(left, 60 * self.minutes - seconds) if self.minutes else left)
