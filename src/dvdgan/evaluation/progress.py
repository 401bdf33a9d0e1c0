"""The stages of an evaluation, and the time that each takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from dvdgan.data.progress import Advance, progress_bar


class Stages:
    """What an evaluation is at.

    Attributes:
        seconds: by stage, how long it took.
    """

    def __init__(self) -> None:
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
        """A stage with a progress bar over so many things."""
        with self.timed(stage), progress_bar(title, total) as advance:
            yield advance
