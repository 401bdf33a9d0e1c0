import json
import os
import signal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from conftest import write_store
from dvdgan.config import DataConfig
from dvdgan.config.files import ConfigError
from dvdgan.data import phenomena
from dvdgan.data.store.clip_store import ClipStore
from dvdgan.data.store.writer import StoreWriter
from dvdgan.evaluation.classifier import training as classifier_training
from dvdgan.evaluation.classifier.classifier import Classifier
from dvdgan.evaluation.classifier.training import train_classifier
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.parts import open_parts
from dvdgan.evaluation.real_clips import middle_windows
from dvdgan.evaluation.settings import ClassifierSettings, parse_settings
from dvdgan.training import Interrupted, TrainingFailed
from support.windows import windows_of

TINY = {"size": 32, "frames": 3, "steps": 4, "batch_size": 4, "widths": (4, 8)}


@pytest.fixture(autouse=True)
def _same_arithmetic(monkeypatch):
    """The precision that is quickest may be another one in each training."""
    monkeypatch.setattr(classifier_training, "quickest", lambda *arguments: "fp32")


def quiet(text):
    pass


def trained(data, out, minutes=None, say=quiet, **settings):
    return train_classifier(data, out, ClassifierSettings(**(TINY | settings)), minutes, "cpu", say=say)


def lines_of(out):
    return [json.loads(line) for line in (out / "training" / "log.jsonl").read_text().splitlines()]


def moving_store(path, per_class=24, parts=("train", "train", "test")):
    """Squares that move right, left and not at all, from places that give nothing away."""
    rng, names = np.random.default_rng(0), ("right", "left", "still")
    with StoreWriter(path, 32, names, {"test": True}) as writer:
        for label, speed in enumerate((3, -3, 0)):
            for index in range(per_class):
                clip = np.full((4, 32, 32, 3), 30, np.uint8)
                x, y = 10 + rng.integers(-2, 3), rng.integers(0, 20)
                for t in range(4):
                    left = x + round(speed * (t - 1.5))
                    clip[t, y : y + 12, left : left + 12] = 220
                writer.add(clip, label, f"{names[label]}/{index}", 12.0, parts[index % len(parts)])
    return path


def test_learns_movement_that_frames_do_not_show(tmp_path):
    store = moving_store(tmp_path / "store")
    data = DataConfig(source=str(store), flip=True, flip_labels={"left": "right"})
    said = []
    classifier = trained(
        data,
        tmp_path / "classifier",
        say=said.append,
        frames=4,
        steps=70,
        batch_size=16,
        widths=(8, 16),
        learning_rate=1e-2,
    )
    accuracy = classifier.about.accuracy
    assert accuracy.clips.of == 24  # every third of 72
    assert accuracy.clips.hits >= 22
    assert accuracy.frame_classifier.hits <= 18  # right and left start at other places, but cross in the middle
    assert accuracy.frozen_middle.hits <= 12
    assert accuracy.frozen_middle.confusion == accuracy.single_frames.confusion
    assert accuracy.chance == pytest.approx(1 / 3)
    assert any(text.startswith("held-out clips: ") for text in said)
    read = Classifier.load(tmp_path / "classifier")
    assert read.about == classifier.about
    assert read.about.training.finished
    assert read.about.data.held_out == "the source's test part"
    assert read.about.data.flip_labels == {"left": "right"}
    assert lines_of(tmp_path / "classifier")[-1]["accuracy_clips"] > 0.8
    opened = ClipStore.open(store)
    hashes = {opened.hashes[row] for row in range(len(opened)) if opened.splits[row] == "train"}
    every = middle_windows(windows_of(opened, 4, 32))
    assert read.learned_from(every).tolist() == [digest in hashes for digest in opened.hashes]  # test clips, if equal


