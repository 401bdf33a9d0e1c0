import math
from itertools import combinations

import numpy as np
import pytest

from dvdgan.data.phenomena import render
from dvdgan.data.store.clip_store import ClipStore
from dvdgan.data.store.writer import StoreWriter
from dvdgan.evaluation.corruptions import corrupted
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.memorisation import nearest as memorisation_nearest
from dvdgan.evaluation.memorisation import search
from dvdgan.evaluation.memorisation.copies import _different
from dvdgan.evaluation.memorisation.nearest import Scale, nearest
from dvdgan.evaluation.memorisation.pixels import NEAR, CoarsePixels, Fingerprints
from dvdgan.evaluation.memorisation.search import closeness, verdict
from dvdgan.evaluation.memorisation.windows import clip_vectors, training_windows
from dvdgan.evaluation.real_clips import middle_windows
from support.clip_sets import array_set
from support.windows import windows_of

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
    return middle_windows(windows_of(store, FRAMES, SIZE, split="train"), "train")


@pytest.fixture(scope="module")
def held_out(store):
    return middle_windows(windows_of(store, FRAMES, SIZE, split="test"), "test")


@pytest.fixture(scope="module")
def windows(training):
    return training_windows(training, starts=5)


def read(clips):
    return clips.read(range(len(clips)))


@pytest.fixture(scope="module")
def spaces(windows, held_out):
    """For each space: the extractor, features of training windows and of held-out clips, and the units."""
    seen, clips = read(windows.clips), read(held_out)
    found = {}
    for extractor in (CoarsePixels(), Fingerprints()):
        features = extractor(seen)
        scale = Scale.none(extractor.dimension) if extractor.name == "fingerprints" else Scale.of(features)
        found[extractor.name] = extractor, features, extractor(clips), scale
    return found


def compare(spaces, windows, held_out, clips, space="coarse pixels", labels=None):
    """What a comparison of clips says, and what lies nearest to each."""
    extractor, seen, unseen, scale = spaces[space]
    samples, others = (nearest(some, seen, windows.groups, scale) for some in (extractor(clips), unseen))
    copies = np.isin(held_out.groups, windows.groups)
    mixed = (held_out.labels[np.arange(len(clips)) % 2], held_out.labels) if labels is None else labels
    return search.compare(samples, others, copies, *mixed, space, "")[0], samples


def replayed(store, mirrored, start, noise=12):
    """Windows of training clips that begin at any frame, with noise."""
    clips = np.stack([store.clip(n)[start(n) : start(n) + FRAMES] for n in range(TRAIN)])
    clips = clips[:, :, :, ::-1] if mirrored else clips
    return np.clip(clips + np.random.default_rng(0).normal(0, noise, clips.shape), 0, 255).astype(np.uint8)


def points(samples, training, held_out, groups=None, near_copies=None, labels=None):
    """A comparison of points, each a clip of its own."""
    groups = [str(n) for n in range(len(training))] if groups is None else groups
    sides = [nearest(some, training, groups, Scale.of(training)) for some in (samples, held_out)]
    none = np.zeros(len(held_out), bool) if near_copies is None else near_copies
    labels = (np.zeros(len(samples), int), np.zeros(len(held_out), int)) if labels is None else labels
    return search.compare(*sides, none, *labels, "points", "")


def normal(seed, *counts, size=8):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((count, size)).astype(np.float32) for count in counts]


# What is found.


@pytest.mark.parametrize("space", ["coarse pixels", "fingerprints"])
@pytest.mark.parametrize(("mirrored", "shifted"), [(False, True), (True, False)])
def test_replayed_training_clips_with_noise_are_caught(store, windows, held_out, spaces, space, mirrored, shifted):
    copies = replayed(store, mirrored, (lambda n: n % 9) if shifted else (lambda n: 4))
    found, near = compare(spaces, windows, held_out, copies, space)
    assert found.verdict == "copies"
    assert found.nearer.value > 0.93
    assert "less than 1e-06" in found.reason
    for row in np.argsort(near.distances)[:12].tolist():
        window = near.rows[row]
        assert window // 10 == row  # the clip that it is a copy of
        assert windows.flipped[window] == mirrored
        assert abs(4 + windows.shifts[window] - (row % 9 if shifted else 4)) <= 1  # windows are 2 frames apart


@pytest.mark.parametrize("space", ["coarse pixels", "fingerprints"])
def test_other_clips_of_the_same_kind_are_no_copies(windows, held_out, spaces, space):
    rng = np.random.default_rng(1)
    others = np.stack([moving(rng, number % 2)[4 : 4 + FRAMES] for number in range(200)])
    found, _ = compare(spaces, windows, held_out, others, space)
    assert found.verdict == "no sign of copies"
    assert found.nearer.low < 0.05 < found.nearer.high + 0.02


