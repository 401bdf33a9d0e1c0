"""What is raised when clips cannot be used: one line that names what is wrong, where, and the mend."""

from __future__ import annotations

from pathlib import Path


class DataError(ValueError):
    """Clips that cannot be used; the message is one line that names what is wrong and where."""


class ClipError(DataError):
    """A file that cannot be read as a clip; the message is one line that names the file and the reason."""

    def __init__(self, path: str | Path, reason: str) -> None:
        """Say what is wrong with which file."""
        super().__init__(f"{path}: {reason}")
        self.path = Path(path)
        self.reason = reason
