import pytest
import torch

from dvdgan.training.losses import LeCam, gradient_penalty, hinge_d, hinge_g, relativistic_d, relativistic_g


def test_hinge_d_on_known_scores():
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-2.0, 0.0, 1.0])
    assert float(hinge_d(real, fake)) == pytest.approx((0 + 0.5 + 2) / 3 + (0 + 1 + 2) / 3)


def test_generator_loss_has_no_hinge():
    """G goes on being pushed however good the score: relu(1 − D(fake)) would stop at 1."""
    fake = torch.tensor([5.0, -3.0], requires_grad=True)
    hinge_g(fake).backward()
    assert torch.equal(fake.grad, torch.tensor([-0.5, -0.5]))


def test_relativistic_losses_mirror_each_other():
    real, fake = torch.randn(5), torch.randn(5)
    assert float(relativistic_d(real, fake)) == pytest.approx(float(relativistic_g(fake, real)))
    assert relativistic_d(real + 3, fake) < relativistic_d(real, fake)
    assert relativistic_g(real, fake + 3) < relativistic_g(real, fake)
    assert float(relativistic_d(real + 7, fake + 7)) == pytest.approx(float(relativistic_d(real, fake)), rel=1e-4)


def test_gradient_penalty_of_a_linear_score():
    weight = torch.randn(3, 4, 4, requires_grad=True)
    penalty = gradient_penalty(lambda x: (x * weight).sum((1, 2, 3)), torch.randn(5, 3, 4, 4))
    assert float(penalty.detach()) == pytest.approx(float(weight.detach().square().sum()), rel=1e-5)
    penalty.backward()
    torch.testing.assert_close(weight.grad, 2 * weight.detach())


def test_gradient_penalty_stays_in_fp32_under_autocast():
    layer = torch.nn.Linear(4, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        penalty = gradient_penalty(lambda x: layer(x).squeeze(1), torch.randn(5, 4))
    assert penalty.dtype == torch.float32
    assert float(penalty.detach()) == pytest.approx(float(layer.weight.detach().square().sum()), rel=1e-6)


def test_lecam_pulls_scores_to_the_other_sides_average():
    lecam = LeCam(0.0)  # averages are the last batch's
    real, fake = torch.tensor([3.0, 1.0]), torch.tensor([-2.0, 0.0])
    # averages: real 2, fake -1; relu(real + 1)^2 = 16, 4; relu(2 - fake)^2 = 16, 4
    assert float(lecam(real, fake)) == pytest.approx(10 + 10)
    assert (lecam.real, lecam.fake) == (2.0, -1.0)
