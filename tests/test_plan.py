import functools
import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from conftest import tiny_config, tiny_network
from dvdgan.config import DataConfig
from dvdgan.config.files import ConfigError, load_config, updated
from dvdgan.data.sources import open_dataset
from dvdgan.networks import Generator, ProjectedDiscriminator
from dvdgan.networks.checkpointing import KINDS
from dvdgan.networks.efficientnet import EfficientNetLite0
from dvdgan.plan import in_lines, plan
from dvdgan.runs.directory import TrainingError
from dvdgan.training.memory import check_memory, fit

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
    assert found.store_bytes == 500_000 * 95 * 256 * 256 * 3  # windows of 48 frames, every second one


def test_a_projected_discriminator_is_counted():
    without, with_it = (plan(load_config("cpu-32-quick", [*SMALL, *more])) for more in ([], ["network.projected={}"]))
    network = load_config("cpu-32-quick", [*SMALL, "network.projected={}"]).network
    built = ProjectedDiscriminator(network, EfficientNetLite0())
    assert with_it.parameters["projected"] == sum(parameter.numel() for parameter in built.parameters())
    assert "projected" not in without.parameters
    assert with_it.flops_step > 1.1 * without.flops_step
    assert with_it.flops_clip == without.flops_clip


def test_rendered_clips_take_the_disk_that_is_planned(tmp_path):
    rendered = tiny().model_copy(update={"data": DataConfig(source="phenomena", clips_per_class=1, stride=3)})
    store = open_dataset(rendered.data, rendered.network.size, rendered.network.frames, tmp_path / "store").store
    assert plan(rendered).store_bytes == store.bytes
    disk = in_lines(rendered, None, 1, 1e12).splitlines()[-1].split(maxsplit=1)[1]
    assert not disk.startswith("at least")
    own = updated(rendered, data={"source": "clips"}, network={"classes": 3})
    of_own = in_lines(own, len(store), 1, 1e12).splitlines()[-1].split(maxsplit=1)[1]
    assert of_own == f"at least {disk}: one window of each"


def test_a_batch_is_shared_by_devices():
    config = load_config("cpu-32-quick", SMALL)
    alone, shared = plan(config), plan(config, devices=2)
    assert shared.flops_step == pytest.approx(alone.flops_step / 2, rel=0.01)
    assert shared.training_bytes < alone.training_bytes
    with pytest.raises(ConfigError, match=r"training\.batch_size: .*5.* 3"):
        plan(config, devices=5)


def tiny(**training):
    """One discriminator, one step of it: what is counted quickly."""
    network = tiny_network(temporal=None, generator={"norm_statistics": "per_step"})
    config = tiny_config("unused", batch_size=3, d_steps=1, **training)
    return config.model_copy(update={"network": network})


@functools.cache
def costs(kind, beta1=0.0):
    """Of `tiny`, counted once."""
    return plan(tiny(checkpointing=kind, beta1=beta1))


@pytest.fixture
def _known_costs(monkeypatch):
    """`fit` counts other batches only: what a kind of checkpointing costs does not hang on the memory that there is."""

    def known(config, devices, cpu):
        assert config.training.batch_size == 3
        assert (devices, cpu) == (1, True)
        return costs(config.training.checkpointing)

    monkeypatch.setattr("dvdgan.training.memory.plan", known)


@pytest.mark.usefixtures("_known_costs")
def test_what_does_not_fit_is_refused_with_what_would(monkeypatch):
    config = tiny(checkpointing="none")
    needed = costs("none").training_bytes
    monkeypatch.setattr("dvdgan.training.memory.memory_of", lambda _: needed - 1)
    with pytest.raises(ConfigError, match=r"training\.batch_size=2 .*training\.checkpointing=chunks"):
        fit(config, torch.device("cpu"))
    monkeypatch.setattr("dvdgan.training.memory.memory_of", lambda _: 400 << 20)
    with pytest.raises(ConfigError, match=r"^training\.batch_size: .*no batch size fits"):
        fit(config, torch.device("cpu"))


