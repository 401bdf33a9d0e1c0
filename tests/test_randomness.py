import numpy as np
import torch

from dvdgan.randomness import keyed_rng, torch_generator
from dvdgan.training.draws import Draws


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


def test_draws_belong_to_the_global_sample():
    """Sample 7 draws the same in a batch of 8 as in the second batch of 4, or alone."""
    whole, half, alone = Draws(3, 0, 8, "d"), Draws(3, 4, 4, "d"), Draws(3, 7, 1, "d")
    for draw in (
        lambda d: d.latent(5),
        lambda d: d.frame_noise("real", 6),
        lambda d: torch.tensor(d.augmentation("fake")),
    ):
        assert torch.equal(draw(whole)[4:], draw(half))
        assert torch.equal(draw(whole)[7:], draw(alone))


def test_real_and_fake_frames_and_both_passes_are_independent():
    d, g = Draws(3, 0, 4, "d"), Draws(3, 0, 4, "g")
    assert not torch.equal(d.frame_noise("real", 6), d.frame_noise("fake", 6))
    assert not torch.equal(d.latent(5), g.latent(5))


def test_latents_are_standard_normal():
    z = Draws(0, 0, 2000, "d").latent(10)
    assert abs(float(z.mean())) < 0.03
    assert abs(float(z.std()) - 1) < 0.03
