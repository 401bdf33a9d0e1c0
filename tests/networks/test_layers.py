import copy

import pytest
import torch
import torch.nn.functional as F

from dvdgan.networks.folding import fold_time, unfold_time
from dvdgan.networks.layers import (
    BatchNormReLU,
    Conv2d,
    Conv3d,
    Embedding,
    Linear,
    SelfAttention,
    fold_spectral_norm,
    initialise,
    power_iterate,
)


def largest_singular_value(weight):
    return torch.linalg.matrix_norm(weight.detach().flatten(1), 2)


@pytest.mark.parametrize(
    "layer",
    [Conv2d(3, 8, 3), Conv3d(3, 8, 3), Linear(5, 7), Embedding(6, 4, True)],
    ids=lambda layer: type(layer).__name__,
)
def test_effective_weight_has_norm_one(layer):
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


def test_gradient_passes_through_sigma():
    layer = Linear(4, 3, bias=False).double()
    initialise(layer)
    layer.weight.data.normal_()
    power_iterate(layer, 200)
    x = torch.randn(2, 4, dtype=torch.float64)
    layer(x).square().sum().backward()
    weight = layer.weight.detach().clone().requires_grad_()
    (F.linear(x, weight / torch.linalg.matrix_norm(weight, 2)).square().sum()).backward()
    torch.testing.assert_close(layer.weight.grad, weight.grad, rtol=1e-6, atol=1e-8)


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


def textbook_norm(x, gain, bias, per_step):
    """Batch norm, affine map per sample, ReLU, written out over ``[B, T, C, H, W]``."""
    dims = (0, 3, 4) if per_step else (0, 1, 3, 4)
    mean = x.mean(dims, keepdim=True)
    var = x.var(dims, unbiased=False, keepdim=True)
    normal = (x - mean) / torch.sqrt(var + 1e-5)
    return torch.relu(gain[:, None, :, None, None] * normal + bias[:, None, :, None, None])


@pytest.mark.parametrize("per_step", [True, False])
@pytest.mark.parametrize("condition", [5, 0])
def test_norm_equals_textbook(per_step, condition):
    frames, batch = 3, 4
    norm = BatchNormReLU(6, condition, frames if per_step else 1, spectral_norm=False).double()
    for parameter in norm.parameters():
        torch.nn.init.normal_(parameter)
    clip = torch.randn(batch, frames, 6, 4, 4, dtype=torch.float64, requires_grad=True)
    c = torch.randn(batch, condition, dtype=torch.float64)
    weights = torch.randn(batch, frames, 6, 4, 4, dtype=torch.float64)

    def gradients(out):
        return torch.autograd.grad((out * weights).sum(), [clip, *norm.parameters()])

    quick = unfold_time(norm(fold_time(clip), c, frames), frames)
    gain, bias = (part.expand(batch, -1) for part in norm.affine(c))
    plain = textbook_norm(clip, gain, bias, per_step)
    torch.testing.assert_close(quick, plain)
    for ours, theirs in zip(gradients(quick), gradients(plain)):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (8.0, 0.25), (30.0, 0.25)])
def test_bf16_statistics_do_not_cancel(mean, std):
    """The variance of bf16 activations is right even where their mean is many times their deviation."""
    norm = BatchNormReLU(4, 0, 1, False)
    norm.observer = []
    x = (mean + std * torch.randn(24, 4, 8, 8)).bfloat16()
    y = norm(x, torch.zeros(24, 0), 1)
    (found_mean, found_var), exact = norm.observer[0], x.double()
    torch.testing.assert_close(found_mean[0].double(), exact.mean((0, 2, 3)), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found_var[0].double(), exact.var((0, 2, 3), unbiased=False), rtol=1e-2, atol=0)
    plain = textbook_norm(exact[:, None], torch.ones(24, 4), torch.zeros(24, 4), per_step=False)[:, 0]
    assert (y.double() - plain).abs().max() < 0.05
    norm.mean.copy_(found_mean)
    norm.var.copy_(found_var)
    assert (norm.eval()(x, torch.zeros(24, 0), 1).double() - plain).abs().max() < 0.05


def test_gain_starts_at_one():
    norm = BatchNormReLU(6, 5, 1, spectral_norm=True)
    initialise(norm)
    gain, bias = norm.affine(torch.zeros(1, 5))
    assert torch.equal(gain, torch.ones(1, 6))
    assert torch.equal(bias, torch.zeros(1, 6))
    gain, _ = norm.affine(torch.randn(4000, 5))
    assert (gain.mean(0) - 1).abs().max() < 0.1


def test_per_step_statistics_do_not_mix_frames():
    norm = BatchNormReLU(2, 0, 3, False)
    clip = torch.randn(4, 3, 2, 5, 5)
    loud = clip.clone()
    loud[:, 0] *= 100
    a, b = (unfold_time(norm(fold_time(x), torch.zeros(4, 0), 3), 3) for x in (clip, loud))
    torch.testing.assert_close(a[:, 1:], b[:, 1:])
    shared = BatchNormReLU(2, 0, 1, False)
    a, b = (unfold_time(shared(fold_time(x), torch.zeros(4, 0), 3), 3) for x in (clip, loud))
    assert not torch.allclose(a[:, 1:], b[:, 1:], atol=0.1)


def test_evaluation_reuses_the_last_step_beyond_training():
    norm = BatchNormReLU(2, 0, 3, False).eval()
    norm.mean.copy_(torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]))
    x = torch.randn(4, 2, 3, 3)
    clip = x[:, None].expand(-1, 5, -1, -1, -1)
    out = unfold_time(norm(fold_time(clip), torch.zeros(4, 0), 5), 5)
    assert torch.equal(out[:, 2], out[:, 4])
    assert not torch.equal(out[:, 1], out[:, 2])


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
