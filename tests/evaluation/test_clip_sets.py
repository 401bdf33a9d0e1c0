import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import dvdgan
from dvdgan.clips import Clips
from dvdgan.data.store.clip_store import ClipStore
from dvdgan.data.store.writer import StoreWriter
from dvdgan.data.write.encode import write_clip
from dvdgan.evaluation import model_clips as module
from dvdgan.evaluation.cache import Cache
from dvdgan.evaluation.clip_set import apportioned, choose, content_key, joined
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.folder_clips import open_folder
from dvdgan.evaluation.model_clips import model_clips
from dvdgan.evaluation.real_clips import middle_windows, readable
from dvdgan.models import load_model, save_model
from dvdgan.networks.statistics import statistics_of
from dvdgan.pipeline import Pipeline
from support.clip_sets import array_set, noise_set
from support.windows import windows_of

SIZE = 16
CLASSES = ["a", "b", "c"]
LABELS = [0, 0, 1, 0, 1, 2, 0, 2, 1, 0]


def coded_clip(number, frames, height, width):
    """Red holds the column, green the row, blue 16 times the clip's number plus the time."""
    clip = np.empty((frames, height, width, 3), np.uint8)
    clip[..., 0] = np.arange(width)
    clip[..., 1] = np.arange(height)[:, None]
    clip[..., 2] = 16 * number + np.arange(frames)[:, None, None]
    return clip


def coded_store(path, numbers=range(10), skew=0, transparent=False):
    """Clips of 8 to 15 frames, wider than high if their number is odd; every third is of the test part."""
    with StoreWriter(path, SIZE, CLASSES, {"source": "coded"}) as writer:
        for number in numbers:
            shape = (SIZE, SIZE + 4) if number % 2 else (SIZE, SIZE)
            clip = coded_clip(number, 8 + number % 8, *shape)
            clip[0, 0, 0, 2] += skew
            if transparent:
                clip = np.concatenate([clip, np.full_like(clip[..., :1], 0)], -1)
            writer.add(clip, LABELS[number], f"clip {number}", 24.0, "test" if number % 3 == 0 else "train")
    return ClipStore.open(path)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return coded_store(tmp_path_factory.mktemp("coded") / "store")


def test_keys_follow_from_pixels_and_nothing_else():
    whole = noise_set()
    assert noise_set(name="other", labels=[0, 1, 0, 1, 0, 1], classes=["x", "y"]).key == whole.key
    assert noise_set(seed=1).key != whole.key
    flat = array_set(whole.read(range(6)).reshape(3, 6, 8, 8, 3))
    assert flat.key != whole.key
    assert whole.take([1, 2]).key != whole.take([2, 1]).key != whole.key
    assert whole.mapped(lambda clips, rows: clips, "same", ["1"]).key != whole.key
    assert content_key("a", 1) == content_key("a", 1) != content_key("a", "1")


def test_some_clips_keep_the_order_that_is_given():
    whole = noise_set(labels=[0, 1, 0, 1, 0, 1], classes=["x", "y"])
    some = whole.take([4, 1], "some")
    assert np.array_equal(some.read([1, 0]), whole.read([1, 4]))
    assert (some.ids, some.labels.tolist(), len(some)) == ([whole.ids[4], whole.ids[1]], [0, 1], 2)
    assert np.array_equal(some.take([1]).read([0]), whole.read([1]))


def test_a_mapped_set_tells_its_function_which_clips_they_are():
    whole = noise_set()

    def stamp(clips, rows):
        stamped = clips.copy()
        stamped[:, 0, 0, 0, 0] = rows
        return stamped

    stamped = whole.mapped(stamp, "stamped", ["stamp 1"])
    assert stamped.read([5, 2])[:, 0, 0, 0, 0].tolist() == [5, 2]
    assert stamped.take([3, 4]).read([1])[0, 0, 0, 0, 0] == 4
    assert not np.array_equal(whole.read([5]), stamped.read([5]))


