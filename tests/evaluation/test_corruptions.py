from dataclasses import dataclass

import numpy as np
import pytest

from dvdgan.data import phenomena
from dvdgan.evaluation import corruptions as damages
from dvdgan.evaluation.corruptions import DAMAGES, apply
from dvdgan.evaluation.errors import EvaluationError

NUMBERS = [3, 0, 8, 5]


@pytest.fixture(scope="module")
def clips():
    names = ("pen", "pan-left", "bounce", "flow")
    return np.stack([phenomena.render(name, 0, seed=2, size=32, frames=8).clip for name in names])


def damaged(name, clips, numbers=NUMBERS, seed=1, strength=None):
    partners = clips[::-1] if DAMAGES[name].needs_partner else None
    return apply(name, clips, numbers, seed, strength, partners)


def change(clips):
    """Mean absolute difference of successive frames of each clip."""
    return np.abs(np.diff(clips.astype(int), axis=1)).mean((1, 2, 3, 4))


def sharpness(clips):
    """Mean square of horizontal differences of each clip."""
    return (np.diff(clips.astype(float), axis=3) ** 2).mean((1, 2, 3, 4))


def test_the_registry_keeps_its_order_and_kinds():
    assert list(DAMAGES) == [
        *("shuffled", "reversed", "frozen", "cut", "jittered", "flickering"),
        *("blurred", "noisy", "warped"),
    ]
    assert [damage.kind for damage in DAMAGES.values()] == ["temporal"] * 6 + ["spatial"] * 3
    assert [name for name, damage in DAMAGES.items() if damage.needs_partner] == ["cut"]
    lines = [damage.describe() for damage in DAMAGES.values()]
    assert len(set(lines)) == len(lines)
    assert all("\n" not in line and "{" not in line for line in lines)
    assert "12 of 255" in DAMAGES["noisy"].describe()
    assert "30 of 255" in DAMAGES["noisy"].describe(30)


@pytest.mark.parametrize("name", DAMAGES)
def test_every_clip_is_changed_and_the_original_is_not(clips, name):
    before = clips.copy()
    after = damaged(name, clips)
    assert (after.shape, after.dtype) == (clips.shape, np.uint8)
    assert (after != clips).any(axis=(1, 2, 3, 4)).all()
    assert np.array_equal(clips, before)
    assert not np.shares_memory(after, clips)


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_hangs_on_the_seed_and_the_number_and_not_on_the_batch(clips, name):
    whole = damaged(name, clips)
    partners = clips[::-1] if DAMAGES[name].needs_partner else None
    for row in (2, 0, 3):
        other = None if partners is None else partners[[row]]
        alone = apply(name, clips[[row]], [NUMBERS[row]], 1, None, other)
        assert np.array_equal(alone[0], whole[row])
    if name not in ("reversed", "cut", "blurred"):  # these draw nothing
        same = np.repeat(clips[1:2], 6, axis=0)
        by_number = damaged(name, same, range(6))
        assert len({clip.tobytes() for clip in by_number}) > 1
        assert any(not np.array_equal(damaged(name, clips, seed=seed), whole) for seed in (2, 3))


def test_shuffled_keeps_the_frames_and_is_never_the_identity(clips):
    short = np.repeat(clips[1:2, [0, 4, 7]], 60, axis=0)
    orders = {
        tuple(int(np.flatnonzero((clip == frame).all((1, 2, 3)))[0]) for frame in short[0])
        for clip in apply("shuffled", short, range(60), 0)
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
    many = damaged("frozen", np.repeat(clips[1:2], 60, axis=0), range(60))
    assert len({clip.tobytes() for clip in many}) == 8  # every frame comes up


@pytest.mark.parametrize(("strength", "kept"), [(None, 4), (0.25, 6), (0.01, 7), (0.99, 1)])
def test_cut_goes_on_in_the_partner_at_the_same_time(clips, strength, kept):
    cut = damaged("cut", clips, strength=strength)
    assert np.array_equal(cut[:, :kept], clips[:, :kept])
    assert np.array_equal(cut[:, kept:], clips[::-1, kept:])


@pytest.mark.parametrize("count", [2, 3, 5, 100])
def test_every_clip_is_the_partner_of_one_other(count):
    found = damages.partners(count, 4)
    assert sorted(found) == list(range(count))
    assert (found != np.arange(count)).all()
    assert np.array_equal(found, damages.partners(count, 4))


def test_jittered_frames_are_moved_by_whole_pixels_within_reach(clips):
    rng = np.random.default_rng(0)
    still = np.repeat(rng.integers(0, 256, (1, 1, 64, 64, 3), np.uint8), 40, axis=1)
    moved, shifts = apply("jittered", still, [0], 0)[0], []
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
    small = apply("jittered", still[:, :2, ::4, ::4].repeat(30, axis=0), range(30), 0)  # 16 px: 1 pixel at most
    assert (small[:, 0] != small[:, 1]).any((1, 2, 3)).all()
    assert (change(damaged("jittered", clips)) > 1.5 * change(clips))[[0, 2, 3]].all()  # a pan moves anyway


def test_flickering_only_changes_the_brightness():
    clip = np.random.default_rng(0).integers(60, 160, (1, 400, 8, 8, 3), np.uint8)
    ratio = apply("flickering", clip, [0], 0)[0] / clip[0]
    gains = ratio.mean((1, 2, 3))
    assert np.abs(ratio - gains[:, None, None, None]).max() < 1.1 / 60  # rounding, and the one gain in 400 that clips
    assert gains.mean() == pytest.approx(1, abs=0.02)
    assert gains.std() == pytest.approx(0.12, rel=0.1)


def test_blurred_spreads_an_impulse_by_its_standard_deviation():
    clip = np.zeros((1, 2, 64, 64, 3), np.uint8)
    clip[:, :, 20, 32] = 255
    weights = apply("blurred", clip, [0], 0, 3)[0, 1, :, :, 0].astype(float)
    at = np.arange(64)
    assert (weights.sum(1) @ at / weights.sum(), weights.sum(0) @ at / weights.sum()) == pytest.approx((20, 32))
    assert np.sqrt(weights.sum(1) @ (at - 20) ** 2 / weights.sum()) == pytest.approx(3, rel=0.15)
    flat = np.full((1, 1, 32, 32, 3), 77, np.uint8)
    assert np.array_equal(apply("blurred", flat, [0]), flat)  # and the edges stay as bright


def test_blurred_and_warped_and_noisy_keep_time(clips):
    still = np.repeat(clips[:, :1], 4, axis=1)
    assert (change(damaged("blurred", still)) == 0).all()
    assert (change(damaged("warped", still)) == 0).all()  # static: all frames are bent alike
    assert (sharpness(damaged("blurred", clips)) < 0.6 * sharpness(clips)).all()
    noise = apply("noisy", np.full((1, 8, 32, 32, 3), 128, np.uint8), [0]).astype(float) - 128
    assert noise.std() == pytest.approx(12, rel=0.03)
    assert noise.mean() == pytest.approx(0, abs=0.3)
    assert np.corrcoef(noise[0, 0].ravel(), noise[0, 1].ravel())[0, 1] == pytest.approx(0, abs=0.06)


def test_warped_bends_smoothly_and_by_no_more_than_it_says():
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None, None, None, :, None] * 4, 64, axis=2).repeat(3, axis=4)
    bent = apply("warped", np.repeat(ramp, 20, axis=0), range(20))[:, 0, :, :, 0] / 4 - np.arange(64)
    assert 2 < np.abs(bent).max() <= 4.2
    assert np.abs(bent.mean((1, 2))).max() < 0.6  # bent to all sides, not moved
    inner = bent[:, 6:-6, 6:-6]
    assert np.abs(np.diff(inner, axis=2)).max() < 1  # nothing is folded over
    assert np.abs(np.diff(inner, axis=1)).max() < 1
    flat = np.full((1, 1, 32, 32, 3), 200, np.uint8)
    assert np.array_equal(apply("warped", flat, [0]), flat)


