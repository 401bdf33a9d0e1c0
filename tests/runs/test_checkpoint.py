import contextlib
import errno
import os
import re
import subprocess

import pytest
import torch
from safetensors.torch import save_file

from dvdgan.runs import checkpoint
from dvdgan.runs.checkpoint import (
    CheckpointError,
    list_checkpoints,
    load_checkpoint,
    restore_newest,
    save_and_prune,
    save_checkpoint,
    saved_checkpoints,
)
from dvdgan.runs.retention import Retention
from support.runs import quiet

NUMBERS = {"step": 1, "score": 2.5, "means": {"loss": [0.1, 3]}}


def tensors(value=1.0):
    return {
        "weights": torch.full((3, 4), value),
        "half": torch.full((5,), value, dtype=torch.bfloat16),
        "count": torch.tensor(7),
        "layout": torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "empty": torch.zeros(0),
    }


def steps_in(folder):
    return [int(path.stem[5:]) for path in list_checkpoints(folder)]


def fail_when_full(monkeypatch, times, error=None):
    """The first writes fail as on a full disk, with part of the file written."""
    real, left = checkpoint.save_file, [times]

    def write(values, path, metadata):
        if left[0]:
            left[0] -= 1
            path.write_bytes(b"part")
            raise error or OSError(errno.ENOSPC, "No space left on device", str(path))
        real(values, path, metadata)

    monkeypatch.setattr(checkpoint, "save_file", write)


def test_what_is_saved_is_loaded(tmp_path):
    saved = tensors()
    found, numbers = load_checkpoint(save_checkpoint(tmp_path, 1, saved, NUMBERS))
    assert numbers == NUMBERS
    assert set(found) == set(saved)
    assert all(torch.equal(found[name], value) and found[name].dtype == value.dtype for name, value in saved.items())
    assert [(kept.step, kept.score) for kept in saved_checkpoints(tmp_path)] == [(1, 2.5)]
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001.safetensors"]


def test_every_flipped_bit_is_found(tmp_path):
    path = save_checkpoint(tmp_path, 1, tensors(), NUMBERS)
    saved, _ = load_checkpoint(path)
    whole = path.read_bytes()
    found = 0
    for place in {*range(0, len(whole), 37), len(whole) - 1}:
        broken = bytearray(whole)
        broken[place] ^= 4
        path.write_bytes(bytes(broken))
        with contextlib.suppress(CheckpointError):
            # where nothing is raised, the bit changed nothing that is read, such as the order of the header's padding
            values, numbers = load_checkpoint(path)
            assert numbers == NUMBERS
            assert all(torch.equal(values[name], value) for name, value in saved.items()), place
            continue
        found += 1
    assert found >= len(whole) // 37 - 1
    path.write_bytes(whole)
    load_checkpoint(path)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x00" * 100])
def test_foreign_files_are_refused(tmp_path, content):
    path = tmp_path / "step-00000001.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"step-00000001\.safetensors"):
        load_checkpoint(path)
    save_file({"a": torch.ones(1)}, path)
    with pytest.raises(CheckpointError, match=r"step-00000001\.safetensors"):
        load_checkpoint(path)


def test_the_newest_whole_one_is_restored_and_damaged_ones_are_put_aside(tmp_path):
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, step, tensors(step), NUMBERS | {"step": step})
    for step in (2, 3):
        path = tmp_path / f"step-{step:08d}.safetensors"
        path.write_bytes(path.read_bytes()[:-1])
    restored, said = [], []
    numbers = restore_newest(tmp_path, lambda values, _: restored.append(values), said.append)
    assert numbers["step"] == 1
    assert torch.equal(restored[0]["weights"], torch.ones(3, 4))
    assert steps_in(tmp_path) == [1]
    assert {path.name for path in tmp_path.iterdir()} == {
        "step-00000001.safetensors",
        "step-00000002.safetensors.damaged",
        "step-00000003.safetensors.damaged",
    }
    assert len(said) == 4


def test_copies_and_other_files_are_left_alone(tmp_path):
    path = save_checkpoint(tmp_path, 3, tensors(), NUMBERS)
    for name in ("step-00000003-good.safetensors", "step-3.txt", "step-00000009.safetensors.damaged"):
        (tmp_path / name).write_bytes(path.read_bytes())
    retention = Retention(newest=1)
    save_and_prune(tmp_path, 4, tensors(), NUMBERS, retention, quiet)
    assert steps_in(tmp_path) == [4]
    assert len(list(tmp_path.iterdir())) == 4


def test_a_checkpoint_that_cannot_be_read_now_is_not_put_aside(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, 1, tensors(), NUMBERS)
    save_checkpoint(tmp_path, 2, tensors(), NUMBERS)

    def busy(*arguments, **options):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(checkpoint, "safe_open", busy)
    with pytest.raises(OSError, match="Too many"):
        restore_newest(tmp_path, lambda *_: None, quiet)
    assert steps_in(tmp_path) == [1, 2]


