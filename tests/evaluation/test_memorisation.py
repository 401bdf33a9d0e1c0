import json
import math
from itertools import combinations

import numpy as np
import pytest

from dvdgan.data.dataset import ClipDataset
from dvdgan.data.phenomena import render
from dvdgan.data.store.clip_store import ClipStore
from dvdgan.data.store.writer import StoreWriter
from dvdgan.evaluation.clipsets import ArraySet
from dvdgan.evaluation.clipsets_data import DatasetSet
from dvdgan.evaluation.corruptions import apply
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.memorisation import nearest as memorisation_nearest
from dvdgan.evaluation.memorisation import pairs as memorisation_pairs
from dvdgan.evaluation.memorisation.closeness import Closeness, _chance, _quantile_ranks, closeness, verdict
from dvdgan.evaluation.memorisation.nearest import References, Scale, equal, nearest, shared
from dvdgan.evaluation.memorisation.pixels import NEAR, CoarsePixels, Fingerprints, near_copies
from dvdgan.evaluation.memorisation.search import memorisation
from dvdgan.evaluation.memorisation.windows import TrainingWindows, clip_vectors, groups_of
from dvdgan.evaluation.record import Memorisation as Record

SIZE, FRAMES, LONG = 24, 6, 14
TRAIN, TEST = 90, 70
CLASSES = ("disc", "box")
WINDOW = np.arange(SIZE)


def moving(rng, label, frames=LONG):
    """A disc or a box that crosses a smooth background, uint8 [frames, SIZE, SIZE, 3]; every draw looks different."""
    waves = np.cos(np.pi * np.outer(np.arange(3), (WINDOW + 0.5) / SIZE))
    ground = 128 + 30 * np.einsum("kuv,uy,vx->yxk", rng.standard_normal((3, 3, 3)), waves, waves)
    colour, radius = rng.uniform(0, 255, 3), rng.uniform(2, 4)
    (y0, x0), (y1, x1) = rng.uniform(0, SIZE, (2, 2))
    clip = np.empty((frames, SIZE, SIZE, 3))
    for t, frame in enumerate(clip):
        at = t / (LONG - 1)
        y, x = WINDOW[:, None] - (y0 + (y1 - y0) * at), WINDOW - (x0 + (x1 - x0) * at)
        inside = np.hypot(y, x) < radius if label == 0 else np.maximum(abs(y), abs(x)) < radius
        frame[:] = np.where(inside[..., None], colour, ground)
    return clip.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Training clips and held-out ones, longer than a window; the last 5 held-out ones share training clips' groups."""
    path, rng = tmp_path_factory.mktemp("clips") / "store", np.random.default_rng(0)
    with StoreWriter(path, SIZE, CLASSES, {"test": True}) as writer:
        for number in range(TRAIN):
            group = f"g{number}" if number < 5 else ""
            writer.add(moving(rng, number % 2), number % 2, f"train/{number}", 12.0, "train", group)
        for number in range(TEST):
            group = f"g{number - TEST + 5}" if number >= TEST - 5 else ""
            writer.add(moving(rng, number % 2), number % 2, f"test/{number}", 12.0, "test", group)
    return ClipStore.open(path)


@pytest.fixture(scope="module")
def training(store):
    return DatasetSet(ClipDataset(store, FRAMES, SIZE, split="train"), "train")


@pytest.fixture(scope="module")
def held_out(store):
    return DatasetSet(ClipDataset(store, FRAMES, SIZE, split="test"), "test")


@pytest.fixture(scope="module")
def windows(training):
    return TrainingWindows(training, starts=5)


def read(clips):
    return clips.read(range(len(clips)))


@pytest.fixture(scope="module")
def spaces(windows, held_out):
    """For each space: the extractor, the references, the held-out features and the units."""
    seen, clips = read(windows), read(held_out)
    found = {}
    for extractor in (CoarsePixels(), Fingerprints()):
        plain = Scale.none(extractor.dimension) if extractor.name == "fingerprints" else None
        found[extractor.name] = extractor, windows.references(extractor(seen)), extractor(clips), plain
    return found


