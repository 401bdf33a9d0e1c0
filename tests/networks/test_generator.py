import pytest
import torch

from conftest import tiny_network
from dvdgan.config import NetworkConfig
from dvdgan.networks import (
    Generator,
    SpatialDiscriminator,
    TemporalDiscriminator,
    estimate_statistics,
    use_channels_last,
)
from dvdgan.networks.layers import initialise
from dvdgan.networks.recurrent import ConvGRU
from dvdgan.sampling import FirstFrames, settle_statistics


def settled(config, seed=0):
    network = Generator(config, torch.Generator().manual_seed(seed))
    labels = torch.arange(16) % config.classes if config.classes else None
    estimate_statistics(network, [(torch.randn(16, config.generator.z_dim), labels) for _ in range(4)])
    return network


@pytest.mark.parametrize(("size", "multipliers"), [(32, [2, 2, 2]), (64, [2, 2, 2, 1]), (128, [2, 2, 2, 1, 1])])
@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("classes", [0, 3])
def test_shape_and_range(size, multipliers, frames, classes):
    temporal = None if frames == 1 else {"multipliers": [1, 1, 1, 1, 1]}
    config = tiny_network(
        size=size,
        frames=frames,
        classes=classes,
        generator={"multipliers": multipliers, "width": 2},
        spatial={"frames": 1, "multipliers": [1] * 6},
        temporal=temporal,
    )
    network = Generator(config)
    labels = torch.tensor([0, 2]) if classes else None
    clips = network(torch.randn(2, 8), labels)
    assert clips.shape == (2, frames, 3, size, size)
    assert clips.abs().max() <= 1


@pytest.mark.parametrize("size", [256, 512])
def test_large_sizes_build_without_memory(size):
    config = NetworkConfig(size=size, frames=12, classes=10)
    with torch.device("meta"):
        clips = Generator(config)(torch.zeros(1, 120), torch.zeros(1, dtype=torch.long))
        frames = torch.zeros(1, 8, 3, size, size)
        assert SpatialDiscriminator(config)(frames, torch.zeros(1, dtype=torch.long)).shape == (1,)
        discriminator = TemporalDiscriminator(config)
        assert discriminator(discriminator.view(clips), torch.zeros(1, dtype=torch.long)).shape == (1,)
    assert clips.shape == (1, 12, 3, size, size)


def test_frames_belong_to_their_own_sample():
    """Each clip depends on its own latent and class only: the condition and the frames are laid out alike."""
    network = settled(tiny_network())
    z, y = torch.randn(3, 8), torch.tensor([0, 1, 2])
    together = network(z, y)
    for i in range(3):
        torch.testing.assert_close(network(z[i : i + 1], y[i : i + 1])[0], together[i], rtol=1e-4, atol=1e-5)


def test_class_and_latent_both_matter():
    network = settled(tiny_network())
    z = torch.randn(1, 8)
    a, b, c = (
        network(z, torch.tensor([0])),
        network(z, torch.tensor([1])),
        network(torch.randn(1, 8), torch.tensor([0])),
    )
    assert (a - b).abs().mean() > 1e-3
    assert (a - c).abs().mean() > 1e-3


def test_mixed_labels_are_a_mixture_of_embeddings():
    network = settled(tiny_network())
    z = torch.randn(2, 8)
    one_hot = torch.eye(3)[[1, 2]]
    torch.testing.assert_close(network(z, one_hot), network(z, torch.tensor([1, 2])))


def test_sampling_changes_nothing():
    network = settled(tiny_network())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for _ in range(3):
        network(torch.randn(2, 8), torch.tensor([0, 1]))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_image_mode_has_no_recurrence():
    image = Generator(tiny_network(frames=1, spatial={"frames": 1}, temporal=None))
    clip = Generator(tiny_network())
    assert not any(isinstance(module, ConvGRU) for module in image.modules())
    assert sum(isinstance(module, ConvGRU) for module in clip.modules()) == 3
    with pytest.raises(ValueError, match="frames must be 1"):
        image(torch.randn(1, 8), torch.tensor([0]), frames=2)