def test_more_strength_is_the_same_damage_further(clips):
    def departure(name, strength):
        return np.abs(damaged(name, clips, strength=strength).astype(int) - clips).mean()

    for name, (little, much) in {
        "jittered": (2, 6),
        "flickering": (0.05, 0.2),
        "blurred": (0.7, 2.5),
        "noisy": (4, 20),
        "warped": (1, 5),
    }.items():
        assert departure(name, little) < departure(name, much), name


@dataclass
class Set:
    clips: np.ndarray

    def __len__(self):
        return len(self.clips)

    def read(self, rows):
        return self.clips[list(rows)]


@pytest.mark.parametrize("name", ["cut", "noisy"])
def test_a_damaged_set_is_read_a_few_clips_at_a_time(clips, name):
    whole = Set(np.concatenate([clips, clips[:, ::-1]]))
    function = damages.on(whole, name, 5)
    others = damages.partners(8, 5)
    expected = apply(name, whole.clips, range(8), 5, None, whole.clips[others])
    assert np.array_equal(function(whole.read([6, 1]), [6, 1]), expected[[6, 1]])


def test_the_key_tells_what_makes_other_pixels():
    keys = [damages.key("noisy"), damages.key("noisy", 1), damages.key("noisy", 0, 13), damages.key("blurred")]
    assert len(set(keys)) == 4
    assert damages.key("noisy", 0, 12) == keys[0]


@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.parametrize("frames", [1, 2])
def test_clips_of_one_and_of_two_frames(clips, name, frames):
    short = clips[:, [0, 7][:frames]]
    if frames < DAMAGES[name].least_frames:
        with pytest.raises(EvaluationError, match=f"{name}: needs clips of at least 2 frames, not 1"):
            damaged(name, short)
    else:
        assert (damaged(name, short) != short).any((1, 2, 3, 4)).all()


def test_bad_input_is_named(clips):
    for words, arguments in {
        "no control is called 'sepia'; they are shuffled,": ("sepia", clips, NUMBERS),
        "clips are uint8 .* not float32": ("noisy", clips.astype(np.float32), NUMBERS),
        "clips are uint8 .* not uint8 .8, 32, 32, 3": ("noisy", clips[0], NUMBERS),
        "4 clips need as many numbers from 0": ("noisy", clips, [0, 1, 2]),
        "4 clips need as many numbers": ("noisy", clips, [0, 1, 2, -1]),
        "seed is at least 0": ("noisy", clips, NUMBERS, -1),
        "noisy: strength is above 0 and below 128, not 0": ("noisy", clips, NUMBERS, 0, 0),
        "cut: strength is above 0 and below 1, not nan": ("cut", clips, NUMBERS, 0, float("nan"), clips),
        "shuffled: has no strength": ("shuffled", clips, NUMBERS, 0, 3),
        "cut: needs another clip for each, .* not none": ("cut", clips, NUMBERS),
        "cut: needs another clip for each, .* not uint8 .2": ("cut", clips, NUMBERS, 0, None, clips[:2]),
    }.items():
        with pytest.raises(EvaluationError, match=words):
            apply(*arguments)
    with pytest.raises(EvaluationError, match="needs at least 2 clips, not 1"):
        damages.on(Set(clips[:1]), "cut")