@pytest.mark.parametrize(("device", "there"), [("cpu", 512 * 80), ("cuda", 80)])  # GiB; a CPU's is that of all
def test_the_least_is_that_of_a_process_and_of_a_part(monkeypatch, device, there):
    monkeypatch.setattr("dvdgan.training.memory.memory_of", lambda _: there << 30)
    config, on = load_config("k600-128x128x48"), torch.device(device)
    config = updated(config, network={"classes": 600}, training={"checkpointing": "none"})
    assert config.training.batch_size == 512
    share = check_memory(config, on, devices=512)
    assert share < 80 << 30
    monkeypatch.setattr("dvdgan.training.memory.memory_of", lambda _: (4 if device == "cpu" else 1) * share)
    with pytest.raises(TrainingError, match=r"^training\.batch_size: 512 clips on 4 devices of 48 frames"):
        check_memory(config, on, devices=4)
    monkeypatch.setattr("dvdgan.training.memory.memory_of", lambda _: there << 30)
    assert check_memory(updated(config, training={"accumulate": 128}), on, devices=4) < 1.5 * share


@pytest.mark.usefixtures("_known_costs")
def test_checkpointing_is_chosen_by_the_memory():
    """The quickest that fits into what is free, or into training.memory_gib."""
    none, stages, chunks = (costs(kind) for kind in KINDS)
    assert none.training_bytes > stages.training_bytes > chunks.training_bytes
    assert none.flops_step < stages.flops_step
    config = tiny(checkpointing="auto")
    for budget, kind in ((none, "none"), (stages, "stages"), (chunks, "chunks")):
        limited = updated(config, training={"memory_gib": (budget.training_bytes + 1) / 2**30})
        assert fit(limited, torch.device("cpu")) == (kind, budget)
    too_little = updated(config, training={"memory_gib": (chunks.training_bytes - 1) / 2**30})
    with pytest.raises(ConfigError, match=r"training\.batch_size=\d+ fits$"):
        fit(too_little, torch.device("cpu"))


@pytest.mark.usefixtures("_known_costs")
def test_what_others_use_is_not_there(monkeypatch):
    """Checkpointing is chosen by what is free now; only what the machine could never hold is refused."""
    config = tiny(checkpointing="auto")
    monkeypatch.setattr("dvdgan.training.memory.free_memory_of", lambda _: 1 << 20)
    assert fit(config, torch.device("cpu"))[0] == "chunks"


def test_adam_keeps_a_first_moment_only_with_beta1():
    without, with_it = costs("none"), costs("none", beta1=0.5)
    assert with_it.training_bytes - without.training_bytes == 4 * sum(without.parameters.values())


NO_BF16 = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() == "AVX2", reason="without AVX-512, bf16 convolutions take copies in fp32"
)
MEASURE = """
import re, resource, sys
from pathlib import Path
from conftest import write_store
from dvdgan.config.files import load_config
from dvdgan.training import loop, train
out, then, *fields = sys.argv[1:]
store = write_store(Path(out) / "store", 32, 12, 12)
config = load_config("cpu-32-quick", [f"data.source={store}", *fields])
if then == "only-steps":
    loop.finished_generator = lambda *_: sys.exit()
try:
    train(config, Path(out) / "run", say=lambda _: None, device="cpu")
finally:
    status = Path("/proc/self/status")  # ru_maxrss is at least what the parent, which started it, had
    peak = re.search(r"VmHWM:\\s+([0-9]+) kB", status.read_text()) if status.exists() else None
    print(peak[1] if peak else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("batch", "precision", "kind", "then"),
    [
        (36, "fp32", "none", "samples-and-model"),
        pytest.param(*(72, "bf16", "none", "only-steps"), marks=NO_BF16),
        (72, "fp32", "chunks", "only-steps"),
    ],
)
def test_memory_is_about_what_a_training_takes(tmp_path, batch, precision, kind, then):
    fields = [f"training.batch_size={batch}", f"training.precision={precision}"]
    fields += ["training.steps=1", "training.d_steps=1"]
    fields += [f"training.checkpointing={kind}", "network.generator.norm_statistics=per_step"]
    fields += ["training.memory_format=channels_last", "training.health.clips=0", "training.statistics_batches=1"]
    command = [sys.executable, "-c", MEASURE, str(tmp_path), then, *fields]
    measured = subprocess.run(command, check=True, capture_output=True, text=True, cwd="tests").stdout
    unit = 1 if sys.platform == "darwin" else 1024
    planned = plan(load_config("cpu-32-quick", ["network.classes=3", *fields])).training_bytes
    assert planned == pytest.approx(int(measured) * unit, rel=0.25)
