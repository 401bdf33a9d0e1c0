import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from conftest import tiny_config, write_store
from dvdgan import cli
from dvdgan.card import UNMEASURED
from dvdgan.cli.evaluation import publish
from dvdgan.config import Config, DataConfig
from dvdgan.config.files import ConfigError
from dvdgan.data import phenomena
from dvdgan.data.rendering import packed_phenomena
from dvdgan.data.store.clip_store import ClipStore
from dvdgan.data.store.writer import StoreWriter
from dvdgan.evaluation import pass_rates, spaces
from dvdgan.evaluation.behaviours.calibration import calibration
from dvdgan.evaluation.behaviours.scoring import control_clips
from dvdgan.evaluation.cache import Cache
from dvdgan.evaluation.classifier.classifier import Classifier
from dvdgan.evaluation.classifier.network import ClassifierNetwork
from dvdgan.evaluation.classifier.report import measure
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.evaluate import JSON, evaluate
from dvdgan.evaluation.features.extract import extract
from dvdgan.evaluation.inputs import _as_trained, _unsearched, open_inputs
from dvdgan.evaluation.memorisation import copies
from dvdgan.evaluation.memorisation.pixels import CoarsePixels
from dvdgan.evaluation.real_clips import middle_windows
from dvdgan.evaluation.scoring import corrupted_sets
from dvdgan.evaluation.sets import Sets, _Pool, choose_sets
from dvdgan.evaluation.settings import QUICK, SEEDS_APART, EvaluationSettings, parse_settings
from dvdgan.evaluation.shown import ShownClips
from dvdgan.evaluation.spaces import SomeFrames, pair_frames
from dvdgan.report.evaluation.answers import headlines
from dvdgan.training import train
from support.classifiers import save_classifier
from support.clip_sets import array_set, noise_set
from support.evaluations import CLASSES, Means, no_weights, pictures_that_move
from support.records import saved
from support.windows import windows_of

PAGE = "evaluation.html"
SMALL = EvaluationSettings(num=12, seeds=2, truncations=(1.0, 0.5), baseline_repeats=3, shown=2, pairs=2)


@pytest.fixture(autouse=True)
def _networks(monkeypatch):
    """Networks that need no weights and no time."""
    monkeypatch.setattr(spaces, "EfficientNetFrames", Means)
    monkeypatch.setattr(spaces, "TransNetClips", no_weights)
    Means.looked, Means.left = 0, None


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return pictures_that_move(tmp_path_factory.mktemp("data") / "store", 20)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data):
    run = tmp_path_factory.mktemp("run") / "run"
    config = tiny_config(data, steps=1)
    config = config.model_copy(update={"data": config.data.model_copy(update={"test_fraction": 0.5})})
    train(config, run, say=lambda text: None)
    return run


@pytest.fixture(scope="module")
def classifier(tmp_path_factory, data):
    network = ClassifierNetwork(len(CLASSES), (4, 8), torch.Generator().manual_seed(0))
    found = Classifier(network, ["sky", "dot", "bar"], 32, 4, (4, 8))
    held_out = middle_windows(windows_of(ClipStore.open(data), 4, 32))
    folder = tmp_path_factory.mktemp("classifier")
    save_classifier(found, folder, measure(found, None, held_out))
    return folder


def run(out, settings=SMALL, **options):
    """The record of an evaluation."""
    found, _ = evaluate(out, settings=settings, device="cpu", say=str, **options)
    return found


def lasting(path):
    """An evaluation's record without what no two evaluations share."""
    tree = json.loads((path / JSON).read_text())
    return {name: value for name, value in tree.items() if name not in ("made", "seconds", "command")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, trained, classifier):
    """An evaluation of a model, whole; its folder."""
    patch = pytest.MonkeyPatch()
    patch.setattr(spaces, "EfficientNetFrames", Means)
    patch.setattr(spaces, "TransNetClips", no_weights)
    out = tmp_path_factory.mktemp("whole")
    Means.looked, Means.left = 0, None
    options = {"device": "cpu", "say": str}
    found, shown = evaluate(out, settings=SMALL, model=trained, classifier=classifier, **options)
    publish(found, shown, out)
    patch.undo()
    return out, Means.looked


def test_main_scores_are_in_the_models_card(whole, trained, tmp_path, capsys):
    found, card = saved(whole[0] / JSON), (trained / "model" / "card.md").read_text(encoding="utf-8")
    (fidelity,) = [score for score in found.scores if score.key == "classifier/fidelity"]
    assert f"| {fidelity.name}, classifier (higher is better) | " in card
    assert UNMEASURED not in card
    assert UNMEASURED in found.evaluated.card
    alone = shutil.copytree(trained / "model", tmp_path / "model")
    (alone / "card.md").unlink()
    evaluated = found.evaluated.model_copy(update={"path": str(alone)})
    publish(found.model_copy(update={"evaluated": evaluated}), ShownClips(), tmp_path)
    said = capsys.readouterr().out
    assert said.splitlines()[-1].startswith(f"{alone / 'card.md'}: not changed (")


