import errno
import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from rich.filesize import decimal

import dvdgan.data.store.packing as packing
import dvdgan.data.store.partial
from dvdgan.cli import main
from dvdgan.data.decode.clip import open_clip, read_header
from dvdgan.data.decode.timing import Header
from dvdgan.data.errors import ClipError, DataError
from dvdgan.data.layouts.listing import Entry, Listing, Problem
from dvdgan.data.reading import Reading
from dvdgan.data.store.clip_store import ClipStore
from dvdgan.data.store.index import StoreError
from dvdgan.data.store.packing import ScratchError, decode_to_file, pack, parts
from dvdgan.data.store.writer import StoreWriter
from dvdgan.data.workers import Limits
from dvdgan.data.write.encode import write_clip
from support.clips import read_clip
from support.errors import refused

READING = Reading(16)


def moving(seed, frames=6, height=16, width=20):
    """A square that moves over a plain ground, uint8 [T, H, W, 3]."""
    rng = np.random.default_rng(seed)
    clip = np.full((frames, height, width, 3), rng.integers(256, size=3), np.uint8)
    for time in range(frames):
        clip[time, 4:10, time : time + 6] = rng.integers(256, size=3)
    return clip


def write_clips(root):
    """Five clips that can be read, and two that cannot, in three classes."""
    for number, suffix in enumerate((".mp4", ".webp", ".gif", ".mp4", ".webp")):
        write_clip(root / "ab"[number % 2] / f"{number}{suffix}", moving(number, 4 + number), 12)
    whole = (root / "a" / "0.mp4").read_bytes()
    (root / "a" / "cut.mp4").write_bytes(whole[:-50])  # its header is whole
    (root / "c").mkdir()
    (root / "c" / "none.mp4").write_bytes(b"nothing")
    return root


def list_clips(root):
    classes = sorted(path.name for path in root.iterdir())
    entries = [
        Entry(path, path.relative_to(root).as_posix(), classes.index(path.parent.name), split="train", group=path.stem)
        for path in sorted(root.rglob("*.*"))
    ]
    return Listing(root, "folders", classes, entries, [Problem("a/none.mp4", "no such file")])


def about(listing):
    return {"clips": [[entry.source, entry.label, entry.path.stat().st_size] for entry in listing.entries]}


def pack_all(root, out, reading=READING, **options):
    listing = options.pop("listing", None) or list_clips(root)
    return pack(listing, out, reading, about(listing), **options)


def contents(path):
    return {name: (path / name).read_bytes() for name in sorted(os.listdir(path))}


def flat(*paths):
    return Listing(paths[0].parent, "flat", [], [Entry(path, path.name) for path in paths])


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("clips") / "root")


@pytest.fixture(scope="module")
def whole(clips, tmp_path_factory):
    """The store that nobody interrupted, made by two processes."""
    out = tmp_path_factory.mktemp("whole") / "store"
    pack_all(clips, out, workers=2)
    assert os.listdir(out.parent) == ["store"]
    return contents(out)


def test_a_store_holds_what_reading_gives_in_the_order_of_the_listing(clips, tmp_path, here, caplog):
    store = pack_all(clips, tmp_path / "store")
    assert store.sources == ["a/0.mp4", "a/2.gif", "a/4.webp", "b/1.webp", "b/3.mp4"]
    assert (store.classes, store.labels.tolist()) == (["a", "b"], [0, 0, 0, 1, 1])
    assert (set(store.splits), store.groups) == ({"train"}, ["0", "2", "4", "1", "3"])
    for index, source in enumerate(store.sources):
        clip, fps = read_clip(clips / source, 16)
        assert np.array_equal(store.clip(index), clip)
        assert store.fps[index] == fps
    assert [problem.source for problem in store.skipped] == ["a/cut.mp4", "c/none.mp4", "a/none.mp4"]
    assert store.skipped[2].reason == "no such file"
    messages = [record.message for record in caplog.records if record.name == packing.__name__]
    assert [message for message in messages if "skipped a/cut.mp4: " in message]
    assert messages[-1].endswith("left out classes without a clip that can be used: c")
    store.verify()


def test_the_store_does_not_depend_on_how_many_processes_there_are(clips, whole, tmp_path, here):
    pack_all(clips, tmp_path / "here")
    assert contents(tmp_path / "here") == whole


