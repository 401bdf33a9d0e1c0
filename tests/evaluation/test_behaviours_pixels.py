"""What the behaviours are measured with: masks, hues, correlations, and the fit of a shift and a scale."""

import colorsys

import numpy as np
import pytest

from dvdgan.evaluation.behaviours.alignment import Fit, align, aligned
from dvdgan.evaluation.behaviours.pixels import (
    centre_of,
    correlation,
    hue_gap,
    hue_saturation_value,
    large_parts,
    luma,
    median3,
    opened,
    rank_correlation,
    widened,
)


def mask_of(*lines):
    return np.array([[c == "#" for c in line] for line in lines])[None]


def moved(size, shift, log_scale):
    """Waves as they are, and moved by a shift in H and magnified about the frame's middle; each [1, size, size]."""
    centres = (np.arange(size) + 0.5) / size - 0.5
    x, y = np.meshgrid(centres, centres)
    pictures = []
    for (dx, dy), s in (((0, 0), 0), (shift, log_scale)):
        u, v = (x - dx) * np.exp(-s), (y - dy) * np.exp(-s)
        pictures.append((0.5 + 0.2 * np.sin(9 * u + 2 * v) + 0.2 * np.sin(7 * v - 3 * u + 1))[None].astype(np.float32))
    return pictures