def compare(spaces, held_out, clips, space="coarse pixels", **more):
    extractor, references, features, scale = spaces[space]
    groups = groups_of(held_out)
    return memorisation(extractor(clips), references, features, space, groups, scale=scale, **more)


def replayed(store, mirrored, noise, start):
    """Windows of training clips that begin at any frame, with noise."""
    clips = np.stack([store.clip(n)[start(n) : start(n) + FRAMES] for n in range(TRAIN)])
    clips = clips[:, :, :, ::-1] if mirrored else clips
    return apply("noisy", clips, range(TRAIN), 0, noise)


# What is found.


@pytest.mark.parametrize("space", ["coarse pixels", "fingerprints"])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("shifted", [False, True])
def test_replayed_training_clips_with_noise_are_caught(store, held_out, spaces, space, mirrored, shifted):
    copies = replayed(store, mirrored, 12, (lambda n: n % 9) if shifted else (lambda n: 4))
    found = compare(spaces, held_out, copies, space)
    assert found.verdict == "copies"
    assert found.by_distance.hits / found.by_distance.count > 0.93
    assert found.by_distance.chance < 1e-6
    for pair in found.pairs:
        assert pair.training == pair.row  # the clip that it is a copy of
        assert pair.flipped == mirrored
        assert abs(4 + pair.shift - (pair.row % 9 if shifted else 4)) <= 1  # windows are 2 frames apart


@pytest.mark.parametrize("space", ["coarse pixels", "fingerprints"])
def test_other_clips_of_the_same_kind_are_no_copies(held_out, spaces, space):
    rng = np.random.default_rng(1)
    others = np.stack([moving(rng, number % 2)[4 : 4 + FRAMES] for number in range(200)])
    found = compare(spaces, held_out, others, space)
    assert found.verdict == "no sign of copies"
    assert found.by_distance.low < 0.05 < found.by_distance.high + 0.02
    assert found.by_distance.chance > 0.01


def test_held_out_clips_as_samples_give_five_per_cent(held_out, spaces):
    found = compare(spaces, held_out, read(held_out)[: TEST - 5])
    assert (found.by_distance.hits, found.by_distance.count) == (2, 65)  # below the third of 65: 3 / 66 is expected
    assert found.by_distance.expected == 3 / 66
    assert found.verdict == "no sign of copies"


def test_bland_clips_lie_near_to_all_and_are_not_called_copies(held_out, spaces):
    grey = np.random.default_rng(2).integers(0, 256, (80, FRAMES, SIZE, SIZE, 3), np.uint8)  # the same grey everywhere
    found = compare(spaces, held_out, grey)
    assert found.by_distance.hits == 80
    assert found.by_ratio.hits < 8
    assert found.verdict == "cannot tell"
    assert "to several alike and no single one" in found.reason


def test_a_few_copies_among_many_samples_are_caught(store, held_out, spaces):
    rng = np.random.default_rng(3)
    others = np.stack([moving(rng, number % 2)[4 : 4 + FRAMES] for number in range(100)])
    mixed = np.concatenate([others, replayed(store, False, 6, lambda n: 4)[:25]])
    found = compare(spaces, held_out, mixed)
    assert found.verdict == "copies"
    assert all(pair.row >= 100 for pair in found.pairs)
    assert found.by_distance.hits / 125 == pytest.approx(0.25, abs=0.06)


