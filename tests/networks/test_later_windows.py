"""Windows of longer clips as G is trained on them: what a finished generator streams there."""

import pytest
import torch

from conftest import tiny_network
from dvdgan.networks import Generator, estimate_statistics, kernels
from dvdgan.networks.blocks import GeneratorBlock
from dvdgan.networks.checkpointing import set_checkpointing
from dvdgan.networks.recurrent import ConvGRU

GENERATOR = {"time_code": 4, "recurrent_at": [4, 8], "gate_bias": "log_uniform"}
T = 4  # frames that these generators make


def generator_of(first_frames=0, **fields):
    config = tiny_network(
        frames=T + first_frames,
        first_frames=first_frames,
        generator=GENERATOR | {"copy_given": first_frames > 0} | fields,
    )
    first = torch.rand(6, first_frames, 3, 32, 32) * 2 - 1 if first_frames else None
    return Generator(config, torch.Generator().manual_seed(0)), torch.randn(6, 8), torch.arange(6) % 3, first


def gradients(network, z, y, **options):
    clips = network(z, y, **options)
    weights = torch.randn(clips.shape, generator=torch.Generator().manual_seed(1))
    names, parameters = zip(*network.named_parameters())
    return dict(zip(names, torch.autograd.grad((clips * weights).sum(), parameters)))


@pytest.mark.parametrize("quick", [True, False], ids=["kernels", "plain"])
@pytest.mark.parametrize("first_frames", [0, 2])
@pytest.mark.parametrize("recurrence", ["gru", "trajgru", "tsru_c"])
def test_a_window_in_training_is_what_is_streamed(monkeypatch, recurrence, first_frames, quick):
    """From any frame on, with the statistics of the very batch."""
    monkeypatch.setattr(kernels, "enabled", quick)
    network, z, y, first = generator_of(first_frames, recurrence=recurrence)
    starts = (1, T - 1, T, T + 1, 2 * T + 1)  # across the last trained step, from it on, and beyond
    windows = {start: network(z, y, first=first, after=start) for start in starts}
    estimate_statistics(network, [(z, y) if first is None else (z, y, first)])
    streamed = torch.cat(list(network.stream(z, y, 4 * T, chunk=3, first=first)), 1)
    assert (streamed[:, T:] - streamed[:, :-T]).abs().mean() > 0.04
    for start, window in windows.items():
        torch.testing.assert_close(window, streamed[:, start : start + T], rtol=0, atol=1e-4, msg=f"from {start} on")


def test_only_the_window_and_the_last_trained_step_have_a_graph_and_the_rest_makes_states():
    network, z, y, _ = generator_of()
    calls = {"recurrences": [], "last blocks": []}

    def counting(name, frames):
        return lambda _, inputs, __: calls[name].append((torch.is_grad_enabled(), inputs[frames]))

    for module in network.modules():
        if isinstance(module, ConvGRU):
            module.register_forward_hook(counting("recurrences", 1))
    for block in network.stages["stage_16"].modules():
        if isinstance(block, GeneratorBlock):
            block.register_forward_hook(counting("last blocks", 2))
    network(z, y, after=2 * T + 1)

    def frames(name, graph):
        return sum(count for with_graph, count in calls[name] if with_graph == graph)

    assert (frames("recurrences", True), frames("recurrences", False)) == (2 * (1 + T), 2 * 2 * T)
    blocks = network.config.generator.blocks_per_stage
    assert (frames("last blocks", True), frames("last blocks", False)) == (blocks * (1 + T), 0)


@pytest.mark.parametrize("start", [T - 1, T, 2 * T + 1])
def test_statistics_of_the_last_step_take_back_what_a_bias_before_a_norm_does(start):
    """Or such biases would grow without end: their gradient would not see that the statistics follow them."""
    network, z, y, _ = generator_of()
    found = gradients(network, z, y, after=start)
    for name in found:
        if name.endswith("conv1.bias"):
            assert found[name].norm() < 1e-4 * found[name.replace("bias", "weight")].norm(), name


@pytest.mark.parametrize("kind", ["stages", "chunks"])
@pytest.mark.parametrize("start", [2, T, 2 * T + 1])
def test_gradients_are_the_same_when_activations_are_computed_again(kind, start):
    network, z, y, _ = generator_of()
    expected = gradients(network, z, y, after=start)
    set_checkpointing(network, kind)
    for name, found in gradients(network, z, y, after=start).items():
        torch.testing.assert_close(found, expected[name], rtol=1e-2, atol=1e-2, msg=name)


def test_every_parameter_has_a_gradient_also_where_none_comes_to_the_first_frames():
    network, z, y, first = generator_of(first_frames=1)
    found = gradients(network, z, y, first=first, after=T + 1)
    of_first = [name for name in found if name.startswith("conditioning")]
    assert of_first
    assert not any(found[name].any() for name in of_first)
    assert all(found[name].any() for name in found if name not in of_first)


@pytest.mark.parametrize("fields", [{"norm_statistics": "shared"}, {"attention": "full", "attention_at": 16}])
def test_windows_that_cannot_be_made_alone_are_refused(fields):
    network, z, y, _ = generator_of(**fields)
    with pytest.raises(ValueError, match="from their first frame on"):
        network(z, y, after=1)
