"""Tar shards: what others read in them, what a data set reads, and what a damaged one costs."""

import io
import json
import logging
import os
import shutil
import tarfile

import numpy as np
import pytest

from dvdgan.config import DataConfig
from dvdgan.data.errors import DataError
from dvdgan.data.inspect.inspection import inspect_store
from dvdgan.data.sources import open_dataset, pack_source
from dvdgan.data.store import clip_store
from dvdgan.data.store.clip_store import ClipStore
from dvdgan.data.store.index import StoreError, is_store
from dvdgan.data.store.writer import StoreWriter
from dvdgan.data.write.encode import write_clip
from support.errors import refused
from support.windows import SIZE, coded_clip, origin, windows_of

pytestmark = pytest.mark.usefixtures("here")

COUNT, SHARDS = 14, 4


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """Fourteen clips of three classes in four shards."""
    path = tmp_path_factory.mktemp("shards") / "store"
    with StoreWriter(path, SIZE, ["a", "b", "c"], {}, shards=SHARDS) as writer:
        for number in range(COUNT):
            writer.begin_shard(number * SHARDS // COUNT)
            clip = coded_clip(number, 8, SIZE, SIZE + number)
            writer.add(clip, min(number % 4, 2), f"{number}.mp4", 12.5, "train", f"g{number}")
    return path


@pytest.fixture
def store(packed, tmp_path):
    """A copy of them, for damage."""
    return shutil.copytree(packed, tmp_path / "store")


def shard(path, number):
    return path / f"clips-{number:06d}.tar"


def test_shards_are_tar_files_of_samples_as_webdataset_reads_them(packed):
    numbers = []
    for number in range(SHARDS):
        with tarfile.open(shard(packed, number)) as tar:
            files = {member.name: tar.extractfile(member).read() for member in tar}
        keys = [name.removesuffix(".npy") for name in files if name.endswith(".npy")]
        assert list(files) == [f"{key}.{suffix}" for key in keys for suffix in ("npy", "cls", "json")]
        for key in keys:
            clip = np.load(io.BytesIO(files[f"{key}.npy"]))
            assert np.array_equal(clip, coded_clip(int(key), 8, SIZE, SIZE + int(key)))
            known = json.loads(files[f"{key}.json"])
            assert (known["source"], known["fps"], known["group"]) == (f"{int(key)}.mp4", 12.5, f"g{int(key)}")
            assert known["class"] == "abc"[int(files[f"{key}.cls"])]
            numbers.append(int(key))
    assert numbers == list(range(COUNT))


def test_a_store_reads_its_shards(packed, monkeypatch):
    monkeypatch.setattr(clip_store, "_MOST_OPEN", 2)
    store = ClipStore.open(packed)
    assert is_store(packed)
    assert np.bincount(store.shards).tolist() == [4, 3, 4, 3]
    for number in [*range(COUNT), 0, 13, 5]:
        assert np.array_equal(store.clip(number, 2, 7), coded_clip(number, 8, SIZE, SIZE + number)[2:7])
    store.verify()
    assert not store.damaged


def test_packing_a_folder_into_shards_gives_the_clips_of_the_store(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(12):
        clip = rng.integers(0, 256, (4, 32, 32, 3), np.uint8)
        write_clip(tmp_path / "in" / "ab"[number // 6] / f"{number}.mp4", clip, 12)
    (tmp_path / "in" / "a" / "bad.mp4").write_bytes(b"nothing")
    config = DataConfig(source=str(tmp_path / "in"))
    plain = pack_source(config, tmp_path / "plain", SIZE)
    store = pack_source(config.model_copy(update={"shards": 3}), tmp_path / "shards", SIZE)
    files = [*(f"clips-{number:06d}.tar" for number in range(3)), "index.json"]
    assert sorted(os.listdir(tmp_path / "shards")) == files
    assert sorted(store.sources) == sorted(plain.sources)
    assert store.labels.tolist() != sorted(store.labels)  # classes are mixed
    assert np.bincount(store.shards).max() <= 5
    for index, source in enumerate(store.sources):
        other = plain.sources.index(source)
        assert np.array_equal(store.clip(index), plain.clip(other))
        assert (store.labels[index], store.hashes[index]) == (plain.labels[other], plain.hashes[other])
    assert [problem.source for problem in store.skipped] == ["a/bad.mp4"]
    trained = config.model_copy(update={"shards": 3, "shuffle_buffer": 4})
    for _ in range(2):  # packed, and found again
        data = open_dataset(trained, SIZE, 4, tmp_path / "cache")
        assert data.store.identity == store.identity
    with refused(DataError, r"data\.shards"):
        pack_source(config.model_copy(update={"shards": 40}), tmp_path / "none", SIZE)
    assert not list(tmp_path.glob(".none*"))


def drawn(data, step, batch, share=None):
    """Numbers of the clips of a batch."""
    return [origin(clip)[0] for clip in data.batch(step, 0, batch, 1, share)[0]]


@pytest.mark.parametrize("buffer", [None, 5])
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_processes_share_an_epoch_without_overlap(packed, buffer, ranks):
    def opened():
        return windows_of(ClipStore.open(packed), 4, SIZE, seed=3, shuffle_buffer=buffer)

    batch = 6  # seven batches are three epochs
    shares = [range(rank * batch // ranks, (rank + 1) * batch // ranks) for rank in range(ranks)]
    readers = [opened() for _ in shares]
    seen = [[drawn(data, step, batch, share) for data, share in zip(readers, shares)] for step in range(7)]
    flat = [clip for step in seen for share in step for clip in share]
    for epoch in range(3):
        assert sorted(flat[epoch * COUNT : (epoch + 1) * COUNT]) == list(range(COUNT))
    assert flat[:COUNT] != flat[COUNT : 2 * COUNT]
    assert flat == [clip for step in range(7) for clip in drawn(opened(), step, batch)]
    assert [drawn(opened(), 5, batch, share) for share in shares] == seen[5]  # a process that begins in the middle


def test_a_bounded_shuffle_goes_through_shards_one_after_another(packed):
    store = ClipStore.open(packed)
    data = windows_of(store, 4, SIZE, seed=1, shuffle_buffer=1)
    orders = set()
    for epoch in range(8):
        order = [origin(clip)[0] for clip in data.samples(range(epoch * COUNT, (epoch + 1) * COUNT))[0]]
        shards = store.shards[order]
        assert len(np.flatnonzero(np.diff(shards))) == SHARDS - 1
        assert all(a < b for a, b, same in zip(order, order[1:], np.diff(shards) == 0) if same)
        orders.add(tuple(shards))
    assert len(orders) > 4


def test_a_bounded_shuffle_needs_shards(tmp_path):
    with StoreWriter(tmp_path / "store", SIZE, [], {}) as writer:
        writer.add(coded_clip(0, 8, SIZE, SIZE), 0, "0", 12)
    config = DataConfig(source=str(tmp_path / "store"), shuffle_buffer=5)
    with refused(DataError, r"data\.shuffle_buffer"):
        open_dataset(config, SIZE, 4, tmp_path / "none")


def flip_a_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGE = {
    "missing": (lambda path: path.unlink(), {4, 5, 6}, "clips-000001.tar"),
    "truncated": (lambda path: os.truncate(path, path.stat().st_size * 2 // 3), {6}, "clips-000001.tar"),
    "other bytes": (flip_a_byte, {5}, "5.mp4"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_shard_costs_its_clips_and_nothing_else(store, tmp_path, caplog, damage):
    spoil, lost, name = DAMAGE[damage]
    spoil(shard(store, 1))
    config = DataConfig(source=str(store), shuffle_buffer=5)
    with caplog.at_level(logging.WARNING):
        data = open_dataset(config, SIZE, 4, tmp_path / "none")
    assert set(data.store.damaged) == lost
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"{store}: left out {len(lost)} clips")
    assert name in said
    seen = {clip for step in range(20) for clip in drawn(data, step, 6)}
    assert seen == set(range(COUNT)) - lost
    assert data.replaced > 0
    found = inspect_store(ClipStore.open(store), DataConfig())
    assert {problem.source for problem in found.problems} == {f"{number}.mp4" for number in lost}
    assert found.total.clips == COUNT - len(lost)


def test_a_shard_that_goes_while_it_is_read_costs_its_clips(store, monkeypatch, caplog):
    monkeypatch.setattr(clip_store, "_MOST_OPEN", 1)
    data = windows_of(ClipStore.open(store), 4, SIZE)
    drawn(data, 0, 6)
    shard(store, 2).unlink()
    shard(store, 0).write_bytes(b"")
    assert {clip for step in range(30) for clip in drawn(data, step, 6)} == {4, 5, 6, 11, 12, 13}
    assert any("clips-000002.tar" in record.getMessage() for record in caplog.records)
    assert any("clips-000000.tar" in record.getMessage() for record in caplog.records)


def test_shards_that_are_all_gone_are_refused(store):
    for number in range(SHARDS):
        os.truncate(shard(store, number), 100)
    with refused(StoreError, str(store)):
        ClipStore.open(store)


def edit(path, change):
    index = json.loads((path / "index.json").read_text())
    change(index)
    (path / "index.json").write_text(json.dumps(index))


INDEX_DAMAGE = {
    "no shards": (lambda index: index.pop("shards"), r"\(shards\)"),
    "shards that are no pairs": (lambda index: index.update(shards=[4, 3, 4, 3]), r"\(shards\)"),
    "too few clips": (lambda index: index["shards"][0].__setitem__(0, 1), r"\(shards\)"),
    "shards beyond all numbers": (lambda index: index["shards"][1].__setitem__(1, 10**30), r"\(shards\)"),
    "no offsets": (lambda index: index["clips"].pop("offset"), "clips.offset"),
    "offset before the shard": (lambda index: index["clips"]["offset"].__setitem__(2, 3), "clip 2.mp4"),
    "offset beyond its end": (lambda index: index["clips"]["offset"].__setitem__(2, 10**9), "clip 2.mp4"),
    "offset beyond all numbers": (lambda index: index["clips"]["offset"].__setitem__(2, 10**30), "clip 2.mp4"),
}


@pytest.mark.parametrize("damage", INDEX_DAMAGE)
def test_damage_of_the_index_is_named_in_one_line(store, damage):
    change, message = INDEX_DAMAGE[damage]
    edit(store, change)
    with refused(StoreError, message):
        ClipStore.open(store)


def test_shards_take_the_place_of_a_store_and_give_it_back(store):
    for shards in (None, 2, 3):
        with StoreWriter(store, SIZE, [], {}, shards=shards) as writer:
            for number in range(3):
                writer.begin_shard(number * (shards or 1) // 3)
                writer.add(coded_clip(number, 8, SIZE, SIZE), 0, f"{number}", 12)
        names = ["frames.u8"] if shards is None else [f"clips-{number:06d}.tar" for number in range(shards)]
        assert sorted(os.listdir(store)) == sorted([*names, "index.json"])
    (store / "notes.txt").write_text("mine")
    with refused(StoreError, r"notes\.txt"):
        StoreWriter(store, SIZE, [], {}, shards=2)


def test_tar_files_of_others_are_refused_with_the_mend(tmp_path):
    with tarfile.open(tmp_path / "train-0000.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("000.mp4"), io.BytesIO())
    with refused(DataError, str(tmp_path)):
        open_dataset(DataConfig(source=str(tmp_path)), SIZE, 4, tmp_path.parent / "none")
