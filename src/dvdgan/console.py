"""Text for people: whatever it holds and wherever it goes, showing it ends no work."""

from __future__ import annotations

import contextlib
import os
import sys
import unicodedata

_KEPT = "\n\t\u200c\u200d"  # the joiners are part of emoji and of several scripts
_closed: set[bool] = set()  # of the two streams, those that took no more


def printable(text: str) -> str:
    r"""Text without what would move the cursor or cannot be shown: control characters become ``\x1b`` and the like."""
    return "".join(
        character
        if character in _KEPT or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


def one_line(text: str) -> str:
    """Printable text of which no name, such as a file's, makes several lines."""
    return printable(" ".join(text.splitlines()))


def say(text: object, err: bool = False) -> None:
    """Print a line on stdout, or on stderr.

    What the stream's encoding lacks is escaped. A stream that is closed or full is given up: later lines go nowhere,
    and nothing is raised.
    """
    if err in _closed:
        return
    stream = sys.stderr if err else sys.stdout
    try:
        encoding = getattr(stream, "encoding", None) or "utf-8"
        line = printable(str(text)).encode(encoding, "backslashreplace").decode(encoding)
        stream.write(line + "\n")
        stream.flush()
    except (OSError, ValueError):  # a reader that is gone, a full disk, a closed file
        _closed.add(err)
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # nothing is left for Python to write at its end