def test_luma_weighs_the_channels():
    colours = np.array([[255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    np.testing.assert_allclose(luma(colours), [1, 0.299, 0.587, 0.114], atol=1e-6)


def test_hue_saturation_and_value_are_those_of_the_standard_library():
    codes = np.random.default_rng(0).integers(0, 256, (300, 3)).astype(np.uint8)
    codes[:3] = [[0, 0, 0], [200, 200, 200], [7, 7, 9]]
    hue, saturation, value = hue_saturation_value(codes)
    expected = np.array([colorsys.rgb_to_hsv(*(code / 255)) for code in codes])
    assert hue_gap(hue, 360 * expected[:, 0]).max() < 0.01
    np.testing.assert_allclose(np.stack([saturation, value], 1), expected[:, 1:], atol=1e-5)
    assert hue_gap(350, 20) == 30


@pytest.mark.parametrize("reach", [1, 2, 2.3, 4.5, 30])
def test_a_mask_is_widened_by_a_disc(reach):
    mask = np.random.default_rng(1).random((3, 17, 14)) < 0.03
    y, x = np.mgrid[:17, :14]
    expected = np.zeros_like(mask)
    for t, v, u in np.argwhere(mask):
        expected[t] |= (y - v) ** 2 + (x - u) ** 2 <= reach**2
    np.testing.assert_array_equal(widened(mask, reach), expected)


def test_opening_takes_what_is_thin():
    mask = mask_of(".....#..", "###..#..", "###..#..", "...#....", "......##")
    kept = mask_of("........", "###.....", "###.....", "........", "......##")  # at the border it may go on outside
    np.testing.assert_array_equal(opened(mask), kept)


def test_parts_are_connected_by_sides():
    spiral = mask_of(
        "#########", "........#", "#######.#", "#.....#.#", "#.###.#.#", "#...#.#.#", "#####.#.#", "......#.#"
    )
    whole, inner = large_parts(spiral, 1.0), large_parts(spiral, 0.5)
    assert whole.sum() == 24  # the inner arms
    assert not whole[0, :, 8].any()
    np.testing.assert_array_equal(inner, spiral)  # the outer arm is larger than half
    both = np.concatenate([spiral, mask_of(*["........."] * 8)])
    assert not large_parts(both, 0.1)[1].any()


def test_where_a_weight_lies():
    weight = np.zeros((2, 4, 8))
    weight[0, 1, 2], weight[0, 1, 6] = 1, 3
    x, y, total = centre_of(weight)
    np.testing.assert_allclose([x[0], y[0], total[0]], [(0.25 * 2.5 + 0.75 * 6.5) / 4, 1.5 / 4, 4])
    assert (x[1], y[1], total[1]) == (0, 0, 0)


def test_the_median_of_nine_forgets_a_speck():
    pictures = np.full((1, 5, 6), 0.25)
    pictures[0, 2, 3] = pictures[0, 0, 0] = 1
    np.testing.assert_array_equal(median3(pictures)[0, 1:], 0.25)
    rng = np.random.default_rng(2).random((1, 5, 6))
    assert median3(rng)[0, 2, 3] == np.median(rng[0, 1:4, 2:5])


def test_correlations():
    a = np.random.default_rng(3).random((2, 6, 6)).astype(np.float32)
    np.testing.assert_allclose(correlation(a, 3 * a + 1), 1, atol=1e-4)
    np.testing.assert_allclose(correlation(a, -a), -1, atol=1e-4)
    weight = np.zeros((6, 6))
    weight[2:] = 1
    expected = [np.corrcoef(x[2:].ravel(), y[2:].ravel())[0, 1] for x, y in zip(a, a[::-1])]
    np.testing.assert_allclose(correlation(a, a[::-1], weight), expected, atol=1e-4)
    assert (correlation(a, np.ones_like(a)) == 0).all()
    assert rank_correlation(np.array([1, 4, 4, 90])) == pytest.approx(0.9486833)
    assert rank_correlation(np.array([5, 3, 1])) == pytest.approx(-1)
    assert rank_correlation(np.array([2, 2, 2])) == rank_correlation(np.array([2])) == 0


@pytest.mark.parametrize("size", [32, 50, 128])
@pytest.mark.parametrize(
    ("shift", "log_scale"),
    [((0, 0), 0), ((0.17, 0), 0), ((-0.2, 0.03), 0), ((0.02, -0.09), 0), ((0.03, 0.02), 0.2), ((0, 0), -0.17)],
)
def test_a_shift_and_a_scale_are_found(size, shift, log_scale):
    first, second = moved(size, shift, log_scale)
    fit = align(first, second)
    np.testing.assert_allclose(fit.shift[0], shift, atol=0.004)
    np.testing.assert_allclose(fit.log_scale[0], log_scale, atol=0.01)
    held = aligned(in_colour(first), in_colour(second), fit)
    assert held.after[0] > 0.99
    assert np.abs(held.tint).max() < 0.01
    if shift != (0, 0) or log_scale:
        assert held.after[0] > held.before[0] + 0.05
        before, after = held.errors
        assert np.nanmean(after < 0.5 * before) > 0.9 * np.isfinite(before).mean()


def in_colour(pictures):
    return np.stack([pictures, 0.8 * pictures + 0.1, 1 - pictures], 1)


def test_a_part_that_moves_covers_little():
    ground, _ = moved(48, (0, 0), 0)
    first, second = ground.copy(), ground.copy()
    first[0, 18:30, 10:22] = 1
    second[0, 18:30, 16:28] = 1
    before, after = aligned(in_colour(first), in_colour(second), align(first, second)).errors
    assert ((before > 1e-4) & (after < 0.5 * before)).mean() < 0.4


def test_colours_that_change_are_seen_once_aligned():
    first, second = moved(48, (0.1, 0), 0)
    fit = align(first, second)
    other = in_colour(second)[:, [1, 2, 0]]
    assert aligned(in_colour(first), other, fit).after[0] < 0.6
    brighter = aligned(in_colour(first), in_colour(second) + 0.1, fit)
    np.testing.assert_allclose(brighter.tint, 0.1, atol=0.01)


def test_motions_are_joined():
    one, other = Fit(np.array([[0.1, 0.0]]), np.array([0.2])), Fit(np.array([[0.0, -0.05]]), np.array([-0.1]))
    joined = one.then(other)
    np.testing.assert_allclose(joined.shift, [[0.1 * np.exp(-0.1), -0.05]])
    np.testing.assert_allclose(joined.log_scale, [0.1])


def test_a_part_of_the_frame_can_be_followed_by_itself():
    first, still = moved(64, (0, 0), 0)
    _, right = moved(64, (0.06, 0), 0)
    second = np.where(np.arange(64) < 32, still, right)
    start = Fit(np.zeros((1, 2)), np.zeros(1))
    left_part = align(first, second, start, lambda x, y: x + 0 * y < -0.05)
    right_part = align(first, second, start, lambda x, y: x + 0 * y > 0.15)
    np.testing.assert_allclose(left_part.shift[0], [0, 0], atol=0.01)
    np.testing.assert_allclose(right_part.shift[0], [0.06, 0], atol=0.01)


@pytest.mark.parametrize("size", [2, 3, 8, 33])
def test_flat_pictures_move_nowhere(size):
    flat = np.full((2, size, size), 0.4, np.float32)
    fit = align(flat, flat)
    held = aligned(in_colour(flat), in_colour(flat), fit)
    for values in (fit.shift, fit.log_scale, held.before, held.after, held.tint):
        assert np.isfinite(values).all()
    assert (held.after == 0).all()
