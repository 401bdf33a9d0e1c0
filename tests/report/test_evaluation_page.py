import re
import sys

import numpy as np
import pytest

from dvdgan.cli.evaluation import evaluate as evaluate_command
from dvdgan.evaluation.classifier.results import Accuracy
from dvdgan.evaluation.measured import Measured, Share
from dvdgan.evaluation.memorisation.results import Histogram, Nearness
from dvdgan.evaluation.scores import Baseline, Score
from dvdgan.evaluation.shown import ShownClips
from dvdgan.report import ReportError
from dvdgan.report.evaluation.answers import answers, headlines, of_prediction
from dvdgan.report.evaluation.charts import curves, heat_map, histogram, ruler, tradeoffs
from dvdgan.report.evaluation.movies import movies
from dvdgan.report.evaluation.page import SHOWN_CLASSES, write_evaluation_page
from dvdgan.report.evaluation.tables import class_table, control_table, most_confused
from dvdgan.report.words import decimals, measured, moment, number, percent, share_whole, times
from support.clips import read_clip
from support.pages import EVIL, Page, loads_nothing, shows_names_only, strings
from support.records import CLASSES, CORRUPTIONS, bare, baseline_of, example, prediction

SECTIONS = {
    "summary", "warnings", "clips", "scores", "controls", "classes", "truncation", "classifier", "memorisation",
    "behaviours", "settings",
}  # fmt: skip


def videos(page, folder):
    """Frames of each video, uint8 [T, H, W, 3]."""
    clips = []
    for index, data in enumerate(page.data("data:video/mp4")):
        path = folder / f"{index}.mp4"
        path.write_bytes(data)
        clips.append(read_clip(path)[0])
    return clips


def square(colour, count=1, frames=4, size=16):
    """Clips of a square that moves to the right."""
    clips = np.full((count, frames, size, size, 3), 230, np.uint8)
    for time in range(frames):
        clips[:, time, 4:10, time : time + 6] = colour
    return clips


RED, BLUE = (200, 0, 0), (0, 0, 200)


def media(classes=("pen", "flow"), pairs=0):
    sides = {label: (square(RED, 2), square(BLUE, 3)) for label in classes}
    return ShownClips(sides, [(square(RED)[0], square(BLUE)[0])] * pairs)


