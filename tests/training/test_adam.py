"""Adam is PyTorch's to the last bit, and keeps no first moment that it does not need."""

import pytest
import torch

from dvdgan.training.adam import Adam


def weights():
    noise = torch.Generator().manual_seed(0)
    shapes = [(7, 5, 3, 3), (33,), (65, 40), ()]
    made = [torch.nn.Parameter(torch.randn(shape, generator=noise)) for shape in shapes]
    made[0].data = made[0].data.contiguous(memory_format=torch.channels_last)
    return made


def descend(optimiser, parameters, steps, seed=1):
    noise = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        for parameter in parameters:
            size = 10 ** torch.randn((), generator=noise)
            parameter.grad = size * torch.randn(parameter.shape, generator=noise)
        optimiser.step()


@pytest.mark.parametrize("beta1", [0.0, 0.5])
def test_updates_are_those_of_pytorch(beta1):
    ours, theirs = weights(), weights()
    descend(Adam(ours, 1e-2, (beta1, 0.999), 1e-6), ours, 30)
    descend(torch.optim.Adam(theirs, 1e-2, (beta1, 0.999), 1e-6, fused=True), theirs, 30)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs))
    assert not any(torch.equal(a, b) for a, b in zip(ours, weights()))


def test_a_first_moment_is_kept_only_where_it_counts():
    for beta1, names in ((0.0, {"step", "exp_avg_sq"}), (0.5, {"step", "exp_avg", "exp_avg_sq"})):
        parameters = weights()
        optimiser = Adam(parameters, 1e-2, (beta1, 0.999), 1e-6)
        descend(optimiser, parameters, 1)
        assert set(optimiser.state[parameters[0]]) == names


def test_it_goes_on_from_the_state_of_pytorchs():
    """Checkpoints from before have a first moment, which goes."""
    ours, theirs = weights(), weights()
    before = torch.optim.Adam(theirs, 1e-2, (0.0, 0.999), 1e-6, fused=True)
    descend(before, theirs, 5)
    after = Adam(ours, 1e-2, (0.0, 0.999), 1e-6)
    for a, b in zip(ours, theirs):
        a.data.copy_(b)
        after.state[a] = {name: value.clone() for name, value in before.state[b].items()}
    descend(before, theirs, 5, seed=2)
    descend(after, ours, 5, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs))
    assert set(after.state[ours[0]]) == {"step", "exp_avg_sq"}


def test_parameters_without_a_gradient_stay():
    parameters = weights()
    optimiser = Adam(parameters, 1e-2, (0.0, 0.999), 1e-6)
    parameters[1].grad = torch.ones(33)
    optimiser.step()
    assert [torch.equal(a, b) for a, b in zip(parameters, weights())] == [True, False, True, True]
