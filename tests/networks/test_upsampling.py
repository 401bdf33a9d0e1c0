import pytest
import torch
import torch.nn.functional as F

from dvdgan.networks.blocks import GeneratorBlock
from dvdgan.networks.layers import initialise
from dvdgan.networks.upsampling import small_kernels, upsampled_convolution

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def plain(x, kernel, bias):
    return F.conv2d(F.interpolate(x, scale_factor=2, mode="nearest"), kernel, bias, padding=1)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [(1, 1), (4, 4), (3, 5)])
def test_equals_upsampling_and_convolving(layout, size):
    x = torch.randn(3, 5, *size, dtype=torch.float64).to(memory_format=layout).requires_grad_()
    kernel = torch.randn(7, 5, 3, 3, dtype=torch.float64).to(memory_format=layout).requires_grad_()
    bias = torch.randn(7, dtype=torch.float64, requires_grad=True)
    quick, slow = upsampled_convolution(x, kernel, bias, x.dtype), plain(x, kernel, bias)
    torch.testing.assert_close(quick, slow)
    weights = torch.randn_like(slow)
    for ours, theirs in zip(
        torch.autograd.grad((quick * weights).sum(), (x, kernel, bias)),
        torch.autograd.grad((slow * weights).sum(), (x, kernel, bias)),
    ):
        torch.testing.assert_close(ours, theirs)


def test_without_a_bias():
    x, kernel = torch.randn(1, 2, 4, 4), torch.randn(3, 2, 3, 3)
    torch.testing.assert_close(upsampled_convolution(x, kernel, None, x.dtype), plain(x, kernel, None))


def test_a_kernel_of_ones_counts_the_pixels_under_it():
    assert small_kernels(torch.ones(1, 1, 3, 3)).flatten(1).tolist() == [
        [1, 2, 2, 4],  # even row, even column: one pixel above left, four of its own
        [2, 1, 4, 2],
        [2, 4, 1, 2],
        [4, 2, 2, 1],
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_keeps_the_memory_layout(layout):
    x = torch.randn(2, 8, 4, 4).to(memory_format=layout)
    kernel = torch.randn(8, 8, 3, 3).to(memory_format=layout)
    assert upsampled_convolution(x, kernel, None, x.dtype).is_contiguous(memory_format=layout)


def test_in_bf16_it_is_as_exact_as_the_plain_form():
    generator = torch.Generator().manual_seed(0)
    x, kernel = torch.randn(8, 32, 8, 8, generator=generator), torch.randn(16, 32, 3, 3, generator=generator) / 17
    exact = plain(x, kernel, None)
    slow = plain(x.bfloat16(), kernel.bfloat16(), None).float()
    quick = upsampled_convolution(x.bfloat16(), kernel, None, torch.bfloat16).float()
    assert (quick - exact).square().mean() < 1.5 * (slow - exact).square().mean()


def test_a_block_does_less_work_and_gives_the_same():
    block = GeneratorBlock(8, 4, 0, sets=1, upsample="nearest").double()
    initialise(block, torch.Generator().manual_seed(0))
    x, condition = torch.randn(4, 8, 4, 4, dtype=torch.float64), torch.zeros(2, 0, dtype=torch.float64)
    h = plain(block.norm1(x, condition, 2), block.conv1.effective_weight(), block.conv1.bias)
    h = block.conv2(block.norm2(h, condition, 2))
    torch.testing.assert_close(block(x, condition, 2), h + F.interpolate(block.skip(x), scale_factor=2))
