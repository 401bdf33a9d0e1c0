import numpy as np
import pytest

from dvdgan.evaluation import cache as module
from dvdgan.evaluation.cache import Cache, made_once
from support.clip_sets import noise_set


def truncated(path, other):
    path.write_bytes(path.read_bytes()[:-7])


def emptied(path, other):
    path.write_bytes(b"")


def written_over(path, other):
    path.write_text("no arrays at all")


def changed(path, other):
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)


def exchanged(path, other):
    path.write_bytes(other.read_bytes())


class Maker:
    def __init__(self, value=1.0):
        self.value, self.calls = value, 0

    def __call__(self):
        self.calls += 1
        return {"a": np.full((3, 2), self.value), "b": np.arange(4, dtype=np.float32)[::2]}


def test_what_is_there_is_not_made_again(tmp_path):
    cache, make = Cache(tmp_path / "deep" / "cache"), Maker()
    first, second = (cache.arrays("thing", "k1", make) for _ in range(2))
    assert make.calls == 1
    assert all(np.array_equal(first[name], second[name]) for name in ("a", "b"))
    assert second["b"].dtype == np.float32
    cache.arrays("thing", "k2", make)
    cache.arrays("other", "k1", make)
    assert make.calls == 3
    assert len(list(cache.folder.iterdir())) == 3


@pytest.mark.parametrize("damage", [truncated, emptied, written_over, changed, exchanged])
def test_a_damaged_file_is_made_again_and_no_other(tmp_path, damage):
    cache, makers = Cache(tmp_path), [Maker(1.0), Maker(2.0)]
    for key, make in zip("xy", makers):
        cache.arrays("thing", key, make)
    damage(tmp_path / "thing-x.safetensors", tmp_path / "thing-y.safetensors")
    for _ in range(2):
        found = [cache.arrays("thing", key, make)["a"][0, 0] for key, make in zip("xy", makers)]
        assert found == [1.0, 2.0]
    assert [make.calls for make in makers] == [2, 1]


def test_every_damaged_byte_is_noticed(tmp_path):
    cache, make = Cache(tmp_path), Maker()
    cache.arrays("thing", "x", make)
    path = tmp_path / "thing-x.safetensors"
    whole = path.read_bytes()
    for calls, place in enumerate(range(0, len(whole), 5), 2):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert cache.arrays("thing", "x", make)["a"][0, 0] == 1.0
        assert make.calls == calls


def test_a_write_that_is_interrupted_leaves_nothing(tmp_path, monkeypatch):
    def half(tensors, path, about):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "save_file", half)
    with pytest.raises(KeyboardInterrupt):
        Cache(tmp_path).arrays("thing", "x", Maker())
    assert not list(tmp_path.iterdir())


def test_a_place_where_nothing_can_be_kept_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"file: .*cache=FOLDER"):
        Cache(tmp_path / "file").arrays("thing", "x", Maker())


def test_clips_are_made_once(tmp_path):
    made, reads = noise_set(70, 2), []
    counted = made.mapped(lambda clips, rows: reads.append(list(rows)) or clips, "counted", ["counted"])
    kept = made_once(counted, Cache(tmp_path))
    assert kept.key == counted.key
    assert np.array_equal(kept.read([69, 3, 64, 3]), made.read([69, 3, 64, 3]))
    assert [(rows[0], rows[-1]) for rows in reads] == [(0, 31), (64, 69)]
    assert np.array_equal(made_once(counted, Cache(tmp_path)).read(range(70)), made.read(range(70)))
    assert [(rows[0], rows[-1]) for rows in reads[2:]] == [(32, 63)]
