"""Where a model is written, and what stays there."""

import json
import os
import shutil
from dataclasses import replace

import pytest
import torch

import dvdgan
from dvdgan.model_place import check_model_place, remove_staging
from dvdgan.models import ModelError, load_model, read_discriminators, save_model
from support.errors import refused


@pytest.mark.parametrize("name", ["config.yaml", "card.md", "model.safetensors", "notes.txt"])
def test_a_directory_with_a_file_of_the_users_is_no_place(model_dir, tmp_path, name):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / name).write_text("dear")
    with refused(ModelError, "not a model directory"):
        save_model(load_model(model_dir), tmp_path / "theirs")
    assert (tmp_path / "theirs" / name).read_text() == "dear"


def test_a_model_is_replaced_and_a_link_is_not(model_dir, tmp_path):
    place = tmp_path / "model"
    shutil.copytree(model_dir, place)
    (place / "card.md").write_text("older")
    save_model(load_model(model_dir), place)
    assert (place / "card.md").read_text() == (model_dir / "card.md").read_text()
    assert os.listdir(tmp_path) == ["model"]
    (tmp_path / "link").symlink_to(place)
    with refused(ModelError, "is a link"):
        check_model_place(tmp_path / "link")


def test_what_a_killed_writer_left_goes_and_what_the_user_has_stays(model_dir, tmp_path):
    shutil.copytree(model_dir, tmp_path / ".model-old-0123abcd")
    for name in (".model-abcd1234/config.yaml", ".model-zoo/big.bin", ".model-abcd12_4/mine.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("half")
    remove_staging(tmp_path / "model")
    assert sorted(os.listdir(tmp_path)) == [".model-abcd12_4", ".model-zoo", "model"]


@pytest.mark.parametrize(
    "weights", ["[NaN, 1, 1]", "[1e999, 1, 1]", "[-1, 1, 1]", "[0, 0, 0]", '["1", 1, 1]', "[true, 1, 1]"]
)
def test_class_weights_are_frequencies(model_dir, tmp_path, weights):
    copy = tmp_path / "model"
    shutil.copytree(model_dir, copy)
    (copy / "classes.json").write_text(f'{{"classes": ["dot", "bar", "sky"], "weights": {weights}}}')
    with refused(ModelError, r"classes\.json: .*weights"):
        load_model(copy)


def test_a_model_is_saved_whole_and_the_same_whatever_was_made_with_it(model_dir, tmp_path):
    """Discriminators stay with it, and the statistics of the truncation that was used last do not go into it."""
    place = shutil.copytree(model_dir, tmp_path / "model")
    theirs = {"temporal/weight": torch.ones(2)}
    save_model(replace(load_model(place), discriminators=theirs), place)
    pipeline = dvdgan.load(place)
    pipeline.save_pretrained(tmp_path / "before")
    pipeline("dot", truncation=0.3)
    pipeline.save_pretrained(place)
    assert torch.equal(read_discriminators(place)["temporal/weight"], torch.ones(2))
    for name in ("model.safetensors", "discriminators.safetensors"):
        assert (place / name).read_bytes() == (tmp_path / "before" / name).read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_model_has_the_permissions_of_other_new_files(model_dir, tmp_path, umask):
    before = os.umask(umask)
    try:
        save_model(replace(load_model(model_dir), discriminators={"temporal/weight": torch.ones(2)}), tmp_path / "m")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "m").iterdir()} == {0o666 & ~umask}
    assert (tmp_path / "m").stat().st_mode & 0o777 == 0o777 & ~umask


def test_a_class_whose_name_files_cannot_hold_is_refused(model_dir, tmp_path):
    place = shutil.copytree(model_dir, tmp_path / "model")
    path = place / "classes.json"
    path.write_text(path.read_text().replace('"dot"', json.dumps("dot\0")))
    with pytest.raises(ModelError, match="NUL"):
        load_model(place)
