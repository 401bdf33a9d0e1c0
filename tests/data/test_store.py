import json
import os
import subprocess
import sys

import numpy as np
import pytest

from dvdgan.data.store import ClipStore, StoreError, StoreWriter, is_store


def random_clip(seed, frames, height, width):
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8)


CLIPS = [random_clip(0, 5, 16, 16), random_clip(1, 3, 16, 28), random_clip(2, 7, 21, 16)]


def pack(path, **about):
    with StoreWriter(path, 16, ["a", "b"], about) as writer:
        for label, clip in zip((0, 1, 1), CLIPS):
            writer.add(iter(clip), label, f"clip {len(writer)}", 12)
        writer.skip("bad.mp4", "truncated")
    return path


def test_round_trip(tmp_path):
    store = ClipStore.open(pack(tmp_path / "deep" / "store", made="by hand", seed=3))
    assert len(store) == 3
    for index, clip in enumerate(CLIPS):
        assert np.array_equal(store.clip(index), clip)
    assert (store.size, store.classes, store.labels.tolist()) == (16, ["a", "b"], [0, 1, 1])
    assert (store.lengths.tolist(), store.heights.tolist(), store.widths.tolist()) == (
        [5, 3, 7],
        [16, 16, 21],
        [16, 28, 16],
    )
    assert (store.about, store.sources[1], store.fps[2]) == ({"made": "by hand", "seed": 3}, "clip 1", 12)
    assert store.skipped == [{"source": "bad.mp4", "reason": "truncated"}]
    store.verify()
    assert os.listdir(tmp_path / "deep") == ["store"]


def test_identity_follows_the_frames(tmp_path):
    first, again = (ClipStore.open(pack(tmp_path / name)) for name in "ab")
    with StoreWriter(tmp_path / "c", 16, [], {}) as writer:
        writer.add(CLIPS[0], 0, "a", 12)
    assert first.identity == again.identity != ClipStore.open(tmp_path / "c").identity
    assert len(first.identity) == 64


def test_a_store_in_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    pack(".")
    assert len(ClipStore.open(tmp_path / "here")) == 3
    assert os.listdir(tmp_path) == ["here"]


def test_windows_are_views_of_the_file(tmp_path):
    store = ClipStore.open(pack(tmp_path / "store"))
    window = store.window(2, start=1, frames=3, stride=2, top=4, left=0)
    assert np.array_equal(window, CLIPS[2][1:6:2, 4:20, :16])
    assert not window.flags.owndata
    assert not window.flags.writeable


def test_an_exception_leaves_nothing(tmp_path):
    def interrupted():
        with StoreWriter(tmp_path / "store", 16, [], {}) as writer:
            writer.add(CLIPS[0], 0, "a", 12)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert os.listdir(tmp_path) == []
    assert not is_store(tmp_path / "store")


def test_an_exception_keeps_the_store_that_was_there(tmp_path):
    pack(tmp_path / "store", version=1)

    def interrupted():
        with StoreWriter(tmp_path / "store", 16, [], {}) as writer:
            writer.add(CLIPS[0], 0, "a", 12)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    store = ClipStore.open(tmp_path / "store")
    assert store.about == {"version": 1}
    store.verify()
    assert os.listdir(tmp_path) == ["store"]