def test_copies_that_all_lie_off_the_data_are_caught_by_the_ratio():
    rng = np.random.default_rng(4)
    training, held_out = (rng.standard_normal((count, 16)).astype(np.float32) for count in (200, 100))
    flaw = np.zeros(16, np.float32)
    flaw[0] = 3  # a flaw that all samples share
    copies = training[:100] + rng.standard_normal((100, 16)).astype(np.float32) * 0.1
    references = References.plain(training)
    found = memorisation(copies + flaw, references, held_out, "points")
    assert found.by_distance.hits == 0
    assert found.by_ratio.hits > 60
    assert found.verdict == "copies"
    others = rng.standard_normal((100, 16)).astype(np.float32)
    assert memorisation(others + flaw, references, held_out, "points").verdict == "no sign of copies"
    far = memorisation(copies + 3 * flaw, references, held_out, "points")  # too far to see what they are copies of
    assert far.verdict == "cannot tell"
    assert "poor clips lie far from everything" in far.reason


def test_false_alarms_are_as_rare_as_they_should_be():
    alarms = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        training, held_out, others = (rng.standard_normal((n, 8)).astype(np.float32) for n in (100, 70, 90))
        alarms += memorisation(others, References.plain(training), held_out, "points").verdict == "copies"
    assert alarms <= 3


def test_few_clips_never_show_that_there_are_no_copies_but_may_show_copies():
    rng = np.random.default_rng(5)
    training, others = (rng.standard_normal((count, 8)).astype(np.float32) for count in (100, 70))
    references = References.plain(training)
    few = memorisation(others[:30], references, others[30:50], "points")
    assert few.verdict == "cannot tell"
    assert "30 samples and 20 held-out clips are too few" in few.reason
    assert few.by_distance.threshold_low is None
    copies = memorisation(training[:30] + np.float32(0.01), references, others[30:50], "points")
    assert (copies.verdict, copies.by_distance.hits) == ("copies", 30)


def test_held_out_clips_with_near_copies_in_training_do_not_count():
    rng = np.random.default_rng(6)
    training, apart = (rng.standard_normal((100, 8)).astype(np.float32) for _ in range(2))
    held_out = np.concatenate([training[:20] + np.float32(0.001), training[20:30], apart])
    names = [f"a{n}" for n in range(20)] + [f"b{n}" for n in range(110)]
    references = References.plain(training, [f"a{n}" for n in range(100)])
    copies = training[40:] + np.float32(0.01)

    blind = memorisation(copies, references, held_out, "points")
    assert (blind.sharing, blind.equalling, blind.by_distance.hits) == (0, 10, 0)  # near copies hide all copies
    found = memorisation(copies, references, held_out, "points", names)
    assert (found.sharing, found.equalling, len(found.held_out_rows)) == (20, 10, 100)
    assert found.by_distance.hits == 60
    assert {pair.row for pair in found.held_out_pairs} <= set(range(30, 130))
    assert any("20 of 130 held-out clips" in note for note in found.notes)
    marked = memorisation(copies, references, held_out, "points", near_copies=np.arange(130) < 20)
    assert marked.by_distance == found.by_distance
    with pytest.raises(EvaluationError, match=r"each of the 10 held-out clips has a near copy.*data\.test_fraction"):
        memorisation(copies, references, training[:10], "points")


def test_by_class_and_a_note_where_classes_are_mixed_otherwise(store, held_out, spaces):
    copies = replayed(store, False, 6, lambda n: 4)[:40]
    rng = np.random.default_rng(7)
    copies[1::2] = [moving(rng, 1)[4 : 4 + FRAMES] for _ in range(20)]  # discs are copies, boxes are not
    labels = np.arange(40) % 2
    more = {"held_out_labels": held_out.labels, "classes": CLASSES}
    found = compare(spaces, held_out, copies, labels=labels, **more)
    disc, box = (found.by_class[name] for name in CLASSES)
    assert (disc.hits, disc.count, box.count) == (20, 20, 20)
    assert box.hits <= 3
    assert disc.held_out_count + box.held_out_count == 65
    assert disc.held_out_hits + box.held_out_hits == 2
    assert not any("how often each class comes" in note for note in found.notes)
    skewed = compare(spaces, held_out, copies[::2], labels=labels[::2], **more)
    assert any("how often each class comes (49.2 % of the clips)" in note for note in skewed.notes)
    assert list(skewed.by_class) == ["disc"]


# Distances.