def test_card_of_a_built_in_model_stays_as_it_is(whole, trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("dvdgan.models.BUILTIN", tmp_path / "builtin")
    model = shutil.copytree(trained / "model", tmp_path / "builtin" / "tiny-32")
    (model / "card.md").write_text("# tiny-32\n")
    found = saved(whole[0] / JSON)
    evaluated = found.evaluated.model_copy(update={"path": str(model)})
    publish(found.model_copy(update={"evaluated": evaluated}), ShownClips(), tmp_path / "out")
    assert (model / "card.md").read_text() == "# tiny-32\n"
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"{model / 'card.md'}: not changed")


def test_whole_evaluation_has_every_part(whole):
    found = saved(whole[0] / JSON)
    page = (whole[0] / PAGE).read_text(encoding="utf-8")
    assert found.absent.keys() == {"behaviours"}
    assert "phenomena" in found.absent["behaviours"]
    assert "pip install" in " ".join(found.warnings)
    assert "pip install" in page
    assert found.evaluated.kind == "model"
    assert found.evaluated.seeds == [0, SEEDS_APART]
    assert found.evaluated.clips.counts == dict.fromkeys(CLASSES, 8)
    assert found.reference.clips.counts == dict.fromkeys(CLASSES, 8)
    assert [space.name for space in found.spaces] == ["classifier", "means at 128 px", "means at 128 px, differences"]
    for score in found.scores:
        assert score.overall.over == "standard deviation over 2 seeds"
        assert (score.generated_count, score.baseline.counts) == (12, (12, 24))
        assert score.baseline.repeats == 3
        assert score.controls.keys() == found.corruptions.keys()
    keys = {score.key for score in found.scores}
    for name in (
        "classifier/frechet",
        "classifier/is",
        "classifier/fidelity",
        "frames/kernel",
        "frames/recall",
        "changes/frechet",
    ):
        assert name in keys
    assert {score.key for score in found.scores if score.per_class} == {
        "classifier/frechet", "classifier/kernel", "frames/kernel", "changes/kernel",
    }  # fmt: skip
    assert [point.truncation for point in found.sweep.points] == [1.0, 0.5]
    assert found.memorisation.training_count == 30
    assert [space.space for space in found.memorisation.spaces] == ["classifier", "means at 128 px", "coarse pixels"]
    kinds = [pair.kind for pair in found.memorisation.pairs]
    assert kinds == ["generated"] * 6 + ["held out"] * 6
    assert found.classifier.fidelity.of == 24
    fidelity = next(score for score in found.scores if score.key == "classifier/fidelity")
    assert fidelity.overall.value == pytest.approx(
        found.classifier.fidelity.value
    )  # the classifier's classes lie otherwise
    assert page.count("<video") == 3 + 12


def test_frozen_clips_do_not_change_and_are_seen_by_nothing_that_looks_at_frames(whole):
    scores = {score.key: score for score in saved(whole[0] / JSON).scores}
    assert scores["changes/frechet"].sees("frozen")
    assert not scores["frames/frechet"].sees("frozen")


def test_one_seed_is_the_point_of_the_curve(tmp_path, trained, whole):
    settings = EvaluationSettings(num=12, seeds=1, baseline_repeats=1, cache=whole[0] / "cache", controls=False)
    found = run(tmp_path, settings, model=trained)
    for key, value in found.sweep.points[0].values.items():
        assert value.value == pytest.approx(next(s for s in found.scores if s.key == key).overall.value)
    assert any("one seed" in warning for score in found.scores for warning in score.warnings)
    assert "classifier" in found.absent
    assert "No classifier" in found.warnings[0]


def test_an_interrupted_evaluation_computes_only_what_is_missing(tmp_path, trained, classifier, whole):
    total, sizes = whole[1], []
    for stop in (40, 100, None):
        Means.looked, Means.left = 0, stop
        if stop is None:
            run(tmp_path, model=trained, classifier=classifier)
        else:
            with pytest.raises(KeyboardInterrupt):
                run(tmp_path, model=trained, classifier=classifier)
            assert not (tmp_path / JSON).exists()
        sizes.append(Means.looked)
    lost = 32 + 16  # clips of a chunk that was not whole, or of a set
    assert total <= sum(sizes) <= total + 2 * lost
    assert sizes[2] < total - 60
    again, before = lasting(tmp_path), lasting(whole[0])
    assert again == before
    Means.looked = 0
    run(tmp_path, model=trained, classifier=classifier)
    assert Means.looked == 0


