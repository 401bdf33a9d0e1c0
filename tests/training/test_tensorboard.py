import sys

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from conftest import CHECKED, tiny_config
from dvdgan.training import TrainingError, train
from support.runs import quiet


def test_the_log_goes_to_tensorboard(store, tmp_path):
    for steps in (2, 3):
        train(tiny_config(store, steps=steps, tensorboard=True, health=CHECKED), tmp_path / "run", say=quiet)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    tags = events.Tags()
    assert {"loss/spatial", "grad/generator", "motion/ratio", "seconds/d", "check/distance"} <= set(tags["scalars"])
    assert "samples" in tags["images"]
    assert [entry.step for entry in events.Scalars("loss/spatial")] == [1, 2, 3]


def test_without_tensorboard_the_field_is_refused(store, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(TrainingError, match=r"pip install 'dvdgan\[tensorboard\]'"):
        train(tiny_config(store, steps=1, tensorboard=True), tmp_path / "run", say=quiet)
