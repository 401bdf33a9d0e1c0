import dataclasses
import math

import numpy as np
import pytest
import torch

from dvdgan.data.dataset import ClipDataset
from dvdgan.data.phenomena import CLASSES, render
from dvdgan.data.store.clip_store import ClipStore
from dvdgan.data.store.writer import StoreWriter
from dvdgan.training.checks import SampleCheck, SampleChecker
from support.windows import windows_of

SIZE, FRAMES, PER_CLASS = 32, 8, 16
HELD = 8  # clips per class of a check


def stored(path, clips, labels, classes, **options) -> ClipDataset:
    """A data set of these clips, uint8 [N, T, S, S, 3]."""
    with StoreWriter(path, clips.shape[2], list(classes), {}) as writer:
        for number, (clip, label) in enumerate(zip(clips, labels)):
            writer.add(clip, int(label), str(number), 12.0)
    return windows_of(ClipStore.open(path), clips.shape[1], clips.shape[2], **options)


def rendered(split, per_class, first=0):
    labels = np.repeat(np.arange(len(CLASSES)), per_class)
    clips = [
        render(CLASSES[label], first + i % per_class, size=SIZE, frames=FRAMES, split=split).clip
        for i, label in enumerate(labels)
    ]
    return np.stack(clips), labels


def scrolling(count, speed=1, size=32, frames=6, seed=0):
    """Clips of random soft patterns that move to the right by `speed` pixels per frame, uint8 [N, T, S, S, 3]."""
    rng = np.random.default_rng(seed)
    place = np.arange(size) / size * 2 * np.pi
    shift = speed * np.arange(frames)[:, None, None] / size * 2 * np.pi
    clips = np.empty((count, frames, size, size, 3), np.uint8)
    for clip in clips:
        waves = np.zeros((frames, size, size, 4))
        for wave in range(4):
            kx, ky, phase = rng.integers(1, 4), rng.integers(-3, 4), rng.uniform(0, 2 * np.pi)
            waves[..., wave] = np.sin(kx * (place - shift) + ky * place[:, None] + phase)
        clip[:] = pixels(128 + waves @ rng.normal(size=(4, 3)) * 22)
    return clips


def pixels(values):
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def hues_turned(clip, count, seed=0):
    """Copies of a clip whose colours are turned and mirrored about grey, uint8 [count, T, S, S, 3]."""
    rng = np.random.default_rng(seed)
    turns = [np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(count)]
    return np.stack([pixels(128 + (clip / 255 - 0.5) @ turn * 140) for turn in turns])


def numbers(check: SampleCheck) -> list[float]:
    flat = [check.distance, check.diversity, check.accuracy]
    flat += [*check.diversity_by_class.values(), *check.accuracy_by_class.values()]
    return [value for value in flat if value is not None]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return stored(tmp_path_factory.mktemp("real") / "store", *rendered("train", PER_CLASS), CLASSES)


@pytest.fixture(scope="module")
def held():
    """Clips and labels that the checker has not seen."""
    return rendered("heldout", HELD, first=8)


@pytest.fixture(scope="module")
def checker(dataset):
    return SampleChecker.fit(dataset, check_clips=HELD * len(CLASSES))


def test_unseen_real_clips_look_real(checker, held):
    found = checker.check(*held)
    assert found.distance < 1.25 * checker.baseline
    assert found.accuracy > 0.9
    assert found.diversity == pytest.approx(1, abs=0.1)
    assert list(found.diversity_by_class) == list(found.accuracy_by_class) == list(CLASSES)
    assert all(0.6 < value < 1.5 for value in found.diversity_by_class.values())


def test_classes_that_differ_in_motion_alone_are_told_apart(checker):
    assert set(checker.usable_classes) == set(CLASSES)
    assert min(checker.real_accuracy_by_class.values()) >= 0.7
    assert np.mean(list(checker.real_accuracy_by_class.values())) >= 0.9