def test_without_the_classifier_all_is_kept_already(tmp_path, trained, whole):
    shutil.copytree(whole[0] / "cache", tmp_path / "cache")
    kept = len(list((tmp_path / "cache").iterdir()))
    run(tmp_path, model=trained)  # without the classifier
    assert Means.looked == 0
    assert len(list((tmp_path / "cache").iterdir())) == kept


def noisy_copies(data, out):
    """Clips of the training part, with noise."""
    store = ClipStore.open(data)
    rng = np.random.default_rng(0)
    with StoreWriter(out, store.size, store.classes, {"source": "copies"}) as writer:
        for row in range(len(store)):
            clip = np.clip(store.clip(row) + rng.normal(0, 4, store.clip(row).shape), 0, 255)
            writer.add(clip.astype(np.uint8), int(store.labels[row]), f"copy {row}", 12.0)
    return out


def test_replayed_training_clips_with_noise_are_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(pass_rates, "_OTHERS", 1)
    monkeypatch.setattr("dvdgan.evaluation.inputs._LEAST_HELD_OUT", 36)
    packed_phenomena(tmp_path / "data", 32, 12, 4, 0)
    copies = noisy_copies(tmp_path / "data", tmp_path / "copies")
    settings = EvaluationSettings(num=18, seeds=1, controls=False, shown=0, pairs=2)
    found = run(tmp_path / "out", settings, clips=copies, data=str(tmp_path / "data"))
    spaces = {space.space: space for space in found.memorisation.spaces}
    assert spaces["coarse pixels"].verdict == "copies"
    assert found.evaluated.kind == "clips"
    assert "sweep" in found.absent
    assert found.behaviours.overall.keys() == {"generated", "real", "frozen", "shuffled", "reversed", "other class"}
    pair = found.memorisation.pairs[-3]
    assert pair.kind == "held out"
    near = next(p for p in found.memorisation.pairs if p.space == "coarse pixels")
    assert near.distance < 4


def test_a_folder_without_classes_is_compared_without_them(tmp_path, data, monkeypatch):
    monkeypatch.setattr(spaces, "EfficientNetFrames", no_weights)
    store = ClipStore.open(data)
    with StoreWriter(tmp_path / "flat", 32, [], {"source": "flat"}) as writer:
        for row in range(20):
            writer.add(store.clip(row), 0, f"clip {row}", 12.0)
    settings = EvaluationSettings(num=9, seeds=3, frames=4, truncations=(), baseline_repeats=2)
    found = run(tmp_path / "out", settings, clips=tmp_path / "flat", data=str(data), fields=["data.test_fraction=0.4"])
    assert found.classes == []
    assert [score.key for score in found.scores] == [
        f"pixels/{name}" for name in ("frechet", "kernel", "precision", "recall", "density", "coverage", "diversity")
    ]
    assert any("no classes" in warning for warning in found.warnings)
    assert any("enough for 2 of 3 sets" in warning for warning in found.warnings)
    assert found.evaluated.clips.count == 18
    assert len(set(found.evaluated.clips.ids)) == 18


def test_sets_have_the_classes_of_training_and_share_no_clip(tmp_path, trained):
    settings = EvaluationSettings(num=7, seeds=2)
    given = open_inputs(trained, None, None, [], None, settings, tmp_path, "cpu", print)
    sets = choose_sets(given.made, given.parts, settings, Cache(tmp_path))
    assert sets.classes == CLASSES
    assert [np.bincount(clips.labels).tolist() for clips in sets.generated] == [[3, 2, 2]] * 2
    assert np.bincount(sets.reference.labels).tolist() == np.bincount(sets.held_out.labels).tolist() == [6, 4, 4]
    assert set(sets.controls.ids) < set(sets.held_out.ids)
    cache = Cache(tmp_path / "features")
    extract(sets.held_out, means := Means(32, None), cache)
    looked = Means.looked
    repeated = corrupted_sets(sets, settings)["repeated"]
    found = extract(repeated, means, cache)
    assert Means.looked == looked == len(sets.held_out)  # their features are those of held-out clips
    assert np.array_equal(found, means(repeated.read(range(len(repeated)))))
    assert not set(sets.held_out.ids) & set(sets.training.ids)
    assert not set(sets.generated[0].ids) & set(sets.generated[1].ids)
    more = choose_sets(given.made, given.parts, EvaluationSettings(num=10, seeds=1), Cache(tmp_path))
    assert more.generated[0].ids[:7] == sets.generated[0].ids
    assert sets.warnings == []
    few = choose_sets(given.made, given.parts, EvaluationSettings(num=40, seeds=1), Cache(tmp_path))
    assert "3 of 3 classes" in few.warnings[1]
    assert len(few.controls) == 30
    assert len(choose_sets(given.made, given.parts, EvaluationSettings(), Cache(tmp_path)).generated[0]) == 15


