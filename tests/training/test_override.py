"""Going on under other settings, and leftovers."""

import os
import shutil

import numpy as np
import pytest

from conftest import CHECKED, tiny_config, tiny_network, write_store
from dvdgan.config.files import updated
from dvdgan.data.write.encode import write_clip
from dvdgan.runs.checkpoint import list_checkpoints, saved_checkpoints
from dvdgan.runs.directory import RunDirectory
from dvdgan.training import TrainingError, train
from dvdgan.training.changes import differences
from support.errors import refused
from support.runs import lines_of, metadata_of, quiet

SCORED = {"sample_every": 1, "checkpoint_every": 1, "health": CHECKED}


def test_override_goes_on_under_other_settings_and_records_it(store, begun):
    changed = tiny_config(store, steps=3, lr_g=2e-3)
    with pytest.raises(TrainingError, match=r"training\.lr_g 0\.001 -> 0\.002\. .*--override"):
        train(changed, begun, say=quiet)
    said = []
    train(changed, begun, say=said.append, override=True)
    assert "override: training.lr_g 0.001 -> 0.002" in said
    assert metadata_of(begun)["overrides"] == [{"step": 1, "changes": {"training.lr_g": [0.001, 0.002]}}]
    lines = lines_of(begun)
    assert [line["lr_g"] for line in lines if "lr_g" in line] == [0.001, 0.002, 0.002]
    notes = [line for line in lines if "event" in line]
    assert [(e["step"], e["event"], e["state"], e["message"]) for e in notes] == [
        (1, "override", "note", "training.lr_g 0.001 -> 0.002")
    ]
    train(tiny_config(store, steps=4, lr_g=2e-3), begun, say=quiet)  # no longer another setting
    assert len(metadata_of(begun)["overrides"]) == 1
    with pytest.raises(TrainingError, match=r"training\.lr_g 0\.002 -> 0\.001"):
        train(tiny_config(store, steps=4), begun, say=quiet)


def test_override_without_a_difference_records_nothing(store, begun):
    train(tiny_config(store, steps=2), begun, say=quiet, override=True)
    assert metadata_of(begun)["overrides"] == []


def test_override_does_not_change_networks(store, begun):
    wider = tiny_config(store, steps=2).model_copy(update={"network": tiny_network(generator={"width": 8})})
    with pytest.raises(TrainingError, match=r"network\.generator\.width 4 -> 8"):
        train(wider, begun, say=quiet, override=True)


def test_override_does_not_change_what_a_run_started_from(store, begun):
    other = tiny_config(store, steps=2, start_from="runs/x")
    before = metadata_of(begun)
    for override, reason in (
        (True, r"--override cannot change what a run started from \(training\.start_from\): use"),
        (False, "use"),
    ):
        what = rf"training\.start_from None -> runs/x\. {reason} the old settings, or another --out$"
        with refused(TrainingError, what):
            train(other, begun, say=quiet, override=override)
    assert metadata_of(begun) == before


def test_override_takes_other_clips_of_the_same_classes(store, begun, tmp_path):
    other = write_store(tmp_path / "other", per_class=7)
    train(tiny_config(other, steps=2), begun, say=quiet, override=True)
    assert set(metadata_of(begun)["overrides"][0]["changes"]) == {"data", "data.source"}
    assert metadata_of(begun)["clips"] == 21
    strange = write_store(tmp_path / "strange", classes=("dot", "bar", "sea"))
    with pytest.raises(TrainingError, match="classes"):
        train(tiny_config(strange, steps=3), begun, say=quiet, override=True)


def folder_of_clips(path, classes, shade):
    for name in classes:
        for index in range(3):
            clip = np.full((5, 32, 32, 3), shade + index, np.uint8)
            write_clip(path / name / f"{index}.mp4", clip, 12)
    return path


def test_a_refused_override_leaves_the_clips_of_the_run_alone(tmp_path):
    """The run's own store is all that is left of its clips when their folder is gone."""
    run, first = tmp_path / "run", folder_of_clips(tmp_path / "first", ["a", "b"], 50)
    train(tiny_config(first, steps=1), run, say=quiet)
    before = {path.name: path.read_bytes() for path in (run / "data").iterdir()}
    shutil.rmtree(first)
    with pytest.raises(TrainingError, match="classes"):
        train(tiny_config(folder_of_clips(tmp_path / "wrong", ["a", "c"], 90), steps=2), run, say=quiet, override=True)
    assert {path.name: path.read_bytes() for path in (run / "data").iterdir()} == before
    train(tiny_config(first, steps=2), run, say=quiet)
    real = (run / "samples" / "real.png").read_bytes()
    second = folder_of_clips(tmp_path / "second", ["a", "b"], 150)
    train(tiny_config(second, steps=3), run, say=quiet, override=True)
    assert sorted(path.name for path in run.glob("data*")) == [metadata_of(run)["store"]]
    assert (run / "samples" / "real.png").read_bytes() != real
    shutil.rmtree(second)
    train(tiny_config(second, steps=4), run, say=quiet)
    assert len(metadata_of(run)["overrides"]) == 1


