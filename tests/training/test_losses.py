import pytest
import torch
from pydantic import ValidationError

from conftest import tiny_config
from dvdgan.config import Config
from dvdgan.networks import TemporalDiscriminator
from dvdgan.training.batches import Batch
from dvdgan.training.generate import generate
from dvdgan.training.losses import HingeLoss, LeCam, RelativisticLoss, gradient_penalty
from dvdgan.training.state import TrainingState
from dvdgan.training.step import discriminator_step, generator_step
from dvdgan.training.views import augmented


def test_hinge_d_on_known_scores():
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-2.0, 0.0, 1.0])
    assert float(HingeLoss().discriminator(real, fake)) == pytest.approx((0 + 0.5 + 2) / 3 + (0 + 1 + 2) / 3)


def test_generator_loss_has_no_hinge():
    """G goes on being pushed however good the score: relu(1 − D(fake)) would stop at 1."""
    fake = torch.tensor([5.0, -3.0], requires_grad=True)
    HingeLoss().generator(lambda: pytest.fail("not needed"), fake).backward()
    assert torch.equal(fake.grad, torch.tensor([-0.5, -0.5]))


def test_relativistic_losses_mirror_each_other():
    real, fake, loss = torch.randn(5), torch.randn(5), RelativisticLoss()
    assert float(loss.discriminator(real, fake)) == pytest.approx(float(loss.generator(lambda: fake, real)))
    assert loss.discriminator(real + 3, fake) < loss.discriminator(real, fake)
    assert loss.generator(lambda: real, fake + 3) < loss.generator(lambda: real, fake)
    shifted = loss.discriminator(real + 7, fake + 7)
    assert float(shifted) == pytest.approx(float(loss.discriminator(real, fake)), rel=1e-4)


def test_only_the_relativistic_loss_pairs_clips_of_one_class():
    drawn, real = torch.tensor([0, 1]), torch.tensor([2, 2])
    assert HingeLoss().fake_labels(drawn, real) is drawn
    assert RelativisticLoss().fake_labels(drawn, real) is real


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


def test_instance_noise_is_on_what_discriminators_see_and_not_on_the_clips(monkeypatch):
    seen = []
    view = TemporalDiscriminator.view
    monkeypatch.setattr(
        TemporalDiscriminator, "view", lambda self, clips, *a: seen.append(clips) or view(self, clips, *a)
    )
    config = tiny_config("unused", regularisation={"noise": 0.5})
    state = TrainingState(config, torch.device("cpu"), "fp32", "contiguous")
    size = config.training.batch_size
    real = Batch(torch.zeros(size, 4, 3, 32, 32), torch.arange(size) % 3)
    fake = generate(state, real.labels)
    made = fake.clips.detach().clone()
    discriminator_step(state, real, fake)
    generator_step(state, real, fake)
    for_d, of_fake, for_g = (clips - before for clips, before in zip(seen, (real.clips, made, made)))
    for noise in (for_d, of_fake, for_g):
        assert noise.std().item() == pytest.approx(0.5, rel=0.02)
        assert noise.mean().item() == pytest.approx(0, abs=0.02)
        assert not torch.allclose(noise[0], noise[1], atol=1e-3)
    assert not torch.allclose(for_d, of_fake, atol=1e-3)
    assert not torch.allclose(of_fake, for_g, atol=1e-3)
    assert not real.clips.any()
    assert torch.equal(fake.clips, made)


def test_instance_noise_falls_evenly():
    config = tiny_config("unused", steps=8, regularisation={"noise": 0.5, "noise_end": 0.1})
    state = TrainingState(config, torch.device("cpu"), "fp32", "contiguous")
    clips, deviations = torch.zeros(3, 4, 3, 32, 32), []
    for state.step in (0, 4, 8, 12):
        deviations.append(augmented(state, clips, state.noise("d", 0, None), "real")["spatial"].std().item())
    assert deviations == pytest.approx([0.5, 0.3, 0.1, 0.1], rel=0.02)


def test_instance_noise_on_one_discriminator_leaves_the_other_its_clips():
    config = tiny_config("unused", regularisation={"noise": 0.5, "noise_on": "temporal"})
    state = TrainingState(config, torch.device("cpu"), "fp32", "contiguous")
    clips = torch.zeros(3, 4, 3, 32, 32)
    shown = augmented(state, clips, state.noise("d", 0, None), "real")
    assert torch.equal(shown["spatial"], clips)
    assert shown["temporal"].std().item() == pytest.approx(0.5, rel=0.02)


def test_noise_for_a_discriminator_that_is_not_there():
    config = tiny_config("unused", regularisation={"noise_on": "temporal"}).model_dump()
    with pytest.raises(ValidationError, match=r"noise_on=temporal, but there is no network\.temporal"):
        Config.model_validate(config | {"network": config["network"] | {"temporal": None}})
