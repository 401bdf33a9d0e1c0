"""Training on windows of longer clips: ``training.long_clips``."""

import numpy as np
import pytest
import torch

from conftest import tiny_config, tiny_network
from dvdgan.config.files import ConfigError, updated
from dvdgan.training import train
from dvdgan.training.batches import Batch
from dvdgan.training.generate import generate
from dvdgan.training.state import TrainingState
from dvdgan.training.step import generator_step
from support.runs import lines_of, quiet

LABELS = torch.tensor([0, 0, 1, 1])
FRAMES = 4


def new_state(network=None, **options):
    config = tiny_config("unused").model_copy(update={"network": tiny_network(frames=FRAMES, **(network or {}))})
    config = updated(config, training={"batch_size": 4, "adam_eps": 1.0, **options})
    return TrainingState(config, torch.device("cpu"), "fp32", "contiguous")


def starts_of(state, index, steps=60):
    starts = []
    for step in range(steps):
        state.step = step
        starts.append(generate(state, LABELS, index).start)
    return starts


def test_batches_begin_anywhere_up_to_the_latest_frame_in_their_share_of_steps():
    state = new_state(long_clips=0.5, long_clips_until=3, d_steps=1)
    starts = np.array(starts_of(state, 0))
    assert 15 <= (starts > 0).sum() <= 45
    assert set(starts[starts > 0]) == set(range(1, 2 * FRAMES + 1))
    assert starts_of(state, None, 20) != list(starts[:20])  # G's own batches draw their own
    assert starts_of(new_state(long_clips=0.5, long_clips_until=3, d_steps=1), 0) == list(starts)  # and nothing is kept
    assert not any(starts_of(new_state(), 0, 10))


def test_clips_of_a_batch_go_on_from_their_own_latent_and_class_in_parts_too():
    state = new_state({"spatial": {"group": 2}, "temporal": {"group": 2}}, long_clips=1.0, accumulate=2)
    whole = generate(state, LABELS, 0)
    assert whole.start > 0
    assert whole.labels is LABELS
    for part in ([0, 1], [2, 3]):
        alone = generate(state, LABELS[part], part=part)
        again = generate(state, LABELS[part], part=part)
        assert alone.start == again.start
        torch.testing.assert_close(alone.clips, again.clips)
        assert (alone.clips[0] - alone.clips[1]).abs().mean() > 1e-2


def test_a_predictors_windows_are_made_whole_and_not_compared_with_what_really_followed():
    network = {"first_frames": 1}
    options = {"regularisation": {"reconstruction": 1.0}}
    real = Batch(torch.rand(4, FRAMES, 3, 32, 32) * 2 - 1, LABELS)
    for share, names in ((0.0, {"spatial", "temporal", "reconstruction"}), (1.0, {"spatial", "temporal"})):
        state = new_state(network, long_clips=share, **options)
        fake = generate(state, LABELS, first=real.clips[:, :1])
        assert fake.clips.shape == real.clips.shape
        assert torch.equal(fake.clips[:, 0], real.clips[:, 0]) == (share == 0)
        assert set(generator_step(state, real, fake)[1].losses) == names
        assert all(torch.isfinite(p).all() for p in state.generator.parameters())


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_step_after_frame_0_is_measured_only_where_clips_begin(store, tmp_path, share):
    config = tiny_config(store, steps=2, long_clips=share)
    train(config, tmp_path / "run", say=quiet)
    lines = [line for line in lines_of(tmp_path / "run") if "motion_ratio" in line]
    assert len(lines) == 2
    assert all(("first_frame" in line) == (share == 0) for line in lines)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"generator": {"norm_statistics": "shared"}}, r"norm_statistics=per_step, .*training\.long_clips=0"),
        ({"generator": {"attention": "separable", "attention_at": 16, "width": 8}}, "attention=separable"),
        ({"frames": 2, "first_frames": 1, "spatial": {"frames": 1}}, r"network\.frames"),
    ],
)
def test_what_cannot_go_on_is_refused(network, message):
    config = tiny_config("unused").model_copy(update={"network": tiny_network(**network)})
    with pytest.raises(ConfigError, match=message) as raised:
        updated(config, training={"long_clips": 0.5})
    assert "\n" not in str(raised.value)
