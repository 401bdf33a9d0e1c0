import shutil

import numpy as np
import pytest
import torch

from conftest import CHECKED, tiny_config, tiny_network
from dvdgan.config import TrainingConfig
from dvdgan.config.files import updated
from dvdgan.config.training import HealthConfig
from dvdgan.data.phenomena import CLASSES, render
from dvdgan.data.sources import open_dataset
from dvdgan.data.store.writer import StoreWriter
from dvdgan.evaluation.classifier.classifier import Classifier
from dvdgan.evaluation.classifier.network import ClassifierNetwork
from dvdgan.evaluation.metrics.frechet import frechet_distance, gaussian
from dvdgan.evaluation.real_clips import middle_windows
from dvdgan.runs.checkpoint import list_checkpoints, saved_checkpoints
from dvdgan.runs.tensorboard import _scalars
from dvdgan.training import TrainingError, train, watching
from dvdgan.training.checks import SampleCheck
from dvdgan.training.evaluating import Evaluator
from dvdgan.training.samples import shown_clips
from dvdgan.training.watching import SampleWatch
from support.classifiers import save_classifier
from support.runs import assert_equal_runs, lines_of, metadata_of, quiet, tensors_of
from support.windows import windows_of


def untrained_classifier(path, classes=("sky", "dot", "bar"), seed=0):
    """An untrained classifier whose answers vary."""
    network = ClassifierNetwork(len(classes), (4, 8), torch.Generator().manual_seed(seed))
    network.head.weight.data.normal_(0, 30, generator=torch.Generator().manual_seed(seed))
    save_classifier(Classifier(network, list(classes), 32, 4, (4, 8)), path)
    return path


@pytest.fixture
def classifier(tmp_path):
    return untrained_classifier(tmp_path / "classifier")


def evaluations(run):
    return {line["step"]: line["evaluation"] for line in lines_of(run) if "evaluation" in line}


def test_every_sheet_is_evaluated_on_the_clips_of_its_check(store, tmp_path, classifier, monkeypatch):
    made, make = [], watching.check_clips
    monkeypatch.setattr(watching, "check_clips", lambda *args: made.append(make(*args)) or made[-1])
    run, said = tmp_path / "run", []
    options = {"sample_every": 2, "health": CHECKED, "classifier": str(classifier)}
    train(tiny_config(store, steps=3, **options), run, say=said.append)
    found = evaluations(run)
    assert list(found) == [2, 3]
    assert len(made) == 2
    known = Classifier.load(classifier)
    dataset = open_dataset(tiny_config(store).data, 32, 4, tmp_path / "unused")
    real = known(middle_windows(dataset).read(range(15)))
    for (clips, labels), one in zip(made, found.values()):
        assert one["distance"] == pytest.approx(frechet_distance(gaussian(real), gaussian(known(clips))), rel=1e-3)
        taken_for = np.array(known.classes)[known.probabilities(clips).argmax(1)]
        asked = np.array(dataset.classes)[labels]
        assert one["fidelity"] == pytest.approx((taken_for == asked).mean(), abs=1e-4)
        shares = {name: float((taken_for[asked == name] == name).mean()) for name in dataset.classes}
        assert one["fidelity_by_class"] == pytest.approx(shares, abs=1e-4)
        assert (one["real_clips"], one["clips"]) == (15, 24)
        assert one["clips_by_class"] == {"dot": 8, "bar": 8, "sky": 8}
    said_of_it = metadata_of(run)["evaluation"]
    assert said_of_it["classifier"] == known.weights_sha256
    assert said_of_it["held_out_fidelity"] == 0.9
    assert 0 < said_of_it["baseline"] == found[2]["baseline"]
    assert said_of_it["baseline_clips"] == 7  # half of 15
    assert sum(text.startswith("training.classifier: 15 training clips") for text in said) == 1
    line = next(line for line in lines_of(run) if "evaluation" in line)
    assert dict(_scalars(line))["evaluation/fidelity_by_class/dot"] == found[2]["fidelity_by_class"]["dot"]


