import json
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from dvdgan.evaluation.classifier.classifier import ABOUT, WEIGHTS, Classifier
from dvdgan.evaluation.classifier.network import ClassifierNetwork, default_widths
from dvdgan.evaluation.classifier.report import in_lines, in_record, measure
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.features.resize import resize
from dvdgan.evaluation.measured import Share
from dvdgan.evaluation.metrics.intervals import wilson
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
    alone = classifier.features(clips[:, 2:3])
    for frames in (2, 5, 12):
        np.testing.assert_allclose(classifier.features(np.repeat(clips[:, 2:3], frames, 1)), alone, atol=1e-5)
    backwards = classifier.features(clips[:, ::-1])
    assert np.abs(classifier.features(clips) - backwards).max() > 1e-3


def test_features_depend_on_no_other_clip_and_change_nothing(monkeypatch):
    classifier = tiny_classifier()
    clips, before = noise(5), {name: value.clone() for name, value in classifier.network.state_dict().items()}
    together = classifier.features(clips)
    one_by_one = np.concatenate([classifier.features(clips[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(together, one_by_one, atol=1e-5)
    monkeypatch.setattr("dvdgan.evaluation.classifier.classifier._CHUNK_BYTES", 1)  # a clip at a time
    np.testing.assert_allclose(classifier.features(clips), together, atol=1e-5)
    assert together.dtype == np.float32
    assert together.shape == (5, classifier.features.dimension)
    after = classifier.network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_probabilities_are_the_networks():
    classifier, clips = tiny_classifier(), noise(4)
    pixels = torch.from_numpy(clips).permute(0, 1, 4, 2, 3).float() / 127.5 - 1
    with torch.no_grad():
        expected = classifier.network(pixels).softmax(1).numpy()
    assert expected.max(1).min() > 0.4  # not all alike
    np.testing.assert_allclose(classifier.probabilities(clips), expected, atol=1e-5)
    np.testing.assert_allclose(classifier.probabilities_of(classifier.features(clips)).sum(1), 1, atol=1e-6)


def test_saved_classifier_is_the_same_one(tmp_path):
    classifier, clips = tiny_classifier(), noise(3)
    classifier.save(tmp_path / "classifier", {"data": {"source": "test"}})
    state = torch.random.get_rng_state()
    read = Classifier.load(tmp_path / "classifier")
    assert torch.equal(state, torch.random.get_rng_state())
    assert (read.classes, read.size, read.frames, read.widths) == (CLASSES, 32, 4, (4, 8))
    assert read.about["data"] == {"source": "test"}
    assert not read.network.training
    assert read.features.key == classifier.features.key
    np.testing.assert_allclose(read.features(clips), classifier.features(clips), atol=1e-6)


def test_key_follows_weights_and_size():
    keys = {tiny_classifier(seed, size).features.key for seed, size in ((0, 32), (1, 32), (0, 48))}
    assert len(keys) == 3
    assert tiny_classifier().features.key in keys
    assert tiny_classifier().features.unit == "clip"


def test_clips_of_other_sizes_are_resized_antialiased():
    classifier, large = tiny_classifier(), noise(2, size=64)
    small = resize(large, (32, 32)).div(127.5).sub(1)
    with torch.no_grad():
        expected = classifier.network.features(small).numpy()
    np.testing.assert_allclose(classifier.features(large), expected, atol=1e-6)
    assert classifier.notes(32, 4) == []
    assert "64 px are resized to 32 x 32, bilinear, antialiased" in classifier.notes(64, 4)[0]
    assert "4 frames, not 9" in classifier.notes(32, 9)[0]
    assert "a stride of 1, not 2" in classifier.notes(32, 4, 2)[0]


def test_unknown_classes_are_refused():
    classifier = Classifier(Colours(), CLASSES, 32, 2, (1,))
    classifier.require_classes(["blue", "red"])
    with pytest.raises(EvaluationError, match=r"knows the classes red, green, blue, not mauve; train a classifier"):
        classifier.require_classes(["red", "mauve"])
    with pytest.raises(EvaluationError, match="have none"):
        classifier.require_classes([])


def test_measure_tells_movement_from_looks():
    classifier = Classifier(Colours(), CLASSES, 32, 3, (1,))
    # the last frame decides for clips; the middle one is green for all
    clips = np.stack([colour_clip(0, 1, 2), colour_clip(1, 1, 0), colour_clip(2, 1, 1), colour_clip(0, 1, 0)])
    held_out = array_set(clips, np.array([2, 0, 1, 1]), CLASSES)
    accuracy = measure(classifier, classifier, held_out)
    assert accuracy["chance"] == 0.5
    hits = {name: entry["hits"] for name, entry in accuracy.items() if name != "chance"}
    assert hits == {
        "clips": 3,  # blue, red and green are right; the last one is green and taken for red
        "frozen_first": 0,  # red, green, blue, red for blue, red, green, green
        "frozen_middle": 2,
        "single_frames": 2,
        "frame_classifier": 2,
    }
    assert accuracy["clips"]["confusion"] == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert (accuracy["clips"]["low"], accuracy["clips"]["high"]) == wilson(3, 4)
    assert accuracy["clips"]["by_class"]["green"]["hits"] == 1
    assert accuracy["clips"]["by_class"]["green"]["of"] == 2
    training = {"steps_done": 3, "steps": 9, "minutes": 0.5, "finished": False}
    data = {"training_clips": 8, "held_out_clips": 4, "held_out": "by hand"}
    text = "\n".join(in_lines({"classes": CLASSES, "training": training, "data": data, "accuracy": accuracy}))
    assert "held-out clips: 75.0% right (3 of 4; 95 % interval 30.1% to 95.4%)" in text
    assert "stopped at step 3 of 9" in text
    assert set(measure(classifier, None, held_out)) == {"chance", "clips"}


def test_record_of_a_classifier(tmp_path):
    entry = {"hits": 9, "of": 10, "by_class": {"red": {"hits": 4, "of": 5}}, "confusion": [[4, 1, 0]] * 3}
    accuracy = {"chance": 0.5, "clips": entry, "single_frames": entry}
    classifier = tiny_classifier()
    classifier.save(tmp_path, {"accuracy": accuracy, "data": {"source": "films", "training_clips": 1234}})
    found = in_record(classifier, np.array([[1, 1, 0], [1, 2, 0], [0, 0, 0]]))
    assert (found.path, found.trained_on) == (str(tmp_path), "films, 1,234 clips")
    assert found.fidelity == Share.make(3, 5)
    assert {label: (part.hits, part.of) for label, part in found.fidelity_by_class.items()} == {
        "red": (1, 2), "green": (2, 3), "blue": (0, 0),
    }  # fmt: skip
    assert found.confusion_generated.counts[1] == [1, 2, 0]
    assert list(found.still) == ["their middle frame alone, classifier"]
    assert (found.accuracy.hits, found.accuracy_by_class["red"].hits) == (9, 4)
    alone = in_record(classifier, None)
    assert alone.fidelity.missing == "clips have no classes"
    assert alone.confusion_generated is None


def test_damaged_classifiers_are_refused_in_a_line(tmp_path):
    good = tmp_path / "good"
    tiny_classifier().save(good, {})
    tiny_classifier(seed=5).save(tmp_path / "other", {})
    about = json.loads((good / ABOUT).read_text())

    def refused(name, pattern, change):
        folder = tmp_path / name
        shutil.copytree(good, folder)
        change(folder)
        with pytest.raises(EvaluationError, match=pattern) as raised:
            Classifier.load(folder)
        assert str(raised.value).startswith(str(folder))
        assert "\n" not in str(raised.value)
        assert "train" in str(raised.value)

    def with_about(**changes):
        return lambda folder: (folder / ABOUT).write_text(json.dumps(about | changes))

    refused("no json", f"no classifier .*{ABOUT} is missing", lambda folder: (folder / ABOUT).unlink())
    refused("torn json", f"{ABOUT}: damaged", lambda folder: (folder / ABOUT).write_text('{"format": '))
    refused("a list", f"{ABOUT}: damaged", lambda folder: (folder / ABOUT).write_text("[]"))
    refused("other format", "its format is 'x'", with_about(format="x"))
    refused("version", "of version 9, not 1", with_about(version=9))
    refused("one class", "damaged", with_about(classes=["red"]))
    refused("more classes", "does not fit", with_about(classes=[*CLASSES, "mauve"]))
    refused("widths", "does not fit", with_about(widths=[4, 9]))
    refused("no weights", f"{WEIGHTS}: cannot be read", lambda folder: (folder / WEIGHTS).unlink())
    refused("torn weights", f"{WEIGHTS}: damaged", lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-1]))
    refused("others", f"{WEIGHTS}: damaged", lambda f: shutil.copy(tmp_path / "other" / WEIGHTS, f / WEIGHTS))
    with pytest.raises(EvaluationError, match="no classifier"):
        Classifier.load(tmp_path / "nowhere")
