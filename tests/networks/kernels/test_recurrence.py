import pytest
import torch
from plain_and_quick import LAYOUTS, TYPES, activations, assert_forms_agree, randomised

from dvdgan.networks.recurrent import ConvGRU


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