@pytest.mark.parametrize(
    ("own", "fields", "said"),
    [
        ({}, [], ""),
        ({"test_fraction": 0.0}, [], "on all clips"),
        ({"test_fraction": 0.0}, ["data.test_fraction=0.5"], "(test_fraction)"),
        ({}, ["data.split_seed=1"], "(split_seed)"),
        ({"split": "all"}, [], "data.split=all"),
    ],
)
def test_training_clips_that_are_not_searched_for_copies_are_told(tmp_path, trained, own, fields, said):
    model = edited_copy(trained / "model", tmp_path / "model", data=own)
    given = open_inputs(model, None, None, fields, None, SMALL, tmp_path, "cpu", print)
    assert (said in given.unsearched) if said else given.unsearched == ""


@pytest.mark.parametrize(
    ("source", "changed", "said"),
    [
        ("phenomena", {}, ""),
        ("phenomena", {"clips_per_class": 24, "seed": 5}, "(seed, clips_per_class)"),
        ("phenomena", {"target_fps": 6.0}, ""),  # of files
        ("folder", {"seed": 5}, ""),  # of the phenomena
        *[
            ("folder", {name: value}, f"({name})")
            for name, value in {
                "layout": "flat", "parts": False, "class_depth": 2, "target_fps": 6.0, "max_seconds": 3.0,
            }.items()
        ],
        ("folder", {"max_seconds": 2.0, "windows": 3}, "(max_seconds, windows)"),
        ("store", {"layout": "flat", "target_fps": 6.0, "clips_per_class": 24}, ""),  # its clips are what they are
        ("store", {"split_seed": 1}, "(split_seed)"),
    ],
)  # fmt: skip
def test_copies_are_not_ruled_out_where_other_clips_are_searched(tmp_path, source, changed, said):
    (tmp_path / "folder").mkdir()
    write_store(tmp_path / "store", frames=4, per_class=1)
    trained = DataConfig(source=source if source == "phenomena" else str(tmp_path / source))
    told = _unsearched(trained, trained.model_copy(update=changed), SimpleNamespace(chosen_here=False), True)
    assert (said in told) if said else told == ""


def test_the_model_s_own_data_is_known_however_its_path_is_spelt(tmp_path, monkeypatch):
    for name in ("clips", "phenomena"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "clips")
    monkeypatch.chdir(tmp_path)
    fields = {"layout": "folders", "test_fraction": 0.34, "flip": True}
    own = DataConfig(source=str(tmp_path / "clips"), **fields)

    def as_trained(own, source):
        return _as_trained(SimpleNamespace(config=Config(data=own)), tmp_path / "model", source)

    for source in ("clips", f"{tmp_path}/clips/", f"{tmp_path}/phenomena/../clips", "link"):
        assert as_trained(own, source) == (own, True)
    read, known = as_trained(own, "phenomena")
    assert (known, read.source, read.layout, read.flip) == (False, "phenomena", "auto", False)
    assert as_trained(DataConfig(source="phenomena"), "./phenomena")[1] is False  # a folder
    assert as_trained(DataConfig(source="phenomena"), "phenomena")[1] is True


def test_a_built_in_model_is_named_by_its_name(tmp_path, trained, monkeypatch):
    shutil.copytree(trained / "model", tmp_path / "builtin" / "tiny-32")
    monkeypatch.setattr("dvdgan.models.BUILTIN", tmp_path / "builtin")
    given = open_inputs(Path("tiny-32"), None, None, [], None, SMALL, tmp_path, "cpu", print)
    assert given.path == tmp_path / "builtin" / "tiny-32"


def test_copies_of_other_clips_than_those_searched_are_not_ruled_out(tmp_path, trained, monkeypatch):
    def clean(*args, original=copies.compare):
        found, counted = original(*args)
        return found.model_copy(update={"verdict": "no sign of copies"}), counted

    monkeypatch.setattr(copies, "compare", clean)
    quick = EvaluationSettings(**QUICK | {"num": 12, "cache": tmp_path / "cache"})
    sure = run(tmp_path / "sure", quick, model=trained)
    assert {space.verdict for space in sure.memorisation.spaces} == {"no sign of copies"}
    model = edited_copy(trained / "model", tmp_path / "model", data={"test_fraction": 0.0})
    unsure = run(tmp_path / "unsure", quick, model=model)
    assert {space.verdict for space in unsure.memorisation.spaces} == {"cannot tell"}
    assert "data.test_fraction" in unsure.memorisation.spaces[0].reason
    assert any(warning.startswith("copies: ") for warning in unsure.warnings)


