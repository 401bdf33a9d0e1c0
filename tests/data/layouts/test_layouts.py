import json
import os
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dvdgan.config import DataConfig
from dvdgan.data.decode.clip import read_header
from dvdgan.data.decode.sequences import find_sequences, time_of
from dvdgan.data.errors import ClipError, DataError
from dvdgan.data.layouts.discovery import read_layout
from dvdgan.data.layouts.trees import natural
from support.clips import coded, numbers, read_clip, write_video
from support.errors import refused

posix = pytest.mark.skipif(os.name == "nt", reason="needs links and names that Windows does not allow")


def tree(root, *paths):
    """Make empty files; a path that ends in a slash is a folder, and {0..4} stands for five numbers."""
    for path in paths:
        head, brace, rest = path.partition("{")
        low, _, high = rest.partition("}")[0].partition("..")
        names = [head + str(n) + rest.partition("}")[2] for n in range(int(low), int(high) + 1)] if brace else [path]
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("/"):
                (root / name).mkdir()
            else:
                (root / name).touch()
    return root


def layout_of(source, layout="auto", pictures=False, **fields):
    return read_layout(DataConfig(source=str(source), layout=layout, **fields), pictures)


def classes_of(listing):
    """The sources of each class; all of them if there are no classes."""
    if not listing.classes:
        return [entry.source for entry in listing.entries]
    found = {name: [] for name in listing.classes}
    for entry in listing.entries:
        found[listing.classes[entry.label]].append(entry.source)
    return found


def reasons(listing):
    return {problem.source: problem.reason for problem in listing.problems}


def split_of(listing):
    return {entry.source: entry.split for entry in listing.entries}


def test_class_folders_with_clips_at_any_depth(tmp_path):
    tree(tmp_path, "dog/b.mp4", "dog/deep/a.GIF", "cat/10.webm", "cat/9.webm")
    tree(tmp_path, "cat/notes.txt", ".git/x.mp4", "cat/._9.webm")  # no clips
    listing = layout_of(tmp_path)
    assert classes_of(listing) == {"cat": ["cat/9.webm", "cat/10.webm"], "dog": ["dog/b.mp4", "dog/deep/a.GIF"]}
    assert (listing.layout, listing.root, listing.problems) == ("folders", tmp_path, [])
    assert [entry.path for entry in listing.entries] == [tmp_path / entry.source for entry in listing.entries]
    assert {(entry.split, entry.group, entry.start, entry.end) for entry in listing.entries} == {("", "", 0.0, None)}


def test_a_flat_folder_has_no_classes(tmp_path):
    tree(tmp_path, "clip10.mp4", "clip2.mp4", "empty/")
    listing = layout_of(tmp_path)
    assert (listing.layout, listing.classes, listing.problems) == ("flat", [], [])
    assert classes_of(listing) == ["clip2.mp4", "clip10.mp4"]


def test_flat_takes_clips_at_any_depth_without_classes(tmp_path):
    tree(tmp_path, "a.mp4", "dog/b.mp4", "dog/frames/{0..3}.png")
    assert classes_of(layout_of(tmp_path, "flat")) == ["a.mp4", "dog/b.mp4", "dog/frames"]


def test_names_that_differ_little_are_different_clips(tmp_path):
    paths = ["a/x.mp4", "b/x.mp4", "b/x.webm", "b/x y.mp4", "b/ü.mp4"]
    listing = layout_of(tree(tmp_path, *paths))
    assert sorted(entry.source for entry in listing.entries) == sorted(paths)


def test_what_cannot_be_used_in_class_folders_is_reported(tmp_path):
    tree(tmp_path, "cat/a.mp4", "loose.mp4", "dog/readme.txt", "frog/")
    found = reasons(layout_of(tmp_path))
    assert sorted(found) == ["dog", "frog", "loose.mp4"]


