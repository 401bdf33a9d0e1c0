import logging
import os
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest

from dvdgan.config import DataConfig
from dvdgan.data import phenomena, rendering, sources
from dvdgan.data.dataset import ClipDataset
from dvdgan.data.errors import DataError
from dvdgan.data.layouts.listing import Problem
from dvdgan.data.prefetch import Prefetcher
from dvdgan.data.rendering import render_phenomena
from dvdgan.data.sources import open_dataset, pack_source
from dvdgan.data.store.clip_store import ClipStore
from dvdgan.data.store.index import StoreError
from dvdgan.data.store.writer import StoreWriter
from dvdgan.data.write.encode import write_clip
from support.errors import refused
from support.windows import SIZE, coded_clip, origin, windows_of

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Clips 0 to 7, of 8 to 15 frames, in classes a (6 clips), b (1) and c (1); clip 8, of class c, has 3 frames."""
    path = tmp_path_factory.mktemp("data") / "store"
    with StoreWriter(path, SIZE, ["a", "b", "c"], {}) as writer:
        for number, label in enumerate([0, 0, 1, 0, 0, 2, 0, 0]):
            height, width = (SIZE, SIZE + 3 * number) if number % 2 else (SIZE + 3 * number, SIZE)
            writer.add(coded_clip(number, 8 + number, height, width), label, str(number), 12)
        writer.add(coded_clip(8, 3, SIZE, SIZE), 2, "8", 12)
    return ClipStore.open(path)


def test_batches_have_their_shape_and_the_labels_of_their_clips(store):
    data = windows_of(store, 4, SIZE)
    clips, labels = data.batch(3, 1, 5, 2)
    assert (clips.shape, clips.dtype, labels.shape, labels.dtype) == ((5, 4, SIZE, SIZE, 3), np.uint8, (5,), np.int64)
    assert [store.labels[origin(clip)[0]] for clip in clips] == labels.tolist()
    assert clips.flags.owndata


@pytest.mark.parametrize("sampling", ["by_clip", "by_class"])
def test_a_sample_depends_on_its_number_alone(store, sampling):
    settings = {"crop": "random", "flip": True, "sampling": sampling, "seed": 5}
    data = windows_of(store, 4, SIZE, **settings)
    whole = data.batch(0, 0, 48, 1)
    other = windows_of(store, 4, SIZE, **settings)
    backwards = [other.batch(step, substep, 4, 3) for step in reversed(range(4)) for substep in reversed(range(3))][
        ::-1
    ]
    assert np.array_equal(np.concatenate([clips for clips, _ in backwards]), whole[0])
    assert np.array_equal(np.concatenate([labels for _, labels in backwards]), whole[1])
    assert np.array_equal(data.samples([40, 7])[0], whole[0][[40, 7]])
    assert not np.array_equal(windows_of(store, 4, SIZE, **{**settings, "seed": 6}).batch(0, 0, 48, 1)[0], whole[0])


def test_every_clip_once_per_epoch_in_another_order_each_time(store):
    data = windows_of(store, 4, SIZE)
    numbers = [origin(clip)[0] for clip in data.samples(range(8 * 6))[0]]
    epochs = [tuple(numbers[i : i + 8]) for i in range(0, 48, 8)]
    assert all(sorted(epoch) == list(range(8)) for epoch in epochs)
    assert len(set(epochs)) > 1


def test_windows_crops_and_mirrors_are_in_range_and_reach_the_ends(store):
    data = windows_of(store, 3, SIZE, stride=2, crop="random", flip=True)
    seen = [origin(clip) for clip in data.samples(range(8 * 60))[0]]
    for number in range(8):
        mine = [window for window in seen if window[0] == number]
        starts, tops, lefts = ({window[field] for window in mine} for field in (1, 3, 4))
        assert starts == set(range(8 + number - 4))  # a window spans 5 frames
        spare = set(range(3 * number + 1))
        assert tops <= (spare if number % 2 == 0 else {0})
        assert lefts <= (spare if number % 2 else {0})
        assert len(tops | lefts) > len(spare) // 2
        assert {window[2] for window in mine} == {2}
        assert 12 < sum(window[5] for window in mine) < 48


def test_centre_crop_and_no_flip(store):
    for number, _, _, top, left, mirrored in map(origin, windows_of(store, 4, SIZE).samples(range(8))[0]):
        assert (top, left) == ((0, 3 * number // 2) if number % 2 else (3 * number // 2, 0))
        assert not mirrored


def test_flip_changes_neither_windows_nor_crops(store):
    plain = windows_of(store, 4, SIZE, crop="random").samples(range(40))[0]
    flipped = windows_of(store, 4, SIZE, crop="random", flip=True).samples(range(40))[0]
    assert [origin(clip)[:5] for clip in plain] == [origin(clip)[:5] for clip in flipped]


def test_short_clips_are_left_out_and_counted(store):
    assert windows_of(store, 3, SIZE).left_out == 0
    data = windows_of(store, 10, SIZE)
    assert (len(data), data.left_out, data.classes) == (6, 3, ["a", "b", "c"])
    assert data.labels.tolist() == [1, 0, 0, 2, 0, 0]
    assert "3 clips left out (shorter than 10 frames)" in data.summary()
    assert windows_of(store, 8, SIZE, stride=2).labels.tolist() == [0]
    with refused(DataError, r"data\.short=loop.*network\.frames.*data\.stride"):
        windows_of(store, 20, SIZE)
    with pytest.raises(DataError, match=r"network\.size=16"):
        windows_of(store, 4, 32)


def test_a_class_whose_clips_are_all_too_short_is_never_drawn(store):
    data = windows_of(store, 14, SIZE, sampling="by_class")
    assert set(data.samples(range(50))[1]) == set(data.fake_labels(0, 0, 50)) == {0}
    assert "classes without a clip that is long enough: b, c" in data.summary()


def test_labels_of_reals_and_fakes_have_one_distribution(store):
    for sampling, expected in (("by_clip", [6 / 8, 1 / 8, 1 / 8]), ("by_class", [1 / 3] * 3)):
        data = windows_of(store, 4, SIZE, sampling=sampling)
        reals = np.bincount(data.samples(range(2400))[1]) / 2400
        fakes = np.bincount(data.fake_labels(3, 1, 2400)) / 2400
        assert np.abs(reals - expected).max() < 0.05
        assert np.abs(fakes - expected).max() < 0.05


def test_by_class_draws_every_clip_of_a_class(store):
    data = windows_of(store, 4, SIZE, sampling="by_class")
    assert {origin(clip)[0] for clip in data.samples(range(200))[0]} == set(range(8))


def test_fake_labels_follow_from_step_and_substep(store):
    data = windows_of(store, 4, SIZE, sampling="by_class")
    labels = data.fake_labels(7, 1, 64)
    assert (labels.dtype, labels.shape) == (np.int64, (64,))
    assert np.array_equal(labels, windows_of(store, 4, SIZE, sampling="by_class").fake_labels(7, 1, 64))
    assert np.array_equal(labels[:10], data.fake_labels(7, 1, 10))
    for step, substep in ((7, 0), (8, 1), (7, 2)):
        assert not np.array_equal(labels, data.fake_labels(step, substep, 64))
    assert not np.array_equal(labels, data.batch(7, 1, 64, 2)[1])


def test_reference_is_the_middle_of_the_first_clips(store):
    data = windows_of(store, 4, SIZE, crop="random", flip=True)
    windows = [origin(clip) for clip in data.reference(0, 3)]
    assert windows == [(0, 2, 1, 0, 0, False), (1, 2, 1, 0, 1, False), (3, 3, 1, 0, 4, False)]
    assert data.reference(2, 5).shape == (1, 4, SIZE, SIZE, 3)
    assert data.reference(9, 5).shape == (0, 4, SIZE, SIZE, 3)


def test_single_frames(store):
    assert windows_of(store, 1, SIZE).batch(0, 0, 2, 1)[0].shape == (2, 1, SIZE, SIZE, 3)


@pytest.mark.parametrize(("step", "substep"), [(-1, 0), (0, 2), (0, -1)])
def test_steps_out_of_range_are_refused(store, step, substep):
    with pytest.raises(ValueError, match="substep"):
        windows_of(store, 4, SIZE).batch(step, substep, 4, 2)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Coded clips 0 to 5 of 3 to 8 frames; 1 and 4 are held out, 0 and 5 in no part; groups of two."""
    path = tmp_path_factory.mktemp("data") / "parts"
    with StoreWriter(path, SIZE, ["a", "b"], {}) as writer:
        for number, part in enumerate(["", "test", "train", "train", "test", ""]):
            clip = coded_clip(number, 3 + number, SIZE, SIZE)
            writer.add(clip, number % 2, str(number), 12, part, f"group {number // 2}")
    return ClipStore.open(path)


