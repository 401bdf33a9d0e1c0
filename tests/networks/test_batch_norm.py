import pytest
import torch

from dvdgan.networks.batch_norm import BatchNormReLU
from dvdgan.networks.folding import fold_time, unfold_time
from dvdgan.networks.layers import initialise


def textbook_norm(x, gain, bias, per_step):
    """Batch norm, affine map per sample, ReLU, written out over ``[B, T, C, H, W]``."""
    dims = (0, 3, 4) if per_step else (0, 1, 3, 4)
    mean = x.mean(dims, keepdim=True)
    var = x.var(dims, unbiased=False, keepdim=True)
    normal = (x - mean) / torch.sqrt(var + 1e-5)
    return torch.relu(gain[:, None, :, None, None] * normal + bias[:, None, :, None, None])


@pytest.mark.parametrize("per_step", [True, False])
@pytest.mark.parametrize("condition", [5, 0])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(4, 4), (3, 5)])
def test_norm_equals_textbook(per_step, condition, layout, size):
    frames, batch = 3, 4
    norm = BatchNormReLU(6, condition, frames if per_step else 1, spectral_norm=False).double()
    for parameter in norm.parameters():
        torch.nn.init.normal_(parameter)
    clip = torch.randn(batch, frames, 6, *size, dtype=torch.float64, requires_grad=True)
    c = torch.randn(batch, condition, dtype=torch.float64)
    weights = torch.randn(batch, frames, 6, *size, dtype=torch.float64)

    def gradients(out):
        return torch.autograd.grad((out * weights).sum(), [clip, *norm.parameters()])

    folded = norm(fold_time(clip).contiguous(memory_format=layout), c, frames)
    assert folded.is_contiguous(memory_format=layout)
    quick = unfold_time(folded, frames)
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


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_evaluation_equals_training_on_the_same_statistics(layout):
    norm = BatchNormReLU(6, 5, 3, spectral_norm=False).double()
    for parameter in norm.parameters():
        torch.nn.init.normal_(parameter)
    norm.observer = []
    x = torch.randn(12, 6, 3, 5, dtype=torch.float64).contiguous(memory_format=layout)
    c = torch.randn(4, 5, dtype=torch.float64)
    trained = norm(x, c, 3)
    for buffer, value in zip((norm.mean, norm.var), norm.observer[0]):
        buffer.copy_(value)
    torch.testing.assert_close(norm.eval()(x, c, 3), trained)


def test_evaluation_reuses_the_last_step_beyond_training():
    norm = BatchNormReLU(2, 0, 3, False).eval()
    norm.mean.copy_(torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]))
    x = torch.randn(4, 2, 3, 3)
    clip = x[:, None].expand(-1, 5, -1, -1, -1)
    out = unfold_time(norm(fold_time(clip), torch.zeros(4, 0), 5), 5)
    assert torch.equal(out[:, 2], out[:, 4])
    assert not torch.equal(out[:, 1], out[:, 2])