@posix
def test_links_are_followed_but_not_in_circles(tmp_path):
    root, other = tree(tmp_path / "pets", "cat/a.mp4"), tree(tmp_path / "other", "b.mp4")
    (root / "dog").symlink_to(other)
    (root / "cat" / "up").symlink_to(root)
    (root / "self").symlink_to(root / "self")
    (root / "cat" / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (root / "cat" / "gone.txt").symlink_to(tmp_path / "nowhere.txt")
    os.mkfifo(root / "cat" / "pipe.mp4")
    listing = layout_of(root)
    assert classes_of(listing) == {"cat": ["cat/a.mp4"], "dog": ["dog/b.mp4"]}
    assert reasons(listing) == {
        "self": "a broken link",
        "cat/gone.mp4": "a broken link",
        "cat/pipe.mp4": "is not a file",
    }


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that takes any bytes")
def test_names_that_are_no_text_are_reported(tmp_path):
    tree(tmp_path, "cat/a.mp4")
    os.mkdir(os.fsencode(tmp_path) + b"/d\xff")
    os.mkdir(os.fsencode(tmp_path) + b"/d\xff.2020")
    open(os.fsencode(tmp_path) + b"/cat/\xff.txt", "w").close()
    found = reasons(layout_of(tmp_path))
    assert sorted(found) == ["d\\xff", "d\\xff.2020"]
    assert all("UTF-8" in reason for reason in found.values())


def test_a_folder_that_cannot_be_read_is_reported(tmp_path, monkeypatch):
    tree(tmp_path, "cat/a.mp4", "dog/a.mp4")
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    listing = layout_of(tmp_path)
    assert (listing.classes, reasons(listing)) == (["cat"], {"dog": "the folder cannot be read (Permission denied)"})


def test_train_and_test_folders_are_parts_and_not_classes(tmp_path):
    tree(tmp_path, "train/dog/a.mp4", "train/cat/a.mp4", "Test/dog/b.mp4", "Test/cow/", "notes/x.txt", "extra/z.mp4")
    listing = layout_of(tmp_path)
    assert classes_of(listing) == {"cat": ["train/cat/a.mp4"], "dog": ["Test/dog/b.mp4", "train/dog/a.mp4"]}
    assert split_of(listing) == {"train/cat/a.mp4": "train", "train/dog/a.mp4": "train", "Test/dog/b.mp4": "test"}
    assert sorted(reasons(listing)) == ["Test/cow", "extra/z.mp4"]


def test_parts_need_no_classes_and_one_part_is_enough(tmp_path):
    assert split_of(layout_of(tree(tmp_path / "one", "test/a.mp4"))) == {"test/a.mp4": "test"}
    two = layout_of(tree(tmp_path / "two", "training/a.mp4", "val/b.mp4"))
    assert (two.classes, split_of(two)) == ([], {"training/a.mp4": "train", "val/b.mp4": "test"})
    vehicles = layout_of(tree(tmp_path / "vehicles", "train/a.mp4", "bus/b.mp4"))
    assert (vehicles.classes, {*split_of(vehicles).values()}) == (["bus", "train"], {""})


def test_validation_is_left_out_where_there_is_a_test_part(tmp_path):
    tree(tmp_path, "train/dog/a.mp4", "validation/dog/{0..4}.mp4", "test/dog/c.mp4")
    listing = layout_of(tmp_path)
    assert sorted(split_of(listing)) == ["test/dog/c.mp4", "train/dog/a.mp4"]
    assert len(listing.problems) == 1
    assert "5 validation clips" in listing.problems[0].reason


def test_folders_of_numbered_stills_are_clips(tmp_path):
    frames = ("clip1/{0..3}.png", "clip2/f{1..9}.jpg", "clip10/frame_{5..7}.jpeg")
    flat = layout_of(tree(tmp_path / "flat", *frames))
    assert (flat.layout, classes_of(flat)) == ("frames", ["clip1", "clip2", "clip10"])
    assert flat.entries[0].path == tmp_path / "flat" / "clip1"
    classes = layout_of(
        tree(tmp_path / "classes", *(f"dog/{path}" for path in frames), "dog/a.mp4", "cat/x/{0..1}.bmp")
    )
    assert classes_of(classes) == {"cat": ["cat/x"], "dog": ["dog/a.mp4", "dog/clip1", "dog/clip2", "dog/clip10"]}
    assert classes.layout == "folders"


def test_bair_has_parts_and_no_classes(tmp_path):
    near = layout_of(tree(tmp_path / "near", "train/traj_0/{0..3}.png", "test/traj_0/{0..3}.png"))
    assert split_of(near) == {"test/traj_0": "test", "train/traj_0": "train"}
    sharded = (
        "train/traj_0_to_255/0/{0..3}.png",
        "train/traj_256_to_511/1/{0..3}.png",
        "test/traj_0_to_255/7/{0..3}.png",
    )
    far = layout_of(tree(tmp_path / "far", *sharded))
    assert (far.layout, far.classes, len(far.entries)) == ("frames", [], 3)


def test_pictures_of_a_class_are_not_frames(tmp_path):
    """Depth one below the root is ambiguous: only where all such folders are sequences are they clips."""
    tree(tmp_path / "photos", "dog/beach.jpg", "dog/snow.jpg", "cat/n02_{7..8}.jpeg", "cat/n02_99.jpeg")
    photos = classes_of(layout_of(tmp_path / "photos"))
    assert {name: len(paths) for name, paths in photos.items()} == {"cat": 3, "dog": 2}
    tree(tmp_path / "mixed", "dog/{0..3}.png", "cat/a.mp4", "cat/frames/{0..3}.png")
    mixed = classes_of(layout_of(tmp_path / "mixed"))
    assert mixed == {"cat": ["cat/a.mp4", "cat/frames"], "dog": [f"dog/{n}.png" for n in range(4)]}
    tree(tmp_path / "digits", "0/{0..3}.png", "1/{0..3}.png")
    assert classes_of(layout_of(tmp_path / "digits")) == ["0", "1"]
    for pictures in (layout_of(tmp_path / "digits", "folders"), layout_of(tmp_path / "digits", pictures=True)):
        assert classes_of(pictures) == {name: [f"{name}/{n}.png" for n in range(4)] for name in "01"}


def test_thumbnails_beside_videos_are_no_clips(tmp_path):
    tree(tmp_path, "dog/a.mp4", "dog/a.jpg", "dog/b.mp4", "dog/b.jpg")
    assert classes_of(layout_of(tmp_path)) == {"dog": ["dog/a.mp4", "dog/b.mp4"]}


def test_numbered_animations_are_clips_of_their_own(tmp_path):
    for name, flags in [("moving", 2), ("still", 0)]:
        for number in range(3):
            file = tree(tmp_path / name, f"run/{number}.webp") / "run" / f"{number}.webp"
            file.write_bytes(b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0" + bytes([flags]) + bytes(9))
    assert classes_of(layout_of(tmp_path / "moving")) == {"run": ["run/0.webp", "run/1.webp", "run/2.webp"]}
    assert classes_of(layout_of(tmp_path / "still")) == ["run"]


def test_what_a_sequence_of_frames_is():
    for names in (
        ["0.png", "1.png"],
        ["f_08.jpg", "f_09.JPG", "f_10.jpg"],
        ["0.png", "10.png", "20.png"],
        ["1.bmp", "2.bmp", "5.bmp"],
    ):
        sequences, rest = find_sequences(names)
        assert [sorted(sequence.names) for sequence in sequences] == [sorted(names)], names
        assert rest == []
    for names in (
        ["0.png"],
        ["0.png", "1.jpg"],
        ["a0.png", "b1.png"],
        ["1.png", "2.png", "90.png"],
        ["a.png", "b.png"],
        ["0.png", "1.mp4"],
        ["1.png", "01.png"],
    ):
        sequences, rest = find_sequences(names)
        assert not any(len(sequence.names) == len(names) for sequence in sequences), names


def test_frames_takes_any_numbered_stills_and_nothing_else(tmp_path):
    tree(tmp_path, "dog/one/a7.png", "dog/one/b900.jpg", "dog/two/1.png", "dog/film.mp4", "cat/three/{0..1}.png")
    listing = layout_of(tmp_path, "frames")
    assert classes_of(listing) == {"cat": ["cat/three"], "dog": ["dog/one"]}
    assert sorted(reasons(listing)) == ["dog/film.mp4", "dog/two/1.png"]


@given(st.lists(st.integers(0, 10**6), unique=True), st.sampled_from(["", "clip", "a/b_"]), st.integers(0, 7))
def test_the_natural_order_is_that_of_numbers(numbers, before, digits):
    names = [f"{before}{number:0{digits}}.mp4" for number in numbers]
    assert sorted(names, key=natural) == [name for _, name in sorted(zip(numbers, names))]


def listed(root, text, name="clips.csv"):
    (root / name).write_text(text, encoding="utf-8")
    return root / name


def test_a_list_gives_labels_times_splits_and_groups(tmp_path):
    tree(tmp_path, "a.mp4", "deep/b c.mp4", "frames/{0..1}.png")
    file = listed(
        tmp_path,
        "Path,label,start,end,split,group,note\na.mp4,run,1.5,4,train,g1,\n"
        '"deep/b c.mp4",jump,,1:02.5,test,g2,x\nframes,run,0:00:01,,,,\n\n',
    )
    found_there = [layout_of(tmp_path), layout_of(tmp_path, "list"), layout_of(tmp_path, list_file=str(file))]
    for listing in (layout_of(file), *found_there):
        assert (listing.layout, listing.classes) == ("list", ["jump", "run"])
        assert (listing.problems, listing.root) == ([], tmp_path)
        found = [(e.source, e.label, e.start, e.end, e.split, e.group) for e in listing.entries]
        assert found == [
            ("a.mp4#t=1.5-4", 1, 1.5, 4.0, "train", "g1"),
            ("deep/b c.mp4#t=0-62.5", 0, 0.0, 62.5, "test", "g2"),
            ("frames#t=1-", 1, 1.0, None, "", ""),
        ]
        assert listing.entries[1].path == tmp_path / "deep" / "b c.mp4"


def test_lists_of_many_kinds_say_the_same(tmp_path):
    tree(tmp_path, "a.mp4", "b.mp4")
    kinds = {
        "bom.csv": "\ufeffpath,label\r\na.mp4,2\r\nb.mp4,10\r\n",
        "semicolon.csv": '"path";"label"\n"a.mp4";2\n"b.mp4";10\n',
        "tab.tsv": "label\tpath\n2\ta.mp4\n10\tb.mp4\n",
        "lines.jsonl": '{"path": "a.mp4", "label": 2}\n\n{"label": "10", "path": "b.mp4", "end": null}\n',
    }
    for name, text in kinds.items():
        listing = layout_of(listed(tmp_path, text, name))
        assert listing.classes == ["2", "10"], name  # as numbers
        assert [(entry.source, entry.label) for entry in listing.entries] == [("a.mp4", 0), ("b.mp4", 1)], name
    only = layout_of(listed(tmp_path, "path\na.mp4\n"))
    assert (only.classes, [entry.label for entry in only.entries]) == ([], [0])


def test_paths_are_relative_to_the_folder_or_to_the_list(tmp_path):
    root, lists = tree(tmp_path / "clips", "a.mp4", "both.mp4"), tree(tmp_path / "lists", "b.mp4", "both.mp4")
    file = listed(lists, f"path\na.mp4\nb.mp4\nboth.mp4\n{root / '..' / 'clips' / 'a.mp4'}\n")
    listing = layout_of(root, list_file=str(file))
    assert [entry.source for entry in listing.entries] == ["a.mp4", (lists / "b.mp4").as_posix(), "both.mp4"]
    assert [entry.path for entry in listing.entries][2] == root / "both.mp4"
    assert list(reasons(listing).values()) == ["clips.csv:5: path: the same clip as in clips.csv:2"]


@posix
def test_paths_from_other_systems_are_found(tmp_path):
    decomposed = unicodedata.normalize("NFD", "café.mp4")
    tree(tmp_path, "dog/a.mp4", decomposed)
    listing = layout_of(listed(tmp_path, "path\ndog\\a.mp4\n" + unicodedata.normalize("NFC", "café.mp4") + "\n"))
    assert [entry.source for entry in listing.entries] == ["dog/a.mp4", decomposed]


def test_pieces_of_one_file_are_one_group(tmp_path):
    tree(tmp_path, "a.mp4", "b.mp4")
    listing = layout_of(listed(tmp_path, "path,start,end,group\na.mp4,0,2,\na.mp4,2,4,\nb.mp4,1,2,\na.mp4,5,6,own\n"))
    assert [entry.group for entry in listing.entries] == ["a.mp4", "a.mp4", "", "own"]


def test_rows_that_cannot_be_used_name_line_and_field(tmp_path):
    tree(tmp_path, "a.mp4", "b.mp4")
    rows = {
        "a.mp4,run,,,": None,
        "a.mp4,jump,,,": r"clips.csv:3: path: the same clip as in clips.csv:2 with the label run, which it keeps",
        "gone.mp4,run,,,": "clips.csv:4: path: no such file",
        "b.mp4,run,4,3.5,": "clips.csv:5: end: 3.5 is not after the start, 4",
        "b.mp4,run,soon,,": "clips.csv:6: start: 'soon' is neither seconds nor H:MM:SS",
        "b.mp4,run,-1,,": "clips.csv:7: start: '-1' is neither",
        "b.mp4,run,,,maybe": "clips.csv:8: split: 'maybe' is neither train nor test",
        "b.mp4,,,,": "clips.csv:9: label: is empty",
        ",run,,,": "clips.csv:10: path: is empty",
        "b.mp4,run,,,,x": "clips.csv:11: has 6 fields, but the header has 5",
        '"b.mp4': "clips.csv:12: is not CSV",
    }
    listing = layout_of(listed(tmp_path, "path,label,start,end,split\n" + "\n".join(rows)))
    assert [entry.source for entry in listing.entries] == ["a.mp4"]
    expected = [reason for reason in rows.values() if reason]
    found = sorted((problem.reason for problem in listing.problems), key=natural)
    assert len(found) == len(expected)
    assert all(reason.startswith(start) for reason, start in zip(found, expected)), found


def test_numbers_without_measure_in_a_list(tmp_path):
    """Times that no float holds and labels that no int takes are one line, or text."""
    tree(tmp_path, "a.mp4", "b.mp4")
    long = "9" * 5000
    times = [("", "9" * 300), ("9" * 300, ""), ("", long), (f"{long}:00", "")]
    rows = [f"{'b' if number else 'a'}.mp4,{long},{start},{end}" for number, (start, end) in enumerate(times)]
    listing = layout_of(listed(tmp_path, "\n".join(["path,label,start,end", *rows, "b.mp4,2,,"])))
    assert listing.classes == ["2", long]
    starts = ("clips.csv:3: start: '999", "clips.csv:4: end: '999", "clips.csv:5: start: '999")
    found = sorted(problem.reason for problem in listing.problems)
    assert len(found) == 3
    assert all(reason.startswith(start) and len(reason) < 300 for reason, start in zip(found, starts)), found


def test_json_lines_that_cannot_be_used_name_line_and_field(tmp_path):
    tree(tmp_path, "a.mp4", "b.mp4")
    lines = [
        '{"path": "a.mp4", "start": 1e-2}',
        "[1]",
        "{",
        '{"path": ["b.mp4"]}',
        '{"label": "x"}',
        '{"path": "b.mp4", "end": NaN}',
    ]
    listing = layout_of(listed(tmp_path, "\n".join(lines), "list.jsonl"))
    assert [entry.source for entry in listing.entries] == ["a.mp4#t=0.01-"]
    places = sorted(problem.reason.split(" is ")[0] for problem in listing.problems)
    assert places == ["list.jsonl:2:", "list.jsonl:3:", "list.jsonl:4: path:", "list.jsonl:5: path:", "list.jsonl:6:"]


def test_lists_that_are_none_are_one_line(tmp_path):
    tree(tmp_path, "a.mp4", "film.mkv")
    (tmp_path / "latin.csv").write_bytes(b"path,label\na.mp4,caf\xe9\n")
    wrong = {
        listed(tmp_path, "file,label\na.mp4,x\n", "typo.csv"): r"typo\.csv:1: .*path; .*file, label",
        listed(tmp_path, "", "empty.csv"): r"empty\.csv:1",
        listed(tmp_path, "path\ngone.mp4\n", "gone.csv"): r"gone\.csv:2: path",
        tmp_path / "latin.csv": r"latin\.csv:2",
        tmp_path / "film.mkv": "film.mkv",
        tmp_path / "nowhere": "nowhere",
    }
    for path, message in wrong.items():
        with refused(DataError, message):
            layout_of(path)
    with pytest.raises(DataError, match=r"nothing\.csv: .*data\.list_file"):
        layout_of(tmp_path, list_file=str(tmp_path / "nothing.csv"))


def ucf101(root):
    names = [
        "Walk/v_Walk_g01_c01",
        "Walk/v_Walk_g01_c02",
        "Walk/v_Walk_g02_c01",
        "Bow/v_bow_g01_c01",
        "Surf/v_Surf_g01_c01",
    ]
    tree(
        root,
        *(f"UCF-101/{name}.avi" for name in names[:3]),
        "UCF-101/Bow/v_Bow_g01_c01/{1..3}.jpg",
        "UCF-101/Walk/v_Walk_g09_c01.avi",
    )
    (root / "ucfTrainTestlist").mkdir()
    texts = {
        "classInd.txt": "1 Walk\r\n2 Bow\r\n3 Surf\r\n",
        "trainlist01.txt": "".join(f"{name}.avi 1\r\n" for name in (*names[:2], names[4])),
        "testlist01.txt": "".join(f"{name}.avi\r\n" for name in (*names[2:4], "Walk/v_Walk_g07_c07")),
        "trainlist02.txt": "".join(f"{name}.avi 1\r\n" for name in names[2:4]),
        "testlist02.txt": f"{names[0]}.avi\r\nRun/v_Run_g01_c01.avi\r\n{names[2]}.avi\r\n",
    }
    for name, text in texts.items():
        (root / "ucfTrainTestlist" / name).write_text(text)
    return root


def test_ucf101_has_its_official_splits_labels_and_groups(tmp_path):
    ucf101(tmp_path)
    listing = layout_of(tmp_path)
    assert (listing.layout, listing.classes) == ("ucf101", ["Walk", "Bow"])  # the order of classInd.txt
    assert [(entry.source, entry.label, entry.split, entry.group) for entry in listing.entries] == [
        ("UCF-101/Walk/v_Walk_g01_c01.avi", 0, "train", "Walk_g01"),
        ("UCF-101/Walk/v_Walk_g01_c02.avi", 0, "train", "Walk_g01"),
        ("UCF-101/Walk/v_Walk_g02_c01.avi", 0, "test", "Walk_g02"),
        ("UCF-101/Bow/v_Bow_g01_c01", 1, "test", "Bow_g01"),
    ]
    found = reasons(listing)
    assert "not in the lists of fold 1" in found["UCF-101/Walk/v_Walk_g09_c01.avi"]
    assert found["Walk/v_Walk_g07_c07.avi"] == "is listed, but not there"
    assert "none of its 1 listed clips" in found["Surf"]
    assert len(found) == 3


def test_ucf101_folds_and_places_of_the_lists(tmp_path):
    ucf101(tmp_path)
    second = layout_of(tmp_path / "UCF-101", fold=2)  # lists lie beside it
    assert split_of(second) == {
        "Walk/v_Walk_g01_c01.avi": "test",
        "Walk/v_Walk_g02_c01.avi": "train",
        "Bow/v_Bow_g01_c01": "train",
    }
    assert "no class of classInd.txt" in reasons(second)["Run/v_Run_g01_c01.avi"]
    assert "listed twice" in reasons(second)["Walk/v_Walk_g02_c01.avi"]
    os.rename(tmp_path / "ucfTrainTestlist", tmp_path / "lists")
    named = layout_of(tmp_path / "UCF-101", list_file=str(tmp_path / "lists"))
    assert (named.layout, len(named.entries)) == ("ucf101", 4)
    assert layout_of(tmp_path / "UCF-101").layout == "folders"
    with pytest.raises(DataError, match=r"trainlist03\.txt: cannot be read .* data\.fold"):
        layout_of(tmp_path / "UCF-101", list_file=str(tmp_path / "lists"), fold=3)
    with pytest.raises(DataError, match=r"data\.list_file"):
        layout_of(tmp_path / "UCF-101", "ucf101")


def test_lists_of_ucf101_beside_another_source_are_not_its_own(tmp_path):
    ucf101(tmp_path)
    tree(tmp_path / "pets", "dog/a.mp4")
    assert classes_of(layout_of(tmp_path / "pets")) == {"dog": ["dog/a.mp4"]}


HEAD = "label,youtube_id,time_start,time_end,split\n"


def test_kinetics_finds_clips_by_their_usual_names(tmp_path):
    a, b, c, d = "a" * 11, "_b-" + "b" * 8, "c" * 11, "d" * 11
    tree(
        tmp_path,
        f"train/ski/{a}_000001_000011.mp4",
        f"anywhere/{b}_000120_000130.webm",
        f"{c}.mkv",
        f"old/{d}_000000_000010.mp4",
        f"replacement_for_corrupted/{d}_000000_000010.mp4",
        "train/x_000000_000010.mp4",
    )
    listed(
        tmp_path,
        HEAD + f"ski,{a},1,11,train\nride a bike,{b},120,130,train\nski,gone1,1,11,train\nski,gone2,1,11,train\n",
        "train.csv",
    )
    listed(tmp_path, HEAD + f"ski,{c},2,12,validate\nski,{d},0,10,validate\nski,{c},x,12,validate\n", "validate.csv")
    listed(tmp_path, "youtube_id,time_start,time_end,label\nnever,0,10,\n", "test.csv")
    listing = layout_of(tmp_path)
    assert (listing.layout, listing.classes) == ("kinetics", ["ride a bike", "ski"])
    assert [(entry.source, entry.label, entry.split, entry.group) for entry in listing.entries] == [
        (f"anywhere/{b}_000120_000130.webm", 0, "train", b),
        (f"{c}.mkv#t=2-12", 1, "test", c),
        (f"replacement_for_corrupted/{d}_000000_000010.mp4", 1, "test", d),
        (f"train/ski/{a}_000001_000011.mp4", 1, "train", a),
    ]
    assert (listing.entries[1].start, listing.entries[1].end) == (2.0, 12.0)
    found = list(reasons(listing).values())
    assert any(
        "2 clips are listed, but not there; the first is train.csv:4: gone1_000001_000011" in reason for reason in found
    )
    assert any("1 clips are without a label" in reason for reason in found)
    assert any("2 clips are in no list" in reason for reason in found)
    assert any("validate.csv:4: time_start: 'x'" in reason for reason in found)
    assert len(found) == 4


def test_kinetics_leaves_validation_out_beside_a_labelled_test_part(tmp_path):
    tree(tmp_path / "clips", *(f"{name}_000000_000010.mp4" for name in "abc"))
    file = listed(tmp_path, HEAD + "ski,a,0,10,train\nski,b,0,10,val\nski,c,0,10,test\n", "k.csv")
    for layout in ("auto", "kinetics"):
        listing = layout_of(tmp_path / "clips", layout, list_file=str(file))
        assert [(entry.group, entry.split) for entry in listing.entries] == [("a", "train"), ("c", "test")]
        assert "validation" in reasons(listing)["b_000000_000010.mp4"]
    with pytest.raises(DataError, match=r"youtube_id.*data\.list_file"):
        layout_of(tmp_path / "clips", "kinetics")


def test_a_folder_in_a_folder_is_no_class(tmp_path):
    """An archive's own folder: in/UCF-101/Archery/…"""
    tree(tmp_path, "UCF-101/Archery/{1..3}.avi", "UCF-101/Biking/{1..3}.avi", "UCF-101/read.me", "notes/x.txt")
    listing = layout_of(tmp_path)
    assert (listing.layout, listing.classes) == ("folders", ["Archery", "Biking"])
    assert any("in UCF-101 (Archery, Biking); data.class_depth=1" in note for note in listing.notes)
    assert layout_of(tmp_path, class_depth=1).classes == ["UCF-101"]
    deeper = layout_of(tree(tmp_path / "deeper", "a/b/train/run/{1..2}.avi", "a/b/test/run/3.avi", "a/b/train/x/1.avi"))
    assert (deeper.classes, {*split_of(deeper).values()}) == (["run", "x"], {"train", "test"})
    twice = layout_of(tree(tmp_path / "twice", "train/train/run/0.mp4", "train/train/x/0.mp4", "test/test/run/1.mp4"))
    assert (twice.classes, twice.problems) == (["run", "x"], [])
    assert list(split_of(twice).values()) == ["test", "train", "train"]
    vehicles = layout_of(tree(tmp_path / "vehicles", "train/train/0.mp4", "train/bus/0.mp4", "test/train/1.mp4"))
    assert vehicles.classes == ["bus", "train"]
    single = layout_of(tree(tmp_path / "single", "run/0.mp4"))
    assert (single.classes, single.notes) == (["run"], [])


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (["train_part1", "train_part2"], ["test"]),
        (["train_1", "train_2"], ["test_1"]),
        (["train"], ["test1"]),
        (["trainset"], ["testset"]),
        (["TrainVideos"], ["TestVideos"]),
        (["Train"], ["Eval"]),
        (["train"], ["dev"]),
    ],
)
def test_parts_have_many_names(tmp_path, train, test):
    tree(tmp_path, *(f"{part}/{title}/a.mp4" for part in (*train, *test) for title in ("cat", "dog")))
    listing = layout_of(tmp_path)
    assert listing.classes == ["cat", "dog"]
    assert {name.split("/")[0] for name, split in split_of(listing).items() if split == "train"} == set(train)
    assert {name.split("/")[0] for name, split in split_of(listing).items() if split == "test"} == set(test)


