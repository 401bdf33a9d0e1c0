"""How quick a training step and a sample are, beside what the processor can do and beside a textbook implementation.

    python bench/speed.py                     # everything, 35 minutes on two cores
    python bench/speed.py --cases w16 --out speed.json

Prints, measured in one run: ceilings (convolutions by shape in fp32 and bf16, memory bandwidth); for each case seconds
per clip, FLOPs (PyTorch's counter) and the share of the ceiling of a discriminator step, a generator step, a whole
training step and of samples in batches of 1 and 8, in bf16 or fp32, whichever has the higher ceiling here; a process's
peak memory over training steps; where the time goes; the same for `textbook.py`, as ratios (not at width 64); and how
the cost of a training step at width 16 grows with the frames. Medians with half the range in percent. Writes everything
as JSON beside it. Leave the machine alone meanwhile: it says when another process was busy.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parent))

from ceilings import SHAPES, bandwidth, convolutions
from dvdgan.config import Config, DataConfig
from dvdgan.config.files import load_config, updated
from dvdgan.data.dataset import ClipDataset
from dvdgan.data.windows import Window
from dvdgan.devices import autocast
from dvdgan.networks.batch_norm import BatchNormReLU
from dvdgan.networks.blocks import GeneratorBlock
from dvdgan.networks.checkpointing import Checkpointing
from dvdgan.networks.layers import power_iterate
from dvdgan.networks.recurrent import ConvGRU
from dvdgan.runs.memory import keep_freed_memory
from dvdgan.sampling import latents, make_clips, settle_statistics
from dvdgan.training.batches import Batch
from dvdgan.training.generate import generate
from dvdgan.training.state import TrainingState
from dvdgan.training.step import discriminator_step, generator_step
from textbook import GRU, Norm, Textbook, UpBlock
from timing import BUSY, OtherLoad, Timing, measure

CLASSES = 10
RECIPES = ("cpu-32-quick", "cpu-32", "cpu-64")
WIDTHS = {"w16": (16, 4), "w32": (32, 4), "w64": (64, 2)}  # width and batch of the 64x64x16 cases


FRAMES = (8, 16, 32, 48)  # of the sweep, at width 16 in batches of 2
MEMORY_STEPS = 3
TEXTBOOK_MOST = 5000.0  # GFLOP of a training step beyond which the textbook is left out: minutes for each figure


def case(name: str) -> Config:
    """A recipe for two cores, or the paper's networks at 64x64, 16 frames, at a width."""
    if name in RECIPES:
        config = load_config(name)
    else:
        width, batch = WIDTHS[name]
        config = load_config("k600-64x64x12")
        config = updated(config, network={"frames": 16}, training={"batch_size": batch})
        tree = config.model_dump(mode="json")["network"]
        for part in ("generator", "spatial", "temporal"):
            tree[part]["width"] = width
        config = updated(config, network=tree)
    return updated(config, network={"classes": CLASSES}, training={"seed": 0})


class Ours:
    """dvdgan's own training step, channels_last."""

    def __init__(self, config: Config, precision: str, checkpointing: Checkpointing = "none") -> None:
        self.config = config
        self.state = TrainingState(config, torch.device("cpu"), precision, "channels_last", checkpointing)

    def discriminator_step(self, real: Tensor, labels: Tensor) -> None:
        discriminator_step(self.state, Batch(real, labels), generate(self.state, labels, 0))

    def generator_step(self, real: Tensor, labels: Tensor) -> None:
        generator_step(self.state, Batch(real, labels), generate(self.state, labels))

    def training_step(self, real: Tensor, labels: Tensor, reuse: bool | None = None) -> None:
        if reuse is None:
            reuse = self.config.training.reuse_fakes
        for _ in range(self.config.training.d_steps - reuse):
            self.discriminator_step(real, labels)
        if reuse:
            batch, fake = Batch(real, labels), generate(self.state, labels)
            discriminator_step(self.state, batch, fake)
            generator_step(self.state, batch, fake)
        else:
            self.generator_step(real, labels)
        self.state.step += 1

    def sampler(self, batch: int) -> Callable[[], Any]:
        network = self.state.ema.folded_generator(self.state.generator)
        settle_statistics(network, [1.0] * CLASSES, batches=1, batch_size=4)
        z, labels = latents(range(batch), network.z_dim), torch.arange(batch) % CLASSES
        return lambda: make_clips(network, z, labels, batch_size=batch, precision=self.state.precision)


def _packed_flop(x_shape: tuple[int, ...], *_: Any, out_shape: tuple[int, ...], **__: Any) -> int:
    """Operations of a 3x3 convolution of ``[N, in, H, W]`` to the shape of what comes out."""
    return 2 * 9 * x_shape[1] * int(np.prod(out_shape))


