import json
import os
import subprocess
import sys

import numpy as np
import pytest

from dvdgan.data.layouts.listing import Problem
from dvdgan.data.store.clip_store import ClipStore, same_store
from dvdgan.data.store.index import Clip, StoreError, is_store
from dvdgan.data.store.writer import StoreWriter
from dvdgan.data.windows import Window
from support.errors import refused


def random_clip(seed, frames, height, width, channels=3):
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, channels), np.uint8)


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
    assert store.lengths.tolist() == [5, 3, 7]
    assert (store.heights.tolist(), store.widths.tolist()) == ([16, 16, 21], [16, 28, 16])
    assert (store.about, store.sources[1], store.fps[2]) == ({"made": "by hand", "seed": 3}, "clip 1", 12)
    assert store.skipped == [Problem("bad.mp4", "truncated")]
    assert (store.splits, store.groups, store.channels.tolist()) == ([""] * 3, [""] * 3, [3, 3, 3])
    assert store.bytes == sum(clip.size for clip in CLIPS)
    store.verify()
    assert os.listdir(tmp_path / "deep") == ["store"]
    assert sorted(os.listdir(tmp_path / "deep" / "store")) == ["frames.u8", "index.json"]


def test_transparency_splits_and_groups_come_back(tmp_path):
    clear, solid = random_clip(3, 4, 16, 20, channels=4), random_clip(4, 2, 18, 16)
    with StoreWriter(tmp_path / "store", 16, [], {}) as writer:
        writer.add(clear, 0, "clear", 24, "train", "cat")
        writer.add(solid, 0, "solid", 24, split="test")
        writer.add(clear[:1], 0, "one", 24, group="cat")
    store = ClipStore.open(tmp_path / "store")
    assert store.channels.tolist() == [4, 3, 4]
    assert (store.splits, store.groups) == (["train", "test", ""], ["cat", "", "cat"])
    for index, clip in enumerate((clear, solid, clear[:1])):
        assert np.array_equal(store.clip(index), clip)
    (window,) = store.read([Window(0, np.array([1, 3]), 0, 3)])
    assert np.array_equal(window, clear[1:4:2, :16, 3:19])
    store.verify()


def test_windows_are_read_frame_by_frame(tmp_path):
    store = ClipStore.open(pack(tmp_path / "store"))
    first, second = store.read([Window(0, np.array([4, 0, 4]), 0, 0), Window(1, np.array([1]), 0, 12)])
    assert np.array_equal(first, CLIPS[0][[4, 0, 4]])
    assert np.array_equal(second, CLIPS[1][1:2, :, 12:])


def test_identity_follows_the_frames(tmp_path):
    first, again = (ClipStore.open(pack(tmp_path / name)) for name in "ab")
    with StoreWriter(tmp_path / "c", 16, [], {}) as writer:
        writer.add(CLIPS[0], 0, "a", 12)
    assert first.identity == again.identity != ClipStore.open(tmp_path / "c").identity
    assert len(first.identity) == 64


def test_identity_follows_classes_and_shapes_and_nothing_else(tmp_path):
    def identity(name, clip, label, classes, about, **fields):
        with StoreWriter(tmp_path / name, 16, classes, about) as writer:
            writer.add(clip, label, fields.get("source", "a"), 12, fields.get("split", ""))
        return ClipStore.open(tmp_path / name).identity

    clip = random_clip(0, 4, 16, 32)
    same = [
        identity("a", clip, 0, ["x", "y"], {}),
        identity("b", clip, 0, ["x", "y"], {"at": "noon"}, source="elsewhere", split="test"),
    ]
    others = [
        identity("c", clip, 1, ["x", "y"], {}),
        identity("d", clip, 0, ["z", "y"], {}),
        identity("e", clip.reshape(8, 16, 16, 3), 0, ["x", "y"], {}),
        identity("f", clip, 0, [], {}),
    ]
    assert len(set(same)) == 1
    assert len({*same, *others}) == 5


def test_a_store_in_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    pack(".")
    assert len(ClipStore.open(tmp_path / "here")) == 3
    assert os.listdir(tmp_path) == ["here"]


def test_clips_are_read_whole_or_in_part(tmp_path):
    store = ClipStore.open(pack(tmp_path / "store"))
    for index, clip in enumerate(CLIPS):
        assert np.array_equal(store.clip(index), clip)
        assert np.array_equal(store.clip(index, 1, 2), clip[1:2])