def test_the_classifier_chooses_the_best_checkpoint(store, tmp_path, classifier, monkeypatch):
    """The check likes the first step best, the classifier the second one."""
    monkeypatch.setattr(SampleCheck, "score", property(lambda self: next(scores)))
    evaluate = Evaluator.__call__
    monkeypatch.setattr(
        Evaluator, "__call__", lambda *args: (found := evaluate(*args)) and found | {"distance": next(distances)}
    )
    options = {"sample_every": 1, "checkpoint_every": 1, "keep_checkpoints": 1, "health": CHECKED}
    kept = {}
    for name, more in (("with", {"classifier": str(classifier)}), ("without", {})):
        scores, distances = iter([1.0, 2.0, 3.0]), iter([9.0, 5.0, 7.0])
        train(tiny_config(store, steps=3, **options, **more), tmp_path / name, say=quiet)
        kept[name] = {k.step: k.score for k in saved_checkpoints(tmp_path / name / "checkpoints")}
    assert kept == {"with": {2: 5.0, 3: 7.0}, "without": {1: 1.0, 3: 3.0}}
    by = {name: {line["best_by"] for line in lines_of(tmp_path / name) if "check" in line} for name in kept}
    assert by == {"with": {"evaluation.distance"}, "without": {"check.score"}}


@pytest.mark.slow
def test_an_evaluated_run_resumes_as_if_uninterrupted_and_learns_the_same(store, tmp_path, classifier, monkeypatch):
    looked_at, look = [], Classifier.__call__
    monkeypatch.setattr(Classifier, "__call__", lambda self, clips: looked_at.append(len(clips)) or look(self, clips))
    options = {"steps": 2, "sample_every": 1, "checkpoint_every": 1, "health": CHECKED}
    evaluated = options | {"classifier": str(classifier)}
    train(tiny_config(store, **evaluated), tmp_path / "whole", say=quiet)
    train(tiny_config(store, **evaluated | {"steps": 1}), tmp_path / "parts", say=quiet)
    moved = shutil.move(classifier, tmp_path / "moved")  # what it is counts, not where
    looked_at.clear()
    train(tiny_config(store, **options, classifier=str(moved)), tmp_path / "parts", say=quiet)
    assert looked_at == [24]  # what it saw in training clips was kept
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")
    assert list(evaluations(tmp_path / "parts")) == [1, 2]
    train(tiny_config(store, **options), tmp_path / "without", say=quiet)
    with_, without = (tensors_of(tmp_path / name) for name in ("whole", "without"))
    assert all(torch.equal(with_[name], without[name]) for name in with_)
    rest = [line for line in lines_of(tmp_path / "whole") if "evaluation" not in line]
    varying = ("hours", "seconds", "best_by")
    for x, y in zip(rest, lines_of(tmp_path / "without"), strict=True):
        assert {k: v for k, v in x.items() if k not in varying} == {k: v for k, v in y.items() if k not in varying}
    assert "evaluation" not in metadata_of(tmp_path / "without")
    assert not (tmp_path / "without" / "evaluation").exists()


def test_another_classifier_is_refused_or_forgets_the_scores(store, tmp_path, classifier):
    run, options = tmp_path / "run", {"sample_every": 1, "checkpoint_every": 1, "health": CHECKED}
    train(tiny_config(store, steps=1, **options), run, say=quiet)
    with pytest.raises(TrainingError, match=r"training\.classifier.*--override"):
        train(tiny_config(store, steps=2, classifier=str(classifier), **options), run, say=quiet)
    said = []
    train(tiny_config(store, steps=2, classifier=str(classifier), **options), run, say=said.append, override=True)
    assert any(text.startswith("override: training.classifier None -> ") for text in said)
    assert [k.score is None for k in saved_checkpoints(run / "checkpoints")] == [True, False]
    untrained_classifier(classifier, seed=1)
    with pytest.raises(TrainingError, match=r"training\.classifier"):
        train(tiny_config(store, steps=3, classifier=str(classifier), **options), run, say=quiet)
    with pytest.raises(TrainingError, match=r"training\.classifier"):
        train(tiny_config(store, steps=3, **options), run, say=quiet)
    train(tiny_config(store, steps=3, **options), run, say=quiet, override=True)
    assert "evaluation" not in metadata_of(run)
    assert list(evaluations(run)) == [2]