def test_override_of_the_rendered_data_renders_anew(tmp_path):
    run = tmp_path / "run"
    base = updated(tiny_config("phenomena", steps=1), data={"clips_per_class": 2})
    train(base, run, say=quiet)
    more = updated(tiny_config("phenomena", steps=2), data={"clips_per_class": 3})
    train(more, run, say=quiet, override=True)
    assert metadata_of(run)["clips"] == 27
    assert metadata_of(run)["overrides"][0]["changes"]["data.clips_per_class"] == [2, 3]


def test_a_null_in_a_map_of_labels_is_a_difference(store, tmp_path):
    run = tmp_path / "run"
    flipped = updated(tiny_config(store, steps=1), data={"flip": True})
    train(flipped, run, say=quiet)
    with pytest.raises(TrainingError, match=r"data\.flip_labels\.dot \(none\) -> None"):
        train(updated(flipped, data={"flip_labels": {"dot": None}}), run, say=quiet)


def test_every_override_is_noted_once_in_the_log(store, begun):
    train(tiny_config(store, steps=1, lr_d=2e-3), begun, say=quiet, override=True)  # no step left to do
    train(tiny_config(store, steps=2, lr_d=2e-3), begun, say=quiet)
    train(tiny_config(store, steps=3, lr_d=3e-3), begun, say=quiet, override=True)
    notes = [line["message"] for line in lines_of(begun) if line.get("event") == "override"]
    assert notes == ["training.lr_d 0.001 -> 0.002", "training.lr_d 0.002 -> 0.003"]


def test_samples_of_steps_to_come_are_removed(store, tmp_path):
    run = tmp_path / "run"
    train(tiny_config(store, steps=3, sample_every=1, checkpoint_every=2), run, say=quiet)
    (run / "checkpoints" / "step-00000003.safetensors").unlink()
    train(tiny_config(store, steps=3, sample_every=100, checkpoint_every=2), run, minutes=0, say=quiet)
    assert sorted(path.name for path in (run / "samples").glob("step-*.png")) == [
        "step-00000001.png",
        "step-00000002.png",
    ]


def test_samples_of_a_start_that_came_to_no_checkpoint_are_removed(store, tmp_path):
    run = tmp_path / "run"
    with RunDirectory(run).locked():
        (run / "samples").mkdir()
        (run / "samples" / "step-00000001.png").write_text("of another start")
        (run / "samples" / "step-00000005.mp4").write_text("of another start")
    train(tiny_config(store, steps=2), run, say=quiet)
    names = {"real.png", "real.mp4", "step-00000002.png", "step-00000002.mp4"}
    assert {path.name for path in (run / "samples").iterdir()} == names


def test_override_of_the_precision_decides_it_anew(store, begun):
    assert metadata_of(begun)["precision"] == "fp32"
    train(tiny_config(store, steps=2, precision="bf16"), begun, say=quiet, override=True)
    assert metadata_of(begun)["precision"] == "bf16"


def test_health_intervals_and_retention_may_change_without_override(store, begun):
    other = {"health": {"clips": 24, "motion": 0.3}, "log_every": 2, "sample_every": 1}
    kept = {"keep_checkpoints": 1, "keep_every": 100, "keep_best": 0, "checkpoint_gib": 5.0}
    train(tiny_config(store, steps=2, **other, **kept), begun, say=quiet)
    assert [path.stem for path in list_checkpoints(begun / "checkpoints")] == ["step-00000002"]


@pytest.fixture(scope="module")
def scored_run(tmp_path_factory):
    """A run that has done one step, after which its samples were scored."""
    folder = tmp_path_factory.mktemp("scored")
    train(tiny_config(write_store(folder / "store"), steps=1, **SCORED), folder / "run", say=quiet)
    return folder / "run"


@pytest.fixture
def scored(scored_run, tmp_path):
    return shutil.copytree(scored_run, tmp_path / "scored")


