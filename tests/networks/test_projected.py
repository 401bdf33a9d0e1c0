import pytest
import torch

from conftest import tiny_network
from dvdgan.config.network import ProjectedConfig
from dvdgan.networks import ProjectedDiscriminator, use_channels_last
from dvdgan.networks.efficientnet import EfficientNetLite0


def build(seed=0, **fields) -> ProjectedDiscriminator:
    """D_P on features with random weights, the same for every seed."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        features = EfficientNetLite0().eval()
    config = tiny_network(projected=ProjectedConfig(width=4, **fields))
    return ProjectedDiscriminator(config, features, torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def frames():
    """Frames ``[6, 2, 3, 32, 32]`` with classes."""
    generator = torch.Generator().manual_seed(2)
    return torch.rand(6, 2, 3, 32, 32, generator=generator) * 2 - 1, torch.arange(6) % 3


def test_features_and_mixtures_stay_and_are_not_saved(frames):
    network = build()
    network.requires_grad_(True)  # as after a step of the generator
    kept = {name: buffer.clone() for name, buffer in network.named_buffers() if not name.startswith("scales")}
    assert any(name.startswith("features") for name in kept)
    assert all(name.startswith("scales") for name in network.state_dict())
    optimiser = torch.optim.SGD(network.parameters(), 1.0)
    network(*frames).sum().backward()
    optimiser.step()
    assert all(torch.equal(network.get_buffer(name), value) for name, value in kept.items())
    assert all(name.startswith("scales") for name, _ in network.named_parameters())


def test_mixtures_are_the_same_in_every_training():
    one, other = build(seed=0), build(seed=1)
    for index in range(4):
        assert torch.equal(one.get_buffer(f"mix_{index}"), other.get_buffer(f"mix_{index}"))
        assert torch.equal(one.get_buffer(f"join_{index}"), other.get_buffer(f"join_{index}"))
    assert not torch.equal(next(one.parameters()), next(other.parameters()))


def test_gradients_reach_every_frame_through_every_scale(frames):
    pixels, labels = frames
    pixels = pixels.clone().requires_grad_(True)
    scores = build()(pixels, labels)
    assert scores.shape == (6, 8)  # two frames, four scales
    for score in scores[0]:
        (gradient,) = torch.autograd.grad(score, pixels, retain_graph=True)
        of_frame = gradient.abs().sum((2, 3, 4))  # [6, 2]
        assert ((of_frame > 0).sum().item(), of_frame[1:].sum().item()) == (1, 0)


def test_a_score_depends_on_its_group_and_class(frames):
    pixels, labels = frames
    network = build(group=3)
    scores = network(pixels, labels)
    changed = pixels.clone()
    changed[0] = -changed[0]
    others = network(changed, labels)
    assert (others[1:3] != scores[1:3]).any()
    assert torch.allclose(others[3:], scores[3:], atol=1e-5)
    assert not torch.allclose(network(pixels, labels.roll(1)), scores)


def test_clips_are_scored_apart(frames):
    """As the processes of a training do with a batch."""
    pixels, labels = frames
    network, found = build(), []
    for parts in ([slice(0, 6)], [slice(0, 2), slice(2, 6)]):
        network.zero_grad()
        for part in parts:
            network(pixels[part], labels[part]).sum().backward()
        found.append(torch.cat([parameter.grad.flatten() for parameter in network.parameters()]))
    assert (found[0] - found[1]).norm() < 1e-5 * found[0].norm()


def test_fixed_weights_are_in_channels_last_too(frames):
    network = build()
    before = network(*frames)
    use_channels_last(network)
    assert network.features.stem.weight.is_contiguous(memory_format=torch.channels_last)
    assert not network.features.stem.weight.is_contiguous()
    torch.testing.assert_close(network(*frames), before, rtol=1e-3, atol=1e-4)


def test_other_sizes():
    network = build(size=256)
    assert list(network.scales) == ["scale_64", "scale_32", "scale_16", "scale_8"]
    assert network(torch.zeros(1, 1, 3, 64, 64), torch.zeros(1, dtype=torch.long)).shape == (1, 4)


def test_without_its_configuration():
    with pytest.raises(ValueError, match=r"network\.projected is null"):
        ProjectedDiscriminator(tiny_network(), EfficientNetLite0())
    with pytest.raises(ValueError, match=r"projected\.frames \(5\) is more than the 4 frames that are made"):
        tiny_network(projected=ProjectedConfig(frames=5))
    with pytest.raises(ValueError, match=r"spatial\.group \(2\) and projected\.group \(3\) differ"):
        tiny_network(spatial={"group": 2}, projected=ProjectedConfig(group=3))
