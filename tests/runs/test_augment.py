import numpy as np
import pytest
import torch

from dvdgan.runs.augment import NUMBERS, diff_augment


@pytest.mark.parametrize("transform", ["color", "translation", "cutout"])
def test_all_frames_of_a_clip_get_the_same(transform):
    frame = torch.rand(3, 1, 3, 16, 16) * 2 - 1
    out = diff_augment(frame.expand(-1, 4, -1, -1, -1), [transform], np.random.default_rng(0).random((3, NUMBERS)))
    assert torch.equal(out, out[:, :1].expand_as(out))
    assert not torch.allclose(out[0], frame[0].expand(4, -1, -1, -1))


@pytest.mark.parametrize("transform", ["color", "translation", "cutout"])
def test_differentiable_and_deterministic(transform):
    clip = torch.rand(2, 3, 3, 16, 16, requires_grad=True)
    draw = np.random.default_rng(1).random((2, NUMBERS))
    out = diff_augment(clip, [transform], draw)
    assert torch.equal(out, diff_augment(clip, [transform], draw))
    out.sum().backward()
    assert clip.grad.abs().sum() > 0


def test_middle_draw_of_color_is_identity():
    clip = torch.rand(2, 3, 3, 8, 8)
    torch.testing.assert_close(diff_augment(clip, ["color"], np.full((2, NUMBERS), 0.5)), clip)


def test_translation_reaches_an_eighth_and_fills_with_zeros():
    clip = torch.ones(1, 2, 3, 16, 16)
    draw = np.zeros((1, NUMBERS))
    out = diff_augment(clip, ["translation"], draw)
    assert out[0, 0, 0].sum() == 14 * 14
    assert out[0, 0, 0, :2].sum() == 0


def test_cutout_removes_at_most_half_the_side():
    clip = torch.ones(64, 1, 3, 16, 16)
    out = diff_augment(clip, ["cutout"], np.random.default_rng(0).random((64, NUMBERS)))
    removed = 256 - out[:, 0, 0].sum((1, 2))
    assert removed.max() == 64
    assert removed.min() >= 16


def test_nothing_asked_nothing_done():
    clip = torch.rand(1, 2, 3, 8, 8)
    assert torch.equal(diff_augment(clip, [], np.zeros((1, NUMBERS))), clip)
