import copy

import pytest
import torch
import torch.nn.functional as F

from dvdgan.networks import kernels
from dvdgan.networks.folding import fold_time, unfold_time
from dvdgan.networks.layers import (
    Conv2d,
    Conv3d,
    Embedding,
    Linear,
    SelfAttention,
    fold_spectral_norm,
    initialise,
    power_iterate,
    use_channels_last,
)


def largest_singular_value(weight):
    return torch.linalg.matrix_norm(weight.detach().flatten(1), 2)


@pytest.mark.parametrize(
    "layer",
    [Conv2d(3, 8, 3), Conv3d(3, 8, 3), Linear(5, 7), Embedding(6, 4, True)],
    ids=lambda layer: type(layer).__name__,
)
@pytest.mark.parametrize("quick", [True, False])
def test_effective_weight_has_norm_one(layer, quick, monkeypatch):
    monkeypatch.setattr(kernels, "enabled", quick)
    initialise(layer)
    torch.nn.init.normal_(layer.weight, std=3.0)
    power_iterate(layer, 100)
    assert largest_singular_value(layer.effective_weight()) == pytest.approx(1.0, abs=1e-3)


def test_forward_moves_nothing():
    """Power iterations run only when asked: a forward pass, in either mode, leaves every buffer as it was."""
    layer = Conv2d(3, 4, 3)
    initialise(layer)
    layer.weight.data.normal_()
    for mode in (True, False):
        before = {k: v.clone() for k, v in layer.state_dict().items()}
        layer.train(mode)(torch.randn(2, 3, 8, 8))
        assert all(torch.equal(v, before[k]) for k, v in layer.state_dict().items())
    power_iterate(layer)
    assert not torch.equal(layer.u, before["u"])


@pytest.mark.parametrize("quick", [True, False])
def test_gradient_passes_through_sigma(quick, monkeypatch):
    monkeypatch.setattr(kernels, "enabled", quick)
    layer = Linear(4, 3, bias=False).double()
    initialise(layer)
    layer.weight.data.normal_()
    power_iterate(layer, 200)
    x = torch.randn(2, 4, dtype=torch.float64)
    layer(x).square().sum().backward()
    weight = layer.weight.detach().clone().requires_grad_()
    (F.linear(x, weight / torch.linalg.matrix_norm(weight, 2)).square().sum()).backward()
    torch.testing.assert_close(layer.weight.grad, weight.grad, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("layer", [Conv2d(3, 5, 3), Conv3d(2, 4, 3)], ids=["2-D", "3-D"])
def test_power_iteration_in_any_layout(layer):
    layer = copy.deepcopy(layer).double()
    initialise(layer, torch.Generator().manual_seed(0))
    torch.nn.init.normal_(layer.weight)
    other = copy.deepcopy(layer)
    use_channels_last(other)
    power_iterate(layer, 2), power_iterate(other, 2)
    torch.testing.assert_close(other.u, layer.u)
    torch.testing.assert_close(other.v, layer.v)


def test_effective_weight_comes_in_the_type_that_convolves():
    layer = Conv2d(3, 5, 3)
    initialise(layer)
    torch.testing.assert_close(layer.effective_weight(torch.bfloat16), layer.effective_weight().bfloat16())
    layer.effective_weight(torch.bfloat16).float().sum().backward()
    assert layer.weight.grad.dtype == torch.float32


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [7, 16])
def test_volumetric_convolution_in_bf16_of_short_clips(frames, channels):
    """PyTorch's own is garbage for one frame, or its gradient for two, on some CPUs."""
    layer = Conv3d(channels, channels, 3)
    initialise(layer)
    x, weights = torch.randn(4, channels, frames, 8, 8), torch.randn(4, channels, frames, 8, 8)
    garbage = [torch.full((100_000,), 1e30) for _ in range(20)]
    del garbage  # what memory held before must not matter
    exact = layer(x)
    wanted = [layer.weight, layer.bias]
    expected = torch.autograd.grad((exact * weights).sum(), wanted)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x)
    assert found.shape == exact.shape
    assert (found - exact).norm() < 0.02 * exact.norm()
    for ours, theirs in zip(torch.autograd.grad((found * weights).sum(), wanted), expected):
        assert (ours - theirs).norm() < 0.02 * theirs.norm()


def test_folding_keeps_the_function():
    net = torch.nn.Sequential(Conv2d(3, 4, 3), Conv2d(4, 2, 1))
    initialise(net)
    for conv in net:
        conv.weight.data.normal_()
    power_iterate(net, 100)
    x = torch.randn(2, 3, 6, 6)
    expected = net(x)
    folded = copy.deepcopy(net)
    fold_spectral_norm(folded)
    torch.testing.assert_close(folded(x), expected, rtol=1e-4, atol=1e-5)
    assert not any(name.endswith((".u", ".v")) for name in folded.state_dict())


def test_initialisation_is_orthogonal():
    layer = Conv2d(8, 4, 3)
    initialise(layer)
    gram = layer.weight.detach().flatten(1) @ layer.weight.detach().flatten(1).T
    torch.testing.assert_close(gram, torch.eye(4), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("over", ["frame", "clip", "height", "width", "time"])
def test_attention_equals_textbook(over):
    frames, batch, channels, size = 3, 2, 16, 4
    layer = SelfAttention(channels, over, spectral_norm=False).double()
    initialise(layer)
    clip = torch.randn(batch, frames, channels, size, size, dtype=torch.float64)
    assert torch.equal(layer(fold_time(clip), frames), fold_time(clip)), "the gain starts at 0"
    layer.gamma.data.fill_(0.7)

    def project(conv, x):
        return torch.einsum("oc,btchw->btohw", conv.weight[:, :, 0, 0], x)

    q, k, v = (project(conv, clip) for conv in (layer.theta, layer.phi, layer.g))
    if over == "frame":
        k, v = (F.max_pool2d(x.flatten(0, 1), 2).unflatten(0, (batch, frames)) for x in (k, v))
    groups = {
        "frame": ("bt", "hw"), "clip": ("b", "thw"), "height": ("btw", "h"), "width": ("bth", "w"), "time": ("bhw", "t")
    }  # fmt: skip
    outer, inner = groups[over]
    keys = inner.upper()
    spec = f"bt{'c'}hw,{''.join(a.upper() if a in inner else a for a in 'btchw')}->{outer}{inner}{keys}"
    scores = torch.einsum(spec, q, k).flatten(len(outer) + len(inner))
    weights = scores.softmax(-1).reshape(*torch.einsum(spec, q, k).shape)
    mixed = torch.einsum(
        f"{outer}{inner}{keys},{''.join(a.upper() if a in inner else a for a in 'btchw')}->btchw", weights, v
    )
    expected = clip + 0.7 * project(layer.o, mixed)
    torch.testing.assert_close(unfold_time(layer(fold_time(clip), frames), frames), expected)
