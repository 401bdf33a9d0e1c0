"""Training a predictor: what follows first frames."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from conftest import CHECKED, tiny_config, tiny_network, write_store
from dvdgan.config import Config, DataConfig
from dvdgan.config.files import updated
from dvdgan.data.sources import open_dataset
from dvdgan.data.store.writer import StoreWriter
from dvdgan.models import load_model
from dvdgan.sampling import from_uint8
from dvdgan.training import train
from dvdgan.training.batches import Batch
from dvdgan.training.export import export_model
from dvdgan.training.state import TrainingState
from dvdgan.training.step import discriminator_step, training_step
from support.runs import lines_of, quiet, tensors_of


def predicting(store, first_frames=1, **training) -> Config:
    """`tiny_config`, going on from first frames."""
    config = tiny_config(store, **training)
    return config.model_copy(update={"network": tiny_network(first_frames=first_frames)})


class FixedBatches:
    """Real clips that are noise, and classes to generate that no real clip has."""

    waited = 0.0

    def __init__(self, config):
        self.shape = (config.training.batch_size, config.network.frames, 3, config.network.size, config.network.size)
        self.drawn = []

    def real(self):
        torch.manual_seed(len(self.drawn))
        self.drawn.append(Batch(torch.rand(self.shape) * 2 - 1, torch.tensor([0, 1, 0])))
        return self.drawn[-1]

    def fake_labels(self, step, index):
        return torch.tensor([2, 2, 2])


def generated(state, batches):
    """The clips that G learns from at a training step."""
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dvdgan.training.step.measure_motion", lambda real, fake, classes: seen.append(fake))
        training_step(state, batches, ["a", "b", "c"])
    return seen[0]


def state_of(config):
    return TrainingState(config, torch.device("cpu"), "fp32", "contiguous")


@pytest.mark.parametrize("reuse_fakes", [False, True])
def test_clips_go_on_from_the_real_ones_of_the_same_step(reuse_fakes):
    config = predicting("store", first_frames=2, reuse_fakes=reuse_fakes)
    state, batches = state_of(config), FixedBatches(config)
    made = generated(state, batches)
    real = batches.drawn[-1]
    assert torch.equal(made.clips[:, :2], real.clips[:, :2])
    assert not torch.isclose(made.clips[:, 2:], real.clips[:, 2:]).all()
    assert made.labels.tolist() == [0, 1, 0]


def test_parts_of_a_batch_go_on_from_their_own_frames():
    config = predicting("store", accumulate=3)
    state, batches = state_of(config), FixedBatches(config)
    made = generated(state, batches)
    real = batches.drawn[-1]
    assert {tuple(c[0].flatten().tolist()) for c in made.clips} == {tuple(c[0].flatten().tolist()) for c in real.clips}


def test_given_frames_weigh_on_d_t_only():
    config = predicting("store", first_frames=2, d_steps=1)
    clips = torch.rand(3, 4, 3, 32, 32) * 2 - 1
    other = torch.cat([torch.rand(3, 2, 3, 32, 32), clips[:, 2:]], 1)
    scores = []
    for fake in (clips, other):
        labels = torch.tensor([0, 1, 2])
        measured = discriminator_step(state_of(config), Batch(clips, labels), Batch(fake, labels))
        scores.append({name: one.fake for name, one in measured.items()})
    assert scores[0]["spatial"] == scores[1]["spatial"]
    assert scores[0]["temporal"] != scores[1]["temporal"]


def test_reconstruction_pulls_to_what_followed(tmp_path):
    store = write_store(tmp_path / "store")
    config = predicting(store, steps=10, d_steps=1, lr_g=4e-3, lr_warmup=3)
    config = config.model_copy(update={"network": tiny_network(first_frames=1, temporal=None)})  # quick steps
    errors = {}
    for weight in (0.0, 100.0):
        own = updated(config, training={"regularisation": {"reconstruction": weight}})
        train(own, tmp_path / str(weight), say=quiet)
        lines = [line for line in lines_of(tmp_path / str(weight)) if "loss_g_spatial" in line]
        assert ("loss_g_reconstruction" in lines[0]) == (weight > 0)
        assert lines[0]["lr_g"] == pytest.approx(config.training.lr_g / 3)
        assert lines[3]["lr_g"] == config.training.lr_g
        model = load_model(tmp_path / str(weight) / "model")
        real, labels = model_inputs(tmp_path, store)
        made = model.generator(torch.zeros(len(labels), 8), labels, first=real[:, :1])
        errors[weight] = float((made - real[:, 1:]).abs().mean())
    assert errors[100.0] < 0.85 * errors[0.0]


def model_inputs(folder, store):
    """All training clips in [−1, 1], and their classes."""
    dataset = open_dataset(DataConfig(source=str(store)), 32, 4, folder / "packed")
    clips, labels = dataset.samples(range(len(dataset)))
    return from_uint8(clips), torch.from_numpy(labels)


def test_a_run_shows_its_futures_and_its_checkpoints_make_its_model(tmp_path):
    store = write_store(tmp_path / "store")
    run = tmp_path / "run"
    train(predicting(store, steps=2, sample_every=2, checkpoint_every=2, health=CHECKED), run, say=quiet)
    assert (run / "samples" / "step-00000002.png").exists()
    assert any("check" in line for line in lines_of(run))
    assert tensors_of(run)["first/frames"].any()
    assert "dvdgan predict --model" in (run / "model" / "card.md").read_text()
    export_model(run, tmp_path / "exported")
    for name in ("model.safetensors", "config.yaml"):
        assert (tmp_path / "exported" / name).read_bytes() == (run / "model" / name).read_bytes()


@pytest.mark.parametrize("change", [{"statistics_batches": 2}, {"batch_size": 6}])
def test_other_batches_keep_the_first_frames_that_a_run_began_with(change):
    before = state_of(predicting("unused"))
    before.first.frames.random_(0, 256)
    after = state_of(updated(predicting("unused"), training=change))
    assert len(after.first.labels) != len(before.first.labels)
    after.restore(before.tensors(), before.numbers())
    assert torch.equal(after.first.frames, before.first.frames)
    assert torch.equal(after.tensors()["first/frames"], before.first.frames)


def test_other_clips_bring_their_first_frames(tmp_path):
    """Even where no checkpoint was saved between the override and the next start."""
    store, other, run = write_store(tmp_path / "store"), write_store(tmp_path / "other", per_class=7), tmp_path / "run"
    train(predicting(store, steps=1), run, say=quiet)
    before = tensors_of(run)["first/frames"]
    train(predicting(other, steps=1), run, say=quiet, override=True)
    train(predicting(other, steps=2), run, say=quiet)
    after = tensors_of(run)["first/frames"]
    clips, _ = open_dataset(DataConfig(source=str(other)), 32, 4, tmp_path / "packed").samples(range(len(before)))
    assert torch.equal(after, torch.from_numpy(clips[:, :1]))
    assert not torch.equal(after, before)


def test_a_class_without_clips_is_shown_all_the_same(tmp_path):
    with StoreWriter(tmp_path / "store", 32, ["dot", "bar"], {"test": True}) as writer:
        for label, frames in ((0, 2), (1, 6), (1, 6), (1, 6)):  # too short for a window in the first class
            clip = np.random.default_rng(len(writer)).integers(0, 256, (frames, 32, 32, 3), np.uint8)
            writer.add(clip, label, f"{label}/{len(writer)}", 12.0)
    train(predicting(tmp_path / "store", steps=1, sample_every=1, health=CHECKED), tmp_path / "run", say=quiet)
    assert (tmp_path / "run" / "samples" / "step-00000001.png").exists()


def test_reconstruction_needs_first_frames():
    config = tiny_config("store")
    with pytest.raises(ValidationError, match=r"reconstruction.*first_frames"):
        Config.model_validate(
            config.model_dump() | {"training": config.training.model_dump() | {"regularisation": {"reconstruction": 1}}}
        )
