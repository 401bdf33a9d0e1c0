import pytest
import torch
from plain_and_quick import LAYOUTS, TYPES, activations, assert_forms_agree, outcome, randomised

from dvdgan.networks.recurrent import TSRU, ConvGRU, TrajGRU


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("with_state", [True, False])
@pytest.mark.parametrize(
    ("channels", "size", "frames"), [((3, 5), (3, 5), 4), ((16, 24), (4, 4), 5), ((4, 3), (1, 2), 2)]
)
def test_unrolled_loop_equals_the_equations(dtype, layout, constant, with_state, channels, size, frames):
    in_channels, hidden = channels
    gru = randomised(ConvGRU(in_channels, hidden), dtype, layout)
    x = activations(2 if constant else 2 * frames, in_channels, *size, dtype=dtype, layout=layout)
    state = activations(2, hidden, *size, dtype=dtype, layout=layout) if with_state else None
    inputs = [x, *gru.parameters()] if state is None else [x, state, *gru.parameters()]
    assert_forms_agree(lambda: gru(x, frames, state, constant), inputs, dtype)


@pytest.mark.parametrize("with_state", [True, False])
def test_one_frame(with_state):
    gru = randomised(ConvGRU(3, 5), torch.float64, torch.contiguous_format)
    x, state = (activations(2, c, 4, 4, dtype=torch.float64, layout=torch.contiguous_format) for c in (3, 5))
    inputs = [x, state, *gru.parameters()] if with_state else [x, gru.update.weight, gru.candidate.weight]
    assert_forms_agree(lambda: gru(x, 1, state if with_state else None), inputs, torch.float64)


def test_a_first_state_in_fp32_under_autocast():
    gru = randomised(ConvGRU(16, 24), torch.bfloat16, torch.channels_last)
    x, state = (activations(n, c, 4, 4, dtype=torch.float32, layout=torch.channels_last) for n, c in ((6, 16), (2, 24)))
    assert_forms_agree(lambda: gru(x, 3, state), [x, state, *gru.parameters()], torch.bfloat16)


def moving_unit(variant, dtype, layout, channels=(3, 5)):
    """One that moves its state by some pixels."""
    unit = TrajGRU(*channels) if variant == "trajgru" else TSRU(*channels, variant)
    randomised(unit, dtype, layout)
    torch.nn.init.normal_(unit.offsets.weight, std=0.1)
    return unit


MOVING = ["trajgru", "c", "p", "s"]


@pytest.mark.parametrize("variant", MOVING)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("with_state", [True, False])
@pytest.mark.parametrize(
    ("channels", "size", "frames"), [((3, 5), (3, 5), 4), ((16, 24), (4, 4), 5), ((4, 3), (1, 2), 1)]
)
def test_unrolled_moving_loop_equals_the_equations(
    variant, dtype, layout, constant, with_state, channels, size, frames
):
    in_channels, hidden = channels
    unit = moving_unit(variant, dtype, layout, channels)
    x = activations(2 if constant else 2 * frames, in_channels, *size, dtype=dtype, layout=layout)
    state = activations(2, hidden, *size, dtype=dtype, layout=layout) if with_state else None
    inputs = [x, *unit.parameters()] if state is None else [x, state, *unit.parameters()]
    assert_forms_agree(lambda: unit(x, frames, state, constant), inputs, dtype)


@pytest.mark.parametrize("variant", MOVING)
def test_in_bf16_the_moving_loop_is_as_exact_as_the_equations(variant):
    """One case says little: gradients of offsets jump at the borders of pixels, and rounding crosses some."""
    errors = []
    for seed in range(8):
        torch.manual_seed(seed)
        unit = moving_unit(variant, torch.float32, torch.channels_last, (16, 24))
        x, state = (
            activations(count, channels, 8, 8, dtype=torch.float32, layout=torch.channels_last)
            for count, channels in ((16, 16), (4, 24))
        )
        inputs = [x, state, *unit.parameters()]
        found, expected, exact = (
            outcome(lambda unit=unit, x=x, state=state: unit(x, 4, state), inputs, dtype, enabled)
            for dtype, enabled in ((torch.bfloat16, True), (torch.bfloat16, False), (torch.float32, False))
        )
        assert [value.dtype for value in found] == [value.dtype for value in expected]
        errors.append([[_error(a, right) for a, right in zip(some, exact)] for some in (found, expected)])
    ours, theirs = torch.tensor(errors).mean(0)  # of each output and gradient
    assert ours.mean() < 1.1 * theirs.mean()
    assert (ours < 1.5 * theirs).all(), ours / theirs


def _error(value, exact):
    return float((value - exact).norm() / exact.norm())
