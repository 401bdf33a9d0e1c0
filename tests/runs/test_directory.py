import threading

import pytest
from filelock import FileLock

from dvdgan.runs.directory import RunDirectory, TrainingError, replace_text


def test_one_training_at_a_time(tmp_path):
    directory = RunDirectory(tmp_path / "run")
    with directory.locked(), pytest.raises(TrainingError, match="another training"), directory.locked():
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


def test_replaced_text_is_whole_or_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    replace_text(path, "first")
    monkeypatch.setattr("os.replace", lambda *_: pytest.fail("killed"))
    with pytest.raises(pytest.fail.Exception):
        replace_text(path, "second")
    assert path.read_text() == "first"
