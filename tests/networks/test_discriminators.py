import pytest
import torch

from conftest import tiny_network
from dvdgan.config import Config
from dvdgan.networks import SpatialDiscriminator, TemporalDiscriminator, choose_frames
from dvdgan.networks.blocks import GroupDeviation


def test_chosen_frames_are_distinct_sorted_and_uniform():
    chosen = choose_frames(torch.rand(20_000, 5), 2)
    assert (chosen[:, 1] > chosen[:, 0]).all()
    pairs = (chosen[:, 0] * 5 + chosen[:, 1]).bincount(minlength=25)
    counts = pairs[pairs > 0]
    assert len(counts) == 10
    assert (counts / 2000 - 1).abs().max() < 0.1


def test_more_frames_than_the_clip_has_are_refused():
    with pytest.raises(ValueError, match="distinct"):
        choose_frames(torch.rand(2, 3), 4)
    with pytest.raises(ValueError, match=r"network\.spatial\.frames=4"):
        tiny_network(spatial={"frames": 5})


def test_view_takes_the_chosen_frames_of_each_clip():
    discriminator = SpatialDiscriminator(tiny_network())
    clip = (10 * torch.arange(3.0)[:, None] + torch.arange(4.0)).view(3, 4, 1, 1, 1).expand(-1, -1, 3, 32, 32)
    noise = torch.rand(3, 4)
    seen = discriminator.view(clip, noise)[:, :, 0, 0, 0]
    assert torch.equal(seen, 10 * torch.arange(3.0)[:, None] + choose_frames(noise, 2))


