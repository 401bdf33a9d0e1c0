"""What is raised when clips cannot be used: one line that names what is wrong, where, and the mend."""

from __future__ import annotations

from pathlib import Path


class DataError(ValueError):
    """Clips that cannot be used; the message is one line that names what is wrong and where."""


class PathError(DataError):
    """A file or directory that cannot be used; the message is its path and the reason."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = Path(path), reason


class ClipError(PathError):
    """A file that cannot be read as a clip."""
