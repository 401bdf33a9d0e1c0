import numpy as np
import pytest

from dvdgan.config import DataConfig
from dvdgan.data import phenomena, rendering, sources
from dvdgan.data.errors import DataError
from dvdgan.data.sampler import mirrored_classes
from dvdgan.data.sources import open_dataset
from dvdgan.data.store.clip_store import ClipStore
from dvdgan.data.store.writer import StoreWriter
from dvdgan.randomness import numpy_generator
from support.errors import refused
from support.measures import best_shift, luma
from support.windows import SIZE, coded_clip, origin, windows_of

CLASSES = ["left", "right", "still", "pen", "up"]
MAP = {"left": "right", "pen": None}
MIRRORED = [1, 0, 2, None, 4]  # what MAP says, by index
OWN = [0] * 7 + [1] * 2 + [2] * 3 + [3] * 2 + [4]  # the class of each clip
BOTH = pytest.mark.parametrize("sampling", ["by_clip", "by_class"])


def packed(path, labels, classes=CLASSES):
    with StoreWriter(path, SIZE, classes, {}) as writer:
        for number, label in enumerate(labels):
            writer.add(coded_clip(number, 5 + number % 4, SIZE, SIZE + 2 * number), label, str(number), 12)
    return ClipStore.open(path)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return packed(tmp_path_factory.mktemp("flips") / "store", OWN)


def opened(store, sampling="by_clip", flip_labels=MAP, flip=True, **settings):
    return windows_of(store, 4, SIZE, sampling=sampling, flip=flip, flip_labels=flip_labels, **settings)


def former_draw(data, number):
    """(clip, mirrored, label) of a sample, as they were drawn before mirrored clips could change their class."""
    coin = data.config.flip and numpy_generator(data.seed, "data: flip", number).random() < 0.5
    if data.config.sampling == "by_clip":
        epoch, position = divmod(number, len(data))
        member = numpy_generator(data.seed, "data: epoch", epoch).permutation(len(data))[position]
    else:
        label = numpy_generator(data.seed, "data: class", number).integers(len(CLASSES))
        members = np.flatnonzero(data.labels == label)
        member = members[numpy_generator(data.seed, "data: clip", number).integers(len(members))]
    return member, coin, data.labels[member]


@BOTH
@pytest.mark.parametrize("flip", [False, True])
def test_without_a_map_the_draws_are_what_they_always_were(store, sampling, flip):
    data = opened(store, sampling, flip_labels={}, flip=flip, seed=3)
    clips, labels = data.samples(range(60))
    seen = [(origin(clip)[0], origin(clip)[5], label) for clip, label in zip(clips, labels)]
    assert seen == [former_draw(data, number) for number in range(60)]
    pool = np.arange(len(CLASSES)) if sampling == "by_class" else data.labels
    uniform = numpy_generator(3, "data: fake labels", 4, 1).random(50)
    assert np.array_equal(data.fake_labels(4, 1, 50), pool[(uniform * len(pool)).astype(int)])


def test_mirrored_clips_show_what_the_map_says(store):
    data, plain = opened(store), opened(store, flip=False, flip_labels={})
    clips, labels = data.samples(range(300))
    before, own = plain.samples(range(300))
    mirrored = np.array([origin(clip)[5] for clip in clips])
    assert {(OWN[origin(clip)[0]], m, label) for clip, m, label in zip(clips, mirrored, labels)} == (
        {(k, False, k) for k in range(5)} | {(k, True, other) for k, other in enumerate(MIRRORED) if other is not None}
    )
    assert np.array_equal(clips, np.where(mirrored[:, None, None, None, None], before[:, :, :, ::-1], before))
    assert 0.4 < mirrored[own != CLASSES.index("pen")].mean() < 0.6


def test_by_class_shows_a_class_by_its_own_clips_and_its_opposites_equally_often(store):
    clips, labels = opened(store, "by_class").samples(range(3000))
    seen = [(int(label), *origin(clip)[::5]) for clip, label in zip(clips, labels)]
    expected = {(k, number, False) for number, k in enumerate(OWN)}
    expected |= {(MIRRORED[k], number, True) for number, k in enumerate(OWN) if MIRRORED[k] is not None}
    assert set(seen) == expected
    right = [number for label, number, _ in seen if label == CLASSES.index("right")]
    counts = np.bincount(right)
    assert np.all(counts[:9] > 0.5 * len(right) / 9)  # 2 clips of its own, 7 mirrored ones
    assert np.all(counts[:9] < 1.5 * len(right) / 9)


