from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F

from dvdgan.networks import kernels
from dvdgan.networks.batch_norm import BatchNormReLU
from dvdgan.networks.folding import fold_time, unfold_time
from dvdgan.networks.layers import initialise


@pytest.mark.parametrize("per_step", [True, False])
@pytest.mark.parametrize("condition_dim", [5, 0])
def test_norm_equals_pytorchs(per_step, condition_dim):
    frames, batch = 3, 4
    norm = BatchNormReLU(6, condition_dim, frames if per_step else 1, spectral_norm=False).double()
    for parameter in norm.parameters():
        torch.nn.init.normal_(parameter)
    clip, condition = torch.randn(batch, frames, 6, 3, 5).double(), torch.randn(batch, condition_dim).double()
    groups = [clip[:, t] for t in range(frames)] if per_step else [clip.flatten(0, 1)]
    normal = torch.cat([F.batch_norm(group, None, None, training=True) for group in groups])
    normal = unfold_time(normal, frames) if per_step else normal.unflatten(0, (batch, frames))
    gain, bias = (part.expand(batch, -1)[:, None, :, None, None] for part in norm.affine(condition))
    expected = torch.relu(gain * normal + bias)
    for quick in (True, False):
        with patch.object(kernels, "enabled", quick):
            found = unfold_time(norm(fold_time(clip), condition, frames), frames)
        torch.testing.assert_close(found, expected)


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
@pytest.mark.parametrize("quick", [True, False])
def test_evaluation_equals_training_on_the_same_statistics(layout, quick, monkeypatch):
    monkeypatch.setattr(kernels, "enabled", quick)
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
