"""What messages say alike: some of many names, and the names that may have been meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


def some_of(names: Sequence[str], most: int) -> str:
    """The first names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def counted(number: int, what: str) -> str:
    """So many things: ``1 clip``, ``1,234 classes``."""
    return f"{number:,} {what}" + ("" if number == 1 else "es" if what.endswith("s") else "s")


def did_you_mean(name: str, known: Iterable[str], otherwise: str, cutoff: float = 0.5) -> str:
    """A question that has up to three of the known names that are near a wrong one; where none is, `otherwise`.

    Args:
        name: the wrong one.
        known: those that there are.
        otherwise: what is said then.
        cutoff: how near they must be, see `difflib.get_close_matches`.
    """
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=cutoff)
    return f"did you mean {' or '.join(near)}?" if near else otherwise
