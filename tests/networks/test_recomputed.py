"""Activation checkpointing gives the same gradients and buffers and keeps less: by stages to the last bit, by chunks of
time to rounding, for weights' gradients then add up in another order."""

from functools import partial
from unittest.mock import patch

import pytest
import torch

from conftest import tiny_network
from dvdgan.networks import Generator, SpatialDiscriminator, TemporalDiscriminator, kernels, power_iterate
from dvdgan.networks.checkpointing import set_checkpointing
from dvdgan.networks.statistics import estimate_statistics, statistics_of
from dvdgan.training.losses import gradient_penalty

CONFIG = tiny_network(
    generator={"attention": "separable", "attention_at": 8, "width": 8}, spatial={"group": 2}, temporal={"group": 2}
)
LABELS = torch.tensor([0, 0, 2, 2])


BY_CHUNKS = tiny_network(
    frames=11,
    generator={"attention": "spatial", "attention_at": 8, "width": 8, "recurrent_at": [8, 16], "time_code": 4},
)


def outcome(kind, checkpointing, dtype, config=CONFIG):
    """Gradients and buffers after a step's forward and backward pass, and the bytes that it kept in between."""
    network = kind(config, torch.Generator().manual_seed(1))
    set_checkpointing(network, checkpointing)
    noise = torch.Generator().manual_seed(2)
    kept = 0

    def count(tensor):
        nonlocal kept
        kept += tensor.numel() * tensor.element_size()
        return tensor

    keeping = torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor)
    with keeping, torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        if kind is Generator:
            loss = network(torch.randn(4, 8, generator=noise), LABELS).float().square().mean()
        else:
            loss = network(torch.randn(4, 2, 3, 32, 32, generator=noise), LABELS).mean()
    if kind is not Generator:  # R1, too
        seen = torch.randn(4, 2, 3, 32, 32, generator=noise)
        loss = loss + gradient_penalty(partial(network, labels=LABELS), seen)
    loss.backward()
    power_iterate(network)
    found = {name: parameter.grad for name, parameter in network.named_parameters()}
    return found | dict(network.named_buffers()), kept


@pytest.mark.parametrize("quick", [True, False], ids=["quick", "plain"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("kind", [Generator, SpatialDiscriminator, TemporalDiscriminator])
def test_recomputed_activations_change_nothing_but_the_memory(kind, dtype, quick):
    with patch.object(kernels, "enabled", quick):
        plain, kept = outcome(kind, "none", dtype)
        again, kept_again = outcome(kind, "stages", dtype)
    assert plain.keys() == again.keys()
    assert [name for name in plain if plain[name] is None or not torch.equal(plain[name], again[name])] == []
    assert kept_again < kept / 2


@pytest.mark.parametrize("quick", [True, False], ids=["quick", "plain"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_chunks_of_time_change_nothing_but_the_memory(dtype, quick):
    """11 frames, two at a time; the first stage sees a constant, the second's ConvGRU is the first."""
    with patch.object(kernels, "enabled", quick):
        whole, kept = outcome(Generator, "none", dtype, BY_CHUNKS)
        chunks, kept_by_chunks = outcome(Generator, "chunks", dtype, BY_CHUNKS)
    gradients = [whole[name] for name, _ in Generator(BY_CHUNKS).named_parameters()]
    scale = torch.nn.utils.get_total_norm(gradients) * (5e-6 if dtype == torch.float32 else 1e-2)
    assert [name for name in whole if (whole[name] - chunks[name]).norm() > scale] == []
    assert kept_by_chunks < kept / 4


def test_clips_and_statistics_by_chunks_are_those_of_whole_clips():
    z, labels = torch.randn(4, 8), torch.tensor([0, 0, 2, 2])
    made = []
    for kind in ("none", "chunks"):
        network = Generator(BY_CHUNKS, torch.Generator().manual_seed(1))
        set_checkpointing(network, kind)
        with torch.no_grad():
            clips = network(z, labels)
        estimate_statistics(network, [(z, labels), (-z, labels)])
        made.append({"clips": clips} | statistics_of(network))
    whole, chunks = made
    assert all(torch.equal(whole[name], chunks[name]) for name in whole)
    assert whole["norm.mean"].shape[0] == 11


@pytest.mark.parametrize("change", [{"norm_statistics": "shared"}, {"attention": "separable", "attention_at": 8}])
def test_clips_that_can_only_be_made_whole_are_checkpointed_by_stages(change):
    config = tiny_network(frames=8, generator={"width": 8, **change})
    stages, kept = outcome(Generator, "stages", torch.float32, config)
    chunks, kept_by_chunks = outcome(Generator, "chunks", torch.float32, config)
    assert all(torch.equal(stages[name], chunks[name]) for name in stages)
    assert kept_by_chunks == kept