def test_one_process_packs_what_two_do(clips, whole, tmp_path):
    pack_all(clips, tmp_path / "store", workers=1)
    assert contents(tmp_path / "store") == whole


def test_only_the_first_problems_are_shown(tmp_path, here, caplog):
    path = write_clip(tmp_path / "clips" / "good.webp", moving(0), 12)
    listing = replace(flat(path), problems=[Problem(f"{number}\nth", "not there") for number in range(13)])
    store = pack(listing, tmp_path / "store", READING, {})
    assert len(store.skipped) == 13
    messages = [record.message for record in caplog.records if record.name == packing.__name__]
    assert len(messages) == 11
    assert messages[0].endswith("skipped 0 th: not there")
    assert messages[-1].endswith("skipped 3 more; the store's index.json lists them")


def test_transparency_is_kept_or_laid_on_a_background(tmp_path, here):
    pixels = np.zeros((3, 16, 16, 4), np.uint8)
    for time in range(3):
        pixels[time, 4:12, time : time + 8] = (200, 100, 0, 255)
    images = [Image.fromarray(frame) for frame in pixels]
    path = tmp_path / "clear.png"
    images[0].save(path, save_all=True, append_images=images[1:], duration=80)
    solid = write_clip(tmp_path / "solid.mp4", moving(1), 12)
    kept = pack(flat(path, solid), tmp_path / "kept", Reading(16, background=None), {})
    assert kept.channels.tolist() == [4, 3]
    assert np.array_equal(kept.clip(0), pixels)
    blue = pack(flat(path, solid), tmp_path / "blue", Reading(16, background=(0, 0, 255)), {})
    assert blue.channels.tolist() == [3, 3]
    assert blue.clip(0)[0, 0, 0].tolist() == [0, 0, 255]
    assert blue.clip(0)[0, 5, 5].tolist() == [200, 100, 0]


def test_rates_and_sizes_are_those_that_are_asked_for(clips, tmp_path, here):
    store = pack(flat(clips / "b" / "3.mp4"), tmp_path / "store", Reading(8, fps=6), {})
    assert (store.fps.tolist(), store.lengths.tolist()) == ([6.0], [4])
    assert (store.heights.tolist(), store.widths.tolist()) == ([8], [10])


def test_long_files_are_cut_into_parts_that_keep_together(tmp_path, here):
    path = write_clip(tmp_path / "long.mp4", moving(0, 100, 16, 120), 10)  # 10 s
    short = write_clip(tmp_path / "short.mp4", moving(1, 20), 10)
    reading = Reading(16, max_seconds=2.0, windows=3)
    store = pack(flat(path, short), tmp_path / "store", reading, {})
    spans = [(0.667, 2.667), (4.0, 6.0), (7.333, 9.333)]
    assert store.sources == [f"long.mp4#t={start:g}-{end:g}" for start, end in spans] + ["short.mp4"]
    assert store.lengths.tolist() == [20, 20, 20, 20]
    assert store.groups == ["long.mp4"] * 3 + [""]
    for index, (start, end) in enumerate(spans):
        assert np.array_equal(store.clip(index), np.stack(list(open_clip(path, 16, start=start, end=end)[1])))
    one = pack(flat(path), tmp_path / "one", Reading(16, max_seconds=2.0), {})
    assert one.sources == ["long.mp4#t=4-6"]


def test_parts_lie_within_their_clip_and_never_overlap():
    header = Header(32, 32, 10.0, 600, 60.0, False, "mp4/h264", False)
    entry = Entry(None, "a.mp4#t=10-35.5", 1, 10.0, 35.5, "test", "g")
    cut = parts(entry, header, Reading(16, max_seconds=10.0, windows=5))
    assert [part.source for part in cut] == ["a.mp4#t=11.375-21.375", "a.mp4#t=24.125-34.125"]
    assert [(part.start, part.end, part.label, part.split, part.group) for part in cut] == [
        (11.375, 21.375, 1, "test", "g"),
        (24.125, 34.125, 1, "test", "g"),
    ]
    assert parts(entry, header, Reading(16, max_seconds=25.5)) == [entry]
    assert parts(replace(entry, end=1000.0), header, Reading(16, max_seconds=50.0))[0].end == 1000.0


