import math

import pytest
import torch
import torch.nn.functional as F

from dvdgan.networks.folding import fold_time, unfold_time
from dvdgan.networks.layers import initialise, power_iterate
from dvdgan.networks.recurrent import ConvGRU


def textbook(gru, clip, state):
    """The paper's equations, step by step, with concatenations."""

    def gate(layer, *parts):
        weight = layer.weight / layer.sigma()
        return F.conv2d(torch.cat(parts, 1), weight, layer.bias, padding=1)

    states = []
    for x in clip.unbind(1):
        r = torch.sigmoid(gate(gru.reset, state, x))
        u = torch.sigmoid(gate(gru.update, state, x))
        c = torch.relu(gate(gru.candidate, r * state, x))
        state = u * state + (1 - u) * c
        states.append(state)
    return torch.stack(states, 1)


@pytest.fixture
def gru():
    gru = ConvGRU(3, 5).double()
    initialise(gru)
    for parameter in gru.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    power_iterate(gru, 30)
    return gru


@pytest.mark.parametrize("with_state", [True, False])
def test_equals_the_equations(gru, with_state):
    clip = torch.randn(2, 4, 3, 6, 6, dtype=torch.float64, requires_grad=True)
    state = torch.randn(2, 5, 6, 6, dtype=torch.float64) if with_state else None
    quick = unfold_time(gru(fold_time(clip), 4, state), 4)
    plain = textbook(gru, clip, state if with_state else torch.zeros(2, 5, 6, 6, dtype=torch.float64))
    torch.testing.assert_close(quick, plain)
    weights = torch.randn_like(quick)
    inputs = [clip, *gru.parameters()]
    for ours, theirs in zip(
        torch.autograd.grad((quick * weights).sum(), inputs), torch.autograd.grad((plain * weights).sum(), inputs)
    ):
        torch.testing.assert_close(ours, theirs)


def test_constant_input_is_the_repeated_input(gru):
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    x.requires_grad_()
    repeated = fold_time(x[:, None].expand(-1, 4, -1, -1, -1))
    once, every = gru(x, 4, constant=True), gru(repeated, 4)
    torch.testing.assert_close(once, every)
    weights, inputs = torch.randn_like(once), [x, *gru.parameters()]
    for ours, theirs in zip(
        torch.autograd.grad((once * weights).sum(), inputs), torch.autograd.grad((every * weights).sum(), inputs)
    ):
        torch.testing.assert_close(ours, theirs)


def test_gradient_reaches_the_first_state(gru):
    clip = torch.randn(2, 4, 3, 6, 6, dtype=torch.float64)
    state = torch.randn(2, 5, 6, 6, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, 4, 5, 6, 6, dtype=torch.float64)
    quick = (unfold_time(gru(fold_time(clip), 4, state), 4) * weights).sum()
    plain = (textbook(gru, clip, state) * weights).sum()
    torch.testing.assert_close(torch.autograd.grad(quick, state), torch.autograd.grad(plain, state))


def test_states_carry_on(gru):
    """Unrolling in two parts, handing the state over, equals unrolling at once."""
    clip = torch.randn(2, 5, 3, 6, 6, dtype=torch.float64)
    whole = unfold_time(gru(fold_time(clip), 5), 5)
    first = unfold_time(gru(fold_time(clip[:, :2]), 2), 2)
    rest = unfold_time(gru(fold_time(clip[:, 2:]), 3, first[:, -1]), 3)
    torch.testing.assert_close(torch.cat([first, rest], 1), whole)


def test_memory_spreads_from_one_frame_to_the_clip():
    gru = ConvGRU(3, 2000)
    gru.spread_memory(12, torch.Generator().manual_seed(0))
    memory = gru.update.bias.detach().exp()  # u / (1 - u)
    assert memory.min() >= 1
    assert memory.max() <= 11 + 1e-4
    assert float(memory.log().mean()) == pytest.approx(math.log(11) / 2, abs=0.05)
