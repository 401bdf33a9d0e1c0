"""Each behaviour, on rendered clips: held-out ones pass, and what is damaged in a way that it should see does not."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvdgan.data import phenomena
from dvdgan.evaluation.behaviours import BEHAVIOURS, bounce, pen, whole
from dvdgan.evaluation.behaviours.calibration import Calibration, calibration
from dvdgan.evaluation.behaviours.scoring import ClipScorer
from dvdgan.randomness import numpy_generator
from support import cheats

COUNT = 10


@functools.cache
def clips(label, size=32, frames=12, count=COUNT):
    return tuple(
        phenomena.render(label, i, size=size, frames=frames, split="heldout", seed=5).clip for i in range(count)
    )


def failures(label, some):
    limits = calibration(some[0].shape[1], len(some[0]))
    return [ClipScorer(np.ascontiguousarray(clip), limits)(label) for clip in some]


def test_every_class_has_a_behaviour():
    assert tuple(BEHAVIOURS) == phenomena.CLASSES
    assert all(behaviour.about.endswith(".") for behaviour in BEHAVIOURS.values())


SIZES = [(32, 12), (64, 16)]


@pytest.mark.parametrize(("size", "frames"), SIZES)
@pytest.mark.parametrize("label", BEHAVIOURS)
def test_real_clips_pass_and_controls_fail(label, size, frames):
    real = clips(label, size, frames)
    assert failures(label, real) == [""] * COUNT
    frozen = failures(label, [np.repeat(c[:1], frames, 0) for c in real])
    assert all(failed.startswith("alive: hardly") for failed in frozen)
    shuffled = [c[numpy_generator(0, "shuffled", i).permutation(frames)] for i, c in enumerate(real)]
    assert all(failures(label, shuffled))
    if "reversed" not in BEHAVIOURS[label].may_pass:
        assert all(failures(label, [c[::-1] for c in real]))


@pytest.mark.parametrize(("size", "frames"), SIZES)
@pytest.mark.parametrize("label", BEHAVIOURS)
def test_cheats_fail(label, size, frames):
    real = clips(label, size, frames)
    passed = {
        name: sum(not failed for failed in failures(label, [cheat(a, b, i) for i, (a, b) in pairs]))
        for name, cheat in {**cheats.GENERAL, **cheats.OF_CLASS[label]}.items()
        if (pairs := list(enumerate(zip(real, real[1:] + real[:1]))))
    }
    assert not any(passed.values()), passed


@pytest.mark.parametrize(("size", "frames"), SIZES)
@pytest.mark.parametrize("label", cheats.HONEST)
def test_what_is_drawn_by_the_cheats_means_passes_if_it_behaves(label, size, frames):
    honest = [cheats.HONEST[label](clip, clip, i) for i, clip in enumerate(clips(label, size, frames))]
    assert failures(label, honest) == [""] * COUNT


@pytest.mark.parametrize("label", BEHAVIOURS)
def test_no_class_passes_as_another(label):
    limits = calibration(32, 12)
    scorers = [ClipScorer(clip, limits) for clip in clips(label)]
    passed = {other: sum(scorer(other) == "" for scorer in scorers) for other in BEHAVIOURS if other != label}
    assert sum(passed.values()) <= 1, passed


@pytest.mark.parametrize(("size", "frames", "count"), [(64, 12, 1), (128, 12, 1)])
@pytest.mark.parametrize("label", BEHAVIOURS)
def test_larger_clips_pass_and_fail_alike(label, size, frames, count):
    real = clips(label, size, frames, count)
    assert failures(label, real) == [""] * count
    wrong = [c[:, :, ::-1] if label == "turn" else c[::-1] for c in real]
    if "reversed" in BEHAVIOURS[label].may_pass:
        wrong = [np.concatenate([c[6:], c[:6]]) for c in real]  # begins in the middle
    assert all(failures(label, wrong))


def reasons(label, damage):
    return set(failures(label, [damage(clip.copy()) for clip in clips(label)]))


def test_pen_whose_ink_fades():
    def fade(clip):
        late = clip[6:].astype(float)
        clip[6:] = np.where(late.max(-1, keepdims=True) < 110, 215, late)
        return clip

    assert "" not in reasons("pen", fade)


def written(tip_away=0, erased=0, frames=12):
    """A line that grows by 4 pixels a frame, the red tip so many pixels under its head, its first columns erased."""
    clip = np.full((frames, 48, 64, 3), 225, np.uint8)
    for t in range(frames):
        head = 6 + 4 * (t + 1)
        clip[t, 8:14, 6:head] = 60
        clip[t, 8:14, 6 : 6 + erased * (t > frames // 2)] = 225
        clip[t, 10 + tip_away : 16 + tip_away, head - 2 : head + 3] = (235, 60, 40)
    return clip


def test_pen_numbers_of_a_line():
    line = pen.measure(written())
    assert not line.missing
    assert (line.numbers["persistence"], line.numbers["at_tip"]) == (1, 1)
    assert line.numbers["growth"] > 2
    assert line.numbers["area_rank"] > 0.95
    limits = calibration(64, 12).limits["pen"]
    assert pen.PEN.check(line.numbers, limits) == ""
    away, erased = pen.measure(written(tip_away=20)), pen.measure(written(erased=16))
    assert away.numbers["at_tip"] < 0.1
    assert pen.PEN.check(away.numbers, limits) == "behaviour: ink appears away from the tip"
    assert 0.3 < erased.numbers["persistence"] < 0.9
    assert pen.PEN.check(erased.numbers, limits) == "behaviour: ink vanishes, or changes its colour"
    assert pen.measure(written()[:, :, :, ::-1]).missing == "no red tip in every frame"
    assert pen.measure(255 - written()).missing


@pytest.mark.parametrize("label", ["pan-left", "pan-right"])
def test_pans_that_go_up_or_down(label):
    assert "" not in reasons(label, lambda clip: clip.swapaxes(1, 2))
    assert not any(reasons(label, lambda clip: clip[:, ::-1]))  # upside down they still go to the side


@pytest.mark.parametrize(("label", "mirrored"), [("pan-left", "pan-right"), ("pan-right", "pan-left")])
def test_pans_turn_into_each_other_in_a_mirror(label, mirrored):
    assert not any(failures(mirrored, [clip[:, :, ::-1] for clip in clips(label)]))
    assert (
        failures(label, [clip[:, :, ::-1] for clip in clips(label)])
        == ["behaviour: not that way, or not that far"] * COUNT
    )


def test_zooms_pass_in_a_mirror():
    for label in ("zoom-in", "zoom-out"):
        assert not any(reasons(label, lambda clip: clip[:, :, ::-1]))


def test_passing_from_top_to_bottom_or_halfway_or_before_a_restless_scene():
    assert reasons("passing", lambda clip: clip.swapaxes(1, 2)) == {"behaviour: the object does not cross"}
    back = reasons("passing", lambda clip: np.concatenate([clip[:6], clip[5::-1]]))
    assert "" not in back

    def restless(clip):
        rng = np.random.default_rng(0)
        return np.clip(clip + rng.normal(0, 9, (12, 32, 32, 1)), 0, 255).astype(np.uint8)

    assert reasons("passing", restless) == {"behaviour: the background is not still"}


def test_bounce_over_the_floor_or_upside_down_or_through_a_cut():
    assert "" not in reasons("bounce", lambda clip: np.roll(clip, -4, axis=1))  # bounces where no floor is
    assert "" not in reasons("bounce", lambda clip: clip[:, ::-1])
    assert "" not in reasons("bounce", lambda clip: np.concatenate([clip[:5], clip[:7]]))


def test_bounce_whose_balls_come_and_go():
    def blink(clip):
        clip[4] = np.median(clip, axis=0)
        return clip

    assert "" not in reasons("bounce", blink)


def test_turn_that_drifts_or_turns_back():
    def drift(clip):
        return np.stack([np.roll(frame, t, axis=1) for t, frame in enumerate(clip)])

    assert "" not in reasons("turn", drift)
    assert "behaviour: the near side does not move to the right" in reasons("turn", lambda clip: clip[:, :, ::-1])
    assert "" not in reasons("turn", lambda clip: np.concatenate([clip[:6], clip[5::-1]]))


def test_flow_that_sinks_or_jumps():
    assert reasons("flow", lambda clip: clip[:, ::-1]) == {"behaviour: it does not rise"}
    one, other = clips("flow")[:2]
    every = np.arange(12)[:, None, None, None] % 2 == 0
    assert all(failures("flow", [np.where(every, one, other)]))


def test_numbers_say_what_moved():
    pan = BEHAVIOURS["pan-left"].measure(clips("pan-left")[0]).numbers
    truth = phenomena.render("pan-left", 0, size=32, frames=12, split="heldout", seed=5).truth
    way = (truth["center"][0, 0] - truth["center"][-1, 0]) * np.exp(truth["log_scale"][0])
    assert pan["right"] == pytest.approx(way, rel=0.05)
    zoom = BEHAVIOURS["zoom-in"].measure(clips("zoom-in")[0]).numbers
    truth = phenomena.render("zoom-in", 0, size=32, frames=12, split="heldout", seed=5).truth
    assert zoom["scale"] == pytest.approx(truth["log_scale"][-1] - truth["log_scale"][0], rel=0.05)
    ball = BEHAVIOURS["bounce"].measure(clips("bounce")[0]).numbers
    truth = phenomena.render("bounce", 0, size=32, frames=12, split="heldout", seed=5).truth
    assert ball["balls"] == len(truth["radius"])
    assert ball["radius"] == pytest.approx(truth["radius"].min(), rel=0.1)
    flow = [BEHAVIOURS["flow"].measure(clip).numbers["down"] for clip in clips("flow")]
    truth = [
        phenomena.render("flow", i, size=32, frames=12, split="heldout", seed=5).truth["velocity"] for i in range(COUNT)
    ]
    assert np.corrcoef(flow, truth)[0, 1] > 0.7


@st.composite
def odd_clips(draw):
    frames, size = draw(st.sampled_from([1, 2, 3, 4, 5, 8, 12, 16])), draw(st.sampled_from([1, 2, 8, 16, 17, 32]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (frames, size, size, 3)
    kind = draw(st.sampled_from(["constant", "noise", "two values", "flashes", "a red square", "stripes"]))
    if kind == "constant":
        return np.full(shape, draw(st.integers(0, 255)), np.uint8)
    clip = rng.integers(0, 256, shape).astype(np.uint8)
    if kind == "two values":
        return (clip // 128 * 255).astype(np.uint8)
    if kind == "flashes":
        return np.broadcast_to(clip[:, :1, :1], shape).copy()
    if kind == "stripes":
        return np.broadcast_to(clip[:, :, :1], shape).copy()
    if kind == "a red square":
        still = np.full(shape, 230, np.uint8)
        for t in range(frames):
            still[t, t % size :, : 1 + t % 3] = (240, 40, 20)
        return still
    return clip


@settings(max_examples=60, deadline=None)
@given(odd_clips())
def test_any_pixels_are_scored(clip):
    stored = calibration(32, 12)
    limits = Calibration(clip.shape[1], len(clip), stored.clips, stored.made, stored.limits)
    scorer = ClipScorer(clip, limits)
    for label, behaviour in BEHAVIOURS.items():
        failed = scorer(label)
        assert all(np.isfinite(value) for value in whole.measure(clip).values())
        if len(clip) < behaviour.fewest_frames:
            assert failed == f"valid: fewer than the {behaviour.fewest_frames} frames that show it"
        else:
            with np.errstate(all="raise", under="ignore"):
                measured = behaviour.measure(clip)
            assert all(np.isfinite(value) for value in measured.numbers.values()), measured


@pytest.mark.parametrize(
    ("label", "changed", "failed"),
    [
        ("pen", {"mean_tip_share": 0.06}, "valid: more red than a pen has"),
        ("pen", {"one_tip": 0.6}, "valid: more than one tip"),
        ("pen", {"paper": 0.03}, "valid: the paper's colour does not hold"),
        ("pen", {"growth": 1.49}, "behaviour: the ink does not grow"),
        ("pen", {"area_rank": 0.79}, "behaviour: the ink does not grow steadily"),
        ("pen", {"persistence": 0.94}, "behaviour: ink vanishes, or changes its colour"),
        ("pen", {"at_tip": 0.79}, "behaviour: ink appears away from the tip"),
        ("pen", {"step": 0.3}, "behaviour: the tip leaps"),
        ("pen", {"path": 0.7}, "behaviour: ink does not follow the tip's path"),
        ("zoom-in", {"aligned": 0.7}, "valid: frames do not follow by a motion"),
        ("zoom-in", {"worst_pair": 0.85}, "valid: a frame does not follow by a motion"),
        ("zoom-out", {"far": 0.7}, "valid: it is not one picture that moves"),
        ("zoom-in", {"gain": 0.04}, "valid: no motion of the whole picture"),
        ("zoom-out", {"covers": 0.59}, "valid: only a part of the picture moves so"),
        ("pan-left", {"recolours": 0.04}, "valid: colours do not hold"),
        ("zoom-out", {"scale": 0.7}, "behaviour: not that way, or not that far"),
        ("zoom-out", {"scale": -0.2}, "behaviour: not that way, or not that far"),
        ("zoom-in", {"agree": 0.89}, "behaviour: not one way throughout"),
        ("pan-right", {"back": 0.16}, "behaviour: not one way throughout"),
        ("zoom-in", {"largest": 0.2}, "behaviour: the picture jumps"),
        ("pan-right", {"slows": 0.32}, "behaviour: it stops before the end"),
        ("zoom-in", {"aside": 0.04}, "behaviour: the camera shakes"),
        ("zoom-out", {"rim": 1.4}, "behaviour: middle and rim do not grow alike"),
        ("pan-left", {"right": 0.1, "down": 0.0}, "behaviour: not that way, or not that far"),
        ("pan-left", {"right": 0.6, "down": -0.19}, "behaviour: moves up or down too"),
        ("pan-right", {"scale": -0.051}, "behaviour: zooms too"),
        ("passing", {"covered": 0.46}, "valid: the object stays over a place"),
        ("passing", {"spread": 0.02}, "valid: an empty background"),
        ("passing", {"gaps": 1}, "behaviour: the object comes and goes"),
        ("passing", {"travel": -0.39}, "behaviour: the object does not cross"),
        ("passing", {"one_way": 0.89}, "behaviour: the object does not keep its way"),
        ("passing", {"step": 0.3}, "behaviour: the object leaps"),
        ("passing", {"rise": 0.16}, "behaviour: the object goes up or down"),
        ("passing", {"bob": 0.1}, "behaviour: the object jumps up or down"),
        ("passing", {"area_change": 0.6}, "behaviour: the object changes its size"),
        ("passing", {"colour_change": 0.3}, "behaviour: the object changes its colour"),
        ("passing", {"beside": 0.03}, "behaviour: something else moves"),
        ("passing", {"unrest": 3.1 / 255}, "behaviour: the background is not still"),
        ("bounce", {"radius": 0.05}, "valid: balls too small"),
        ("bounce", {"area_change": 0.31}, "valid: a ball grows or shrinks"),
        ("bounce", {"size": 1.5}, "valid: a ball falls apart"),
        ("bounce", {"angular": 0.3}, "valid: a ball is not round"),
        ("bounce", {"unrest": 3.1 / 255}, "valid: the background is not still"),
        ("bounce", {"stray": 0.01}, "valid: something else moves"),
        ("bounce", {"floor_turns": 0}, "behaviour: a ball does not bounce off the floor"),
        ("bounce", {"air_turns": 1}, "behaviour: a ball bounces in mid-air"),
        ("bounce", {"lowest": 0.06}, "behaviour: a ball sinks into the floor"),
        ("bounce", {"quicker": 1.11}, "behaviour: a ball leaves the floor quicker than it came"),
        ("bounce", {"wall_share": 0.5}, "behaviour: a ball turns sideways in mid-air"),
        ("bounce", {"jump": 1.6}, "behaviour: a ball jumps"),
        ("bounce", {"fall": 0.005}, "behaviour: no fall between bounces, or too slow a one"),
        ("bounce", {"fall_change": 0.51}, "behaviour: the fall is uneven"),
        ("turn", {"widest": 0.9}, "valid: the solid fills the frame"),
        ("turn", {"unrest": 9 / 255}, "valid: the backdrop is not still"),
        ("turn", {"drift": 0.051}, "valid: the solid moves from its place"),
        ("turn", {"area_change": 0.26}, "valid: the solid grows or shrinks"),
        ("turn", {"rightward": 0.89}, "behaviour: the near side does not move to the right"),
        ("turn", {"surface": 0.01}, "behaviour: it turns too slow or too fast"),
        ("turn", {"surface": 0.5}, "behaviour: it turns too slow or too fast"),
        ("turn", {"uneven": 0.6}, "behaviour: it turns unevenly"),
        ("turn", {"largest": 0.6}, "behaviour: it turns by a jerk"),
        ("turn", {"slides": 1.06}, "behaviour: its surface slides as if behind a hole"),
        ("turn", {"explained": 0.3}, "behaviour: the surface does not keep together"),
        ("flow", {"covers": 0.4}, "valid: only a part of the picture moves so"),
        ("flow", {"down": -0.005, "aside": 0}, "behaviour: it does not rise"),
        ("flow", {"agree": 0.89}, "behaviour: not one way throughout"),
        ("flow", {"down": -0.03, "aside": -0.019}, "behaviour: it moves to the side"),
        ("flow", {"place": 0.004}, "behaviour: it moves like one rigid picture"),
        ("flow", {"lag_1": 0.6}, "behaviour: it changes too fast"),
        ("flow", {"lag_1": 0.99}, "behaviour: it hardly changes"),
    ],
)
def test_each_number_can_fail_a_clip(label, changed, failed):
    limits = calibration(32, 12)
    numbers = BEHAVIOURS[label].measure(clips(label)[0]).numbers
    assert set(changed) <= set(numbers)
    assert BEHAVIOURS[label].check(numbers, limits.limits[label]) == ""
    assert BEHAVIOURS[label].check(numbers | changed, limits.limits[label]) == failed


@pytest.mark.parametrize(
    ("changed", "failed"),
    [
        ({"change": 0.001}, "alive: hardly changes"),
        ({"change": 0.5}, "alive: changes too much"),
        ({"cut": 3.0}, "whole: a cut"),
        ({"farthest_two": 6.0}, "whole: a cut"),
        ({"stills": 0.2}, "whole: it stops in between"),
        ({"late": 0.2}, "whole: it stops before the end"),
        ({"mean_two": 0.9}, "whole: it goes back and forth"),
        ({"repeat": 0.0}, "whole: it repeats itself"),
        ({"flicker": 0.05}, "whole: its colours flicker"),
        ({"tint": 0.5}, "whole: its colours do not hold"),
    ],
)
@pytest.mark.parametrize("label", ["zoom-in", "flow"])
def test_each_number_of_the_whole_can_fail_a_clip(label, changed, failed):
    limits = calibration(32, 12).limits[label]
    numbers = whole.measure(clips(label)[0])
    assert set(changed) <= set(numbers)
    assert whole.check(numbers, limits) == ""
    assert whole.check(numbers | changed, limits) == failed


def test_a_ball_that_bounces_in_mid_air_or_never():
    def ball(heights):
        clip = np.full((len(heights), 64, 64, 3), 200, np.uint8)
        y, x = np.mgrid[:64, :64] + 0.5
        for t, height in enumerate(heights):
            clip[t, np.hypot(x - 32, y - 64 * height) < 8] = (40, 60, 220)
        return clip

    t = np.arange(12)
    fall = 0.008 * np.abs(t - 6) * (12 - np.abs(t - 6))  # from the top of an arc to a contact at frame 6 and up again
    low = bounce.FLOOR_Y - 0.125
    on_floor = bounce.measure(ball(low - fall)).numbers
    assert (on_floor["floor_turns"], on_floor["air_turns"], on_floor["balls"]) == (1, 0, 1)
    assert on_floor["fall"] == pytest.approx(0.016, rel=0.1)
    assert on_floor["radius"] == pytest.approx(0.125, rel=0.03)
    in_air = bounce.measure(ball(low - 0.2 - fall)).numbers
    assert (in_air["floor_turns"], in_air["air_turns"]) == (0, 1)
    never = bounce.measure(ball(np.linspace(0.3, 0.7, 12))).numbers
    assert (never["floor_turns"], never["air_turns"], never["fall"]) == (0, 0, pytest.approx(0, abs=2e-3))


@pytest.mark.parametrize("label", ["zoom-in", "zoom-out", "pan-left", "pan-right"])
def test_frozen_pairs_agree_with_no_camera(label):
    """Three pairs of eleven stand still: whichever way the camera goes, these are not counted as going its way."""
    stopping = clips(label)[0].copy()
    stopping[6:9] = stopping[5]
    numbers = BEHAVIOURS[label].measure(stopping).numbers
    assert numbers["agree"] <= 8 / 11
    assert BEHAVIOURS[label].measure(np.repeat(stopping[:1], 12, 0)).numbers["agree"] == 0


@pytest.mark.parametrize("size", [32, 64, 128])
def test_ink_is_near_to_the_tip_within_the_same_share_of_the_frame(size):
    """0.06 H and half a pixel, in whole pixels: not the 0.094 H that 3 pixels of 32 are."""
    tip = np.zeros((1, size, size), bool)
    tip[0, size // 2, size // 2] = True
    near = pen._near_way(tip, pen._NEAR * size + 0.5)[0]
    rows = np.flatnonzero(near.any(1))
    assert 0.058 <= (len(rows) - 1) / 2 / size <= 0.068
