import numpy as np
import pytest

from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.metrics import manifold
from dvdgan.evaluation.metrics.manifold import manifold_scores, membership


def column(*values):
    return np.array(values, np.float32)[:, None]


def values(real, generated, **options):
    return {name: score.value for name, score in manifold_scores(real, generated, "net", **options).items()}


def cloud(count, *centre, seed=0):
    return np.random.default_rng(seed).normal(size=(count, len(centre))) + centre


REAL, GENERATED = column(0, 1, 3, 7), column(0.5, 0.75, 12)
"""Balls of the nearest: real 1, 1, 2, 4; generated 0.25, 0.25, 11.25. Of the second nearest: real 3, 2, 3, 6."""


def test_by_hand():
    found = values(REAL, GENERATED, k=1, k_density=1)
    assert found == pytest.approx({"Precision": 2 / 3, "Recall": 3 / 4, "Density": 4 / 3, "Coverage": 1 / 2})
    found = values(REAL, GENERATED, k=1, k_density=2)
    assert found == pytest.approx({"Precision": 2 / 3, "Recall": 3 / 4, "Density": 7 / 6, "Coverage": 1})


def test_which_clips_by_hand():
    found = membership(REAL, GENERATED, k=1, k_density=1)
    assert found.generated_inside.tolist() == [True, True, False]
    assert found.real_inside.tolist() == [False, True, True, True]
    assert found.balls.tolist() == [2, 2, 0]
    assert found.covered.tolist() == [True, True, False, False]


def test_clusters_apart():
    assert set(values(cloud(50, 0, 0), cloud(40, 100, 0)).values()) == {0}


def test_identical_sets():
    same = cloud(80, 0, 0, 0)
    # each ball holds its own clip and k others
    found = values(same, same.copy())
    assert found == pytest.approx({"Precision": 1, "Recall": 1, "Density": 6 / 5, "Coverage": 1})


def test_a_mode_is_missing():
    real = np.concatenate([cloud(60, 0, 0), cloud(40, 50, 0, seed=1)])
    found = values(real, real[:60].copy())
    assert found["Precision"] == 1
    assert found["Recall"] == pytest.approx(0.6)
    assert found["Coverage"] == pytest.approx(0.6)
    assert found["Density"] == pytest.approx(6 / 5)


def test_one_sharp_clip_repeated_has_no_recall():
    real = cloud(100, 0, 0)
    found = values(real, np.repeat(real[:1], 100, axis=0))
    assert found["Precision"] == 1
    assert found["Recall"] == pytest.approx(0.01)
    assert found["Coverage"] < 0.2


def test_same_distribution_scores_what_is_published():
    found = values(cloud(600, 0, 0, 0), cloud(600, 0, 0, 0, seed=1))
    assert found["Coverage"] == pytest.approx(1 - 2**-5, abs=0.02)
    assert found["Density"] == pytest.approx(1, abs=0.06)


def test_copies_are_inside_balls_of_no_size_however_far_from_zero():
    spot = np.random.default_rng(0).normal(size=200).astype(np.float32) + 1e4
    real = np.concatenate([np.repeat(spot[None], 7, axis=0), cloud(5, *np.zeros(200)).astype(np.float32)])
    found = membership(real, np.repeat(spot[None], 8, axis=0))
    assert found.generated_inside.all()
    assert (found.balls >= 7).all()
    assert found.covered[:7].all()
    near = membership(real, np.repeat(spot[None] + np.float32(0.01), 8, axis=0))
    assert not near.covered[:7].any()


def test_rounding_pushes_no_clip_off_the_surface_of_a_ball():
    even = 0.1 * np.arange(30)[:, None]  # both neighbours are as far, but not to the last bit
    assert membership(even, even.copy(), k=1, k_density=1).balls.tolist() == [2, *[3] * 28, 2]


@pytest.mark.parametrize("block", [1, 100, 5000])
def test_blocks_change_nothing(block, monkeypatch):
    real, generated = cloud(50, 0, 0), cloud(60, 1, 0, seed=1)
    whole = values(real, generated)
    monkeypatch.setattr(manifold, "_BLOCK", block)
    assert values(real, generated) == whole


def test_intervals():
    found = manifold_scores(cloud(100, 0, 0), cloud(50, 1, 0, seed=1), "net")
    for score in found.values():
        assert score.spread.low < score.value <= score.spread.high
        assert (score.counts.real, score.counts.generated, score.better) == (100, 50, "higher")
    assert "real" in found["Recall"].spread.kind
    assert "generated" in found["Precision"].spread.kind
    assert [score.details["k"] for score in found.values()] == [3, 3, 5, 5]


def test_density_interval_by_hand():
    score = manifold_scores(REAL, GENERATED, "net", k=1, k_density=1)["Density"]
    error = np.std([2, 2, 0], ddof=1) / np.sqrt(3)
    assert score.spread.deviation == pytest.approx(error)
    assert (score.spread.low, score.spread.high) == pytest.approx((4 / 3 - 1.96 * error, 4 / 3 + 1.96 * error))


def test_too_few_clips():
    found = manifold_scores(cloud(5, 0, 0), cloud(50, 0, 0), "net")
    assert [score.value for score in found.values()] == [None] * 4
    assert found["Coverage"].reason == "5 real and 50 generated clips; 5 neighbours need 6 of each"


def test_what_does_not_fit_is_refused():
    with pytest.raises(EvaluationError, match="average them over the frames"):
        membership(np.zeros((9, 2, 3)), np.zeros((9, 3)))
    with pytest.raises(EvaluationError, match="2 and of 3 numbers"):
        membership(np.zeros((9, 2)), np.zeros((9, 3)))
    with pytest.raises(EvaluationError, match="too few"):
        membership(np.zeros((3, 2)), np.zeros((9, 2)))
