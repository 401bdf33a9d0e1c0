import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from types import SimpleNamespace

import pytest
from PIL import Image

from conftest import tiny_config, write_store
from dvdgan.cli import main
from dvdgan.sampling import stream_clips
from dvdgan.training.step import generator_step

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture
def dvdgan(capfd):
    """Runs a command in this process: its exit code, stdout and stderr."""

    def run(*arguments, code=0):
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, errors = capfd.readouterr()
        assert ended.value.code == code, errors
        return SimpleNamespace(stdout=out, stderr=errors)

    return run


def test_generate(dvdgan, model_dir, tmp_path):
    out = tmp_path / "clips.gif"
    result = dvdgan("generate", "--model", model_dir, "--class", "dot", "--num", 2, "--seed", 3, "--out", out)
    assert result.stdout.strip() == str(out)
    assert out.stat().st_size > 0
    assert dvdgan("generate", "--model", model_dir, "--list-classes").stdout.split() == ["dot", "bar", "sky"]
    dvdgan(
        "generate",
        "--model",
        model_dir,
        "--interpolate",
        3,
        "--class",
        "dot",
        "--class",
        "sky",
        "--out",
        tmp_path / "a.png",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "--model", "nowhere"], "nowhere"),
        (["train", "cpu-3"], "did you mean cpu-32"),
        (["train", "cpu-32", "batch_size=3"], "did you mean training.batch_size"),
        (["train", "cpu-32"], "--data"),
        (["train", "cpu-32", "--data", "clips #2"], "clips #2"),
        (["generate", "--model", "nowhere", "--out", "x.txt"], "x.txt"),
        (["train", "cpu-32", "--data", "nowhere"], "nowhere"),
        (["data", "pack", "--data", "nowhere", "--out", "out"], "nowhere"),
        (["data", "pack", "--data", "nowhere", "--out", "out", "layout=folder"], "data.layout"),
        (["data", "inspect", "--data", "nowhere", "background=red"], "background"),
        (["data", "inspect", "--data", "nowhere"], "nowhere"),
        (["data", "pack", "--data", "nowhere", "--out", "out", "size=16"], "size"),
        (["data", "pack", "--data", "nowhere", "--out", "out", "siz=64"], "siz"),
        (["data", "render", "--out", "out", "split=test"], "split"),
        (["data", "render", "--out", "out", "stride=2"], "data.stride=2"),
    ],
)
def test_mistakes_are_one_line(dvdgan, arguments, message, tmp_path):
    if arguments[0] == "train":
        arguments = [*arguments, "--out", tmp_path / "run"]
    result = dvdgan(*arguments, code=2)
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_mistakes_of_the_parser_are_one_line_too(dvdgan):
    for arguments in (
        ["generate"],
        ["generate", "--model", "x", "--num", "many"],
        ["trian"],
        ["report", "--runs", "x"],
    ):
        result = dvdgan(*arguments, code=2)
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1


def test_what_was_not_foreseen_is_told_and_kept(dvdgan, monkeypatch, tmp_path):
    def broken(*_, **__):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("dvdgan.cli.configuration.preset_names", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = dvdgan("presets", code=1)
    assert result.stderr.startswith("internal error: RuntimeError: two lines; see ")
    (kept,) = tmp_path.glob("dvdgan-*.txt")
    assert "in broken" in kept.read_text()


def test_help_and_version(dvdgan):
    assert dvdgan("--version").stdout.startswith("dvdgan 0")
    assert "FIELD=VALUE" in dvdgan("train", "--help").stdout
    assert "phenomena" not in dvdgan("data", "pack", "--help").stdout


def test_wrong_class_suggests(dvdgan, model_dir):
    result = dvdgan("generate", "--model", model_dir, "--class", "dto", code=2)
    assert result.stderr == "error: the model has no class 'dto'; did you mean dot?\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--num", "1000000000000000000"], "--num"),
        (["--num", 20_000, "--out", "clips.npz", "--frames", 100_000], "--num or --frames"),
        (["--num", 5000, "--scale", 64, "--out", "clips.mp4"], "clips.mp4"),
        (["--num", 900, "--scale", 8, "--out", "sheet.png"], "sheet.png"),
        (["--interpolate", 1_000_000_000], "--interpolate"),
        (["--batch-size", 100_000_000], "--batch-size"),
        (["--fps", "1e300"], "--fps"),
        (["--truncation", "1e-9", "--truncation-kind", "resample"], "0.01"),
        (["--truncation", "nan"], "truncation"),
        (["--fps", "101", "--out", "clips.gif"], "101 fps"),
        (["--out", ".mp4"], "such as clips.mp4"),
        (["--out", ""], "--out is empty"),
        (["--out="], "--out is empty"),
        (["--out", "x" * 250 + ".gif"], "cannot be written (File name too long)"),
        (["--out", "/proc/clips.png"], "/proc/clips.png: cannot be written"),
        (["--device", "meta"], "device meta"),
        (["--truncation", "0", "--truncation-kind", "resample"], "truncation must be above 0, not 0"),
        (["--loop", 9], "ask for more frames"),
    ],
)
def test_what_generate_cannot_do_is_refused_before_any_work(dvdgan, model_dir, tmp_path, monkeypatch, arguments, named):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dvdgan.pipeline.stream_clips", lambda *_: pytest.fail("work was done"))
    result = dvdgan("generate", "--model", model_dir, *arguments, code=2)
    assert named in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", ["clips.gif", "folder"])
