import threading

import pytest
from filelock import FileLock

from dvdgan.runs.directory import RunDirectory, TrainingError


def test_one_training_at_a_time(tmp_path):
    directory = RunDirectory(tmp_path / "run")
    with directory.locked(), pytest.raises(TrainingError, match="--out"), directory.locked():
        pass
    with directory.locked():
        pass


def test_a_lock_that_is_held_for_a_moment_is_waited_for(tmp_path):
    """As by a report, which looks whether a training is at work."""
    lock = FileLock(tmp_path / ".lock", thread_local=False)
    lock.acquire()
    threading.Timer(0.1, lock.release).start()
    with RunDirectory(tmp_path).locked():
        pass


def test_a_place_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    refused = pytest.raises(TrainingError, match=r"run: cannot be made \(Not a directory\); choose another --out")
    with refused, RunDirectory(tmp_path / "file" / "run").locked():
        pass
