"""What tests of trainings look at in a run's directory."""

import json

import torch

from dvdgan.runs.checkpoint import list_checkpoints, load_checkpoint


def quiet(text):
    pass


def tensors_of(run):
    """The newest checkpoint's."""
    return load_checkpoint(list_checkpoints(run / "checkpoints")[-1])[0]


def lines_of(run):
    """The log's."""
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def metadata_of(run):
    """What ``run.json`` says."""
    return json.loads((run / "run.json").read_text())


def assert_equal_runs(a, b, checks=True):
    """Newest checkpoints and logs are equal, but for timings, and for checks where these are not asked for."""
    ours, theirs = tensors_of(a), tensors_of(b)
    assert set(ours) == set(theirs)
    different = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    assert different == []
    timings = ("hours", "seconds")
    for x, y in zip(
        *([line for line in lines_of(run) if "check" not in line or checks] for run in (a, b)), strict=True
    ):
        assert {k: v for k, v in x.items() if k not in timings} == {k: v for k, v in y.items() if k not in timings}
