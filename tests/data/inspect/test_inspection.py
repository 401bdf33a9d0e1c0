import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dvdgan.config import DataConfig
from dvdgan.data.decode.timing import Header
from dvdgan.data.errors import DataError
from dvdgan.data.inspect.clip import InspectedClip, scan
from dvdgan.data.inspect.hints import find_hints
from dvdgan.data.inspect.inspection import inspect_listing, inspect_source, inspect_store
from dvdgan.data.inspect.report import as_json, as_text, contact_sheet
from dvdgan.data.layouts.listing import Entry, Listing, Problem
from dvdgan.data.sources import open_dataset, pack_source
from dvdgan.data.store.clip_store import ClipStore
from dvdgan.data.store.writer import StoreWriter
from dvdgan.data.workers import Workers
from dvdgan.data.write.encode import write_clip
from dvdgan.data.write.sheets import BACKGROUND
from support.clips import write_late, write_video


def moving(seed, frames=8, height=48, width=48):
    """A patch of coarse noise that crosses a gradient."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 120, width) if seed % 2 else np.linspace(100, 0, height)[:, None]
    clip = np.broadcast_to(np.full((height, width), 40) + ramp, (frames, height, width))
    clip = np.repeat(clip[..., None], 3, axis=-1).astype(np.uint8)
    patch = rng.integers(0, 256, (3, 3, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    (y0, y1), (x0, x1) = rng.integers(0, height - 24, 2), rng.integers(0, width - 24, 2)
    for time, frame in enumerate(clip):
        y, x = (round(a + (b - a) * time / max(1, frames - 1)) for a, b in ((y0, y1), (x0, x1)))
        frame[y : y + 24, x : x + 24] = patch
    return clip


def write_alpha(path, clip, delay):
    images = [Image.fromarray(np.dstack([frame, np.full(frame.shape[:2], 90, np.uint8)])) for frame in clip]
    images[0].save(path, save_all=True, append_images=images[1:], duration=delay, loop=0, lossless=True)


@pytest.fixture(scope="module")
def listing(tmp_path_factory):
    """Files of three classes; some cannot be used, and nearly everything that a hint tells of is there."""
    root = tmp_path_factory.mktemp("clips")
    for name in ("drift", "wave", "empty"):
        (root / name).mkdir()
    entries = []

    def add(source, label, split, write, group="", **part):
        if write is not None:
            write(root / source.partition("#")[0])
        entries.append(Entry(root / source.partition("#")[0], source, label, split=split, group=group, **part))

    for k in range(11):
        split = "test" if k == 10 else "train"
        add(f"drift/{k:02}.mp4", 0, split, lambda path, k=k: write_clip(path, moving(k), 8), "pair" if k > 8 else "")
    add("drift/copy of 10.mp4", 0, "train", lambda path: write_clip(path, moving(10)[:, :, 1:] // 2 + 60, 8, crf=30))
    add("wave/wide.mp4", 1, "train", lambda path: write_clip(path, moving(20, 20, 48, 96), 24))
    add("wave/still.mp4", 1, "train", lambda path: write_clip(path, moving(21)[[0] * 8], 8, crf=35))
    add("wave/clear.webp", 1, "test", lambda path: write_alpha(path, moving(22), 125))
    add("wave/one.gif", 1, "train", lambda path: write_clip(path, moving(23, 1), 8))
    add("wave/wide.mp4#t=0.25-0.5", 1, "train", None, start=0.25, end=0.5)
    add("wave/wide.mp4#t=7-8", 1, "train", None, start=7, end=8)
    add("wave/void.mp4", 1, "train", lambda path: path.write_bytes(b""))
    whole = write_clip(root / "wave" / "cut.mp4", moving(24, 40), 8).read_bytes()
    add("wave/cut.mp4", 1, "train", lambda path: path.write_bytes(whole[: len(whole) * 3 // 4]))
    return Listing(root, "list", ["drift", "wave", "empty"], entries, [Problem("empty/gone.mp4", "no such file")])


@pytest.fixture(scope="module", autouse=True)
def _here():
    """No processes: what they are for is tested with the workers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Workers, "_start", lambda self: None)
        yield


