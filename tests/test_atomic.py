import os

import pytest

from dvdgan.atomic import atomic_path


@pytest.mark.parametrize("synced", [False, True])
@pytest.mark.parametrize("when", ["in the writing", "before the rename"])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, synced, when):
    path = tmp_path / "a.txt"
    with atomic_path(path, synced) as temporary:
        temporary.write_text("old")

    def fail(*_):
        raise RuntimeError

    def write():
        with atomic_path(path, synced) as temporary:
            temporary.write_text("half")
            if when == "in the writing":
                fail()

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(RuntimeError):
        write()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_synced_file_and_its_name_reach_the_disk(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("os.fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    with atomic_path(tmp_path / "a.txt", synced=True) as temporary:
        temporary.write_text("new")
    assert synced == [path.stat().st_ino for path in (tmp_path / "a.txt", tmp_path)]
