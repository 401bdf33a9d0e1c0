import base64
import fcntl
import io
import json
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import CHECKED, tiny_config, tiny_network, write_store
from dvdgan.config.files import load_config
from dvdgan.data.write.encode import write_clip
from dvdgan.data.write.sheets import clip_grid, clip_sheet, write_image
from dvdgan.report import ReportError, write_run_page
from dvdgan.report.media import SHOWN_STEPS, Sample, chosen, shots
from dvdgan.report.run.figures import SHOWN_CLASSES
from dvdgan.report.run.record import read_record
from dvdgan.report.run.thinning import Bins
from dvdgan.training import train
from support.clips import read_clip
from support.pages import EVIL, Page, loads_nothing, shows_names_only, values


def page_of(run, **options):
    return Page(write_run_page(run, **options))


def training_line(step, classes=("dot", "bar", "sky"), **more):
    line = {
        "step": step,
        "hours": step / 3600,
        "lr_g": 1e-3,
        "lr_d": 1e-3,
        "seconds": {"data": 0.1, "d": 0.6, "g": 0.3},
    }
    for classifier in ("spatial", "temporal"):
        line |= {
            f"loss_{classifier}": 1.0,
            f"loss_g_{classifier}": 0.5,
            f"real_{classifier}": 0.4,
            f"fake_{classifier}": -0.3,
        }
        line |= {f"auc_{classifier}": 0.8, f"grad_{classifier}": 2.0}
    line |= {"grad_generator": 0.5, "motion_ratio": 0.9, "first_frame": 1.5, "first_frame_real": 1.0}
    line["motion_ratio_by_class"] = dict.fromkeys(classes, 0.9)
    return line | more


def check_line(step, classes=("dot", "bar", "sky")):
    by_class = dict.fromkeys(classes, 0.5)
    check = {"distance": 0.3, "diversity": 0.8, "diversity_by_class": by_class}
    return {"step": step, "check": check | {"accuracy": 0.6, "accuracy_by_class": by_class}}


def event_line(step, event="frozen clips", about="dot", state="raised", message="they stand still", advice="wait"):
    return {"step": step, "event": event, "about": about, "state": state, "message": message, "advice": advice}


def write_run(run, lines, config=None, metadata=None):
    run.mkdir(parents=True)
    (run / "config.yaml").write_text((config or tiny_config("clips")).to_yaml())
    (run / "run.json").write_text(
        json.dumps({"precision": "bf16", "memory_format": "channels_last"} | (metadata or {}))
    )
    write_log(run, lines)
    return run


