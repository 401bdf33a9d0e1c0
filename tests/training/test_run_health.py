"""Events in real trainings: what is raised, where it is written, and what a resumed run makes of it."""

import errno
import math

import numpy as np
import pytest
import torch

from conftest import CHECKED, tiny_config, tiny_network, write_store
from dvdgan.data.store.writer import StoreWriter
from dvdgan.runs.checkpoint import list_checkpoints, load_checkpoint
from dvdgan.runs.log import Log
from dvdgan.training import TrainingFailed, train
from dvdgan.training import step as training_step
from dvdgan.training.metrics import pairs_ranked_rightly
from dvdgan.training.step import discriminator_step, generator_step
from support.errors import refused
from support.runs import assert_equal_runs, lines_of, quiet

EAGER = {"clips": 24, "grace": 0, "window": 2}


def events_of(run):
    return [line for line in lines_of(run) if "event" in line]


def kinds(run):
    return {(line["event"], line["about"]) for line in events_of(run) if line["state"] == "raised"}


@pytest.mark.slow
def test_a_generator_that_learns_nothing_is_found_out(store, tmp_path):
    """Steps of 1e-12 leave G's grey stills as they are, and D tells them apart at once."""
    rates = {"lr_g": 1e-12, "lr_d": 1e-2}
    config = tiny_config(store, steps=24, batch_size=6, d_steps=1, sample_every=12, health=EAGER, **rates)
    said = []
    train(config, tmp_path / "run", say=said.append)
    found = kinds(tmp_path / "run")
    assert {("discriminator saturated", "D_S"), ("discriminator saturated", "D_T")} <= found
    warned = [text for text in said if text.startswith("warning")]
    assert any("discriminator saturated (D_" in text and "training.lr_d" in text for text in warned)
    for event, about in found:
        assert any(event in text and (about or "") in text for text in warned), (event, about)


def test_frozen_clips_are_found_out(tmp_path):
    """Real clips jump about; those of an untrained generator hardly move."""
    rng = np.random.default_rng(0)
    with StoreWriter(tmp_path / "store", 32, ["noise", "flicker"], {}) as writer:
        for index in range(12):
            noise = rng.integers(0, 255, (4, 32, 32, 3), np.uint8)
            flicker = np.zeros((4, 32, 32, 3), np.uint8)
            flicker[1::2] = 200 + index
            writer.add([noise, flicker][index % 2], index % 2, str(index), 12.0)
    config = tiny_config(tmp_path / "store", steps=12, d_steps=1, lr_g=1e-12, health=EAGER | {"window": 50})
    train(config, tmp_path / "run", say=quiet)
    assert {("frozen clips", "noise"), ("frozen clips", "flicker")} <= kinds(tmp_path / "run")
    assert min(lines_of(tmp_path / "run")[5]["motion_ratio_by_class"].values()) < 0.5


def test_a_generator_that_ignores_its_noise_is_found_out(store, tmp_path, monkeypatch):
    monkeypatch.setattr("dvdgan.training.samples.latents", lambda seeds, z_dim: torch.zeros(len(seeds), z_dim))
    train(tiny_config(store, steps=2, sample_every=1, health=EAGER), tmp_path / "run", say=quiet)
    assert {("little variety within a class", name) for name in ("dot", "bar", "sky")} <= kinds(tmp_path / "run")


@pytest.mark.slow
def test_a_gradient_explosion_is_found_out(store, tmp_path, monkeypatch):
    def exploding(state, *clips):
        made, metrics = generator_step(state, *clips)
        return made, metrics._replace(gradient=metrics.gradient * (1e5 if state.step == 52 else 1))

    monkeypatch.setattr(training_step, "generator_step", exploding)
    config = tiny_config(store, steps=54, d_steps=1, log_every=100)
    images = tiny_network(frames=1, spatial={"frames": 1}, temporal=None)  # whose steps are quick
    train(config.model_copy(update={"network": images}), tmp_path / "run", say=quiet)
    assert [(e["event"], e["about"], e["state"], e["step"]) for e in events_of(tmp_path / "run")] == [
        ("gradient explosion", "generator", "raised", 53),
        ("gradient explosion", "generator", "cleared", 54),
    ]


