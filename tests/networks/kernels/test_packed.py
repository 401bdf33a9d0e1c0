import pytest
import torch
import torch.nn.functional as F

from dvdgan.networks.kernels.packed import PackedKernel, can_pack, transposed

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