def scores_of(run):
    return [saved.score for saved in saved_checkpoints(run / "checkpoints")]


@pytest.mark.parametrize(("clips", "forgotten"), [(24, False), (0, False), (32, True)])
def test_scores_of_another_number_of_samples_are_forgotten(store, scored, clips, forgotten):
    said, before = [], scores_of(scored)
    health = {"clips": clips, "motion": 0.3}
    train(tiny_config(store, steps=2, **SCORED | {"health": health}), scored, say=said.append)
    assert scores_of(scored)[:1] == ([None] if forgotten else before)
    assert (scores_of(scored)[1] is None) == (clips == 0)
    assert sum("the best checkpoint (training.keep_best) is chosen anew" in text for text in said) == forgotten


def test_scores_by_other_clips_are_forgotten_by_the_main_process(scored, tmp_path, monkeypatch):
    other, (score,) = write_store(tmp_path / "other", per_class=7), scores_of(scored)
    with monkeypatch.context() as patch:
        patch.setattr("dvdgan.runs.distributed.is_main", lambda: False)
        train(tiny_config(other, steps=2, **SCORED), scored, say=quiet, override=True)
    assert scores_of(scored) == [score]
    train(tiny_config(other, steps=2, **SCORED), scored, say=quiet, override=True)
    assert [found is None for found in scores_of(scored)] == [True, False]


def test_steps_are_a_setting_where_noise_falls_to_the_last_one():
    few, many = ({"training": {"steps": steps, "regularisation": {"noise": 0.5, "noise_end": 0.1}}} for steps in (2, 4))
    few, many = (updated(tiny_config("x"), **fields) for fields in (few, many))
    assert list(differences(few, many)) == ["training.steps"]
    even = [updated(one, training={"regularisation": {"noise": 0.5, "noise_end": 0.5}}) for one in (few, many)]
    assert not differences(*even)


def test_a_flip_without_its_map_is_another_setting(store, begun):
    flipped = updated(tiny_config(store, steps=2), data={"flip": True, "flip_labels": {"dot": "bar"}})
    with pytest.raises(TrainingError, match=r"data\.flip False -> True; data\.flip_labels"):
        train(flipped, begun, say=quiet)


def test_leftovers_of_a_killed_run_are_removed(store, begun):
    leftovers = [
        begun / "checkpoints" / ".step-00000002.12-0a1b2c3d.partial.safetensors",
        begun / ".config.12-0a1b2c3d.partial.yaml",
        begun / "samples" / ".step-00000001.12-0a1b2c3d.partial.png",
        begun / ".model-abc_1234" / "config.yaml",
    ]
    for path in leftovers:
        path.parent.mkdir(exist_ok=True)
        path.write_text("half")
    shutil.copy(begun / "model" / "card.md", begun / "samples" / "mine.md")
    train(tiny_config(store, steps=2), begun, say=quiet)
    assert not any(path.exists() for path in leftovers)
    assert not (begun / ".model-abc_1234").exists()
    assert (begun / "samples" / "mine.md").exists()


@pytest.mark.parametrize("pack", [True, False])
def test_clips_that_were_moved_copied_or_touched_are_the_same(tmp_path, pack):
    source, run = tmp_path / "clips", tmp_path / "run"
    rng = np.random.default_rng(0)
    for index in range(4):
        write_clip(source / f"{index}.mp4", rng.integers(0, 255, (5, 32, 32, 3), np.uint8), 12)

    def go_on(data, steps):
        config = updated(tiny_config(data, steps=steps), data={"pack": pack, "workers": 1})
        train(config, run, say=quiet)

    go_on(source, 1)
    for path in source.iterdir():
        os.utime(path, ns=(1, 1))
    go_on(f"{source}/", 1)
    shutil.copytree(source, tmp_path / "copies")
    go_on(tmp_path / "copies", 1)
    source.rename(tmp_path / "moved")
    go_on(tmp_path / "moved", 2)
    assert metadata_of(run)["overrides"] == []
    write_clip(tmp_path / "moved" / "0.mp4", rng.integers(0, 255, (5, 32, 32, 3), np.uint8), 12)
    if not pack:  # a packed store stays as it is
        with pytest.raises(TrainingError, match="--override"):
            go_on(tmp_path / "moved", 3)
    (tmp_path / "moved").rename(tmp_path / "others")
    with pytest.raises(TrainingError, match=r"--override|data\.source"):
        go_on(tmp_path / "others", 3)