def test_held_out_clips_as_samples_give_five_per_cent(windows, held_out, spaces):
    found, _ = compare(spaces, windows, held_out, read(held_out)[: TEST - 5])
    assert (found.nearer.hits, found.nearer.of) == (2, 65)  # below the third of 65: 3 / 66 is expected
    assert found.expected == 3 / 66
    assert found.verdict == "no sign of copies"
    assert "5 of 70 held-out clips" in found.reason
    assert sum(found.histogram.generated) == sum(found.histogram.held_out) == 65


def test_bland_clips_lie_near_to_all_and_are_not_called_copies(windows, held_out, spaces):
    grey = np.random.default_rng(2).integers(0, 256, (80, FRAMES, SIZE, SIZE, 3), np.uint8)  # the same grey everywhere
    found, _ = compare(spaces, windows, held_out, grey)
    assert found.nearer.hits == 80
    assert found.alone.hits < 8
    assert found.verdict == "cannot tell"


def test_a_few_copies_among_many_samples_are_caught(store, windows, held_out, spaces):
    rng = np.random.default_rng(3)
    others = np.stack([moving(rng, number % 2)[4 : 4 + FRAMES] for number in range(100)])
    mixed = np.concatenate([others, replayed(store, False, lambda n: 4, 6)[:25]])
    found, near = compare(spaces, windows, held_out, mixed)
    assert found.verdict == "copies"
    assert (np.argsort(near.distances)[:12] >= 100).all()
    assert found.nearer.value == pytest.approx(0.25, abs=0.06)


def test_copies_that_all_lie_off_the_data_are_caught_by_the_ratio():
    training, held_out, noise, others = normal(4, 200, 100, 100, 100, size=16)
    flaw = np.zeros(16, np.float32)
    flaw[0] = 3  # a flaw that all samples share
    copies = training[:100] + noise * 0.1
    found = points(copies + flaw, training, held_out)[0]
    assert found.nearer.hits == 0
    assert found.alone.hits > 60
    assert found.verdict == "copies"
    assert points(others + flaw, training, held_out)[0].verdict == "no sign of copies"
    far = points(copies + 3 * flaw, training, held_out)[0]  # too far to see what they are copies of
    assert far.verdict == "cannot tell"


def test_false_alarms_are_as_rare_as_they_should_be():
    alarms = 0
    for seed in range(100):
        training, held_out, others = normal(seed, 100, 70, 90)
        alarms += points(others, training, held_out)[0].verdict == "copies"
    assert alarms <= 3


def test_clips_that_come_again_and_again_are_no_more_often_called_copies():
    """Nine clips 20 times each: counted as 180 independent draws, a third of the trials call them copies."""
    alarms = {"all": 0, "different": 0}
    for seed in range(300):
        rng = np.random.default_rng(seed)
        vectors = rng.normal(size=(9, 320)).repeat(20, 0) + rng.normal(0, 0.1, (180, 320))
        prints = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        values, held_out = rng.random(9).repeat(20), rng.random(360)
        order = rng.permutation(180)
        for name, rows in (("all", order), ("different", order[_different(prints[order])])):
            assert len(rows) == (180 if name == "all" else 9)
            alarms[name] += closeness(values[rows], held_out).chance < 0.01
    assert alarms["all"] > 60
    assert alarms["different"] <= 8


def test_few_clips_never_show_that_there_are_no_copies_but_may_show_copies():
    training, others = normal(5, 100, 70)
    few = points(others[:30], training, others[30:50])[0]
    assert few.verdict == "cannot tell"
    assert "30 samples and 20 held-out clips" in few.reason
    copies = points(training[:30] + np.float32(0.01), training, others[30:50])[0]
    assert (copies.verdict, copies.nearer.hits) == ("copies", 30)


def test_held_out_clips_with_near_copies_in_training_do_not_count():
    training, apart = normal(6, 100, 100)
    held_out = np.concatenate([training[:20] + np.float32(0.001), training[20:30], apart])
    copies = training[40:] + np.float32(0.01)
    blind = points(copies, training, held_out)
    assert (len(blind[1]), blind[0].nearer.hits) == (120, 0)  # near copies hide all copies
    found = points(copies, training, held_out, near_copies=np.arange(130) < 20)
    assert found[1].tolist() == list(range(30, 130))
    assert found[0].nearer.hits == 60
    assert "20 of 130" in found[0].reason
    assert "10 of 130" in found[0].reason
    with pytest.raises(EvaluationError, match=r"10 held-out clips .*data\.test_fraction"):
        points(copies, training, training[:10])