@pytest.mark.parametrize(
    "names", [("trainer", "tester"), ("TRAINER", "TESTAMENT"), ("training day", "bus"), ("devil", "train")]
)
def test_classes_that_begin_like_parts_are_classes(tmp_path, names):
    listing = layout_of(tree(tmp_path, *(f"{name}/a.mp4" for name in names)))
    assert (listing.classes, {*split_of(listing).values()}) == (sorted(names), {""})


@pytest.mark.parametrize("names", [("sky_train", "sky_test"), ("train", "test"), ("TrainVideos", "Train"), ("a", "b")])
def test_source_videos_are_groups_and_no_classes(tmp_path, names):
    """Sky Timelapse: part / source video / piece / frames."""
    parts = names if names[1] != "Train" else ("train_videos", "val_videos")
    for part, videos in zip(parts, (("07sLzFGbWjs", "0kz1Y3-CjGU", "1B8aVmU4QkM"), ("3uKpsWNeWtI", "4-R9ZYrZ9nk"))):
        for video in videos:
            tree(tmp_path, *(f"{part}/{video}/{video}_{k}/{video}_frames_{{10..25}}.jpg" for k in (1, 2)))
    listing = layout_of(tmp_path)
    assert (listing.layout, len(listing.entries)) == ("frames", 10)
    if names == ("a", "b"):  # no parts: YouTube's names, in classes a and b
        assert listing.classes == ["a", "b"]
        return
    assert (listing.classes, listing.problems) == ([], [])
    assert {entry.split for entry in listing.entries} == {"train", "test"}
    assert len({entry.group for entry in listing.entries}) == 5
    assert any("data.parts=false" in note for note in listing.notes)
    assert any("data.class_depth=1" in note for note in listing.notes)
    assert len(layout_of(tmp_path, class_depth=1).classes) == 5
    assert layout_of(tmp_path, parts=False).classes == sorted(parts)