@pytest.fixture(scope="module")
def inspection(listing):
    return inspect_listing(listing, DataConfig(workers=1))


@pytest.fixture(scope="module")
def by_headers(listing):
    return inspect_listing(listing, DataConfig(workers=1), headers_only=True)


def texts(inspection):
    return {hint.kind: hint.text for hint in inspection.hints}


def test_each_class_and_all_clips_are_summed_up(inspection):
    drift, wave, empty = inspection.classes
    assert (drift.name, drift.clips, drift.train, drift.test, drift.problems) == ("drift", 12, 11, 1, 0)
    assert (drift.frames, drift.seconds, drift.sizes, drift.rates) == (96, 12.0, {"48x48": 12}, {"8": 12})
    assert (wave.clips, wave.train, wave.test, wave.problems) == (5, 4, 1, 3)
    assert vars(wave.frames_per_clip) == {"least": 1, "median": 8, "most": 20}
    assert wave.seconds_per_clip.most == pytest.approx(1.0)
    assert vars(wave.fps) == {"least": 8, "median": 16, "most": 24}
    assert (wave.smallest, wave.largest, wave.sizes["96x48"]) == ("48x48", "96x48", 2)
    assert (wave.formats["webp"], wave.formats["gif"], wave.alpha) == (1, 1, 1)
    assert (empty.clips, empty.problems, empty.frames_per_clip, empty.smallest) == (0, 1, None, "")
    assert (inspection.total.clips, inspection.total.problems, inspection.total.frames) == (
        17,
        4,
        96 + 20 + 8 + 8 + 1 + 6,
    )


def test_it_is_said_how_many_clips_are_in_hdr_and_how_the_source_was_read(tmp_path):
    def tag(stream):
        stream.codec_context.color_trc, stream.codec_context.color_primaries = 18, 9

    for name, tagged in (("run/a", tag), ("run/b", tag), ("jump/c", None)):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        write_video(tmp_path / "in" / f"{name}.mp4", 24, tag=tagged)
    (tmp_path / "in" / "notes.txt").touch()
    found = inspect_source(DataConfig(source=str(tmp_path), workers=1), headers_only=True)
    assert (found.total.hdr, [summary.hdr for summary in found.classes]) == (2, [0, 2])
    text = " ".join(as_text(found).split())
    assert "2 in HDR" in text
    assert "the classes are the folders in in (jump, run); data.class_depth=1" in text
    assert "left out 1 file that is no clip: .txt: 1 (in/notes.txt)" in text
    assert len(json.loads(as_json(found))["notes"]) == 2


def test_a_packed_store_has_the_size_that_was_estimated(inspection):
    square, wide = 64 * 64 * 3, 64 * 128 * 3
    assert inspection.packed_bytes == (96 + 8 + 8 + 1) * square + (20 + 6) * wide


def test_the_size_that_is_estimated_is_that_of_packing_with_the_same_fields(tmp_path):
    for name, rate in (("a", 24), ("b", 12)):
        write_clip(tmp_path / "in" / f"{name}.mp4", moving(1, 2 * rate), rate)
    write_alpha(tmp_path / "in" / "clear.webp", moving(2, 8), 125)

    def found(**fields):
        config = DataConfig(source=str(tmp_path / "in"), workers=1, **fields)
        return inspect_source(config, headers_only=True), pack_source(config, tmp_path / "store", 64)

    inspection, store = found()
    assert "mixed-rates" in texts(inspection)
    assert inspection.packed_bytes == store.bytes == (48 + 24 + 8) * 64 * 64 * 3
    inspection, store = found(target_fps=8.0, background="random", max_seconds=0.5, windows=2)
    assert "mixed-rates" not in texts(inspection)
    assert inspection.packed_bytes == store.bytes == 2 * 4 * 64 * 64 * (3 + 3 + 4)


