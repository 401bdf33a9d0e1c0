"""Limits from real clips, the stored ones, and pass rates."""

import dataclasses

import numpy as np
import pytest

from dvdgan.data import phenomena
from dvdgan.evaluation.behaviours import (
    OTHER,
    Calibration,
    ClipScorer,
    Outcome,
    calibration,
    pass_rate,
    score,
    score_as_others,
    score_clips,
    score_sets,
    whole,
)
from dvdgan.evaluation.behaviours.behaviour import Measurements
from dvdgan.evaluation.behaviours.calibration import STORED, load, rendered_calibration, save
from dvdgan.evaluation.behaviours.calibration import _limits as limits_of
from dvdgan.evaluation.behaviours.table import CONTROLS, control_sets, main, markdown
from dvdgan.evaluation.errors import EvaluationError

CLASSES = phenomena.CLASSES


def rendered(label, count, frames=12, split="train"):
    return np.stack([phenomena.render(label, i, size=32, frames=frames, split=split).clip for i in range(count)])


@pytest.fixture(scope="module")
def few():
    """Three held-out clips each of passing, bounce and pan-left, with their labels."""
    labels = np.repeat([CLASSES.index(name) for name in ("passing", "bounce", "pan-left")], 3)
    return np.concatenate([rendered(CLASSES[k], 3, split="heldout") for k in labels[::3]]), labels


@pytest.mark.parametrize("label", ["passing", "bounce"])
def test_stored_limits_are_those_that_training_clips_give(label):
    stored = calibration(32, 12)
    found = rendered_calibration(32, 12, stored.clips, labels=(label,))
    assert found.limits[label] == pytest.approx(stored.limits[label], rel=1e-4)


def test_limits_of_one_class_follow_from_its_numbers():
    changes = [whole.measure(clip)["change"] for clip in rendered("bounce", 20)]
    limits = rendered_calibration(32, 12, 20, labels=("bounce",)).limits["bounce"]
    assert limits["least_change"] == pytest.approx(0.5 * np.percentile(changes, 5), rel=1e-5)
    assert limits["most_change"] == pytest.approx(2 * np.percentile(changes, 95), rel=1e-5)


def test_classes_that_clips_are_too_short_for_have_no_limits():
    found = rendered_calibration(32, 8, clips=20, labels=("passing", "bounce"))
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
        with pytest.raises(EvaluationError, match=r"limits\.json: holds no limits"):
            load(tmp_path / "limits.json")


def test_limits_need_clips_in_which_everything_is_found():
    with pytest.raises(EvaluationError, match="need 20 real clips of each class, not 3"):
        rendered_calibration(32, 12, clips=3)
    blank = Measurements({}, "no ink on light paper")
    with pytest.raises(EvaluationError, match="only 0 of 20 real clips are valid"):
        limits_of("pen", [blank] * 20)


def test_rates_of_classes(few):
    clips, labels = few
    frozen = np.repeat(clips[:, :1], 12, axis=1)
    mixed = np.concatenate([clips, frozen[:1]])
    rates = score(mixed, np.append(labels, labels[0]), CLASSES, calibration(32, 12))
    assert list(rates) == ["pan-left", "passing", "bounce"]  # in the order of the classes
    assert rates["bounce"] == pass_rate([Outcome(True, "")] * 3)
    assert (rates["passing"].hits, rates["passing"].of, rates["passing"].value) == (3, 4, 0.75)
    assert rates["passing"].failures == {"alive: hardly changes": 1}
    assert rates["passing"].low == pytest.approx(0.3006, abs=1e-3)  # Wilson, 3 of 4
    assert rates["passing"].high == pytest.approx(0.9544, abs=1e-3)
    assert pass_rate([]).value is None


def test_reasons_are_counted_and_the_first_is_given(few):
    clips, labels = few
    limits = calibration(32, 12)
    outcomes = score_clips(clips[:, ::-1], labels, CLASSES, limits)
    assert [outcome.passes for outcome in outcomes[:3] + outcomes[-3:]] == [True] * 3 + [False] * 3
    assert outcomes[-1].failed == "behaviour: not that way, or not that far"
    assert outcomes[-1].numbers["right"] < 0 < outcomes[-1].numbers["change"]
    assert score(clips[-3:, ::-1], labels[-3:], CLASSES, limits)["pan-left"].failures == {outcomes[-1].failed: 3}


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
    sets = control_sets(clips, labels)
    assert (sets["frozen"][0] == clips[:, :1]).all()
    assert (np.sort(sets["shuffled"][0], axis=1) == np.sort(clips, axis=1)).all()
    table = score_sets(sets, CLASSES, calibration(32, 12), others=few)
    assert list(table["bounce"]) == list(CONTROLS) == ["real", "frozen", "shuffled", "reversed", OTHER]
    assert list(table["pen"]) == [OTHER]  # no clips of its own
    assert [table["bounce"][name].hits for name in CONTROLS if name != "reversed"] == [3, 0, 0, 0]
    assert "| bounce | 100.0 [43.9, 100.0] | 0.0 [0.0, 56.1] |" in markdown(table)
    assert "| pen |  |  |  |  | 0.0 [0.0, 29.9] |" in markdown(table)


def test_bad_input_is_refused_in_one_line(few):
    clips, labels = few
    limits = calibration(32, 12)
    with pytest.raises(
        EvaluationError, match=r"limits are for clips uint8 \[12, 32, 32, 3\], not uint8 \[11, 32, 32, 3\]"
    ):
        ClipScorer(clips[0, :11], limits)
    with pytest.raises(EvaluationError, match="not float32"):
        ClipScorer(clips[0].astype(np.float32), limits)
    with pytest.raises(EvaluationError, match="none is defined for class 'juggling'"):
        ClipScorer(clips[0], limits)("juggling")
    with pytest.raises(EvaluationError, match="no limits for class 'pen'; calibrate"):
        ClipScorer(clips[0], Calibration(32, 12, 20, "", {}))("pen")
    with pytest.raises(EvaluationError, match="9 clips need as many labels, not 8"):
        score(clips, labels[:8], CLASSES, limits)
    with pytest.raises(EvaluationError, match="labels run from 0 to 8, not 5 to 9"):
        score(clips[:2], np.array([5, 9]), CLASSES, limits)
    with pytest.raises(EvaluationError, match="none is defined for cats, only for pen"):
        score(clips[:1], np.array([0]), ["cats", "pen"], limits)
    assert score(clips[:1], labels[:1], [*CLASSES, "cats"], limits)["passing"].of == 1  # no clip of that class


def test_the_command_says_what_is_wrong(capsys):
    assert main(["--size", "16", "--clips", "1"]) == 1
    assert "phenomena renders sizes from 32 to 256 pixels, not 16" in capsys.readouterr().err
    assert main(["--write", "3"]) == 1
    assert "need 20 real clips of each class, not 3" in capsys.readouterr().err