@pytest.mark.skipif(os.name == "nt", reason="needs links")
def test_a_link_to_nothing_is_told_and_neither_put_aside_nor_in_the_way(tmp_path):
    save_checkpoint(tmp_path, 1, tensors(), NUMBERS)
    (tmp_path / "step-00000002.safetensors").symlink_to(tmp_path / "away" / "step-00000002.safetensors")
    with pytest.raises(CheckpointError, match=r"step-00000002\.safetensors"):
        restore_newest(tmp_path, lambda *_: None, quiet)
    assert steps_in(tmp_path) == [1, 2]
    save_and_prune(tmp_path, 3, tensors(), NUMBERS, Retention(newest=3), quiet)
    assert steps_in(tmp_path) == [1, 2, 3]


@pytest.mark.parametrize("text", ["No space left on device (os error 28)", "Disk quota exceeded (os error 122)"])
def test_full_disks_are_recognised_in_the_words_of_safetensors(text):
    assert checkpoint.is_disk_full(checkpoint.SafetensorError(f"I/O error: {text}"))
    assert not checkpoint.is_disk_full(checkpoint.SafetensorError("I/O error: (os error 2)"))


def test_without_a_whole_checkpoint(tmp_path):
    assert restore_newest(tmp_path, lambda *_: None, quiet) is None
    (tmp_path / "step-00000001.safetensors").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="^" + re.escape(str(tmp_path))):
        restore_newest(tmp_path, lambda *_: None, quiet)
    assert steps_in(tmp_path) == [1]


def test_saving_keeps_what_is_to_stay(tmp_path):
    retention = Retention(newest=2, best=1, every=4)
    scores = [5.0, 3.0, 1.0, None, 2.0, None, 6.0]
    for step, score in enumerate(scores, 1):
        save_and_prune(tmp_path, step, tensors(), NUMBERS | {"score": score}, retention, quiet)
    assert steps_in(tmp_path) == [3, 4, 6, 7]


@pytest.mark.parametrize(
    "error", [None, checkpoint.SafetensorError("I/O error: No space left on device (os error 28)")]
)
def test_a_full_disk_costs_an_older_checkpoint_before_it_costs_this_one(tmp_path, monkeypatch, error):
    retention, said = Retention(newest=3, best=1), []
    for step, score in ((1, 1.0), (2, 3.0), (3, 2.0)):
        save_and_prune(tmp_path, step, tensors(), NUMBERS | {"score": score}, retention, quiet)
    fail_when_full(monkeypatch, 1, error)
    save_and_prune(tmp_path, 4, tensors(), NUMBERS, retention, said.append)
    assert steps_in(tmp_path) == [1, 3, 4]  # 1 is the best, and stays
    assert "the disk is full; removed step-00000002.safetensors" in said[0]
    fail_when_full(monkeypatch, 9)
    with pytest.raises(OSError, match="No space") as raised:
        save_and_prune(tmp_path, 5, tensors(), NUMBERS, retention, quiet)
    assert checkpoint.is_disk_full(raised.value)
    assert steps_in(tmp_path) == [1, 4]
    assert load_checkpoint(list_checkpoints(tmp_path)[-1])[1] == NUMBERS
    assert not list(tmp_path.glob(".*"))


def test_other_errors_of_the_disk_remove_nothing(tmp_path, monkeypatch):
    for step in (1, 2):
        save_and_prune(tmp_path, step, tensors(), NUMBERS, Retention(), quiet)
    fail_when_full(monkeypatch, 9, PermissionError(errno.EACCES, "Permission denied"))
    with pytest.raises(PermissionError):
        save_and_prune(tmp_path, 3, tensors(), NUMBERS, Retention(), quiet)
    assert steps_in(tmp_path) == [1, 2]


def test_a_disk_that_is_really_full(tmp_path):
    """On a file system of 200 kB."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(small)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no file systems can be mounted here")
    try:
        large = {"weights": torch.ones(20_000)}  # 80 kB
        for step in (1, 2):
            save_and_prune(small, step, large, NUMBERS, Retention(), quiet)
        said = []
        save_and_prune(small, 3, large, NUMBERS, Retention(), said.append)
        assert steps_in(small) == [2, 3]
        assert "the disk is full" in said[0]
        (small / "other").write_bytes(bytes(os.statvfs(small).f_bavail * os.statvfs(small).f_frsize))
        with pytest.raises(OSError, match="No space"):
            save_and_prune(small, 4, {"weights": torch.ones(40_000)}, NUMBERS, Retention(), quiet)
        assert steps_in(small) == [3]
        assert load_checkpoint(list_checkpoints(small)[-1])[1] == NUMBERS
    finally:
        subprocess.run(["umount", str(small)], check=True)
