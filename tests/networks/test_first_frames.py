import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from conftest import tiny_network
from dvdgan.networks import Generator, SpatialDiscriminator, TemporalDiscriminator, estimate_statistics, kernels
from dvdgan.networks.layers import initialise
from dvdgan.networks.recurrent import TSRU, ConvGRU, TrajGRU, warp

RECURRENCES = ["gru", "trajgru", "tsru_c", "tsru_p", "tsru_s"]


def settled(config):
    network = Generator(config, torch.Generator().manual_seed(0))
    shape = (8, config.first_frames, 3, config.size, config.size)
    first = [torch.rand(shape) * 2 - 1] if config.first_frames else []
    estimate_statistics(network, [(torch.randn(8, 8), torch.arange(8) % 3, *first) for _ in range(2)])
    return network


def inputs(config, batch=2):
    first = torch.rand(batch, config.first_frames, 3, config.size, config.size) * 2 - 1
    return torch.randn(batch, 8), torch.arange(batch) % 3, first


@pytest.mark.parametrize("recurrence", RECURRENCES)
@pytest.mark.parametrize("first_frames", [1, 3])
def test_makes_the_frames_that_are_not_given_and_sees_all_that_are(recurrence, first_frames):
    config = tiny_network(frames=5, first_frames=first_frames, generator={"recurrence": recurrence})
    network = settled(config)
    z, y, first = inputs(config)
    first.requires_grad_(True)
    made = network(z, y, first=first)
    assert made.shape == (2, 5 - first_frames, 3, 32, 32)
    made[0].sum().backward()
    assert (first.grad[0].flatten(1).abs().sum(1) > 0).all()  # every given frame counts
    assert not first.grad[1].any()  # in its own clip only


@pytest.mark.parametrize("recurrence", RECURRENCES)
@pytest.mark.parametrize("copy_given", [False, True])
def test_streamed_is_whole(recurrence, copy_given):
    config = tiny_network(frames=6, first_frames=2, generator={"recurrence": recurrence, "copy_given": copy_given})
    network = settled(config)
    z, y, first = inputs(config)
    whole = network(z, y, 9, first)
    streamed = torch.cat(list(network.stream(z, y, 9, chunk=2, first=first)), 1)
    assert torch.allclose(streamed, whole, atol=1e-5)


def test_copied_pixels_are_mixed_in_and_move():
    config = tiny_network(frames=4, first_frames=2, generator={"copy_given": True})
    network = settled(config)
    z, y, first = inputs(config)
    last, bias = first[:, -1:], network.copy_given.layer.bias
    at_first = network(z, y, first=first)
    with torch.no_grad():
        bias[0] = -30  # all is drawn
        drawn = network(z, y, first=first)
        assert torch.allclose(at_first, (drawn + last) / 2, atol=1e-5)
        bias.copy_(torch.tensor([30.0, 3.0, -2.0]))  # all is copied, from three to the right and two above
        copied = network(z, y, first=first)
    assert torch.allclose(copied[..., 2:, :-3], last[..., :-2, 3:].expand_as(copied[..., 2:, :-3]), atol=1e-4)


def test_in_training_a_generator_learns_what_to_copy_and_from_where():
    config = tiny_network(frames=4, first_frames=1, generator={"copy_given": True})
    network = Generator(config)
    z, y, first = inputs(config)
    with torch.autocast("cpu", torch.bfloat16):
        network(z, y, first=first).square().sum().backward()
    assert (network.copy_given.layer.weight.grad.flatten(1).abs().sum(1) > 0).all()  # of the share and both offsets
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_generator_in_bf16_copies_too():
    network = settled(tiny_network(frames=4, first_frames=1, generator={"copy_given": True}))
    z, y, first = inputs(network.config)
    expected = network(z, y, first=first)
    found = network.bfloat16()(z.bfloat16(), y, first=first.bfloat16())
    assert (found - expected).abs().mean() < 0.02


@pytest.mark.parametrize("recurrence", RECURRENCES)
def test_a_bare_generator_takes_every_recurrence(recurrence):
    config = tiny_network(generator={"recurrence": recurrence, "gate_bias": "log_uniform"})
    network = Generator(config)
    network(torch.randn(2, 8), torch.tensor([0, 1])).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(("first_frames", "frames"), [(0, 1), (2, None), (2, 1)])
def test_first_frames_of_another_number_are_refused(first_frames, frames):
    config = tiny_network(first_frames=first_frames)
    given = None if frames is None else torch.zeros(1, frames, 3, 32, 32)
    with pytest.raises(ValueError, match="first frames"):
        Generator(config)(torch.randn(1, 8), torch.tensor([0]), first=given)


def test_d_s_sees_made_frames_only_and_d_t_all():
    config = tiny_network(frames=5, first_frames=3, spatial={"frames": 2})
    clip = torch.arange(5.0).view(1, 5, 1, 1, 1).expand(2, 5, 3, 32, 32)
    seen = SpatialDiscriminator(config).view(clip, torch.rand(2, 2))
    assert seen[:, :, 0, 0, 0].tolist() == [[3, 4], [3, 4]]
    assert TemporalDiscriminator(config).view(clip)[0, :, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]