def test_joined_sets_come_one_after_another():
    first, second = noise_set(4, name="a"), noise_set(3, seed=1, name="b")
    both = joined([first, second], "both")
    assert (len(both), both.name, both.ids[4]) == (7, "both", "b 0")
    clips = both.read([5, 0, 6, 3])
    assert np.array_equal(clips[[1, 3]], first.read([0, 3]))
    assert np.array_equal(clips[[0, 2]], second.read([1, 2]))


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12).filter(any), st.integers(0, 200))
@settings(deadline=None, max_examples=50)
def test_clips_are_shared_out_as_the_weights_say(weights, count):
    labels = apportioned(weights, count)
    shares = np.array(weights) / sum(weights) * count
    counts = np.bincount(labels, minlength=len(weights))
    assert np.abs(counts - shares).max() < 2
    assert not counts[np.array(weights) == 0].any()
    assert np.array_equal(apportioned(weights, count // 2), labels[: count // 2])


def test_equal_weights_give_classes_in_turn():
    assert apportioned([0.1] * 7, 21).tolist() == list(range(7)) * 3
    assert np.bincount(apportioned([3, 1], 8)).tolist() == [6, 2]


def test_choices_are_nested_and_depend_on_names_alone():
    labels, classes = np.repeat([0, 1], [45, 15]), ["x", "y"]
    whole = noise_set(60, labels=labels, classes=classes)
    few, many = choose(whole, 12), choose(whole, 36)
    assert np.bincount(labels[few]).tolist() == [9, 3]  # as in the set
    assert set(few) < set(many)
    assert not np.array_equal(choose(whole, 12, seed=1), few)
    backwards = whole.take(np.arange(60)[::-1])
    assert {backwards.ids[row] for row in choose(backwards, 12)} == {whole.ids[row] for row in few}
    assert len(set(choose(noise_set(40), 7))) == 7


def test_a_clip_has_one_window_in_the_middle(store):
    chance = {"crop": "random", "flip": True, "sampling": "by_class", "seed": 3}
    real = middle_windows(windows_of(store, 3, SIZE, stride=2, **chance, split="train"), "train")
    plain = middle_windows(windows_of(store, 3, SIZE, stride=2, split="train"), "train")
    assert real.key == plain.key
    clips = real.read(range(len(real)))
    assert np.array_equal(clips, plain.read(range(len(real))))
    numbers = [number for number in range(10) if number % 3]
    for clip, number, name in zip(clips, numbers, real.ids):
        start = (8 + number % 8 - 5) // 2
        assert (clip[:, 0, 0, 2] - 16 * number).tolist() == [start, start + 2, start + 4]
        assert (clip[0, 0, 0, 0], clip[0, 0, 1, 0]) == ((2, 3) if number % 2 else (0, 1))
        assert name == f"clip {number}, frames {start} to {start + 4} by 2"
    assert real.labels.tolist() == [LABELS[number] for number in numbers]
    assert (real.frames, real.size, real.fps) == (3, SIZE, 12.0)
    assert real.name == "coded, train part"
    assert np.array_equal(real.read([4, 0]), clips[[4, 0]])


def test_the_key_of_packed_clips_follows_from_their_frames_and_windows(store, tmp_path):
    def windows(*arguments, **options):
        return middle_windows(windows_of(*arguments, **options))

    real = windows(store, 3, SIZE)
    copied = windows(ClipStore.open(shutil.copytree(store.path, tmp_path / "copy")), 3, SIZE)
    assert copied.key == real.key
    keys = [
        windows(coded_store(tmp_path / "other", skew=1), 3, SIZE).key,
        windows(store, 2, SIZE).key,
        windows(store, 3, SIZE, stride=2).key,
        windows(store, 3, SIZE, split="test").key,
        real.take([1, 0]).key,
        real.take([0, 1]).key,
    ]
    assert len({real.key, *keys}) == 7
    keys = set()
    for shape in ((SIZE, SIZE + 1), (SIZE + 1, SIZE)):  # the same bytes, cut at the same place
        with StoreWriter(tmp_path / f"{shape}", SIZE, [], {}) as writer:
            writer.add(coded_clip(0, 3, SIZE, SIZE + 1).reshape(3, *shape, 3), 0, "clip", 12)
        keys.add(windows(ClipStore.open(tmp_path / f"{shape}"), 3, SIZE).key)
    assert len(keys) == 2
    fewer = windows(coded_store(tmp_path / "fewer", range(4)), 3, SIZE)
    assert real.take(range(4)).key == fewer.key
    assert np.array_equal(real.take([3, 2]).read([0]), real.read([3]))
    assert real.take([3, 2]).ids == [real.ids[3], real.ids[2]]


def test_random_backgrounds_are_fixed_and_in_the_key(tmp_path):
    clear = coded_store(tmp_path / "clear", transparent=True)
    drawn, again = (middle_windows(windows_of(clear, 3, SIZE, background="random", seed=1)) for _ in range(2))
    clips = drawn.read(range(10))
    assert clips.shape == (10, 3, SIZE, SIZE, 3)
    assert len(np.unique(clips[:, 0, 0, 0], axis=0)) > 5
    assert np.array_equal(drawn.read([7]), clips[[7]])
    assert again.key == drawn.key
    assert np.array_equal(drawn.take([7]).read([0]), clips[[7]])
    white = middle_windows(windows_of(clear, 3, SIZE))
    assert (white.read([0]) == 255).all()
    shifted = coded_store(tmp_path / "shifted", range(7, 10), transparent=True)  # its clip 0 is the other's clip 7
    same_frames = middle_windows(windows_of(shifted, 3, SIZE, background="random", seed=1)).take([0])
    assert not np.array_equal(same_frames.read([0]), clips[[7]])
    assert same_frames.key != drawn.take([7]).key
    other = middle_windows(windows_of(clear, 3, SIZE, background="random", seed=2))
    assert len({drawn.key, white.key, other.key}) == 3
    assert not np.array_equal(other.read([7]), clips[[7]])


def test_files_that_cannot_be_read_are_named_and_told_apart(store, tmp_path):
    class Broken:
        def __init__(self):
            self.__dict__.update(store.__dict__)

        def __len__(self):
            return len(store)

        identity = "broken"

        def read(self, windows):
            return [None if window.clip == 5 else pixels for window, pixels in zip(windows, store.read(windows))]

    real, cache = middle_windows(windows_of(Broken(), 3, SIZE)), Cache(tmp_path)
    assert real.read([4]).shape == (1, 3, SIZE, SIZE, 3)
    with pytest.raises(EvaluationError, match="clip 5 "):
        real.read([4, 5])
    assert readable(middle_windows(windows_of(store, 3, SIZE)), cache).tolist() == list(range(10))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "damaged", {2: "in a shard that is gone"})
        assert readable(middle_windows(windows_of(store, 3, SIZE)), cache).tolist() == [0, 1, *range(3, 10)]
    assert not list(tmp_path.iterdir())  # packed clips need no reading
    for _ in range(2):  # the second time it is kept
        assert readable(real, cache).tolist() == [0, 1, 2, 3, 4, 6, 7, 8, 9]
        real.dataset.store.read = None


def test_a_folder_of_clips_is_a_set(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("bar/one", "dot/two"):
        clip = np.repeat(rng.integers(0, 256, (5, 4, 4, 3), np.uint8), 8, 1).repeat(8, 2)
        (tmp_path / "clips" / name).parent.mkdir(parents=True)
        write_clip(tmp_path / "clips" / f"{name}.webp", clip, 10)
    found = open_folder(tmp_path / "clips", SIZE, 3, tmp_path / "cache")
    assert found.classes == ["bar", "dot"]
    assert found.labels.tolist() == [0, 1]
    assert found.read([0, 1]).shape == (2, 3, SIZE, SIZE, 3)
    assert found.ids == ["bar/one.webp, frames 1 to 3", "dot/two.webp, frames 1 to 3"]
    assert (found.name, found.fps) == (str(tmp_path / "clips"), 10.0)


def pictures(count, frames, seed=0):
    """Clips uint8 [N, T, 16, 16, 3] that change from frame to frame."""
    cells = np.random.default_rng(seed).integers(0, 256, (count, frames, 4, 4, 3), np.uint8)
    return cells.repeat(4, 2).repeat(4, 3)


def test_what_generate_writes_is_a_set_with_its_classes(tmp_path):
    made = Clips(pictures(4, 5), ["a dot", "bar", "a dot", "bar"], [7, 7, 8, 8], 10.0)
    made.save(tmp_path / "flat")
    made.save(tmp_path / "made.npz")
    flat = open_folder(tmp_path / "flat", SIZE, 3, tmp_path / "cache")
    assert (flat.classes, flat.labels.tolist()) == (["a_dot", "bar"], [0, 1, 0, 1])
    assert [len(flat.take([0, 3]).classes), flat.take([0, 3]).labels.tolist()] == [2, [0, 1]]
    for _ in range(2):  # the second time it is packed already
        arrays = open_folder(tmp_path / "made.npz", SIZE, 3, tmp_path / "packed")
        assert (arrays.classes, arrays.labels.tolist(), arrays.fps) == (["a dot", "bar"], [0, 1, 0, 1], 10.0)
        assert np.array_equal(arrays.read(range(4)), made.video[:, 1:4])
        assert arrays.ids[0] == "made.npz, clip 0, frames 1 to 3"
    (tmp_path / "one").mkdir()
    np.savez(tmp_path / "one" / "a.npz", clip=made.video[0], fps=10)
    assert len(open_folder(tmp_path / "one", 32, 3, tmp_path / "larger").read([0])[0, 0]) == 32


@pytest.mark.parametrize("arrays", [{"video": np.zeros((2, 3, 4, 4, 3))}, {"pixels": np.zeros(3)}, None])
def test_npz_without_clips_is_named(arrays, tmp_path):
    path = tmp_path / "made.npz"
    path.write_bytes(b"PK") if arrays is None else np.savez(path, **arrays)
    with pytest.raises(EvaluationError, match=r"made\.npz: "):
        open_folder(path, SIZE, 3, tmp_path / "cache")


@pytest.mark.parametrize(("frames", "first"), [(12, 2), (4, 6), (16, 0)])
def test_the_last_picture_of_a_gif_counts_once_however_long_it_is_held(frames, first, tmp_path):
    images = [Image.fromarray(picture) for picture in pictures(1, 16)[0]]
    (tmp_path / "clips").mkdir()
    times = [80] * 15 + [4000]
    images[0].save(tmp_path / "clips" / "a.gif", save_all=True, append_images=images[1:], duration=times, loop=0)
    images[0].save(tmp_path / "clips" / "b.gif", save_all=True, append_images=images[:1] * 15, duration=80, loop=0)
    found = open_folder(tmp_path / "clips", SIZE, frames, tmp_path / "cache")
    assert found.ids[0] == f"a.gif, frames {first} to {first + frames - 1}"
    assert (np.diff(found.read([0])[0].astype(int), axis=0) != 0).any((1, 2, 3)).all()


def test_clips_that_are_too_short_are_told_by_the_users_path_and_setting(tmp_path):
    for number, clip in enumerate(pictures(2, 8)):
        write_clip(tmp_path / "clips" / f"{number}.webp", clip, 10)
    with pytest.raises(EvaluationError, match=r"clips: .* frames=8$") as caught:
        open_folder(tmp_path / "clips", SIZE, 12, tmp_path / "cache")
    assert "cache" not in str(caught.value)


@pytest.fixture(scope="module")
def model(model_dir):
    return load_model(model_dir)


def of(model, labels, seeds, *options):
    return model_clips(model, np.array(labels), seeds, *options)


def test_a_model_makes_the_same_clip_of_a_seed_and_class_whatever_comes_with_it(model, model_dir):
    samples = of(model, [0, 1, 2] * 3, range(5, 14))
    assert samples.ids[:2] == ["seed 5, class dot", "seed 6, class bar"]
    clips = samples.read(range(9)).astype(int)
    assert clips.shape == (9, 4, 32, 32, 3)
    assert np.abs(clips[[7, 2]] - samples.read([7, 2])).max() <= 1
    assert np.abs(clips[1] - of(model, [1], [6]).read([0])[0]).max() <= 1
    assert np.abs(clips[1] - dvdgan.load(model_dir, "cpu")("bar", seed=6)[0]).max() <= 1
    assert np.abs(clips[1] - clips[4]).max() > 1
    assert of(model, [0], [1], 1.0, 6).read([0]).shape[1] == 6


def test_large_clips_are_made_fewer_at_once(model, monkeypatch):
    sizes = []
    monkeypatch.setattr(module, "make_clips", lambda *args, **options: sizes.append(args[4]))
    pixels = model.config.network.frames * model.config.network.size**2
    for room in (100 * pixels, 3 * pixels, 1):
        monkeypatch.setattr(module, "_PIXELS", room)
        of(model, [0, 1], [0, 1]).read([0, 1])
    assert sizes == [16, 3, 1]


def test_statistics_that_are_estimated_are_the_pipeline_s_and_go_away_again(model, model_dir):
    assert 0.37 not in model.statistics
    before = statistics_of(model.generator)
    clips = of(model, [0, 2], [3, 4], 0.37).read([0, 1]).astype(int)
    same = dvdgan.load(model_dir, "cpu")(["dot", "sky"], seed=3, truncation=0.37)
    assert np.abs(clips - same.video.astype(int)).max() <= 1
    assert all(torch.equal(value, before[name]) for name, value in statistics_of(model.generator).items())


def test_a_sweep_of_truncations_takes_turns_on_one_model(model):
    whole, half = of(model, [0], [3]), of(model, [0], [3], 0.6)
    first = whole.read([0]).astype(int)
    assert np.abs(half.read([0]).astype(int) - first).max() > 1
    assert np.array_equal(whole.read([0]), first)
    assert half.name == "samples at truncation 0.6"


def test_the_key_of_samples_follows_from_all_that_makes_them(model, tmp_path):
    samples = of(model, [0, 1], [3, 4])
    save_model(model, tmp_path / "saved")
    saved = load_model(tmp_path / "saved")
    assert of(saved, [0, 1], [3, 4]).key == samples.key
    Pipeline(saved)("dot", truncation=0.5)  # leaves statistics of its own behind
    assert of(saved, [0, 1], [3, 4]).key == samples.key
    keys = [
        of(model, [0, 1], [3, 5]).key,
        of(model, [0, 2], [3, 4]).key,
        of(model, [0, 1], [3, 4], 0.8).key,
        of(model, [0, 1], [3, 4], 0.37).key,
        of(model, [0, 1], [3, 4], 1.0, 5).key,
    ]
    with torch.no_grad():
        next(saved.generator.parameters()).flatten()[0] += 1e-6
    keys.append(of(saved, [0, 1], [3, 4]).key)
    assert len({samples.key, *keys}) == 7
