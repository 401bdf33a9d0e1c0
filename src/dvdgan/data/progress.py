"""The progress bar of what is done with many clips."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")


def with_progress(items: Iterable[Item], title: str, shown: bool, total: int | None = None) -> Iterator[Item]:
    """The items, under a progress bar on stderr.

    Args:
        items: anything.
        title: what is done with them.
        shown: whether there is a bar.
        total: how many items there are, where they have no length.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as progress:
        yield from progress.track(items, total=total, description=title)