def test_the_distance_tells_better_clips_from_worse(checker, held):
    clips, labels = held
    noise = np.random.default_rng(0).normal(size=clips.shape)
    real, little, much = (checker.check(pixels(clips + sigma * noise), labels).distance for sigma in (0, 10, 40))
    assert real < little < much
    stills = clips.mean(1, keepdims=True)
    real, damped, frozen = (checker.check(pixels(stills + a * (clips - stills))).distance for a in (1, 0.5, 0))
    assert real < damped < frozen
    assert frozen > 3 * checker.baseline


def test_a_checkerboard_is_seen(checker, held):
    clips, labels = held
    board = np.indices((SIZE, SIZE)).sum(0)[..., None] % 2 * 40 - 20
    assert checker.check(pixels(clips + board), labels).distance > 1.5 * checker.baseline


def test_frozen_pans_are_never_taken_for_pans(checker, held):
    clips, labels = held
    found = checker.check(np.repeat(clips[:, :1], FRAMES, 1), labels)
    assert found.accuracy_by_class["pan-left"] == found.accuracy_by_class["pan-right"] == 0


def test_one_clip_for_all_has_no_diversity(checker, held):
    clips, labels = held
    found = checker.check(np.repeat(clips[:1], len(clips), 0), labels)
    assert found.diversity == 0
    assert set(found.diversity_by_class.values()) == {0}
    assert found.distance > 3 * checker.baseline


def test_one_clip_per_class_is_found_within_the_classes(checker, held):
    clips, labels = held
    found = checker.check(np.repeat(clips[::HELD], HELD, 0), labels)
    assert found.diversity > 0.7
    assert set(found.diversity_by_class.values()) == {0}


def test_other_colours_are_no_diversity(checker, held):
    clips, labels = held
    copies = np.concatenate([hues_turned(clip, HELD) for clip in clips[::HELD]])
    assert copies[0].mean((0, 1, 2)) != pytest.approx(copies[1].mean((0, 1, 2)), abs=10)
    assert max(checker.check(copies, labels).diversity_by_class.values()) < 0.1


def test_diversity_between_all_alike_and_all_different(checker, held):
    """Two layouts in equal parts: of 8 clips, 16 of 28 pairs differ."""
    clips, labels = held
    pairs = np.arange(len(clips)) // 4 * 4
    whole, half = (checker.check(c, labels).diversity_by_class for c in (clips, clips[pairs]))
    assert all(0.2 < half[name] / whole[name] < 0.9 for name in CLASSES)


def test_a_class_with_the_clips_of_another_is_never_right(checker, held):
    clips, labels = held
    left, right = CLASSES.index("pan-left"), CLASSES.index("pan-right")
    swapped = clips.copy()
    swapped[labels == left] = clips[labels == right]
    found = checker.check(swapped, labels)
    assert found.accuracy_by_class.pop("pan-left") == 0
    assert min(found.accuracy_by_class.values()) >= 0.75


def test_labels_matter_to_accuracy_and_not_to_distance(checker, held):
    clips, labels = held
    wrong, unlabelled = checker.check(clips, (labels + 1) % len(CLASSES)), checker.check(clips)
    assert wrong.accuracy < 0.1
    assert unlabelled.accuracy is None
    assert unlabelled.accuracy_by_class == unlabelled.diversity_by_class == {}
    assert wrong.distance == unlabelled.distance
    assert wrong.diversity == unlabelled.diversity


@pytest.mark.parametrize("noise", [0, 2])
def test_blank_clips_are_not_diverse(checker, held, noise):
    clips, labels = held
    rng = np.random.default_rng(0)
    blank = pixels(rng.uniform(30, 220, (len(clips), 1, 1, 1, 3)) + rng.normal(0, noise, clips.shape))
    found = checker.check(blank, labels)
    assert found.diversity < 0.05
    assert found.distance > 3 * checker.baseline
    assert all(map(math.isfinite, numbers(found)))