def test_interrupted_training_ends_equal_to_uninterrupted(tmp_path, monkeypatch):
    data = DataConfig(source=str(write_store(tmp_path / "store")), flip=True)
    trained(data, tmp_path / "whole")
    step = classifier_training._training_step

    def stopping(state, *arguments):
        if state.step == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(state, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(classifier_training, "_training_step", stopping)
        with pytest.raises(Interrupted):
            trained(data, tmp_path / "parts")
    assert not (tmp_path / "parts" / "classifier.json").exists()
    assert len(lines_of(tmp_path / "parts")) == 2
    said = []
    trained(data, tmp_path / "parts", say=said.append)
    assert any("resumed at step 2" in text for text in said)
    whole, parts = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert [name for name in whole if not (whole[name] == parts[name]).all()] == []
    for a, b in zip(lines_of(tmp_path / "whole"), lines_of(tmp_path / "parts"), strict=True):
        assert a | {"hours": 0} == b | {"hours": 0}


def test_seed_decides_and_steps_change_weights(tmp_path):
    data = DataConfig(source=str(write_store(tmp_path / "store")))
    a, b, c = (trained(data, tmp_path / f"{name}", seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert a.key == b.key != c.key


def test_budget_stops_and_the_same_command_goes_on(tmp_path):
    data = DataConfig(source=str(write_store(tmp_path / "store")))
    said = []
    classifier = trained(data, tmp_path / "classifier", minutes=0.0, say=said.append)
    assert (classifier.about.training.steps_done, classifier.about.training.finished) == (0, False)
    assert any("stopped at step 0 of 4" in text for text in said)
    classifier = trained(data, tmp_path / "classifier")
    assert (classifier.about.training.steps_done, classifier.about.training.finished) == (4, True)
    again = trained(data, tmp_path / "classifier")  # nothing is left to do
    assert again.key == classifier.key


def test_other_settings_or_clips_are_refused(tmp_path):
    data = DataConfig(source=str(write_store(tmp_path / "store")))
    trained(data, tmp_path / "classifier", minutes=1e-9)  # one step
    with pytest.raises(EvaluationError, match="steps was 4, not 9; seed was 0, not 1"):
        trained(data, tmp_path / "classifier", steps=9, seed=1)
    with pytest.raises(EvaluationError, match=r"data\.stride"):
        trained(data.model_copy(update={"stride": 2}), tmp_path / "classifier")
    trained(data.model_copy(update={"fps": 7.0}), tmp_path / "classifier", minutes=1e-9)  # decides nothing
    elsewhere = data.model_copy(update={"source": str(write_store(tmp_path / "copy"))})
    with pytest.raises(EvaluationError, match=r"data\.source was .*store, not .*copy"):
        trained(elsewhere, tmp_path / "classifier")
    respelled = data.model_copy(update={"source": f"{tmp_path}/copy/../store/"})
    trained(respelled, tmp_path / "classifier", minutes=1e-9)
    write_store(tmp_path / "store", per_class=6)
    with pytest.raises(EvaluationError, match=str(tmp_path / "classifier")):
        trained(data, tmp_path / "classifier")


def test_bad_input_is_refused_before_training(tmp_path):
    store = write_store(tmp_path / "store")
    data = DataConfig(source=str(store))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("")
    with pytest.raises(EvaluationError, match="full: "):
        trained(data, tmp_path / "full")
    with pytest.raises(EvaluationError, match="--data"):
        trained(DataConfig(), tmp_path / "classifier")
    with pytest.raises(ConfigError, match="frames: "):
        parse_settings(ClassifierSettings(), ["frames=0"])
    one = DataConfig(source=str(write_store(tmp_path / "one", classes=("dot",))))
    with pytest.raises(EvaluationError, match=r"one: .* dot"):
        trained(one, tmp_path / "classifier")


def test_a_loss_that_is_not_finite_is_a_failure_of_the_work(tmp_path, monkeypatch):
    broken = lambda clips, device: torch.full((len(clips), 3, 3, 32, 32), torch.nan)  # noqa: E731
    monkeypatch.setattr(classifier_training, "from_uint8", broken)
    with pytest.raises(TrainingFailed, match="step 0: loss_clips"):
        trained(DataConfig(source=str(write_store(tmp_path / "store"))), tmp_path / "classifier")


def test_stills_have_no_movement_to_measure(tmp_path):
    data = DataConfig(source=str(write_store(tmp_path / "store")))
    classifier = trained(data, tmp_path / "classifier", frames=1)
    assert list(classifier.about.accuracy.measured) == ["clips"]


def test_groups_are_held_out_whole_where_the_source_says_nothing(tmp_path):
    with StoreWriter(tmp_path / "store", 32, ("a", "b"), {"test": True}) as writer:
        for number in range(40):
            clip = np.full((3, 32, 32, 3), number, np.uint8)
            writer.add(clip, number % 2, f"{number}", 12.0, group=f"g{number % 2}-{number // 8}")
    parts = open_parts(DataConfig(source=str(tmp_path / "store")), 32, 3, tmp_path / "work", 0.2)
    assert parts.how == "20% of each class, by whole groups (data.test_fraction)"
    store = ClipStore.open(tmp_path / "store")
    held_out = {int(id.split(",")[0]) for id in parts.held_out.ids}
    learned = {int(store.sources[row]) for row in parts.train._kept}
    assert held_out | learned == set(range(40))
    assert not {store.groups[number] for number in held_out} & {store.groups[number] for number in learned}
    assert len(held_out) == 8
    assert len(set(parts.held_out.labels.tolist())) == 2
    few = classifier_training._checked(parts, ClassifierSettings(held_out_clips=4), "store")
    assert np.bincount(few.held_out.labels).tolist() == [2, 2]
    assert parts.chosen_here
    asked = DataConfig(source=str(tmp_path / "store"), test_fraction=0.2)
    assert not open_parts(asked, 32, 3, tmp_path / "work").chosen_here


def test_a_source_that_is_divided_stays_so_whatever_fraction_is_asked(tmp_path):
    with StoreWriter(tmp_path / "store", 32, ("a", "b"), {"test": True}) as writer:
        for number in range(20):
            clip, part = np.full((3, 32, 32, 3), number, np.uint8), "test" if number < 6 else "train"
            writer.add(clip, number % 2, f"{number}", 12.0, part)
    data = DataConfig(source=str(tmp_path / "store"), test_fraction=0.5)
    parts = open_parts(data, 32, 3, tmp_path / "work")
    assert (len(parts.held_out), parts.how, parts.chosen_here) == (6, "the source's test part", False)


def test_rendered_clips_that_are_too_short_are_repeated_on_both_sides(tmp_path):
    open_parts(DataConfig(source="phenomena", clips_per_class=2), 32, 3, tmp_path / "earlier", held_out_clips=9)
    data = DataConfig(source=str(tmp_path / "earlier" / "data"), short="loop")
    parts = open_parts(data, 32, 5, tmp_path / "work", held_out_clips=9)
    clip = parts.held_out.read([0])[0]
    np.testing.assert_array_equal(clip[:2], clip[3:])


@pytest.mark.parametrize("packed_before", [False, True])
def test_phenomena_are_measured_on_scenes_of_the_other_split(tmp_path, packed_before):
    data = DataConfig(source="phenomena", clips_per_class=2, seed=3)
    if packed_before:
        open_parts(data, 32, 3, tmp_path / "earlier", held_out_clips=9)
        data = DataConfig(source=str(tmp_path / "earlier" / "data"))
    parts = open_parts(data, 32, 3, tmp_path / "work", held_out_clips=9)
    assert parts.how == "scenes of the phenomena's heldout split"
    assert (len(parts.train), len(parts.held_out)) == (18, 9)
    assert parts.held_out.classes == parts.train.classes == list(phenomena.CLASSES)
    label = phenomena.CLASSES.index("bounce")
    expected = phenomena.render("bounce", 0, seed=3, size=32, frames=3, split="heldout").clip
    assert parts.held_out.labels[label] == label
    np.testing.assert_array_equal(parts.held_out.read([label])[0], expected)
