import json
import math

import pytest

from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.measured import Measured, Share
from dvdgan.evaluation.record import is_record, load
from dvdgan.evaluation.scores import Baseline, Score
from support.records import bare, example, prediction


def predicted():
    return example().model_copy(update={"prediction": prediction()})


@pytest.mark.parametrize("make", [example, bare, predicted])
def test_round_trip(tmp_path, make):
    evaluation = make()
    path = evaluation.save(tmp_path / "deep" / "evaluation.json")
    assert load(path) == evaluation
    assert [entry.name for entry in path.parent.iterdir()] == ["evaluation.json"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tree: tree["scores"][2].update(scor=1), r"scores\.2\.scor: "),
        (lambda tree: tree["classifier"].pop("chance"), r"classifier\.chance: "),
        (lambda tree: tree["scores"][0]["overall"].update(value=float("nan")), r"scores\.0\.overall\.value: "),
        (lambda tree: tree.update(version=4), "version 4, but this dvdgan reads version 3; use a newer dvdgan"),
        (lambda tree: tree.update(version=2), "version 2.*make it again"),
        (lambda tree: tree.clear(), "no field version"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, change, said):
    path = example().save(tmp_path / "evaluation.json")
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))
    with pytest.raises(EvaluationError, match=said) as error:
        load(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_files_that_are_none(tmp_path):
    with pytest.raises(EvaluationError, match=r"absent\.json: cannot be read \(No such file"):
        load(tmp_path / "absent.json")
    broken = bare().save(tmp_path / "evaluation.json")
    broken.write_text(broken.read_text()[:100])
    with pytest.raises(EvaluationError, match=r"evaluation\.json: not valid JSON"):
        load(broken)
    with pytest.raises(EvaluationError, match="cannot be written"):
        bare().save(broken / "below.json")


def score(values, better="lower", baseline=None):
    baseline = baseline or Baseline(mean=2.0, low=1.5, high=2.5, repeats=4)
    controls = {
        name: Measured(value=value, missing="not tried" if value is None else "") for name, value in values.items()
    }
    return Score(
        key="a/b",
        name="b",
        space="a",
        better=better,
        overall=Measured(value=2.0),
        baseline=baseline,
        controls=controls,
    )


def test_how_many_times_worse():
    low, high = score({}), score({}, "higher")
    assert low.times_worse(6.0) == 3.0
    assert high.times_worse(0.5) == 4.0  # it points upwards: the baseline is 4 times as high
    assert high.times_worse(0.0) == math.inf  # all is missing
    assert low.times_worse(0.0) is None
    assert low.times_worse(None) is None
    for baseline in (
        Baseline(mean=0.001, low=-0.002, high=0.004, repeats=4),
        Baseline(missing="too few"),
        Baseline(mean=2.0, low=2.0, high=2.0, repeats=1),
    ):
        assert score({}, baseline=baseline).times_worse(1.0) is None


def test_which_corruption_a_score_sees():
    low = score({"much": 3.1, "little": 2.6, "none": 2.0, "better": 0.1, "untried": None})
    assert [low.sees(name) for name in (*low.controls, "unknown")] == [True, False, False, False, None, None]
    high = score({"all missing": 0.0, "much": 1.2, "little": 1.4, "better": 9.0}, "higher")
    assert [high.sees(name) for name in high.controls] == [True, True, False, False]
    values = {"beyond": 0.011, "outside": 0.009, "inside": 0.003}
    kid = score(values, baseline=Baseline(mean=0.001, low=-0.002, high=0.004, repeats=4))
    assert [kid.sees(name) for name in kid.controls] == [True, False, False]
    once = score({"much": 9.0}, baseline=Baseline(mean=2.0, low=2.0, high=2.0, repeats=1))
    assert once.sees("much") is None


def test_corruptions_that_no_score_sees():
    evaluation = example()
    assert evaluation.unseen() == []
    blind = [s for s in evaluation.scores if s.space.startswith("EfficientNet")]
    assert evaluation.model_copy(update={"scores": blind, "sweep": None}).unseen() == [
        "shuffled", "reversed", "frozen", "cut", "jittered", "flickering",
    ]  # fmt: skip
    assert bare().unseen() == []  # nothing was tried, so nothing is known


def test_share():
    share = Share.make(3, 5)
    assert (share.value, share.hits, share.of) == (0.6, 3, 5)
    assert (share.low, share.high) == pytest.approx((0.2307, 0.8824), abs=1e-4)  # Wilson's interval of 3 of 5
    assert (Share.make(0, 9).low, Share.make(9, 9).high) == (0.0, 1.0)
    nothing = Share.make(0, 0, "clips have no classes")
    assert (nothing.value, nothing.low, nothing.missing) == (None, None, "clips have no classes")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda part: part["measures"][0].update(curves={}), "no curves, and no reason why"),
        (lambda part: part["measures"][1]["curves"].pop("copied"), "curves are not those of mean, best, copied"),
        (lambda part: part["measures"][2]["leads"].pop("best"), "leads are not those of mean and best"),
        (lambda part: part.update(made=3), "a curve has not 3 frames"),
    ],
)
def test_a_prediction_without_its_curves_is_refused(tmp_path, change, said):
    path = predicted().save(tmp_path / "evaluation.json")
    tree = json.loads(path.read_text())
    change(tree["prediction"])
    path.write_text(json.dumps(tree))
    with pytest.raises(EvaluationError, match=said):
        load(path)


def test_from_which_made_frame_on_a_predictor_is_ahead():
    measure = prediction((-0.05, -0.02, 0.05, 0.1)).main
    assert measure.name == "ST-LPIPS"
    assert (measure.ahead_from("mean"), measure.ahead_from("best")) == (3, 2)
    assert [prediction(lead).main.ahead_from("mean") for lead in ((0.1, 0.1), (0.1, 0.0), (0.0, 0.005))] == [
        1, None, None,
    ]  # fmt: skip
    assert [prediction((lead,)).main.against("mean", "copied") for lead in (0.1, 0.0, -0.1)] == [
        "better", "level", "worse",
    ]  # fmt: skip


def test_a_record_is_told_from_other_json(tmp_path):
    assert is_record(bare().save(tmp_path / "evaluation.json"))
    (tmp_path / "coco.json").write_text('{"version": 2, "images": []}')
    assert not is_record(tmp_path / "coco.json")
    assert not is_record(tmp_path / "nowhere.json")