def test_folders_named_as_videos_of_youtube_are_no_classes(tmp_path):
    ids = ("07sLzFGbWjs", "0kz1Y3-CjGU")
    listing = layout_of(tree(tmp_path, *(f"{name}/{name}_{{1..3}}.mp4" for name in ids)))
    assert (listing.classes, {entry.group for entry in listing.entries}) == ([], set(ids))
    assert "data.class_depth=1 makes them classes" in listing.notes[0]


def test_parts_below_classes_are_parts(tmp_path):
    tree(tmp_path, "boxing/train/{0..3}.mp4", "boxing/test/{4..5}.mp4", "running/train/{0..3}.mp4", "running/loose.mp4")
    listing = layout_of(tmp_path)
    assert listing.classes == ["boxing", "running"]
    assert {source: part for source, part in split_of(listing).items() if part == "test"} == {
        "boxing/test/4.mp4": "test",
        "boxing/test/5.mp4": "test",
    }
    assert list(reasons(listing)) == ["running/loose.mp4"]
    assert layout_of(tmp_path, parts=False).notes == []


@pytest.mark.parametrize(
    ("names", "clips"),
    [
        (["frame-{0..15}.color.png", "frame-{0..15}.depth.png", "frame-{0..15}.pose.txt"], ["s"]),
        (["img_{10..25}.jpg", "flow_x_{10..25}.jpg", "flow_y_{10..25}.jpg"], ["s"]),
        (["{10..25}.png", "thumb.jpg", "preview.mp4", "times.txt"], ["s"]),
        (["{1..12}_leftImg8bit.png"], ["s"]),
        (
            ["a_000000_0000{10..25}_leftImg8bit.png", "a_000001_0000{10..25}_leftImg8bit.png"],
            ["s/a_000000_*_leftImg8bit.png", "s/a_000001_*_leftImg8bit.png"],
        ),
        (["walk_{10..25}.png", "run_{10..25}.png"], ["s/run_*.png", "s/walk_*.png"]),
    ],
)
def test_a_folder_of_frames_may_hold_more_than_frames(tmp_path, names, clips):
    for name in ("x", "y"):
        tree(tmp_path, *(f"{name}/s/{file}" for file in names))
    listing = layout_of(tmp_path)
    assert (listing.layout, listing.classes) == ("frames", ["x", "y"])
    assert [entry.source for entry in listing.entries] == [f"{name}/{clip}" for name in ("x", "y") for clip in clips]
    notes = "; ".join(listing.notes)
    for aside in ("depth", "flow_x_*.jpg (in 2 folders)", "thumb.jpg", "preview.mp4", ".txt"):
        assert (aside in notes) == any(aside.split(" ")[0].replace("*", "{10..25}") in file for file in names), aside
    if len(clips) > 1:
        assert {entry.group for entry in listing.entries} == {"x/s", "y/s"}
        flat = tree(tmp_path / "flat", *(f"{name}/{file}" for name in ("x", "y") for file in names))
        assert [entry.group for entry in layout_of(flat).entries] == [""] * 4  # not the group of a whole class