def test_a_note_where_classes_are_mixed_otherwise():
    training, samples, held_out = normal(7, 100, 60, 70)
    half = np.arange(70) % 2
    assert "how often each class comes" not in points(samples, training, held_out, labels=(half[:60], half))[0].reason
    skewed = points(samples, training, held_out, labels=(np.zeros(60, int), half))[0]
    assert "50 %" in skewed.reason


def test_one_group_has_no_ratio():
    training, samples, held_out = normal(8, 20, 40, 60)
    assert points(samples, training, held_out, groups=["a"] * 20)[0].alone is None


def test_distances_that_are_all_equal_have_a_histogram():
    still = search._histogram(np.zeros(3), np.zeros(2))
    assert (sum(still.generated), sum(still.held_out)) == (3, 2)


# Distances.


def brute(points, references, groups, scale):
    """Nearest row and distance, and mean distance to the 20 nearest other groups, one pair at a time."""
    found, groups = [], np.array(groups)
    for point in scale(points):
        apart = np.array([math.dist(point, other) for other in scale(references)])
        row = int(np.argmin(apart))
        others = [apart[groups == group].min() for group in set(groups) - {groups[row]}]
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
    names = [f"g{n % groups}" for n in clips]
    points = (rng.standard_normal((33, 3)) * spread + offset).astype(np.float32)
    points[4] = features[31]
    for scale in (Scale.of(features), Scale.none(3)):
        found = nearest(points, features, names, scale)
        rows, distances, around = brute(points, features, names, scale)
        assert np.array_equal(found.rows, rows)
        assert found.distances == pytest.approx(distances, rel=1e-9)
        assert np.flatnonzero(found.distances == 0).tolist() == [4]
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


# Counts.


def test_the_chance_is_that_of_drawing_the_near_ones_out_of_all():
    held_out = np.arange(40.0)  # the threshold is the second lowest
    for hits, count in ((2, 4), (1, 3)):
        total = more = 0
        for places in combinations(range(count + 40), count):  # of the samples, among all in order of distance
            before = next(k for k in range(count + 40) if k + 1 - sum(place <= k for place in places) == 2)
            total += 1
            more += sum(place < before for place in places) >= hits
        values = np.array([0.5] * hits + [9.0] * (count - hits))
        test = closeness(values, held_out)
        assert (test.below.hits, test.threshold) == (hits, 1)
        assert test.chance == pytest.approx(more / total, rel=1e-9)
    assert closeness(np.full(9, 5.0), held_out).chance == 1
    assert closeness(np.zeros(3000), np.linspace(1, 2, 3000)).chance < 1e-300


def ranks(count):
    """Ranks, from 1, of the held-out values at the ends of the threshold's interval."""
    ends = closeness(np.arange(count) + 0.5, np.arange(count) + 1.0).between
    return tuple(None if share is None else round(share * count) for share in ends)


def test_the_interval_of_the_threshold_holds_the_quantile_in_95_of_100_draws():
    assert ranks(71)[0] is None  # 0.95 ** 71 > 2.5 %: the lowest may be above it
    assert ranks(72)[0] == 1
    low, high = ranks(200)
    draws = np.sort(np.random.default_rng(0).random((4000, 200)), axis=1)
    held = (draws[:, low - 1] <= 0.05) & (draws[:, high - 1] >= 0.05)
    assert 0.95 <= held.mean() + 0.007 <= 0.99
    assert ranks(1) == (None, None)
    assert ranks(5000)[0] > 200


def test_the_expected_share_is_met_by_draws_of_one_distribution():
    rng = np.random.default_rng(1)
    shares, chances = [], []
    for _ in range(200):
        test = closeness(rng.exponential(size=150), rng.exponential(size=79))
        shares.append(test.below.value)
        chances.append(test.chance)
        assert test.expected == 4 / 80
    assert np.mean(shares) == pytest.approx(0.05, abs=0.007)
    assert np.mean(np.array(chances) < 0.05) <= 0.08  # no more false alarms than it says


def test_the_share_has_its_wilson_interval_and_that_of_the_threshold():
    test = closeness(np.arange(100) + 0.5, np.arange(0.0, 199.0))
    assert (test.threshold, test.below.hits, test.below.of) == (9, 9, 100)
    assert (test.below.low, test.below.high) == pytest.approx((0.0481, 0.1623), abs=2e-4)
    low, high = (rank - 1 for rank in ranks(199))
    assert low < 9 < high
    assert test.between == (low / 100, high / 100)


