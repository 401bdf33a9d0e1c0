"""Activation checkpointing gives the same gradients and buffers, to the last bit, and keeps less."""

from functools import partial
from unittest.mock import patch

import pytest
import torch

from conftest import tiny_network
from dvdgan.networks import Generator, SpatialDiscriminator, TemporalDiscriminator, kernels, power_iterate
from dvdgan.networks.recomputed import recompute
from dvdgan.training.losses import gradient_penalty

CONFIG = tiny_network(
    generator={"attention": "separable", "attention_at": 8, "width": 8}, spatial={"group": 2}, temporal={"group": 2}
)
LABELS = torch.tensor([0, 0, 2, 2])


def outcome(kind, recomputes, dtype):
    """Gradients and buffers after a step's forward and backward pass, and the bytes that it kept in between."""
    network = kind(CONFIG, torch.Generator().manual_seed(1))
    recompute(network, recomputes)
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
        plain, kept = outcome(kind, False, dtype)
        again, kept_again = outcome(kind, True, dtype)
    assert plain.keys() == again.keys()
    assert [name for name in plain if plain[name] is None or not torch.equal(plain[name], again[name])] == []
    assert kept_again < kept / 2