def test_the_roles_of_trivd_gan():
    """D_S on pooled frames, D_T on one place of all frames, at full resolution."""
    config = tiny_network(spatial={"pool": 2, "multipliers": [1, 2, 4]}, temporal={"crop": True})
    rows = torch.arange(32.0)
    clip = (32 * rows[:, None] + rows).expand(2, 4, 3, 32, 32)
    spatial, temporal = SpatialDiscriminator(config), TemporalDiscriminator(config)
    pooled = spatial.view(clip, torch.rand(2, 4))
    assert pooled.shape == (2, 2, 3, 16, 16)
    assert pooled[0, 0, 0, 0, 0] == torch.tensor([0.0, 1, 32, 33]).mean()
    places = torch.tensor([[0.0, 0.0], [0.999, 0.5]])
    cropped = temporal.view(clip, places)
    assert cropped.shape == (2, 4, 3, 16, 16)
    assert cropped[0, :, :, 0, 0].eq(0).all()
    assert cropped[1, :, :, 0, 0].eq(16 * 32 + 8).all()
    assert spatial(pooled, torch.tensor([0, 1])).shape == temporal(cropped, torch.tensor([0, 1])).shape == (2,)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"frames": 4, "first_frames": 4}, "first_frames"),
        ({"frames": 4, "first_frames": 3, "spatial": {"frames": 2}}, "spatial.frames"),
        ({"generator": {"copy_given": True}}, "generator.copy_given"),
    ],
)
def test_contradictions_are_refused(fields, field):
    with pytest.raises(ValidationError, match=field):
        tiny_network(**fields)


def test_warp_moves_by_whole_pixels_and_holds_the_border():
    x = torch.randn(1, 2, 6, 8)
    offsets = torch.zeros(1, 2, 6, 8)
    assert torch.allclose(warp(x, offsets), x, atol=1e-5)
    offsets[:, 0], offsets[:, 1] = 1, -2  # from one to the right, and two above
    moved = warp(x, offsets)
    assert torch.allclose(moved[:, :, 2:, :-1], x[:, :, :-2, 1:], atol=1e-5)
    assert torch.allclose(moved[:, :, 0, :-1], x[:, :, 0, 1:], atol=1e-5)


@given(shift=st.floats(-3, 3, allow_subnormal=False))
def test_warp_is_bilinear(shift):
    x = torch.arange(16.0).expand(1, 1, 4, 16)
    offsets = torch.zeros(1, 2, 4, 16)
    offsets[:, 0] = shift
    assert torch.allclose(warp(x, offsets), (x + shift).clamp(0, 15), atol=1e-4)


def test_warp_keeps_places_in_bf16():
    x = torch.arange(256.0).remainder(2).expand(1, 1, 1, 256).to(torch.bfloat16)
    assert torch.equal(warp(x, torch.zeros(1, 2, 1, 256, dtype=torch.bfloat16)), x)


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_offsets_that_are_no_numbers_make_states_that_are_none(monkeypatch, enabled, layout):
    """A run that diverges has to reach its own alarm: PyTorch's sampling would read outside of the picture."""
    monkeypatch.setattr(kernels, "enabled", enabled)
    trajgru = TrajGRU(2, 16)
    initialise(trajgru, torch.Generator().manual_seed(0))
    with torch.no_grad():
        trajgru.offsets.bias.fill_(torch.nan)
    x = torch.randn(6, 2, 16, 16).contiguous(memory_format=layout)  # 3 frames of 2 clips
    states = trajgru(x, 3)
    assert not states[2:].isfinite().any()
    states.sum().backward()
    assert not trajgru.candidate.weight.grad.isfinite().all()


@pytest.mark.parametrize("constant", [True, False])
def test_trajgru_starts_as_the_convgru_of_its_weights_and_learns_to_move(constant):
    frames, batch = 3, 2
    gru, trajgru = ConvGRU(2, 4), TrajGRU(2, 4)
    for layer in trajgru.children():
        layer.initialise(torch.Generator().manual_seed(0))
    gru.load_state_dict({name: value for name, value in trajgru.state_dict().items() if name in gru.state_dict()})
    x, state = torch.randn(batch if constant else frames * batch, 2, 8, 8), torch.randn(batch, 4, 8, 8)
    for before in (None, state):
        assert torch.allclose(gru(x, frames, before, constant), trajgru(x, frames, before, constant), atol=1e-5)
    trajgru(x, frames, state, constant).square().sum().backward()
    assert trajgru.offsets.weight.grad.abs().sum() > 0

    with torch.no_grad():
        trajgru.offsets.bias.copy_(torch.tensor([-1.0, 0.0]))  # from the left
    moved = trajgru(x[:batch], 1, state, constant=True)
    expected = gru(x[:batch], 1, state.roll(1, 3), constant=True)
    assert torch.allclose(moved[..., 4:], expected[..., 4:], atol=1e-5)  # the border reaches so far


def test_tsru_carries_a_moving_pattern_that_a_convgru_of_its_size_cannot():
    """Three pixels a step: TSRU moves them as they are, and what a ConvGRU makes does not even depend on them."""
    frames, speed = 4, 3
    pattern = torch.rand(1, 4, 8, 24, requires_grad=True)
    x = torch.zeros(1, 1, 8, 24)
    tsru, gru = TSRU(1, 4, "c", spectral_norm=False), ConvGRU(1, 4, spectral_norm=False)
    for unit in (tsru, gru):
        for layer in unit.children():
            layer.initialise(torch.Generator().manual_seed(0))
    with torch.no_grad():
        tsru.offsets.bias.copy_(torch.tensor([-float(speed), 0.0]))  # from the left
        tsru.update.bias.fill_(20.0)  # keeps what was moved
    moved = tsru(x, frames, pattern, constant=True)
    for t in range(frames):
        shift = speed * (t + 1)
        assert torch.allclose(moved[t, :, :, shift:], pattern[0, :, :, :-shift], atol=1e-4)

    place = 20
    redrawn = gru(x, frames, pattern, constant=True)
    (gradient,) = torch.autograd.grad(redrawn[-1, :, :, place].sum(), pattern)
    reaches = gradient.abs().sum((0, 1, 2)) > 0
    assert reaches[place]
    assert not reaches[place - speed * frames]