def test_what_cannot_be_used_is_named_with_its_reason(inspection):
    reasons = {problem.source: problem.reason for problem in inspection.problems}
    assert set(reasons) == {"empty/gone.mp4", "wave/wide.mp4#t=7-8", "wave/void.mp4", "wave/cut.mp4"}
    assert reasons["empty/gone.mp4"] == "no such file"
    assert "empty" in reasons["wave/void.mp4"]
    assert "begins at 7 s" in reasons["wave/wide.mp4#t=7-8"]


def test_near_copies_are_found_and_those_across_the_split_named_first(inspection):
    copies = ["drift/10.mp4", "drift/copy of 10.mp4"]
    parts = ["wave/wide.mp4", "wave/wide.mp4#t=0.25-0.5"]
    assert inspection.near_copies_across == [copies]
    assert inspection.near_copies == [copies, parts]
    assert inspection.hints[0].kind == "near-copies-across-splits"
    assert "drift/copy of 10.mp4 (train) and drift/10.mp4 (test)" in inspection.hints[0].text
    assert "such as wave/wide.mp4 and wave/wide.mp4#t=0.25-0.5" in texts(inspection)["near-copies"]


def test_hints_tell_of_what_is_there(inspection):
    found = texts(inspection)
    assert "1 group with clips on both sides (pair)" in found["groups-across-splits"]
    assert found["empty-classes"] == "Classes without a clip to train on: 1 of 3 (empty)."
    assert "1 of 3 (wave with 4)" in found["few-clips"]
    assert "1 of 17 clips (wave/still.mp4)" in found["stills"]
    assert "1 of 17 clips (wave/one.gif)" in found["one-frame"]
    assert "fewer than 12 frames in 15, 16 frames in 15, 24 frames in 16, 48 frames in 16" in found["short-clips"]
    assert "8 to 24 fps (8 in 14 of 16 clips)" in found["mixed-rates"]
    assert "data.target_fps=8" in found["mixed-rates"]
    assert "1.00 to 2.00" in found["aspect-ratios"]
    assert "50 % of the frames of 2 of 17 clips" in found["aspect-ratios"]
    assert "17 of 17 clips, the smallest 48x48" in found["small-frames"]
    assert "1 of 17 clips" in found["transparent"]
    assert "uneven-classes" not in found


def test_headers_alone_tell_of_lengths_and_not_of_looks(by_headers, inspection):
    assert by_headers.near_copies is None
    assert {"stills", "near-copies-across-splits"} & set(texts(by_headers)) == set()
    assert by_headers.classes[0].frames == 96
    assert by_headers.total.clips >= inspection.total.clips
    assert {"wave/void.mp4", "wave/wide.mp4#t=7-8"} <= {problem.source for problem in by_headers.problems}
    assert contact_sheet(by_headers).shape == contact_sheet(inspection).shape
    assert "headers only" in as_text(by_headers)


def test_a_picture_that_begins_long_after_the_sound_is_shown(tmp_path):
    path = write_late(tmp_path / "a.mp4", 30, 12)
    found = inspect_source(DataConfig(source=str(path.parent), workers=1), headers_only=True)
    assert (found.total.frames, found.problems, len(found.thumbnails)) == (30, [], 1)


def test_json_has_everything_but_the_pictures(inspection):
    read = json.loads(as_json(inspection))
    assert read["total"]["clips"] == 17
    assert read["classes"][1]["frames_per_clip"] == {"least": 1, "median": 8, "most": 20}
    assert len(read["problems"]) == 4
    assert {"kind", "text", "about"} == set(read["hints"][0])
    assert read["near_copies"] == inspection.near_copies
    assert "thumbnails" not in read


def test_the_text_fits_the_screen(inspection):
    lines = as_text(inspection).splitlines()
    assert max(map(len, lines)) <= 80
    rows = {line.split()[0]: line.split() for line in lines if line.startswith(("class", "drift ", "wave "))}
    assert rows["class"] == ["class", "clips", "train", "test", "bad", "time", "frames", "size", "fps"]
    assert rows["wave"][1:5] == ["5", "4", "1", "3"]
    assert any("17 clips: 15 train, 2 test; 4 cannot be used" in line for line in lines)
    assert "- wave/void.mp4: the file is empty" in lines


