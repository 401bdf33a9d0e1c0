import pytest
import torch

from conftest import tiny_config, tiny_network
from dvdgan.config.files import updated
from dvdgan.runs.memory import keep_freed_memory
from dvdgan.runs.precision import quickest
from dvdgan.training import precision, train
from support.runs import quiet


def test_what_is_set_is_not_measured(monkeypatch):
    monkeypatch.setattr("dvdgan.runs.precision.seconds_of", lambda *args: pytest.fail("measured"))
    chosen = precision.choose(tiny_config("x", precision="bf16", memory_format="channels_last"), torch.device("cpu"))
    assert chosen == ("bf16", "channels_last")


def test_the_quickest_wins(monkeypatch):
    times = {
        ("fp32", "contiguous"): 3,
        ("fp32", "channels_last"): 2,
        ("bf16", "contiguous"): 4,
        ("bf16", "channels_last"): 1,
    }
    monkeypatch.setattr("dvdgan.runs.precision.seconds_of", lambda work, choice, device: times[choice])
    config = tiny_config("x", precision="auto", memory_format="auto")
    assert precision.choose(config, torch.device("cpu")) == ("bf16", "channels_last")
    config = tiny_config("x", precision="fp32", memory_format="auto")
    assert precision.choose(config, torch.device("cpu")) == ("fp32", "channels_last")


def test_what_is_hopeless_is_measured_once(monkeypatch):
    times, measured = {"fp32": 1.0, "bf16": 9.0, "fp16": 1.5}, []

    def seconds(work, choice, device):
        measured.append(choice)
        return times[choice]

    monkeypatch.setattr("dvdgan.runs.precision.seconds_of", seconds)
    assert quickest(["bf16", "fp16", "fp32"], print, torch.device("cpu")) == "fp32"
    assert measured.count("bf16") == 1
    assert measured.count("fp16") == measured.count("fp32") > 1


@pytest.mark.parametrize(
    "network",
    [
        {},
        {"frames": 1, "temporal": None, "spatial": {"frames": 1}},
        {"first_frames": 1, "generator": {"recurrence": "trajgru"}},
    ],
)
def test_measuring_works_here(network):
    config = tiny_config("x", precision="auto", memory_format="auto")
    chosen = precision.choose(config.model_copy(update={"network": tiny_network(**network)}), torch.device("cpu"))
    assert chosen.precision in ("fp32", "bf16")
    assert chosen.memory_format in ("contiguous", "channels_last")


def test_a_run_keeps_its_decision(store, tmp_path, monkeypatch):
    config = tiny_config(store, steps=1, precision="auto", memory_format="auto")
    monkeypatch.setattr("dvdgan.runs.precision.seconds_of", lambda *args: 1.0)
    train(config, tmp_path / "run", say=quiet)
    monkeypatch.setattr(precision, "choose", lambda *args: pytest.fail("decided anew"))
    said = []
    train(updated(config, training={"steps": 2}), tmp_path / "run", say=said.append)
    assert any("resumed" in text for text in said)


def test_allocator_hint_does_no_harm():
    assert keep_freed_memory() in (True, False)
    assert torch.zeros(1000).sum() == 0


def test_a_run_keeps_its_checkpointing_until_told_otherwise(store, tmp_path, monkeypatch):
    monkeypatch.setattr("dvdgan.training.memory.free_memory_of", lambda _: 1 << 20)
    config = tiny_config(store, steps=1, d_steps=1, checkpointing="auto")
    config = config.model_copy(update={"network": tiny_network(temporal=None)})  # which are counted quickly
    train(config, tmp_path / "run", say=quiet)
    monkeypatch.undo()
    for steps, change, kind in ((2, {}, "chunks"), (3, {"checkpointing": "none"}, "none")):
        said = []
        train(updated(config, training={"steps": steps, **change}), tmp_path / "run", say=said.append)
        assert any(text.endswith(f"checkpointing {kind}") for text in said)
