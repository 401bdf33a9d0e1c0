import torch

from dvdgan.networks.folding import by_step, fold_time, repeat_over_batch, repeat_over_time, unfold_time


def test_unfold_inverts_fold():
    clip = torch.randn(2, 5, 3, 4, 4)
    assert torch.equal(unfold_time(fold_time(clip), 5), clip)


def test_condition_meets_its_own_clip():
    """A condition repeated over time must lie beside the frames of its own clip, not of another sample."""
    owner = torch.arange(3.0)
    frames = owner[:, None].expand(3, 7)
    assert torch.equal(repeat_over_time(owner, 7), fold_time(frames))


def test_a_step_meets_every_clip_at_its_own_time():
    step = torch.arange(7.0)
    assert torch.equal(repeat_over_batch(step, 3), fold_time(step.expand(3, 7)))


def test_steps_are_time_steps():
    clip = torch.randn(2, 5, 3)
    steps = by_step(fold_time(clip), 5)
    assert torch.equal(steps[3], clip[:, 3])