def test_a_sheet_has_rows_of_each_class_with_frames_whole_on_its_background(inspection):
    sheet = contact_sheet(inspection)  # of two classes, with 12 and 5 clips that can be used
    assert 17 * 64 < sheet.shape[0] < 18 * 70
    assert 6 * 64 < sheet.shape[1] < 9 * 64
    wide = next(shown for _, source, shown in inspection.thumbnails if source == "wave/wide.mp4")
    assert wide.shape == (6, 64, 64, 3)
    assert (wide[:, :16] == BACKGROUND).all()
    assert (wide[:, 48:] == BACKGROUND).all()
    assert not (wide[:, 16:48] == BACKGROUND).all(axis=-1).any()


def test_nothing_usable_is_still_said(tmp_path):
    listing = Listing(tmp_path, "flat", [], [Entry(tmp_path / "a.mp4", "a.mp4")], [Problem("b.mp4", "no class")])
    inspection = inspect_listing(listing, DataConfig(workers=1))
    assert [problem.source for problem in inspection.problems] == ["b.mp4", "a.mp4"]
    assert (inspection.total.clips, inspection.hints, inspection.packed_bytes) == (0, [], 0)
    assert "Cannot be used (2):" in as_text(inspection)
    with pytest.raises(DataError, match="no clip to be shown"):
        contact_sheet(inspection)


def pack(path, alpha=False):
    with StoreWriter(path, 48, ["drift", "wave"], {}) as writer:
        for k in range(3):
            clip = moving(k)
            if alpha:
                clip = np.concatenate([clip, np.full_like(clip[..., :1], 200)], axis=-1)
            writer.add(clip, k % 2, f"{k}.mp4", 12, split="train")
        writer.add(moving(0)[1:], 0, "again.mp4", 12, split="test")
        writer.add(moving(5)[[0] * 300], 1, "still.mp4", 12)
        writer.skip("bad.mp4", "truncated")
    return ClipStore.open(path)


def test_a_store_is_inspected_like_files(tmp_path):
    store = pack(tmp_path / "store")
    inspection = inspect_store(store, DataConfig())
    assert (inspection.layout, inspection.total.clips, inspection.packed_bytes) == ("store", 5, store.bytes)
    assert inspection.near_copies_across == [["0.mp4", "again.mp4"]]
    assert inspection.problems == [Problem("bad.mp4", "truncated")]
    assert [hint.about for hint in inspection.hints if hint.kind == "stills"] == [["still.mp4"]]
    assert contact_sheet(inspection).shape[1] > 6 * 64