PACKED: dict[Any, Any] = {}  # convolutions of `dvdgan.networks.kernels.packed`, which PyTorch's counter does not know
if torch.backends.mkldnn.is_available():
    PACKED[torch.ops.mkldnn._convolution_pointwise] = _packed_flop
    PACKED[torch.ops.mkldnn._convolution_pointwise_] = lambda y_shape, *args, **named: _packed_flop(*args, **named)


def flop(call: Callable[[], Any]) -> float:
    """Floating point operations of a call, in 1e9."""
    with FlopCounterMode(display=False, custom_mapping=PACKED) as counter:
        call()
    return counter.get_total_flops() / 1e9


def captured(network: nn.Module, kinds: tuple[type, ...], run: Callable[[], Any]) -> list[tuple[nn.Module, tuple]]:
    """Modules of some kinds with what they are called with during a run."""
    found: list[tuple[nn.Module, tuple]] = []
    modules = [module for module in network.modules() if isinstance(module, kinds)]
    hooks = [
        module.register_forward_pre_hook(
            lambda m, args, kwargs: found.append((m, (_copies(args), kwargs))), with_kwargs=True
        )
        for module in modules
    ]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _copies(args: tuple) -> tuple:
    return tuple(a.detach().clone().requires_grad_() if _floating(a) else a for a in args)