FEW = {"steps": 4, "checkpoint_every": 2}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    train(tiny_config(write_store(folder / "store"), **FEW), folder / "run", say=quiet)
    return folder / "run"


@pytest.mark.parametrize(
    ("network", "field", "logged"),
    [
        ("spatial", "loss", "loss_spatial"),
        ("temporal", "gradient", "grad_temporal"),
        ("generator", "gradient", "grad_generator"),
    ],
)
def test_values_that_are_not_finite_stop_the_run_at_the_last_good_checkpoint(
    whole, store, tmp_path, monkeypatch, network, field, logged
):
    config = tiny_config(store, **FEW)

    def broken(update):
        def wrapped(state, *arguments):
            metrics = update(state, *arguments)
            if state.step < 2 or (update is discriminator_step and arguments[-1] == 0):
                return metrics
            with torch.no_grad():
                next(state.generator.parameters()).fill_(math.nan)
            if update is generator_step:
                made, measured = metrics
                return made, measured._replace(gradient=math.nan)
            return metrics | {network: metrics[network]._replace(**{field: math.nan})}

        return wrapped

    update = generator_step if network == "generator" else discriminator_step
    with monkeypatch.context() as patch:
        patch.setattr(training_step, update.__name__, broken(update))
        with refused(TrainingFailed, rf"step 2: {logged} .*step-00000002.*--override"):
            train(config, tmp_path / "run", say=quiet)
    assert kinds(tmp_path / "run") == {("not finite", None)}
    tensors, numbers = load_checkpoint(list_checkpoints(tmp_path / "run" / "checkpoints")[-1])
    assert numbers["step"] == 2
    assert all(bool(torch.isfinite(value).all()) for value in tensors.values() if value.is_floating_point())
    train(config, tmp_path / "run", say=quiet)
    assert_equal_runs(whole, tmp_path / "run")  # the event went with the steps that were lost


@pytest.mark.slow
def test_a_full_disk_stops_the_run_and_loses_nothing(store, tmp_path, monkeypatch):
    config = tiny_config(store, steps=4, checkpoint_every=2, sample_every=2, health=CHECKED)
    train(config, tmp_path / "whole", say=quiet)
    write, writes = Log.write, []

    def full(self, line):
        writes.append(line)
        if len(writes) == 4:
            self._file.write(b'{"step": 3, "ho')
            raise OSError(errno.ENOSPC, "No space left on device", "log.jsonl")
        write(self, line)

    for target, name, broken in (
        (Log, "write", full),
        ("dvdgan.training.samples", "write_image", no_space),
        ("dvdgan.runs.checkpoint", "save_file", no_space),
        ("dvdgan.models", "save_file", no_space),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(*([target, name] if isinstance(target, type) else [f"{target}.{name}"]), broken)
            with refused(TrainingFailed, "the same command") as stopped:
                train(config, tmp_path / "run", say=quiet)
            assert stopped.value.__cause__.errno == errno.ENOSPC
    train(config, tmp_path / "run", say=quiet)
    assert_equal_runs(tmp_path / "whole", tmp_path / "run")
    assert not [path for path in (tmp_path / "run").rglob(".*") if path.name != ".lock"]


def no_space(first, *arguments):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_pairs_ranked_rightly():
    assert float(pairs_ranked_rightly(torch.tensor([1.0, 3.0]), torch.tensor([0.0, 2.0]))) == 0.75
    assert float(pairs_ranked_rightly(torch.ones(4, 1), torch.ones(4, 1))) == 0.5
    assert float(pairs_ranked_rightly(torch.ones(4, 1), torch.zeros(4, 1))) == 1.0