def test_a_store_is_divided_as_training_divides_it(tmp_path):
    with StoreWriter(tmp_path / "store", 48, ["drift"], {}) as writer:
        for k in range(8):
            writer.add(moving(k // 2), 0, f"g{k // 4}_{k}.mp4", 12)  # each of them twice
    source = DataConfig(source=str(tmp_path / "store"))
    total = inspect_source(source).total
    assert (total.train, total.test) == (0, 0)
    config = source.model_copy(update={"test_fraction": 0.5, "split_seed": 3})
    found = inspect_source(config)
    assert (found.total.train, found.total.test) == (4, 4)
    training = open_dataset(config, 48, 8, tmp_path / "unused")
    assert training.other_part == 4
    trains = {training.store.sources[clip] for clip in training._kept}
    assert found.near_copies_across
    assert all(len(trains & set(pair)) == 1 for pair in found.near_copies_across)
    grouped = inspect_source(config.model_copy(update={"group": "^(g[0-9])"}))
    assert (grouped.total.test, grouped.near_copies_across) == (4, [])
    with pytest.raises(DataError, match=r"data\.group"):
        inspect_source(config.model_copy(update={"group": "("}))


def test_a_store_with_transparency_shows_it_on_white(tmp_path):
    inspection = inspect_store(pack(tmp_path / "store", alpha=True), DataConfig())
    assert inspection.total.alpha == 3
    assert inspection.near_copies_across == [["0.mp4", "again.mp4"]]  # which is opaque
    assert inspection.thumbnails[0][2].shape == (6, 64, 64, 3)


def test_damage_in_a_store_is_a_problem(tmp_path):
    store = pack(tmp_path / "store")
    with open(tmp_path / "store" / "frames.u8", "r+b") as file:
        file.write(b"\xff\x00\xff")
    damage = inspect_store(store, DataConfig()).problems[-1]
    assert damage.source == "store"
    assert "damaged" in damage.reason


def inspected(source, label=0, split="", **changes):
    header = {"width": 64, "height": 64, "fps": 24.0, "frames": 60, "seconds": 2.5, "kind": "mp4/h264"}
    header |= {"alpha": False, "variable": False, **changes}
    return InspectedClip(Entry(Path(source), source, label, split=split), Header(**header))


def kinds(clips, classes=(), near=(), size=64):
    return {hint.kind: hint for hint in find_hints(clips, classes, near, size)}


def test_nothing_is_said_of_clips_that_are_fine():
    clips = [inspected(f"{label}/{k}", label) for label in range(2) for k in range(10)]
    assert kinds(clips, ["a", "b"]) == {}
    assert kinds([inspected("a", fps=24), *[inspected(str(k), fps=23.976) for k in range(9)]]) == {}


def test_uneven_classes_are_said_with_the_mend():
    clips = [inspected(f"{label}/{k}", label) for label, count in enumerate((10, 101)) for k in range(count)]
    hint = kinds(clips, ["a", "b"])["uneven-classes"]
    assert "101 clips of b" in hint.text
    assert "data.sampling=by_class" in hint.text
    assert kinds(clips[:-1], ["a", "b"]) == {}


def test_clips_held_out_for_tests_do_not_count_as_training():
    clips = [inspected(str(k), split="train" if k < 4 else "test") for k in range(40)]
    assert "a with 4" in kinds(clips, ["a"])["few-clips"].text
    assert "4 to train on" in kinds(clips)["few-clips"].text


def test_near_copies_differ_by_where_they_lie():
    clips = [inspected(str(k), label=k % 2, split="test" if k > 15 else "train") for k in range(40)]
    found = kinds(clips, ["a", "b"], [[0, 2, 4], [1, 6], [8, 20], [30, 32]])
    assert "5 of 16 clips to train on, in 2 groups" in found["near-copies"].text
    assert "0 and 2; 1 and 6" in found["near-copies"].text
    assert found["near-copies-across-splits"].about == ["8", "20"]
    assert found["near-copies-across-classes"].about == ["1", "6"]


def test_varying_rates_and_frames_that_are_all_wide_are_said():
    clips = [inspected(str(k), width=128, variable=k < 5) for k in range(10)]
    found = kinds(clips)
    assert "within 5 of 10 clips (0, 1, 2 and 2 more)" in found["variable-rates"].text
    assert "not square: width by height 2.00" in found["aspect-ratios"].text
    assert "mixed-rates" not in found


def test_many_classes_and_problems_are_cut_on_the_screen_and_kept_in_json(tmp_path):
    names = [f"class {k:03} \x1b[31m 日本語の長い名前" for k in range(60)]
    problems = [Problem(f"{k}.mp4", "the file is empty" if k % 3 else f"damage {k}") for k in range(90)]
    inspection = inspect_listing(Listing(tmp_path, "list", names, [], problems), DataConfig())
    text = as_text(inspection)
    assert "and 20 more classes, of 0 clips each" in text
    assert "class 039" in text
    assert "class 040" not in text
    assert "and 70 more. By reason:" in text
    assert "- 60: the file is empty" in text
    assert "and 21 more reasons" in text
    assert "\x1b" not in text
    read = json.loads(as_json(inspection))
    assert (len(read["problems"]), len(read["classes"])) == (90, 60)


def test_long_clips_are_scanned_in_bounded_memory():
    count, moves, sample = scan(np.full((1, 1, 3), time // 4, np.uint8) for time in range(1000))
    assert (count, moves) == (1000, True)
    assert 64 < len(sample) <= 128
    assert len(set(np.diff(sample[:, 0, 0, 0].astype(int)))) == 1
