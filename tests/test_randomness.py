import numpy as np
import torch

from dvdgan.randomness import keyed_rng, torch_generator


def test_keys_decide_and_nothing_else():
    a = keyed_rng(1, "z", 5).standard_normal(4)
    keyed_rng(1, "z", 6).standard_normal(100)
    assert np.array_equal(a, keyed_rng(1, "z", 5).standard_normal(4))
    for other in (keyed_rng(2, "z", 5), keyed_rng(1, "y", 5), keyed_rng(1, "z", 6), keyed_rng(1, "z", 5, 1)):
        assert not np.array_equal(a, other.standard_normal(4))


def test_torch_generator_follows_its_key():
    a, b, c = (torch.rand(3, generator=torch_generator(seed, "init")) for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
