"""A writer that goes on where one of the same work was interrupted or killed."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import dvdgan.data.store.partial
from dvdgan.data.store.clip_store import ClipStore
from dvdgan.data.store.index import StoreError
from dvdgan.data.store.writer import StoreWriter

CLIPS = [np.random.default_rng(seed).integers(0, 256, (3 + seed, 8, 9, 3), np.uint8) for seed in range(6)]
CLASSES = ["a", "b", "c"]


def write(path, last=6, about=None, resume=True, classes=CLASSES, shards=None):
    """Pack all clips, of which the fourth is bad; end with an exception before the clip number `last`."""
    with StoreWriter(path, 8, classes, about or {"n": (1, 2)}, resume, shards) as writer:
        begun = sorted(writer.done)
        for number, clip in enumerate(CLIPS):
            if number == last:
                raise KeyboardInterrupt
            source = f"{number}"
            if source in writer.done:
                continue
            writer.begin_shard(number * (shards or 1) // 6)
            if number == 3:
                writer.skip(source, "bad")
            else:
                writer.add(clip, 2 * (number % 2), source, 12.5, "train", f"g{number}")
        writer.drop_unused_classes()
    return begun


def contents(path):
    return {name: (path / name).read_bytes() for name in sorted(os.listdir(path))}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    assert write(folder / "store") == []
    assert os.listdir(folder) == ["store"]
    assert ClipStore.open(folder / "store").classes == ["a", "c"]
    return contents(folder / "store")


@pytest.fixture(scope="module")
def whole_shards(tmp_path_factory):
    """In six shards, of which the fourth has no clip."""
    path = tmp_path_factory.mktemp("whole") / "store"
    write(path, shards=6)
    assert sorted(os.listdir(path)) == [*(f"clips-{number:06d}.tar" for number in range(6)), "index.json"]
    assert ClipStore.open(path).classes == CLASSES
    return contents(path)


@pytest.mark.parametrize("shards", [None, 6])
def test_an_interrupted_writer_goes_on(tmp_path, whole, whole_shards, shards):
    path = tmp_path / "store"
    for last in (3, 2, 1, 5):
        with pytest.raises(KeyboardInterrupt):
            write(path, last, shards=shards)
        assert not path.exists()
        assert os.listdir(tmp_path) == [".store.partial"]
    assert write(path, shards=shards) == ["0", "1", "2", "3", "4"]
    assert contents(path) == (whole_shards if shards else whole)
    write(path, resume=False, shards=shards)
    assert contents(path) == (whole_shards if shards else whole), "resuming or not, the bytes are the same"
    assert os.listdir(tmp_path) == ["store"]


@pytest.mark.parametrize("then", [None, 2])
def test_another_number_of_shards_starts_anew(tmp_path, whole, then):
    path = tmp_path / "store"
    with pytest.raises(KeyboardInterrupt):
        write(path, 5, shards=6)
    assert write(path, shards=then) == []
    write(tmp_path / "other", shards=then)
    assert contents(path) == contents(tmp_path / "other")


def test_a_shard_that_the_disk_has_lost_is_written_again(tmp_path, whole_shards):
    path = tmp_path / "store"
    with pytest.raises(KeyboardInterrupt):
        write(path, 5, shards=6)
    os.truncate(tmp_path / ".store.partial" / "clips-000002.tar", 700)
    assert write(path, shards=6) == ["0", "1"]
    assert contents(path) == whole_shards


def test_an_old_store_stays_until_the_new_one_is_whole(tmp_path, whole):
    path = tmp_path / "store"
    write(path, about={"n": 0})
    with pytest.raises(KeyboardInterrupt):
        write(path, 4)
    assert ClipStore.open(path).about == {"n": 0}
    write(path)
    assert contents(path) == whole


KILLED = """
import json, os, signal, sys
sys.path.insert(0, sys.argv[1])
import dvdgan.data.store.partial, dvdgan.data.store.writer
from test_store_resume import write
dvdgan.data.store.partial.SYNC_SECONDS = 0.0
die = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
exec(sys.argv[3])
write(sys.argv[2], shards=json.loads(sys.argv[4]))
"""

HALF_A_CLIP = """
real = dvdgan.data.store.writer._check_frame
seen = []
def check(*arguments):
    seen.append(1)
    return real(*arguments) if len(seen) < 10 else die()
