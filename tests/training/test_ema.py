import pytest
import torch

from conftest import tiny_network
from dvdgan.config.training import EmaConfig
from dvdgan.networks import Generator
from dvdgan.training.ema import WeightAverage


def test_decay_warms_up_to_its_value():
    average = WeightAverage(torch.nn.Linear(1, 1), EmaConfig(decay=0.99))
    assert average.decay(0) == pytest.approx(0.1)
    assert average.decay(90) == pytest.approx(0.91)
    assert average.decay(10_000) == 0.99


def test_copies_until_start():
    layer = torch.nn.Linear(2, 2)
    average = WeightAverage(layer, EmaConfig(decay=0.5, start=2, warmup=False))
    for step, expected in ((0, 1.0), (1, 1.0), (2, 0.5), (3, 0.25)):
        if step == 0:
            layer.weight.data.fill_(1.0)
        elif step == 2:
            layer.weight.data.fill_(0.0)
        average.update(layer, step)
        assert average.parameters["weight"].unique().tolist() == pytest.approx([expected])


def test_averages_on_known_numbers():
    layer = torch.nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(0.0)
    average = WeightAverage(layer, EmaConfig(decay=0.9, warmup=False))
    layer.weight.data.fill_(1.0)
    for step in range(3):
        average.update(layer, step)
    assert float(average.parameters["weight"]) == pytest.approx(1 - 0.9**3)


def test_folded_generator_has_settled_norms_and_leaves_the_run_alone():
    network = Generator(tiny_network())
    average = WeightAverage(network, EmaConfig())
    for value in average.parameters.values():
        value.add_(0.3 * torch.randn_like(value))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    folded = average.folded_generator(network)
    for name, parameter in folded.named_parameters():
        if name.endswith("weight") and "embed" not in name:
            norm = float(torch.linalg.matrix_norm(parameter.flatten(1), 2))
            assert norm == pytest.approx(1.0, abs=0.02), name
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