def drawn(data):
    return {int(clip[0, 0, 0, 2]) // 16 for clip in data.samples(range(60))[0]}


def test_a_part_of_a_split_is_drawn_alone(parts, store):
    assert drawn(windows_of(parts, 2, SIZE, split="train")) == {0, 2, 3, 5}
    assert drawn(windows_of(parts, 2, SIZE, split="test")) == {1, 4}
    assert drawn(windows_of(parts, 2, SIZE)) == set(range(6))
    assert "2 clips of the other part" in windows_of(parts, 2, SIZE, split="train").summary()
    with refused(DataError, r"data\.split=all.*data\.test_fraction"):
        windows_of(store, 2, SIZE, split="test")


def test_a_share_is_held_out_by_whole_groups(parts):
    wanted = {"source": str(parts.path), "test_fraction": 0.3, "split_seed": 1}
    held = [drawn(open_dataset(DataConfig(**wanted, split=split), SIZE, 2, "nowhere")) for split in ("train", "test")]
    assert held[0] | held[1] == set(range(6))
    assert not held[0] & held[1]
    assert {1, 4} <= held[1], "what the store says stays, and takes the rest of its group along"
    assert {number // 2 for number in held[0]}.isdisjoint(number // 2 for number in held[1])


def test_short_clips_are_repeated_or_played_to_and_fro(parts):
    """Windows of 7 frames from clips of 3 to 8: time codes go round, or up and down; long clips are cut as ever."""
    for short, period in (("loop", lambda n: n), ("ping_pong", lambda n: 2 * (n - 1))):
        data = windows_of(parts, 7, SIZE, short=short)
        assert (len(data), data.left_out) == (6, 0)
        starts = {number: set() for number in range(6)}
        for clip in data.samples(range(240))[0]:
            codes = clip[:, 0, 0, 2].astype(int)
            number, times = codes[0] // 16, codes % 16
            length, start = 3 + number, times[0]
            starts[number].add(int(start))
            if length >= 7:
                assert times.tolist() == list(range(start, start + 7))
            elif short == "loop":
                assert times.tolist() == [(start + k) % length for k in range(7)]
            else:
                assert set(np.abs(np.diff(times)).tolist()) == {1}
                assert np.array_equal(times[period(length) :], times[: -period(length)])
        assert starts[0] == {0, 1, 2}, "a repeated clip begins anywhere"
        assert starts[5] == {0, 1}
    with pytest.raises(DataError, match=r"data\.short=loop"):
        windows_of(parts, 30, SIZE)
    assert len(windows_of(parts, 30, SIZE, short="loop")) == 6


def test_a_single_frame_is_no_short_clip_but_an_image(tmp_path):
    with StoreWriter(tmp_path / "store", SIZE, [], {}) as writer:
        writer.add(coded_clip(0, 1, SIZE, SIZE), 0, "still", 12)
        writer.add(coded_clip(1, 2, SIZE, SIZE), 0, "clip", 12)
    store = ClipStore.open(tmp_path / "store")
    assert drawn(windows_of(store, 5, SIZE, short="loop")) == {1}
    assert drawn(windows_of(store, 1, SIZE)) == {0, 1}


def test_transparent_pixels_show_the_background(tmp_path):
    clip = np.zeros((3, SIZE, SIZE, 4), np.uint8)
    clip[..., :3] = (10, 20, 30)
    clip[:, :8, :, 3], clip[:, 8:12, :, 3] = 255, 51
    with StoreWriter(tmp_path / "store", SIZE, [], {}) as writer:
        for number in range(5):
            writer.add(clip, 0, str(number), 12)
    store = ClipStore.open(tmp_path / "store")
    fixed = windows_of(store, 3, SIZE, background="#0064c8")
    (first, *_), _ = fixed.samples(range(5))
    assert first.shape == (3, SIZE, SIZE, 3)
    assert [first[0, row, 0].tolist() for row in (0, 9, 15)] == [[10, 20, 30], [2, 84, 166], [0, 100, 200]]
    random = windows_of(store, 3, SIZE, background="random")
    clips, _ = random.samples(range(40))
    assert np.array_equal(clips, random.samples(range(40))[0]), "a function of the sample's number"
    colours = clips[:, 0, 15, 0]
    assert len(np.unique(colours, axis=0)) == 40
    assert (colours.min() < 30, colours.max() > 225) == (True, True)
    assert (clips[:, :, 15] == colours[:, None, None]).all(), "one colour for all frames of a clip"
    assert (clips[:, :, 0] == (10, 20, 30)).all()
    assert len(np.unique(random.reference(0, 5)[:, 0, 15, 0], axis=0)) == 5


def test_transparency_that_was_packed_away_is_said(parts, caplog):
    for background, said in (("#ffffff", 0), ("random", 1)):
        caplog.clear()
        open_dataset(config(parts.path, background=background), SIZE, 2, "nowhere")
        assert caplog.text.count("no packed clip has kept its transparency") == said


class Partly(ClipStore):
    """A store some of whose clips cannot be read, as files may turn out."""

    broken = frozenset()

    def read(self, windows):
        return [None if w.clip in self.broken else clip for w, clip in zip(windows, super().read(windows))]


def test_a_clip_that_cannot_be_read_is_replaced_by_another(parts):
    store = Partly.open(parts.path)
    whole = windows_of(store, 2, SIZE).samples(range(60))
    store.broken = {2, 3}
    data = windows_of(store, 2, SIZE)
    clips, labels = data.samples(range(60))
    numbers = clips[:, 0, 0, 0, 2] // 16
    assert set(numbers.tolist()) == {0, 1, 4, 5}
    assert np.array_equal(labels, numbers % 2)
    assert data.replaced >= 20
    same = ~np.isin(whole[0][:, 0, 0, 0, 2] // 16, [2, 3])
    assert np.array_equal(clips[same], whole[0][same]), "the others are what they were"
    assert np.array_equal(clips, windows_of(store, 2, SIZE).samples(range(60))[0])
    assert len(data.reference(0, 3)) == 2
    store.broken = set(range(6))
    with pytest.raises(DataError, match=str(store.path)):
        data.samples(range(3))


def test_prefetcher_gives_the_batches_in_order(store):
    data = windows_of(store, 4, SIZE, crop="random", flip=True)
    with Prefetcher(data, 3, 2, step=5) as prefetcher:
        got = [next(prefetcher) for _ in range(7)]
    for position, (clips, labels) in enumerate(got):
        expected = data.batch(5 + position // 2, position % 2, 3, 2)
        assert np.array_equal(clips, expected[0])
        assert np.array_equal(labels, expected[1])
    assert "dvdgan-prefetch" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(StopIteration):
        next(prefetcher)
    prefetcher.close()


def test_prefetcher_raises_what_the_thread_raised(store):
    class Failing(ClipDataset):
        def batch(self, step, substep, batch_size, d_steps, share=None):
            if step == 2:
                raise OSError("the disk is gone")
            return super().batch(step, substep, batch_size, d_steps, share)

    with Prefetcher(Failing(store, DataConfig(), SIZE, 4), 3, 1) as prefetcher:
        assert len([next(prefetcher), next(prefetcher)]) == 2
        with pytest.raises(OSError, match="the disk is gone"):
            next(prefetcher)
    assert "dvdgan-prefetch" not in {thread.name for thread in threading.enumerate()}


def clip_file(path, frames=6, height=24, width=32, seed=0):
    start = np.random.default_rng(seed).integers(0, 200, 3)
    clip = np.broadcast_to(start + 5 * np.arange(frames)[:, None, None, None], (frames, height, width, 3))
    return write_clip(path, clip.astype(np.uint8), 12)


@pytest.fixture
def folder(tmp_path):
    """Classes cat and dog with files of three kinds, and much that is to be skipped or ignored."""
    root = tmp_path / "pets"
    for seed, name in enumerate(["dog/b.mp4", "dog/a.gif", "cat/deep/c.webp", "cat/d.mp4"]):
        clip_file(root / name, seed=seed)
    good = (root / "cat/d.mp4").read_bytes()
    (root / "cat/cut.mp4").write_bytes(good[: len(good) * 3 // 4])
    (root / "cat/text.mp4").write_text("hello")
    (root / "dog/zero.webm").write_bytes(b"")
    clip_file(root / "loose.mp4")
    clip_file(root / ".hidden/x.mp4")
    clip_file(root / "cat/.hidden.mp4")
    (root / "dog/b.npz").write_bytes(b"truth")
    (root / "notes").mkdir()
    (root / "notes/readme.txt").write_text("notes")
    (root / "broken").mkdir()
    (root / "broken/x.mp4").write_text("no")
    return root


def config(source, **fields):
    return DataConfig(source=str(source), **fields)


def test_class_folders_are_packed_and_bad_files_reported(folder, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        data = open_dataset(config(folder), SIZE, 4, tmp_path / "cache")
    store = data.store
    assert store.classes == ["cat", "dog"]
    assert store.sources == ["cat/d.mp4", "cat/deep/c.webp", "dog/a.gif", "dog/b.mp4"]
    assert data.labels.tolist() == [0, 0, 1, 1]
    assert set(store.widths) == {21}  # 24 x 32, short side 16
    assert set(store.lengths) == {6}
    reasons = {problem.source: problem.reason for problem in store.skipped}
    assert sorted(reasons) == ["broken/x.mp4", "cat/cut.mp4", "cat/text.mp4", "dog/zero.webm", "loose.mp4", "notes"]
    assert all(reasons.values())
    assert all(name in caplog.text for name in reasons)
    assert "broken" in caplog.records[-1].message
    assert "6 files could not be read" in data.summary()


def test_linked_class_folders_are_followed(folder, tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "hounds").symlink_to(folder / "dog", target_is_directory=True)
    store = pack_source(config(tmp_path / "links"), tmp_path / "store", SIZE)
    assert store.sources == ["hounds/a.gif", "hounds/b.mp4"]


def test_a_dangling_link_is_skipped_and_reported(tmp_path):
    clip_file(tmp_path / "flat" / "a.mp4")
    (tmp_path / "flat" / "b.mp4").symlink_to(tmp_path / "gone.mp4")
    store = open_dataset(config(tmp_path / "flat"), SIZE, 4, tmp_path / "cache").store
    assert store.sources == ["a.mp4"]
    assert store.skipped == [Problem("b.mp4", "a broken link")]


def test_a_cache_in_its_own_source_is_refused(tmp_path):
    clip_file(tmp_path / "flat" / "a.mp4")
    with refused(DataError, str(tmp_path / "flat" / "run" / "data")):
        open_dataset(config(tmp_path / "flat"), SIZE, 4, tmp_path / "flat" / "run" / "data")
    assert os.listdir(tmp_path / "flat") == ["a.mp4"]


def test_a_list_may_have_its_run_beside_it(tmp_path):
    """Nothing but what is listed becomes a clip."""
    clip_file(tmp_path / "videos" / "a.mp4")
    (tmp_path / "mine.csv").write_text("path,label\nvideos/a.mp4,cat\n")
    data = open_dataset(config(tmp_path / "mine.csv"), SIZE, 4, tmp_path / "runs" / "data")
    assert (data.classes, data.store.sources) == (["cat"], ["videos/a.mp4"])


def test_a_kept_store_outlives_its_source(folder, tmp_path):
    def opened(**changes):
        return open_dataset(config(folder, **changes), SIZE, 4, tmp_path / "cache", keep=True)

    first = opened()
    clip_file(folder / "dog/new.mp4", seed=9)
    again = opened()
    assert len(first) == len(again) == 4
    assert first.store.identity == again.store.identity
    shutil.rmtree(folder)
    assert len(opened()) == 4
    os.truncate(tmp_path / "cache" / "frames.u8", 10)
    with pytest.raises(StoreError, match=r"frames\.u8"):
        opened()
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(DataError, match=str(folder)):
        opened()


def test_flat_folder_has_no_classes(tmp_path):
    for seed in range(3):
        clip_file(tmp_path / "flat" / f"{seed}.mp4", seed=seed)
    data = open_dataset(config(tmp_path / "flat"), SIZE, 4, tmp_path / "cache")
    assert (data.classes, data.labels.tolist()) == ([], [0, 0, 0])
    assert data.fake_labels(0, 0, 5).tolist() == [0] * 5
    assert "no classes" in data.summary()


def test_packed_folder_is_used_again_until_a_file_or_the_size_changes(folder, tmp_path, monkeypatch):
    packed = []
    pack = sources.pack

    def counting(*args, **kwargs):
        packed.append(args)
        return pack(*args, **kwargs)

    monkeypatch.setattr(sources, "pack", counting)

    def opened(size=SIZE):
        return open_dataset(config(folder), size, 4, tmp_path / "cache")

    assert len(opened()) == len(opened()) == 4
    assert len(packed) == 1
    clip_file(folder / "dog/new.mp4")
    assert len(opened()) == 5
    os.utime(folder / "dog/new.mp4", ns=(1, 1))
    opened()
    assert len(packed) == 2  # what a file holds counts, not when it was written
    clip_file(folder / "dog/new.mp4", seed=7)
    opened()
    assert len(packed) == 3
    assert opened(20).store.size == 20
    os.truncate(tmp_path / "cache" / "frames.u8", 10)
    opened(20)
    assert len(packed) == 5


def test_packed_store_is_opened_where_it_is(folder, tmp_path):
    pack_source(config(folder), tmp_path / "store", SIZE)
    data = open_dataset(config(tmp_path / "store", flip=True, stride=2), SIZE, 3, tmp_path / "cache", seed=4)
    assert data.store.path == tmp_path / "store"
    assert (data.config.flip, data.config.stride, data.seed) == (True, 2, 4)
    assert not (tmp_path / "cache").exists()
    os.remove(tmp_path / "store" / "index.json")
    with pytest.raises(StoreError, match=r"index\.json"):
        open_dataset(config(tmp_path / "store"), SIZE, 3, tmp_path / "cache")


def test_nothing_usable_is_one_line(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "a.mp4").write_text("no")
    file = clip_file(tmp_path / "one.mp4")
    for source in (tmp_path / "nowhere", empty, bad, file):
        with refused(DataError) as caught:
            open_dataset(config(source), SIZE, 4, tmp_path / "cache")
        assert str(caught.value).startswith(str(source))
    with pytest.raises(DataError, match=r"data\.source"):
        open_dataset(DataConfig(), SIZE, 4, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.fixture
def rendered(monkeypatch):
    """A stand-in for the renderer, and the list of its calls."""
    calls = []

    def render(label, index, *, seed, size, frames, split):
        calls.append((label, index, seed, size, frames, split))
        clip = np.full((frames, size, size, 3), 10 * index + seed, np.uint8)
        return phenomena.Rendered(clip, label, {"place": [0.25, 0.5]})

    monkeypatch.setattr(phenomena, "render", render)
    return calls


def test_phenomena_are_rendered_once_per_setting(rendered, tmp_path, monkeypatch):
    def opened(size=32, frames=4, seed=0, clips=2, stride=1):
        wanted = DataConfig(source="phenomena", seed=seed, clips_per_class=clips, stride=stride)
        return open_dataset(wanted, size, frames, tmp_path / "cache")

    total = 2 * len(phenomena.CLASSES)
    data = opened()
    assert data.classes == list(phenomena.CLASSES)
    assert np.array_equal(np.bincount(data.labels), [2] * len(phenomena.CLASSES))
    assert data.reference(3, 2)[1, 0, 0, 0].tolist() == [10, 10, 10]
    opened()
    assert len(rendered) == total
    assert opened(seed=1).reference(0, 1).max() == 1
    opened(seed=1, frames=6)
    assert len(opened(seed=1, frames=6, stride=3)) == total  # enough frames are rendered for the stride
    assert rendered[-1][4] == 16
    assert len(rendered) == 4 * total
    opened(seed=1, frames=6, stride=3)
    assert len(rendered) == 4 * total
    monkeypatch.setattr(rendering, "_digest", lambda: "other code")
    opened(seed=1, frames=6, stride=3)
    assert len(rendered) == 5 * total


def test_kept_phenomena_outlive_their_renderer_but_not_a_packed_source(rendered, tmp_path, monkeypatch):
    wanted = DataConfig(source="phenomena", clips_per_class=1)
    first = open_dataset(wanted, 32, 4, tmp_path / "cache", keep=True)
    monkeypatch.setattr(rendering, "_digest", lambda: "other code")
    again = open_dataset(wanted, 32, 4, tmp_path / "cache", keep=True)
    assert len(rendered) == len(phenomena.CLASSES)
    assert first.store.identity == again.store.identity
    with StoreWriter(tmp_path / "store", 32, [], {}) as writer:
        writer.add(coded_clip(0, 4, 32, 32), 0, "a", 12)
    assert len(open_dataset(config(tmp_path / "store"), 32, 4, tmp_path / "cache", keep=True)) == 1


def test_interrupted_rendering_leaves_no_store(rendered, tmp_path, monkeypatch):
    whole = phenomena.render

    def breaks(label, index, **settings):
        if label == phenomena.CLASSES[1]:
            raise ValueError("phenomena renders sizes from 32 to 256 pixels, not 8")
        return whole(label, index, **settings)

    monkeypatch.setattr(phenomena, "render", breaks)
    with pytest.raises(DataError, match="phenomena"):
        open_dataset(DataConfig(source="phenomena", clips_per_class=2), 8, 4, tmp_path / "cache")
    assert os.listdir(tmp_path) == []


def test_rendered_files_can_be_used_as_a_folder(rendered, tmp_path):
    out = render_phenomena(tmp_path / "out", 32, 4, clips_per_class=2)
    label = phenomena.CLASSES[0]
    assert sorted(os.listdir(out / label)) == ["000000.mp4", "000000.npz", "000001.mp4", "000001.npz"]
    with np.load(out / label / "000001.npz") as truth:
        assert truth["place"].tolist() == [0.25, 0.5]
    data = open_dataset(config(out), 32, 4, tmp_path / "cache")
    assert data.classes == sorted(phenomena.CLASSES)
    assert len(data) == 2 * len(phenomena.CLASSES)


def test_rendering_into_a_used_folder(rendered, tmp_path):
    def render(out="out", **changes):
        settings = {"size": 32, "frames": 4, "clips_per_class": 1}
        return render_phenomena(tmp_path / out, **(settings | changes))

    render()
    render()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "dear.png").write_text("dear")
    wrong = [({"seed": 1}, "seed"), ({"size": 33, "split": "heldout"}, "split, size")]
    for changes, message in [*wrong, ({"out": "photos"}, "photos")]:
        with refused(DataError, message):
            render(**changes)
    assert os.listdir(tmp_path / "photos") == ["dear.png"]


def test_real_phenomena(tmp_path):
    data = open_dataset(DataConfig(source="phenomena", clips_per_class=1), 32, 4, tmp_path / "cache")
    assert data.batch(0, 0, 9, 1)[0].shape == (9, 4, 32, 32, 3)
    expected = phenomena.render("pen", 0, size=32, frames=4).clip
    assert np.array_equal(data.reference(data.classes.index("pen"), 1)[0], expected)


def test_data_imports_no_torch():
    script = "import sys, dvdgan.data.sources; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("sampling", ["by_clip", "by_class"])
def test_neighbours_of_a_group_show_one_class(tmp_path, sampling, flip):
    path = tmp_path / "store"
    with StoreWriter(path, SIZE, ["a", "b", "c"], {}) as writer:
        for number, label in enumerate([0] * 7 + [1] * 4 + [2]):
            writer.add(coded_clip(number, 6, SIZE, SIZE), label, str(number), 12)
    settings = {"sampling": sampling, "flip": flip, "flip_labels": {"a": "b"} if flip else {}, "group": 3}
    data = windows_of(ClipStore.open(path), 4, SIZE, seed=2, **settings)
    clips, labels = data.batch(0, 0, 18 * 30, 1)
    shown = labels.reshape(-1, 3)
    assert (shown == shown[:, :1]).all()
    assert set(shown[:, 0].tolist()) == {0, 1, 2}
    origins = np.array([origin(clip)[0] for clip in clips]).reshape(-1, 3)
    for label, members in zip(shown[:, 0], origins):
        if label < 2:  # class c has one clip
            assert len(set(members.tolist())) == 3
    if sampling == "by_clip":
        epoch = origins.ravel()[: 9 + 6 + 3]
        assert set(epoch.tolist()) == set(range(12))
    fakes = data.fake_labels(0, 0, 18 * 30).reshape(-1, 3)
    assert (fakes == fakes[:, :1]).all()
    assert np.array_equal(data.fake_labels(0, 0, 9), fakes.ravel()[:9])
    weights = np.array(data.class_weights)
    for found in (shown, np.concatenate([data.fake_labels(0, step, 540) for step in range(20)])):
        rates = np.bincount(found.ravel(), minlength=3) / found.size
        assert np.abs(rates - weights / weights.sum()).max() < 0.06


def test_a_clip_that_cannot_be_read_is_replaced_with_its_whole_group(store, monkeypatch):
    data = windows_of(store, 4, SIZE, group=2, seed=1)
    read = store.read
    monkeypatch.setattr(
        store, "read", lambda windows: [None if w.clip == 5 else c for w, c in zip(windows, read(windows))]
    )
    clips, labels = data.batch(0, 0, 24, 1)
    assert data.replaced > 0
    assert (labels.reshape(-1, 2) == labels[::2, None]).all()
    assert [store.labels[origin(clip)[0]] for clip in clips] == labels.tolist()


def test_each_decision_about_a_source_is_said(tmp_path):
    for part in ("train", "test"):
        clip_file(tmp_path / "in" / "set" / part / "run" / f"{part}.mp4")
    (tmp_path / "in" / "set" / "read.me").write_text("no clip")
    said = []
    open_dataset(DataConfig(source=str(tmp_path / "in")), SIZE, 4, tmp_path / "cache", say=said.append)
    again = []
    sources.pack_source(DataConfig(source=str(tmp_path / "in")), tmp_path / "store", SIZE, again.append)
    assert said == again
    assert [line.partition(": ")[2][:30] for line in said[:3]] == [
        "parts of a split, and no class",
        "the class is the folder in set",
        "left out 1 file that is no cli",
    ]
    assert [("data.parts=false" in line, "data.class_depth=1" in line) for line in said[:2]] == [
        (True, False),
        (False, True),
    ]