def test_scores_by_features_that_a_discriminator_saw_are_said_to_be_flattered(tmp_path, trained):
    quick = EvaluationSettings(**QUICK | {"num": 12, "cache": tmp_path / "cache"})
    told = "frames: a discriminator of the model's training saw them"
    assert not any(warning.startswith(told) for warning in run(tmp_path / "plain", quick, model=trained).warnings)
    model = edited_copy(trained / "model", tmp_path / "model", network={"projected": {}})
    assert any(warning.startswith(told) for warning in run(tmp_path / "projected", quick, model=model).warnings)


def edited_copy(model, place, **changes):
    """A model that says to have been trained otherwise, by sections of its configuration."""
    shutil.copytree(model, place)
    config = yaml.safe_load((place / "config.yaml").read_text())
    for section, own in changes.items():
        config[section].update(own)
    (place / "config.yaml").write_text(yaml.safe_dump(config))
    return place


def test_real_clips_come_in_the_mix_that_is_wanted_where_there_are_enough(tmp_path):
    labels = np.repeat([0, 1], [10, 7])
    pool = _Pool(array_set(np.zeros((17, 2, 8, 8, 3), np.uint8), labels, ["a", "b"]), ["a", "b"])
    assert pool.real_counts(np.array([3, 3])).tolist() == [6, 6]  # twice
    assert pool.real_counts(np.array([4, 4])).tolist() == [7, 7]  # 1.75 times
    assert pool.real_counts(np.array([5, 5])).tolist() == [10, 10]  # more than there are, of which a warning tells
    (rows,) = pool.deal(np.array([10, 10]), 0)
    assert np.bincount(labels[rows]).tolist() == [10, 7]
    assert "b 7 of 10" in pool.missing(np.array([10, 10]), "held-out", "")[0]


def test_clips_that_cannot_be_used_or_play_at_another_speed_are_told(tmp_path, data):
    with StoreWriter(tmp_path / "made", 32, CLASSES, {"source": "made"}) as writer:
        for number in range(12):
            writer.add(np.full((4 if number else 3, 32, 32, 3), number, np.uint8), number % 3, f"{number}", 30.0)
    given = open_inputs(
        None, tmp_path / "made", str(data), ["data.test_fraction=0.5"], None, EvaluationSettings(num=6, frames=4),
        tmp_path, "cpu", print,
    )  # fmt: skip
    warnings = choose_sets(given.made, given.parts, EvaluationSettings(num=6, frames=4), Cache(tmp_path)).warnings
    assert any("1 clips " in warning and "4 frames" in warning for warning in warnings)
    assert any("30 frames per second" in warning for warning in warnings)


def test_behaviours_do_not_depend_on_how_many_clips_are_in_memory(tmp_path, monkeypatch):
    names = ["pen", "turn", "passing"]
    clips = np.stack([phenomena.render(name, k, size=32, frames=12).clip for k in range(4) for name in names])
    sets = sets_of(array_set(clips, np.tile(np.arange(3), 4), names))
    found, orders = [], []

    def noted(*args):
        orders[-1].append(control_clips(*args)["shuffled"])
        return control_clips(*args)

    monkeypatch.setattr(pass_rates, "control_clips", noted)
    for piece in (5, 100):
        monkeypatch.setattr(pass_rates, "_PIECE", piece)
        orders.append([])
        found.append(pass_rates.score_behaviours(sets, 1, 0, Cache(tmp_path / str(piece))))
    assert found[0] == found[1]
    np.testing.assert_array_equal(np.concatenate(orders[0]), orders[1][0])


def test_behaviours_that_clips_are_too_short_for_are_left_out(tmp_path, monkeypatch):
    names = ["bounce", "passing"]
    clips = np.stack([phenomena.render(name, k, size=32, frames=8).clip for k in range(2) for name in names])
    sets = sets_of(array_set(clips, np.tile(np.arange(2), 2), names))
    limits = calibration(32, 12)
    limits = dataclasses.replace(limits, frames=8, limits={"passing": limits.limits["passing"]})
    monkeypatch.setattr(pass_rates, "_limits", lambda *args: limits)
    found = pass_rates.score_behaviours(sets, 1, 0, Cache(tmp_path))
    assert [part.label for part in found.by_class] == ["passing"]
    assert found.overall["real"].of == 2
    one = sets_of(array_set(clips[:, :1], np.tile(np.arange(2), 2), names))
    with pytest.raises(EvaluationError, match="1 frames"):
        pass_rates.score_behaviours(one, 1, 0, Cache(tmp_path))


