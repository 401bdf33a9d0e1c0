import pytest
import torch
import torch.nn.functional as F

from dvdgan.networks import packed
from dvdgan.networks.layers import initialise, use_channels_last
from dvdgan.networks.packed import PackedKernel, can_pack, transposed
from dvdgan.networks.recurrent import ConvGRU

TYPES = [torch.float32, torch.bfloat16]


def clips(*shape, dtype=torch.float32):
    return torch.randn(shape).to(dtype).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("batch", [1, 3])
def test_convolves_as_pytorch_does(dtype, batch):
    x, kernel = clips(batch, 16, 4, 4, dtype=dtype), clips(8, 16, 3, 3, dtype=dtype) / 12
    quick = PackedKernel(kernel, x)
    exact = F.conv2d(x.double(), kernel.double(), padding=1)
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 0.02, "atol": 0.02}
    torch.testing.assert_close(quick(x).double(), exact, **tolerance)
    y = clips(batch, 8, 4, 4, dtype=dtype)
    for relu in (False, True):
        expected = y.double() + exact
        found = y.clone(memory_format=torch.preserve_format)
        assert quick.add_to(found, x, relu) is found
        torch.testing.assert_close(found.double(), expected.relu() if relu else expected, **tolerance)


def test_another_batch_than_it_was_made_for():
    kernel = clips(8, 16, 3, 3)
    quick, x = PackedKernel(kernel, clips(2, 16, 4, 4)), clips(5, 16, 4, 4)
    torch.testing.assert_close(quick(x), F.conv2d(x, kernel, padding=1), rtol=1e-5, atol=1e-5)


def test_transposed_takes_gradients_back():
    x, kernel = torch.randn(2, 3, 5, 5, dtype=torch.float64, requires_grad=True), torch.randn(4, 3, 3, 3).double()
    y = F.conv2d(x, kernel, padding=1)
    dy = torch.randn_like(y)
    torch.testing.assert_close(PackedKernel(transposed(kernel), dy)(dy), torch.autograd.grad(y, x, dy)[0])


def test_what_is_not_packed():
    like = clips(2, 16, 4, 4)
    assert not can_pack(torch.randn(4, 16, 3, 3, dtype=torch.float64), like.double())
    assert not can_pack(torch.randn(4, 16, 3, 3), torch.randn(2, 16, 4, 4)), "channels first"
    assert not can_pack(torch.empty(4, 16, 3, 3, device="meta"), like)


@pytest.mark.skipif(not can_pack(clips(4, 16, 3, 3), clips(2, 16, 4, 4)), reason="PyTorch has no oneDNN here")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("constant", [False, True])
def test_recurrence_with_and_without(monkeypatch, precision, constant):
    """The fast form beside the plain one, forward and backward, with a first state."""
    gru = ConvGRU(16, 24)
    initialise(gru, torch.Generator().manual_seed(0))
    use_channels_last(gru)
    x, state = clips(2 if constant else 10, 16, 4, 4).requires_grad_(), clips(2, 24, 4, 4).requires_grad_()
    weights = torch.randn(10, 24, 4, 4)

    def run():
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            y = gru(x, 5, state, constant)
        return [y, *torch.autograd.grad((y * weights).sum(), [x, state, *gru.parameters()])]

    fast = run()
    monkeypatch.setattr(packed, "enabled", False)
    for ours, theirs in zip(fast, run()):
        scale = float(theirs.detach().float().abs().max())
        tolerance = (1e-5 if precision == "fp32" else 0.03) * scale
        torch.testing.assert_close(ours.float(), theirs.float(), rtol=0, atol=tolerance)