def test_the_verdict_says_what_it_rests_on():
    none = closeness(np.full(100, 2.0), np.linspace(1, 3, 100))
    word, reason = verdict(none, None, 100, False)
    assert word == "no sign of copies"
    assert "3.7 %" in reason
    assert "100 held-out clips" in reason
    all_near = closeness(np.zeros(100), np.linspace(1, 3, 100))
    word, reason = verdict(none, all_near, 100, True)
    assert word == "copies"
    assert reason.startswith("100 of 100 samples have a ratio ")
    assert "less than 1e-06" in reason
    assert verdict(all_near, none, 100, False)[0] == "cannot tell"
    assert verdict(all_near, None, 100, False)[0] == "copies"


# Windows.


def test_windows_spread_over_a_clip_and_come_mirrored(store, training, windows):
    assert len(windows.clips) == TRAIN * 10
    assert windows.shifts[:10] == [-4, -4, -2, -2, 0, 0, 2, 2, 4, 4]
    assert windows.flipped[:4].tolist() == [False, True, False, True]
    assert windows.step == 2
    clips = windows.clips.read([30, 31, 38])
    assert np.array_equal(clips[0], store.clip(3)[:FRAMES])
    assert np.array_equal(clips[1], clips[0][:, :, ::-1])
    assert np.array_equal(clips[2], store.clip(3)[-FRAMES:])
    assert np.array_equal(windows.clips.read([34])[0], training.read([3])[0])  # that of shift 0
    assert windows.clips.ids[31] == "train/3, frames 0 to 5, mirrored"
    there = f"{TRAIN} training clips in {TRAIN * 10} windows"
    assert windows.about() == f"{there}, at most 2 frames apart, as they are and mirrored"
    assert windows.clips.labels.tolist() == training.labels[np.arange(TRAIN * 10) // 10].tolist()


def test_windows_of_some_clips_without_flips_and_with_one_start(training):
    few = training.take([7, 2])
    some = training_windows(few, starts=1, mirrored=False)
    assert (len(some.clips), some.shifts) == (2, [0, 0])
    assert np.array_equal(read(some.clips), training.read([7, 2]))
    assert (some.step, some.about()) == (0, "2 training clips in 2 windows")
    keys = [some.clips.key, training_windows(few, 1).clips.key, training_windows(training).clips.key]
    assert len(set(keys)) == 3


def test_short_clips_that_are_repeated_begin_anywhere_in_their_round(store):
    long = middle_windows(windows_of(store, 20, SIZE, split="train", short="loop"), "train")
    windows = training_windows(long.take([4]), starts=7, mirrored=False)
    assert windows.shifts == [0, 2, 4, 6, 8, 10, 12]
    assert np.array_equal(windows.clips.read([3])[0][:8], store.clip(4)[6:])
    assert np.array_equal(windows.clips.read([3])[0][8:], store.clip(4)[:12])


def test_groups_are_the_stores_and_a_clip_without_one_is_its_own(held_out, windows):
    assert held_out.groups[-6:] == [f"test/{TEST - 6}", "g0", "g1", "g2", "g3", "g4"]
    assert windows.groups[:60:10] == ["g0", "g1", "g2", "g3", "g4", "train/5"]
    assert len(set(windows.groups)) == TRAIN


# Pixels.


def test_fingerprints_find_near_copies_and_no_others(store, windows, spaces):
    extractor, seen, unseen, scale = spaces["fingerprints"]
    assert pytest.approx(0.5477, abs=1e-4) == NEAR
    dimmed = (replayed(store, True, lambda n: 4, 3) * 0.8).astype(np.uint8)
    assert (nearest(extractor(dimmed), seen, windows.groups, scale).distances <= NEAR).mean() > 0.95
    assert (nearest(unseen, seen, windows.groups, scale).distances <= NEAR).mean() < 0.05


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


def test_rendered_training_clips_are_caught_in_pixels():
    def rendered(split, count):
        pairs = [(name, index) for name in ("pen", "bounce", "pan-left") for index in range(count)]
        return np.stack([render(*pair, seed=3, size=32, frames=4, split=split).clip for pair in pairs])

    extractor, seen = CoarsePixels(), rendered("train", 25)
    unseen = extractor(rendered("heldout", 45))
    noisy = corrupted(array_set(seen), "noisy").read(range(75))
    copies = points(extractor(noisy), extractor(seen), unseen[::2])[0]
    others = points(unseen[1::2], extractor(seen), unseen[::2])[0]
    assert (copies.verdict, others.verdict) == ("copies", "no sign of copies")
    assert copies.nearer.hits > 70
    assert others.nearer.hits < 8
