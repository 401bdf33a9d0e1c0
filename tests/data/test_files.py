import logging
import os
import struct
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from dvdgan.config import DataConfig
from dvdgan.data.decode.clip import open_clip
from dvdgan.data.errors import DataError
from dvdgan.data.sources import content_of, open_dataset, pack_source
from dvdgan.data.windows import Window
from dvdgan.data.write.encode import write_clip
from support.clips import numbers, read_clip, smooth, write_animation, write_frames, write_late, write_video
from support.errors import refused

SIZE = 16
MS = Fraction(1, 1000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of MP4, WebP and GIF files of 20 to 50 frames, and one that is no clip."""
    root = tmp_path_factory.mktemp("clips")
    for seed, name in enumerate(["a/0.mp4", "a/1.webp", "b/2.gif", "b/3.mp4"]):
        write_clip(root / name, smooth(20 + 10 * seed, 24, 32, seed), 12)
    (root / "b" / "text.mp4").write_text("no clip")
    return root


def opened(folder, tmp_path, frames=5, **fields):
    config = DataConfig(source=str(folder), **{"workers": 1, **fields})
    return open_dataset(config, SIZE, frames, tmp_path / "cache")


def test_settings_of_packing_change_nothing_in_a_packed_store_and_are_said_to(folder, tmp_path, caplog):
    opened(folder, tmp_path, target_fps=8.0)
    opened(tmp_path / "cache", tmp_path / "no", target_fps=8.0)
    assert "changes nothing" not in caplog.text
    opened(tmp_path / "cache", tmp_path / "no", target_fps=6.0)
    assert "data.target_fps=6.0 changes nothing: it is packed" in caplog.text


@pytest.mark.parametrize("settings", [{}, {"target_fps": 8.0, "stride": 2}, {"max_seconds": 1.0, "windows": 2}])
def test_files_give_what_a_packed_store_gives(folder, tmp_path, settings, request, caplog):
    if settings:  # without, in processes
        request.getfixturevalue("here")
    files = opened(folder, tmp_path, pack=False, crop="random", flip=True, **settings)
    try:
        assert not (tmp_path / "cache").exists()
        assert ("max_seconds changes nothing" in caplog.text) == ("max_seconds" in settings)
        if "max_seconds" not in settings:  # files are not cut: a window of a long one is found by seeking
            store = opened(folder, tmp_path, crop="random", flip=True, **settings)
            assert files.store.lengths.tolist() == store.store.lengths.tolist()
            assert files.store.widths.tolist() == store.store.widths.tolist()
            for ours, theirs in zip(files.samples(range(12)), store.samples(range(12))):
                assert np.array_equal(ours, theirs)
        clips, labels = files.samples(range(12))
        assert (clips.shape, set(labels.tolist())) == ((12, 5, SIZE, SIZE, 3), {0, 1})
        assert files.store.classes == ["a", "b"]
        assert [problem.source for problem in files.store.skipped] == ["b/text.mp4"]
        assert files.store.workers == 1
    finally:
        files.store.close()


def test_a_file_that_breaks_on_the_way_is_reported_once_and_replaced(tmp_path, caplog):
    for seed in range(4):
        write_clip(tmp_path / "clips" / f"{seed}.mp4", smooth(12, 24, 32, seed), 12)
    broken = "b\nroken.mp4" if os.name == "posix" else "b roken.mp4"
    (tmp_path / "clips" / "2.mp4").rename(tmp_path / "clips" / broken)
    (tmp_path / "clips" / f"text{broken}").write_text("no clip")
    data = opened(tmp_path / "clips", tmp_path, pack=False)
    try:
        whole, _ = data.samples(range(16))
        os.truncate(tmp_path / "clips" / broken, 600)
        (tmp_path / "clips" / "3.mp4").unlink()
        with caplog.at_level(logging.WARNING):
            clips, _ = data.samples(range(16))
        assert clips.shape == whole.shape
        assert data.replaced >= 4
        reported = [record.message for record in caplog.records if "skipped" in record.message]
        assert len(reported) == 3
        assert sum("b roken.mp4: " in text for text in reported) == 2, "in one line each"
        assert any("3.mp4" in text for text in reported)
        for path in (tmp_path / "clips").iterdir():
            path.unlink()
        with pytest.raises(DataError, match="cannot be read"):
            data.samples(range(100, 104))
    finally:
        data.store.close()


def test_a_header_that_promises_too_much_costs_the_window_that_is_not_there(folder, tmp_path, here):
    data = opened(folder, tmp_path, pack=False)
    try:
        length = int(data.store.lengths[0])
        beyond, whole = np.arange(length - 2, length + 3), np.arange(length - 5, length)
        first, last = data.store.read([Window(0, beyond, 0, 0), Window(0, whole, 0, 0)])
        assert np.array_equal(first, last)
        (none,) = data.store.read([Window(0, np.arange(10 * length), 0, 0)])
        assert none is None
    finally:
        data.store.close()


def test_nothing_usable_is_one_line(tmp_path, here):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").write_text("no")
    with refused(DataError, r"a\.mp4"):
        opened(tmp_path / "clips", tmp_path, pack=False)


def test_other_files_are_another_source(folder, tmp_path, here):
    first, again = (opened(folder, tmp_path, pack=False) for _ in range(2))
    other = opened(folder, tmp_path, pack=False, target_fps=6.0)
    identities = [data.store.identity for data in (first, again, other)]
    for data in (first, again, other):
        data.store.close()
    assert identities[0] == identities[1] != identities[2]


def test_windows_of_a_long_file_are_packed_as_clips(folder, tmp_path, here):
    config = DataConfig(source=str(folder), max_seconds=1.0, windows=2, workers=1)
    store = pack_source(config, tmp_path / "store", SIZE)
    parts = [source for source in store.sources if source.startswith("b/3.mp4#t=")]
    assert len(parts) == 2
    assert {store.groups[store.sources.index(part)] for part in parts} == {"b/3.mp4"}
    assert set(store.lengths.tolist()) == {12}


RECORDED = ["mp4", "mkv", "webm", "live.webm", "avi", "h264.avi", "ts", "mpg", "flv", "wmv"]
RECORDED += ["mov", "h264", "gif", "webp"]


@pytest.mark.parametrize("kind", RECORDED)
def test_packed_and_unpacked_agree_frame_by_frame(kind, tmp_path, here):
    """Whatever a container says of its length, or does not."""
    path = tmp_path / "clips" / f"clip.{kind}"
    path.parent.mkdir()
    jittered = np.cumsum(np.random.default_rng(0).integers(25, 42, 400)).tolist()
    codecs = {"webm": "libvpx-vp9", "live.webm": "libvpx", "avi": "mpeg4", "mpg": "mpeg2video", "flv": "flv"}
    codec = codecs.get(kind, {"wmv": "wmv2"}.get(kind, "libx264"))
    if kind in ("gif", "webp"):
        write_animation(path, 300, [40, 40, 20, 1000] * 75)
    elif kind == "live.webm":  # as a browser's MediaRecorder writes it: no duration, no index, jittered times
        jittered[300:] = [time + 8000 for time in jittered[300:]]  # and the screen stands still
        options = {"deadline": "realtime", "cpu-used": "8", "auto-alt-ref": "1", "lag-in-frames": "16"}
        live = {"live": "1"}
        write_video(path, 400, 30, codec, "yuv420p", options, 60, 0, jittered, MS, container_options=live)
    elif kind in ("mkv", "mp4", "mov"):
        write_video(path, 400, 30, codec, gop=50, b_frames=2, ticks=jittered, time_base=MS)
    else:
        fast = {"deadline": "realtime", "cpu-used": "8"} if codec == "libvpx-vp9" else {}
        write_video(path, 400, 25, codec, options=fast, gop=50)
    files, store = opened(path.parent, tmp_path, pack=False), opened(path.parent, tmp_path)
    whole = store.store.clip(0)
    assert files.store.lengths.tolist() == store.store.lengths.tolist() == [len(whole)]
    starts = np.linspace(0, len(whole) - 5, 9).astype(int)
    windows = [Window(0, np.arange(start, start + 5), 0, 0) for start in starts]
    for window, clip in zip(windows, files.store.read(windows)):
        assert np.array_equal(clip, whole[window.times, :SIZE, :SIZE])


def test_a_header_that_lies_about_the_length_is_not_believed(tmp_path, here):
    (tmp_path / "clips").mkdir()
    path = write_video(tmp_path / "clips" / "a.mkv", 60, 30, gop=10)
    data = bytearray(path.read_bytes())
    at = data.index(b"\x44\x89\x88") + 3  # the segment's duration
    data[at : at + 8] = struct.pack(">d", 90_000.0)
    data = data.replace(b"00:00:02.0", b"00:01:30.0")  # the stream's
    path.write_bytes(data)
    files, store = (opened(tmp_path / "clips", tmp_path, pack=pack) for pack in (False, True))
    assert files.store.lengths.tolist() == store.store.lengths.tolist() == [60]


def test_one_window_that_cannot_be_read_costs_no_other(tmp_path, here, caplog):
    folder = tmp_path / "clips" / "a"
    folder.parent.mkdir()
    write_frames(folder, 60)
    write_frames(folder.with_name("b"), 60)
    files = opened(tmp_path / "clips", tmp_path, pack=False)
    os.truncate(folder / "frame_0031.png", 60)
    early, torn, late = [Window(0, np.arange(start, start + 5), 0, 0) for start in (3, 28, 50)]
    with caplog.at_level(logging.WARNING):
        found = files.store.read([early, torn, late, torn, early])
    assert [clip is None for clip in found] == [False, True, False, True, False]
    assert sum("skipped a window of a: " in record.message for record in caplog.records) == 1


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv", "late.ts"])
@pytest.mark.parametrize("pack", [True, False])
def test_times_of_a_list_are_those_of_players(tmp_path, here, name, pack):
    """A picture that begins two seconds after the sound."""
    write_late(tmp_path / name, 150, late=2)
    (tmp_path / "clips.csv").write_text(f"path,label,start,end\n{name},a,4,5\n{name},a,0:02.5,3\n{name},a,0,1\n")
    data = opened(tmp_path / "clips.csv", tmp_path, pack=pack)
    assert data.store.lengths.tolist() == [30, 15]
    assert [problem.source for problem in data.store.skipped] == [f"{name}#t=0-1"]
    assert "its picture begins at 2 s" in data.store.skipped[0].reason
    rate, frames = open_clip(tmp_path / name, start=4, end=5)
    assert (rate, numbers(list(frames))) == (30, list(range(60, 90)))
    windows = [Window(0, np.arange(0, 5), 0, 0), Window(1, np.arange(10, 15), 0, 0)]
    whole = read_clip(tmp_path / name, SIZE)[0][:, :, :SIZE]
    for clip, first in zip(data.store.read(windows), (60, 25)):
        assert np.array_equal(clip, whole[first : first + 5])


def test_a_folder_of_frames_is_known_by_its_pictures(tmp_path):
    """Uncompressed frames have one length; and viewers leave files of their own beside them."""
    for number in range(5):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"{number:04}.bmp")
    before = content_of(tmp_path)
    (tmp_path / "Thumbs.db").write_bytes(b"thumbnails")
    assert content_of(tmp_path) == before
    Image.new("RGB", (8, 8), (99, 0, 0)).save(tmp_path / "0001.bmp")
    assert content_of(tmp_path) != before
