import numpy as np
import pytest

from dvdgan.evaluation.metrics import manifold
from dvdgan.evaluation.metrics.manifold import diversity, manifold_scores, radii
from dvdgan.evaluation.metrics.registry import Side
from dvdgan.evaluation.metrics.registry import manifold as group


def column(*values):
    return np.array(values, np.float32)[:, None]


def scores(real, generated):
    return manifold_scores(real, generated, radii(real), radii(generated))


def values(real, generated):
    return {name: score.value for name, score in scores(real, generated).items()}


def cloud(count, *centre, seed=0):
    return np.random.default_rng(seed).normal(size=(count, len(centre))) + centre


REAL = column(0, 1, 3, 7, 8, 20)
GENERATED = column(0.5, 0.75, 8, 40, 50, 60)


def test_radii_by_hand():
    """Distances to the third and the fifth nearest other clip, squared."""
    assert np.sqrt(radii(REAL)).tolist() == [[7, 6, 4, 6, 7, 17], [20, 19, 17, 13, 12, 20]]


def test_by_hand():
    """Generated balls reach 39.5, 39.25, 32, 32, 42 and 52."""
    found = values(REAL, GENERATED)
    assert found["precision"] == 3 / 6
    assert found["recall"] == 6 / 6
    # each of the six balls of the fifth nearest holds 0.5, 0.75 and 8; that of 20 holds 40, too, on its surface
    assert found["density"] == pytest.approx((6 + 6 + 6 + 1) / 6 / 5)
    assert found["coverage"] == 6 / 6


def test_clusters_apart():
    assert set(values(cloud(50, 0, 0), cloud(40, 100, 0)).values()) == {0}


def test_identical_sets():
    same = cloud(80, 0, 0, 0)
    # each ball holds its own clip and k others
    expected = {"precision": 1, "recall": 1, "density": 6 / 5, "coverage": 1}
    assert values(same, same.copy()) == pytest.approx(expected)


def test_a_mode_is_missing():
    real = np.concatenate([cloud(60, 0, 0), cloud(40, 50, 0, seed=1)])
    expected = {"precision": 1, "recall": 0.6, "density": 6 / 5, "coverage": 0.6}
    assert values(real, real[:60].copy()) == pytest.approx(expected)


def test_one_sharp_clip_repeated_has_no_recall():
    real = cloud(100, 0, 0)
    found = values(real, np.repeat(real[:1], 100, axis=0))
    assert found["precision"] == 1
    assert found["recall"] == pytest.approx(0.01)
    assert found["coverage"] < 0.2


def test_same_distribution_scores_what_is_published():
    found = values(cloud(600, 0, 0, 0), cloud(600, 0, 0, 0, seed=1))
    assert found["coverage"] == pytest.approx(1 - 2**-5, abs=0.02)
    assert found["density"] == pytest.approx(1, abs=0.06)


def test_copies_are_inside_balls_of_no_size_however_far_from_zero():
    spot = np.random.default_rng(0).normal(size=200).astype(np.float32) + 1e4
    real = np.concatenate([np.repeat(spot[None], 7, axis=0), cloud(5, *np.zeros(200)).astype(np.float32)])
    found = values(real, np.repeat(spot[None], 8, axis=0))
    assert found["precision"] == 1
    assert found["coverage"] >= 7 / 12
    near = values(real, np.repeat(spot[None] + np.float32(0.01), 8, axis=0))
    assert near["coverage"] <= 5 / 12


@pytest.mark.parametrize("block", [1, 100])
def test_blocks_change_nothing(block, monkeypatch):
    real, generated = cloud(50, 0, 0), cloud(60, 1, 0, seed=1)
    whole = values(real, generated)
    monkeypatch.setattr(manifold, "_BLOCK", block)
    assert values(real, generated) == whole


def test_intervals():
    found = scores(cloud(100, 0, 0), cloud(50, 1, 0, seed=1))
    for score in found.values():
        assert score.low < score.value <= score.high
    assert "real" in found["recall"].over
    assert "generated" in found["precision"].over
    density = found["density"]
    assert (density.low, density.high) == pytest.approx(
        (density.value - 1.96 * density.spread, density.value + 1.96 * density.spread)
    )


def test_too_few_clips():
    found = scores(cloud(5, 0, 0), cloud(50, 0, 0))
    assert [score.value for score in found.values()] == [None] * 4
    assert found["coverage"].missing == "5 real and 50 generated clips; 5 neighbours need 6 of each"


def told(real, generated):
    sides = [Side(some, np.zeros(len(some), int)) for some in (real, generated)]
    return {key: found for key, found in group().warnings(*sides).items() if found}


@pytest.mark.parametrize("where", [1e6, 1e9])
def test_an_outlier_whose_ball_holds_everything_is_told(where):
    real, generated = cloud(50, 0, 0), cloud(50, 100, 0, seed=1)
    assert told(real, generated) == {}
    out = np.concatenate([real, [[where, 0]]])
    assert values(out, generated)["precision"] == 1  # though none looks real
    assert list(told(out, generated)) == ["precision"]
    assert "1 of 51 real clips" in told(out, generated)["precision"][0]
    assert values(out, generated)["coverage"] < 0.1
    assert values(real, np.concatenate([generated, [[-where, 0]]]))["recall"] == 1
    assert list(told(real, np.concatenate([generated, [[-where, 0]]]))) == ["recall"]
    assert told(np.repeat(real, 8, axis=0), real) == {}  # balls of no size are no measure


def test_diversity():
    labels = np.array([0, 0, 0, 1, 1, 2])
    assert diversity(column(0, 1, 5, 100, 103, 7), labels).value == (1 + 1 + 4 + 3 + 3) / 5
    assert diversity(column(0, 0, 1, 1), np.array([0, 0, 1, 1])).value == 0
    assert diversity(column(0, 1), np.array([0, 1])).missing == "no class has two clips"
