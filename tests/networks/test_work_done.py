"""Nothing is computed twice: mistakes of earlier re-implementations, counted."""

from itertools import pairwise
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from conftest import tiny_config, tiny_network, write_store
from dvdgan.config.files import updated
from dvdgan.networks import Generator, SpatialDiscriminator, TemporalDiscriminator
from dvdgan.networks.layers import SpectralWeight
from dvdgan.networks.recurrent import ConvGRU
from dvdgan.training import step as training_step
from dvdgan.training import train
from dvdgan.training.batches import Batch
from dvdgan.training.generate import generate
from dvdgan.training.state import TrainingState
from dvdgan.training.step import discriminator_step, generator_step


def convolutions(run):
    """How many 2-D and 3-D convolutions a call makes."""
    with patch.object(F, "conv2d", wraps=F.conv2d) as flat, patch.object(F, "conv3d", wraps=F.conv3d) as deep:
        run()
    return flat.call_count + deep.call_count


def test_weights_are_normalised_once_per_forward():
    network = Generator(tiny_network(frames=6))
    with patch.object(SpectralWeight, "sigma", autospec=True, side_effect=SpectralWeight.sigma) as sigma:
        network(torch.randn(2, 8), torch.tensor([0, 1]))
    layers = [module for module in network.modules() if isinstance(module, SpectralWeight) and module.spectral_norm]
    assert sigma.call_count == len(layers)


def test_recurrence_convolves_only_the_state_in_its_loop():
    gru = ConvGRU(3, 4)
    with torch.no_grad():
        for parameter in gru.parameters():
            parameter.normal_()
        gru.reset.power_iterate(), gru.update.power_iterate(), gru.candidate.power_iterate()
    for frames in (1, 4, 9):
        x = torch.randn(2 * frames, 3, 6, 6)
        assert convolutions(lambda x=x, frames=frames: gru(x, frames)) == 2 + 2 * (frames - 1)


def test_recurrence_takes_its_kernel_gradients_once_for_all_frames():
    class Counting(TorchDispatchMode):
        """Counts backward passes of convolutions, which give the gradients of kernels."""

        backward = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            Counting.backward += function is torch.ops.aten.convolution_backward.default
            return function(*args, **(kwargs or {}))

    gru = ConvGRU(3, 4)
    with torch.no_grad():
        for parameter in gru.parameters():
            parameter.normal_()
    y = gru(torch.randn(2 * 7, 3, 6, 6), 7)
    with Counting():
        inputs = convolutions(lambda: y.sum().backward())
    assert Counting.backward == 4, "the input side and the state side, of the gates and of the candidate"
    assert inputs == 2 * 6, "none of the first step, whose state is zero, nor of an input without gradient"


@pytest.mark.parametrize("build", [SpatialDiscriminator, TemporalDiscriminator])
def test_discriminators_loop_over_no_frames(build):
    discriminator = build(tiny_network())
    size, y = (32, 16)[build is TemporalDiscriminator], torch.tensor([0, 1])
    counts = {convolutions(lambda k=k: discriminator(torch.randn(2, k, 3, size, size), y)) for k in (1, 2, 4)}
    assert len(counts) == 1


def test_generator_runs_once_per_discriminator_step(tmp_path):
    config = updated(tiny_config(write_store(tmp_path / "store")), network={"classes": 3})
    state = TrainingState(config, torch.device("cpu"), "fp32", "contiguous")
    y = torch.tensor([0, 1, 2])
    calls = {"G": 0, "D": 0}

    def counted(name):
        return lambda *_: calls.__setitem__(name, calls[name] + 1)

    state.generator.register_forward_hook(counted("G"))
    for discriminator in state.discriminators.values():
        discriminator.register_forward_hook(counted("D"))
    discriminator_step(state, Batch(torch.zeros(3, 4, 3, 32, 32), y), generate(state, y, 0))
    assert calls == {"G": 1, "D": 2}, "one batch of fakes; real and fake in one call of each discriminator"


@pytest.mark.parametrize(("reuse", "times"), [(False, 3), (True, 2)])
def test_generator_runs_per_step(tmp_path, monkeypatch, reuse, times):
    """Once per discriminator step and once for its own; with reuse_fakes the last two are one."""
    calls = []
    forward = Generator.forward
    monkeypatch.setattr(
        Generator, "forward", lambda self, *args, **named: calls.append(self.training) or forward(self, *args, **named)
    )
    config = tiny_config(write_store(tmp_path / "store"), steps=3, d_steps=2, reuse_fakes=reuse, sample_every=100)
    before = []

    def counted(*args):
        found = generator_step(*args)
        before.append(sum(calls))
        return found

    monkeypatch.setattr(training_step, "generator_step", counted)
    train(config, tmp_path / "run", say=lambda text: None)
    assert [after - earlier for earlier, after in pairwise(before)] == [times, times]


def test_reused_clips_are_those_that_g_would_make(tmp_path):
    config = updated(tiny_config(write_store(tmp_path / "store")), network={"classes": 3})
    y = torch.tensor([0, 1, 2])
    moved = []
    for first in (False, True):  # generated before the discriminators' update, or after it
        state = TrainingState(config, torch.device("cpu"), "fp32", "contiguous")
        state.step, zeros = 5, Batch(torch.zeros(3, 4, 3, 32, 32), y)
        fake = generate(state, y) if first else None
        discriminator_step(state, zeros, zeros)
        generator_step(state, zeros, fake or generate(state, y))
        moved.append(state.generator.state_dict())
    for name, value in moved[0].items():
        torch.testing.assert_close(value, moved[1][name], msg=name)


def test_discriminators_learn_reused_clips_with_the_classes_that_these_were_made_of(tmp_path, monkeypatch):
    updates = {"discriminator_step": [], "generator_step": []}
    for name, seen in updates.items():
        original = getattr(training_step, name)
        monkeypatch.setattr(
            training_step, name, lambda *args, original=original, seen=seen: seen.append(args) or original(*args)
        )
    config = tiny_config(write_store(tmp_path / "store"), steps=2, d_steps=2, reuse_fakes=True, batch_size=8)
    train(config, tmp_path / "run", say=lambda text: None)
    assert len(updates["discriminator_step"]) == 4
    for (_, _, fake, _), (_, _, made, *_) in zip(updates["discriminator_step"][1::2], updates["generator_step"]):
        assert fake is made
        assert fake.clips.requires_grad
    assert not any(fake.clips.requires_grad for _, _, fake, _ in updates["discriminator_step"][::2])
