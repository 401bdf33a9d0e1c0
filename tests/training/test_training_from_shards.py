import os
import signal

import pytest

from conftest import tiny_config, write_store
from dvdgan.config.files import updated
from dvdgan.training import Interrupted, train
from dvdgan.training import step as training_step
from dvdgan.training.step import generator_step
from support.runs import assert_equal_runs, quiet


def test_a_training_from_shards_goes_on_in_the_middle_of_an_epoch(tmp_path):
    source = write_store(tmp_path / "shards", shards=4)  # 15 clips, of which three steps show 18
    config = updated(tiny_config(source, steps=3), data={"shuffle_buffer": 4})
    train(config, tmp_path / "whole", say=quiet)

    with pytest.MonkeyPatch.context() as patch:

        def stopping(state, *clips):
            if state.step == 0:
                os.kill(os.getpid(), signal.SIGTERM)
            return generator_step(state, *clips)

        patch.setattr(training_step, "generator_step", stopping)
        with pytest.raises(Interrupted):
            train(config, tmp_path / "parts", say=quiet)
    said = []
    train(config, tmp_path / "parts", say=said.append)
    assert any("resumed at step 1" in text for text in said)
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")