def brute(points, references, scale):
    """Nearest row and distance, and mean distance to the 20 nearest other groups, one pair at a time."""
    found = []
    for point in scale(points):
        apart = np.array([math.dist(point, other) for other in scale(references.features)])
        row = int(np.argmin(apart))
        others = [apart[references.codes == c].min() for c in set(references.codes) - {references.codes[row]}]
        found.append((row, apart[row], np.mean(sorted(others)[:20]) if others else math.inf))
    return [np.array(column) for column in zip(*found)]


@pytest.mark.parametrize("groups", [1, 2, 6, 40])
def test_blocks_find_what_a_search_of_all_pairs_finds(monkeypatch, groups):
    monkeypatch.setattr(memorisation_nearest, "_ROWS", 5)
    monkeypatch.setattr(memorisation_nearest, "_COLUMNS", 7)
    monkeypatch.setattr(memorisation_nearest, "_CELLS", 80)
    rng = np.random.default_rng(groups)
    offset, spread = [0, 1000, 0], [1, 10, 0.1]
    features = (rng.standard_normal((100, 3)) * spread + offset).astype(np.float32)
    clips = rng.permutation(np.concatenate([np.arange(40), rng.integers(0, 40, 60)]))
    names = [f"g{n % groups}" for n in range(40)]
    references = References(features, clips, np.zeros(100, int), np.zeros(100, bool), names)
    points = (rng.standard_normal((33, 3)) * spread + offset).astype(np.float32)
    points[4] = features[31]
    for scale in (Scale.of(features), Scale.none(3)):
        found = nearest(points, references, scale)
        rows, distances, around = brute(points, references, scale)
        assert np.array_equal(found.rows, rows)
        assert found.distances == pytest.approx(distances, rel=1e-9)
        assert found.distances[4] == 0
        assert equal(found).tolist() == [row == 4 for row in range(33)]
        if groups == 1:
            assert found.around is None
        else:
            assert found.around == pytest.approx(around, rel=1e-6)
            assert found.ratios == pytest.approx(distances / around, rel=1e-6)


def test_units_are_the_spread_of_training_clips(monkeypatch):
    monkeypatch.setattr(memorisation_nearest, "_COLUMNS", 64)
    features = np.random.default_rng(0).standard_normal((1000, 200)).astype(np.float32)
    scale = Scale.of(features * np.float32(7) + np.float32(300))
    apart = np.linalg.norm(np.diff(scale(features * np.float32(7) + np.float32(300)), axis=0), axis=1)
    assert np.median(apart) == pytest.approx(math.sqrt(2 / 1.01), rel=0.02)  # 1.01: the least spread
    dead = features * (np.arange(200) < 150)
    factors = Scale.of(dead.astype(np.float32)).factors
    assert 8 < factors.max() / factors.min() < 14  # dimensions without spread count for more, but not for all
    assert np.isfinite(Scale.of(np.ones((3, 2), np.float32)).factors).all()


def test_vectors_of_frames_become_one_of_the_clip():
    frames = np.random.default_rng(0).standard_normal((5, 4, 3)).astype(np.float32)
    vectors = clip_vectors(frames)
    assert (vectors.shape, vectors.dtype) == ((5, 6), np.float32)
    assert vectors[2, 1] == pytest.approx(frames[2, :, 1].mean())
    assert vectors[2, 4] == pytest.approx(frames[2, :, 1].std())
    assert clip_vectors(vectors) is vectors
    with pytest.raises(EvaluationError, match=r"\[N, D\] or \[N, T, D\], not \[4\]"):
        clip_vectors(np.zeros(4, np.float32))


# Counts.


def test_the_chance_is_that_of_drawing_the_near_ones_out_of_all():
    count, held_out, rank = 4, 5, 2
    total = hits = 0
    for places in combinations(range(count + held_out), count):  # of the samples, among all in order of distance
        others = [place for place in range(count + held_out) if place not in places]
        total += 1
        hits += sum(place < others[rank - 1] for place in places) >= 2
    assert _chance(2, count, rank, held_out) == pytest.approx(hits / total, rel=1e-12)
    assert _chance(0, count, rank, held_out) == 1
    assert _chance(3000, 3000, 150, 3000) < 1e-300 or _chance(3000, 3000, 150, 3000) == 0


