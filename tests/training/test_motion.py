import pytest
import torch

from dvdgan.training.motion import first_frame_jump, frame_differences, motion


def test_units_are_the_luma_range():
    clip = torch.full((1, 3, 3, 4, 4), -1.0)
    clip[:, 1] = 1.0
    torch.testing.assert_close(frame_differences(clip), torch.ones(1, 2))


def test_a_wrong_first_frame_does_not_make_a_frozen_clip_move():
    clip = torch.zeros(1, 8, 3, 4, 4)
    clip[:, 0] = 1.0
    assert float(motion(clip)) == 0.0
    assert float(first_frame_jump(clip)) > 100


def test_even_motion_has_no_jump():
    clip = torch.linspace(-1, 1, 8).view(1, 8, 1, 1, 1).expand(2, -1, 3, 4, 4)
    assert first_frame_jump(clip).tolist() == pytest.approx([1.0, 1.0], rel=1e-4)
    assert motion(clip).tolist() == pytest.approx([1 / 7, 1 / 7], rel=1e-4)
