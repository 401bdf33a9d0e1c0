from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from plain_and_quick import LAYOUTS, TYPES, activations, assert_forms_agree, randomised

from dvdgan.networks import kernels
from dvdgan.networks.blocks import GeneratorBlock
from dvdgan.networks.kernels.upsampling import small_kernels, upsampled_convolution


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [(1, 1), (4, 4), (3, 5)])
def test_a_block_is_the_same_with_it(dtype, layout, size):
    block = randomised(GeneratorBlock(5, 7, 0, 1, upsample="nearest"), dtype, layout)
    x = activations(3, 5, *size, dtype=dtype, layout=layout)
    inputs = [x, block.conv1.weight, block.conv1.bias]
    assert_forms_agree(lambda: block._upsample_and_convolve(x), inputs, dtype)


def test_without_a_bias():
    x, kernel = torch.randn(1, 2, 4, 4), torch.randn(3, 2, 3, 3)
    expected = F.conv2d(F.interpolate(x, scale_factor=2), kernel, padding=1)
    torch.testing.assert_close(upsampled_convolution(x, kernel, None, x.dtype), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_keeps_the_memory_layout(layout):
    x, kernel = torch.randn(2, 8, 4, 4).to(memory_format=layout), torch.randn(8, 8, 3, 3).to(memory_format=layout)
    assert upsampled_convolution(x, kernel, None, x.dtype).is_contiguous(memory_format=layout)


def test_a_kernel_of_ones_counts_the_pixels_under_it():
    assert small_kernels(torch.ones(1, 1, 3, 3)).flatten(1).tolist() == [
        [1, 2, 2, 4],  # even row, even column: one pixel above left, four of its own
        [2, 1, 4, 2],
        [2, 4, 1, 2],
        [4, 2, 2, 1],
    ]


def test_in_bf16_it_is_as_exact_as_the_plain_form():
    block = randomised(GeneratorBlock(32, 16, 0, 1, upsample="nearest"), torch.float32, torch.contiguous_format)
    x = torch.randn(8, 32, 8, 8)
    found = {}
    for enabled in (True, False):
        with patch.object(kernels, "enabled", enabled), torch.autocast("cpu", torch.bfloat16):
            found[enabled] = block._upsample_and_convolve(x.bfloat16()).double()
    exact = block.double()._upsample_and_convolve(x.double())
    assert (found[True] - exact).square().mean() < 1.5 * (found[False] - exact).square().mean()