@pytest.mark.parametrize("at", [[4], [8], [4, 16]])
def test_recurrence_where_it_is_asked_for(at):
    network = Generator(tiny_network(generator={"recurrent_at": at}))
    found = [4 * 2**i for i, stage in enumerate(network.stages.values()) if stage.gru is not None]
    assert found == at
    clips = network(torch.randn(2, 8), torch.tensor([0, 1]))
    assert (clips[:, 1:] - clips[:, :-1]).abs().mean() > 0


def test_no_recurrence_at_all_is_refused_for_clips():
    with pytest.raises(ValueError, match="recurrent_at"):
        tiny_network(generator={"recurrent_at": []})


def test_longer_clips_go_on():
    """More frames than trained: the first ones stay, the rest follows."""
    network = settled(tiny_network(generator={"time_code": 4}))
    z, y = torch.randn(2, 8), torch.tensor([0, 1])
    torch.testing.assert_close(network(z, y, frames=9)[:, :4], network(z, y), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("attention", ["separable", "full", "spatial"])
def test_attention_is_used(attention):
    network = Generator(tiny_network(generator={"attention": attention, "attention_at": 8, "width": 8}))
    z, y = torch.randn(2, 8), torch.tensor([0, 1])
    before = network(z, y)
    for name, parameter in network.named_parameters():
        if name.endswith("gamma"):
            parameter.data.fill_(2.0)
    assert not torch.allclose(network(z, y), before)


@pytest.mark.parametrize("kind", ["full", "separable"])
def test_attention_over_time_sees_other_frames(kind):
    """At 4x4, too, it stands after the recurrence: with its gain up, an early frame depends on later states."""
    config = tiny_network(generator={"attention": kind, "attention_at": 4, "width": 8, "norm_statistics": "per_step"})
    network = settled(config)
    for name, parameter in network.named_parameters():
        if name.endswith("gamma"):
            parameter.data.fill_(1.0)
    z, y = torch.randn(2, 8), torch.tensor([0, 1])
    assert not torch.allclose(network(z, y, frames=2)[:, 0], network(z, y, frames=4)[:, 0], atol=1e-4)


@pytest.mark.parametrize(("first_frames", "at"), [(0, "all"), (1, "all"), (1, [8]), (2, [16])])
def test_every_parameter_learns(first_frames, at):
    generator = {"time_code": 4, "gate_bias": "log_uniform", "recurrent_at": at}
    network = Generator(tiny_network(first_frames=first_frames, generator=generator))
    first = torch.rand(4, first_frames, 3, 32, 32) if first_frames else None
    network(torch.randn(4, 8), torch.tensor([0, 1, 2, 0]), first=first).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_labels_must_fit():
    with pytest.raises(ValueError, match="labels are missing"):
        Generator(tiny_network())(torch.randn(1, 8))
    with pytest.raises(ValueError, match="unconditional"):
        Generator(tiny_network(classes=0))(torch.randn(1, 8), torch.tensor([0]))


def test_initialisation_follows_its_generator():
    a, b, c = (Generator(tiny_network(), torch.Generator().manual_seed(seed)).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["stem.weight"], c["stem.weight"])


def test_standing_statistics_match_batch_statistics():
    """With statistics from the very batch, evaluation equals training."""
    config = tiny_network()
    network = Generator(config)
    z, y = torch.randn(16, 8), torch.arange(16) % 3
    trained = network(z, y)
    estimate_statistics(network, [(z, y)])
    torch.testing.assert_close(network(z, y), trained, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("first_frames", [0, 1])
def test_standing_statistics_by_chunks_of_time_are_the_same(monkeypatch, first_frames):
    network = Generator(tiny_network(first_frames=first_frames, frames=6, generator={"norm_statistics": "per_step"}))
    initialise(network, torch.Generator().manual_seed(0))
    first = FirstFrames(torch.randint(0, 256, (5, 1, 32, 32, 3), dtype=torch.uint8), torch.arange(5) % 3)
    options = {"batches": 2, "batch_size": 4, "first": first if first_frames else None}
    whole = settle_statistics(network, [1.0, 1.0, 1.0], **options)
    made = []
    monkeypatch.setattr("dvdgan.sampling.largest_pass", lambda network: 8)  # frames: 2 of each clip
    monkeypatch.setattr(network, "_go_on", lambda *args: made.append(args[3]) or type(network)._go_on(network, *args))
    parts = settle_statistics(network, [1.0, 1.0, 1.0], **options)
    assert max(made) == 2
    assert network.chunk is None
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-3, atol=1e-4)

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(network, "_go_on", interrupted)
    with pytest.raises(KeyboardInterrupt):
        settle_statistics(network, [1.0, 1.0, 1.0], **options)
    assert not network.training
    assert network.chunk is None


def test_stem_gain_scales_what_z_and_class_say_and_the_bias_can_go():
    z, labels = torch.randn(2, 8), torch.tensor([0, 1])
    seen = []

    def stem_output(**fields):
        network = Generator(tiny_network(generator=fields), torch.Generator().manual_seed(0))
        handle = network.stages["stage_4"].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
        network(z, labels)
        handle.remove()
        return network, seen.pop()

    plain, one = stem_output()
    _, three = stem_output(stem_gain=3.0)
    bare, without = stem_output(stem_bias=False)
    torch.testing.assert_close(three, 3 * one)
    torch.testing.assert_close(without, one)  # biases start at zero
    assert plain.stem.bias is not None
    assert bare.stem.bias is None


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradient_of_the_clip_arrives_whole_whatever_its_layout(layout):
    network = Generator(tiny_network(), torch.Generator().manual_seed(0))
    if layout == torch.channels_last:
        use_channels_last(network)
    clip = network(torch.randn(2, 8), torch.tensor([0, 1]))
    weights = torch.randn_like(clip)
    (found,) = torch.autograd.grad((clip * weights).sum(), network.to_rgb.bias)
    expected = ((1 - clip.square()) * weights).sum((0, 1, 3, 4))  # tanh' = 1 - tanh^2
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


STREAMED = {
    "recurrent everywhere": {"generator": {"recurrent_at": "all"}},
    "recurrent at 8 only": {"generator": {"recurrent_at": [8]}},
    "time code": {"generator": {"time_code": 4}},
    "statistics over all steps": {"generator": {"norm_statistics": "shared"}},
    "attention within frames": {"generator": {"attention": "spatial", "attention_at": 16}},
    "unconditional": {"classes": 0},
}


@pytest.mark.parametrize("chunk", [1, 3])
@pytest.mark.parametrize("name", STREAMED)
def test_streamed_frames_are_those_of_the_whole_clip(name, chunk):
    network = settled(tiny_network(**STREAMED[name]))
    for parameter_name, parameter in network.named_parameters():
        if parameter_name.endswith("gamma"):
            parameter.data.fill_(1.0)
    z, y = torch.randn(2, 8), torch.tensor([0, 2]) if network.classes else None
    pieces = list(network.stream(z, y, 7, chunk))  # beyond the 4 frames that it was built for
    assert [piece.shape[1] for piece in pieces] == ([1] * 7 if chunk == 1 else [3, 3, 1])
    torch.testing.assert_close(torch.cat(pieces, 1), network(z, y, 7), rtol=0, atol=1e-5)


@pytest.mark.parametrize("attention", ["full", "separable"])
def test_attention_over_time_does_not_stream(attention):
    network = settled(tiny_network(generator={"attention": attention, "attention_at": 16}))
    z, y = torch.randn(1, 8), torch.tensor([0])
    with pytest.raises(ValueError, match="attends over time"):
        next(network.stream(z, y))
    torch.testing.assert_close(next(network.stream(z, y, chunk=4)), network(z, y))
    with pytest.raises(ValueError, match="training mode"):
        next(network.train().stream(z, y, chunk=4))