def _floating(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def both_ways(module: nn.Module, call: tuple, precision: str) -> Callable[[], None]:
    """Forward and backward of one module on what it was called with."""
    args, kwargs = call
    wanted = [a for a in args if _floating(a)] + [p for p in module.parameters() if p.requires_grad]
    with autocast(torch.device("cpu"), precision):
        dy = torch.randn_like(module(*args, **kwargs))

    def run() -> None:
        with autocast(torch.device("cpu"), precision):
            y = module(*args, **kwargs)
        torch.autograd.grad(y, wanted, dy, allow_unused=True)

    return run


def parts_of(
    generator: nn.Module,
    discriminators: dict[str, tuple[nn.Module, Callable[[], Any]]],
    run_g: Callable[[], Any],
    kinds: dict[str, type],
    precision: str,
    seconds: float,
) -> dict[str, float]:
    """Seconds of the networks' parts, forward and backward, each on its own: G's by kind of module, D's whole.

    Args:
        generator: G.
        discriminators: each discriminator, and something that calls it.
        run_g: something that calls G.
        kinds: the module class of the parts ``recurrence``, ``blocks`` and ``norms``.
        precision: of autocast.
        seconds: how long to time each module.
    """
    found = {}
    for part, kind in kinds.items():
        calls = captured(generator, (kind,), run_g)
        found[part] = sum(measure(both_ways(m, call, precision), seconds).median for m, call in calls)
    found["blocks"] -= found["norms"]  # those of the blocks; G's last norm is counted there as well
    for name, (discriminator, run) in discriminators.items():
        (m, call), *_ = captured(discriminator, (type(discriminator),), run)
        found[name] = measure(both_ways(m, call, precision), seconds).median
    return found


def our_parts(ours: Ours, real: Tensor, labels: Tensor, seconds: float) -> dict[str, float]:
    state, batch = ours.state, len(real)
    run = lambda: ours.generator_step(real, labels)  # noqa: E731
    discriminators = {
        {"spatial": "D_S", "temporal": "D_T"}[name]: (discriminator, run)
        for name, discriminator in state.discriminators.items()
    }
    kinds: dict[str, type] = {"recurrence": ConvGRU, "blocks": GeneratorBlock, "norms": BatchNormReLU}
    parts = parts_of(state.generator, discriminators, run, kinds, state.precision, seconds)
    for adam in state.optimisers.values():
        parts["optimiser"] = parts.get("optimiser", 0.0) + measure(adam.step, seconds).median
    parts["power iteration"] = sum(
        measure(lambda n=n: power_iterate(n), seconds).median for n in state.networks.values()
    )
    parts["EMA"] = measure(lambda: state.ema.update(state.generator, 10), seconds).median
    parts["data"] = measure(_reader(ours.config, batch), seconds).median
    return parts


def their_parts(book: Textbook, real: Tensor, labels: Tensor, seconds: float) -> dict[str, float]:
    run = lambda: book.generator_step(len(real), labels)  # noqa: E731
    discriminators: dict[str, tuple[nn.Module, Callable[[], Any]]] = {"D_S": (book.d_s, run), "D_T": (book.d_t, run)}
    kinds: dict[str, type] = {"recurrence": GRU, "blocks": UpBlock, "norms": Norm}
    parts = parts_of(book.g, discriminators, run, kinds, "fp32", seconds)
    parts["optimiser"] = measure(book.adam_g.step, seconds).median + measure(book.adam_d.step, seconds).median
    return parts


def _reader(config: Config, batch: int) -> Callable[[], Any]:
    """Reads a batch of clips as training does, from frames in memory."""

    class Store:
        path, size, classes, skipped = Path("memory"), config.network.size, [str(k) for k in range(CLASSES)], ()
        about: ClassVar[dict[str, Any]] = {}
        labels, splits = np.arange(64) % CLASSES, [""] * 64
        lengths = np.full(64, config.network.frames)
        heights = widths = np.full(64, config.network.size)
        shards = None
        frames = np.random.default_rng(0).integers(
            0, 255, (64, config.network.frames, config.network.size, config.network.size, 3), np.uint8
        )

        def __len__(self) -> int:
            return 64

        def read(self, windows: list[Window]) -> list[np.ndarray]:
            return [self.frames[window.clip][window.times] for window in windows]

    data = ClipDataset(Store(), DataConfig(), config.network.size, config.network.frames)  # type: ignore[arg-type]
    return lambda: data.batch(0, 0, batch, 1)


def _batch(config: Config) -> tuple[Tensor, Tensor]:
    """Noise for real clips, and their labels."""
    network, batch = config.network, config.training.batch_size
    clips = torch.rand(batch, network.frames, 3, network.size, network.size) * 2 - 1
    return clips, torch.arange(batch) % CLASSES


def measure_case(name: str, seconds: float, ceiling: float, precision: str) -> dict[str, Any]:
    """Everything about one case, as JSON."""
    config = case(name)
    batch, network = config.training.batch_size, config.network
    real, labels = _batch(config)
    ours = Ours(config, precision)
    found: dict[str, Any] = {"batch": batch, "frames": network.frames, "size": network.size}
    print(f"\n{name}: {network.size}x{network.size}, {network.frames} frames, batch {batch}")

    calls = {
        "D step": lambda: ours.discriminator_step(real, labels),
        "G step": lambda: ours.generator_step(real, labels),
        "training step": lambda: ours.training_step(real, labels),
        "with new fakes": lambda: ours.training_step(real, labels, reuse=False),
        "with reuse_fakes": lambda: ours.training_step(real, labels, reuse=True),
    }
    for what, call in calls.items():
        found[what] = _figures(call, batch, seconds, ceiling)
        _show(what, found[what])
    found["peak MiB"] = peak_memory(name, precision)
    print(f"  peak memory of a process that trains: {found['peak MiB']:.0f} MiB")
    found["parts"] = {part: value / batch for part, value in our_parts(ours, real, labels, seconds / 4).items()}
    for count in (1, 8):
        what = f"sample, batch {count}"
        found[what] = _figures(ours.sampler(count), count, seconds, ceiling)
        _show(what, found[what])
    print("  parts, ms a clip, forward and backward: " + _listed(found["parts"], 1e3))
    wait = found["parts"]["data"] * config.training.d_steps / found["training step"]["seconds per clip"]
    print(f"  data: {100 * wait:.2f} % of a training step")
    return found


def peak_memory(name: str, precision: str) -> float:
    """Peak resident MiB of a process of its own that makes some training steps of a case."""
    command = [sys.executable, __file__, "--memory-of", name, "--precision", precision]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def memory_of(name: str, precision: str) -> None:
    """What that process does."""
    config = case(name)
    ours, (real, labels) = Ours(config, precision), _batch(config)
    for _ in range(MEMORY_STEPS):
        ours.training_step(real, labels)
    print(peak())


def peak() -> float:
    """This process's peak resident MiB; Linux's usual count would begin with that of the process it came from."""
    status = Path("/proc/self/status")
    if not status.exists():  # macOS, which counts in bytes
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    with status.open(encoding="ascii") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM:"))


def frames_sweep(seconds: float, precision: str) -> dict[str, Any]:
    """Seconds per clip of a training step at width 16 by the number of frames, and how far from a straight line.

    The line goes through the fewest and the most frames; what is left at no frames is what D_S's k frames and the
    weights cost.
    """
    found: dict[int, float] = {}
    for frames in FRAMES:
        config = updated(case("w16"), network={"frames": frames}, training={"batch_size": 2})
        ours, (real, labels) = Ours(config, precision), _batch(config)
        call = lambda ours=ours, real=real, labels=labels: ours.training_step(real, labels)  # noqa: E731
        found[frames] = measure(call, seconds).median / 2
    per_frame = (found[FRAMES[-1]] - found[FRAMES[0]]) / (FRAMES[-1] - FRAMES[0])
    fixed = found[FRAMES[0]] - per_frame * FRAMES[0]
    off = {frames: value / (fixed + per_frame * frames) - 1 for frames, value in found.items()}
    for frames, value in found.items():
        print(f"  {frames:2} frames: {value:.3f} s a clip, {100 * off[frames]:+.1f} % from a straight line")
    print(f"  the line: {fixed:.3f} s + {per_frame:.4f} s a frame")
    return {"seconds per clip": found, "off the line": off, "per frame": per_frame, "fixed": fixed}


def batch_work(found: dict[str, Any]) -> float:
    """GFLOP of a case's whole training step."""
    return found["training step"]["GFLOP per clip"] * found["batch"]


def measure_textbook(name: str, seconds: float, ours: dict[str, Any]) -> dict[str, Any]:
    """The textbook implementation of a case, and how many times slower it is."""
    config = case(name)
    real, labels = _batch(config)
    batch, book = len(real), Textbook(config.network, config.training.d_steps)
    training = measure(lambda: book.training_step(real, labels), seconds, least=2)
    book.g.eval()
    with torch.no_grad():
        sample = measure(lambda: book.g(book.latents(8), torch.arange(8) % CLASSES), seconds, least=2)
    book.g.train()
    parts = {part: value / batch for part, value in their_parts(book, real, labels, seconds / 4).items()}
    found = {
        "training step": training.median / batch,
        "sample, batch 8": sample.median / 8,
        "parts": parts,
        "times slower": {
            "training step": training.median / batch / ours["training step"]["seconds per clip"],
            "sample, batch 8": sample.median / 8 / ours["sample, batch 8"]["seconds per clip"],
            **{part: value / ours["parts"][part] for part, value in parts.items()},
        },
    }
    print("  textbook, times slower: " + _listed(found["times slower"], 1.0))
    return found


def _figures(call: Callable[[], Any], clips: int, seconds: float, ceiling: float) -> dict[str, Any]:
    timing, work = measure(call, seconds), flop(call)
    return {
        "seconds per clip": timing.median / clips,
        "GFLOP per clip": work / clips,
        "share of ceiling": work / timing.median / ceiling,
        "timing": asdict(timing),
    }


def _show(what: str, figures: dict[str, Any]) -> None:
    timing = Timing(**figures["timing"])
    print(
        f"  {what:16} {figures['seconds per clip']:8.4f} s a clip (±{100 * timing.spread:.0f} %), "
        f"{figures['GFLOP per clip']:7.1f} GFLOP, {100 * figures['share of ceiling']:3.0f} % of the ceiling"
    )


def _listed(values: dict[str, float], scale: float) -> str:
    return ", ".join(f"{name} {scale * value:.3g}" for name, value in values.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=[*RECIPES, *WIDTHS], choices=[*RECIPES, *WIDTHS])
    parser.add_argument("--seconds", type=float, default=3.0, help="how long to time each thing for")
    parser.add_argument("--no-textbook", action="store_true", help="leave the textbook implementation out")
    parser.add_argument("--no-sweep", action="store_true", help="leave the sweep over frames out")
    parser.add_argument("--out", type=Path, default=Path("speed.json"), help="the JSON file")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    parser.add_argument("--precision", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    keep_freed_memory()
    if options.memory_of:
        memory_of(options.memory_of, options.precision)
        return
    load, found = OtherLoad(), {"torch": torch.__version__, "threads": torch.get_num_threads()}

    print("3x3 convolutions, channels_last, GFLOP/s: forward, and forward with both gradients")
    ceilings = [c for p in ("fp32", "bf16") for c in convolutions(SHAPES, p, options.seconds / 8)]
    for c in ceilings:
        print(f"  {c.precision} {c.images:4} x {c.channels:3} x {c.size:2}²  {c.forward:6.0f} {c.both:6.0f}")
    best = max(ceilings, key=lambda c: c.both)
    ceiling, precision = best.both, best.precision
    found |= {"convolutions": [asdict(c) for c in ceilings], "ceiling": ceiling, "precision": precision}
    found["GB/s"] = bandwidth(options.seconds / 4)
    print(f"ceiling: {ceiling:.0f} GFLOP/s, in {precision}; memory: {found['GB/s']:.1f} GB/s")

    found["cases"] = {}
    for name in options.cases:
        case_found = found["cases"][name] = measure_case(name, options.seconds, ceiling, precision)
        gc.collect()
        work = batch_work(case_found)
        if not options.no_textbook and work < TEXTBOOK_MOST:
            case_found["textbook"] = measure_textbook(name, options.seconds, case_found)
            gc.collect()
        share = load.share()
        if share is not None and share > BUSY:
            print(f"  warning: other processes used {100 * share:.0f} % of the processors: these figures are too slow")
        found["cases"][name]["load of others"] = share
        load = OtherLoad()
        options.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    if not options.no_sweep:
        print("\na training step at width 16, batch 2, by frames")
        found["frames"] = frames_sweep(options.seconds, precision)
        options.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(f"\n{options.out}")


if __name__ == "__main__":
    main()
