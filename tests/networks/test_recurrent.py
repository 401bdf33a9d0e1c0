import math
from unittest.mock import patch

import pytest
import torch

from dvdgan.networks import kernels, power_iterate
from dvdgan.networks.folding import fold_time, unfold_time
from dvdgan.networks.layers import initialise
from dvdgan.networks.recurrent import ConvGRU, spread_memory


@pytest.fixture
def gru():
    gru = ConvGRU(3, 5).double()
    initialise(gru)
    for parameter in gru.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    power_iterate(gru, 30)
    return gru


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize(("candidate_bias", "expected"), [(0.0, 0.25 * 1 + 0.75 * 5), (-9.0, 0.25 * 1)])
def test_one_step_by_hand(quick, candidate_bias, expected):
    """One pixel, one channel, h = 1 and x = 2: r = 3/4, u = 1/4 (of the old state), c = relu(4 · 3/4 · 1 + 2 + b)."""
    gru = ConvGRU(1, 1, spectral_norm=False).double()
    with torch.no_grad():
        for gate, (of_h, of_x), bias in [
            (gru.reset, (math.log(3) / 2, math.log(3) / 4), 0.0),  # sigmoid(log 3) = 3/4
            (gru.update, (-3 * math.log(3), math.log(3)), 0.0),  # sigmoid(-log 3) = 1/4
            (gru.candidate, (4.0, 1.0), candidate_bias),
        ]:
            gate.weight.normal_()  # only the kernel's centre falls on the pixel
            gate.weight[0, :, 1, 1] = torch.tensor([of_h, of_x])
            gate.bias.fill_(bias)
    h, x = (torch.full((1, 1, 1, 1), value, dtype=torch.float64) for value in (1.0, 2.0))
    with patch.object(kernels, "enabled", quick):
        assert gru(x, 1, h).item() == pytest.approx(expected)


@pytest.mark.parametrize("quick", [True, False])
def test_constant_input_is_the_repeated_input(gru, quick):
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64, requires_grad=True)
    repeated = fold_time(x[:, None].expand(-1, 4, -1, -1, -1))
    with patch.object(kernels, "enabled", quick):
        once, every = gru(x, 4, constant=True), gru(repeated, 4)
    torch.testing.assert_close(once, every)
    weights, inputs = torch.randn_like(once), [x, *gru.parameters()]
    for ours, theirs in zip(
        torch.autograd.grad((once * weights).sum(), inputs), torch.autograd.grad((every * weights).sum(), inputs)
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("quick", [True, False])
def test_states_carry_on(gru, quick):
    """Unrolling in two parts, handing the state over, equals unrolling at once."""
    clip = torch.randn(2, 5, 3, 6, 6, dtype=torch.float64)
    with patch.object(kernels, "enabled", quick):
        whole = unfold_time(gru(fold_time(clip), 5), 5)
        first = unfold_time(gru(fold_time(clip[:, :2]), 2), 2)
        rest = unfold_time(gru(fold_time(clip[:, 2:]), 3, first[:, -1]), 3)
    torch.testing.assert_close(torch.cat([first, rest], 1), whole)


def test_memory_spreads_from_one_frame_to_the_clip():
    gru = ConvGRU(3, 2000)
    spread_memory(gru, 12, torch.Generator().manual_seed(0))
    memory = gru.update.bias.detach().exp()  # u / (1 - u)
    assert memory.min() >= 1
    assert memory.max() <= 11 + 1e-4
    assert float(memory.log().mean()) == pytest.approx(math.log(11) / 2, abs=0.05)
