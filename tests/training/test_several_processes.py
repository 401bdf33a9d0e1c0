"""Two processes over gloo train as one does with the same batch; a fault in one ends both."""

import os

import pytest
import torch

from conftest import tiny_config, tiny_network
from dvdgan.config.files import updated
from dvdgan.config.network import ProjectedConfig
from dvdgan.runs.checkpoint import list_checkpoints
from dvdgan.training import train
from dvdgan.training.state import TrainingState
from support.runs import lines_of, metadata_of, quiet, tensors_of
from support.several import several_starts

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

GROUPS = {"spatial": {"group": 2}, "temporal": {"group": 2}}
PER_STEP = {"generator": {"norm_statistics": "per_step"}}
OPTIONS = {
    "shared statistics": ({"reuse_fakes": True}, {"generator": {"norm_statistics": "shared"}}),
    "penalties, LeCam, augmentation, groups": (
        {
            "regularisation": {
                "lecam": 0.1,
                "r1": 1.0,
                "r2": 1.0,
                "every": 2,
                "augment": ["color", "cutout"],
                "noise": 0.1,
            }
        },
        GROUPS,
    ),
    "relativistic, accumulated in parts": (
        {"loss": "relativistic", "regularisation": {"r1": 1.0, "r2": 1.0, "every": 1}, "accumulate": 2},
        {},
    ),
    "first frames, views of TrIVD-GAN": (
        {"regularisation": {"reconstruction": 1.0}},
        {
            "first_frames": 1,
            "generator": {"recurrence": "tsru_s"},
            "spatial": {"pool": 2, "multipliers": [1, 2, 4]},
            "temporal": {"crop": True},
        },
    ),
    "long clips, groups": ({"long_clips": 0.8, "reuse_fakes": True}, GROUPS),
    "long clips of a predictor": ({"long_clips": 0.8, "regularisation": {"reconstruction": 1.0}}, {"first_frames": 1}),
    "chunks of time": ({"checkpointing": "chunks", "reuse_fakes": True}, PER_STEP),
    "chunks of time, accumulated in parts": (
        {"checkpointing": "chunks", "accumulate": 2},
        {"frames": 2, "generator": PER_STEP["generator"] | {"recurrence": "tsru_c", "time_code": 4}},
    ),
}


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    with several_starts(tmp_path_factory.mktemp("several") / "said.txt") as start:
        yield start


def several_config(store, network=None, **options):
    """One whose steps do not magnify rounding, as Adam's do where a gradient is nearly zero."""
    fields = {"batch_size": 4, "steps": 2, "adam_eps": 1.0, "lr_g": 1e-4, "lr_d": 1e-4}
    config = tiny_config(store).model_copy(update={"network": tiny_network(**(network or {}))})
    return updated(config, training={**fields, **options})


def arguments(config, out):
    """Of ``dvdgan``, to train in `out`."""
    path = out.with_suffix(".yaml")
    path.write_text(config.to_yaml())
    return ["train", str(path), "--out", str(out), "--device", "cpu"]


def assert_close_runs(ours, theirs, config, learning=("generator", "spatial", "temporal", "ema")):
    """Weights agree to 1e-4, what training added to them to 1e-3, and the logs to 1e-3."""
    state = TrainingState(updated(config, network={"classes": 3}), torch.device("cpu"), "fp32", "contiguous")
    a, b, start = (
        {name: value.double() for name, value in some.items()}
        for some in (tensors_of(ours), tensors_of(theirs), state.tensors())
    )
    assert set(a) == set(b)
    apart = {name: float((a[name] - b[name]).norm() / b[name].norm().clamp_min(0.1)) for name in start}
    assert {name: error for name, error in apart.items() if error > 1e-4} == {}
    for network in learning:
        a_moved, b_moved = (
            torch.cat([(run[name] - start[name]).flatten() for name in start if name.startswith(network)])
            for run in (a, b)
        )
        assert float((a_moved - b_moved).norm() / b_moved.norm()) < 1e-3, network
    for x, y in zip(lines_of(ours), lines_of(theirs), strict=True):
        assert _flat(x) == pytest.approx(_flat(y), rel=1e-3, abs=1e-4)