def sets_of(clips):
    """An evaluation in which all sets are the same clips."""
    weights = [1.0] * len(clips.classes)
    return Sets(clips.classes, weights, [clips], clips, clips, clips, None, clips.ids, [], [])


def test_clips_of_the_worst_classes_are_shown_where_there_are_many(tmp_path, trained, classifier, monkeypatch, whole):
    monkeypatch.setattr("dvdgan.evaluation.evaluate.MOST_MOVING", 1)
    settings = EvaluationSettings(**QUICK | {"num": 12, "shown": 2, "cache": whole[0] / "cache"})
    options = {"settings": settings, "device": "cpu", "say": str}
    found, shown = evaluate(tmp_path, model=trained, classifier=classifier, **options)
    there = {name for name, sides in shown.classes.items() if sides[0] is not None}
    rates = {name: share.value for name, share in found.classifier.fidelity.by_class.items()}
    assert len(there) == 1
    assert rates[there.pop()] == min(rates.values())
    assert list(shown.classes) == CLASSES


def test_classes_are_matched_by_name(tmp_path, trained):
    other = write_store(tmp_path / "other", frames=4, per_class=6, classes=("sky", "moon", "dot"))
    settings = EvaluationSettings(num=4, seeds=1, frames=4)
    given = open_inputs(trained, None, str(other), [], None, settings, tmp_path, "cpu", print)
    sets = choose_sets(given.made, given.parts, settings, Cache(tmp_path))
    assert sets.classes == ["sky", "dot"]
    assert [sets.generated[0].ids[row].split()[-1] for row in range(2)] == ["sky", "dot"]
    assert all(title.startswith(("0/", "2/")) for title in sets.reference.ids)
    assert "moon" in sets.warnings[0]
    assert "bar" in sets.warnings[1]
    strange = write_store(tmp_path / "strange", frames=4, classes=("sun", "moon"))
    given = open_inputs(trained, None, str(strange), [], None, settings, tmp_path, "cpu", print)
    with pytest.raises(EvaluationError, match="sun, moon"):
        choose_sets(given.made, given.parts, settings, Cache(tmp_path))


def test_a_run_is_compared_with_the_clips_that_it_packed(tmp_path, data, trained):
    shutil.copytree(data, tmp_path / "run" / "data")
    shutil.copytree(trained / "model", tmp_path / "run" / "model")
    options = [], None, SMALL, tmp_path, "cpu", print
    for model in ("run", "run/model"):
        given = open_inputs(tmp_path / model, None, None, *options)
        assert given.data.source == str(tmp_path / "run" / "data")
        assert given.data.test_fraction == 0.5
        assert given.path == tmp_path / "run" / "model"
    given = open_inputs(tmp_path / "run", None, str(data), ["data.test_fraction=0.25"], *options[1:])
    assert len(given.parts.held_out) == 15


def relabelled_copy(store, out, names):
    """A store whose classes are called otherwise."""
    clips = ClipStore.open(store)
    with StoreWriter(out, clips.size, names, {"source": "renamed"}) as writer:
        for row in range(len(clips)):
            writer.add(clips.clip(row), int(clips.labels[row]), f"{row}.mp4", 12.0)
    return out


def test_classes_that_differ_in_case_are_matched_and_told(tmp_path, data):
    renamed = relabelled_copy(data, tmp_path / "renamed", ["Dot", "bar", "Skies"])
    settings = EvaluationSettings(num=4, seeds=1, frames=4)
    options = [["data.test_fraction=0.5"], None, settings, tmp_path / "out", "cpu", print]
    given = open_inputs(None, renamed, str(data), *options)
    sets = choose_sets(given.made, given.parts, settings, Cache(tmp_path))
    assert sets.classes == ["dot", "bar"]
    assert "Dot as dot" in sets.warnings[0]
    assert ".npz" in sets.warnings[1]  # for video files' colour is coarse, at 32 px
    both = relabelled_copy(data, tmp_path / "both", ["Dot", "DOT", "bar"])
    given = open_inputs(None, both, str(data), *options)
    assert choose_sets(given.made, given.parts, settings, Cache(tmp_path)).classes == ["bar"]  # never merged
    one = dataclasses.replace(given, made=given.made.take([0])).made
    with pytest.raises(EvaluationError, match="both: 1 clip"):
        choose_sets(dataclasses.replace(one, classes=["dot", "sky", "bar"]), given.parts, settings, Cache(tmp_path))


def knowing(classifier, folder, rows, held_out):
    """A copy of a classifier that says that it was trained on some held-out clips."""
    folder = shutil.copytree(classifier, folder)
    about = json.loads((folder / "classifier.json").read_text())
    about["data"]["clips"] = " ".join(set().union(*held_out.take(rows).identities))
    (folder / "classifier.json").write_text(json.dumps(about))
    return folder


