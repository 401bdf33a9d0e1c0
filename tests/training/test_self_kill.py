"""A training may be killed anywhere: in the end nothing tells it from one that was not. (100 kills: bench/.)"""

import os
import random
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from support.kills import AGAIN, Kill, Training, differences, forked_starts, start_process
from support.self_kill import POINTS

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")

KILLS = [
    Kill("empty folder of the store"),
    Kill("half a clip in the store", 5),
    Kill("half an index of the store"),
    Kill("before the store's rename"),
    Kill("after the store's rename"),
    Kill("half a config.yaml"),
    Kill("half a run.json"),
    Kill("half a sheet", 0),  # of the real clips
    Kill("half a sample MP4", 0),
    Kill("within the D step", 1),
    Kill("half a log line", 2),
    Kill("half a sample MP4", 2),
    Kill("half a checkpoint", 3),
    Kill("before the checkpoint's rename", 3),
    Kill("after D's optimiser, before its power iteration", 5),
    Kill("half a sheet", 6),  # where a checkpoint is due too
    Kill("once the log is trimmed", 7),
    Kill("between D and G", 8),
    Kill("after the checkpoint's rename", 9),
    Kill("within the G step", 11),
    Kill("after G's optimiser, before the average", 12),
    Kill("half a sheet", 12),
    Kill("half a model"),
    Kill("before the model's rename"),
    Kill(AGAIN),
]


@pytest.fixture(scope="module")
def start():
    with forked_starts() as start:
        yield start


@pytest.fixture(scope="module")
def training(tmp_path_factory, start):
    training = Training(tmp_path_factory.mktemp("self-kill"), "all at once", start)
    training.reference()
    return training


def test_every_point_is_tried():
    assert {kill.point for kill in KILLS} == set(POINTS)


@pytest.mark.slow
def test_killed_at_every_point_ends_equal(training):
    found = training.suffer(training.folder / "killed", KILLS)
    assert not found, "\n".join(found)


@pytest.mark.slow
def test_killed_without_forks_ends_equal(training):
    """The program as a user starts it: a process of its own each time."""
    training = Training(training.folder, training.setting, start_process)
    out = training.folder / "by itself"
    training.kill(out, Kill("half a checkpoint", 6))
    training.finish(out)
    found = differences(training.reference(), out)
    assert not found, "\n".join(found)


def test_a_point_that_is_not_reached_is_an_error(training):
    out = training.folder / "unreached"
    shutil.copytree(training.reference(), out)
    with pytest.raises(AssertionError, match="never reached"):
        training.kill(out, Kill("half a checkpoint", 3))


def test_plans_name_steps_that_can_be_reached(training):
    for seed in range(100):
        resumed = 0
        for kill in training.plan(list(POINTS), random.Random(seed)):
            assert training.passages(kill, resumed) >= 1, (seed, kill, resumed)
            if kill.point == "after the checkpoint's rename":
                resumed = kill.step


def test_differences_are_seen(training):
    reference, copy = training.reference(), training.folder / "copy"
    shutil.copytree(reference, copy)
    assert differences(reference, copy) == []
    (copy / "samples" / ".step.partial.png").write_bytes(b"")
    (copy / "samples" / "real.mp4").unlink()
    sheet = copy / "samples" / "real.png"
    sheet.write_bytes(sheet.read_bytes()[:-1] + b"x")
    log = copy / "log.jsonl"
    log.write_text(log.read_text().replace('"step": 4', '"step": 5'))
    model = copy / "model" / "model.safetensors"
    with safe_open(model, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (safe_open is no dict)
    name = next(iter(tensors))
    tensors[name] = torch.nextafter(tensors[name], torch.tensor(torch.inf))
    save_file(tensors, model)
    found = "\n".join(differences(reference, copy))
    for text in (
        "copy/samples/.step.partial.png: left behind",
        "samples/real.mp4: only in reference",
        "real.png: other bytes",
        "log.jsonl: line ",
        f"model.safetensors: {name}",
    ):
        assert text in found
