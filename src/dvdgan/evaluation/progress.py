"""Progress bars of an evaluation's stages, and the time that each takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Advance = Callable[[int], None]
"""Called with how many more things are done."""


class Stages:
    """What an evaluation is at.

    Args:
        shown: whether there are bars, on stderr; one at a time.

    Attributes:
        seconds: by stage, how long it took.
    """

    def __init__(self, shown: bool) -> None:
        self.shown = shown
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """A stage that shows its own bars, or none."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = round(self.seconds.get(stage, 0.0) + time.perf_counter() - begun, 2)

    @contextmanager
    def bar(self, stage: str, title: str, total: int) -> Iterator[Advance]:
        """A stage with a bar over so many things."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with self.timed(stage), Progress(*columns, console=Console(stderr=True), disable=not self.shown) as progress:
            task = progress.add_task(title, total=total)
            yield lambda count: progress.advance(task, count)
