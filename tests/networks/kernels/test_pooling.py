from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from plain_and_quick import LAYOUTS, TYPES, assert_forms_agree, randomised

from dvdgan.networks import kernels
from dvdgan.networks.blocks import DiscriminatorBlock
from dvdgan.networks.kernels import pooling


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(("volumetric", "halve_time", "frames"), [(False, False, 1), (True, False, 2), (True, True, 5)])
@pytest.mark.parametrize("size", [(2, 2), (8, 6), (5, 7)])
def test_a_block_is_the_same_with_it(dtype, layout, first, volumetric, halve_time, frames, size):
    block = DiscriminatorBlock(5, 7, True, first, volumetric, downsample_time=halve_time)
    block = randomised(block, dtype, layout)
    x = torch.randn(2, 5, *((frames,) if volumetric else ()), *size).to(dtype).requires_grad_()
    assert_forms_agree(lambda: block(x), [x, *block.parameters()], dtype)


@pytest.mark.parametrize("volumetric", [True, False])
def test_no_large_picture_is_pooled(volumetric):
    block = DiscriminatorBlock(4, 4, True, volumetric=volumetric)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(2, 4, *((3,) if volumetric else ()), 8, 8)
    with patch.object(F, "avg_pool2d", side_effect=AssertionError("pooled")):
        assert block(x).shape[-2:] == (4, 4)


def test_a_kernel_of_ones_counts_how_often_a_pixel_is_under_it():
    row = torch.tensor([1.0, 2, 2, 1]) / 2
    torch.testing.assert_close(pooling.pooled_kernel(torch.ones(1, 1, 3, 3))[0, 0], torch.outer(row, row))
    torch.testing.assert_close(pooling.pooled_kernel(torch.ones(1, 1, 1, 1, 1)), torch.full((1, 1, 1, 2, 2), 0.25))


def test_in_bf16_it_is_as_exact_as_the_plain_form():
    block = randomised(DiscriminatorBlock(16, 32, True), torch.float32, torch.channels_last)
    x = torch.randn(8, 16, 8, 8)
    found = {}
    for enabled in (True, False):
        with patch.object(kernels, "enabled", enabled), torch.autocast("cpu", torch.bfloat16):
            found[enabled] = block(x.bfloat16()).double()
    exact = block.double()(x.bfloat16().double())
    assert (found[True] - exact).square().mean() < 1.1 * (found[False] - exact).square().mean()


def test_penalties_differentiate_it_twice():
    block = randomised(DiscriminatorBlock(3, 4, True), torch.float64, torch.channels_last)
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    found = []
    for enabled in (True, False):
        with patch.object(kernels, "enabled", enabled):
            (dx,) = torch.autograd.grad(block(x).square().sum(), x, create_graph=True)
            found.append(torch.autograd.grad(dx.square().sum(), [*block.parameters()]))
    for ours, theirs in zip(*found):
        torch.testing.assert_close(ours, theirs)