def test_a_classifier_that_does_not_fit_is_refused_before_any_work(store, tmp_path, classifier):
    run = tmp_path / "run"
    other = untrained_classifier(tmp_path / "other", ("dot", "bar", "sea"))
    with pytest.raises(TrainingError, match=r"^training\.classifier: .*other: .*sea.*sky"):
        train(tiny_config(store, health=CHECKED, classifier=str(other)), run, say=quiet)
    assert [path.name for path in run.iterdir()] == [".lock"]
    (classifier / "model.safetensors").write_bytes(b"no weights")
    for bad, named in ((tmp_path / "none", "none"), (classifier, r"model\.safetensors")):
        with pytest.raises(TrainingError, match=rf"^training\.classifier: .*{named}"):
            train(tiny_config("phenomena", health=CHECKED, classifier=str(bad)), run, say=quiet)
        assert [path.name for path in run.iterdir()] == [".lock"]  # nothing was rendered
    with pytest.raises(ValueError, match=r"training\.health\.clips=2"):
        TrainingConfig(classifier="classifier", health={"clips": 0})
    assert list_checkpoints(run / "checkpoints") == []


def test_classes_without_clips_need_no_more_samples(tmp_path):
    with StoreWriter(tmp_path / "store", 32, ["short", "dot", "bar"], {}) as writer:
        for label, frames in ((0, 2), (1, 6), (2, 6)):  # too short for a window in the first class
            writer.add(np.full((frames, 32, 32, 3), 99, np.uint8), label, f"{label}", 12.0)
    dataset = open_dataset(tiny_config(tmp_path / "store").data, 32, 4, tmp_path / "unused")
    for clips, expected in (
        (16, []),
        (8, ["samples of 1 classes are checked; training.health.clips=16 checks all"]),
    ):
        said = []
        SampleWatch(dataset, None, HealthConfig(clips=clips), tmp_path / "cache", said.append)
        assert [text for text in said if "checked" in text] == expected


def test_clips_without_classes_are_refused(tmp_path, classifier):
    plain = tmp_path / "plain"
    with StoreWriter(plain, 32, [], {}) as writer:
        writer.add(np.zeros((6, 32, 32, 3), np.uint8), 0, "a", 12.0)
    with pytest.raises(TrainingError, match=r"^training\.classifier: "):
        train(tiny_config(plain, health=CHECKED, classifier=str(classifier)), tmp_path / "run", say=quiet)


def test_training_clips_are_taken_as_training_shows_them(store):
    dataset = open_dataset(tiny_config(store).data, 32, 4, store)
    members, mirror, shown = shown_clips(dataset, np.array([0, 2]), 4)
    assert dataset.labels[members].tolist() == shown.tolist() == [0] * 4 + [2] * 4
    assert not mirror.any()
    flips = {"dot": "bar", "sky": "sky"}
    dataset = windows_of(dataset.store, 4, 32, flip=True, flip_labels=flips)
    dataset.labels[dataset.labels == 0] = 1  # no dot is left but bars that are mirrored
    members, mirror, shown = shown_clips(dataset, np.array([0, 1, 2]), 4)
    assert shown.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert dataset.labels[members].tolist() == [1] * 8 + [2] * 4
    assert mirror.tolist() == [True] * 4 + [False] * 4 + [False, True] * 2


