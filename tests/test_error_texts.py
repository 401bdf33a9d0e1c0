"""The whole text of one error of each kind: what is wrong, where, and the mend, in one line."""

import math
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from dvdgan.clips import OutputError, output_kind
from dvdgan.config.files import ConfigError, load_config
from dvdgan.devices import DeviceError, pick_device
from dvdgan.documents import DocumentError, parse_yaml
from dvdgan.model_place import check_model_place
from dvdgan.models import ModelError
from dvdgan.requests import PipelineError, label_indices
from dvdgan.runs.checkpoint import CheckpointError, load_checkpoint
from dvdgan.training import Interrupted, TrainingError, TrainingFailed
from dvdgan.training.health import ADVICE, require_finite
from dvdgan.training.metrics import GeneratorMetrics, StepMetrics, StepSeconds
from dvdgan.training.run_file import RunFile
from support.errors import refused


def interrupted():
    raise Interrupted(signal.SIGTERM)


def not_finite():
    run = SimpleNamespace(state=SimpleNamespace(step=7), folder=Path("run"), write=lambda line: None)
    metrics = GeneratorMetrics({"spatial": math.nan}, math.inf)
    require_finite(run, StepMetrics([], metrics, None, StepSeconds(0.0, 0.0, 0.0)))


TEXTS = {
    CheckpointError: (
        lambda: load_checkpoint(Path("step-00000007.safetensors")),
        "step-00000007.safetensors: no such file, or a link to none; put it back, or remove the link",
    ),
    ConfigError: (
        lambda: load_config("cpu-32", ["batch_size=3"]),
        "there is no field 'batch_size'; did you mean training.batch_size?",
    ),
    DocumentError: (
        lambda: parse_yaml("a: &b 1", "mine.yaml"),
        "mine.yaml: not valid YAML (anchors and aliases (& and *) are not allowed)",
    ),
    Interrupted: (interrupted, "stopped by SIGTERM"),
    ModelError: (
        lambda: check_model_place(Path("file")),
        "file: exists and is not a model directory; move what is in it, or choose another place",
    ),
    OutputError: (
        lambda: output_kind(Path("clips.txt")),
        "clips.txt: cannot write .txt files; use .mp4, .gif, .webp, .png, .npz, or a directory",
    ),
    PipelineError: (lambda: label_indices("dto", ["dot", "sky"]), "the model has no class 'dto'; did you mean dot?"),
    TrainingError: (
        lambda: RunFile.read(Path("run.json")),
        "run.json: missing; start anew in another --out",
    ),
    TrainingFailed: (
        not_finite,
        "step 7: loss_g_spatial, grad_generator not finite; there is no checkpoint yet; " + ADVICE["not finite"],
    ),
}


@pytest.mark.parametrize("kind", TEXTS, ids=lambda kind: kind.__name__)
def test_the_text_of_an_error(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("mine")
    fail, text = TEXTS[kind]
    with refused(kind) as caught:
        fail()
    assert str(caught.value) == text


def test_a_device_that_is_not_there_is_named_with_what_pytorch_says():
    with refused(DeviceError, r"^device nowhere: not usable here \(.+\)$"):
        pick_device("nowhere")