dvdgan.data.store.writer._check_frame = check
"""
HALF_A_LINE = """
real = dvdgan.data.store.partial.write_all
def write_all(file, data):
    if b'"4"' in bytes(data) and str(file.name).endswith("log.jsonl"):
        file.write(data[: len(data) // 2])
        die()
    real(file, data)
dvdgan.data.store.partial.write_all = write_all
"""
HALF_AN_INDEX = """
import json
def dump(tree, file):
    file.write('{"format": "dvdgan-store", "clips"')
    file.flush()
    die()
json.dump = dump
"""
BEFORE_THE_RENAME = "os.rename = die"


@pytest.mark.parametrize(
    ("trap", "known"),
    [
        (HALF_A_CLIP, ["0", "1"]),
        (HALF_A_LINE, ["0", "1", "2", "3"]),
        (HALF_AN_INDEX, ["0", "1", "2", "3", "4", "5"]),
        (BEFORE_THE_RENAME, ["0", "1", "2", "3", "4", "5"]),
    ],
    ids=["half a clip", "half a line of the log", "half an index", "before the rename"],
)
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("shards", [None, 6])
def test_a_killed_writer_goes_on(tmp_path, whole, whole_shards, trap, known, shards):
    place = [os.path.dirname(__file__), str(tmp_path / "store")]
    command = [sys.executable, "-c", KILLED, *place, trap, json.dumps(shards)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert os.listdir(tmp_path) == [".store.partial"]
    assert write(tmp_path / "store", shards=shards) == known
    assert contents(tmp_path / "store") == (whole_shards if shards else whole)
    assert os.listdir(tmp_path) == ["store"]


def interrupted(path):
    with pytest.raises(KeyboardInterrupt):
        write(path, 5)
    return path.with_name(f".{path.name}.partial")


def test_a_torn_last_line_of_the_log_is_left_out(tmp_path, whole):
    log = interrupted(tmp_path / "store") / "log.jsonl"
    os.truncate(log, log.stat().st_size - 10)
    assert write(tmp_path / "store") == ["0", "1", "2", "3"]
    assert contents(tmp_path / "store") == whole


def test_a_log_that_promises_more_than_the_disk_kept_is_cut_back(tmp_path, whole):
    frames = interrupted(tmp_path / "store") / "frames.u8"
    os.truncate(frames, CLIPS[0].size + CLIPS[1].size + 7)
    assert write(tmp_path / "store") == ["0", "1"]
    assert contents(tmp_path / "store") == whole


@pytest.mark.parametrize("change", [{"about": {"n": 3}}, {"classes": ["a", "b", "d"]}])
def test_other_work_starts_anew(tmp_path, change):
    interrupted(tmp_path / "store")
    assert write(tmp_path / "store", **change) == []
    ClipStore.open(tmp_path / "store").verify()
    assert os.listdir(tmp_path) == ["store"]


def test_a_version_of_the_log_that_is_not_known_starts_anew(tmp_path, whole):
    log = interrupted(tmp_path / "store") / "log.jsonl"
    first, _, rest = log.read_text().partition("\n")
    log.write_text(json.dumps([99, *json.loads(first)[1:]]) + "\n" + rest)
    assert write(tmp_path / "store") == []
    assert contents(tmp_path / "store") == whole


def test_a_writer_that_does_not_resume_removes_what_was_to_be_resumed(tmp_path, whole):
    interrupted(tmp_path / "store")
    write(tmp_path / "store", resume=False)
    assert contents(tmp_path / "store") == whole
    assert os.listdir(tmp_path) == ["store"]


def test_what_another_store_may_resume_is_left_alone(tmp_path):
    partial = interrupted(tmp_path / "store.ab")
    write(tmp_path / "store", resume=False)
    assert partial.exists()
    assert write(tmp_path / "store.ab") == ["0", "1", "2", "3", "4"]


@pytest.mark.skipif(dvdgan.data.store.partial.fcntl is None, reason="needs locks")
def test_two_writers_at_once_are_kept_apart(tmp_path, whole):
    with StoreWriter(tmp_path / "store", 8, CLASSES, {}, resume=True) as first:
        first.add(CLIPS[0], 0, "first", 12)
        with pytest.raises(StoreError, match=str(tmp_path / "store")):
            write(tmp_path / "store")
        first.add(CLIPS[1], 0, "second", 12)
    assert ClipStore.open(tmp_path / "store").sources == ["first", "second"]
    assert write(tmp_path / "store") == []
    assert contents(tmp_path / "store") == whole


def test_a_store_that_cannot_be_renamed_is_whole_the_next_time(tmp_path, whole, monkeypatch):
    def refuse(*_):
        raise PermissionError("held by another process")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refuse)
        with pytest.raises(PermissionError):
            write(tmp_path / "store")
    assert write(tmp_path / "store") == ["0", "1", "2", "3", "4", "5"]
    assert contents(tmp_path / "store") == whole


def test_what_is_discarded_leaves_nothing(tmp_path):
    with StoreWriter(tmp_path / "store", 8, CLASSES, {}, resume=True) as writer:
        writer.add(CLIPS[0], 0, "first", 12)
        writer.discard()
    assert os.listdir(tmp_path) == []
    with (
        pytest.raises(StoreError, match=str(tmp_path / "store")),
        StoreWriter(tmp_path / "store", 8, [], {}, resume=True) as writer,
    ):
        writer.skip("first", "bad")
    assert os.listdir(tmp_path) == []


def test_the_scratch_directory_is_on_the_way_only(tmp_path):
    def interrupted():
        with StoreWriter(tmp_path / "store", 8, [], {}, resume=True) as writer:
            (writer.scratch / "half").write_bytes(b"half")
            writer.add(CLIPS[0], 0, "first", 12)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert sorted(os.listdir(tmp_path / ".store.partial")) == ["frames.u8", "log.jsonl"]
    (tmp_path / ".store.partial" / "scratch.of-a-killed-process").mkdir()
    with StoreWriter(tmp_path / "store", 8, [], {}, resume=True) as writer:
        assert writer.scratch.parent.parent == tmp_path
        assert os.listdir(writer.scratch) == []
        assert sorted(os.listdir(writer.scratch.parent)) == ["frames.u8", "log.jsonl", writer.scratch.name]
        (writer.scratch / "left").write_bytes(b"left")
    assert sorted(os.listdir(tmp_path / "store")) == ["frames.u8", "index.json"]
