import shutil

import pytest
import torch
from safetensors.torch import load_file

import dvdgan
from conftest import CHECKED, tiny_config
from dvdgan.runs.checkpoint import saved_checkpoints
from dvdgan.runs.retention import SavedCheckpoint
from dvdgan.training import TrainingError, train
from dvdgan.training.export import choose, export_model
from support.runs import quiet


def test_the_newest_checkpoint_gives_the_model_that_training_wrote(store, tmp_path):
    run = tmp_path / "run"
    options = {"checkpoint_every": 1, "sample_every": 1, "keep_checkpoints": 3, "health": CHECKED}
    train(tiny_config(store, steps=3, **options), run, say=quiet)
    shutil.copytree(run / "model", tmp_path / "before")
    shutil.rmtree(run / "model")
    for out, checkpoint in (("newest", "newest"), ("three", "3"), ("two", "2"), ("best", "best")):
        export_model(run, tmp_path / out, checkpoint)
    models = {out: load_file(tmp_path / out / "model.safetensors") for out in ("before", "newest", "three", "two")}

    def equal(a, b):
        return all(torch.equal(value, models[b][name]) for name, value in models[a].items())

    assert equal("newest", "before")
    assert equal("three", "before")
    assert not equal("two", "before")
    assert dvdgan.load(tmp_path / "best").classes == ["dot", "bar", "sky"]
    best = min(saved_checkpoints(run / "checkpoints"), key=lambda kept: (kept.score, -kept.step))
    assert f"{best.step} generator steps" in (tmp_path / "best" / "card.md").read_text()
    with pytest.raises(TrainingError, match=r"'7'.* 1, 2, 3"):
        export_model(run, tmp_path / "seven", "7")


def test_what_cannot_be_exported_is_named(tmp_path):
    with pytest.raises(TrainingError, match="nowhere"):
        export_model(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(TrainingError, match=r"training\.health\.clips"):
        choose([SavedCheckpoint(tmp_path / "a", 5, 1, None)], "best", tmp_path)
