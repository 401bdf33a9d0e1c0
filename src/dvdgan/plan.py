"""What a configuration costs, counted beforehand: parameters, floating-point operations, memory, disk, time.

The networks run one training step, and make one clip, on PyTorch's meta device, which allocates nothing and computes
nothing; operations add up by PyTorch's own formulas, and every tensor's bytes are followed from its birth to its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dvdgan.capacity import gib
from dvdgan.config import Config, NetworkConfig
from dvdgan.config.data import PHENOMENA
from dvdgan.config.files import ConfigError, updated
from dvdgan.counting import Counter
from dvdgan.data.phenomena import CLASSES
from dvdgan.devices import autocast, pick_device
from dvdgan.networks import (
    Generator,
    ProjectedDiscriminator,
    SpatialDiscriminator,
    TemporalDiscriminator,
    use_channels_last,
)
from dvdgan.networks.checkpointing import KINDS, set_checkpointing
from dvdgan.networks.efficientnet import EfficientNetLite0
from dvdgan.runs.precision import seconds_of
from dvdgan.sampling import largest_pass

_BYTES = 4  # of a weight, its gradient, a moment of Adam and the average of G's, all in fp32
_SHARE = 0.6  # of a convolution's speed, which training steps reach
_PROCESS = 400 << 20  # bytes of a process that has loaded this program and done nothing yet; measured
_CPU = 1.7  # times the tensors' bytes, which a process takes on a CPU: freed pieces, oneDNN's copies; measured


@dataclass(frozen=True)
class Plan:
    """What a configuration costs. FLOPs count a multiplication and an addition as two, as PyTorch does.

    Attributes:
        parameters: by network: ``generator``, ``spatial``, ``temporal``, ``projected``.
        flops_clip: to make one clip.
        flops_step: of a training step, all discriminator steps and the generator's, of a batch on one process.
        training_bytes: of memory at a training step's peak, PyTorch itself included.
        sampling_bytes: of memory to make one clip in one forward pass.
        streaming_bytes: of memory to make one clip by chunks of time; the same where the generator attends over time.
        store_bytes: of the clips on disk, packed; of clips that are not rendered, one window of each, which is the
            least that a clip takes unless short ones are repeated. None where their number is not known.
        clips: how many they are.
    """

    parameters: dict[str, int]
    flops_clip: int
    flops_step: int
    training_bytes: int
    sampling_bytes: int
    streaming_bytes: int
    store_bytes: int | None
    clips: int | None


def plan(config: Config, clips: int | None = None, devices: int = 1, cpu: bool = True) -> Plan:
    """Count what a configuration costs, without checkpointing where that is left open; takes a second or a few.

    Args:
        config: the configuration, with its number of classes; rendered clips' is known.
        clips: of the training data; None takes the rendered clips' number where they are the source.
        devices: that share a batch, by whole groups of clips.
        cpu: whether the devices are CPUs, whose processes take more memory than their tensors.

    Raises:
        ConfigError: so many devices cannot share the batch.
    """
    config, clips = _with_classes(config, clips)
    network = config.network
    parameters, flops, at_peak = _step(config, devices, cpu)
    flops_clip, sampling, streaming = _sampling(network)
    span = (network.frames - 1) * config.data.stride + 1  # frames from a window's first to its last one
    if config.data.source == PHENOMENA:
        span = max(2, span)  # which all rendered clips have
    share, model = _CPU if cpu else 1, _PROCESS + _BYTES * parameters["generator"]
    return Plan(
        parameters=parameters,
        flops_clip=flops_clip,
        flops_step=flops,
        training_bytes=at_peak,
        sampling_bytes=model + int(share * sampling),
        streaming_bytes=model + int(share * streaming),
        store_bytes=None if clips is None else clips * span * network.size**2 * 3,
        clips=clips,
    )


def training_bytes(config: Config, devices: int, cpu: bool) -> int:
    """`Plan.training_bytes` alone, which is quicker; arguments and errors are those of `plan`."""
    return _step(config, devices, cpu)[2]


def _with_classes(config: Config, clips: int | None) -> tuple[Config, int | None]:
    """A configuration with the classes of rendered clips, and their number, where they are the source."""
    if config.data.source != PHENOMENA:
        return config, clips
    clips = config.data.clips_per_class * len(CLASSES) if clips is None else clips
    return updated(config, network={"classes": len(CLASSES)}), clips


def _step(config: Config, devices: int, cpu: bool) -> tuple[dict[str, int], int, int]:
    """Parameters by network, FLOPs and peak bytes of a training step; see `plan`."""
    t, network, group = config.training, config.network, config.network.group
    if t.batch_size % (devices * t.accumulate * group):
        raise ConfigError(
            f"training.batch_size: {t.batch_size} clips cannot be shared by {devices} devices"
            f"{f' in {t.accumulate} parts' if t.accumulate > 1 else ''}"
            f"{f' in groups of {group}' if group > 1 else ''}; change either"
        )
    dtype = torch.float32 if t.precision == "fp32" else torch.bfloat16
    with torch.device("meta"):
        nets: dict[str, torch.nn.Module] = {"generator": Generator(network), **build_discriminators(network)}
    parameters = {name: sum(p.numel() for p in net.parameters()) for name, net in nets.items()}
    for net in nets.values():
        set_checkpointing(net, "none" if t.checkpointing == "auto" else t.checkpointing)
        use_channels_last(net)
        net.to(dtype)  # stands for autocast, which the meta device has not
    with Counter(nets.values()) as counted:
        for _ in range(t.accumulate):
            peaks = _training_step(config, t.batch_size // devices // t.accumulate, nets, dtype, counted)
    both, g = sum(parameters.values()), parameters["generator"]
    kept = _BYTES * (both * (3 if t.beta1 else 2) + g)  # weights, moments, average of G
    uncounted = [n * (_BYTES - dtype.itemsize) for n in (both - g, g)]  # of gradients, which are fp32 in truth
    of_phases = [int((_CPU if cpu else 1) * peak) + n for peak, n in zip(peaks, uncounted)]
    return parameters, counted.flops, _PROCESS + kept + max(of_phases)


def build_discriminators(network: NetworkConfig) -> dict[str, torch.nn.Module]:
    """The discriminators that a configuration asks for, by name; to be counted, not trained."""
    made: dict[str, torch.nn.Module] = {}
    if network.spatial is not None:
        made["spatial"] = SpatialDiscriminator(network)
    if network.temporal is not None:
        made["temporal"] = TemporalDiscriminator(network)
    if network.projected is not None:
        made["projected"] = ProjectedDiscriminator(network, EfficientNetLite0())
    return made


def _training_step(
    config: Config, batch: int, nets: dict[str, torch.nn.Module], dtype: torch.dtype, counted: Counter
) -> tuple[int, int]:
    """The work of `dvdgan.training.step`, without the optimisers, penalties, and the frames before windows of longer
    clips (``training.long_clips``).

    Returns:
        The peak bytes of the discriminators' steps, and of G's.
    """
    network, t = config.network, config.training
    generator = nets["generator"]
    discriminators = [net for name, net in nets.items() if name != "generator"]
    real = torch.empty(batch, network.frames, 3, network.size, network.size, device="meta")
    labels = torch.empty(batch, dtype=torch.long, device="meta") if network.classes else None
    both = None if labels is None else torch.cat([labels, labels])
    z = torch.empty(batch, network.generator.z_dim, dtype=dtype, device="meta")
    first = real[:, : network.first_frames].to(dtype) if network.first_frames else None

    def view(net: torch.nn.Module, clips: Tensor) -> Tensor:
        if isinstance(net, (SpatialDiscriminator, ProjectedDiscriminator)):
            return net.view(clips, torch.empty(batch, network.made_frames, device="meta"))
        assert isinstance(net, TemporalDiscriminator)
        return net.view(clips, torch.zeros(batch, 2) if net.config.crop else None)

    def make() -> Tensor:
        if first is None:
            return generator(z, labels)
        return torch.cat([first, generator(z, labels, first=first)], 1)

    # discriminator steps
    for index in range(t.d_steps):
        reused = t.reuse_fakes and index == t.d_steps - 1
        with torch.set_grad_enabled(reused):
            fake = make()
        shown = fake.detach().float()
        views = [torch.cat([view(net, real), view(net, shown)]).to(dtype) for net in discriminators]
        _sum_of([net(pair, both) for net, pair in zip(discriminators, views)]).backward()
        del shown, views
        for net in discriminators:
            net.zero_grad()

    # generator step
    of_discriminators, counted.peak = counted.peak, counted.now
    if not t.reuse_fakes:
        del fake
        fake = make()
    for net in discriminators:
        net.requires_grad_(False)
    _sum_of([net(view(net, fake.float()).to(dtype), labels) for net in discriminators]).backward()
    for net in discriminators:
        net.requires_grad_(True)
    generator.zero_grad()
    of_generator, counted.peak = counted.peak, counted.now
    return of_discriminators, of_generator


def _sum_of(scores: list[Tensor]) -> Tensor:
    """One loss of all scores."""
    return torch.stack([score.float().sum() for score in scores]).sum()


@torch.no_grad()
def _sampling(config: NetworkConfig) -> tuple[int, int, int]:
    """FLOPs of one clip in fp32, and peak bytes of activations: of it whole, and streamed."""
    folded = config.generator.model_copy(update={"spectral_norm": False})  # as in a finished model
    with torch.device("meta"):
        generator = Generator(config.model_copy(update={"generator": folded})).eval()
    use_channels_last(generator)
    z = torch.empty(1, config.generator.z_dim, device="meta")
    labels = torch.empty(1, dtype=torch.long, device="meta") if config.classes else None
    shape = (1, config.first_frames, 3, config.size, config.size)
    first = torch.empty(shape, device="meta") if config.first_frames else None

    def counted(chunk: int) -> Counter:
        with Counter([generator]) as counter:
            for frames in generator.stream(z, labels, chunk=chunk, first=first):
                del frames
        return counter

    whole = counted(generator.frames)
    chunk = generator.frames if generator.attends_over_time else min(generator.frames, largest_pass(generator))
    return whole.flops, whole.peak, whole.peak if chunk == generator.frames else counted(chunk).peak


def in_lines(config: Config, clips: int | None, devices: int, flops: float | None) -> str:
    """A plan for people.

    Args:
        config: see `plan`.
        clips: see `plan`.
        devices: see `plan`.
        flops: FLOP/s that each accelerator sustains; None plans for CPUs like this machine's, which is measured.
    """
    found, t = plan(config, clips, devices, cpu=flops is None), config.training
    rate = flops or sustained_flops()
    share = f"each of {devices} devices for" if devices > 1 else "for"
    lines = {
        "parameters": ", ".join(f"{name} {count:,}" for name, count in found.parameters.items()),
        "a clip": f"{found.flops_clip / 1e9:,.3g} GFLOP; memory {gib(found.sampling_bytes)}, "
        f"streamed {gib(found.streaming_bytes)}",
        "a step": f"{found.flops_step / 1e12:,.3g} TFLOP; memory {gib(found.training_bytes)}; "
        f"{share} {t.batch_size // devices} of a batch of {t.batch_size} clips",
        "time": f"{found.flops_step / rate:.3g} s a step, {_duration(found.flops_step / rate * t.steps)} for "
        f"{t.steps:,} steps, at {rate / 1e12:,.3g} TFLOP/s a device",
    }
    if t.checkpointing == "auto":
        config, _ = _with_classes(config, clips)
        less = {kind: updated(config, training={"checkpointing": kind}) for kind in KINDS[1:]}
        lines["or memory"] = ", ".join(
            f"{gib(_step(one, devices, flops is None)[2])} by training.checkpointing={kind}"
            for kind, one in less.items()
        )
    if found.store_bytes is not None:
        disk = f"{gib(found.store_bytes)} for {found.clips:,} clips, packed"
        lines["disk"] = disk if config.data.source == PHENOMENA else f"at least {disk}: one window of each"
    return "\n".join(f"{name:12}{text}" for name, text in lines.items())


def table(configs: Mapping[str, Config], devices: int, flops: float | None) -> str:
    """Plans of several configurations, as a table in Markdown; see `in_lines`."""
    heading = ["preset", "parameters of the networks in M", "batch", "TFLOP a step and device", "memory"]
    heading += ["GFLOP a clip", "memory", "streamed", "steps", "time"]
    rows, rate = [heading, ["---"] * len(heading)], flops or sustained_flops()
    for name, config in configs.items():
        try:
            found = plan(config, None, devices, cpu=flops is None)
        except ConfigError:
            rows.append([name, f"its batch cannot be shared by {devices} devices", *[""] * (len(heading) - 2)])
            continue
        rows.append(
            [
                name,
                ", ".join(f"{count / 1e6:.3g}" for count in found.parameters.values()),
                str(config.training.batch_size),
                f"{found.flops_step / 1e12:,.3g}",
                gib(found.training_bytes),
                f"{found.flops_clip / 1e9:,.3g}",
                gib(found.sampling_bytes),
                gib(found.streaming_bytes),
                f"{config.training.steps:,}",
                _duration(found.flops_step / rate * config.training.steps),
            ]
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def sustained_flops() -> float:
    """FLOP/s that networks reach on this machine's device: a share of what a 3x3 convolution reaches, measured now."""
    device = pick_device(None)
    x = torch.randn(32, 64, 32, 32, device=device).to(memory_format=torch.channels_last)
    weight = torch.randn(64, 64, 3, 3, device=device).to(memory_format=torch.channels_last)
    with torch.no_grad(), autocast(device, "bf16"):

        def work(_: None) -> None:
            F.conv2d(x, weight, padding=1)

        seconds = min(seconds_of(work, None, device) for _ in range(8))
    return _SHARE * 2 * x.shape[0] * 32 * 32 * weight.numel() / seconds


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.3g} {unit}"
    return f"{seconds:.3g} seconds"