def test_an_estimate_is_what_comes_out(clips, tmp_path, here):
    lines = []
    store = pack_all(clips, tmp_path / "store", say=lines.append)
    promised = read_header(clips / "a" / "cut.mp4").frames * 16 * 20 * 3  # which the file has not
    assert lines == [f"about 6 clips, {decimal(store.bytes + promised)}"]


def stop_at(monkeypatch, number, error):
    """Make the writer fail at the given clip, with half of its frames written."""
    real, seen = StoreWriter.add, []

    def add(self, frames, *args, **options):
        seen.append(args)

        def half():
            yield next(iter(frames))
            raise error

        return real(self, half() if len(seen) == number else frames, *args, **options)

    monkeypatch.setattr(StoreWriter, "add", add)


def interrupted(number, *args, error=KeyboardInterrupt, **options):
    """Pack up to half of the given clip."""
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, number, error)
        with pytest.raises(error):
            pack_all(*args, **options)


@pytest.mark.parametrize("shards", [None, 3])
def test_an_interrupted_packing_goes_on_where_it_was(clips, tmp_path, here, shards):
    whole, out, lines = tmp_path / "whole", tmp_path / "out" / "store", []
    pack_all(clips, whole, shards=shards)
    for number, error in ((3, KeyboardInterrupt), (2, SystemExit)):
        interrupted(number, clips, out, error=error, shards=shards, say=lines.append)
        assert os.listdir(out.parent) == [".store.partial"]
    pack_all(clips, out, shards=shards, say=lines.append)
    assert [line.partition("; ")[2] for line in lines] == ["", "2 are packed already", "3 are packed already"]
    assert contents(out) == contents(whole)
    assert os.listdir(out.parent) == ["store"]
    frames = [f"clips-{number:06d}.tar" for number in range(shards)] if shards else ["frames.u8"]
    assert sorted(os.listdir(out)) == [*frames, "index.json"]


def test_an_interrupted_packing_of_other_clips_is_not_given_up_silently(clips, tmp_path, here):
    clips, lines = shutil.copytree(clips, tmp_path / "clips"), []
    interrupted(3, clips, tmp_path / "store", say=lines.append)
    first = min(path for path in clips.rglob("*.mp4"))
    shutil.copy(first, first.with_name("more.mp4"))
    pack_all(clips, tmp_path / "store", say=lines.append)
    assert [line.partition("; ")[2].partition(":")[0] for line in lines] == ["", "begun anew"]


