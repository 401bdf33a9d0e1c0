import shutil

import pytest
import torch

import dvdgan
from conftest import tiny_config, tiny_network, write_store
from dvdgan import models
from dvdgan.config import Config
from dvdgan.models import ModelError, load_model
from dvdgan.networks import Generator, SpatialDiscriminator
from dvdgan.training import TrainingError, train
from dvdgan.training.export import export_model
from support.runs import lines_of, metadata_of, quiet, tensors_of


def larger(store, **training) -> Config:
    """`tiny_config` at twice the size, one stage and one block more."""
    network = tiny_network(
        size=64,
        generator={"multipliers": [4, 2, 2, 1]},
        spatial={"multipliers": [1, 1, 2, 2, 4]},
        temporal={"multipliers": [1, 1, 2, 4], "blocks_3d": 3},
    )
    return tiny_config(store, **training).model_copy(update={"network": network})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    train(tiny_config(write_store(folder / "store"), steps=3), folder / "run", say=quiet)
    return folder / "run"


def test_a_run_grows_from_a_smaller_one(run, tmp_path):
    said = []
    store = write_store(tmp_path / "store", size=64)
    train(larger(store, steps=1, start_from=str(run), discriminators_first=1), tmp_path / "large", say=said.append)
    before, after = tensors_of(run), tensors_of(tmp_path / "large")
    shared = [name for name in before if name.startswith(("generator/", "ema/")) and name in after]
    weights = [n for n in shared if before[n].shape == after[n].shape and n.endswith(("weight", "bias"))]
    assert any("stage_16" in name for name in weights)
    # G did not learn in the only step, which was the discriminators'
    assert [name for name in weights if not torch.equal(before[name], after[name])] == []
    assert any("stage_32" in name for name in after.keys() - before.keys())
    moved = [n for n in after if n.startswith("spatial/") and n.endswith("weight") and n in before]
    assert any(not torch.equal(before[n], after[n]) for n in moved if before[n].shape == after[n].shape)
    assert not any(name.startswith("loss_g") for line in lines_of(tmp_path / "large") for name in line)
    assert any("started from" in text and "of generator" in text for text in said)
    started_from = metadata_of(tmp_path / "large")["started_from"]
    assert started_from["steps"] == 3
    assert 0.5 < started_from["taken"]["generator"] < 1
    assert "Started from: run (3 steps" in (tmp_path / "large" / "model" / "card.md").read_text()


def test_resuming_does_not_start_over(run, tmp_path):
    store = write_store(tmp_path / "store")
    source = tmp_path / "source"
    shutil.copytree(run, source)
    options = {"start_from": str(source), "discriminators_first": 2}
    train(tiny_config(store, steps=4, **options), tmp_path / "whole", say=quiet)
    train(tiny_config(store, steps=2, **options), tmp_path / "parts", say=quiet)
    shutil.rmtree(source)  # no longer needed
    train(tiny_config(store, steps=4, **options), tmp_path / "parts", say=quiet)
    ours, theirs = tensors_of(tmp_path / "whole"), tensors_of(tmp_path / "parts")
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def test_a_model_with_its_discriminators_starts_a_run_on_other_classes(run, tmp_path):
    plain, whole = (
        export_model(run, tmp_path / "plain"),
        export_model(run, tmp_path / "whole", with_discriminators=True),
    )
    assert (whole / "discriminators.safetensors").exists()
    assert not (plain / "discriminators.safetensors").exists()
    old = load_model(whole)
    assert old.classes == ["dot", "bar", "sky"]
    store = write_store(tmp_path / "store", classes=("sky", "new", "dot"))
    networks = {"generator": Generator(tiny_network()), "spatial": SpatialDiscriminator(tiny_network())}
    for source in (plain, whole):
        out = tmp_path / f"from-{source.name}"
        train(tiny_config(store, steps=1, start_from=str(source), discriminators_first=1), out, say=quiet)
        found = tensors_of(out)["generator/embed.weight"]
        known = old.generator.state_dict()["embed.weight"]
        assert torch.equal(found[0], known[2])
        assert torch.equal(found[2], known[0])
        assert not torch.isin(found[1], known).any()
        shares = metadata_of(out)["started_from"]["taken"]
        new = {  # parameters of the class that the model does not have
            "generator": found[1].numel(),
            "spatial": tensors_of(out)["spatial/head.embed.weight"][1].numel(),
        }
        for name, network in networks.items():
            total = sum(parameter.numel() for parameter in network.parameters())
            taken = total - new[name] if name == "generator" or source == whole else 0
            assert shares[name] == round(taken / total, 4)


def test_what_cannot_be_started_from_is_named(run, tmp_path):
    store = write_store(tmp_path / "store")
    with pytest.raises(ModelError, match="nowhere"):
        train(tiny_config(store, start_from=str(tmp_path / "nowhere")), tmp_path / "out", say=quiet)
    other = tiny_config(store, start_from=str(run))
    network = tiny_network(generator={"width": 5, "z_dim": 7, "embed_dim": 6})
    with pytest.raises(TrainingError, match=r"training\.start_from: .*run"):
        train(other.model_copy(update={"network": network}), tmp_path / "other", say=quiet)


def test_a_built_in_model_is_named_by_its_name(run, tmp_path, monkeypatch):
    shutil.copytree(run / "model", tmp_path / "builtin" / "tiny-32")
    monkeypatch.setattr(models, "BUILTIN", tmp_path / "builtin")
    assert models.builtin_models() == ["tiny-32"]
    assert dvdgan.load("tiny-32").classes == ["dot", "bar", "sky"]
    with pytest.raises(ModelError, match="tiny-32"):
        dvdgan.load("tiny-64")
    store = write_store(tmp_path / "store")
    train(tiny_config(store, steps=1, start_from="tiny-32"), tmp_path / "run", say=quiet)
    assert metadata_of(tmp_path / "run")["started_from"]["taken"]["generator"] == 1
