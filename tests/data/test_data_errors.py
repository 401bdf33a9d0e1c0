"""The whole text of one error of each kind; other tests look for the file, field or flag that a message must name."""

import errno
import os
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from dvdgan.config import DataConfig
from dvdgan.data.decode.clip import open_clip
from dvdgan.data.errors import ClipError, DataError
from dvdgan.data.layouts.splits import group_keys
from dvdgan.data.rendering import render_phenomena
from dvdgan.data.sources import open_dataset, pack_source
from dvdgan.data.store.clip_store import ClipStore
from dvdgan.data.store.index import StoreError
from dvdgan.data.store.writer import StoreWriter
from dvdgan.data.write.encode import write_clip
from dvdgan.data.write.mark import check_free
from support.windows import SIZE, coded_clip, windows_of


@pytest.fixture
def place(tmp_path, monkeypatch, here):
    """A folder to work in, with ``store`` of two clips in the classes a and b, ``clips`` of two GIFs, and odd files."""
    monkeypatch.chdir(tmp_path)
    with StoreWriter("store", SIZE, ["a", "b"], {}) as writer:
        for number in range(2):
            writer.add(coded_clip(number, 3 + number, SIZE, SIZE), number, f"clip {number}", 12)
    for number in range(2):
        write_clip(tmp_path / "clips" / f"{number}.gif", np.full((3, 8, 8, 3), 90 * number, np.uint8), 10)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "list.csv").write_text("file,label\na.mp4,x\n")
    return tmp_path


def opened(source, frames=2, **fields):
    return open_dataset(DataConfig(source=source, **fields), SIZE, frames, "cache")


def damaged():
    with open("store/frames.u8", "r+b") as file:
        file.write(b"other")
    ClipStore.open("store").verify()


def full():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StoreWriter, "add", Mock(side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
        pack_source(DataConfig(source="clips"), "out", 16)


ERRORS = {
    "a source that is not there": (lambda: opened("nowhere"), DataError, "nowhere: no such folder"),
    "a file that is no clip": (lambda: open_clip("empty.mp4", 16), ClipError, "empty.mp4: the file is empty"),
    "a list without paths": (
        lambda: opened("list.csv"),
        DataError,
        "list.csv:1: no column named path; its columns are file, label; rename file to path, or let its "
        "first line be path,label",
    ),
    "a pattern of groups": (
        lambda: group_keys(["x"], "("),
        DataError,
        "data.group: '(' is not a regular expression (missing ), unterminated subpattern at position 0)",
    ),
    "a part without clips": (
        lambda: opened("store", split="test"),
        DataError,
        "store: no clip is in the test part; set data.split=all, or set data.test_fraction",
    ),
    "clips that are too short": (
        lambda: windows_of(ClipStore.open("store"), 20),
        DataError,
        "store: no clip has the 20 frames that a window needs (20 at stride 1); the longest has 4; set "
        "data.short=loop to repeat short clips, or a lower network.frames or data.stride",
    ),
    "another size": (
        lambda: windows_of(ClipStore.open("store"), 2, 32),
        DataError,
        "store: its frames are 16 px, not 32; pack the clips again at 32 px, or set network.size=16",
    ),
    "an unknown class": (
        lambda: opened("store", flip=True, flip_labels={"c": None}),
        DataError,
        "data.flip_labels: the clips have no class 'c'; the classes are a, b",
    ),
    "shards that are not there": (
        lambda: opened("store", shuffle_buffer=9),
        DataError,
        "store: data.shuffle_buffer needs clips in tar shards; pack them with shards=N, or set "
        "data.shuffle_buffer=null",
    ),
    "a place that is taken": (
        lambda: pack_source(DataConfig(source="clips"), "empty.mp4", 16),
        StoreError,
        "{place}/empty.mp4: exists and is not a dvdgan store; choose another place",
    ),
    "a store below a file": (
        lambda: pack_source(DataConfig(source="clips"), "empty.mp4/x/y", 16),
        DataError,
        "{place}/empty.mp4/x/y: {place}/empty.mp4 is a file; choose another place",
    ),
    "rendered clips below a file": (
        lambda: render_phenomena("empty.mp4/x", 32, 4, 1),
        DataError,
        "empty.mp4/x: {place}/empty.mp4 is a file; choose another place",
    ),
    "a sheet below a file": (
        lambda: check_free(Path("empty.mp4/x.png")),
        DataError,
        "empty.mp4/x.png: {place}/empty.mp4 is a file; choose another place",
    ),
    "a run in its own source": (
        lambda: open_dataset(DataConfig(source="clips"), 16, 2, "clips/x"),
        DataError,
        "clips/x: lies in the source clips, where a run's files become clips; choose another place",
    ),
    "a store in its own source": (
        lambda: pack_source(DataConfig(source="clips"), "clips/x", 16),
        DataError,
        "clips/x: lies in the source clips, where a store's files become clips; choose another place",
    ),
    "a store that is packed again": (
        lambda: pack_source(DataConfig(source="store"), "out", 16),
        DataError,
        "store: is a packed store already; name the folder or the list of its clips",
    ),
    "the phenomena, packed": (
        lambda: pack_source(DataConfig(source="phenomena"), "out", 16),
        DataError,
        "phenomena is rendered, not read: dvdgan data render writes it as a folder of clips",
    ),
    "more shards than clips": (
        lambda: pack_source(DataConfig(source="clips", shards=3), "out", 16),
        DataError,
        "{place}/out: 3 shards are more than the 2 clips; set data.shards lower",
    ),
    "a disk that is full": (
        full,
        OSError,
        "out: cannot be written (No space left on device); mend that and start again: it goes on",
    ),
    "no store": (lambda: ClipStore.open("gone"), StoreError, "gone: no such store"),
    "no index": (
        lambda: ClipStore.open("empty"),
        StoreError,
        "empty: not a packed store: there is no index.json in it",
    ),
    "a store that was changed": (
        damaged,
        StoreError,
        "store: frames.u8 is damaged (the checksum of clip clip 0 differs); pack the clips again",
    ),
    "a folder of other clips": (
        lambda: render_phenomena("clips", 32, 4, 1),
        DataError,
        "clips: is no folder of rendered clips (no phenomena.json in it); choose a new or empty one",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_reads_so(name, place):
    act, kind, text = ERRORS[name]
    with pytest.raises(kind) as caught:
        act()
    assert str(caught.value) == text.replace("{place}", str(place))