def test_sequences_in_the_root_are_clips(tmp_path):
    listing = layout_of(tree(tmp_path, "a_{1..20}.png", "b_{1..20}.png"))
    assert (listing.layout, classes_of(listing)) == ("frames", ["a_*.png", "b_*.png"])


def test_folders_of_flow_beside_pictures_are_left_out(tmp_path):
    tree(
        tmp_path,
        *(f"{clip}/{kind}/{{10..25}}.jpg" for clip in ("run/a", "jump/b") for kind in ("rgb", "flow_x", "mask")),
    )
    listing = layout_of(tmp_path)
    assert [entry.source for entry in listing.entries] == ["jump/b/rgb", "run/a/rgb"]
    assert any("flow_x (in 2 folders), mask (in 2 folders)" in note for note in listing.notes)
    within = layout_of(
        tree(tmp_path / "within", "run/a/{10..25}.png", "run/a/masks/{10..25}.png", "run/b/{10..25}.png")
    )
    assert [entry.source for entry in within.entries] == ["run/a", "run/b"]
    beside = layout_of(tree(tmp_path / "beside", "run/a/{10..25}.png", "run/a_depth/{10..25}.png", "run/c/{1..9}.png"))
    assert [entry.source for entry in beside.entries] == ["run/a", "run/c"]
    assert any("a_depth" in note for note in beside.notes)
    films = layout_of(tree(tmp_path / "films", "run/a.mp4", "run/thumbnails/{10..25}.png", "jump/{10..25}/mask.mp4"))
    assert "run/thumbnails" not in [entry.source for entry in films.entries]
    alone = layout_of(tree(tmp_path / "alone", "run/mask/{10..25}.png", "run/depth/{10..25}.png"))
    assert len(alone.entries) == 2
    kinds = layout_of(tree(tmp_path / "kinds", "flow/a/{10..25}.jpg", "mask/a/{10..25}.jpg"))
    assert kinds.classes == ["flow", "mask"]