def test_mirrored_classes_are_compared_with_mirrored_clips(store, tmp_path, classifier):
    """Samples that are the training clips, every other one mirrored, lie at distance 0."""
    dataset = open_dataset(updated(tiny_config(store), data={"flip": True}).data, 32, 4, store)
    evaluator = Evaluator(Classifier.load(classifier), dataset, np.arange(3), 15, tmp_path / "cache", quiet)
    clips = np.concatenate([dataset.reference(label, 5) for label in range(3)])
    labels = np.repeat(np.arange(3), 5)
    turned = np.where((np.arange(15) % 5 % 2 == 1)[:, None, None, None, None], clips[:, :, :, ::-1], clips)
    assert evaluator(turned, labels)["distance"] < 1e-3 * evaluator(clips, labels)["distance"]


def test_training_clips_that_cannot_be_read_are_left_out(store, tmp_path, classifier, monkeypatch):
    monkeypatch.setattr("dvdgan.training.evaluating.readable", lambda clips, cache: np.arange(1, len(clips)))
    dataset, said = open_dataset(tiny_config(store).data, 32, 4, store), []
    found = Evaluator(Classifier.load(classifier), dataset, np.arange(3), 15, tmp_path / "cache", said.append)
    assert f"1 of {len(dataset)} training clips cannot be read and are left out" in said[-3]
    assert found.metadata["real_clips"] == len(dataset) - 1


def phenomena_store(path, frames):
    with StoreWriter(path, 32, list(CLASSES), {}) as writer:
        for label, name in enumerate(CLASSES):
            writer.add(render(name, 0, seed=5, size=32, frames=frames).clip, label, name, 12.0)
    return path


def test_behaviours_of_phenomena(tmp_path):
    data = tiny_config(phenomena_store(tmp_path / "store", 12)).data
    dataset, said = open_dataset(data, 32, 12, tmp_path), []
    evaluator = Evaluator(None, dataset, np.arange(9), 27, tmp_path / "cache", said.append)
    assert (evaluator.has_classifier, list(evaluator.metadata), said) == (False, ["behaviours"], [])
    labels = np.tile(np.arange(9), 3)
    clips = np.stack([render(CLASSES[k], 10 + i // 9, size=32, frames=12).clip for i, k in enumerate(labels)])
    found = evaluator(clips, labels)
    assert found["behaviours"] >= 25 / 27
    assert found["behaviours"] == pytest.approx(np.mean(list(found["behaviours_by_class"].values())), abs=1e-3)
    assert found["behaviours_clips"] == 27
    assert found["behaviours_clips_by_class"] == dict.fromkeys(CLASSES, 3)
    assert evaluator(clips[:, :1].repeat(12, 1), labels)["behaviours"] == 0
    many = evaluator(clips[:, :1].repeat(12, 1).repeat(9, 0), np.arange(243) % 9)
    assert many["behaviours_clips"] == 128
    assert set(many["behaviours_clips_by_class"].values()) == {14, 15}


def test_behaviours_go_into_the_log_only_where_limits_are_stored(tmp_path):
    store = phenomena_store(tmp_path / "store", 12)
    for frames, steps in ((12, [1]), (8, [])):
        config = tiny_config(store, steps=1, health={"clips": 72})
        config = config.model_copy(update={"network": tiny_network(frames=frames, classes=9)})
        run, said = tmp_path / f"run{frames}", []
        train(config, run, say=said.append)
        assert list(evaluations(run)) == steps
        assert sum("behaviours are not measured" in text for text in said) == 1 - len(steps)
        assert ("evaluation" in metadata_of(run)) == bool(steps)
        assert {line.get("best_by") for line in lines_of(run) if "check" in line} == {"check.score"}
    assert evaluations(tmp_path / "run12")[1]["behaviours_clips_by_class"] == dict.fromkeys(CLASSES, 8)