KILLED = """
import os, signal, sys
sys.path[:0] = [sys.argv[1], os.path.join(sys.argv[1], os.pardir, os.pardir)]  # this file's, and support's
import dvdgan.data.store.partial
import test_packing
from dvdgan.data.store.writer import StoreWriter
from pathlib import Path

def add(self, frames, *args, **options):
    if len(self) == 2:
        self._frames.file.write(next(iter(frames)).tobytes())
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, frames, *args, **options)

real, StoreWriter.add = StoreWriter.add, add
dvdgan.data.store.partial.SYNC_SECONDS = 0.0
test_packing.pack_all(Path(sys.argv[2]), Path(sys.argv[3]), workers=2)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_packing_goes_on_where_it_was(clips, whole, tmp_path, here):
    script = tmp_path / "script.py"
    script.write_text(KILLED)
    out, lines = tmp_path / "out" / "store", []
    command = [sys.executable, script, os.path.dirname(__file__), clips, out]
    assert subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == -signal.SIGKILL
    assert os.listdir(out.parent) == [".store.partial"]
    pack_all(clips, out, say=lines.append)
    assert lines[0].endswith("; 2 are packed already")
    assert contents(out) == whole
    assert os.listdir(out.parent) == ["store"]


def test_a_changed_listing_starts_anew(clips, tmp_path, here):
    out, lines = tmp_path / "store", []
    interrupted(3, clips, out)
    listing = list_clips(clips)
    fewer = replace(listing, entries=listing.entries[1:])
    assert pack_all(clips, out, listing=fewer, say=lines.append).sources[0] == "a/2.gif"
    assert "already" not in lines[0]
    assert os.listdir(tmp_path) == ["store"]


@pytest.mark.skipif(dvdgan.data.store.partial.fcntl is None, reason="needs locks")
def test_two_packers_at_once_are_kept_apart(clips, whole, tmp_path, here):
    out = tmp_path / "store"

    def meet(line):
        with pytest.raises(StoreError, match=str(tmp_path / "store")):
            pack_all(clips, out)

    pack_all(clips, out, say=meet)
    assert contents(out) == whole


Usage = namedtuple("Usage", "total used free")


def test_a_disk_that_is_too_small_is_refused_before_anything_is_decoded(clips, tmp_path, here, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1 << 40, 0, 30_000))
    monkeypatch.setattr(packing, "decode_to_file", None)
    with refused(DataError, r"30\.0 kB.*data\.target_fps"):
        pack_all(clips, tmp_path / "store")
    assert os.listdir(tmp_path) == []


def test_what_is_packed_already_needs_no_more_room(clips, whole, tmp_path, here, monkeypatch):
    interrupted(5, clips, tmp_path / "store")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1 << 40, 0, 30_000))
    pack_all(clips, tmp_path / "store")
    assert contents(tmp_path / "store") == whole


def test_a_disk_that_gets_full_keeps_what_is_packed(clips, whole, tmp_path, here, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, 3, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        with refused(OSError, str(tmp_path / "store")):
            pack_all(clips, tmp_path / "store")
    pack_all(clips, tmp_path / "store")
    assert contents(tmp_path / "store") == whole


def test_a_disk_that_gets_full_is_a_failure_and_no_mistake(clips, tmp_path, here, monkeypatch, capsys):
    stop_at(monkeypatch, 3, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    with pytest.raises(SystemExit) as ended:
        main(["data", "pack", "--data", str(clips), "--out", str(tmp_path / "store"), "size=32"])
    assert ended.value.code == 1
    assert str(tmp_path / "store") in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a full device")
def test_a_clip_is_not_blamed_for_a_full_disk(clips, tmp_path):
    entry = Entry(clips / "a" / "0.mp4", "a/0.mp4")
    with pytest.raises(ScratchError, match="No space left"):
        decode_to_file(entry, READING, packing.Path("/dev/full"))
    with pytest.raises(ScratchError, match="No such file"):
        decode_to_file(entry, READING, tmp_path / "none" / "0")
    with pytest.raises(ClipError):
        decode_to_file(replace(entry, path=clips / "none.mp4"), READING, tmp_path / "0")


def test_files_that_need_too_much_are_skipped_and_the_others_packed(clips, tmp_path):
    wide = tmp_path / "wide.png"
    Image.new("1", (7900, 7900)).save(wide)
    listing = flat(clips / "a" / "0.mp4", wide, clips / "b" / "1.webp")
    store = pack(listing, tmp_path / "store", READING, {}, workers=1, limits=Limits(gib=0.2))
    assert store.sources == ["0.mp4", "1.webp"]
    assert store.skipped == [Problem("wide.png", "needs more than 0.2 GiB of memory")]


def test_nothing_usable_is_an_error_that_leaves_nothing(tmp_path, here):
    for name in ("x.mp4", "y.gif"):
        (tmp_path / name).write_bytes(b"nothing")
    with refused(DataError, r"x\.mp4"):
        pack(flat(tmp_path / "x.mp4", tmp_path / "y.gif"), tmp_path / "store", READING, {})
    with pytest.raises(DataError, match=str(tmp_path)):
        pack(Listing(tmp_path, "flat", [], []), tmp_path / "store", READING, {})
    assert sorted(os.listdir(tmp_path)) == ["x.mp4", "y.gif"]


def test_more_clips_than_files_may_be_open(tmp_path):
    resource = pytest.importorskip("resource")
    paths = []
    for number in range(160):
        paths.append(tmp_path / f"{number:04}.png")
        Image.new("RGB", (16, 16), (number % 256, number // 256, 0)).save(paths[-1])
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (120, before[1]))
    try:
        store = pack(flat(*paths), tmp_path / "store", READING, {}, workers=2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert [tuple(store.clip(number)[0, 0, 0]) for number in (0, 159)] == [(0, 0, 0), (159, 0, 0)]
    assert len(store) == 160


def test_a_damaged_store_names_its_clip(clips, tmp_path, here):
    store = pack_all(clips, tmp_path / "store")
    with open(store.path / "frames.u8", "r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))
    with pytest.raises(StoreError, match=r"clip b/3\.mp4"):
        ClipStore.open(store.path).verify()


def test_importing_is_quick():
    code = (
        "import sys, dvdgan.data.store.packing as _; "
        "print([m for m in ('torch', 'plotly', 'pydantic') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
