"""Whether a training can fit into memory, and what its backward passes must compute again so that it does."""

from __future__ import annotations

import bisect

import torch

from dvdgan.capacity import gib
from dvdgan.config import Config
from dvdgan.config.files import ConfigError, updated
from dvdgan.devices import free_memory_of, memory_of
from dvdgan.networks import Generator
from dvdgan.networks.checkpointing import CHUNKS, KINDS, Checkpointing
from dvdgan.plan import Plan, build_discriminators, plan, training_bytes
from dvdgan.runs.directory import TrainingError

_BYTES = 4  # of a parameter
_PLENTY = 1 << 30  # bytes, beyond what a process takes without any networks
_TIMES = 50  # a step's memory, in units of the least that it needs, at the most
_G_COPIES, _D_COPIES = 4, 2  # weights and a moment of Adam; G's gradient and average


def check_memory(config: Config, device: torch.device, devices: int = 1) -> int:
    """Refuse what cannot fit, before anything is allocated. What passes may still need more than there is.

    Args:
        config: the configuration.
        device: where it is to train.
        devices: see `fit`.

    Returns:
        Bytes that a step needs in each process at the very least.

    Raises:
        TrainingError: networks, optimisers and the largest activations that a step must hold need more than there is.
    """
    memory = memory_of(device) // (devices if device.type == "cpu" else 1)
    network, t = config.network, config.training
    try:
        with torch.device("meta"):
            networks = (
                Generator(network).parameters(),
                *(discriminator.parameters() for discriminator in build_discriminators(network).values()),
            )
        counts = [sum(parameter.numel() for parameter in parameters) for parameters in networks]
    except RuntimeError:  # a size beyond 64 bits
        counts = [1 << 63]
    parameters = _BYTES * (_G_COPIES * counts[0] + _D_COPIES * sum(counts[1:]))
    if parameters > memory:
        raise TrainingError(
            f"networks of {sum(counts):,} parameters need {gib(parameters)} with gradients and optimisers, of "
            f"{gib(memory)}: set network.generator.width and the discriminators' width lower"
        )
    by_chunks = t.checkpointing in ("auto", "chunks")
    at_once = -(-network.frames // CHUNKS) if by_chunks else network.frames
    clips = t.batch_size / devices  # of a process
    values = 2 * network.last_channels * at_once * clips / t.accumulate + 12 * network.frames * clips
    activations = int(values * network.size**2)
    if parameters + activations > memory:
        whose = f"{t.batch_size} clips" + (f" on {devices} devices" if devices > 1 else "")
        raise TrainingError(
            f"training.batch_size: {whose} of {network.frames} frames of {network.size} px need more than "
            f"{gib(parameters + activations)} at once, and there are {gib(memory)}; set it lower (or network.frames, "
            "network.size)"
        )
    return parameters + activations


def fit(config: Config, device: torch.device, devices: int = 1) -> tuple[Checkpointing, Plan | None]:
    """Count what a training costs, choose what checkpointing=auto leaves open, refuse what a device cannot hold.

    Where the kind of checkpointing is set, and memory is plenty, nothing is counted.

    Args:
        config: the configuration.
        device: one of them.
        devices: see `plan`; on CPUs all are taken to share this machine's memory.

    Returns:
        The kind of checkpointing: of those that fit into ``training.memory_gib``, and into what the device has free,
        the quickest; if none does, the one that needs least. And its costs, if they were counted.

    Raises:
        ConfigError: naming the largest batch that fits, if any does; or so many devices cannot share the batch.
        TrainingError: not even the networks fit.
    """
    at_least = check_memory(config, device, devices)  # by arithmetic, for numbers that cannot even be counted
    t, cpu = config.training, device.type == "cpu"
    step, share = devices * t.accumulate * config.network.group, devices if cpu else 1

    there = min(2**30 * (t.memory_gib or float("inf")), memory_of(device) / share)
    free = min(there, free_memory_of(device) / share)
    if t.checkpointing != "auto" and max(_PLENTY, _TIMES * at_least) < free:
        return t.checkpointing, None
    kinds: tuple[Checkpointing, ...] = KINDS if t.checkpointing == "auto" else (t.checkpointing,)
    plans: dict[Checkpointing, Plan] = {}
    for kind in kinds:
        plans[kind] = plan(updated(config, training={"checkpointing": kind}), devices=devices, cpu=cpu)
        if plans[kind].training_bytes <= free:
            return kind, plans[kind]
    least, found = min(plans.items(), key=lambda pair: pair[1].training_bytes)
    if found.training_bytes <= there:
        return least, found

    def too_large(steps: int) -> bool:
        smaller = updated(config, training={"checkpointing": least, "batch_size": steps * step})
        return training_bytes(smaller, devices, cpu) > there

    fits = bisect.bisect_left(range(1, t.batch_size // step), True, key=too_large) * step
    mend = f"training.batch_size={fits} fits" if fits else "no batch size fits: take smaller networks"
    if kinds[-1] != KINDS[-1]:
        mend += f"; training.checkpointing={KINDS[-1]} needs less"
    raise ConfigError(
        f"training.batch_size: a step of {t.batch_size} clips needs about {gib(found.training_bytes)} in "
        f"each process, and there are {gib(there)}; {mend}"
    )