def chi_square(labels, weights):
    """Sum of squared differences from the expected counts, in units of these; classes of weight 0 must not be there."""
    counts, expected = np.bincount(labels, minlength=len(weights)), len(labels) * weights / weights.sum()
    assert not counts[expected == 0].any()
    expected, counts = expected[expected > 0], counts[expected > 0]
    return float(((counts - expected) ** 2 / expected).sum())


@BOTH
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("flip_labels", "by_clip"),
    [
        (MAP, [4.5, 4.5, 3, 2, 1]),
        ({"left": "right", "right": None}, [3.5, 5.5, 3, 2, 1]),
        ({"left": "pen", "right": "still", "up": None}, [4.5, 2.5, 2.5, 4.5, 1]),
    ],
)
def test_labels_of_reals_and_fakes_have_the_frequencies_of_the_weights(store, sampling, seed, flip_labels, by_clip):
    data = opened(store, sampling, flip_labels, seed=seed)
    weights = np.array(data.class_weights)
    assert weights.tolist() == (by_clip if sampling == "by_clip" else [1] * 5)
    reals = data.samples(range(3000))[1]
    fakes = np.concatenate([data.fake_labels(step, 1, 30) for step in range(100)])
    assert chi_square(reals, weights) < 18.5  # 4 degrees of freedom: 1 in 1,000
    assert chi_square(fakes, weights) < 18.5


def test_labels_of_fakes_take_mirrors_into_account_by_their_own_draw(store):
    data = opened(store)
    labels = data.fake_labels(2, 0, 400)
    assert np.array_equal(labels[:7], data.fake_labels(2, 0, 7))
    before = opened(store, flip=False, flip_labels={}).fake_labels(2, 0, 400)
    changed = labels != before
    assert np.array_equal(changed & (before > 1), np.zeros(400, bool))
    assert 0.4 < changed[before < 2].mean() < 0.6


@BOTH
def test_a_sample_depends_on_its_number_alone(store, sampling):
    whole = opened(store, sampling, seed=2).batch(0, 0, 40, 1)
    for step in reversed(range(5)):
        part = opened(store, sampling, seed=2).batch(step, 0, 8, 1)
        assert all(np.array_equal(a, b[8 * step : 8 * step + 8]) for a, b in zip(part, whole))


@BOTH
def test_a_class_that_only_mirrored_clips_show_is_there(tmp_path, sampling):
    store = packed(tmp_path / "store", [0, 0, 0, 2], CLASSES)
    data = opened(store, sampling, {"left": "right"})
    assert data.class_weights == ([1.5, 1.5, 1, 0, 0] if sampling == "by_clip" else [1, 1, 1, 0, 0])
    clips, labels = data.samples(range(120))
    assert set(labels) == set(data.fake_labels(0, 0, 120)) == {0, 1, 2}
    assert all(origin(clip)[5] and origin(clip)[0] < 3 for clip in clips[labels == 1])
    assert "in this part: pen, up, classes that only mirrored clips show: right" in data.summary()
    shown = data.reference(1, 2)
    assert [origin(clip)[::5] for clip in shown] == [(0, True), (1, True)]
    assert np.array_equal(shown, data.reference(0, 2)[:, :, :, ::-1])
    off = opened(store, sampling, {}, flip=False)
    assert off.class_weights == ([3, 0, 1, 0, 0] if sampling == "by_clip" else [1, 0, 1, 0, 0])
    assert set(off.samples(range(60))[1]) == {0, 2}
    assert "mirrored" not in off.summary()


def test_clips_without_classes_are_mirrored_as_before(tmp_path):
    store = packed(tmp_path / "store", [0] * 4, [])
    data = opened(store, flip_labels={})
    clips, labels = data.samples(range(60))
    assert 15 < sum(origin(clip)[5] for clip in clips) < 45
    assert set(labels) == set(data.fake_labels(0, 0, 9)) == {0}
    assert data.class_weights == []


@pytest.mark.parametrize(
    ("flip_labels", "message"),
    [
        ({"lefft": "right"}, r"data\.flip_labels: .*'lefft'.* left\b"),
        ({"left": "rihgt"}, r"'rihgt'.* right\b"),
        ({"x": None}, "'x'.* left, right, still, pen, up$"),
    ],
)
def test_bad_maps_are_refused(store, flip_labels, message):
    with refused(DataError, message):
        opened(store, flip_labels=flip_labels)


