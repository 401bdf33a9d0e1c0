"""The progress bar of what is done with many clips."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")
Advance = Callable[[int], None]
"""Called with how many more things are done."""

_hidden = ContextVar("_hidden", default=False)


@contextmanager
def hidden_progress(hidden: bool = True) -> Iterator[None]:
    """Show no progress bars meanwhile: where another process, or another bar, speaks."""
    token = _hidden.set(hidden or _hidden.get())
    try:
        yield
    finally:
        _hidden.reset(token)


@contextmanager
def progress_bar(title: str, total: int | None) -> Iterator[Advance]:
    """A progress bar on stderr over so many things, None if that is not known; none over one thing or nothing."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=_hidden.get() or total in (0, 1)) as progress:
        task = progress.add_task(title, total=total)
        yield lambda count: progress.advance(task, count)


def with_progress(items: Iterable[Item], title: str, total: int | None = None) -> Iterator[Item]:
    """The items, under a progress bar on stderr; `total` is their number where they have no length."""
    with progress_bar(title, len(items) if total is None and isinstance(items, Sized) else total) as advance:
        for item in items:
            yield item
            advance(1)