def test_spatial_score_is_the_sum_over_frames():
    discriminator = SpatialDiscriminator(tiny_network())
    frames, y = torch.randn(3, 2, 3, 32, 32), torch.tensor([0, 1, 2])
    single = sum(discriminator(frames[:, i : i + 1], y) for i in range(2))
    torch.testing.assert_close(discriminator(frames, y), single, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("halve_time", [True, False])
@pytest.mark.parametrize("frames", [1, 2, 3, 7])
def test_temporal_works_for_any_length(halve_time, frames):
    discriminator = TemporalDiscriminator(tiny_network(temporal={"halve_time": halve_time}))
    clip = torch.randn(2, frames, 3, 32, 32)
    seen = discriminator.view(clip)
    assert seen.shape == (2, frames, 3, 16, 16)
    assert discriminator(seen, torch.tensor([0, 1])).shape == (2,)


def test_temporal_pools_by_averages():
    discriminator = TemporalDiscriminator(tiny_network())
    clip = torch.randn(2, 3, 3, 32, 32)
    expected = clip.unflatten(-1, (16, 2)).unflatten(-3, (16, 2)).mean((-1, -3))
    torch.testing.assert_close(discriminator.view(clip), expected)


@pytest.mark.parametrize("differences", [True, False])
def test_temporal_sees_the_order_of_frames_and_spatial_does_not(differences):
    config = tiny_network(temporal={"frame_differences": differences})
    clip, y = torch.randn(2, 4, 3, 32, 32), torch.tensor([0, 1])
    temporal, spatial = TemporalDiscriminator(config), SpatialDiscriminator(config)
    order = [2, 0, 3, 1]
    assert not torch.allclose(temporal(temporal.view(clip), y), temporal(temporal.view(clip[:, order]), y), rtol=1e-3)
    torch.testing.assert_close(spatial(clip, y), spatial(clip[:, order], y), rtol=1e-4, atol=1e-4)


def test_reduction_over_time():
    sums = TemporalDiscriminator(tiny_network(), torch.Generator().manual_seed(0))
    means = TemporalDiscriminator(tiny_network(temporal={"reduce_time": "mean"}), torch.Generator().manual_seed(0))
    seen, y = torch.randn(2, 4, 3, 16, 16), torch.tensor([0, 1])
    torch.testing.assert_close(sums(seen, y), 4 * means(seen, y))


@pytest.mark.parametrize("build", [SpatialDiscriminator, TemporalDiscriminator])
def test_real_and_fake_in_one_call_equal_two_calls(build):
    discriminator = build(tiny_network())
    size = 32 if build is SpatialDiscriminator else 16
    real, fake = torch.randn(3, 2, 3, size, size), torch.randn(3, 2, 3, size, size)
    y, y_fake = torch.tensor([0, 1, 2]), torch.tensor([2, 2, 0])
    both = discriminator(torch.cat([real, fake]), torch.cat([y, y_fake]))
    torch.testing.assert_close(
        both, torch.cat([discriminator(real, y), discriminator(fake, y_fake)]), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("build", [SpatialDiscriminator, TemporalDiscriminator])
def test_class_matters_through_the_projection(build):
    discriminator = build(tiny_network())
    seen = torch.randn(2, 2, 3, 32, 32) if build is SpatialDiscriminator else torch.randn(2, 2, 3, 16, 16)
    assert not torch.allclose(
        discriminator(seen, torch.tensor([0, 0])), discriminator(seen, torch.tensor([1, 2])), rtol=1e-4
    )
    with pytest.raises(ValueError, match="labels are missing"):
        discriminator(seen)


@pytest.mark.parametrize("build", [SpatialDiscriminator, TemporalDiscriminator])
def test_unconditional_discriminators_need_no_labels(build):
    discriminator = build(tiny_network(classes=0))
    size = 32 if build is SpatialDiscriminator else 16
    seen = torch.randn(3, 2, 3, size, size)
    scores = discriminator(seen)
    assert scores.shape == (3,)
    torch.testing.assert_close(scores[1], discriminator(seen[1:2])[0], rtol=1e-4, atol=1e-4)


def test_every_weight_is_spectrally_normalised():
    for discriminator in (SpatialDiscriminator(tiny_network()), TemporalDiscriminator(tiny_network())):
        names = [
            name.removesuffix(".weight") for name, _ in discriminator.named_parameters() if name.endswith(".weight")
        ]
        buffers = dict(discriminator.named_buffers())
        assert names
        assert all(f"{name}.u" in buffers for name in names)


GROUPED = {"spatial": {"group": 3}, "temporal": {"multipliers": [1, 2, 4, 4], "group": 3, "group_at": [4]}}


def scores(discriminator, clip, labels):
    noise = torch.rand(1, clip.shape[1]).expand(len(clip), -1)
    seen = (
        discriminator.view(clip, noise) if isinstance(discriminator, SpatialDiscriminator) else discriminator.view(clip)
    )
    return discriminator(seen, labels)


@pytest.mark.parametrize("build", [SpatialDiscriminator, TemporalDiscriminator])
def test_a_grouped_score_depends_on_the_group_and_on_no_other_clip(build):
    discriminator, y = build(tiny_network(**GROUPED)), torch.tensor([0, 0, 0, 1, 1, 1])
    clip = torch.randn(6, 4, 3, 32, 32)
    torch.manual_seed(1)
    whole = scores(discriminator, clip, y)
    other = clip.clone()
    other[1] = torch.randn(4, 3, 32, 32)
    torch.manual_seed(1)
    changed = scores(discriminator, other, y)
    assert (changed - whole)[[0, 1, 2]].abs().min() > 1e-3
    torch.testing.assert_close(changed[3:], whole[3:], atol=1e-4, rtol=1e-4)
    order = torch.tensor([2, 0, 1, 3, 5, 4])  # of the members of a group, none is the first
    torch.manual_seed(1)
    torch.testing.assert_close(scores(discriminator, clip[order], y[order]), whole[order], atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match="multiple of the group"):
        scores(discriminator, clip[:4], y[:4])


@pytest.mark.parametrize("volumetric", [False, True])
def test_group_deviation_is_that_of_each_place_and_time(volumetric):
    shape = (6, 2, 5, 4, 4) if volumetric else (2 * 6, 2, 4, 4)  # T = 2 folded, time-major
    x = torch.randn(shape)
    found = GroupDeviation(3)(x)
    assert torch.equal(found[:, :2], x)
    groups = [range(3), range(3, 6)] if volumetric else [range(k, k + 3) for k in (0, 3, 6, 9)]
    for members in groups:
        expected = x[list(members)].std(0, correction=0)
        for member in members:
            torch.testing.assert_close(found[member, 2:], expected, atol=1e-4, rtol=1e-4)
    same = x[:1].expand(3, *x.shape[1:]).clone().requires_grad_(True)
    GroupDeviation(3)(same).square().sum().backward()
    assert torch.isfinite(same.grad).all()  # a collapsed group is where the root is steepest


def test_groups_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"network\.spatial\.group_at to some of these"):
        tiny_network(spatial={"group": 3, "group_at": [32]})
    with pytest.raises(ValueError, match=r"add a block to network\.temporal\.multipliers"):
        tiny_network(temporal={"multipliers": [1, 2], "group": 3})
    with pytest.raises(ValueError, match=r"spatial\.group \(2\) and temporal\.group \(3\) differ"):
        tiny_network(spatial={"group": 2}, temporal={"group": 3})
    with pytest.raises(ValueError, match=r"training\.batch_size \(4\) must be .*training\.batch_size=3"):
        Config(network=tiny_network(**GROUPED), training={"batch_size": 4})


def test_networks_for_two_sizes_agree_in_the_names_of_what_they_share():
    four = {"multipliers": [4, 2, 2, 1]}
    small = SpatialDiscriminator(tiny_network(spatial={"group": 3})).state_dict()
    large = SpatialDiscriminator(
        tiny_network(size=64, generator=four, spatial={"multipliers": [1, 1, 2, 2, 4], "group": 3})
    ).state_dict()
    below = [name for name in small if name.startswith(("blocks.block_16", "blocks.block_8", "blocks.block_4"))]
    assert len(below) > 10
    assert [name for name in below if small[name].shape != large[name].shape] == []
