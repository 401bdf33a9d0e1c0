import copy
from unittest.mock import patch

import pytest
import torch
from plain_and_quick import LAYOUTS, TYPES, assert_forms_agree, randomised

from dvdgan.networks import kernels
from dvdgan.networks.layers import Conv2d, Conv3d, Embedding, Linear

LAYERS = [Conv2d(3, 5, 3), Conv3d(2, 4, 3), Conv2d(6, 4, 1), Linear(5, 7), Embedding(6, 4, True)]
LAYERS_IDS = ["2-D", "3-D", "1x1", "linear", "embedding"]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("layer", LAYERS, ids=LAYERS_IDS)
def test_division_by_any_estimate_of_sigma(layer, layout, dtype):
    """The closed form of the gradient equals autograd's of W / (u W v), also while u and v have not settled."""
    layer = randomised(copy.deepcopy(layer), dtype, layout)
    layer.u.normal_()
    assert_forms_agree(lambda: layer.effective_weight(dtype), [layer.weight], dtype)
    assert layer.effective_weight(dtype).stride() == layer.weight.stride()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("layer", LAYERS, ids=LAYERS_IDS)
def test_power_iteration(layer, layout):
    layer = randomised(copy.deepcopy(layer), torch.float64, layout)
    torch.nn.init.normal_(layer.u)
    other = copy.deepcopy(layer)
    layer.power_iterate(2)
    with patch.object(kernels, "enabled", False):
        other.power_iterate(2)
        torch.testing.assert_close(layer.sigma(), other.sigma())
    torch.testing.assert_close(layer.u, other.u)
    torch.testing.assert_close(layer.v, other.v)
    torch.testing.assert_close(layer.sigma(), other.sigma())