def write_log(run, lines):
    (run / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_sample(samples, name, frames=4, size=16, noise=0):
    clips = np.random.default_rng(0).integers(0, 1 + noise, (4, frames, size, size, 3)).astype(np.uint8) + 99
    write_image(samples / f"{name}.png", clip_sheet(clips, list("abcd")))
    if frames > 1:
        write_clip(samples / f"{name}.mp4", clip_grid(clips, scale=2), 12.0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that was really trained, to its end."""
    folder = tmp_path_factory.mktemp("page")
    config = tiny_config(write_store(folder / "store"), steps=3, sample_every=1, checkpoint_every=2, health=CHECKED)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # quicker than two where others are at work
    train(config, folder / "run", say=lambda text: None)
    torch.set_num_threads(threads)
    return folder / "run"


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run", copy_function=shutil.copy2)


def test_page_of_a_finished_run_needs_nothing_else(run):
    path = write_run_page(run)
    assert path == run / "report.html"
    assert [entry.name for entry in run.iterdir() if "partial" in entry.name] == []
    page = Page(path)
    assert loads_nothing(page)
    assert page.source.count("/* plotly.js */") == 1
    assert {"health", "clips", "film-strip", "sheets", "curves", "settings", "checkpoints"} <= page.ids
    anchors = {attributes["href"].removeprefix("#") for attributes in page.all("a")}
    assert anchors == {"health", "clips", "film-strip", "curves", "settings"}
    assert read_record(run).state == "finished"
    for said in ("finished", "3 of 3 steps", "fp32", "contiguous", "batch_size: 3", "step-00000003.safetensors"):
        assert said in page.text
    assert {"discriminator-losses", "generator-losses", "scores-spatial", "scores-temporal", "gradients"} <= set(
        page.charts
    )
    assert {"motion", "seconds"} <= set(page.charts)
    assert not {"penalties", "rates"} & set(page.charts)


def test_pictures_can_be_shown(run, tmp_path):
    page = page_of(run)
    videos = page.data("data:video/mp4")
    assert len(videos) == 4  # three steps and the training clips
    for index, video in enumerate(videos):
        (tmp_path / f"{index}.mp4").write_bytes(video)
        clip, _ = read_clip(tmp_path / f"{index}.mp4")
        assert clip.shape[0] == 4
        assert clip.std() > 0
    images = page.data("data:image/webp")
    assert len(images) == 3 + 3 + 1  # thumbnails, sheets, the training clips' sheet
    for image in images:
        assert Image.open(io.BytesIO(image)).convert("RGB").size > (20, 20)
    shown = [a for a in page.all("figure") if "data-shot" in a and "hidden" not in a]
    assert [a["data-shot"] for a in shown] == ["2", "2"]
    autoplaying = [a for a in page.all("video") if "autoplay" in a]
    assert len(autoplaying) == 2
    assert all({"muted", "loop", "playsinline"} <= set(a) for a in page.all("video"))


def test_other_place_and_overwriting(run, tmp_path):
    out = tmp_path / "pages" / "a.html"
    assert write_run_page(run, out) == out
    before = out.read_bytes()
    write_log(run, [training_line(1), training_line(2)])
    write_run_page(run, out)
    assert out.read_bytes() != before
    assert [path.name for path in out.parent.iterdir()] == ["a.html"]


def test_states(run):
    checkpoint = max((run / "checkpoints").iterdir())
    assert read_record(run).state == "finished"
    with open(run / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert read_record(run).state == "running"  # it goes on
        assert "running" in page_of(run).text
    os.utime(checkpoint, (2e9, 2e9))  # as after a copy, or an evaluation that writes into the card
    assert read_record(run).state == "finished"
    with open(run / ".lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the page has let go
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("steps: 3", "steps: 9"))  # resumed, or at first --minutes were over
    assert read_record(run).state == "stopped"
    with open(run / "log.jsonl", "a") as log:
        log.write(json.dumps(training_line(9)) + "\n")
    assert read_record(run).state == "finished"
    shutil.rmtree(run / "model")
    assert read_record(run).state == "stopped"


def test_a_model_is_no_run(run):
    with pytest.raises(ReportError, match="is a model, not a run"):
        write_run_page(run / "model", run / "model" / "report.html")
    assert not (run / "model" / "report.html").exists()


def test_steps_beyond_32_bits_stay_in_order(run):
    write_log(run, [training_line(step) for step in (1, 3 * 10**9)])
    traces = [trace for chart in page_of(run).charts.values() for trace in chart["data"] if "x" in trace]
    assert max(values(trace["x"]).max() for trace in traces) == 3e9
    assert min(values(trace["x"]).min() for trace in traces) >= 0


def test_run_that_has_logged_nothing(tmp_path):
    page = page_of(write_run(tmp_path / "run", []))
    assert page.charts == {}
    assert not {"film-strip", "curves", "sheets", "checkpoints"} & page.ids
    assert "step 100" in page.text  # when the first samples come
    assert "plotly" not in page.source
    (tmp_path / "run" / "log.jsonl").unlink()
    (tmp_path / "run" / "run.json").unlink()
    assert any("run.json" in notice for notice in read_record(tmp_path / "run").notices)


def test_damaged_files_are_named_and_passed_over(tmp_path):
    run = write_run(tmp_path / "run", [training_line(10), training_line(20)])
    log = run / "log.jsonl"
    other = (
        '[1]\n"text"\n{"no": "step"}\n{"step": "x"}\n{"step": 15, "seconds": [1], "check": 7, "new": {"a": {"b": 1}}}\n'
    )
    log.write_text(other + log.read_text() + json.dumps(training_line(30))[:50])
    (run / "run.json").write_text("{")
    (run / "config.yaml").write_text("[1, 2")
    samples = run / "samples"
    samples.mkdir()
    for name in ("step-00000010.png", "step-00000010.mp4", "step-x.png", "notes.png", "real.mp4"):
        (samples / name).write_bytes(b"broken")
    record = read_record(run)
    assert record.step == 20
    page = page_of(run)
    assert values(page.charts["discriminator-losses"]["data"][0]["x"]).tolist() == [10, 20]
    assert {"config.yaml", "run.json"} <= set(" ".join(read_record(tmp_path / "run").notices).split())


def test_unknown_keys_and_values_that_are_not_finite(tmp_path):
    lines = [training_line(10 * n, surprise=n, nested={"deep": {"er": 1}}, listed=[1]) for n in range(1, 6)]
    lines[2] |= {"loss_spatial": float("nan"), "motion_ratio": float("inf"), "grad_spatial": None}
    lines[3]["motion_ratio_by_class"]["dot"] = float("-inf")
    run = write_run(
        tmp_path / "run", lines, metadata={"new": {"entry": [1, None, True]}, "baseline": None, "classes": 7}
    )
    (run / "config.yaml").write_text((run / "config.yaml").read_text() + "unknown: {field: 1}\n")
    page = page_of(run)
    losses = page.charts["discriminator-losses"]["data"][0]
    assert values(losses["x"]).tolist() == [10, 20, 40, 50]
    assert "left out of the curves: loss_spatial (1), motion_ratio (1), motion_ratio_by_class (1)" in page.text
    assert "entry: 1, none, on" in page.text
    assert all(np.isfinite(values(t["y"])).all() for chart in page.charts.values() for t in chart["data"])


def test_every_curve_and_its_levels(tmp_path):
    lines = [training_line(10, penalty_real_spatial=0.1), check_line(10), training_line(20, lr_d=5e-4), check_line(20)]
    page = page_of(
        write_run(tmp_path / "run", lines, metadata={"baseline": 0.02, "real_accuracy_by_class": {"dot": 0.9}})
    )
    assert list(page.charts) == [
        "discriminator-losses", "generator-losses", "scores-spatial", "scores-temporal", "ranking", "gradients",
        "penalties", "motion", "first-frame", "diversity", "accuracy", "distance", "seconds", "rates",
    ]  # fmt: skip
    assert page.charts["gradients"]["layout"]["yaxis"]["type"] == "log"
    levels = {key: [s["y0"] for s in chart["layout"].get("shapes", [])] for key, chart in page.charts.items()}
    assert levels["motion"] == [1.0, 0.5]
    assert levels["distance"] == [0.02]
    assert levels["accuracy"] == [0.9, pytest.approx(1 / 3)]
    assert page.names("motion") == ["dot", "bar", "sky", "all classes"]
    for chart in page.charts:
        assert f"curve-{chart}" in page.ids
    assert page.text.count("Healthy:") == len(page.charts) - 1  # learning rates are as they were set
    assert "1 s" in page.text  # seconds per step


def evaluation_line(step, distance, **more):
    by_class = {"dot": 1.0, "bar": 0.5, "sky": 0.25}
    found = {"distance": distance, "baseline": 0.4, "real_clips": 1500, "fidelity": 0.58, "fidelity_by_class": by_class}
    counts = {"clips": 25, "clips_by_class": {"dot": 9, "bar": 8, "sky": 8}}
    return {"step": step, "evaluation": found | counts | more}


def test_evaluations_by_a_classifier(tmp_path):
    behaviours = {"behaviours": 0.5, "behaviours_by_class": {"dot": 0.5}, "behaviours_clips": 8}
    lines = [training_line(10), check_line(10), evaluation_line(10, 9.0), training_line(20), check_line(20)]
    lines += [evaluation_line(20, 3.0), training_line(30), evaluation_line(30, 5.0, **behaviours)]
    metadata = {"evaluation": {"classifier": "ab12", "held_out_fidelity": 0.97}}
    run = write_run(tmp_path / "run", lines, metadata=metadata)
    page = page_of(run)
    keys = list(page.charts)
    assert keys[keys.index("distance") + 1 :][:3] == ["classifier-distance", "fidelity", "behaviours"]
    assert values(page.charts["classifier-distance"]["data"][0]["y"]).tolist() == [9.0, 3.0, 5.0]
    levels = {key: [s["y0"] for s in chart["layout"].get("shapes", [])] for key, chart in page.charts.items()}
    assert levels["classifier-distance"] == [0.4]
    assert levels["fidelity"] == [0.97, pytest.approx(1 / 3)]
    assert page.names("fidelity") == ["dot", "bar", "sky", "all classes"]
    assert "How far 25 samples lie from 1,500 training clips in" in page.text
    assert "share of samples (8 to 9 of each class) that the classifier takes" in page.text
    assert "falls towards 0.4; lowest 3, at step 20" in page.text
    assert {"curve-classifier-distance", "curve-fidelity", "curve-behaviours"} <= page.ids
    write_log(run, [*lines, event_line(30, "override", None, "note", "training.classifier ab12 -> cd34")])
    assert "lowest 3" not in page_of(run).text


def test_evaluations_leave_the_rest_of_the_page_as_it_is(tmp_path):
    lines = [training_line(10), check_line(10), training_line(20), check_line(20)]
    without = page_of(write_run(tmp_path / "without" / "run", lines))
    assert not {"classifier-distance", "fidelity", "behaviours"} & set(without.charts)
    assert "Classifier Fréchet" not in without.text
    named = [line | ({"best_by": "check.score"} if "check" in line else {}) for line in lines]
    page = page_of(write_run(tmp_path / "with" / "run", [*named, evaluation_line(20, 3.0)]))
    assert {key: chart for key, chart in page.charts.items() if key in without.charts} == without.charts


def test_image_mode_unconditional_and_one_discriminator(tmp_path):
    config = tiny_config("clips").model_copy(
        update={"network": tiny_network(frames=1, classes=0, temporal=None, spatial={"frames": 1})}
    )
    dropped = ("motion", "first_frame")
    lines = [
        {k: v for k, v in training_line(step).items() if not k.endswith("temporal") and not k.startswith(dropped)}
        for step in (10, 20)
    ]
    lines.append({"step": 20, "check": {"distance": 0.3, "diversity": 0.8, "diversity_by_class": {}}})
    run = write_run(tmp_path / "run", lines, config)
    for name in ("real", "step-00000010", "step-00000020"):
        write_sample(run / "samples", name, frames=1)
    page = page_of(run)
    assert "video" not in {tag for tag, _ in page.elements}
    assert "sheets" not in page.ids
    assert len(page.data("data:image/webp")) == 2 + 2 + 1
    assert not {"motion", "first-frame", "scores-temporal", "accuracy"} & set(page.charts)
    assert page.names("diversity") == ["all clips"]
    assert page.names("discriminator-losses") == ["D_S, single frames"]
    assert "none (unconditional)" in page.text
    assert "32×32 images" in page.text


def test_events(tmp_path):
    lines = [
        training_line(10),
        event_line(10),
        event_line(10, about="bar"),
        event_line(20, state="cleared", message="they move", advice=None),
        event_line(30, "collapse", None, message="all alike", advice="lower training.lr_g"),
        event_line(40, "override", None, "note", "training.lr_d 1e-3 -> 5e-4"),
        {"step": 50, "event": "odd", "about": 3, "more": []},
        training_line(50),
    ]
    run = write_run(tmp_path / "run", lines)
    assert [(e.event, e.about) for e in read_record(run).raised] == [("frozen clips", "bar"), ("collapse", None)]
    page = page_of(run)
    assert sum("alarm" in a.get("class", "").split() for a in page.all("div")) == 2
    assert "lower training.lr_g" in page.text
    assert {"events", "overrides"} <= page.ids
    (marks,) = [t for t in page.charts["generator-losses"]["data"] if t.get("yaxis") == "y2"]
    assert marks["x"] == [10, 30]
    assert marks["text"] == ["frozen clips: dot<br>frozen clips: bar", "collapse"]
    write_log(run, [*lines, event_line(60, about="bar", state="cleared"), event_line(60, "collapse", "", "cleared")])
    assert read_record(run).raised == []


def test_names_that_look_like_code_stay_names(tmp_path):
    config = tiny_config("clips").model_copy(update={"name": EVIL[0], "description": EVIL[2]})
    lines = [training_line(10, EVIL), check_line(10, EVIL)]
    lines += [event_line(10, EVIL[0], name, message=EVIL[2], advice=EVIL[1]) for name in EVIL]
    run = write_run(tmp_path / "run <b>&", lines, config, metadata={"classes": EVIL, EVIL[0]: EVIL[2]})
    (run / "model").mkdir()
    (run / "model" / "card.md").write_text(EVIL[2])
    page = page_of(run)
    assert shows_names_only(page)
    assert "<script>alert" not in page.source
    assert EVIL[0] in page.text
    names = page.names("motion")
    assert names[1] == 'a "quoted" &amp; &lt;b&gt;bold&lt;/b&gt; name'
    assert not any("<" in name for name in names)


def test_many_classes_show_the_worst_and_a_band(tmp_path):
    classes = [f"class {n}" for n in range(600)]
    lines = [
        training_line(10 * step, motion_ratio_by_class={name: 0.2 + n / 600 for n, name in enumerate(classes)})
        for step in range(1, 5)
    ]
    run = write_run(tmp_path / "run", lines, metadata={"classes": classes})
    page = page_of(run)
    names = page.names("motion")
    assert len(names) == 3 + SHOWN_CLASSES + 1
    assert names[3:6] == ["class 0", "class 1", "class 2"]
    low, high, middle = (values(trace["y"]) for trace in page.charts["motion"]["data"][:3])
    assert low[0] == pytest.approx(0.2)
    assert middle[0] == pytest.approx(0.2 + 299.5 / 600)
    assert high[0] == pytest.approx(0.2 + 599 / 600)


def test_a_long_log_is_thinned_by_averaging(tmp_path):
    lines = [training_line(10 * n, loss_spatial=float(n % 2), grad_spatial=float(n)) for n in range(1, 5001)]
    run = write_run(tmp_path / "run", lines)
    page = page_of(run)
    for chart in page.charts.values():
        assert all(300 <= len(values(trace["x"])) <= 600 for trace in chart["data"])
    alternating = values(page.charts["discriminator-losses"]["data"][0]["y"])
    assert np.allclose(alternating[:-1], 0.5, atol=0.13)
    rising = next(t for t in page.charts["gradients"]["data"] if t["name"].startswith("D_S"))
    assert np.allclose(values(rising["x"]), 10 * values(rising["y"]), rtol=1e-4, atol=1)
    assert write_run_page(run).stat().st_size < 8e6


def test_bins_keep_sums():
    rng = np.random.default_rng(0)
    bins, data = Bins(8), rng.normal(size=1000)
    for step, value in enumerate(data):
        bins.add(step, {("a", ""): value} | ({("b", "x"): value} if step % 100 == 0 else {}))
    steps, means = bins.series("a")
    assert 4 <= len(steps) <= 8
    assert steps[0] == np.arange(128).mean()
    assert means[0] == pytest.approx(data[:128].mean())
    assert bins.last["a", ""] == data[-1]
    assert bins.parts("b") == ["x"]
    assert bins.series("missing")[0].size == 0
    assert np.isnan(bins.table([("b", "x"), ("missing", "")])[1][1]).all()


def test_steps_of_the_film_strip_are_even():
    samples = [Sample(step, None, None) for step in [1, 2, 3, 4, *range(100, 10_001, 100)]]
    steps = [sample.step for sample in chosen(samples)]
    assert len(steps) == SHOWN_STEPS
    assert (steps[0], steps[-1]) == (1, 10_000)
    assert np.ptp(np.diff(steps)) <= 200
    assert chosen(samples[:3]) == samples[:3]


def test_large_pictures_are_made_smaller(tmp_path, monkeypatch):
    write_sample(tmp_path, "step-1", frames=4, size=96, noise=150)
    clip = tmp_path / "step-1.mp4"
    monkeypatch.setattr("dvdgan.report.media.BUDGET", clip.stat().st_size // 2)
    (shot,) = shots([Sample(1, tmp_path / "step-1.png", clip)])
    assert shot.clip is not None
    assert shot.sheet is not None
    data = base64.b64decode(shot.clip.uri.partition(",")[2])
    assert len(data) < clip.stat().st_size // 2
    (tmp_path / "small.mp4").write_bytes(data)
    assert read_clip(tmp_path / "small.mp4")[0].shape == (4, shot.clip.height, shot.clip.width, 3)
    monkeypatch.setattr("dvdgan.report.media.BUDGET", 2000)
    (none,) = shots([Sample(1, None, clip)])
    assert none.clip is None
    assert none.thumbnail is not None


def test_differences_from_the_preset(tmp_path):
    config = load_config("cpu-32", ["training.batch_size=9", "network.temporal=null"])
    page = page_of(write_run(tmp_path / "run", [], config))
    compared = page.text.partition("Different from the preset cpu-32")[2].partition("Decided at the start")[0]
    assert "training.batch_size" in compared
    assert "training.lr_g" not in compared
    assert compared.count("network.temporal") == 1
    same = page_of(write_run(tmp_path / "same", [], load_config("cpu-32")))
    assert "the run follows its preset" in same.text


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.write_text("")])
def test_not_a_run(tmp_path, make):
    make(tmp_path / "run")
    with pytest.raises(ReportError, match=re.escape(str(tmp_path / "run"))) as error:
        write_run_page(tmp_path / "run")
    assert "\n" not in str(error.value)
    assert "--out" in str(error.value)


def test_page_that_cannot_be_written(tmp_path):
    run = write_run(tmp_path / "run", [])
    with pytest.raises(ReportError, match=str(tmp_path)):
        write_run_page(run, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"page\.html: "):
        write_run_page(run, tmp_path / "file" / "page.html")


def test_without_plotly(tmp_path, monkeypatch):
    run = write_run(tmp_path / "run", [])
    for module in [name for name in sys.modules if name.split(".")[0] == "plotly"]:
        monkeypatch.delitem(sys.modules, module)
    for module in ("charts", "run.curves", "run.figures"):
        monkeypatch.delitem(sys.modules, f"dvdgan.report.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(ReportError, match=re.escape("pip install 'dvdgan[report]'")) as error:
        write_run_page(run)
    assert str(run) in str(error.value)


def test_page_imports_no_torch():
    source = Path(sys.modules["dvdgan.report"].__file__).parent
    imports = re.compile(r"import torch|dvdgan\.(training|networks)\b.*import")
    assert not any(imports.search(path.read_text()) for path in [*source.glob("*.py"), *source.glob("run/*.py")])


def test_a_file_of_the_users_is_no_place_for_a_page(run, tmp_path):
    for name in ("page.html", "notes.txt"):
        (tmp_path / name).write_text("<html>dear</html>")
        with pytest.raises(ReportError, match=name):
            write_run_page(run, tmp_path / name)
        assert (tmp_path / name).read_text() == "<html>dear</html>"
