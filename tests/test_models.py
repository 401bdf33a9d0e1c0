"""Where a model is written, and what stays there."""

import os
import shutil

import pytest

from dvdgan.model_place import check_model_place, remove_staging
from dvdgan.models import ModelError, load_model, save_model
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