def test_a_signal_leaves_no_half_file(dvdgan, model_dir, tmp_path, monkeypatch, out):
    def killed(*arguments):
        for frames in stream_clips(*arguments):
            yield frames
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dvdgan.pipeline.stream_clips", killed)
    dvdgan("generate", "--model", model_dir, "--class", "dot", "--out", out, "--frames", 12, code=143)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_presets_and_fields(dvdgan):
    assert "cpu-32" in dvdgan("presets").stdout
    assert "network.generator.width" in dvdgan("fields").stdout
    assert "batch_size: 512" in dvdgan("fields", "k600-64x64x12").stdout


def test_render_pack_train_generate(dvdgan, tmp_path):
    """The whole way on files: rendered folders in, packed, trained, clips out."""
    preset = tmp_path / "tiny.yaml"
    preset.write_text(
        tiny_config("x", steps=1).to_yaml().replace("source: x", "source: null").replace("classes: 3", "classes: 0")
    )
    dvdgan("data", "render", "--out", tmp_path / "clips", "size=32", "frames=4", "clips_per_class=1")
    assert (tmp_path / "clips" / "zoom-in").is_dir()
    dvdgan("data", "pack", "--data", tmp_path / "clips", "--out", tmp_path / "store", "size=32", "shards=3")
    assert len(list((tmp_path / "store").glob("*.tar"))) == 3
    settings = ["training.batch_size=2", "data.shuffle_buffer=4"]
    dvdgan("train", preset, "--data", tmp_path / "store", "--out", tmp_path / "run", *settings)
    dvdgan("generate", "--model", tmp_path / "run", "--class", "pen", "--out", tmp_path / "pen.mp4")
    assert (tmp_path / "pen.mp4").stat().st_size > 0


def test_inspect_tells_what_there_is_and_what_is_wrong(dvdgan, tmp_path):
    folder = tmp_path / "clips"
    dvdgan("data", "render", "--out", folder, "size=32", "frames=4", "clips_per_class=1")
    (folder / "pen" / "text.mp4").write_text("no clip")
    shutil.copy(folder / "turn" / "000000.mp4", folder / "turn" / "copy.mp4")
    outputs = ["--sheet", tmp_path / "sheet.png", "--json", tmp_path / "found.json"]
    said = dvdgan("data", "inspect", "--data", folder, "workers=1", "test_fraction=0.2", *outputs).stdout
    assert "pen/text.mp4" in said
    assert "turn/copy.mp4" in said, "a near copy"
    dvdgan("data", "inspect", "--data", folder, "workers=1", "--headers", *outputs)  # over its earlier results
    both = ["--headers", "--sheet", tmp_path / "both.png", "--json", tmp_path / "both.png"]
    assert "name two" in dvdgan("data", "inspect", "--data", folder, *both, code=2).stderr
    for name in ("sheet", "sheet.txt", "sheet.bmp"):
        other = dvdgan("data", "inspect", "--data", folder, "--headers", "--sheet", tmp_path / name, code=2)
        assert f"{name}: images are written as .png" in other.stderr
        assert not (tmp_path / name).exists()
    mine = folder / "list.json"
    mine.write_text('[{"path": "pen/000000.mp4"}]')
    result = dvdgan("data", "inspect", "--data", mine, "--json", mine, code=2)
    assert result.stderr.startswith(f"error: {mine}: ")
    assert mine.read_text() == '[{"path": "pen/000000.mp4"}]'
    mine.unlink()
    dvdgan("data", "inspect", "--data", folder, "workers=1", "test_fraction=0.2", *outputs)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["problems"][0]["source"] == "pen/text.mp4"
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert min(sheet.size) > 100
    dvdgan("data", "pack", "--data", folder, "--out", tmp_path / "store", "size=32", "workers=1")
    assert "pen" in dvdgan("data", "inspect", "--data", tmp_path / "store").stdout
    with open(tmp_path / "store" / "frames.u8", "r+b") as file:
        file.seek(5000)
        file.write(b"damage")
    result = dvdgan("train", "cpu-32-quick", "--data", tmp_path / "store", "--out", tmp_path / "run", code=2)
    assert str(tmp_path / "store") in result.stderr


