"""Time and peak memory of one training step of a preset, on clips of noise: the program's own step, without its data.

python bench/largest_step.py k600-256x256x48 training.batch_size=1 training.checkpointing=chunks
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

import torch

from dvdgan.capacity import gib
from dvdgan.config import Config
from dvdgan.config.files import load_config
from dvdgan.devices import pick_device
from dvdgan.runs.memory import keep_freed_memory
from dvdgan.training.batches import Batch
from dvdgan.training.memory import fit
from dvdgan.training.state import TrainingState
from dvdgan.training.step import training_step


class Noise:
    """In place of `dvdgan.training.batches.Batches`: clips of noise, classes at random."""

    waited = 0.0

    def __init__(self, config: Config, device: torch.device) -> None:
        self._config, self._device = config, device

    def real(self) -> Batch:
        network = self._config.network
        shape = (self._config.training.batch_size, network.frames, 3, network.size, network.size)
        return Batch(torch.rand(shape, device=self._device) * 2 - 1, self.fake_labels(0, 0))

    def fake_labels(self, step: int, index: int) -> torch.Tensor | None:
        classes = self._config.network.classes
        size = (self._config.training.batch_size,)
        return torch.randint(classes, size, device=self._device) if classes else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset")
    parser.add_argument("fields", nargs="*", metavar="FIELD=VALUE")
    parser.add_argument("--device")
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    config, device = load_config(options.preset, options.fields), pick_device(options.device)
    checkpointing, planned = fit(config, device)
    t = config.training
    precision = "bf16" if t.precision == "auto" else t.precision
    print(f"{device}, {torch.get_num_threads()} threads, {precision}, checkpointing {checkpointing}")
    if planned is not None:
        print(f"planned: {gib(planned.training_bytes)}, {planned.flops_step / 1e12:.4g} TFLOP", flush=True)
    if checkpointing != "chunks":
        keep_freed_memory()

    begun = time.perf_counter()
    state = TrainingState(config, device, precision, "channels_last", checkpointing)
    print(f"networks: {time.perf_counter() - begun:.0f} s, {_peak(device)}", flush=True)

    # Adam's moments, as from the second step on.
    for optimiser in state.optimisers.values():
        for parameter in optimiser.param_groups[0]["params"]:
            parameter.grad = torch.zeros_like(parameter)
        optimiser.step()
        optimiser.zero_grad()

    classes = [str(number) for number in range(config.network.classes)]
    noise, used = Noise(config, device), time.process_time()
    begun = time.perf_counter()
    metrics = training_step(state, noise, classes)  # type: ignore[arg-type]
    print(f"discriminators: {metrics.seconds.d:.0f} s, generator: {metrics.seconds.g:.0f} s")
    seconds, used = time.perf_counter() - begun, time.process_time() - used
    print(f"a step: {seconds:.0f} s, {used:.0f} s of processor time; peak memory {_peak(device)}", flush=True)


def _peak(device: torch.device) -> str:
    """The most memory that was taken so far."""
    if device.type == "cpu":
        unit = 1 if sys.platform == "darwin" else 1024
        return gib(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
    return gib(torch.accelerator.max_memory_allocated(device))


if __name__ == "__main__":
    main()
