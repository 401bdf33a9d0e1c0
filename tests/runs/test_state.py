import pytest
import torch

from dvdgan.runs.checkpoint import CheckpointError, restore_newest, save_checkpoint
from dvdgan.runs.state import RunState
from support.runs import quiet


def new_state(width=3):
    torch.manual_seed(0)
    network = torch.nn.Linear(width, 2)
    return RunState({"net": network}, {"adam": torch.optim.Adam(network.parameters(), 0.1)}, {"other": torch.zeros(2)})


def train_a_step(state):
    network, optimiser = state.networks["net"], state.optimisers["adam"]
    optimiser.zero_grad()
    network(torch.ones(1, network.in_features)).sum().backward()
    optimiser.step()
    state.means.add("net", "loss", 1.5)
    state.step, state.lines = state.step + 1, 7


def test_a_restored_state_goes_on_as_the_first_would_have(tmp_path):
    state, again = new_state(), new_state()
    train_a_step(state)
    save_checkpoint(tmp_path, state.step, state.tensors(), state.numbers())
    weight = again.networks["net"].weight
    assert restore_newest(tmp_path, again.restore, quiet) == state.numbers() == again.numbers()
    assert again.networks["net"].weight is weight
    for one in (state, again):
        train_a_step(one)
    ours, theirs = state.tensors(), again.tensors()
    assert ours.keys() == theirs.keys() >= {"net/weight", "adam/0/exp_avg", "other"}
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    assert again.means.take() == {"net": {"loss": 1.5}}


def test_what_does_not_fit_is_refused(tmp_path):
    state = new_state()
    save_checkpoint(tmp_path, 1, state.tensors(), state.numbers())
    with pytest.raises(CheckpointError, match=r"is another network's \(net/weight .*--out"):
        restore_newest(tmp_path, new_state(width=4).restore, quiet)
    with pytest.raises(CheckpointError, match="means"):
        state.restore(state.tensors(), state.numbers() | {"means": {"loss": [1.5, 1]}})