def test_the_interval_of_the_threshold_holds_the_quantile_in_95_of_100_draws():
    assert _quantile_ranks(71)[0] is None  # 0.95 ** 71 > 2.5 %: the lowest may be above it
    assert _quantile_ranks(72)[0] == 1
    low, high = _quantile_ranks(200)
    draws = np.sort(np.random.default_rng(0).random((4000, 200)), axis=1)
    held = (draws[:, low - 1] <= 0.05) & (draws[:, high - 1] >= 0.05)
    assert 0.95 <= held.mean() + 0.007 <= 0.99
    assert _quantile_ranks(1) == (None, None)
    assert _quantile_ranks(5000)[0] > 200


def test_the_expected_share_is_met_by_draws_of_one_distribution():
    rng = np.random.default_rng(1)
    shares, chances = [], []
    for _ in range(400):
        test = closeness(rng.exponential(size=150), rng.exponential(size=79))
        shares.append(test.hits / test.count)
        chances.append(test.chance)
        assert test.expected == 4 / 80
    assert np.mean(shares) == pytest.approx(0.05, abs=0.005)
    assert np.mean(np.array(chances) < 0.05) <= 0.08  # no more false alarms than it says


def test_the_share_has_its_wilson_interval_and_that_of_the_threshold():
    test = closeness(np.arange(100) + 0.5, np.arange(0.0, 199.0))
    assert (test.threshold, test.hits, test.count) == (9, 9, 100)
    assert (test.low, test.high) == pytest.approx((0.0481, 0.1623), abs=2e-4)
    assert test.threshold_low < 9 < test.threshold_high
    assert (test.share_low, test.share_high) == (test.threshold_low / 100, test.threshold_high / 100)


def test_the_verdict_says_what_it_rests_on():
    none = closeness(np.full(100, 2.0), np.linspace(1, 3, 100))
    word, reason = verdict(none, None, 100, False)
    assert word == "no sign of copies"
    assert "Up to 3.7 % of such samples cannot be excluded" in reason
    assert "100 held-out clips" in reason
    all_near = closeness(np.zeros(100), np.linspace(1, 3, 100))
    word, reason = verdict(none, all_near, 100, True)
    assert word == "copies"
    assert "100 of 100 samples lie nearer to one training clip, as against the next ones" in reason
    assert "as many by chance: less than 1e-06" in reason
    assert verdict(all_near, none, 100, False)[0] == "cannot tell"
    assert verdict(all_near, None, 100, False)[0] == "copies"


# Windows.


def test_windows_spread_over_a_clip_and_come_mirrored(store, training, windows):
    assert len(windows) == TRAIN * 10
    assert windows.clips.tolist() == np.repeat(np.arange(TRAIN), 10).tolist()
    assert windows.shifts[:10].tolist() == [-4, -4, -2, -2, 0, 0, 2, 2, 4, 4]
    assert windows.flipped[:4].tolist() == [False, True, False, True]
    assert windows.step == 2
    clips = windows.read([30, 31, 38])
    assert np.array_equal(clips[0], store.clip(3)[:FRAMES])
    assert np.array_equal(clips[1], clips[0][:, :, ::-1])
    assert np.array_equal(clips[2], store.clip(3)[-FRAMES:])
    assert np.array_equal(windows.read([34])[0], training.read([3])[0])  # that of shift 0
    assert windows.ids[31] == "train/3, frames 0 to 5, mirrored"
    assert (
        windows.about()
        == f"{TRAIN} training clips in {TRAIN * 10} windows, at most 2 frames apart, as they are and mirrored"
    )
    assert windows.labels.tolist() == training.labels[windows.clips].tolist()


