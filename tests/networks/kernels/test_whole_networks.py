"""All quick forms together: the three networks, their gradients and their standing statistics."""

from unittest.mock import patch

import pytest
import torch

from conftest import tiny_network
from dvdgan.networks import (
    Generator,
    SpatialDiscriminator,
    TemporalDiscriminator,
    estimate_statistics,
    kernels,
    power_iterate,
    use_channels_last,
)

GROUPED = {
    "spatial": {"group": 2, "attention_at": 16, "width": 8},
    "temporal": {"multipliers": [1, 2, 4, 4], "group": 2, "halve_time": True, "frame_differences": True},
}


def everything(config, layout, enabled):
    """Clips, scores, all gradients, standing statistics and clips by these, of networks with fixed seeds.

    G is in fp64; the discriminators are in fp32, in which their heads always work.
    """
    found, generator = {}, torch.Generator().manual_seed(0)
    with patch.object(kernels, "enabled", enabled):
        g, d_s, d_t = (build(config, generator) for build in (Generator, SpatialDiscriminator, TemporalDiscriminator))
        g.double()
        for network in (g, d_s, d_t):
            for name, parameter in network.named_parameters():
                if name.endswith(("bias", "gamma")):
                    torch.nn.init.normal_(parameter, std=0.3, generator=generator)
            if layout == torch.channels_last:
                use_channels_last(network)
            power_iterate(network, 3)
        z, labels = torch.randn(4, 8, generator=generator).double(), torch.tensor([0, 0, 2, 2])
        noise = torch.rand(1, 4, generator=generator).expand(4, -1)
        clip = g(z, labels)
        found["clip"], seen = clip, clip.detach().float()
        found["D_S score"], found["D_T score"] = d_s(d_s.view(seen, noise), labels), d_t(d_t.view(seen), labels)
        for part, network, loss in [
            ("G", g, clip.square().sum()),
            ("D_S", d_s, found["D_S score"].square().mean()),
            ("D_T", d_t, found["D_T score"].square().mean()),
        ]:
            parameters = dict(network.named_parameters())
            gradients = torch.autograd.grad(loss, list(parameters.values()))
            found |= {f"{part}.{name}": value for name, value in zip(parameters, gradients)}
        estimate_statistics(g, [(z, labels), (z.flip(0), labels)])
        found |= dict(g.named_buffers())
        found["sample"] = g(z, labels, frames=6)
    return found


@pytest.mark.parametrize(
    ("generator", "layout"),
    [
        ({}, torch.channels_last),
        ({"upsample": "nearest", "norm_statistics": "shared", "time_code": 4}, torch.contiguous_format),
        (
            {"upsample": "nearest", "recurrent_at": [8], "attention": "separable", "attention_at": 8, "width": 8},
            torch.channels_last,
        ),
        ({"spectral_norm": False, "output_norm": "plain"}, torch.contiguous_format),
    ],
    ids=["paper", "shared statistics", "attention", "no spectral norm"],
)
def test_networks_are_the_same(generator, layout):
    config = tiny_network(generator=generator, **GROUPED)
    quick, plain = (everything(config, layout, enabled) for enabled in (True, False))
    assert quick.keys() == plain.keys()
    for name, value in plain.items():
        tolerance = 1e-8 if value.dtype == torch.float64 else 1e-4 * float(value.detach().abs().max())
        torch.testing.assert_close(quick[name], value, rtol=1e-6, atol=tolerance, msg=name)


def test_plain_networks_can_be_differentiated_twice():
    network, z, labels = Generator(tiny_network()), torch.randn(2, 8), torch.tensor([0, 1])
    with patch.object(kernels, "enabled", False):
        (first,) = torch.autograd.grad(network(z, labels).square().sum(), network.stem.weight, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), network.stem.weight)
    assert second.abs().sum() > 0