def test_a_store_that_shrinks_while_it_is_open_is_an_error(tmp_path):
    store = ClipStore.open(pack(tmp_path / "store"))
    os.truncate(tmp_path / "store" / "frames.u8", store.bytes - 1)
    assert np.array_equal(store.clip(0), CLIPS[0])
    with refused(StoreError, r"frames\.u8"):
        store.read([Window(len(store) - 1, np.array([0, store.lengths[-1] - 1]), 0, 0)])


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
        "from dvdgan.data.store.writer import StoreWriter\n"
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
    assert np.array_equal(old.clip(0), CLIPS[0])  # a reader keeps the file that it has opened
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


def test_an_index_that_could_not_be_read_leaves_the_store_that_was_there(tmp_path, monkeypatch):
    path = pack(tmp_path / "store")
    before = (path / "index.json").read_bytes()
    monkeypatch.setattr("dvdgan.data.store.writer.MOST_INDEX", len(before) - 1)
    with refused(StoreError, "pack them into several stores"):
        pack(path)
    assert (path / "index.json").read_bytes() == before


def test_a_store_that_was_moved_aside_comes_back(tmp_path):
    os.rename(pack(tmp_path / "store", n=1), tmp_path / ".store.0a0a0a0a.old")
    os.rename(pack(tmp_path / "other"), tmp_path / ".store.0b0b0b0b.old")
    with pytest.raises(StoreError, match=str(tmp_path / "store")), StoreWriter(tmp_path / "store", 16, [], {}):
        pass
    assert len(ClipStore.open(tmp_path / "store")) == 3
    assert os.listdir(tmp_path) == ["store"]


def test_a_foreign_directory_is_never_replaced(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "dear.png").write_text("dear")
    (tmp_path / "file").write_text("dear")
    for name in ("photos", "file"):
        with pytest.raises(StoreError, match=str(tmp_path)):
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
        writer.add(CLIPS[1], 0, "1", 12)
    store = ClipStore.open(tmp_path / "store")
    assert store.sources == ["0", "1"]
    assert np.array_equal(store.clip(1), CLIPS[1])
    store.verify()


def test_a_store_without_clips_is_not_made(tmp_path):
    with pytest.raises(StoreError, match=str(tmp_path / "store")), StoreWriter(tmp_path / "store", 16, [], {}):
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
    for name, value in fields.items():
        clips[name][1] = value
    edit(path, clips=clips)


def change_fields(path, **fields):
    clips = json.loads((path / "index.json").read_text())["clips"]
    edit(path, clips={name: value for name, value in {**clips, **fields}.items() if value is not None})