@pytest.mark.parametrize(
    ("paths", "sources", "aside"),
    [
        (["{}/run/a/{{10..25}}.jpg", "{}/jump/b/{{10..25}}.jpg"], ["rgb/jump/b", "rgb/run/a"], "flow, mask"),
        (["{}/run/a.mp4", "{}/jump/b.mp4"], ["rgb/jump/b.mp4", "rgb/run/a.mp4"], "flow, mask"),
        (
            ["train/{}/run/a/{{10..25}}.jpg", "test/{}/run/b/{{10..25}}.jpg"],
            ["test/rgb/run/b", "train/rgb/run/a"],
            "flow (in 2 folders), mask (in 2 folders)",
        ),
        (["{}/{{10..25}}.jpg"], ["rgb"], "flow, mask"),
    ],
)
def test_flow_above_the_classes_is_left_out(tmp_path, paths, sources, aside):
    tree(tmp_path, *(path.format(kind) for path in paths for kind in ("rgb", "flow", "mask")))
    listing = layout_of(tmp_path)
    assert [entry.source for entry in listing.entries] == sources
    assert set(listing.classes) <= {"jump", "run"}
    assert sum(f"left out beside the folders of pictures: {aside}; to read" in note for note in listing.notes) == 1


def test_flow_beside_pictures_may_have_names_and_levels_of_its_own(tmp_path):
    clips = [f"{name}/{{10..25}}" for name in ("bear", "camel")]
    tree(tmp_path / "davis", *(f"JPEGImages/480p/{clip}.jpg" for clip in clips))
    tree(tmp_path / "davis", *(f"Annotations/480p/{clip}.png" for clip in clips))
    tree(tmp_path / "tvl1", *(f"{kind}/{clip}.jpg" for kind in ("rgb_frames", "flow/u", "flow/v") for clip in clips))
    for name, kept in (("davis", "JPEGImages/480p"), ("tvl1", "rgb_frames")):
        entries = layout_of(tmp_path / name).entries
        assert [entry.source for entry in entries] == [f"{kept}/bear", f"{kept}/camel"]


def test_classes_named_as_modalities_stay_where_their_clips_are_others(tmp_path):
    tree(tmp_path, "images/a/{10..25}.jpg", "flow/b/{10..25}.jpg", "depth/c/{10..25}.jpg")
    assert layout_of(tmp_path).classes == ["depth", "flow", "images"]


STAMPS = [
    ["1611111111.123", "1611111111.5", "1611111111.891", "1611111112.303"],
    ["1403636579763555584", "1403636579813555456", "1403636579963555584"],
    ["1611111111_900", "1611111112_100"],
    ["2024-01-01_11-59-58", "2024-01-01_11-59-59", "2024-01-01_12-00-00", "2024-01-01_12-00-02"],
    ["20240229T235959Z", "20240301T000001Z"],
    ["2023.12.31 23.59.59.75", "2024.01.01 00.00.00.25", "2024.01.01 00.00.00.50"],
    ["2023-12-30", "2023-12-31", "2024-01-01", "2024-01-03"],
    ["9-59-59.900", "10-00-00.000", "10-00-00.100"],
]


@pytest.mark.parametrize("stamps", STAMPS)
@pytest.mark.parametrize("layout", ["auto", "frames"])
def test_stills_named_by_their_times_are_frames_in_order_of_time(tmp_path, stamps, layout):
    for name in ("x/s", "y/s"):
        (tmp_path / name).mkdir(parents=True)
        for number, stamp in reversed([*enumerate(stamps)]):
            Image.fromarray(coded(number)).save(tmp_path / name / f"{stamp}.png")
    listing = layout_of(tmp_path, layout)
    assert classes_of(listing) == {"x": ["x/s"], "y": ["y/s"]}
    assert numbers(read_clip(listing.entries[0].path)[0]) == list(range(len(stamps)))
    (tmp_path / "x" / "s" / "thumb.png").touch()  # now the frames are known by their common name
    if len(stamps) > 2:
        assert numbers(read_clip(layout_of(tmp_path).entries[0].path)[0]) == list(range(len(stamps)))


def test_photos_named_by_their_times_are_no_frames(tmp_path):
    days = ("2021-07-03 15.04.22", "2021-07-03 15.04.25", "2021-07-03 15.04.27", "2021-09-30 08.00.00")
    tree(tmp_path, *(f"{name}/{day}.jpg" for name in ("x", "y") for day in days))
    assert {len(sources) for sources in classes_of(layout_of(tmp_path)).values()} == {4}
    assert time_of("2024-13-01") is time_of("12-61-00.5") is time_of("20241") is time_of("frame") is None
    sequences, _ = find_sequences(["20001230.png", "20001231.png", "20001232.png"])  # a counter, for all that
    assert sequences[0].numbers == (20001230, 20001231, 20001232)