def test_clips_that_the_classifier_was_trained_on_are_left_out_and_told(tmp_path, data, classifier):
    fields, settings = (
        ["data.test_fraction=0.5"],
        EvaluationSettings(num=6, seeds=1, frames=4, controls=False, truncations=()),
    )
    options = {"clips": data, "data": str(data), "fields": fields, "settings": settings}
    given = open_inputs(None, data, str(data), fields, None, settings, tmp_path / "in", "cpu", print)
    held_out = given.parts.held_out
    some = run(tmp_path / "some", classifier=knowing(classifier, tmp_path / "a", range(12), held_out), **options)
    assert "12 of the 30 clips" in some.warnings[0]
    assert some.memorisation.held_out_count <= 18
    none = run(tmp_path / "none", classifier=knowing(classifier, tmp_path / "b", [], held_out), **options)
    assert not any("trained on" in warning for warning in none.warnings)
    with pytest.raises(EvaluationError, match=f"{tmp_path / 'c'}: .*30"):
        run(tmp_path / "all", classifier=knowing(classifier, tmp_path / "c", range(30), held_out), **options)


def test_a_model_that_makes_few_clips_again_and_again_is_told(tmp_path, data):
    """A fifth of each class, five times each: each clip is real, and the Fréchet distance hardly sees it."""
    settings = EvaluationSettings(num=30, seeds=1, frames=4, baseline_repeats=5, truncations=(), shown=0, pairs=0)
    some = [label * 20 + number for label in range(3) for number in range(2) for _ in range(5)]
    store = ClipStore.open(data)
    with StoreWriter(tmp_path / "few", 32, CLASSES, {"source": "few"}) as writer:
        for row in some:
            writer.add(store.clip(row), int(store.labels[row]), f"copy {row}", 12.0)
    more = pictures_that_move(tmp_path / "more", 60)
    found = run(tmp_path / "out", settings, clips=tmp_path / "few", data=str(more), fields=["data.test_fraction=0.5"])
    scores = {score.key: score for score in found.scores}
    diversity = scores["frames/diversity"]
    assert diversity.overall.value == 0
    assert diversity.times_worse(0.0) == np.inf
    assert diversity.sees("repeated")
    assert scores["frames/recall"].times_worse(scores["frames/recall"].overall.value) > 2
    assert {key for key, score in scores.items() if score.headline} >= {
        "frames/recall",
        "frames/coverage",
        "frames/diversity",
    }
    said = {line.score.key: line.verdict for line in headlines(found)}
    assert said["frames/diversity"].startswith("All is missing")
    assert [space.nearer.of for space in found.memorisation.spaces] == [6, 6]  # near copies count once


def test_frames_come_in_pairs_evenly_over_a_clip():
    assert pair_frames(1).tolist() == [0]
    assert pair_frames(2).tolist() == [0, 1]
    assert pair_frames(5).tolist() == [0, 1, 3, 4]
    for frames in range(2, 60):
        chosen = pair_frames(frames)
        assert (np.diff(chosen)[::2] == 1).all()
        assert len(set(chosen.tolist())) == len(chosen) == 2 * min(4, frames // 2)
        assert (chosen[0], chosen[-1]) == (0, frames - 1 if frames > 3 else 1)
    clips = np.random.default_rng(0).integers(0, 256, (2, 12, 16, 16, 3), np.uint8)
    base = Means(16, None)
    pairs, single = SomeFrames(base, True)(clips), SomeFrames(base, False)(clips)
    assert np.array_equal(pairs[:, ::2], single)
    assert np.array_equal(pairs, base(clips)[:, pair_frames(12)])
    assert SomeFrames(base, True).key != SomeFrames(base, False).key


def test_single_pictures_are_evaluated_without_what_needs_time(tmp_path, data):
    settings = EvaluationSettings(num=6, seeds=1, frames=1, truncations=(), baseline_repeats=1, pairs=0)
    found = run(tmp_path, settings, clips=data, data=str(data), fields=["data.test_fraction=0.5"])
    assert [space.name for space in found.spaces] == ["means at 128 px"]
    assert found.corruptions.keys() == {"blurred", "noisy", "warped", "repeated"}
    assert found.memorisation.pairs == []
    assert {space.space for space in found.memorisation.spaces} == {"means at 128 px", "coarse pixels"}


def test_coarse_pixels_stand_in_where_there_is_no_network(monkeypatch):
    monkeypatch.setattr(spaces, "EfficientNetFrames", no_weights)
    clips = noise_set(4, size=16)
    found = spaces.open_spaces(clips, None, SMALL, torch.device("cpu"))
    assert [space.record.name for space in found.spaces] == [CoarsePixels.name]
    assert len(found.missing) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "--model or --clips"),
        ({"model": "MODEL", "clips": "DATA"}, "--model or --clips"),
        ({"clips": "DATA"}, "--data"),
        ({"model": "nowhere"}, "nowhere"),
        ({"model": "MODEL", "classifier": "nowhere"}, "train-classifier"),
        ({"model": "MODEL", "data": "nowhere"}, "nowhere"),
        ({"model": "MODEL", "settings": EvaluationSettings(size=64)}, "size"),
        ({"model": "MODEL", "settings": EvaluationSettings(fvd_sha256="0" * 64)}, "fvd_weights"),
        ({"model": "MODEL", "settings": EvaluationSettings(fvd_weights=__file__)}, Path(__file__).name),
        ({"model": "MODEL", "out": "DATA/index.json"}, "index.json: "),
    ],
)
def test_mistakes_are_told_in_a_line(options, message, tmp_path, trained, data):
    def real(value):
        return value.replace("MODEL", str(trained)).replace("DATA", str(data)) if isinstance(value, str) else value

    options = {name: real(value) for name, value in options.items()}
    with pytest.raises(ValueError, match=message) as caught:
        run(options.pop("out", tmp_path / "out"), options.pop("settings", SMALL), **options)
    assert "\n" not in str(caught.value)


