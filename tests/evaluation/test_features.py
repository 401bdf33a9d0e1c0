import numpy as np
import pytest

from dvdgan.evaluation.clipsets import ArraySet
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.features.extract import extract, frame_differences
from dvdgan.evaluation.features.extract import extract as module


class Means:
    """Mean red, green and blue of clips or of their frames; notes which clips it saw."""

    name, dimension = "means", 3

    def __init__(self, unit="clip", key="means 1", stop_after=None):
        self.unit, self.key, self.seen, self.stop_after = unit, key, 0, stop_after

    def __call__(self, clips):
        if self.stop_after is not None and self.seen + len(clips) > self.stop_after:
            raise KeyboardInterrupt
        self.seen += len(clips)
        over = (1, 2, 3) if self.unit == "clip" else (2, 3)
        return clips.astype(np.float32).mean(over, dtype=np.float32)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 4)


def clip_set(count=10, seed=0, frames=3):
    return ArraySet(np.random.default_rng(seed).integers(0, 256, (count, frames, 8, 8, 3), np.uint8), name="some")


def expected(count=10, seed=0, frames=3):
    return clip_set(count, seed, frames).read(range(count)).mean((1, 2, 3))


@pytest.mark.parametrize("batch", [1, 3, 4, 100])
def test_features_of_all_clips_in_order_whatever_the_batch(tmp_path, batch):
    for cache in (None, tmp_path / "new" / "cache"):
        found = extract(clip_set(), Means(), cache, batch)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected(), rtol=1e-5)
    assert extract(clip_set(), Means("frames"), None, batch).shape == (10, 3, 3)


def test_an_interrupted_extraction_goes_on_with_the_chunks_that_are_missing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        extract(clip_set(), Means(stop_after=7), tmp_path, batch=2)  # in the midst of the second chunk
    assert len(list(tmp_path.iterdir())) == 1
    rest = Means()
    np.testing.assert_allclose(extract(clip_set(), rest, tmp_path, batch=2), expected(), rtol=1e-5)
    assert rest.seen == 10 - 4
    again = Means(stop_after=0)
    np.testing.assert_allclose(extract(clip_set(), again, tmp_path), expected(), rtol=1e-5)


def test_a_write_that_is_interrupted_leaves_nothing(tmp_path, monkeypatch):
    def half(tensors, path, about):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "save_file", half)
        with pytest.raises(KeyboardInterrupt):
            extract(clip_set(), Means(), tmp_path)
    assert not list(tmp_path.iterdir())


def truncated(path, other):
    path.write_bytes(path.read_bytes()[:-7])


def emptied(path, other):
    path.write_bytes(b"")


def written_over(path, other):
    path.write_text("no features at all")


def changed(path, other):
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)


def exchanged(path, other):
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize("damage", [truncated, emptied, written_over, changed, exchanged])
def test_a_damaged_entry_is_made_again_and_no_other(tmp_path, damage):
    extract(clip_set(), Means(), tmp_path)
    first, second, _ = sorted(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    damage(first, second)
    mended = Means()
    np.testing.assert_allclose(extract(clip_set(), mended, tmp_path), expected(), rtol=1e-5)
    assert mended.seen == 4
    assert extract(clip_set(), Means(stop_after=0), tmp_path).shape == (10, 3)


def test_entries_go_by_content(tmp_path):
    extract(clip_set(), Means(), tmp_path)
    same = Means()
    extract(ArraySet(clip_set().read(range(10)), name="named otherwise"), same, tmp_path)
    assert same.seen == 0
    for other, its_set in ((Means(key="means 2"), clip_set()), (Means(), clip_set(seed=1)), (Means(), clip_set(9))):
        extract(its_set, other, tmp_path)
        assert other.seen == len(its_set)


def test_progress_tells_of_every_clip(tmp_path):
    computed, kept = [], []
    for told in (computed, kept):
        extract(clip_set(), Means(), tmp_path, batch=3, progress=lambda *numbers, told=told: told.append(numbers))
    assert computed == [(done, 10) for done in (3, 4, 7, 8, 10)]
    assert kept == [(done, 10) for done in (4, 8, 10)]


def test_differences_of_frames_come_from_the_frames_that_were_kept(tmp_path):
    frames = extract(clip_set(), Means("frames"), tmp_path)
    differences = frame_differences(Means("frames", stop_after=0))
    found = extract(clip_set(), differences, tmp_path)
    np.testing.assert_array_equal(found, frames[:, 1:] - frames[:, :-1])
    assert differences.unit == "frames"
    assert differences.key != differences.base.key
    alone = frame_differences(Means("frames"))(clip_set().read([4]))
    np.testing.assert_array_equal(alone, found[4:5])
    with pytest.raises(EvaluationError, match="2 frames and more"):
        extract(clip_set(frames=1), frame_differences(Means("frames")))
    with pytest.raises(EvaluationError, match="whole clips"):
        frame_differences(Means())


def test_what_cannot_be_features_is_refused(tmp_path):
    class Wrong(Means):
        def __call__(self, clips):
            return super().__call__(clips)[:, :2]

    class Infinite(Means):
        def __call__(self, clips):
            self.seen += len(clips)
            return np.where(np.arange(self.seen - len(clips), self.seen)[:, None] == 5, np.nan, np.ones((1, 3))).astype(
                np.float32
            )

    class Double(Means):
        def __call__(self, clips):
            return super().__call__(clips).astype(np.float64)

    with pytest.raises(EvaluationError, match=r"float32 \[4, 2\], not float32 \[4, 3\]"):
        extract(clip_set(), Wrong(), tmp_path)
    with pytest.raises(EvaluationError, match=r"float64 \[4, 3\]"):
        extract(clip_set(), Double(), tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(EvaluationError, match="no finite numbers in some 5 of some"):
        extract(clip_set(), Infinite(), tmp_path, batch=2)
    with pytest.raises(EvaluationError, match="no clips"):
        extract(clip_set(0), Means())
    with pytest.raises(EvaluationError, match="batch"):
        extract(clip_set(), Means(), batch=0)


def test_a_place_where_nothing_can_be_kept_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EvaluationError, match=r"file: features cannot be kept there"):
        extract(clip_set(), Means(), tmp_path / "file")


def test_features_that_lie_otherwise_in_memory_are_kept_as_they_are(tmp_path):
    class Turned(Means):
        def __call__(self, clips):
            return np.asfortranarray(super().__call__(clips))

    clips = clip_set(5)
    first, again = extract(clips, Turned(), tmp_path), Turned()
    assert np.array_equal(extract(clips, again, tmp_path), first)
    assert again.seen == 0
