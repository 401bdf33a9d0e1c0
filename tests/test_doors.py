"""Whatever a file from outside holds, it is read or refused in one line that names it."""

import json
import os
import shutil

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import tiny_config, write_store
from dvdgan.config.files import ConfigError, load_config
from dvdgan.data.errors import DataError
from dvdgan.data.layouts.lists import read_list
from dvdgan.data.store.clip_store import ClipStore
from dvdgan.evaluation.classifier.results import ClassifierFile
from dvdgan.models import ModelError, load_model
from dvdgan.report.run.record import read_record
from dvdgan.runs.checkpoint import CheckpointError, list_checkpoints, load_checkpoint, restore_from
from dvdgan.runs.directory import TrainingError
from dvdgan.training.directory import TrainingDirectory
from dvdgan.training.state import TrainingState
from support.corrupt_files import damaged, in_one_line, spoiled

few = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
CONFIG = tiny_config("clips").model_dump(mode="json")


def read(path, function, *kinds):
    """Call a reader: what it gives, or None where it refuses the file as it should."""
    try:
        return function(path)
    except kinds as error:
        if not in_one_line(error, path.parent):
            pytest.fail(str(error))
        return None


@few
@given(st.data())
def test_configuration(tmp_path, data):
    path = tmp_path / "config.yaml"
    text = yaml.safe_dump(data.draw(damaged(CONFIG))) if data.draw(st.booleans()) else yaml.safe_dump(CONFIG)
    path.write_text(data.draw(spoiled(text) | st.just(text)), "utf-8", "surrogatepass")
    found = read(path, lambda p: load_config(str(p)), ConfigError)
    assert found is None or load_config(str(path)) == found


@few
@given(st.data())
def test_model_directory(model_dir, tmp_path, data):
    copy = tmp_path / "model"
    shutil.copytree(model_dir, copy, dirs_exist_ok=True)
    path = copy / data.draw(st.sampled_from(["config.yaml", "classes.json", "model.safetensors", "card.md"]))
    if path.suffix == ".json":
        path.write_text(json.dumps(data.draw(damaged(json.loads(path.read_text())))))
    else:
        text = data.draw(spoiled(path.read_bytes().decode("latin-1")))
        path.write_bytes(text.encode("latin-1", "replace"))
    model = read(path, lambda p: load_model(p.parent), ModelError)
    assert model is None or len(model.classes) == model.config.network.classes == len(model.class_weights)


@pytest.fixture(scope="module")
def run(model_dir):
    return model_dir.parent


@few
@given(st.data())
def test_run_json(run, tmp_path, data):
    path = tmp_path / "run.json"
    shutil.copy(run / "config.yaml", tmp_path)
    path.write_text(json.dumps(data.draw(damaged(json.loads((run / "run.json").read_text())))))
    read(path, lambda p: TrainingDirectory(p.parent).run_file(), TrainingError)
    assert read_record(tmp_path).run == tmp_path  # a report leaves out what it cannot read


@few
@given(st.data())
def test_log_of_a_run_that_is_reported(run, tmp_path, data):
    lines = (run / "log.jsonl").read_text().splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    lines[number] = json.dumps(data.draw(damaged(json.loads(lines[number]))))
    text = data.draw(spoiled("\n".join(lines)) | st.just("\n".join(lines)))
    (tmp_path / "log.jsonl").write_text(text, "utf-8", "surrogatepass")
    assert read_record(tmp_path).step >= 0


@few
@given(st.data())
def test_numbers_of_a_checkpoint_with_a_right_checksum(run, data):
    config = tiny_config(run).model_copy(update={"network": load_config(str(run / "config.yaml")).network})
    state = TrainingState(config, torch_device(), "fp32", "contiguous")
    path = list_checkpoints(run / "checkpoints")[-1]
    tensors, numbers = load_checkpoint(path)
    read(path, lambda p: restore_from(p, state.restore, tensors, data.draw(damaged(numbers))), CheckpointError)
    assert state.step >= 0


def torch_device():
    import torch

    return torch.device("cpu")


ROWS = [["path", "label", "start", "end", "split", "group"], ["a.mp4", "run", "", "", "train", ""]]


@few
@given(st.data())
def test_list(tmp_path, data):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    if data.draw(st.booleans()):
        path = tmp_path / "list.jsonl"
        row = data.draw(damaged({"path": "a.mp4", "label": "run", "start": 0.5, "end": "0:01"}))
        text = json.dumps(row) + '\n{"path": "b.mp4", "label": "run"}\n'
    else:
        path = tmp_path / "list.csv"
        text = "\n".join(",".join(map(str, row)) for row in data.draw(damaged(ROWS)) if isinstance(row, list))
    path.write_text(data.draw(spoiled(text) | st.just(text)), "utf-8", "surrogatepass")
    listing = read(path, lambda p: read_list(tmp_path, p), DataError)
    if listing is not None:
        assert all(problem.reason.startswith(path.name) for problem in listing.problems)
        json.dumps(listing.classes, ensure_ascii=False).encode()


@few
@given(st.data())
def test_store(tmp_path, data):
    path = tmp_path / "store"
    shutil.rmtree(path, ignore_errors=True)
    write_store(path, per_class=1)
    index = data.draw(damaged(json.loads((path / "index.json").read_text())))
    (path / "index.json").write_text(json.dumps(index))
    store = read(path, ClipStore.open, DataError)
    if store is not None:
        assert [len(store.clip(index)) for index in range(len(store))] == store.lengths.tolist()


@few
@given(
    damaged(
        {"classes": ["a", "b"], "size": 32, "frames": 4, "widths": [4, 8], "weights": "ab", "data": {"source": "x"}}
    )
)
def test_classifier_file(tree):
    try:
        found = ClassifierFile.model_validate(tree)
    except ValueError:
        return
    assert len(set(found.classes)) >= 2
    assert all(type(number) is int and number >= 1 for number in (found.size, found.frames, *found.widths))


@pytest.mark.parametrize("how", ["pipe", "endless", "folder", "large"])
@pytest.mark.parametrize("name", ["config.yaml", "run.json", "log.jsonl", "checkpoints"])
def test_what_is_no_regular_file_keeps_nobody(run, tmp_path, name, how):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    path = copy / name if name != "checkpoints" else list_checkpoints(copy / name)[-1]
    path.unlink()
    if how == "pipe":
        os.mkfifo(path)
    elif how == "endless":
        path.symlink_to("/dev/zero")
    elif how == "folder":
        path.mkdir()
    else:
        with open(path, "wb") as file:
            file.truncate(3 << 30)
    record = read_record(copy)
    if name.endswith(".json") or name.endswith(".yaml"):
        assert any(notice.startswith(name) for notice in record.notices)
    if name == "run.json":
        assert read(path, lambda p: TrainingDirectory(copy).run_file(), TrainingError) is None
    if name == "checkpoints":
        assert read(path, load_checkpoint, CheckpointError) is None
