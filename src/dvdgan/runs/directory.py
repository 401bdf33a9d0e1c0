"""The directory of a run: one training at a time works in it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from dvdgan.documents import DocumentError, read_text
from dvdgan.runs.checkpoint import is_checkpoint, list_checkpoints

_MARK = "a run of dvdgan\n"  # in the lock file: what lies beside it with a run's names is the program's
_MOST_MARK = 1 << 16
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

    WRITTEN = frozenset({".lock", "log.jsonl", "checkpoints", "tensorboard"})
    """Names of what is written, and of folders in which something is."""

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
            TrainingError: another training is at work here; the directory holds something else, or links, or cannot
                be made.
        """
        self._check_place()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except (NotADirectoryError, PermissionError) as error:
            raise TrainingError(f"{self.path}: cannot be made ({error.strerror}); choose another --out") from None
        lock = FileLock(self._lock, timeout=_PATIENCE)
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
            self._mark()
            yield
        finally:
            lock.release()

    @property
    def is_run(self) -> bool:
        """Whether a training of this program has worked in the directory."""
        return self._marked or any(map(is_checkpoint, self.checkpoints[-1:]))

    @property
    def _lock(self) -> Path:
        return self.path / ".lock"

    @property
    def _marked(self) -> bool:
        try:
            return read_text(self._lock, _MOST_MARK).startswith(_MARK)
        except (FileNotFoundError, DocumentError):
            return False

    def _mark(self) -> None:
        if not self._marked:
            with open(self._lock, "a", encoding="utf-8") as file:
                file.write(_MARK)

    def _check_place(self) -> None:
        """Refuse a directory that is not empty and no run, and links through which a run would write elsewhere."""
        if not self.path.is_dir():
            if os.path.lexists(self.path):
                raise TrainingError(f"{self.path}: exists and is no directory; choose another --out")
            return
        names = set(os.listdir(self.path))
        if names and not self.is_run and (names != {".lock"} or self._lock.is_symlink() or self._lock.stat().st_size):
            raise TrainingError(
                f"{self.path}: is neither empty nor a run of dvdgan; choose another --out, such as {self.path / 'run'}"
            )
        if "log.jsonl" in names and not (self.path / "log.jsonl").is_file():
            raise TrainingError(f"{self.path / 'log.jsonl'}: is no regular file; move it away")
        for name in sorted(names & self.WRITTEN):
            if (self.path / name).is_symlink():
                raise TrainingError(
                    f"{self.path / name}: is a link, and a run writes nothing elsewhere; put what it leads to in its "
                    "place, or choose another --out"
                )
