import json
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from dvdgan.evaluation.classifier.classifier import ABOUT, WEIGHTS, Classifier
from dvdgan.evaluation.classifier.network import ClassifierNetwork, default_widths
from dvdgan.evaluation.classifier.report import in_lines, in_record, measure
from dvdgan.evaluation.classifier.results import Accuracies, Accuracy
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.features.resize import resize
from dvdgan.evaluation.measured import Share, wilson
from support.classifiers import save_classifier
from support.clip_sets import array_set

CLASSES = ["red", "green", "blue"]


def tiny_classifier(seed=0, size=32, widths=(4, 8)):
    """A classifier with random weights whose every layer does something."""
    network = ClassifierNetwork(len(CLASSES), widths, torch.Generator().manual_seed(seed))
    rng = torch.Generator().manual_seed(seed + 1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.weight.data.uniform_(0.5, 1.5, generator=rng)
            module.running_mean.normal_(0, 0.1, generator=rng)
    network.head.weight.data.normal_(0, 1, generator=rng)
    return Classifier(network, CLASSES, size, 4, widths)


class Colours(nn.Module):
    """Classifies by the colour of the first frame and, if there is a second one, by twice that of the last."""

    dimension = 3

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, 3)
        self.head.weight.data = 9 * torch.eye(3)
        self.head.bias.data.zero_()

    def features(self, clips):
        colours = clips.mean((3, 4))
        return colours[:, 0] + 2 * (colours[:, -1] if clips.shape[1] > 1 else 0)


def colour_clip(*frames, size=32):
    """A clip of plain frames: 0 red, 1 green, 2 blue."""
    clip = np.zeros((len(frames), size, size, 3), np.uint8)
    for t, channel in enumerate(frames):
        clip[t, ..., channel] = 255
    return clip


