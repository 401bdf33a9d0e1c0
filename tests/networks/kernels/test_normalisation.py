from unittest.mock import patch

import pytest
import torch
from plain_and_quick import LAYOUTS, TYPES, activations, assert_forms_agree, randomised

from dvdgan.networks import kernels
from dvdgan.networks.batch_norm import NORM_EPS, BatchNormReLU, batch_statistics, normalise
from dvdgan.networks.kernels.batch_norm import normalise as quick_normalise
from dvdgan.networks.kernels.batch_norm import normalise_batch

FRAMES, BATCH = 3, 4


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("per_step", [True, False])
@pytest.mark.parametrize("condition_dim", [5, 0])
@pytest.mark.parametrize("size", [(4, 4), (3, 5), (1, 1)])
@pytest.mark.parametrize("training", [True, False])
def test_quick_norm_equals_the_plain_one(dtype, layout, per_step, condition_dim, size, training):
    norm = randomised(BatchNormReLU(6, condition_dim, FRAMES if per_step else 1, spectral_norm=True), dtype, layout)
    norm.train(training)
    norm.mean.normal_()
    norm.var.uniform_(0.5, 2.0)
    x = activations(FRAMES * BATCH, 6, *size, dtype=dtype, layout=layout)
    condition = torch.randn(BATCH, condition_dim, dtype=norm.mean.dtype)
    assert_forms_agree(lambda: norm(x, condition, FRAMES), [x, *norm.parameters()], dtype)
    assert norm(x, condition, FRAMES).is_contiguous(memory_format=layout)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("per_step", [True, False])
def test_statistics_that_are_observed_are_the_same(dtype, layout, per_step):
    norm = BatchNormReLU(6, 0, FRAMES if per_step else 1, spectral_norm=False)
    x = 3 + torch.randn(FRAMES * BATCH, 6, 3, 5).to(dtype).contiguous(memory_format=layout)
    norm.observer = []
    for enabled in (True, False):
        with patch.object(kernels, "enabled", enabled):
            norm(x, torch.zeros(BATCH, 0), FRAMES)
    quick, plain = norm.observer
    tolerance = {"rtol": 1e-2, "atol": 1e-2} if dtype == torch.bfloat16 else {"rtol": 1e-5, "atol": 1e-5}
    for ours, theirs in zip(quick, plain):
        assert ours.shape == theirs.shape == (FRAMES if per_step else 1, 6)
        torch.testing.assert_close(ours, theirs, **tolerance)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (8.0, 0.25), (30.0, 0.25)])
def test_bf16_statistics_do_not_cancel(mean, std):
    """The variance of bf16 activations is right even where their mean is many times their deviation."""
    x = (mean + std * torch.randn(24, 4, 8, 8)).bfloat16()
    gain, bias = torch.ones(1, 4), torch.zeros(1, 4)
    y, found_mean, found_var = normalise_batch(x, gain, bias, 1, False, NORM_EPS, False)
    exact_mean, exact_var = batch_statistics(x.double(), 1, per_step=False)
    torch.testing.assert_close(found_mean.double(), exact_mean, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found_var.double(), exact_var, rtol=1e-2, atol=0)
    exact = normalise(x.double(), exact_mean, exact_var, gain, bias, 1, NORM_EPS)
    assert (y.double() - exact).abs().max() < 0.05
    assert (quick_normalise(x, found_mean, found_var, gain, bias, 1, NORM_EPS).double() - exact).abs().max() < 0.05
