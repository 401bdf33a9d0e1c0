import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.metrics import statistics
from dvdgan.evaluation.metrics.statistics import (
    Moments,
    gaussian,
    gaussian_of_chunks,
    kept_gaussian,
    load_gaussian,
    save_gaussian,
)

HAND = np.array([[0, 0], [2, 0], [4, 6]], np.float32)


def features(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_by_hand():
    found = gaussian(HAND)
    assert found.mean.tolist() == [2, 2]
    assert found.covariance.tolist() == [[4, 6], [6, 12]]
    assert (found.count, found.clips, found.dimension) == (3, 3, 2)
    assert found.mean.dtype == found.covariance.dtype == np.float64


def test_vectors_of_frames_count_as_vectors_of_fewer_clips():
    found = gaussian(HAND.reshape(1, 3, 2))
    assert found.covariance.tolist() == [[4, 6], [6, 12]]
    assert (found.count, found.clips) == (3, 1)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, 39), max_size=6, unique=True), frames=st.sampled_from([None, 3]))
def test_chunks_make_what_all_at_once_makes(cuts, frames):
    clips = features(40, 5) if frames is None else features(40, frames, 5)
    found = gaussian_of_chunks(np.split(clips, sorted(cuts)))
    vectors = clips.reshape(-1, 5).astype(np.float64)
    assert np.allclose(found.mean, vectors.mean(0), rtol=0, atol=1e-14)
    assert np.allclose(found.covariance, np.cov(vectors, rowvar=False), rtol=0, atol=1e-13)
    assert (found.count, found.clips) == (len(vectors), 40)


def test_chunks_within_a_call_change_nothing(monkeypatch):
    whole = gaussian(features(50, 4))
    monkeypatch.setattr(statistics, "_CHUNK_BYTES", 7 * 4 * 8)
    parts = gaussian(features(50, 4))
    assert (parts.count, parts.clips) == (50, 50)
    assert np.allclose(parts.covariance, whole.covariance, rtol=0, atol=1e-14)


def test_far_from_zero_nothing_cancels():
    vectors = np.random.default_rng(1).normal(size=(1000, 3))
    near, far = gaussian(vectors), gaussian_of_chunks(np.split(vectors + 1e8, 10))
    assert np.allclose(far.covariance, near.covariance, rtol=0, atol=1e-7)


def test_half_precision_is_summed_in_double():
    halves = np.full((5000, 1), 2.0, np.float16)  # a sum of 10,000 that fp16 rounds
    halves[::2] = 4.0
    found = gaussian(halves)
    assert found.mean.tolist() == [3]
    assert found.covariance.tolist() == [[5000 / 4999]]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (np.zeros((1, 4)), "at least 2 clips"),
        (np.zeros((0, 4)), "empty"),
        (np.zeros(4), r"numbers \[N, D\]"),
        (np.array([["a", "b"]]), r"numbers \[N, D\]"),
        (np.array([[0.0, 1.0], [np.nan, 1.0], [np.inf, 1.0]]), "clip 1 .* and of 1 more"),
    ],
)
def test_what_is_no_features_is_refused(wrong, words):
    with pytest.raises(EvaluationError, match=words) as error:
        gaussian(wrong, "real clips")
    assert "\n" not in str(error.value)


def test_chunks_that_do_not_fit_are_refused():
    with pytest.raises(EvaluationError, match="3 and of 4"):
        gaussian_of_chunks([features(2, 3), features(2, 4)])
    with pytest.raises(EvaluationError, match="real clips: there are none"):
        gaussian_of_chunks([], "real clips")


def test_merging_needs_no_order():
    parts = [Moments.of(features(n, 3, seed=n)) for n in (1, 2, 30)]
    forth, back = parts[0].merge(parts[1]).merge(parts[2]), parts[2].merge(parts[1].merge(parts[0]))
    assert np.allclose(forth.scatter, back.scatter, rtol=0, atol=1e-12)
    assert forth.count == back.count == 33


def test_file_gives_back_every_bit(tmp_path):
    made = gaussian(features(30, 2, 6))
    save_gaussian(tmp_path / "deep" / "g.safetensors", made, "k1")
    read = load_gaussian(tmp_path / "deep" / "g.safetensors", "k1")
    assert np.array_equal(read.mean, made.mean)
    assert np.array_equal(read.covariance, made.covariance)
    assert (read.count, read.clips) == (60, 30)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["g.safetensors"]


def test_every_damaged_byte_is_noticed(tmp_path):
    path = tmp_path / "g.safetensors"
    save_gaussian(path, gaussian(HAND), "k1")
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(EvaluationError, match=r"g\.safetensors: ") as error:
            load_gaussian(path, "k1")
        assert "\n" not in str(error.value)
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(EvaluationError, match="damaged"):
            load_gaussian(path, "k1")


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "g.safetensors"
    with pytest.raises(EvaluationError, match="no such file"):
        load_gaussian(path, "k1")
    save_gaussian(path, gaussian(HAND), "k1")
    with pytest.raises(EvaluationError, match="other clips or by another extractor"):
        load_gaussian(path, "k2")
    save_file({"mean": np.zeros(2)}, path)
    with pytest.raises(EvaluationError, match="not statistics"):
        load_gaussian(path, "k1")


def test_what_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EvaluationError, match="cannot be written"):
        save_gaussian(tmp_path / "file" / "g.safetensors", gaussian(HAND), "k1")


def test_cache_makes_once_per_key_and_again_after_damage(tmp_path):
    made = []

    def make():
        made.append(1)
        return gaussian(HAND)

    for _ in range(2):
        assert kept_gaussian(tmp_path, "a", make).clips == 3
    assert len(made) == 1
    kept_gaussian(tmp_path, "b", make)
    assert len(made) == 2
    (tmp_path / "gaussian-a.safetensors").write_bytes(b"torn")
    assert kept_gaussian(tmp_path, "a", make).covariance.tolist() == [[4, 6], [6, 12]]
    assert len(made) == 3
    kept_gaussian(tmp_path, "a", make)
    assert len(made) == 3
    kept_gaussian(None, "a", make)
    assert len(made) == 4
