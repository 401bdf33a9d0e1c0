"""The directory of a run: one training at a time works in it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from dvdgan.runs.checkpoint import list_checkpoints

_PATIENCE = 0.3  # seconds: a report looks at the lock for a moment
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


class TrainingError(RuntimeError):
    """A run that cannot start or go on; the message is one line and names the mend."""


class TrainingFailed(TrainingError):
    """A run that could start, and then could not go on."""


class RunDirectory:
    """The directory that a training keeps its checkpoints and its log in.

    Args:
        path: the directory; made by `locked`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def checkpoints(self) -> list[Path]:
        """The run's checkpoints, oldest first."""
        return list_checkpoints(self.path / "checkpoints")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other trainings out while this one runs, where the file system has locks.

        Raises:
            TrainingError: another training is at work here.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / ".lock", timeout=_PATIENCE)
        try:
            lock.acquire()
        except Timeout:
            raise TrainingError(f"{self.path}: another training is at work here; wait, or use another --out") from None
        except NotImplementedError:  # a file system without locks
            pass
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        try:
            yield
        finally:
            lock.release()


def replace_text(path: Path, text: str) -> None:
    """Write a file so that it is there whole, on the disk, or as it was."""
    partial = path.with_name(f".{path.name}.partial")
    with open(partial, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