def test_frames_can_be_read_by_their_common_name(tmp_path):
    (tmp_path / "s").mkdir()
    for number in range(12):
        Image.fromarray(coded(number)).save(tmp_path / "s" / f"a_{number:03}_leftImg8bit.png")
        Image.fromarray(coded(99)).save(tmp_path / "s" / f"flow_{number:03}.png")
    listing = layout_of(listed(tmp_path, "path,label\ns,x\ns/flow_*.png,y\n"))
    assert [numbers(read_clip(entry.path)[0]) for entry in listing.entries] == [list(range(12)), [99] * 12]


def test_files_are_known_by_what_they_hold_and_what_is_left_out_is_named(tmp_path):
    film = write_video(tmp_path / "film.mp4", 24).read_bytes()
    for name in ("a/dQw4w9WgXcQ", "a/1.qt", "a/2.mp4.1", "b/3.divx"):
        (tmp_path / "clips" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "clips" / name).write_bytes(film)
    codecs = {"4.ts": "libx264", "5.mpg": "mpeg2video", "6.wmv": "wmv2", "7.flv": "flv", "8.avi": "mpeg4"}
    for name, codec in codecs.items():
        write_video(tmp_path / name, 24, 25, codec).rename(tmp_path / "clips" / "b" / f"{name}.download")
    write_video(tmp_path / "clips" / "b" / "9.h264", 24)
    tree(tmp_path / "clips", "a/readme", "a/x.txt", "b/y.txt", "b/.hidden")
    (tmp_path / "clips" / "a" / "words").write_text("no clip at all " * 100)
    listing = layout_of(tmp_path / "clips")
    assert (listing.classes, len(listing.entries), listing.problems) == (["a", "b"], 10, [])
    for entry in listing.entries:
        assert numbers(read_clip(entry.path)[0]) == list(range(24)), entry.source
        assert read_header(entry.path).frames == 24, entry.source
    assert listing.notes == [
        "left out 4 files that are no clips: without a suffix: 2 (a/readme, a/words); .txt: 2 (a/x.txt, b/y.txt)"
    ]


def test_stills_of_microscopes_are_frames(tmp_path):
    for cell in ("cell0", "cell1"):
        (tmp_path / cell).mkdir()
        for number in range(12):
            Image.fromarray(coded(number)).save(tmp_path / cell / f"t{number:03}.tif")
    listing = layout_of(tmp_path)
    assert numbers(read_clip(listing.entries[0].path)[0]) == list(range(12))
    Image.fromarray(coded(0)).save(tmp_path / "stack.tif", save_all=True, append_images=[Image.fromarray(coded(1))])
    with refused(ClipError):
        read_clip(tmp_path / "stack.tif")


ROWS = [{"path": f"{k}.mp4", "label": ("push", "pull")[k % 2]} for k in range(4)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("clips.json", json.dumps(ROWS, indent=1)),
        ("clips.json", json.dumps(ROWS)),
        ("clips.json", json.dumps({"version": 2, "videos": ROWS}, indent=1)),
        ("clips.jsonl", "\n".join(map(json.dumps, ROWS))),
        ("x.csv", "".join(f"{row['path']} {row['label']}\n" for row in ROWS)),
        ("x.txt", "".join(f"{row['path']}\t{row['label']}\n" for row in ROWS)),
        ("x.txt", "".join(f"{row['path']} 24 {row['label']}\n" for row in ROWS)),
        ("x.csv", "".join(f"{row['path']},{row['label']}\n" for row in ROWS)),
        ("x.csv", "sep=;\npath;label\n" + "".join(f"{row['path']};{row['label']}\n" for row in ROWS)),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
def test_lists_as_people_have_them(tmp_path, name, content, encoding):
    tree(tmp_path, "{0..3}.mp4")
    (tmp_path / name).write_bytes(content.encode(encoding))
    listing = layout_of(tmp_path / name)
    assert (listing.layout, listing.classes, listing.problems) == ("list", ["pull", "push"], [])
    assert [(entry.source, entry.label) for entry in listing.entries] == [(f"{k}.mp4", 1 - k % 2) for k in range(4)]
    assert len(listing.notes) == (name[0] == "x" and "sep" not in content)


@pytest.mark.parametrize("name", ["x.csv", "x.txt"])
def test_the_first_file_of_a_list_without_a_header_may_be_gone(tmp_path, name):
    tree(tmp_path, "{1..3}.mp4")
    separator = "," if name == "x.csv" else " "
    rows = [f"{clip}.mp4{separator}run" for clip in ("Gone", 1, 2, 3)]
    listing = layout_of(listed(tmp_path, "\n".join(rows), name))
    assert classes_of(listing) == {"run": ["1.mp4", "2.mp4", "3.mp4"]}
    assert reasons(listing) == {"Gone.mp4": f"{name}:1: path: no such file"}


def test_messages_quote_little_of_a_list(tmp_path):
    tree(tmp_path, "a.mp4")
    long = "x" * 5000
    for name, text in {
        "a.json": json.dumps([{"file": long, long: 1}]),
        "b.csv": f"{long},file\n1,2\n",
        "c.txt": long,
        "d.csv": f"path,start,split,end\na.mp4,{long},,\na.mp4,,{long},\na.mp4,,,{long}\n{long},,,\n",
    }.items():
        with pytest.raises(DataError) as caught:
            layout_of(listed(tmp_path, text, name))
        assert len(str(caught.value)) < 200 + 2 * len(str(tmp_path)) + 200
        assert "\n" not in str(caught.value)
    with refused(DataError, r"b\.csv:1: .*path,label"):
        layout_of(tmp_path / "b.csv")


PATH = r"list\.csv:1: no column named path; .*"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filename,label\na.mp4,x\n", f"{PATH} filename, label; rename filename to path"),
        ("class;video\nx;a.mp4\n", f"{PATH} class, video; rename video to path"),
        ("pth,label\na.mp4,x\n", f"{PATH} pth, label; rename pth to path"),
        ("#path,label\na.mp4,x\n", f"{PATH} #path, label; rename #path to path"),
        ("Table 1,\npath,label\na.mp4,x\n", f"{PATH} table 1; rename the one that is meant to path"),
        (",label\na.mp4,x\nb.mp4,y\n", f"{PATH} label; .*field 1"),
        ("path|label\na.mp4|x\n", rf"{PATH} path\|label"),
        ('"path,label"\n"a.mp4,x"\n', f"{PATH} path,label"),
        ('"pa\nth",label\na.mp4,x\n', f"{PATH} pa th, label; rename pa th to path"),
        ("path,label,path\na.mp4,x,b.mp4\n", r"list\.csv:1: the column path is there 2 times \(fields 1, 3\); rename"),
        ("Path,path,label\na.mp4,b.mp4,x\n", r"the column path is there 2 times \(fields 1, 2\); rename all but one"),
        ("path,Label,label\na.mp4,x,y\n", r"the column label is there 2 times \(fields 2, 3\)"),
        ("q.mp4,x\nr.mp4,y\n", r"list\.csv:1: .* q\.mp4;"),
        ("A.MP4,x\na.mp4,y\nb.mp4\n", r"list\.csv:1: .* all rows have equally many fields, .* is A\.MP4;"),
        ("file,label\na.mp4,x\nb.mp4,y\n", f"{PATH} file, label; rename file to path"),
        ("path,label\n", r"list\.csv: "),
        ("", r"list\.csv:1: .*path,label"),
        ("path\na.mp4,x\n", r"list\.csv:2: "),
    ],
)
def test_headers_that_are_broken_are_named_with_file_column_and_mend(tmp_path, text, message):
    tree(tmp_path, "a.mp4", "b.mp4")
    with refused(DataError, message):
        layout_of(listed(tmp_path, text, "list.csv"))


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff\ufeffpath,label\na.mp4,x\n",
        "\u200bpath\u00a0, LABEL\na.mp4,x\n",
        "path,,label\na.mp4,1,x\n",
        ",path,label\n0,a.mp4,x\n",
        "path,label,,\na.mp4,x,,\n",
        ",,\na.mp4,x,\n",
        'path , label\n"a.mp4" , "x" \n',
        "path\0,label\na.mp4,x\n",
        "id,id,path,label\n1,1,a.mp4,x\n",
    ],
)
def test_headers_may_have_what_cannot_be_seen(tmp_path, text):
    tree(tmp_path, "a.mp4")
    listing = layout_of(listed(tmp_path, text, "list.csv"))
    assert (classes_of(listing), listing.problems) == ({"x": ["a.mp4"]}, [])