def test_windows_of_some_clips_without_flips_and_with_one_start(training):
    some = TrainingWindows(training.only([7, 2]), starts=1, mirrored=False)
    assert (len(some), some.clips.tolist(), some.shifts.tolist()) == (2, [0, 1], [0, 0])
    assert np.array_equal(read(some), training.read([7, 2]))
    assert (some.step, some.about()) == (0, "2 training clips in 2 windows")
    assert len({some.key, TrainingWindows(training.only([7, 2]), 1).key, TrainingWindows(training).key}) == 3
    with pytest.raises(EvaluationError, match="1 or more, not 0"):
        TrainingWindows(training, starts=0)


def test_short_clips_that_are_repeated_begin_anywhere_in_their_round(store):
    long = DatasetSet(ClipDataset(store, 20, SIZE, split="train", short="loop"), "train")
    windows = TrainingWindows(long.only([4]), starts=7, mirrored=False)
    assert windows.shifts.tolist() == [0, 2, 4, 6, 8, 10, 12]
    assert np.array_equal(windows.read([3])[0][:8], store.clip(4)[6:])
    assert np.array_equal(windows.read([3])[0][8:], store.clip(4)[:12])


def test_groups_are_the_stores_and_a_clip_without_one_is_its_own(training, held_out, windows):
    assert groups_of(held_out)[-6:] == [f"test/{TEST - 6}", "g0", "g1", "g2", "g3", "g4"]
    assert shared(groups_of(held_out), groups_of(training)).tolist() == [False] * (TEST - 5) + [True] * 5
    references = windows.references(np.zeros((len(windows), 2), np.float32))
    assert references.count == len(set(references.codes)) == TRAIN
    assert list(references.groups[:6]) == ["g0", "g1", "g2", "g3", "g4", "train/5"]


# Pixels.


def test_fingerprints_find_near_copies_and_no_others(store, windows, held_out, spaces):
    extractor, references, features, scale = spaces["fingerprints"]
    assert pytest.approx(0.5477, abs=1e-4) == NEAR
    dimmed = (replayed(store, True, 3, lambda n: 4) * 0.8).astype(np.uint8)
    assert near_copies(nearest(extractor(dimmed), references, scale)).mean() > 0.95
    assert near_copies(nearest(features, references, scale)).mean() < 0.05


def test_coarse_pixels_measure_levels():
    clips = np.full((3, 5, 30, 14, 3), 100, np.uint8)
    clips[1] += 7
    clips[2, -1] = 0
    coarse = CoarsePixels()(clips)
    assert coarse.shape == (3, CoarsePixels.dimension)
    assert np.linalg.norm(coarse[0] - coarse[1]) == pytest.approx(7, rel=1e-5)
    assert 0 < np.linalg.norm(coarse[0] - coarse[2]) < 100 / 2
    ramp = np.repeat(np.arange(24, dtype=np.uint8)[None, None, None, :, None], 24, axis=2).repeat(3, axis=4)
    cells = CoarsePixels()(ramp).reshape(4, 12, 12, 3) * math.sqrt(CoarsePixels.dimension)
    assert cells[2, 5, :, 1] == pytest.approx(np.arange(12) * 2 + 0.5)
    with pytest.raises(EvaluationError, match="at least 12 px, not 8"):
        CoarsePixels()(np.zeros((1, 2, 8, 16, 3), np.uint8))


def test_rendered_training_clips_are_caught_in_pixels():
    def rendered(split, count):
        pairs = [(name, index) for name in ("pen", "bounce", "pan-left") for index in range(count)]
        return np.stack([render(*pair, seed=3, size=32, frames=4, split=split).clip for pair in pairs])

    extractor, seen = CoarsePixels(), rendered("train", 25)
    unseen = rendered("heldout", 45)
    references = References.plain(extractor(seen))
    copies = memorisation(extractor(apply("noisy", seen, range(75))), references, extractor(unseen[::2]), "pixels")
    others = memorisation(extractor(unseen[1::2]), references, extractor(unseen[::2]), "pixels")
    assert (copies.verdict, others.verdict) == ("copies", "no sign of copies")
    assert copies.by_distance.hits > 70
    assert others.by_distance.hits < 8


