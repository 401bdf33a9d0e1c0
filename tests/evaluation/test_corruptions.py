import dataclasses

import numpy as np
import pytest

from dvdgan.data import phenomena
from dvdgan.evaluation import corruptions
from dvdgan.evaluation.corruptions import CORRUPTIONS, corrupted
from dvdgan.evaluation.errors import EvaluationError
from support.clip_sets import array_set


@pytest.fixture(scope="module")
def clips():
    names = ("pen", "pan-left", "bounce", "flow")
    return np.stack([phenomena.render(name, 0, seed=2, size=32, frames=8).clip for name in names])


def damaged(name, clips, seed=1):
    return corrupted(array_set(clips), name, seed).read(range(len(clips)))


def change(clips):
    """Mean absolute difference of successive frames of each clip."""
    return np.abs(np.diff(clips.astype(int), axis=1)).mean((1, 2, 3, 4))


def sharpness(clips):
    """Mean square of horizontal differences of each clip."""
    return (np.diff(clips.astype(float), axis=3) ** 2).mean((1, 2, 3, 4))


def test_the_registry_keeps_its_order():
    assert list(CORRUPTIONS) == [
        *("shuffled", "reversed", "frozen", "cut", "jittered", "flickering"),
        *("blurred", "noisy", "warped", "repeated"),
    ]
    assert "12 of 255" in CORRUPTIONS["noisy"].description


@pytest.mark.parametrize("name", [name for name in CORRUPTIONS if name != "repeated"])
def test_every_clip_is_changed_and_the_original_is_not(clips, name):
    before = clips.copy()
    after = damaged(name, clips)
    assert (after.shape, after.dtype) == (clips.shape, np.uint8)
    assert (after != clips).any(axis=(1, 2, 3, 4)).all()
    assert np.array_equal(clips, before)


@pytest.mark.parametrize("name", [name for name in CORRUPTIONS if name != "repeated"])
def test_what_happens_hangs_on_the_seed_and_the_number_and_not_on_the_batch(clips, name):
    some = corrupted(array_set(clips), name, 1)
    whole = some.read(range(4))
    assert np.array_equal(some.read([2, 0]), whole[[2, 0]])
    if name not in ("reversed", "cut", "blurred"):  # these draw nothing
        by_number = damaged(name, np.repeat(clips[1:2], 6, axis=0))
        assert len({clip.tobytes() for clip in by_number}) > 1
        assert any(not np.array_equal(damaged(name, clips, seed), whole) for seed in (2, 3))


def test_shuffled_keeps_the_frames_and_is_never_the_identity(clips):
    short = np.repeat(clips[1:2, [0, 4, 7]], 60, axis=0)
    orders = {
        tuple(int(np.flatnonzero((clip == frame).all((1, 2, 3)))[0]) for frame in short[0])
        for clip in damaged("shuffled", short, 0)
    }
    assert orders == {(0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)}


def test_reversed_twice_is_the_clip(clips):
    once = damaged("reversed", clips)
    assert np.array_equal(once[:, 0], clips[:, -1])
    assert np.array_equal(damaged("reversed", once), clips)


def test_frozen_shows_one_of_the_frames_all_the_time(clips):
    frozen = damaged("frozen", clips)
    assert (change(frozen) == 0).all()
    assert all((clip[0] == original).all((1, 2, 3)).any() for clip, original in zip(frozen, clips))
    many = damaged("frozen", np.repeat(clips[1:2], 60, axis=0))
    assert len({clip.tobytes() for clip in many}) == 8  # every frame comes up


def test_cut_goes_on_in_the_partner_at_the_same_time(clips):
    others = corruptions.partners(4, 1)
    cut = damaged("cut", clips)
    assert np.array_equal(cut[:, :4], clips[:, :4])
    assert np.array_equal(cut[:, 4:], clips[others, 4:])
    with pytest.raises(EvaluationError, match="2 clips, not 1"):
        damaged("cut", clips[:1])


@pytest.mark.parametrize("count", [2, 3, 100])
def test_every_clip_is_the_partner_of_one_other(count):
    found = corruptions.partners(count, 4)
    assert sorted(found) == list(range(count))
    assert (found != np.arange(count)).all()
    assert np.array_equal(found, corruptions.partners(count, 4))