DAMAGE = {
    "shorter frames": (lambda p: os.truncate(p / "frames.u8", 100), "frames.u8"),
    "no frames": (lambda p: os.remove(p / "frames.u8"), "frames.u8"),
    "no index": (lambda p: os.remove(p / "index.json"), "index.json"),
    "half an index": (lambda p: os.truncate(p / "index.json", 90), "index.json"),
    "binary index": (lambda p: (p / "index.json").write_bytes(b"\xff\xfe\x00"), "index.json"),
    "a list": (lambda p: (p / "index.json").write_text("[1]"), "index.json"),
    "foreign index": (lambda p: (p / "index.json").write_text('{"format": "coco"}'), "index.json"),
    "newer": (lambda p: edit(p, version=4), "version 4"),
    "version 1": (lambda p: edit(p, version=1, clips=[{"label": 0}]), "version 1"),
    "field of another type": (lambda p: edit(p, classes="ab"), "classes"),
    "clips without a field": (lambda p: change_fields(p, frames=None), r"\(clips.frames\)"),
    "field that is too short": (lambda p: change_fields(p, label=[0, 1]), r"\(clips.label\)"),
    "field that is a number": (lambda p: change_fields(p, source=3), "clips.source"),
    "clip of half a frame": (lambda p: change_clip(p, frames=3.5), "clips.frames"),
    "clip beyond the end": (lambda p: change_clip(p, frames=400), "clip 1"),
    "clip beyond all numbers": (lambda p: change_clip(p, frames=1 << 62, width=1 << 62), "clip 1"),
    "clip beyond floating point": (lambda p: change_clip(p, frames=10**400), "index.json"),
    "clip of no frames": (lambda p: change_clip(p, frames=0), "clip 1"),
    "clip of another size": (lambda p: change_clip(p, height=8), "clip 1"),
    "clip of two channels": (lambda p: change_clip(p, channels=2), "clip 1"),
    "clip without a rate": (lambda p: change_clip(p, fps=0.0), "clip 1"),
    "label of no class": (lambda p: change_clip(p, label=2), "clip 1"),
    "label before the first": (lambda p: change_clip(p, label=-1), "clip 1"),
    "clips that do not fill the file": (lambda p: change_clip(p, frames=2), "bytes"),
    "problem without its reason": (lambda p: edit(p, skipped=[{"source": "bad.mp4"}]), "skipped"),
    "problem that is none": (lambda p: edit(p, skipped=[3]), "skipped"),
    "no clips": (lambda p: edit(p, clips={name: [] for name in Clip._fields}), "store"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named_in_one_line(tmp_path, damage):
    path = pack(tmp_path / "store")
    spoil, message = DAMAGE[damage]
    spoil(path)
    with refused(StoreError, message) as caught:
        ClipStore.open(path)
    assert str(caught.value).startswith(str(path))


def test_missing_store(tmp_path):
    with pytest.raises(StoreError, match=str(tmp_path / "store")):
        ClipStore.open(tmp_path / "store")


def test_verify_names_the_clip_with_a_flipped_bit(tmp_path):
    path = pack(tmp_path / "store")
    data = bytearray((path / "frames.u8").read_bytes())
    data[CLIPS[0].size + 5] ^= 1
    (path / "frames.u8").write_bytes(data)
    with refused(StoreError, "clip clip 1 "):
        ClipStore.open(path).verify()


def test_the_same_store_is_known_by_what_it_is_made_from(tmp_path):
    path = pack(tmp_path / "store", seed=1)
    assert same_store(path, {"seed": 1}).sources == ["clip 0", "clip 1", "clip 2"]
    assert same_store(path, {"seed": 2}) is None
    os.remove(path / "frames.u8")
    assert same_store(path, {"seed": 1}) is None
    assert same_store(tmp_path / "none", {}) is None


THEIRS = {
    "more than a store": ("store/notes.txt", "notes.txt"),
    "frames of another program": ("store/frames.u8", "store"),
    "a folder named like a packing": (".store.partial/photo.png", r"\.store\.partial"),
    "frames in a folder named like a packing": (".store.partial/frames.u8", r"\.store\.partial"),
    "a backup": (".store.0a0a0a0a.old/photo.png", None),
    "a backup of a year": (".store.2024.old/frames.u8", None),
    "a scratch": (".store.0a0a0a0a.partial/photo.png", None),
}


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("resume", [True, False])
def test_nothing_of_the_users_goes_when_a_store_is_written(tmp_path, name, resume):
    place, message = THEIRS[name]
    if place == "store/notes.txt":
        pack(tmp_path / "store")
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_bytes(b"dear")
    writer = lambda: StoreWriter(tmp_path / "store", 16, ["a"], {}, resume=resume)  # noqa: E731
    if message is None or (not resume and place.startswith(".store.partial")):  # the other kind has a name of its own
        with writer() as out:
            out.add(CLIPS[0], 0, "0", 12)
    else:
        with refused(StoreError, message):
            writer()
    assert (tmp_path / place).read_bytes() == b"dear"


def test_a_link_is_never_written_through(tmp_path):
    pack(tmp_path / "theirs", n=1)
    for name in ("store", ".other.partial"):
        (tmp_path / name).symlink_to(tmp_path / "theirs")
    with refused(StoreError, str(tmp_path / "store")):
        StoreWriter(tmp_path / "store", 16, [], {})
    with refused(StoreError, r"\.other\.partial"):
        StoreWriter(tmp_path / "other", 16, [], {}, resume=True)
    assert len(ClipStore.open(tmp_path / "theirs")) == 3


def test_a_log_of_another_shape_is_not_trusted(tmp_path):
    partial = tmp_path / ".store.partial"
    partial.mkdir()
    header = json.dumps([2, 16, ["a"], {}])
    clip = ["clip", [5, "x", 1, 16, 16, 3, 12.0, "", "", "ab"]]  # of no class
    (partial / "log.jsonl").write_text("\n".join([header, json.dumps(clip), "[3]", '{"a": 1}', ""]))
    (partial / "frames.u8").write_bytes(bytes(768))
    with StoreWriter(tmp_path / "store", 16, ["a"], {}, resume=True) as out:
        assert (len(out), out.bytes) == (0, 0)
        out.add(CLIPS[0], 0, "0", 12)