def _flat(line):
    """A line of the log without its timings, and without dictionaries in it."""
    parts = {name: value if isinstance(value, dict) else {"": value} for name, value in line.items()}
    return {
        f"{name}/{key}": value
        for name, part in parts.items()
        if name not in ("hours", "seconds")
        for key, value in part.items()
    }


@pytest.mark.parametrize(("options", "network"), OPTIONS.values(), ids=OPTIONS.keys())
def test_two_processes_equal_one(start, store, tmp_path, options, network):
    """And activations that are computed again, by chunks of time, equal those that are kept."""
    config = several_config(store, network, **options)
    train(updated(config, training={"checkpointing": "none"}), tmp_path / "one", device="cpu", say=quiet)
    codes, said = start(arguments(config, tmp_path / "two"))
    assert codes == [0, 0], said
    assert said.count("the model is in") == 1
    assert f"checkpointing {config.training.checkpointing}" in said or config.training.checkpointing == "auto"
    assert metadata_of(tmp_path / "two")["processes"] == 2
    assert_close_runs(tmp_path / "two", tmp_path / "one", config)


def test_a_projected_discriminator_learns_as_in_one_process(start, store, tmp_path):
    """G does not: rounding of 1e-7 in its clips changes the gradient through the feature network by 2e-3."""
    network = {"projected": ProjectedConfig(width=4)}
    config = several_config(store, network, discriminators_first=2)
    train(config, tmp_path / "one", device="cpu", say=quiet)
    codes, said = start(arguments(config, tmp_path / "two"))
    assert codes == [0, 0], said
    assert_close_runs(tmp_path / "two", tmp_path / "one", config, learning=("spatial", "temporal", "projected"))


def test_a_signal_to_one_stops_all_and_another_number_of_processes_goes_on(start, store, tmp_path):
    config = several_config(store, steps=3)
    codes, said = start(arguments(config, tmp_path / "parts"), fault="stopped", step=1)
    assert codes == [143, 143], said
    assert said.count("stopped by SIGTERM") == 1
    assert [path.stem for path in list_checkpoints(tmp_path / "parts" / "checkpoints")] == ["step-00000002"]
    said = []
    train(config, tmp_path / "parts", device="cpu", say=said.append)
    assert any("processes was 2, and is 1 now" in text for text in said)
    train(config, tmp_path / "whole", device="cpu", say=quiet)
    assert_close_runs(tmp_path / "parts", tmp_path / "whole", config)


def test_ctrl_c_before_the_first_step_ends_a_process_as_it_does_a_single_one(start, store, tmp_path):
    codes, said = start(arguments(several_config(store), tmp_path / "run"), fault="unready")
    assert codes == [1, 130], said
    assert "internal error" not in said
    assert "another process ended" in said


@pytest.mark.parametrize("fault", ["dead", "hanging"])
def test_a_lost_process_ends_the_others_and_leaves_the_last_checkpoint(start, store, tmp_path, fault):
    config = several_config(store, steps=3, checkpoint_every=1, timeout=3)
    codes, said = start(arguments(config, tmp_path / "run"), fault=fault, step=2)
    assert codes == [1, -9], said
    errors = [line for line in said.splitlines() if "error" in line]
    assert len(errors) == 1, said
    assert "another process ended, or did not answer for 3 s (training.timeout)" in errors[0]
    assert "which goes on from step-00000002" in errors[0]
    train(config, tmp_path / "run", device="cpu", say=quiet)
    assert lines_of(tmp_path / "run")[-1]["step"] == 3


def test_a_batch_that_cannot_be_shared_is_refused_once_with_what_can(start, store, tmp_path):
    config = several_config(store, GROUPS, batch_size=6)
    codes, said = start(arguments(config, tmp_path / "run"))
    assert sorted(codes) == [1, 2], said
    errors = [line for line in said.splitlines() if "error" in line]
    assert len(errors) == 1, said
    assert "3 times 2 clips, which 2 processes cannot share equally: start 1, or a new run with" in errors[0]
    assert "training.batch_size=8" in errors[0]