def test_a_column_that_seems_meant_is_named(tmp_path):
    tree(tmp_path, "a.mp4")
    listing = layout_of(listed(tmp_path, "path,category,strat,weight\na.mp4,x,0,1\n", "list.csv"))
    assert listing.notes == [
        "list.csv: its column category is not used; rename it to label if it is meant",
        "list.csv: its column strat is not used; rename it to start if it is meant",
    ]
    with refused(DataError, r'list\.json:1: .*path; .*file; .*\[\{"path"'):
        layout_of(listed(tmp_path, '[{"file": "a.mp4"}]', "list.json"))
    with refused(DataError, "item 1: the column path"):
        layout_of(listed(tmp_path, '[{"path": "a.mp4", "Path": "b.mp4"}]', "list.json"))


def test_a_table_that_is_no_list_stops_no_source(tmp_path):
    for kind, content in {
        "cp1252": "Nr;Name;Größe\r\n1;Jörg;1,80\r\n".encode("cp1252"),
        "utf-16": "id\tname\r\n1\tfoo\r\n".encode("utf-16"),
        "json": b'{"made": "today"}',
    }.items():
        root = tree(tmp_path / kind, "run/{0..1}.mp4", "jump/{0..1}.mp4")
        for name in ("Teilnehmer.csv", "clips.json" if kind == "json" else "clips.csv"):
            (root / name).write_bytes(content)
        listing = layout_of(root)
        assert (listing.classes, len(listing.entries)) == (["jump", "run"], 4)
        assert sum("read without it" in note for note in listing.notes) == 1
        assert sum("Teilnehmer.csv" in note for note in listing.notes) == 1


def test_something_something_is_known(tmp_path):
    tree(tmp_path, "20bn-something-something-v2/{0..5}.webm")
    for part, ids in {"train": (0, 1, 2), "validation": (3, 4, 9)}.items():
        rows = [
            {"id": str(k), "label": f"pushing {k}", "template": "Pushing [something]", "placeholders": [str(k)]}
            for k in ids
        ]
        (tmp_path / f"something-something-v2-{part}.json").write_text(json.dumps(rows))
    (tmp_path / "something-something-v2-test.json").write_text(json.dumps([{"id": "5"}]))
    (tmp_path / "something-something-v2-labels.json").write_text(json.dumps({"Pushing something": "0"}))
    listing = layout_of(tmp_path)
    assert (listing.layout, listing.classes) == ("something-something", ["Pushing something"])
    assert list(split_of(listing).values()) == ["train"] * 3 + ["test"] * 2
    assert len(listing.problems) == 2  # one is listed and not there, one is in no list with labels
    only = layout_of(tmp_path / "something-something-v2-train.json")
    assert [entry.source[-6:] for entry in only.entries] == ["0.webm", "1.webm", "2.webm"]


@posix
def test_class_names_are_compared_as_they_look(tmp_path):
    for form in ("NFC", "NFD"):
        tree(tmp_path / form, *(unicodedata.normalize(form, f"{name}/0.mp4") for name in ("Café", "Zürich")))
    assert layout_of(tmp_path / "NFC").classes == layout_of(tmp_path / "NFD").classes
    both = tree(tmp_path / "both", *(unicodedata.normalize(form, f"Café/{form}.mp4") for form in ("NFC", "NFD")))
    assert len(layout_of(tree(both, "x/0.mp4")).classes) == 2
    cases = layout_of(tree(tmp_path / "cases", "Run/0.mp4", "run/1.mp4"))
    assert cases.classes == ["Run", "run"]
    assert "classes Run and run differ in upper and lower case only" in cases.notes[0]


def test_finding_nothing_says_what_was_looked_for_and_what_to_set(tmp_path):
    empty = tree(tmp_path / "empty", "notes.txt")
    flat = tree(tmp_path / "flat", "a.mp4")
    for root, layout, message in [
        (empty, "auto", r"data\.layout to folders, flat, frames, list"),
        (flat, "folders", r"a\.mp4: .*folders.*data\.layout to flat"),
        (flat, "frames", r"a\.mp4"),
        (empty, "frames", r"data\.layout"),
        (empty, "list", r"clips\.csv.*data\.list_file"),
    ]:
        with refused(DataError, message):
            layout_of(root, layout)
    with refused(DataError):
        read_layout(DataConfig())


@given(
    st.lists(
        st.sampled_from(["a", "b.mp4", "c", "1.png", "2.png", "train", "test", "x y.gif"]), min_size=1, max_size=4
    ).map("/".join)
)
def test_sources_are_unique_and_lead_to_their_files(path):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
        tree(root / "more", "m.mp4", "1.png", "2.png")
        for layout in ("auto", "flat"):
            listing = layout_of(root, layout)
            sources = [entry.source for entry in listing.entries]
            assert len(set(sources)) == len(sources)
            assert all((root / source).exists() for source in sources)
            assert {problem.source for problem in listing.problems}.isdisjoint(sources)
            json.dumps(sources)