def test_equal_clips_give_equal_numbers_and_leave_global_state_alone(dataset, checker, held):
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    again = SampleChecker.fit(dataset, check_clips=HELD * len(CLASSES))
    found = again.check(*held)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])
    assert torch.get_num_threads() == threads
    assert again.baseline == checker.baseline
    assert dataclasses.asdict(found) == dataclasses.asdict(checker.check(*held))


def test_few_samples(checker, held):
    clips, labels = held
    found = checker.check(clips[::4], labels[::4])  # 18 samples in up to 32 dimensions, 2 of a class
    assert math.isfinite(found.distance)
    assert found.diversity_by_class == {}
    found = checker.check(clips[:3], labels[:3])
    assert (found.distance, found.diversity) == (None, None)
    assert set(found.accuracy_by_class) == {CLASSES[0]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda clips, labels: (clips.astype(np.float32), labels), "uint8"),
        (lambda clips, labels: (clips[:, :4], labels), "8, 32, 32, 3"),
        (lambda clips, labels: (clips[:0], labels[:0]), "0, 8, 32"),
        (lambda clips, labels: (clips, labels[:-1]), "72 clips need as many labels from 0 to 8"),
        (lambda clips, labels: (clips, labels + 1), "from 0 to 8"),
    ],
)
def test_misfits_are_refused(checker, held, change, message):
    with pytest.raises(ValueError, match=message):
        checker.check(*change(*held))


