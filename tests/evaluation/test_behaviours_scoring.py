"""Limits from real clips, the stored ones, and pass rates."""

import dataclasses

import numpy as np
import pytest

from dvdgan.data import phenomena
from dvdgan.evaluation.behaviours import BEHAVIOURS, whole
from dvdgan.evaluation.behaviours.behaviour import Measurements
from dvdgan.evaluation.behaviours.calibration import STORED, Calibration, calibration, load, rendered_calibration, save
from dvdgan.evaluation.behaviours.calibration import _limits as limits_of
from dvdgan.evaluation.behaviours.scoring import OTHER, ClipScorer, control_clips, pass_rate, score, score_as_others
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.pass_rates import score_sets
from support.clip_sets import array_set

CLASSES = phenomena.CLASSES


def rendered(label, count, frames=12, split="train"):
    return np.stack([phenomena.render(label, i, size=32, frames=frames, split=split).clip for i in range(count)])


@pytest.fixture(scope="module")
def few():
    """Three held-out clips each of passing, bounce and pan-left, with their labels."""
    labels = np.repeat([CLASSES.index(name) for name in ("passing", "bounce", "pan-left")], 3)
    return np.concatenate([rendered(CLASSES[k], 3, split="heldout") for k in labels[::3]]), labels


def limits_from(monkeypatch, labels, *arguments):
    """Limits of some classes only, which takes less time."""
    for label in BEHAVIOURS.keys() - set(labels):
        monkeypatch.delitem(BEHAVIOURS, label)
    return rendered_calibration(*arguments)


@pytest.mark.parametrize("label", ["passing", "bounce"])
def test_stored_limits_are_those_that_training_clips_give(monkeypatch, label):
    stored = calibration(32, 12)
    found = limits_from(monkeypatch, [label], 32, 12, stored.clips)
    assert found.limits[label] == pytest.approx(stored.limits[label], rel=1e-4)


def test_limits_of_one_class_follow_from_its_numbers(monkeypatch):
    changes = [whole.measure(clip)["change"] for clip in rendered("bounce", 20)]
    limits = limits_from(monkeypatch, ["bounce"], 32, 12, 20).limits["bounce"]
    assert limits["least_change"] == pytest.approx(0.5 * np.percentile(changes, 5), rel=1e-5)
    assert limits["most_change"] == pytest.approx(2 * np.percentile(changes, 95), rel=1e-5)


def test_classes_that_clips_are_too_short_for_have_no_limits(monkeypatch):
    found = limits_from(monkeypatch, ["passing", "bounce"], 32, 8, 20)
    assert (found.size, found.frames, found.clips) == (32, 8, 20)
    assert list(found.limits) == ["passing"]  # 8 frames show no bounce


def test_the_usual_sizes_are_stored():
    shapes = {(one.size, one.frames) for one in load()}
    assert {(32, 12), (64, 16), (64, 12), (128, 12)} <= shapes
    for one in load():
        assert tuple(one.limits) == CLASSES
        assert one.clips >= 80
        assert f"{one.frames} frames of {one.size} px" in one.describe()
        assert one.key[:12] in one.describe()


def test_limits_are_kept_in_a_file(tmp_path):
    save(tmp_path / "limits.json", load())
    assert load(tmp_path / "limits.json") == load()
    assert (tmp_path / "limits.json").read_bytes() == STORED.read_bytes()
    changed = dataclasses.replace(load()[0], frames=13)
    assert changed.key != load()[0].key
    for text in ("", "[]", '{"calibrations": [{"size": 3}]}'):
        (tmp_path / "limits.json").write_text(text)
        with pytest.raises(EvaluationError, match=r"limits\.json: "):
            load(tmp_path / "limits.json")


def test_limits_need_clips_in_which_everything_is_found():
    with pytest.raises(EvaluationError, match=r"20 .* not 3"):
        rendered_calibration(32, 12, clips=3)
    blank = Measurements({}, "no ink on light paper")
    with pytest.raises(EvaluationError, match=r"pen: .*0 of 20"):
        limits_of("pen", [blank] * 20)


def test_rates_of_classes(few):
    clips, labels = few
    frozen = np.repeat(clips[:, :1], 12, axis=1)
    mixed = np.concatenate([clips, frozen[:1]])
    rates = score(mixed, np.append(labels, labels[0]), CLASSES, calibration(32, 12))
    assert list(rates) == ["pan-left", "passing", "bounce"]  # in the order of the classes
    assert rates["bounce"] == pass_rate([""] * 3)
    assert (rates["passing"].hits, rates["passing"].of, rates["passing"].value) == (3, 4, 0.75)
    assert rates["passing"].failures == {"alive: hardly changes": 1}
    assert rates["passing"].low == pytest.approx(0.3006, abs=1e-3)  # Wilson, 3 of 4
    assert rates["passing"].high == pytest.approx(0.9544, abs=1e-3)
    assert pass_rate([]).value is None


def test_reasons_are_counted_and_the_first_is_given(few):
    clips, labels = few
    limits = calibration(32, 12)
    rates = score(clips[:, ::-1], labels, CLASSES, limits)
    assert (rates["passing"].hits, rates["passing"].failures) == (3, {})
    assert rates["pan-left"].failures == {"behaviour: not that way, or not that far": 3}


def test_other_classes_are_scored_by_all_but_their_own(few):
    clips, labels = few
    limits = calibration(32, 12)
    others = score_as_others(clips, labels, CLASSES, limits)
    assert {label: rate.of for label, rate in others.items()} == {
        label: 6 if label in ("passing", "bounce", "pan-left") else 9 for label in CLASSES
    }
    assert sum(rate.hits for rate in others.values()) == 0
    mirrored = score_as_others(clips[:, :, :, ::-1], labels, CLASSES, limits)
    assert mirrored["pan-right"].hits == 3  # pans to the left are pans to the right in a mirror


def test_sets_side_by_side(few):
    clips, labels = few
    controls = control_clips(clips, 0, 0)
    assert (controls["frozen"] == clips[:, :1]).all()
    assert (np.sort(controls["shuffled"], axis=1) == np.sort(clips, axis=1)).all()
    real = array_set(clips, labels, CLASSES)
    found = score_sets([real.take(range(3))], real, calibration(32, 12), 0)
    table = {part.label: part.rates for part in found.by_class}
    names = ["real", "frozen", "shuffled", "reversed", OTHER]
    assert list(table["passing"]) == ["generated", *names]
    assert list(table["bounce"]) == names
    assert list(table["pen"]) == [OTHER]  # no clips of its own
    assert [table["bounce"][name].hits for name in names if name != "reversed"] == [3, 0, 0, 0]
    assert (found.overall["real"].hits, found.overall["frozen"].hits, found.overall["generated"].of) == (9, 0, 3)


def test_bad_input_is_refused_in_one_line(few):
    clips, labels = few
    limits = calibration(32, 12)
    with pytest.raises(EvaluationError, match="float32"):
        ClipScorer(clips[0].astype(np.float32), limits)
    with pytest.raises(EvaluationError, match="'juggling'"):
        ClipScorer(clips[0], limits)("juggling")
    with pytest.raises(EvaluationError, match="'pen'"):
        ClipScorer(clips[0], Calibration(32, 12, 20, "", {}))("pen")
    with pytest.raises(ValueError, match="shorter"):
        score(clips, labels[:8], CLASSES, limits)
    with pytest.raises(EvaluationError, match="cats"):
        score(clips[:1], np.array([0]), ["cats", "pen"], limits)
    assert score(clips[:1], labels[:1], [*CLASSES, "cats"], limits)["passing"].of == 1  # no clip of that class