def noise(count, frames=4, size=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, frames, size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize(("frames", "size"), [(1, 32), (2, 33), (5, 48), (3, 64), (1, 47)])
def test_network_takes_any_length_and_size(frames, size):
    network = ClassifierNetwork(5, (4, 8, 8), torch.Generator().manual_seed(0)).eval()
    clips = torch.randn(2, frames, 3, size, size)
    assert network(clips).shape == (2, 5)
    features = network.features(clips)
    assert features.shape == (2, network.dimension) == (2, 8)
    assert (features >= 0).all()


def test_default_widths_end_at_a_map_of_about_four():
    for size in (32, 48, 64, 96, 128, 256):
        widths = default_widths(size)
        assert widths[-3:] == (32, 64, 128)
        assert 4 <= size / 2 ** len(widths) < 8


def test_frame_alone_and_held_still_are_the_same_and_order_matters():
    classifier = tiny_classifier(widths=(4, 8, 8))
    clips = noise(3, frames=6)
    alone = classifier(clips[:, 2:3])
    for frames in (2, 5, 12):
        np.testing.assert_allclose(classifier(np.repeat(clips[:, 2:3], frames, 1)), alone, atol=1e-5)
    backwards = classifier(clips[:, ::-1])
    assert np.abs(classifier(clips) - backwards).max() > 1e-3


def test_features_depend_on_no_other_clip_and_change_nothing(monkeypatch):
    classifier = tiny_classifier()
    clips, before = noise(5), {name: value.clone() for name, value in classifier.network.state_dict().items()}
    together = classifier(clips)
    one_by_one = np.concatenate([classifier(clips[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(together, one_by_one, atol=1e-5)
    monkeypatch.setattr("dvdgan.evaluation.classifier.classifier._CHUNK_BYTES", 1)  # a clip at a time
    np.testing.assert_allclose(classifier(clips), together, atol=1e-5)
    assert together.dtype == np.float32
    assert together.shape == (5, classifier.dimension)
    after = classifier.network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_probabilities_are_the_networks():
    classifier, clips = tiny_classifier(), noise(4)
    pixels = torch.from_numpy(clips).permute(0, 1, 4, 2, 3).float() / 127.5 - 1
    with torch.no_grad():
        expected = classifier.network(pixels).softmax(1).numpy()
    assert expected.max(1).min() > 0.4  # not all alike
    np.testing.assert_allclose(classifier.probabilities(clips), expected, atol=1e-5)
    np.testing.assert_allclose(classifier.probabilities_of(classifier(clips)).sum(1), 1, atol=1e-6)


def test_saved_classifier_is_the_same_one(tmp_path):
    classifier, clips = tiny_classifier(), noise(3)
    save_classifier(classifier, tmp_path / "classifier", stride=2)
    state = torch.random.get_rng_state()
    read = Classifier.load(tmp_path / "classifier")
    assert torch.equal(state, torch.random.get_rng_state())
    assert (read.classes, read.size, read.frames, read.widths) == (CLASSES, 32, 4, (4, 8))
    assert read.about == classifier.about
    assert read.about.data.stride == 2
    assert not read.network.training
    assert read.key == classifier.key
    np.testing.assert_allclose(read(clips), classifier(clips), atol=1e-6)


def test_key_follows_weights_and_size():
    keys = {tiny_classifier(seed, size).key for seed, size in ((0, 32), (1, 32), (0, 48))}
    assert len(keys) == 3
    assert tiny_classifier().key in keys
    assert tiny_classifier().unit == "clip"


def test_clips_of_other_sizes_are_resized_antialiased(tmp_path):
    classifier, large = tiny_classifier(), noise(2, size=64)
    save_classifier(classifier, tmp_path)
    small = resize(large, (32, 32)).div(127.5).sub(1)
    with torch.no_grad():
        expected = classifier.network.features(small).numpy()
    np.testing.assert_allclose(classifier(large), expected, atol=1e-6)
    assert classifier.notes(32, 4) == []
    for (size, frames, stride), named in (((64, 4, 1), "64 px"), ((32, 9, 1), "9"), ((32, 4, 2), "stride")):
        (note,) = classifier.notes(size, frames, stride)
        assert named in note


def test_unknown_classes_are_refused():
    classifier = Classifier(Colours(), CLASSES, 32, 2, (1,))
    classifier.require_classes(["blue", "red"])
    with pytest.raises(EvaluationError, match="mauve"):
        classifier.require_classes(["red", "mauve"])
    with pytest.raises(EvaluationError):
        classifier.require_classes([])


def test_measure_tells_movement_from_looks(tmp_path):
    classifier = Classifier(Colours(), CLASSES, 32, 3, (1,))
    # the last frame decides for clips; the middle one is green for all
    clips = np.stack([colour_clip(0, 1, 2), colour_clip(1, 1, 0), colour_clip(2, 1, 1), colour_clip(0, 1, 0)])
    held_out = array_set(clips, np.array([2, 0, 1, 1]), CLASSES)
    accuracy = measure(classifier, classifier, held_out)
    assert accuracy.chance == 0.5
    assert {name: part.hits for name, part in accuracy.measured.items()} == {
        "clips": 3,  # blue, red and green are right; the last one is green and taken for red
        "frozen_first": 0,  # red, green, blue, red for blue, red, green, green
        "frozen_middle": 2,
        "single_frames": 2,
        "frame_classifier": 2,
    }
    assert accuracy.clips.confusion == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert (accuracy.clips.low, accuracy.clips.high) == wilson(3, 4)
    assert accuracy.clips.by_class["green"] == Share.make(1, 2)
    assert list(measure(classifier, None, held_out).measured) == ["clips"]
    save_classifier(classifier, tmp_path, accuracy)
    text = "\n".join(in_lines(classifier.about))
    assert "held-out clips: 75.0% right (3 of 4; 95 % interval 30.1% to 95.4%)" in text
    assert "stopped" not in text
    early = classifier.about.training.model_copy(update={"steps_done": 3, "finished": False})
    assert "step 3 of 9" in in_lines(classifier.about.model_copy(update={"training": early}))[1]


def test_record_of_a_classifier(tmp_path):
    classifier, part = tiny_classifier(), Accuracy.of_counts(CLASSES, np.array([[4, 1, 0], [0, 5, 0], [0, 0, 0]]))
    accuracy = Accuracies(chance=0.5, clips=part, single_frames=part.model_copy())
    save_classifier(classifier, tmp_path, accuracy, source="films", training_clips=1234)
    found = in_record(classifier, np.array([[1, 1, 0], [1, 2, 0], [0, 0, 0]]))
    assert (found.path, found.trained_on) == (str(tmp_path), "films, 1,234 clips")
    assert (found.fidelity.hits, found.fidelity.of) == (3, 5)
    assert found.fidelity.by_class == {"red": Share.make(1, 2), "green": Share.make(2, 3)}
    assert found.fidelity.confusion[1] == [1, 2, 0]
    assert list(found.still) == ["their middle frame alone, classifier"]
    assert (found.accuracy.hits, found.accuracy.by_class["red"].hits) == (9, 4)
    alone = in_record(classifier, None)
    assert alone.fidelity.missing == "clips have no classes"
    assert alone.fidelity.confusion == []


def test_damaged_classifiers_are_refused_in_a_line(tmp_path):
    good = tmp_path / "good"
    save_classifier(tiny_classifier(), good)
    save_classifier(tiny_classifier(seed=5), tmp_path / "other")
    about = json.loads((good / ABOUT).read_text())

    def refused(name, pattern, change):
        folder = tmp_path / name
        shutil.copytree(good, folder)
        change(folder)
        with pytest.raises(EvaluationError, match=pattern) as raised:
            Classifier.load(folder)
        assert str(raised.value).startswith(str(folder))
        assert "\n" not in str(raised.value)

    def with_about(**changes):
        return lambda folder: (folder / ABOUT).write_text(json.dumps(about | changes))

    refused("no json", ABOUT, lambda folder: (folder / ABOUT).unlink())
    refused("torn json", f"{ABOUT}: ", lambda folder: (folder / ABOUT).write_text('{"format": '))
    refused("a list", f"{ABOUT}: ", lambda folder: (folder / ABOUT).write_text("[]"))
    refused("other format", "format .*'x'", with_about(format="x"))
    refused("version", "version 9", with_about(version=9))
    refused("one class", "classes: ", with_about(classes=["red"]))
    refused("a class twice", "twice", with_about(classes=["red", "red", "blue"]))
    refused("more classes", "accuracy.clips", with_about(classes=[*CLASSES, "mauve"]))
    refused("unmeasured", "accuracy: ", with_about(accuracy=None))
    clips = about["accuracy"]["clips"]
    for name, change in (("hits", {"hits": 4}), ("of a class", {"by_class": {}}), ("torn", {"confusion": [[1]]})):
        accuracy = about["accuracy"] | {"clips": clips | change}
        refused(name, "accuracy.clips", with_about(accuracy=accuracy))
    refused("widths", WEIGHTS, with_about(widths=[4, 9]))
    refused("no weights", f"{WEIGHTS}: ", lambda folder: (folder / WEIGHTS).unlink())
    refused("torn weights", f"{WEIGHTS}: ", lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-1]))
    refused("others", f"{WEIGHTS}: ", lambda f: shutil.copy(tmp_path / "other" / WEIGHTS, f / WEIGHTS))
