import dataclasses
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dvdgan
from dvdgan.config import DataConfig
from dvdgan.data.dataset import ClipDataset
from dvdgan.data.store.clip_store import ClipStore
from dvdgan.data.store.writer import StoreWriter
from dvdgan.data.write.encode import write_clip
from dvdgan.evaluation import clipsets_model
from dvdgan.evaluation.clipsets import ArraySet, Mapped, Relabelled, Subset, content_key
from dvdgan.evaluation.clipsets_choice import apportioned, choose_in_all, choose_per_class
from dvdgan.evaluation.clipsets_data import DatasetSet, open_folder, readable
from dvdgan.evaluation.clipsets_model import ModelSet, generator_key
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.models import load_model, save_model
from dvdgan.networks.statistics import statistics_of
from dvdgan.pipeline import Pipeline

SIZE = 16
CLASSES = ["a", "b", "c"]
LABELS = [0, 0, 1, 0, 1, 2, 0, 2, 1, 0]


def array_set(count=6, seed=0, **options):
    clips = np.random.default_rng(seed).integers(0, 256, (count, 3, 8, 8, 3), np.uint8)
    return ArraySet(clips, **options)


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
    whole = array_set()
    assert array_set(name="other", labels=[0, 1, 0, 1, 0, 1], classes=["x", "y"]).key == whole.key
    assert array_set(seed=1).key != whole.key
    flat = ArraySet(whole.read(range(6)).reshape(3, 6, 8, 8, 3))
    assert flat.key != whole.key
    assert Subset(whole, [1, 2]).key != Subset(whole, [2, 1]).key != whole.key
    assert Mapped(whole, lambda clips, rows: clips, "same", "1").key != whole.key
    assert Relabelled(array_set(labels=[0] * 6, classes=["x"]), ["y", "x"]).key == whole.key
    assert content_key("a", 1) == content_key("a", 1) != content_key("a", "1")


def test_a_subset_keeps_the_order_that_is_given():
    whole = array_set(labels=[0, 1, 0, 1, 0, 1], classes=["x", "y"])
    some = Subset(whole, [4, 1], "some")
    assert np.array_equal(some.read([1, 0]), whole.read([1, 4]))
    assert (some.ids, some.labels.tolist(), len(some)) == ([whole.ids[4], whole.ids[1]], [0, 1], 2)
    for rows in ([6], [-1]):
        with pytest.raises(EvaluationError, match="0 to 5"):
            Subset(whole, rows)


def test_a_mapped_set_tells_its_function_which_clips_they_are():
    whole = array_set()

    def stamp(clips, rows):
        stamped = clips.copy()
        stamped[:, 0, 0, 0, 0] = rows
        return stamped

    stamped = Mapped(whole, stamp, "stamped", "stamp 1")
    assert stamped.read([5, 2])[:, 0, 0, 0, 0].tolist() == [5, 2]
    assert Subset(stamped, [3, 4]).read([1])[0, 0, 0, 0, 0] == 4
    assert not np.array_equal(whole.read([5]), stamped.read([5]))
    with pytest.raises(EvaluationError, match=r"cut: makes uint8 \[1, 2, 8, 8, 3\]"):
        Mapped(whole, lambda clips, rows: clips[:, 1:], "cut", "cut").read([0])