def test_how_many_clips():
    settings = EvaluationSettings()
    assert [settings.clips(classes) for classes in (0, 9, 10, 101)] == [180, 180, 200, 500]
    assert [EvaluationSettings(**QUICK | {"num": 7}).clips(9), EvaluationSettings(**QUICK).clips(9)] == [7, 90]
    assert [settings.seen_at(size) for size in (32, 64, 96, 128)] == [128, 128, 224, 224]


def test_settings_come_as_field_and_value():
    texts = ["num=9", "truncations=1, 0.5", "data.stride=2", "test_fraction=0.1", "seed=3", "cache=a b"]
    settings, of_data = parse_settings(EvaluationSettings(**QUICK), texts)
    assert (settings.num, settings.truncations, settings.seed, str(settings.cache)) == (9, (1.0, 0.5), 3, "a b")
    assert (settings.seeds, settings.controls) == (2, False)
    assert of_data == ["data.stride=2", "data.test_fraction=0.1"]
    for text, wanted in (("truncations=", ()), ("truncations=0.5", (0.5,)), ("truncations=[1, 0.2]", (1.0, 0.2))):
        assert parse_settings(EvaluationSettings(), [text])[0].truncations == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("num=1", "num: .*found 1"),
        ("truncation=0", "truncation: "),
        ("truncations=1,1.5", r"truncations\.1: "),
        ("truncations=1;2", r"truncations\.0: "),
        ("sed=1", "'sed'.* seed"),
        ("strid=2", r"'strid'.* data\.stride"),
        ("num", "'num'.* field=value"),
        ("num=[1", r"'num=\[1'"),
    ],
)
def test_settings_that_cannot_be_are_named(text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        parse_settings(EvaluationSettings(), [text])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate"], "give either --model or --clips"),
        (["evaluate", "--model", "nowhere", "num=1"], "num: "),
        (["train-classifier", "--data", "nowhere"], "nowhere"),
        (["train-classifier", "--data", "nowhere", "size=8"], "size: "),
        (["train-classifier", "--data", "nowhere", "group="], "nowhere"),
    ],
)
def test_commands_refuse_in_a_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["dvdgan", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert said.startswith("error: ")
    assert message in said
    assert said.count("\n") == 1


def test_a_failure_of_the_work_ends_with_code_1(tmp_path, monkeypatch, capsys, trained):
    (tmp_path / "file").touch()
    arguments = ["--model", str(trained), "--out", str(tmp_path / "out"), "num=9", "seeds=1", "--device", "cpu"]
    monkeypatch.setattr("sys.argv", ["dvdgan", "evaluate", *arguments, f"cache={tmp_path / 'file' / 'cache'}"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'file' / 'cache'}: ")


def test_an_interrupted_command_says_so(tmp_path, monkeypatch, capsys, trained):
    Means.left = 5
    quick = ["num=9", "seeds=1", "controls=false", "truncations="]
    arguments = ["evaluate", "--model", str(trained), "--out", str(tmp_path), *quick, "--device", "cpu"]
    monkeypatch.setattr("sys.argv", ["dvdgan", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 130
    assert capsys.readouterr().err.endswith("interrupted; the same command goes on\n")
    Means.left = None
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    found = saved(tmp_path / JSON)
    assert found.command.startswith("dvdgan evaluate --model")
    assert found.evaluated.clips.count == 9