def test_images(tmp_path):
    frames = np.concatenate([scrolling(16, frames=1), 255 - scrolling(16, frames=1, seed=1) // 3])
    labels = np.repeat([0, 1], 16)
    checker = SampleChecker.fit(stored(tmp_path / "store", frames, labels, ["grey", "bright"]))
    assert checker.usable_classes == ("grey", "bright")
    found = checker.check(scrolling(16, frames=1, seed=2), np.zeros(16, np.int64))
    assert found.accuracy_by_class == {"grey": 1}
    assert found.diversity_by_class["grey"] == pytest.approx(1, abs=0.2)


def test_without_classes(tmp_path):
    checker = SampleChecker.fit(stored(tmp_path / "store", scrolling(40), np.zeros(40), []), check_clips=20)
    assert checker.real_accuracy_by_class == {}
    assert checker.usable_classes == ()
    found = checker.check(scrolling(20, seed=1))
    assert (found.accuracy, found.accuracy_by_class, found.diversity_by_class) == (None, {}, {})
    assert found.diversity == pytest.approx(1, abs=0.2)
    assert found.distance < 0.5 * checker.check(scrolling(20, seed=1, speed=-1)).distance


@pytest.mark.parametrize(("size", "frames"), [(40, 2), (100, 3), (64, 9)])
def test_any_size_and_length(tmp_path, size, frames):
    clips = scrolling(16, size=size, frames=frames)
    checker = SampleChecker.fit(stored(tmp_path / "store", clips, np.zeros(16), []), check_clips=8)
    assert checker.check(scrolling(8, size=size, frames=frames, seed=1)).distance < 1.5 * checker.baseline


@pytest.mark.parametrize("count", [1, 3, 4, 7])
def test_too_few_real_clips_for_a_distance(tmp_path, count):
    checker = SampleChecker.fit(stored(tmp_path / "store", scrolling(count), np.arange(count) % 2, ["a", "b"]))
    found = checker.check(scrolling(8, seed=1), np.arange(8) % 2)
    assert (checker.baseline, checker.usable_classes, found.distance, found.accuracy) == (None, (), None, None)
    assert (found.diversity is None) == (count < 4)


def test_real_clips_that_are_all_alike(tmp_path):
    """There is nothing to compare with, and nothing divides by zero."""
    real = np.full((12, 4, 32, 32, 3), 90, np.uint8)
    checker = SampleChecker.fit(stored(tmp_path / "store", real, np.arange(12) // 6, ["a", "b"]))
    assert (checker.baseline, checker.usable_classes) == (None, ())
    found = checker.check(scrolling(8, frames=4), np.arange(8) % 2)
    assert (found.distance, found.diversity, found.diversity_by_class) == (None, None, {})


def test_a_class_without_clips_does_not_count(tmp_path):
    clips = np.concatenate([scrolling(12), scrolling(12, speed=-1)])
    checker = SampleChecker.fit(stored(tmp_path / "store", clips, np.repeat([0, 2], 12), ["right", "none", "left"]))
    assert set(checker.real_accuracy_by_class) == {"right", "left"}
    found = checker.check(np.concatenate([clips[:4], clips[:4]]), np.repeat([0, 1], 4))
    assert (found.accuracy, found.accuracy_by_class) == (1, {"right": 1})
    assert set(found.diversity_by_class) == {"right"}


def test_classes_that_look_alike_are_not_trusted(tmp_path):
    clips = np.concatenate([scrolling(24), scrolling(16, speed=-2, seed=1)])
    labels = np.repeat([0, 1, 2], [12, 12, 16])
    checker = SampleChecker.fit(stored(tmp_path / "store", clips, labels, ["same", "equal", "left"]))
    assert checker.usable_classes == ("left",)


def test_a_class_of_few_clips_is_not_trusted(tmp_path):
    clips = np.concatenate([scrolling(12), scrolling(5, speed=-1), scrolling(2, speed=4)])
    checker = SampleChecker.fit(
        stored(tmp_path / "store", clips, np.repeat([0, 1, 2], [12, 5, 2]), ["right", "left", "fast"])
    )
    assert set(checker.real_accuracy_by_class) == {"right", "left"}
    assert checker.usable_classes == ("right",)


def test_real_clips_are_mirrored_as_in_training(tmp_path):
    clips, labels = np.concatenate([scrolling(16), scrolling(16, speed=-1, seed=1)]), np.repeat([0, 1], 16)
    assert len(SampleChecker.fit(stored(tmp_path / "plain", clips, labels, ["right", "left"])).usable_classes) == 2
    assert (
        len(SampleChecker.fit(stored(tmp_path / "flip", clips, labels, ["right", "left"], flip=True)).usable_classes)
        == 0
    )


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({}, {0: 2, 1: 6, 2: 10}),
        ({"limit": 12}, {0: 2, 1: 5, 2: 5}),
        ({"limit": 4}, {0: 1, 1: 1, 2: 1}),
        ({"limit": 2}, {0: 1, 2: 1}),
        ({"most_bytes": 12 * 4 * 32 * 32 * 3}, {0: 2, 1: 5, 2: 5}),
        ({"most_bytes": 1}, {0: 1}),
    ],
)
def test_what_is_read_is_bounded_and_even_over_classes(tmp_path, monkeypatch, bounds, expected):
    dataset = stored(tmp_path / "store", scrolling(18, frames=4), np.repeat([0, 1, 2], [2, 6, 10]), ["a", "b", "c"])
    read, reference = {}, dataset.reference

    def counted(label, count):
        clips = reference(label, count)
        read[label] = len(clips)
        return clips

    monkeypatch.setattr(dataset, "reference", counted)
    SampleChecker.fit(dataset, **bounds)
    assert read == expected


def test_score_weighs_distance_by_variety():
    def score(distance, diversity, by_class):
        return SampleCheck(distance, diversity, by_class, None, {}).score

    assert score(2.0, 0.9, {"a": 1.0, "b": 1.3}) == 2.0
    assert score(2.0, 0.9, {"a": 0.25, "b": 0.25, "c": 1.0}) == 4.0
    assert score(2.0, 0.25, {}) == 4.0
    assert score(2.0, None, {}) == 2.0
    assert score(2.0, 0.0, {}) == 20.0
    assert score(None, 0.5, {}) is None