def test_a_map_without_classes_is_refused(store, tmp_path):
    with pytest.raises(DataError, match=r"data\.flip_labels=\{\}"):
        opened(packed(tmp_path / "store", [0], []))
    with pytest.raises(DataError, match="class11 and 88 more"):
        mirrored_classes([f"class{k}" for k in range(100)], DataConfig(flip=True, flip_labels={"?": None}))


def test_a_bad_map_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(rendering, "_render_all", None)
    monkeypatch.setattr(sources, "pack", None)
    (tmp_path / "pets" / "cat").mkdir(parents=True)
    (tmp_path / "pets" / "cat" / "a.mp4").write_text("")
    for source, flip_labels, message in [
        ("phenomena", {"pan-lefft": None}, "pan-left"),
        ("phenomena", {"pan-left": "pan-left"}, r"data\.flip_labels: .*pan-right"),
        (str(tmp_path / "pets"), {"dog": "cat"}, "'dog'.* cat"),
    ]:
        config = DataConfig(source=source, flip=True, flip_labels=flip_labels)
        with pytest.raises(DataError, match=message):
            open_dataset(config, 32, 4, tmp_path / "cache")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Where few phenomena are rendered once."""
    return tmp_path_factory.mktemp("phenomena") / "cache"


def opened_phenomena(cache, **fields):
    config = DataConfig(source="phenomena", clips_per_class=4, flip=True, **fields)
    return open_dataset(config, 32, 8, cache)


@BOTH
def test_mirrored_pans_move_as_their_new_class_does(cache, sampling):
    data = opened_phenomena(cache, sampling=sampling)
    assert data.labels.tolist() == np.repeat(np.arange(9), 4).tolist()
    drawn = [(number, *data.sampler(number)) for number in range(200)]
    borrowed = {
        (member, label): number
        for number, member, mirrored, label in drawn
        if mirrored and data.labels[member] != label
    }
    pans = {data.classes.index("pan-left"): 1, data.classes.index("pan-right"): -1}
    assert {label for _, label in borrowed} == set(pans)
    clips, labels = data.samples(list(borrowed.values()))
    for clip, label in zip(clips, labels):
        y = luma(clip)
        moves = np.array([best_shift(y[t], y[t + 2])[0] for t in (0, 2, 5)])
        assert (pans[label] * moves[:, 0] > 0).all()
        assert abs(moves[:, 1].sum()) < 0.3 * abs(moves[:, 0].sum())


def test_phenomena_are_mirrored_by_class(cache):
    data = opened_phenomena(cache)
    assert set(phenomena.FLIP_LABELS) < set(phenomena.CLASSES)
    opposites = {name: None if k is None else data.classes[k] for name, k in zip(data.classes, data.mirrored)}
    changed = {"pan-left": "pan-right", "pan-right": "pan-left", "pen": None, "turn": None}
    assert opposites == {name: name for name in phenomena.CLASSES} | changed
    drawn = [data.sampler(number) for number in range(300)]
    assert {data.classes[data.labels[m]] for m, mirrored, _ in drawn if mirrored} == {*phenomena.CLASSES} - {
        "pen",
        "turn",
    }
    theirs = open_dataset(DataConfig(source=str(cache), flip=True, flip_labels={"turn": "turn"}), 32, 8, cache / "no")
    assert theirs.mirrored == [*data.mirrored[:7], 7, 8]
    assert opened_phenomena(cache, flip_labels={"pan-left": None}).mirrored[3:5] == [None, 3]


def test_why_phenomena_are_mirrored_as_they_are():
    """Over many scenes, turning and leaning have a preferred side, and passing has none."""

    def scenes(label, frames=2):
        return [phenomena.render(label, index, size=32, frames=frames) for index in range(80)]

    def lean(scene):
        red, green, blue = np.moveaxis(scene.clip[0].astype(int), -1, 0)
        columns = np.nonzero(red - np.maximum(green, blue) > 60)[1]
        return np.mean((columns + 0.5) / 32) - scene.truth["tip"][0, 0]

    assert all((np.diff(scene.truth["angle"]) > 0).all() for scene in scenes("turn"))
    assert 0.6 < np.mean([lean(scene) > 0 for scene in scenes("pen")]) < 0.9
    assert 0.35 < np.mean([np.diff(scene.truth["center"][:, 0])[0] > 0 for scene in scenes("passing")]) < 0.65