def test_classes_of_two_sets_are_brought_together_by_name():
    own = array_set(labels=[0, 1, 0, 1, 0, 1], classes=["sky", "bar"])
    aligned = Relabelled(own, ["dot", "bar", "sky"])
    assert [aligned.classes[label] for label in aligned.labels] == ["sky", "bar"] * 3
    assert np.array_equal(aligned.read([2]), own.read([2]))
    with pytest.raises(EvaluationError, match="'bar' is none of the data's; did it mean bars"):
        Relabelled(own, ["bars", "sky"])
    with pytest.raises(EvaluationError, match="the data has classes and it has none"):
        Relabelled(array_set(), ["bar"])
    assert Relabelled(array_set(), []).labels.tolist() == [0] * 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clips": np.zeros((2, 3, 8, 9, 3), np.uint8)}, r"\[2, 3, 8, 9, 3\]"),
        ({"clips": np.zeros((2, 3, 8, 8, 3))}, "float64"),
        ({"labels": [0, 1]}, "one of 1 classes for each of 6"),
        ({"labels": [0, 0, 0, 0, 0, 2], "classes": ["x", "y"]}, "one of 2 classes"),
        ({"ids": ["one"]}, "1 names for 6"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(EvaluationError, match=message):
        ArraySet(**{"clips": array_set().read(range(6)), **arguments})


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
    for weights in ([], [0, 0], [1, -1], [float("nan")]):
        with pytest.raises(EvaluationError, match="weights"):
            apportioned(weights, 3)


def test_choices_are_nested_and_depend_on_names_alone():
    labels, classes = np.arange(60) % 3, ["x", "y", "z"]
    whole = array_set(60, labels=labels, classes=classes, ids=[f"clip {number}" for number in range(60)])
    few, many = choose_per_class(whole, 3), choose_per_class(whole, 9)
    assert np.bincount(labels[few]).tolist() == [3, 3, 3]
    assert set(few) < set(many)
    assert not np.array_equal(choose_per_class(whole, 3, seed=1), few)
    backwards = Subset(whole, np.arange(60)[::-1])
    assert {backwards.ids[row] for row in choose_per_class(backwards, 3)} == {whole.ids[row] for row in few}
    with pytest.raises(EvaluationError, match="its class x has 20 clips, not 21"):
        choose_per_class(whole, 21)
    for choose in (choose_per_class, choose_in_all):
        with pytest.raises(EvaluationError, match="1 or more"):
            choose(whole, 0)


def test_clips_in_all_follow_the_data_or_the_weights():
    labels = np.repeat([0, 1], [30, 10])
    whole = array_set(40, labels=labels, classes=["x", "y"])
    assert np.bincount(labels[choose_in_all(whole, 20)]).tolist() == [15, 5]
    assert np.bincount(labels[choose_in_all(whole, 12, [1, 1])]).tolist() == [6, 6]
    with pytest.raises(EvaluationError, match="its class y has 10 clips, not 20"):
        choose_in_all(whole, 40, [1, 1])
    assert len(set(choose_in_all(array_set(40), 7))) == 7
    with pytest.raises(EvaluationError, match="it has 40 clips, not 41"):
        choose_in_all(array_set(40), 41)


def test_a_clip_has_one_window_in_the_middle(store):
    chance = {"crop": "random", "flip": True, "sampling": "by_class", "seed": 3}
    real = DatasetSet(ClipDataset(store, 3, SIZE, 2, **chance, split="train"), "train")
    plain = DatasetSet(ClipDataset(store, 3, SIZE, 2, split="train"), "train")
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
    assert (real.frames, real.size, real.stride, real.fps, real.part) == (3, SIZE, 2, 12.0, "train")
    assert real.name == "coded, train part"
    assert np.array_equal(real.read([4, 0]), clips[[4, 0]])


def test_windows_at_other_times_of_the_same_clips(store):
    real = DatasetSet(ClipDataset(store, 3, SIZE), "all")
    first, last = real.at(0), real.at(1)
    assert (first.read([1])[0, :, 0, 0, 2] - 16).tolist() == [0, 1, 2]
    assert (last.read([1])[0, :, 0, 0, 2] - 16).tolist() == [6, 7, 8]
    assert len({real.key, first.key, last.key}) == 3
    with pytest.raises(EvaluationError, match="from 0 to 1"):
        real.at(1.5)


def test_the_key_of_packed_clips_follows_from_their_frames_and_windows(store, tmp_path):
    real = DatasetSet(ClipDataset(store, 3, SIZE))
    copied = DatasetSet(ClipDataset(ClipStore.open(shutil.copytree(store.path, tmp_path / "copy")), 3, SIZE))
    assert copied.key == real.key
    other = coded_store(tmp_path / "other", skew=1)
    keys = [
        DatasetSet(ClipDataset(other, 3, SIZE)).key,
        DatasetSet(ClipDataset(store, 2, SIZE)).key,
        DatasetSet(ClipDataset(store, 3, SIZE, 2)).key,
        DatasetSet(ClipDataset(store, 3, SIZE, split="test")).key,
        real.only([1, 0]).key,
        real.only([0, 1]).key,
    ]
    assert len({real.key, *keys}) == 7
    keys = set()
    for shape in ((SIZE, SIZE + 1), (SIZE + 1, SIZE)):  # the same bytes, cut at the same place
        with StoreWriter(tmp_path / f"{shape}", SIZE, [], {}) as writer:
            writer.add(coded_clip(0, 3, SIZE, SIZE + 1).reshape(3, *shape, 3), 0, "clip", 12)
        keys.add(DatasetSet(ClipDataset(ClipStore.open(tmp_path / f"{shape}"), 3, SIZE)).key)
    assert len(keys) == 2
    fewer = DatasetSet(ClipDataset(coded_store(tmp_path / "fewer", range(4)), 3, SIZE))
    assert real.only(range(4)).key == fewer.key
    assert np.array_equal(real.only([3, 2]).read([0]), real.read([3]))
    assert real.only([3, 2]).ids == [real.ids[3], real.ids[2]]


def test_random_backgrounds_are_fixed_and_in_the_key(tmp_path):
    clear = coded_store(tmp_path / "clear", transparent=True)
    drawn, again = (DatasetSet(ClipDataset(clear, 3, SIZE, background=None, seed=1)) for _ in range(2))
    clips = drawn.read(range(10))
    assert clips.shape == (10, 3, SIZE, SIZE, 3)
    assert len(np.unique(clips[:, 0, 0, 0], axis=0)) > 5
    assert np.array_equal(drawn.read([7]), clips[[7]])
    assert again.key == drawn.key
    assert np.array_equal(drawn.only([7]).read([0]), clips[[7]])
    white = DatasetSet(ClipDataset(clear, 3, SIZE))
    assert (white.read([0]) == 255).all()
    shifted = coded_store(tmp_path / "shifted", range(7, 10), transparent=True)  # its clip 0 is the other's clip 7
    same_frames = DatasetSet(ClipDataset(shifted, 3, SIZE, background=None, seed=1)).only([0])
    assert not np.array_equal(same_frames.read([0]), clips[[7]])
    assert same_frames.key != drawn.only([7]).key
    other = DatasetSet(ClipDataset(clear, 3, SIZE, background=None, seed=2))
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

    real = DatasetSet(ClipDataset(Broken(), 3, SIZE))
    assert real.read([4]).shape == (1, 3, SIZE, SIZE, 3)
    with pytest.raises(EvaluationError, match="clip 5 cannot be read"):
        real.read([4, 5])
    with pytest.raises(EvaluationError, match="0 to 9"):
        DatasetSet(real.dataset, members=[10])
    assert readable(DatasetSet(ClipDataset(store, 3, SIZE)), tmp_path).tolist() == list(range(10))
    assert not list(tmp_path.iterdir())  # packed clips need no reading
    for _ in range(2):  # the second time it is kept
        assert readable(real, tmp_path).tolist() == [0, 1, 2, 3, 4, 6, 7, 8, 9]
        real.dataset.store.read = None


def test_parts_are_opened_as_the_configuration_divides_them(store, tmp_path):
    config = DataConfig(source=str(store.path), flip=True, crop="random", stride=2)
    parts = {part: DatasetSet.open(config, SIZE, 3, tmp_path / "cache", part, False) for part in ("train", "test")}
    assert [name.split(",")[0] for name in parts["test"].ids] == ["clip 0", "clip 3", "clip 6", "clip 9"]
    assert not set(parts["train"].ids) & set(parts["test"].ids)
    assert parts["test"].part == "test"
    held = config.model_copy(update={"test_fraction": 0.4})
    assert len(DatasetSet.open(held, SIZE, 3, tmp_path / "cache", "all", False)) == 10


def test_a_folder_of_clips_is_a_set(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("bar/one", "dot/two"):
        clip = np.repeat(rng.integers(0, 256, (5, 4, 4, 3), np.uint8), 8, 1).repeat(8, 2)
        (tmp_path / "clips" / name).parent.mkdir(parents=True)
        write_clip(tmp_path / "clips" / f"{name}.webp", clip, 10)
    found = open_folder(tmp_path / "clips", SIZE, 3, tmp_path / "cache", progress=False)
    assert found.classes == ["bar", "dot"]
    assert found.labels.tolist() == [0, 1]
    assert found.read([0, 1]).shape == (2, 3, SIZE, SIZE, 3)
    assert found.ids == ["bar/one.webp, frames 1 to 3", "dot/two.webp, frames 1 to 3"]
    assert (found.name, found.part, found.fps) == (str(tmp_path / "clips"), "all", 10.0)


@pytest.fixture(scope="module")
def model(model_dir):
    return load_model(model_dir)


def test_a_model_makes_the_same_clip_of_a_seed_and_class_whatever_comes_with_it(model, model_dir):
    samples = ModelSet.per_class(model, 3, first_seed=5)
    assert samples.labels.tolist() == [0, 1, 2] * 3
    assert samples.ids[:2] == ["seed 5, class dot", "seed 6, class bar"]
    clips = samples.read(range(9)).astype(int)
    assert clips.shape == (9, 4, 32, 32, 3)
    assert np.abs(clips[[7, 2]] - samples.read([7, 2])).max() <= 1
    alone = ModelSet(model, [1], [6], batch_size=1)
    assert np.abs(clips[1] - alone.read([0])[0]).max() <= 1
    assert np.abs(clips[1] - dvdgan.load(model_dir, "cpu")("bar", seed=6)[0]).max() <= 1
    assert np.abs(clips[1] - clips[4]).max() > 1
    assert samples.read([]).shape == (0, 4, 32, 32, 3)
    assert ModelSet(model, [0], [1], frames=6).read([0]).shape[1] == 6


def test_large_clips_are_made_fewer_at_once(model, monkeypatch):
    sizes = []
    monkeypatch.setattr(clipsets_model, "make_clips", lambda *args: sizes.append(args[4]))
    pixels = model.config.network.frames * model.config.network.size**2
    for room in (100 * pixels, 3 * pixels, 1):
        monkeypatch.setattr(clipsets_model, "_PIXELS", room)
        ModelSet(model, [0, 1], [0, 1]).read([0, 1])
    assert sizes == [16, 3, 1]


@pytest.mark.parametrize(("truncation", "kind"), [(0.37, "scale"), (0.9, "resample")])
def test_statistics_that_are_estimated_do_not_depend_on_the_batch_and_go_away_again(model, model_dir, truncation, kind):
    assert truncation not in model.statistics
    before = statistics_of(model.generator)
    a, b = (
        ModelSet(model, [0, 2], [3, 4], truncation, kind, batch_size=size).read([0, 1]).astype(int) for size in (1, 8)
    )
    assert np.abs(a - b).max() <= 1
    pipeline = dvdgan.load(model_dir, "cpu")
    same = pipeline(["dot", "sky"], seed=3, truncation=truncation, truncation_kind=kind)
    assert np.abs(a - same.video.astype(int)).max() <= 1
    assert all(torch.equal(value, before[name]) for name, value in statistics_of(model.generator).items())


def test_a_sweep_of_truncations_takes_turns_on_one_model(model):
    whole, half = ModelSet(model, [0], [3]), ModelSet(model, [0], [3], 0.6)
    first = whole.read([0]).astype(int)
    assert np.abs(half.read([0]).astype(int) - first).max() > 1
    assert np.array_equal(whole.read([0]), first)


def test_the_key_of_samples_follows_from_all_that_makes_them(model, model_dir, tmp_path):
    samples = ModelSet(model, [0, 1], [3, 4])
    assert ModelSet(model, [0, 1], [3, 4], batch_size=2, name="other").key == samples.key
    save_model(model, tmp_path / "saved")
    saved = load_model(tmp_path / "saved")
    assert ModelSet(saved, [0, 1], [3, 4]).key == samples.key
    Pipeline(saved)("dot", truncation=0.5)  # leaves statistics of its own behind
    assert ModelSet(saved, [0, 1], [3, 4]).key == samples.key
    keys = [
        ModelSet(model, [0, 1], [3, 5]).key,
        ModelSet(model, [0, 2], [3, 4]).key,
        ModelSet(model, [0, 1], [3, 4], 0.8).key,
        ModelSet(model, [0, 1], [3, 4], 0.37).key,
        ModelSet(model, [0, 1], [3, 4], 0.8, "resample").key,
        ModelSet(model, [0, 1], [3, 4], frames=5).key,
        ModelSet(model, [0, 1], [3, 4], precision="bf16").key,
    ]
    with torch.no_grad():
        next(saved.generator.parameters()).flatten()[0] += 1e-6
    keys.append(ModelSet(saved, [0, 1], [3, 4]).key)
    assert len({samples.key, *keys}) == 9
    assert generator_key(saved) != generator_key(model)


def test_samples_in_all_come_as_the_model_s_data_did(model):
    skewed = dataclasses.replace(model, class_weights=[3.0, 1.0, 0.0])
    samples = ModelSet.in_all(skewed, 8, first_seed=10)
    assert np.bincount(samples.labels).tolist() == [6, 2]
    assert samples.seeds == list(range(10, 18))
    assert ModelSet.in_all(skewed, 4, first_seed=10).ids == samples.ids[:4]
    assert ModelSet.in_all(skewed, 6, balanced=True, truncation=0.5).name == "samples at truncation 0.5"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": [0, 3]}, "from 0 to 2"),
        ({"labels": None}, "the model has 3 classes: give labels"),
        ({"labels": [0]}, "1 labels for 2 seeds"),
        ({"seeds": [1, -2]}, "seeds must be 0 or more, not -2"),
        ({"truncation": 0.0}, "truncation must be"),
        ({"precision": "fp8"}, "precision must be"),
        ({"frames": 0}, "must be 1 or more"),
    ],
)
def test_samples_that_cannot_be_made_are_refused(model, arguments, message):
    with pytest.raises(EvaluationError, match=message):
        ModelSet(**{"model": model, "labels": [0, 1], "seeds": [0, 1], **arguments})
