"""Nothing of a user's is lost by a training: not in a directory of theirs, nor in a run's, nor through links."""

import pytest

from conftest import tiny_config, write_store
from dvdgan.training import TrainingError, train
from dvdgan.training.directory import TrainingDirectory
from dvdgan.training.run_file import RunFile
from dvdgan.training.samples import remove_samples_after
from support.errors import refused
from support.runs import quiet

RUN = RunFile(
    precision="fp32",
    memory_format="contiguous",
    checkpointing="none",
    threads=1,
    torch="2",
    device="cpu",
    processes=1,
    store="data",
    data="ab",
    clips=1,
    classes=[],
    class_weights=[],
    config=tiny_config("clips"),
)
THEIRS = [
    *(".data/clip.mp4", ".database/rows.db", ".model-zoo/big.bin", ".data-2024.partial/clip.mp4", "data-3/index.json"),
    *(".download.iso.partial", "samples/.x.partial", "samples/.partial.png", "samples/step-00000099.notes.txt"),
    *("samples/step-99.png", "samples/step-00000099.jpg", ".model-old-backups/a.bin", ".model-1234abcd/mine.txt"),
    *(".data.0a0a0a0a.old/photo.png", ".data.0a0a0a0a.partial/photo.png", "checkpoints/step-7.safetensors"),
    *("checkpoints/.step-1.partial", "notes.txt", ".data.partial/photo.png"),
]


def fill(folder):
    for name in THEIRS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("dear")


def are_there(folder):
    return [name for name in THEIRS if not (folder / name).is_file() or (folder / name).read_text() != "dear"] == []


def started(path):
    """The directory of a run, as it is before its first checkpoint."""
    directory = TrainingDirectory(path)
    with directory.locked():
        directory.write(RUN)
    return directory


def test_a_directory_of_the_users_is_refused_and_left_as_it_is(store, tmp_path):
    fill(tmp_path / "theirs")
    before = sorted(tmp_path.joinpath("theirs").rglob("*"))
    with refused(TrainingError, "theirs: is neither empty nor a run of dvdgan; choose another --out"):
        train(tiny_config(store), tmp_path / "theirs", say=quiet)
    assert sorted(tmp_path.joinpath("theirs").rglob("*")) == before
    assert are_there(tmp_path / "theirs")
    (tmp_path / "file").write_text("dear")
    with refused(TrainingError, "file: exists and is no directory"):
        train(tiny_config(store), tmp_path / "file", say=quiet)


def test_what_the_user_puts_beside_a_run_stays(tmp_path):
    directory = started(tmp_path / "run")
    fill(directory.path)
    write_store(directory.path / "data-7", per_class=1)  # packed by the user: the run never had such a one
    with directory.locked():
        directory.remove_leftovers()
        remove_samples_after(directory.path / "samples", 3)
        directory.write(RUN)
    assert are_there(directory.path)
    assert (directory.path / "data-7" / "frames.u8").exists()


def test_what_a_killed_training_left_goes(tmp_path):
    directory = started(tmp_path / "run")
    left = [f"{folder}.some.12-0a1b2c3d.partial.png" for folder in ("", "checkpoints/", "samples/")]
    for name in [*left, "samples/step-00000009.png", ".model-abcd_123/config.yaml"]:
        (directory.path / name).parent.mkdir(exist_ok=True)
        (directory.path / name).write_text("half")
    with directory.locked():
        directory.note_packed(directory.path / "data-2")
        write_store(directory.path / "data-2", per_class=1)
        directory.remove_leftovers()
        remove_samples_after(directory.path / "samples", 3)
        directory.write(RUN)
    found = sorted(path.relative_to(directory.path).as_posix() for path in directory.path.rglob("*"))
    assert found == [".lock", "checkpoints", "config.yaml", "run.json", "samples"]


@pytest.mark.parametrize("name", ["log.jsonl", "samples", "checkpoints", "evaluation", "model", "tensorboard", ".lock"])
def test_a_run_writes_and_removes_nothing_through_links(store, tmp_path, name):
    directory, there = started(tmp_path / "run"), tmp_path / "theirs"
    (there / "sub").mkdir(parents=True)
    for kept in ("log.jsonl", "step-00000009.png", ".x.1-0a0a0a0a.partial.png"):
        (there / kept).write_text("dear\n")
    before = {path: path.stat().st_mtime_ns for path in there.rglob("*")}
    (directory.path / name).unlink(missing_ok=True)
    target = there / "log.jsonl" if name in ("log.jsonl", ".lock") else there
    (directory.path / name).symlink_to(target)
    with refused(TrainingError, f"{name}: is a link" if name != ".lock" else "run: is neither empty nor a run"):
        train(tiny_config(store), directory.path, say=quiet)
    assert {path: path.stat().st_mtime_ns for path in there.rglob("*")} == before