def page_of(folder, results, shown=None):
    return Page(write_evaluation_page(results, shown, folder / "evaluation.html"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return page_of(tmp_path_factory.mktemp("page"), example(pairs=1), media(pairs=2))


def test_whole_page_has_all_sections_and_needs_nothing_else(whole):
    assert whole.ids >= SECTIONS
    assert {attributes["href"] for attributes in whole.all("a")} == {f"#{name}" for name in SECTIONS}
    assert loads_nothing(whole)
    assert len(whole.source) < 1_000_000


def test_whole_page_says_what_matters(whole):
    for said in (
        "40.1 ± 1.2",  # a headline, its baseline, and the least and the worst corruption that it sees
        "3.4× what real clips score against other real clips, 11.8 (10.9 to 12.7 in 10 repeats)",
        "Corruptions that it does not see: shuffled, reversed, frozen, cut, jittered, flickering.",
        "1,024 generated against 1,024 real, ±: standard deviation over 3 seeds",
        "guessing reaches 11\u00a0%",
        "lower is better",
        "higher is better",
        "no sign of copies",
        "The classifier was trained for less time than advised.",
        "1,024 clips for 1,280 dimensions",
        "Not seen by any score: none",
        "Why generated clips failed: not alive",
        "heldout/pen/00000.mp4 | train/pen/00000.mp4",
        "generated/pen/00000.mp4 frames 0 to 15",
        "dvdgan evaluate --model runs/demo",
        "26 November 2026, 12:00 UTC",
        "# A card",
        "steps: 1000",
        "ef56ef56ef56",
        *CORRUPTIONS.values(),
        *CLASSES,
    ):
        assert said in whole.text, said
    assert "None" not in whole.text
    assert "nan" not in whole.text.lower().replace("dominan", "")


def predicted(**options):
    return example().model_copy(update={"prediction": prediction(**options)})


def test_a_predictor_s_curves_and_baselines_are_shown(whole, tmp_path):
    page = page_of(tmp_path, predicted())
    assert page.ids >= SECTIONS - {"clips"} | {"prediction"}
    curves = {key: page.charts[f"prediction-{key}"] for key in ("psnr", "ssim", "st-lpips", "diversity")}
    named = {line["name"]: line["y"] for line in curves["st-lpips"]["data"] if "name" in line}
    assert list(named) == ["mean of 4 futures", "best of 4 futures", "last given frame, held", "linear extrapolation"]
    assert named["last given frame, held"] == pytest.approx([0.4, 0.43, 0.46, 0.49])
    assert [len(curves["diversity"]["data"]), curves["diversity"]["data"][1]["x"]] == [2, [1, 2, 3, 4]]
    for said in ("2 first frames of held-out clips", "dB, higher is better", "4 made frames, 180 starts", "0.445"):
        assert said in page.text, said
    assert "extrapolation is copying" not in page.text
    one = page_of(tmp_path, predicted(given=1))
    assert "of one given frame, linear extrapolation is copying" in one.text
    assert "linear extrapolation" not in {line.get("name") for line in one.charts["prediction-psnr"]["data"]}
    assert "prediction" not in whole.ids


@pytest.mark.parametrize(
    ("lead", "said"),
    [((0.1,), "lie 0 apart."), ((0.1, 0.1, 0.1), "lie 0 apart in the first made frame, 0.0400 in the last.")],
)
def test_the_distance_of_futures_is_said_of_one_made_frame_and_of_several(lead, said):
    assert of_prediction(prediction(lead=lead), []).sentences[-1] == f"Two futures of one start {said}"


@pytest.mark.parametrize(
    ("lead", "figure", "sentences"),
    [
        ((-0.05, -0.02, 0.05, 0.1), "from made frame 3 on", ["best of 4 futures: from made frame 2 on"]),
        ((0.1, 0.1, -0.01), "not to the end", []),
        ((0.0, 0.0), "no better than copying", []),
        ((-0.02, -0.02), "it loses to copying", []),
        ((-0.2, -0.2), "it loses to copying", ["A model that loses to copying has not been trained."]),
    ],
)
def test_whether_it_predicts_better_than_copying(lead, figure, sentences):
    answer = answers(predicted(lead=lead))[0]
    assert answer.figure == figure
    said = " ".join(answer.sentences)
    assert all(sentence in said for sentence in sentences)
    assert ("has not been trained" in said) == bool(figure.startswith("it loses") and sentences)


def test_the_score_of_movement_is_set_against_the_baselines():
    record = predicted()
    (motion,) = [score for score in record.scores if score.key == "motion/frechet"]
    values = {"copied": 40.0, "extrapolated": 3.0}
    for high, verdict in ((2.9, "better"), (3.1, "no better")):
        overall = Measured(value=2.8, spread=0.1, low=2.7, high=high, over="standard deviation over 3 seeds")
        controls = {name: Measured(value=value) for name, value in values.items()}
        score = motion.model_copy(update={"overall": overall, "controls": controls})
        said = answers(record.model_copy(update={"scores": [score]}))[0].sentences[2]
        assert said.endswith(f"it scores 2.80, copied clips 40.0, extrapolated clips 3.00: {verdict}.")


def test_clips_play_beside_each_other(whole, tmp_path):
    assert len(whole.all("video")) == 2 + 2
    assert all({"muted", "loop", "playsinline", "aria-label"} <= set(video) for video in whole.all("video"))
    for clip in videos(whole, tmp_path):
        assert len(clip) == 4
        left, right = np.split(clip.astype(int), 2, axis=2)
        for half, strong, weak in ((left, 0, 2), (right, 2, 0)):
            coloured = half[..., strong] - half[..., weak] > 90
            assert coloured.any()
            columns = [np.nonzero(frame)[1].min() for frame in coloured]
            assert columns == sorted(columns)  # in time's order
            assert columns[-1] > columns[0]
            assert not (half[..., weak] - half[..., strong] > 90).any()


def test_page_with_nearly_nothing(tmp_path):
    page = page_of(tmp_path, bare())
    assert page.ids & SECTIONS == {"summary", "scores", "settings"}
    for reason in bare().absent.values():
        assert reason in page.text
    assert "only 3 clips." in page.text  # why there is no baseline
    assert "None" not in page.text
    assert page.all("video") == []
    assert page.charts == {}
    assert "plotly" not in page.source
    only = page_of(tmp_path, bare(), ShownClips({"": (square(RED), None)}))
    assert "All clips" in only.text
    assert videos(only, tmp_path)[0].shape[1] == videos(only, tmp_path)[0].shape[2]  # no empty half beside it


def test_nothing_scored_at_all(tmp_path):
    page = page_of(tmp_path, bare().model_copy(update={"scores": [], "spaces": []}))
    assert "scores" not in page.ids


def test_names_that_look_like_code_stay_names(tmp_path):
    page = page_of(tmp_path, example(EVIL, pairs=1), media(EVIL, pairs=2))
    assert shows_names_only(page)
    assert len(page.all("script")) == 4
    for name in EVIL:
        assert name in page.text
    shown = strings(page.charts)
    assert "&lt;img src=x onerror=alert(1)&gt;, taken for &lt;img src=x onerror=alert(1)&gt;" in " ".join(shown)
    assert not any("<" in text for text in shown)


def test_many_classes(tmp_path):
    classes = [f"class{index:03d}" for index in range(41)]
    page = page_of(tmp_path, example(classes, pairs=0), media(classes))
    assert len(page.all("video")) == 41
    assert "The other 29 classes" in page.text
    assert len(page.source) < 1_500_000
    assert "Left out" not in page.text
    fidelity = example(classes).classifier.fidelity.by_class
    worst = sorted(classes, key=lambda label: fidelity[label].value)[:SHOWN_CLASSES]
    shown = [video["aria-label"].partition(":")[0] for video in page.all("video")][:SHOWN_CLASSES]
    assert [fidelity[label].value for label in shown] == [fidelity[label].value for label in worst]


def test_clips_of_more_classes_than_a_page_holds_are_left_out_and_that_is_said(tmp_path):
    shown = media(CLASSES[:2])
    shown = ShownClips({**shown.classes, CLASSES[2]: (None, None)})
    page = page_of(tmp_path, example(CLASSES[:3], pairs=0), shown)
    assert len(page.all("video")) == 2
    assert "Left out, to keep the page small: the clips of 1 class." in page.text


def test_pictures_keep_to_their_budget(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (2, 8, 64, 64, 3), np.uint8)
    shown = ShownClips(dict.fromkeys(CLASSES[:2], (noise, noise)))
    monkeypatch.setattr("dvdgan.report.evaluation.movies.BUDGET", 40_000)
    page = page_of(tmp_path, example(pairs=0), shown)
    clips = [video["src"] for video in page.all("video")]
    assert 0 < sum(map(len, clips)) < 1.4 * 40_000


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (ShownClips({"sun": (square(RED), None)}), "'sun'"),
        (ShownClips({"pen": (square(RED).astype(float), None)}), "generated clips of pen: .*float64"),
        (ShownClips({"pen": (square(RED), square(BLUE, 1, 5))}), r"real clips of pen: .*\[5, 16"),
        (media(pairs=3), "3 pairs .* 2"),
    ],
)
def test_clips_that_do_not_fit(tmp_path, shown, said):
    with pytest.raises(ReportError, match=said):
        write_evaluation_page(example(pairs=1), shown, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_pages_are_written_whole_or_not_at_all(tmp_path):
    out = tmp_path / "deep" / "page.html"
    assert write_evaluation_page(bare(), None, out) == out
    assert [path.name for path in out.parent.iterdir()] == ["page.html"]
    with pytest.raises(ReportError, match=str(tmp_path)):
        write_evaluation_page(bare(), None, tmp_path)
    with pytest.raises(OSError, match=r"below\.html: "):
        write_evaluation_page(bare(), None, out / "below.html")


def test_without_plotly_the_command_ends_before_any_work(tmp_path, monkeypatch):
    for module in [name for name in sys.modules if name.split(".")[0] == "plotly"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "plotly", None)
    out = tmp_path / "out"
    for work in (
        lambda: evaluate_command(model=tmp_path / "no model", out=out),
        lambda: write_evaluation_page(example(), None, out / "evaluation.html"),
    ):
        with pytest.raises(ReportError, match=re.escape("pip install 'dvdgan[report]'")):
            work()
    assert list(tmp_path.iterdir()) == []


def test_mosaics_of_uneven_sides():
    made, pairs = movies(ShownClips({"a": (square(RED, 7), square(BLUE, 1)), "b": (None, square(BLUE))}), 12.0)
    assert pairs == []
    assert (made["a"].left, made["a"].right) == (True, True)
    assert (made["b"].left, made["b"].right) == (False, True)
    assert made["a"].video.width > made["a"].video.height  # two of three columns, three rows
    assert movies(ShownClips(), 12.0) == ({}, [])


def score(value, baseline, better="lower", controls=None):
    made = {name: Measured(value=v) for name, v in (controls or {}).items()}
    overall = Measured(value=value)
    return Score(key="a", name="S", space="a", better=better, overall=overall, baseline=baseline, controls=made)


def places(chart):
    """Values of a ruler's marks by the names in their texts."""
    traces = chart.figure.data
    return {text.partition(":")[0]: x for trace in traces for text, x in zip(trace.hovertext, trace.x)}


@pytest.mark.parametrize(("better", "values"), [("lower", (9.0, 5.0, 30.0)), ("higher", (0.4, 0.6, 0.1))])
def test_better_is_to_the_left_of_a_ruler(better, values):
    value, mild, severe = values
    chart = ruler(
        score(value, baseline_of(2.0 if better == "lower" else 0.9), better, {"mild": mild, "severe": severe})
    )
    found, axis = places(chart), chart.figure.layout.xaxis
    assert (found["mild"], found["severe"], found["generated"]) == (mild, severe, value)
    assert "real against real" in found
    assert axis.autorange == (True if better == "lower" else "reversed")
    assert chart.said.endswith("better is to the left")


def test_rulers_need_something_to_compare_with():
    assert ruler(score(3.0, Baseline(missing="too few"))) is None
    assert ruler(score(3.0, baseline_of(2.0))) is not None
    narrow = ruler(score(1.0, baseline_of(1.0), controls={"cut": 5.0}))
    wide = ruler(score(1.0, baseline_of(1.0), controls={"cut": 500.0, "blurred": 3.0}))
    assert [chart.figure.layout.xaxis.type for chart in (narrow, wide)] == ["linear", "log"]


def test_corruptions_that_a_score_does_not_see_have_another_mark():
    chart = ruler(score(3.0, baseline_of(2.0), controls={"cut": 8.0, "frozen": 2.0}))
    seen, unseen = (trace for trace in chart.figure.data if "corrupted" in trace.y)
    assert (list(seen.hovertext), list(unseen.hovertext)) == (["cut: 8.00"], ["frozen: 2.00, not seen"])
    assert seen.marker.symbol != unseen.marker.symbol


def swept(points, baseline=None):
    """An evaluation of one score in the space ``a`` over truncation."""
    one = example().scores[0]
    one = one.model_copy(update={"baseline": baseline or Baseline(missing="none")})
    values = {x: Measured(missing="no") if y is None else Measured(value=y) for x, y in points}
    sweep = example().sweep
    steps = [sweep.points[0].model_copy(update={"truncation": x, "values": {one.key: v}}) for x, v in values.items()]
    sweep = sweep.model_copy(update={"points": steps})
    return example().model_copy(update={"scores": [one], "sweep": sweep})


@pytest.mark.parametrize("points", [[(1.0, 2.0)], [(1.0, 0.0), (0.5, 0.0)], [(0.5, 1.0), (1.0, None)]])
def test_curves_with_one_point_equal_points_and_missing_ones(points):
    (chart,) = curves(swept(points))
    (line,) = chart.figure.data
    assert list(zip(line.x, line.y)) == sorted((x, y) for x, y in points if y is not None)
    assert curves(swept([(1.0, None)])) == []


def test_curves_show_their_spread_and_the_baseline():
    found = example()
    first, chart = found.scores[0], curves(found)[0]
    bars = chart.figure.data[0].error_y
    last = found.sweep.points[-1].values[first.key]
    assert (bars.array[-1], bars.arrayminus[-1]) == pytest.approx((last.spread, last.spread))
    (band,) = chart.figure.layout.shapes
    assert (band.y0, band.y1) == (first.baseline.low, first.baseline.high)
    assert {first.baseline.low, first.baseline.high} <= set(chart.figure.layout.yaxis.autorangeoptions.include)


def test_one_score_against_another_in_the_same_space():
    found = tradeoffs(example())
    names = [chart.title.partition(" against ")[0] for chart in found]
    assert names == ["Precision", "Recall", "Coverage", "Inception Score"]
    assert list(found[0].figure.data[0].text) == ["0.2", "0.4", "0.6", "", "1"]  # 0.8 would cover 1
    assert tradeoffs(swept([(0.5, 1.0), (1.0, 2.0)])) == []


def test_histogram_of_distances():
    counts = Histogram(edges=[0.0, 1.0, 2.0], generated=[1, 3], held_out=[2, 2])
    nearer = Share.make(1, 4)
    part = Nearness(space="a", threshold=2.5, nearer=nearer, verdict="cannot tell", reason="few", histogram=counts)
    chart = histogram(part)
    bars, steps = chart.figure.data
    assert (list(bars.x), list(bars.y)) == ([0.5, 1.5], [0.25, 0.75])
    assert (list(steps.x), list(steps.y)) == ([0, 0, 1, 2], [0, 0.5, 0.5, 0])
    assert [shape.x0 for shape in chart.figure.layout.shapes] == [2.5]
    assert 2.5 in chart.figure.layout.xaxis.autorangeoptions.include
    assert histogram(part.model_copy(update={"histogram": None})) is None


def test_heat_map_and_mistakes():
    taken = list("abc"), Accuracy.of_counts(list("abc"), np.array([[8, 2, 0], [0, 0, 0], [1, 0, 3]]))
    chart = heat_map(*taken, "key", "Real clips", "")
    (cells,) = chart.figure.data
    assert [text for text in cells.text if text] == [
        "a, taken for a: 80\u00a0% (8 of 10)", "a, taken for b: 20\u00a0% (2 of 10)",
        "c, taken for a: 25\u00a0% (1 of 4)", "c, taken for c: 75\u00a0% (3 of 4)",
    ]  # fmt: skip
    assert list(zip(cells.y, cells.x, cells.z)) == [(0, 0, 80), (0, 1, 20), (1, 1, None), (2, 0, 25), (2, 2, 75)]
    assert "11 of 14" in chart.said
    assert chart.figure.layout.yaxis.autorange == "reversed"
    assert most_confused(*taken) == ["c for a: 25\u00a0% of 4", "a for b: 20\u00a0% of 10"]
    names = [f"class{index}" for index in range(60)]
    many = Accuracy.of_counts(names, np.eye(60, dtype=int))
    assert not heat_map(names, many, "key", "Real clips", "").figure.layout.xaxis.showticklabels


def test_controls_that_are_not_seen():
    frames = [s for s in example().scores if s.space.startswith("Efficient")]
    blind = example().model_copy(update={"scores": frames, "sweep": None, "absent": {"sweep": "no"}})
    rows = {row.name: row for row in control_table(blind).rows}
    assert rows["frozen"].note == "not seen by any score"
    assert rows["blurred"].note == ""
    assert all(cell.faint and "not\u00a0seen" in cell.note for cell in rows["shuffled"].cells)
    assert rows["noisy"].cells[0].note == "4.2×"
    assert not rows["noisy"].cells[0].faint
    sure = answers(blind)[-1]
    assert "Not seen by any score: shuffled, reversed, frozen, cut, jittered, flickering." in sure.sentences[1]


def test_class_table_says_what_is_missing():
    table = class_table(example())
    last = {row.name: row for row in table.rows}["flow"]
    assert last.cells[0].note == "too few clips of the class"
    assert last.cells[0].order is None
    assert [group for group, _ in table.groups][-1] == "Behave as their class"
    assert all(len(row.cells) == len(table.columns) for row in table.rows)
    assert class_table(bare()) is None


def test_scores_that_cannot_be_told_from_real():
    results = example()
    real = results.scores[0].model_copy(update={"overall": Measured(value=11.9)})
    (shown,) = headlines(results.model_copy(update={"scores": [real]}))
    assert shown.verdict.startswith("As good as real clips against other real clips, 11.8")


def test_words():
    written = {0: "0", 12.345: "12.3", 1234.5: "1,234", -0.5: "−0.500", 0.00123: "0.00123", 4.2e-7: "4.2×10⁻⁷"}
    assert {value: number(value) for value in written} == written
    assert decimals(-1234.5, 1) == "−1,234.5"
    assert measured(Measured(value=41.236, spread=1.23, over="3 seeds")) == "41.2 ± 1.2"
    assert measured(Measured(value=0.5, low=0.4, high=0.62, over="95 % interval")) == "0.500 (0.400 to 0.620)"
    assert measured(Measured(value=0.5, spread=0.0, over="3 seeds")) == "0.500"
    assert measured(Measured(value=0.001, spread=0.02, over="3 seeds")) == "0.00100 ± 0.020"
    assert [times(ratio) for ratio in (1.484, 3.44, 17.2, 1690.0)] == ["1.48×", "3.4×", "17×", "1,690×"]
    assert [percent(0.1234), percent(0.1234, 500)] == ["12\u00a0%", "12.3\u00a0%"]
    assert share_whole(Share.make(50, 100)) == "50\u00a0% (40 to 60\u00a0%)"
    assert share_whole(Share(missing="no classes")) == "not measured: no classes"
    assert moment("2026-11-26T12:00:00+00:00") == "26 November 2026, 12:00 UTC"
    assert moment("yesterday") == "yesterday"