def test_what_a_killed_process_left_is_no_store_and_is_removed(tmp_path):
    script = (
        "import os, sys, numpy as np\n"
        "from dvdgan.data.store import StoreWriter\n"
        "writer = StoreWriter(sys.argv[1], 16, [], {}).__enter__()\n"
        "writer.add(np.zeros((2, 16, 16, 3), np.uint8), 0, 'a', 12)\n"
        "os._exit(1)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "store")], check=False)
    left = os.listdir(tmp_path)
    assert len(left) == 1
    assert left[0].endswith(".partial")
    with pytest.raises(StoreError):
        ClipStore.open(tmp_path / "store")
    pack(tmp_path / "store")
    assert os.listdir(tmp_path) == ["store"]


def test_a_writer_at_work_is_left_alone(tmp_path):
    with StoreWriter(tmp_path / "store", 16, [], {"who": "first"}) as writer:
        writer.add(CLIPS[0], 0, "a", 12)
        pack(tmp_path / "store", who="second")
        writer.add(CLIPS[1], 0, "b", 12)
    store = ClipStore.open(tmp_path / "store")
    assert (store.about, len(store)) == ({"who": "first"}, 2)
    store.verify()


def test_replacing_a_store(tmp_path):
    pack(tmp_path / "store", n=1)
    old = ClipStore.open(tmp_path / "store")
    pack(tmp_path / "store", n=2)
    assert ClipStore.open(tmp_path / "store").about == {"n": 2}
    assert np.array_equal(old.clip(0), CLIPS[0])  # a reader keeps what it has mapped
    assert os.listdir(tmp_path) == ["store"]


def test_a_store_that_cannot_be_put_in_its_place_leaves_the_old_one(tmp_path, monkeypatch):
    pack(tmp_path / "store", n=1)
    rename = os.rename

    def refuse(source, target):
        if str(source).endswith(".partial"):
            raise PermissionError("held by another process")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(PermissionError):
        pack(tmp_path / "store", n=2)
    assert ClipStore.open(tmp_path / "store").about == {"n": 1}
    assert os.listdir(tmp_path) == ["store"]


def test_a_store_that_was_moved_aside_comes_back(tmp_path):
    os.rename(pack(tmp_path / "store", n=1), tmp_path / ".store.0a0a.old")
    os.rename(pack(tmp_path / "other"), tmp_path / ".store.0b0b.old")
    with pytest.raises(StoreError, match="no clips to pack"), StoreWriter(tmp_path / "store", 16, [], {}):
        pass
    assert len(ClipStore.open(tmp_path / "store")) == 3
    assert os.listdir(tmp_path) == ["store"]


def test_a_foreign_directory_is_never_replaced(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "dear.png").write_text("dear")
    (tmp_path / "file").write_text("dear")
    for name in ("photos", "file"):
        with pytest.raises(StoreError, match="not a dvdgan store"):
            StoreWriter(tmp_path / name, 16, [], {})
    (tmp_path / "empty").mkdir()
    pack(tmp_path / "empty")
    assert sorted(os.listdir(tmp_path)) == ["empty", "file", "photos"]


def test_a_clip_that_fails_half_way_leaves_no_trace(tmp_path):
    def broken():
        yield from CLIPS[0][:2]
        raise ValueError("half")

    def grows():
        yield CLIPS[0][0]
        yield CLIPS[1][0]

    with StoreWriter(tmp_path / "store", 16, ["a"], {}) as writer:
        writer.add(CLIPS[0], 0, "0", 12)
        with pytest.raises(ValueError, match="half"):
            writer.add(broken(), 0, "broken", 12)
        with pytest.raises(ValueError, match="changes"):
            writer.add(grows(), 0, "grows", 12)
        with pytest.raises(ValueError, match="no frames"):
            writer.add(iter(()), 0, "none", 12)
        with pytest.raises(ValueError, match="short side of 16"):
            writer.add(random_clip(0, 2, 8, 16), 0, "small", 12)
        with pytest.raises(ValueError, match="short side of 16"):
            writer.add(CLIPS[0].astype(np.float32), 0, "float", 12)
        with pytest.raises(ValueError, match="label 1"):
            writer.add(CLIPS[0], 1, "label", 12)
        assert writer.add(CLIPS[1], 0, "1", 12) == 3
    store = ClipStore.open(tmp_path / "store")
    assert store.sources == ["0", "1"]
    assert np.array_equal(store.clip(1), CLIPS[1])
    store.verify()


def test_a_store_without_clips_is_not_made(tmp_path):
    with pytest.raises(StoreError, match="no clips"), StoreWriter(tmp_path / "store", 16, [], {}):
        pass
    assert os.listdir(tmp_path) == []


def test_unused_classes_can_be_dropped(tmp_path):
    with StoreWriter(tmp_path / "store", 16, ["a", "b", "c", "d"], {}) as writer:
        writer.add(CLIPS[0], 3, "x", 12)
        writer.add(CLIPS[0], 1, "y", 12)
        assert writer.drop_unused_classes() == ["a", "c"]
    store = ClipStore.open(tmp_path / "store")
    assert (store.classes, store.labels.tolist()) == (["b", "d"], [1, 0])


def edit(path, **fields):
    index = json.loads((path / "index.json").read_text())
    index.update(fields)
    (path / "index.json").write_text(json.dumps(index))


def change_clip(path, **fields):
    clips = json.loads((path / "index.json").read_text())["clips"]
    clips[1].update(fields)
    edit(path, clips=clips)


DAMAGE = {
    "shorter frames": (lambda p: os.truncate(p / "frames.u8", 100), "100 bytes instead of"),
    "no frames": (lambda p: os.remove(p / "frames.u8"), "frames.u8 is missing"),
    "no index": (lambda p: os.remove(p / "index.json"), "no index.json"),
    "half an index": (lambda p: os.truncate(p / "index.json", 90), "cannot be read"),
    "binary index": (lambda p: (p / "index.json").write_bytes(b"\xff\xfe\x00"), "cannot be read"),
    "a list": (lambda p: (p / "index.json").write_text("[1]"), "not the index"),
    "foreign index": (lambda p: (p / "index.json").write_text('{"format": "coco"}'), "not the index"),
    "newer": (lambda p: edit(p, version=2), "upgrade dvdgan"),
    "older": (lambda p: edit(p, version=0), "pack the clips again"),
    "field of another type": (lambda p: edit(p, classes="ab"), "classes"),
    "clip without a field": (lambda p: edit(p, clips=[{"label": 0}]), "clips.frames"),
    "clip beyond the end": (lambda p: change_clip(p, frames=400), "clip 1"),
    "clip before the start": (lambda p: change_clip(p, offset=-3), "clip 1"),
    "clip of another size": (lambda p: change_clip(p, height=8), "clip 1"),
    "label of no class": (lambda p: change_clip(p, label=2), "clip 1"),
    "no clips": (lambda p: edit(p, clips=[]), "no clips"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named_in_one_line(tmp_path, damage):
    path = pack(tmp_path / "store")
    spoil, message = DAMAGE[damage]
    spoil(path)
    with pytest.raises(StoreError, match=message) as caught:
        ClipStore.open(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_missing_store(tmp_path):
    with pytest.raises(StoreError, match="no such store"):
        ClipStore.open(tmp_path / "store")


def test_verify_finds_one_flipped_bit(tmp_path):
    path = pack(tmp_path / "store")
    data = bytearray((path / "frames.u8").read_bytes())
    data[777] ^= 1
    (path / "frames.u8").write_bytes(data)
    with pytest.raises(StoreError, match="checksum"):
        ClipStore.open(path).verify()
