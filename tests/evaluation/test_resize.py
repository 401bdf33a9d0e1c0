import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dvdgan.evaluation.features.resize import resize


def chequerboard(side, cell=1):
    at = np.arange(side) // cell
    board = ((at[:, None] + at) % 2 * 255).astype(np.uint8)
    return np.repeat(board[..., None], 3, -1)


@pytest.mark.parametrize("size", [(21, 21), (27, 21), (10, 30)])
def test_a_fine_chequerboard_shrinks_to_grey(size):
    board = chequerboard(64)
    small = resize(board[None, None], size)
    assert small.shape == (1, 1, 3, *size)
    assert (small - 127.5).abs().max() < 8
    plain = F.interpolate(torch.from_numpy(board).permute(2, 0, 1)[None].float(), size, mode="bilinear")
    assert (plain - 127.5).abs().max() > 60  # the board does tell an aliasing kernel


def test_frames_of_the_size_stay_as_they_are():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 9, 11, 3), np.uint8)
    same = resize(pixels, (9, 11))
    assert same.dtype == torch.float32
    assert np.array_equal(same.numpy(), pixels.transpose(0, 1, 4, 2, 3))


@pytest.mark.parametrize("size", [(5, 40), (32, 32), (3, 3)])
def test_brightness_and_colours_stay_and_nothing_overshoots(size):
    flat = np.full((4, 12, 12, 3), (200, 17, 90), np.uint8)
    colours = torch.tensor([200.0, 17, 90])[:, None, None].expand(4, 3, *size)
    torch.testing.assert_close(resize(flat, size), colours, rtol=0, atol=1e-3)
    harsh = resize(chequerboard(12, 4)[None], size)
    assert harsh.min() >= 0
    assert harsh.max() <= 255


def test_what_is_to_the_left_and_above_stays_there():
    pixels = np.zeros((1, 8, 16, 3), np.uint8)
    pixels[0, :4, :8, 0] = 255
    small = resize(pixels, (4, 4))[0]
    assert small[0].argmax() == 0
    assert small[0, 0, 0] > 200
    assert small[:, 2:].max() < 60
    assert small[1:].max() == 0
