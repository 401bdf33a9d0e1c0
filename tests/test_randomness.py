import numpy as np
import torch

from dvdgan.randomness import numpy_generator, torch_generator


def test_keys_decide_and_nothing_else():
    a = numpy_generator(1, "z", 5).standard_normal(4)
    numpy_generator(1, "z", 6).standard_normal(100)
    assert np.array_equal(a, numpy_generator(1, "z", 5).standard_normal(4))
    for other in (
        numpy_generator(2, "z", 5),
        numpy_generator(1, "y", 5),
        numpy_generator(1, "z", 6),
        numpy_generator(1, "z", 5, 1),
    ):
        assert not np.array_equal(a, other.standard_normal(4))


def test_torch_generator_follows_its_key():
    a, b, c = (torch.rand(3, generator=torch_generator(seed, "init")) for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
