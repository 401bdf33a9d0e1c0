import numpy as np
import pytest

from dvdgan.evaluation.cache import Cache
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.features import extract as module
from dvdgan.evaluation.features.extract import extract
from support.clip_sets import array_set, noise_set


class Means:
    """Mean red, green and blue of clips or of their frames; notes how many clips it saw."""

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
    monkeypatch.setattr(module, "_AT_ONCE", 3)


def clips(count=10, seed=0):
    return noise_set(count, seed=seed, name="some")


def expected(count=10):
    return clips(count).read(range(count)).mean((1, 2, 3))


def test_features_of_all_clips_in_order(tmp_path):
    counted = []
    found = extract(clips(), Means(), Cache(tmp_path / "clips"), counted.append)
    assert found.dtype == np.float32
    assert sum(counted) == 10
    np.testing.assert_allclose(found, expected(), rtol=1e-5)
    assert extract(clips(), Means("frames"), Cache(tmp_path / "frames")).shape == (10, 3, 3)


def test_an_interrupted_extraction_goes_on_with_the_chunks_that_are_missing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        extract(clips(), Means(stop_after=7), Cache(tmp_path))  # in the midst of the second chunk
    assert len(list(tmp_path.iterdir())) == 1
    rest = Means()
    np.testing.assert_allclose(extract(clips(), rest, Cache(tmp_path)), expected(), rtol=1e-5)
    assert rest.seen == 10 - 4
    again = Means(stop_after=0)
    np.testing.assert_allclose(extract(clips(), again, Cache(tmp_path)), expected(), rtol=1e-5)


def test_entries_go_by_content(tmp_path):
    extract(clips(), Means(), Cache(tmp_path))
    same = Means()
    extract(array_set(clips().read(range(10)), name="named otherwise"), same, Cache(tmp_path))
    assert same.seen == 0
    for other, its_set in ((Means(key="means 2"), clips()), (Means(), clips(seed=1)), (Means(), clips(9))):
        extract(its_set, other, Cache(tmp_path))
        assert other.seen == len(its_set)


def test_what_cannot_be_features_is_refused(tmp_path):
    class Wrong(Means):
        def __call__(self, clips):
            return super().__call__(clips)[:, :2]

    class Infinite(Means):
        def __call__(self, clips):
            before, found = self.seen, super().__call__(clips)
            found[np.arange(before, self.seen) == 5] = np.nan
            return found

    with pytest.raises(EvaluationError, match=r"gives features \[3, 2\], not \[3, 3\]"):
        extract(clips(), Wrong(), Cache(tmp_path))
    assert not list(tmp_path.iterdir())
    with pytest.raises(EvaluationError, match="some 5 of some"):
        extract(clips(), Infinite(), Cache(tmp_path))
