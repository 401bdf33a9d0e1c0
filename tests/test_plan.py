import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dvdgan.config_files import ConfigError, load_config
from dvdgan.networks import Generator
from dvdgan.plan import plan, require_memory

SMALL = ["network.classes=3", "training.precision=fp32"]


def test_operations_are_those_that_pytorch_counts_on_real_tensors():
    config = load_config("cpu-32-quick", SMALL)
    network = Generator(config.network).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, network.z_dim), torch.tensor([0]))
    assert plan(config).flops_clip == counter.get_total_flops()


def test_published_sizes():
    """The paper's largest: counted by hand in its discussion as 21 and 138 TFLOP, two D steps to one of G."""
    found = plan(load_config("k600-256x256x48"), clips=500_000, devices=512, cpu=False)
    assert found.parameters["generator"] == pytest.approx(538e6, rel=0.01)
    assert found.flops_clip == pytest.approx(21.4e12, rel=0.01)
    assert found.flops_step == pytest.approx(138e12, rel=0.01)
    assert found.streaming_bytes < 4 * 2**30 < found.sampling_bytes
    assert found.store_bytes == 500_000 * 48 * 256 * 256 * 3


def test_a_batch_is_shared_by_devices():
    config = load_config("cpu-32-quick", SMALL)
    alone, shared = plan(config), plan(config, devices=2)
    assert shared.flops_step == pytest.approx(alone.flops_step / 2, rel=0.01)
    assert shared.training_bytes < alone.training_bytes
    with pytest.raises(ConfigError, match="cannot be shared by 5 devices in groups of 3"):
        plan(config, devices=5)


def test_what_does_not_fit_is_refused_with_what_would(monkeypatch):
    config = load_config("cpu-32-quick", SMALL)
    monkeypatch.setattr("dvdgan.plan.memory_of", lambda _: plan(config).training_bytes - 1)
    with pytest.raises(ConfigError, match=r"needs about .* GiB in each process, .*; training\.batch_size=15 fits"):
        require_memory(config, torch.device("cpu"))
    monkeypatch.setattr("dvdgan.plan.memory_of", lambda _: 1 << 20)
    with pytest.raises(ConfigError, match="no batch size fits"):
        require_memory(config, torch.device("cpu"))


MEASURE = """
import resource, sys
from pathlib import Path
from conftest import write_store
from dvdgan.config_files import load_config
from dvdgan.training import train
out, *fields = sys.argv[1:]
store = write_store(Path(out) / "store", 32, 12, 12)
config = load_config("cpu-32-quick", [f"data.source={store}", *fields])
train(config, Path(out) / "run", say=lambda _: None, device="cpu")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("batch", "precision"), [(36, "fp32"), (72, "bf16")])
def test_memory_is_about_what_a_training_takes(tmp_path, batch, precision):
    fields = [f"training.batch_size={batch}", f"training.precision={precision}", "training.steps=2"]
    fields += ["training.memory_format=channels_last", "training.health.clips=0", "training.statistics_batches=1"]
    command = [sys.executable, "-c", MEASURE, str(tmp_path), *fields]
    measured = subprocess.run(command, check=True, capture_output=True, text=True, cwd="tests").stdout
    unit = 1 if sys.platform == "darwin" else 1024
    planned = plan(load_config("cpu-32-quick", ["network.classes=3", *fields])).training_bytes
    assert planned == pytest.approx(int(measured) * unit, rel=0.25)