def test_training_decodes_files_by_itself(dvdgan, tmp_path):
    preset = tmp_path / "tiny.yaml"
    preset.write_text(tiny_config(tmp_path / "clips", steps=2).to_yaml().replace("classes: 3", "classes: 0"))
    dvdgan("data", "render", "--out", tmp_path / "clips", "size=32", "frames=6", "data.clips_per_class=1")
    run, more = tmp_path / "run", ["data.pack=false", "data.workers=1", "training.checkpoint_every=1"]
    dvdgan("train", preset, "--out", run, *more, "--minutes", 0.00001)
    assert not (run / "data").exists()
    resumed = dvdgan("train", preset, "--out", run, *more)
    assert "resumed at step 1" in resumed.stdout
    assert (run / "model" / "model.safetensors").exists()
    pen, *others = sorted((tmp_path / "clips").rglob("*.mp4"), key=lambda path: path.parent.name != "pen")
    os.utime(pen, ns=(1, 1))
    dvdgan("train", preset, "--out", run, *more)
    shutil.copy(others[0], pen)
    other = dvdgan("train", preset, "--out", run, *more, code=2)
    assert "--override" in other.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_save_and_exit_by_convention(dvdgan, store, tmp_path, monkeypatch, number, code):
    preset, run = tmp_path / "tiny.yaml", tmp_path / "run"
    preset.write_text(tiny_config(store).to_yaml())
    monkeypatch.setattr(
        "dvdgan.training.step.generator_step", lambda *args: os.kill(os.getpid(), number) or generator_step(*args)
    )
    before = signal.signal(number, signal.SIG_DFL)  # a shell's background jobs ignore SIGINT
    try:
        assert "the same command resumes" in dvdgan("train", preset, "--out", run, code=code).stderr
    finally:
        signal.signal(number, before)
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step-00000001.safetensors"]


@pytest.mark.slow
def test_a_process_that_is_interrupted_saves(tmp_path):
    """As a user starts it and stops it."""
    number, code = signal.SIGINT, 130
    store, preset, run = write_store(tmp_path / "store"), tmp_path / "tiny.yaml", tmp_path / "run"
    preset.write_text(tiny_config(store, steps=100_000).to_yaml())
    command = [sys.executable, "-m", "dvdgan", "train", str(preset), "--out", str(run)]
    heeding = {"preexec_fn": lambda: signal.signal(number, signal.SIG_DFL)}  # a shell's background jobs ignore SIGINT
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **heeding)
    deadline = time.monotonic() + 120
    while not (run / "log.jsonl").exists() or not (run / "log.jsonl").read_text():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == code
    assert "the same command resumes" in errors
    assert len(list((run / "checkpoints").glob("step-*.safetensors"))) == 1


def test_wheel_carries_the_presets(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), ROOT]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    presets = {name for name in os.listdir(os.path.join(ROOT, "src", "dvdgan", "presets")) if name.endswith(".yaml")}
    assert presets <= {os.path.basename(name) for name in names}
    assert "dvdgan/py.typed" in names
    assert "dvdgan/builtin/phenomena-64/model.safetensors" in names
