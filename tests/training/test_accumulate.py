"""A step in parts: the same for discriminators; for G, whose batch norms see a part at a time, the mean over parts."""

import pytest
import torch

from conftest import tiny_config, tiny_network
from dvdgan.config import Config
from dvdgan.training.batches import Batch
from dvdgan.training.generate import generate
from dvdgan.training.state import TrainingState
from dvdgan.training.step import discriminator_step, generator_step

LABELS = torch.tensor([0, 0, 1, 1, 2, 2, 0, 0])
PARTS = ([0, 1, 4, 5], [2, 3, 6, 7])  # groups of two, dealt out in turn


def new_state(parts, **options):
    fields = {
        "batch_size": 8,
        "adam_eps": 1.0,
        "accumulate": parts,
        "regularisation": {"r1": 1.0, "every": 1, "noise": 0.1},
    }
    config = tiny_config("unused", **{**fields, **options})
    network = tiny_network(spatial={"group": 2}, temporal={"group": 2})
    return TrainingState(config.model_copy(update={"network": network}), torch.device("cpu"), "fp32", "contiguous")


def real_clips():
    return Batch(torch.rand(8, 4, 3, 32, 32, generator=torch.Generator().manual_seed(3)) * 2 - 1, LABELS)


def assert_equal_weights(a, b):
    for name in a.networks:
        ours, theirs = a.networks[name].state_dict(), b.networks[name].state_dict()
        for key, value in ours.items():
            assert torch.allclose(value, theirs[key], rtol=1e-4, atol=1e-6), (name, key)


def test_a_discriminator_step_in_parts_is_the_same():
    whole, parts = new_state(1), new_state(2)
    fake = Batch(real_clips().clips.flip(0), LABELS)
    expected, found = (discriminator_step(state, real_clips(), fake) for state in (whole, parts))
    assert_equal_weights(parts, whole)
    for name, one in expected.items():
        for kind in ("loss", "real", "fake", "gradient", "penalty_real"):
            assert getattr(found[name], kind) == pytest.approx(getattr(one, kind), rel=1e-4)


def test_lecams_averages_move_as_far_in_parts():
    """A step's parts move them as one step does, whose scores are all alike."""
    averages = []
    for parts in (1, 4):
        state = new_state(parts, batch_size=8, regularisation={"lecam": 0.1, "lecam_decay": 0.9})
        lecam = state.lecam["spatial"]
        for _ in range(parts):
            lecam(torch.full((8 // parts,), 2.0), torch.full((8 // parts,), -1.0))
        averages.append((lecam.real, lecam.fake))
    assert averages[0] == pytest.approx((0.2, -0.1))
    assert averages[1] == pytest.approx(averages[0])


def test_a_generator_step_in_parts_takes_the_mean_gradient_and_the_same_noise():
    whole, parts = new_state(1), new_state(2)
    made, _ = generator_step(parts, real_clips(), labels=LABELS)
    assert made.labels.tolist() == [int(LABELS[row]) for part in PARTS for row in part]

    # by hand: each part through batch norm of its own, with the noise of its places in the batch
    clips = torch.empty(8, 4, 3, 32, 32)
    for part, alone in zip(PARTS, made.clips.chunk(2)):
        clips[part] = generate(whole, LABELS[part], part=part).clips
        torch.testing.assert_close(alone, clips[part].detach())
    generator_step(whole, real_clips(), Batch(clips, LABELS))
    assert_equal_weights(parts, whole)

    without_graph = generate(parts, LABELS, 0).clips
    assert without_graph.shape == clips.shape
    with torch.no_grad():
        alone = generate(whole, LABELS, 0).clips
    assert not torch.allclose(without_graph, alone, atol=1e-3)  # batch norm saw parts


def test_parts_that_cannot_be_equal_or_keep_a_graph_are_refused():
    config = tiny_config("unused", batch_size=6, accumulate=3)
    fields = config.model_dump()
    for change, message in (
        ({"batch_size": 8}, r"training\.batch_size=9"),
        ({"reuse_fakes": True}, r"training\.reuse_fakes=false"),
    ):
        with pytest.raises(ValueError, match=message):
            Config(**{**fields, "training": {**fields["training"], **change}})
