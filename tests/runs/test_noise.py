import numpy as np

from dvdgan.runs.noise import SampleNoise, sample_numbers


def test_numbers_go_on_from_batch_to_batch():
    assert [*sample_numbers(0, 4), *sample_numbers(1, 4)] == list(range(8))


def test_noise_belongs_to_the_global_sample():
    """Sample 7 has the same in a batch of 8 as in the second batch of 4, or alone."""
    whole, half, alone = (SampleNoise(3, "d", numbers) for numbers in (range(8), range(4, 8), range(7, 8)))
    for draw in (lambda noise: noise.normal("z", 5), lambda noise: noise.uniform("frames", 6)):
        assert np.array_equal(draw(whole)[4:], draw(half))
        assert np.array_equal(draw(whole)[7:], draw(alone))


def test_purposes_and_kinds_are_independent():
    d, g = SampleNoise(3, "d", range(4)), SampleNoise(3, "g", range(4))
    assert not np.array_equal(d.uniform("frames/real", 6), d.uniform("frames/fake", 6))
    assert not np.array_equal(d.normal("z", 5), g.normal("z", 5))


def test_normal_is_standard():
    z = SampleNoise(0, "d", range(2000)).normal("z", 10)
    assert z.dtype == np.float32
    assert abs(float(z.mean())) < 0.03
    assert abs(float(z.std()) - 1) < 0.03
