import math

import pytest

from dvdgan.evaluation.measured import Measured, Share
from dvdgan.evaluation.record import is_record
from dvdgan.evaluation.scores import Baseline, Score
from support.records import bare, example, prediction, saved


def predicted():
    return example().model_copy(update={"prediction": prediction()})


@pytest.mark.parametrize("make", [example, bare, predicted])
def test_round_trip(tmp_path, make):
    evaluation = make()
    path = evaluation.save(tmp_path / "deep" / "evaluation.json")
    assert saved(path) == evaluation
    assert [entry.name for entry in path.parent.iterdir()] == ["evaluation.json"]


def test_a_place_that_cannot_be_written(tmp_path):
    file = bare().save(tmp_path / "evaluation.json")
    with pytest.raises(OSError, match=r"below\.json: "):
        bare().save(file / "below.json")


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
    nothing = Share.make(0, 0)
    assert (nothing.value, nothing.low, nothing.missing) == (None, None, "no clips")


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