def test_jittered_frames_are_moved_by_whole_pixels_within_reach(clips):
    rng = np.random.default_rng(0)
    still = np.repeat(rng.integers(0, 256, (1, 1, 64, 64, 3), np.uint8), 40, axis=1)
    moved, shifts = damaged("jittered", still, 0)[0], []
    inner = still[0, 0, 8:-8, 8:-8]
    for frame in moved:
        found = [
            (y, x)
            for y in range(-5, 6)
            for x in range(-5, 6)
            if np.array_equal(frame[8 + y : 56 + y, 8 + x : 56 + x], inner)
        ]
        assert len(found) == 1
        shifts += found
    shifts = np.array(shifts)
    assert (shifts.min(0).tolist(), shifts.max(0).tolist()) == ([-3, -3], [3, 3])
    small = damaged("jittered", still[:, :2, ::4, ::4].repeat(30, axis=0), 0)  # 16 px: 1 pixel at most
    assert (small[:, 0] != small[:, 1]).any((1, 2, 3)).all()
    assert (change(damaged("jittered", clips)) > 1.5 * change(clips))[[0, 2, 3]].all()  # a pan moves anyway


def test_flickering_only_changes_the_brightness():
    clip = np.random.default_rng(0).integers(60, 160, (1, 400, 8, 8, 3), np.uint8)
    ratio = damaged("flickering", clip, 0)[0] / clip[0]
    gains = ratio.mean((1, 2, 3))
    assert np.abs(ratio - gains[:, None, None, None]).max() < 1.1 / 60  # rounding, and the one gain in 400 that clips
    assert gains.mean() == pytest.approx(1, abs=0.02)
    assert gains.std() == pytest.approx(0.12, rel=0.1)


def test_blurred_spreads_an_impulse_by_its_standard_deviation():
    clip = np.zeros((1, 2, 128, 128, 3), np.uint8)  # where it is twice that of 64 px
    clip[:, :, 40, 64] = 255
    weights = damaged("blurred", clip, 0)[0, 1, :, :, 0].astype(float)
    at = np.arange(128)
    assert (weights.sum(1) @ at / weights.sum(), weights.sum(0) @ at / weights.sum()) == pytest.approx((40, 64))
    assert np.sqrt(weights.sum(1) @ (at - 40) ** 2 / weights.sum()) == pytest.approx(3, rel=0.15)
    flat = np.full((1, 1, 32, 32, 3), 77, np.uint8)
    assert np.array_equal(damaged("blurred", flat), flat)  # and the edges stay as bright


def test_blurred_and_warped_and_noisy_keep_time(clips):
    still = np.repeat(clips[:, :1], 4, axis=1)
    assert (change(damaged("blurred", still)) == 0).all()
    assert (change(damaged("warped", still)) == 0).all()  # static: all frames are bent alike
    assert (sharpness(damaged("blurred", clips)) < 0.6 * sharpness(clips)).all()
    noise = damaged("noisy", np.full((1, 8, 32, 32, 3), 128, np.uint8)).astype(float) - 128
    assert noise.std() == pytest.approx(12, rel=0.03)
    assert noise.mean() == pytest.approx(0, abs=0.3)
    assert np.corrcoef(noise[0, 0].ravel(), noise[0, 1].ravel())[0, 1] == pytest.approx(0, abs=0.06)


def test_warped_bends_smoothly_and_by_no_more_than_it_says():
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None, None, None, :, None] * 4, 64, axis=2).repeat(3, axis=4)
    bent = damaged("warped", np.repeat(ramp, 20, axis=0), 0)[:, 0, :, :, 0] / 4 - np.arange(64)
    assert 2 < np.abs(bent).max() <= 4.2
    assert np.abs(bent.mean((1, 2))).max() < 0.6  # bent to all sides, not moved
    inner = bent[:, 6:-6, 6:-6]
    assert np.abs(np.diff(inner, axis=2)).max() < 1  # nothing is folded over
    assert np.abs(np.diff(inner, axis=1)).max() < 1
    flat = np.full((1, 1, 32, 32, 3), 200, np.uint8)
    assert np.array_equal(damaged("warped", flat), flat)


def test_the_key_tells_what_makes_other_pixels(clips):
    keys = [corrupted(array_set(clips), name, seed).key for name, seed in (("noisy", 0), ("noisy", 1), ("blurred", 0))]
    assert len({array_set(clips).key, *keys}) == 4


@pytest.mark.parametrize("name", [name for name in CORRUPTIONS if name != "repeated"])
def test_clips_of_as_few_frames_as_can_be(clips, name):
    short = clips[:, [0, 7][: CORRUPTIONS[name].least_frames]]
    assert (damaged(name, short) != short).any((1, 2, 3, 4)).all()


def test_repeated_clips_are_a_fifth_of_their_class(clips):
    labels = np.repeat([0, 1], [10, 7])
    rows = corruptions.repeats(dataclasses.replace(array_set(np.zeros((17, 2, 16, 16, 3), np.uint8)), labels=labels))
    assert np.array_equal(labels[rows], labels)
    assert [np.unique(rows[labels == label], return_counts=True)[1].tolist() for label in (0, 1)] in (
        [[5, 5], [5, 2]],
        [[5, 5], [2, 5]],
    )
    whole = corrupted(array_set(clips), "repeated").read(range(4))
    assert len({clip.tobytes() for clip in whole}) == 1