# The record.


def test_the_record_and_the_pairs_of_clips(store, windows, held_out, spaces):
    clips = replayed(store, False, 6, lambda n: 6)[:70]
    samples = ArraySet(clips, name="sample")
    found = compare(spaces, held_out, clips, pairs=3)
    listed = memorisation_pairs.pairs(found, samples.ids, windows.ids, held_out.ids)
    shown = memorisation_pairs.pixels(found, samples, windows, held_out)
    record = Record(
        spaces=[memorisation_pairs.nearness(found, windows.about())],
        generated_count=70,
        held_out_count=len(found.held_out_rows),
        training_count=found.training_count,
        pairs=listed,
    )
    assert [pair.kind for pair in listed] == ["generated"] * 3 + ["held out"] * 3
    first = listed[0]
    row = samples.ids.index(first.clip)
    assert (first.shift, first.training) == (2, f"train/{row}, frames 6 to 11")
    assert [pair.distance for pair in listed[:3]] == sorted(found.distances)[:3]
    assert np.array_equal(shown[0][0], clips[row])
    assert np.array_equal(shown[0][1], store.clip(row)[6:12])
    assert np.array_equal(shown[3][0], held_out.read([held_out.ids.index(listed[3].clip)])[0])
    assert sum(record.spaces[0].histogram.generated) == 70
    assert sum(record.spaces[0].histogram.held_out) == 65
    assert "5 of 70 held-out clips have near copies" in record.spaces[0].reason
    assert Record.model_validate_json(record.model_dump_json()) == record
    values = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert len(values["distances"]) == 70
    assert values["by_distance"]["hits"] == found.by_distance.hits
    assert values["pairs"][0]["training"] == row


def test_distances_that_are_all_equal_have_a_histogram():
    still = memorisation_pairs._histogram(np.zeros(3), np.zeros(2))
    assert (sum(still.generated), sum(still.held_out)) == (3, 2)


# Bad input.


def test_bad_input_is_named():
    good = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
    references, three, bad = References.plain(good), np.zeros(3, int), good.copy()
    bad[4, 1] = np.nan
    for words, refuse in {
        "clips to compare: features have 2 dimensions, those of training 3": lambda: nearest(
            good[:, :2], references, Scale.none(3)
        ),
        "clips to compare: some features are not finite": lambda: nearest(bad, references, Scale.none(3)),
        "clips to compare: features are .* not int64 .3": lambda: nearest(three, references, Scale.none(3)),
        "clips to compare: features are .* not float32 .0, 3": lambda: memorisation(
            good[:0], references, good + 1, "x"
        ),
        "training clips: some features are not finite": lambda: References.plain(bad),
        "training clips: 6 windows need as many": lambda: References(good, three, three, three),
        "without gaps": lambda: References(good, np.array([0, 0, 1, 1, 3, 3]), np.zeros(6, int), np.zeros(6, bool)),
        "2 groups for 6 clips": lambda: References.plain(good, ["a", "b"]),
        "x: 2 groups for 6 held-out clips": lambda: memorisation(good, references, good + 1, "x", ["a", "b"]),
        "x: labels go with one for each sample": lambda: memorisation(good, references, good + 1, "x", labels=three),
    }.items():
        with pytest.raises(EvaluationError, match=words):
            refuse()


def test_one_group_has_no_ratio():
    good = np.random.default_rng(0).standard_normal((80, 3)).astype(np.float32)
    found = memorisation(good[:40], References.plain(good[:20] + np.float32(9), ["a"] * 20), good[40:], "points")
    assert found.by_ratio is None
    assert found.pairs[0].ratio is None
    assert isinstance(found.by_distance, Closeness)
    json.dumps(found.to_json(), allow_nan=False)
