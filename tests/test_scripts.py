import csv
import importlib.util
import io
import json
import os
import sys
import tarfile
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from dvdgan.config import DataConfig
from dvdgan.data.layouts.discovery import read_layout

SCRIPTS = Path(__file__).parent.parent / "scripts"
posix = pytest.mark.skipif(os.name == "nt", reason="needs a shell script as npm")


def load(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look
    spec.loader.exec_module(module)
    return module


emoji, dm_control, behaviours = map(load, ("fetch_fluent_emoji", "render_dm_control", "behaviours_table"))


def animation(frames):
    """A transparent WebP with a red dot that moves."""
    pictures = []
    for number in range(frames):
        picture = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
        picture.putpixel((number % 8, number // 8 % 8), (255, 0, 0, 255))
        pictures.append(picture)
    file = io.BytesIO()
    pictures[0].save(file, "WEBP", save_all=True, append_images=pictures[1:], duration=42, lossless=True)
    return file.getvalue()


MOVING, SHORT, STILL = animation(48), animation(5), animation(1)
TONES = {"1F3FB": "light", "1F3FC": "medium-light", "1F3FD": "medium", "1F3FE": "medium-dark", "1F3FF": "dark"}
GROUPS = ["smileys-emotion", "people-body", "activities"]
SUBGROUPS = ["person-activity", "person-sport", "person-role", "game"]


def person(code, label, subgroup):
    """An entry of emojibase with five skin tones."""
    place = {"group": 1, "subgroup": subgroup}
    skins = [
        {"label": f"{label}: {tone} skin tone", "hexcode": f"{code}-{point}", **place} for point, tone in TONES.items()
    ]
    return {"label": label, "hexcode": f"{code}-FE0F", **place, "skins": skins}


def all_genders(code, action, subgroup, neutral="person "):
    return [
        person(f"{code}-{gender}", f"{who}{action}", subgroup) for gender, who in enumerate(("man ", "woman ", neutral))
    ]


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A small set of the packages as npm packs them."""
    folder = tmp_path_factory.mktemp("packages")
    moving = [
        *all_genders("A1", "running", 0),
        *all_genders("A2", "getting haircut", 0),
        *all_genders("A3", "surfing", 1),
        *all_genders("A4", "cook", 2, neutral=""),
        *all_genders("A5", "dancing", 0)[:2],  # nobody of the third gender
        person("A6", "baby", 2),
        {"label": "teddy bear", "hexcode": "B1", "group": 2, "subgroup": 3},
        {"label": "piñata", "hexcode": "B2", "group": 2, "subgroup": 3},
        {"label": "eyes", "hexcode": "B3", "group": 0, "subgroup": 3},
    ]
    short = all_genders("A7", "walking", 0)
    data = [*moving, *short, {"label": "regional indicator A", "hexcode": "C1"}]
    messages = {
        "groups": [{"key": key, "order": order} for order, key in enumerate(GROUPS)],
        "subgroups": [{"key": key, "order": order} for order, key in enumerate(SUBGROUPS)],
    }
    pack(folder / emoji._file_name(emoji.NAMES), {
        "package/en/data.json": json.dumps(data).encode(),
        "package/en/messages.json": json.dumps(messages).encode(),
    })  # fmt: skip
    pictures = {}
    for entries, picture in ((moving, MOVING), (short, SHORT)):
        codes = [each["hexcode"].lower() for entry in entries for each in (entry, *entry.get("skins", []))]
        pictures |= {f"package/assets/{code}.webp": picture for code in codes}
    pictures |= {"package/assets/ff.webp": MOVING, "package/assets/c1.webp": STILL, "package/README.md": b"#"}
    names = sorted(pictures)
    for number, name in enumerate(emoji.ARTWORK):
        pack(folder / emoji._file_name(name), {member: pictures[member] for member in names[number::4]})
    return folder


def pack(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def rows_of(out):
    with open(out / "clips.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def refused(script, capsys, *arguments):
    """The one line by which a script ends."""
    assert script.main([str(argument) for argument in arguments]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    return error


def test_actions_are_what_three_genders_do_and_one_of_each_is_held_out(packages, tmp_path, capsys):
    out = tmp_path / "out"
    assert emoji.main([str(out), "--packages", str(packages)]) == 0
    rows = rows_of(out)
    assert Counter(row["label"] for row in rows) == dict.fromkeys(("cook", "getting-haircut", "running", "surfing"), 18)
    held_out = {
        row["label"]: {r["group"] for r in rows if r["label"] == row["label"] and r["split"] == "test"} for row in rows
    }
    assert all(len(groups) == 1 for groups in held_out.values())
    assert Counter(row["split"] for row in rows) == {"train": 4 * 12, "test": 4 * 6}
    assert (out / "running" / "man-running-medium-dark-skin-tone.webp").read_bytes() == MOVING
    assert {row["group"] for row in rows if row["label"] == "cook"} == {"cook", "man cook", "woman cook"}
    assert "4 classes, 72 clips, 24 of them for test" in capsys.readouterr().out
    text = (out / "ATTRIBUTION.md").read_text()
    assert all(f"{name} {version}" in text for name, version in emoji.PACKAGES.items())
    assert "could\nnot be verified" in text
    listing = read_layout(DataConfig(source=str(out)))
    assert (len(listing.entries), listing.problems) == (72, [])


def test_a_gender_is_held_out_whatever_the_set_and_each_one_somewhere(packages, tmp_path):
    found = [
        emoji.Emoji("p", "m", f"{action}-{who}-{tone}", f"{who} {action}: {tone}", "people-body", f"person-{subgroup}")
        for subgroup, actions in {"sport": 7, "role": 3}.items()
        for action in (f"{subgroup}{number}" for number in range(actions))
        for who in emoji.GENDERS
        for tone in range(6)
    ]

    def held_out(which, subgroups=None):
        classes = emoji.choose(found, which, subgroups)
        return {name: {e.gender for e, split in chosen if split == "test"} for name, chosen in classes.items()}

    everything, sports = held_out("person-actions"), held_out("activities")
    assert len(sports) == 7
    assert sports == {name: everything[name] for name in sports} == held_out("person-actions", ["person-sport"])
    assert Counter(gender for genders in sports.values() for gender in genders).keys() == set(emoji.GENDERS)


def test_groups_are_classes_of_all_that_moves(packages, tmp_path):
    assert emoji.main([str(tmp_path / "out"), "--set", "groups", "--packages", str(packages)]) == 0
    rows = rows_of(tmp_path / "out")
    assert Counter(row["label"] for row in rows) == {"people-body": 90, "activities": 2, "smileys-emotion": 1}
    assert {row["path"] for row in rows if row["label"] == "activities"} == {
        "activities/teddy-bear.webp",
        "activities/pinata.webp",
    }
    parts = {}
    for row in rows:
        parts.setdefault(row["group"], set()).add(row["split"])
    assert all(len(found) == 1 for found in parts.values())
    assert sorted(row["split"] for row in rows if row["label"] == "activities") == ["test", "train"]


def test_mp4_lies_on_the_colour_and_keeps_the_rate(packages, tmp_path):
    out = tmp_path / "out"
    arguments = [
        str(out),
        "--packages",
        str(packages),
        "--mp4",
        "--background",
        "#0000ff",
        "--subgroups",
        "person-sport",
    ]
    assert emoji.main(arguments) == 0
    assert {row["label"] for row in rows_of(out)} == {"surfing"}
    with av.open(str(out / "surfing" / "person-surfing.mp4")) as container:
        assert float(container.streams.video[0].average_rate) == pytest.approx(1000 / 42, rel=0.01)
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 48
    assert np.median(frames[20], axis=(0, 1)) == pytest.approx([0, 0, 255], abs=12)


def test_a_second_run_needs_nothing_and_a_half_one_goes_on(packages, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = [str(out), "--set", "activities", "--packages", str(packages)]
    assert emoji.main(arguments) == 0
    said = capsys.readouterr().out
    file, lost = out / "running" / "man-running.webp", out / "surfing" / "woman-surfing.webp"
    os.utime(file, ns=(1, 1))
    assert emoji.main([*arguments[:-1], str(tmp_path / "nowhere")]) == 0
    assert capsys.readouterr().out == said
    lost.unlink()
    (out / "clips.csv").unlink()
    assert emoji.main(arguments) == 0
    assert capsys.readouterr().out == said
    assert lost.read_bytes() == MOVING
    assert file.stat().st_mtime_ns == 1


def test_what_is_wrong_with_emoji_is_one_line(packages, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    assert emoji.main([str(out), "--set", "activities", "--packages", str(packages)]) == 0
    assert "another set; choose a new folder" in refused(emoji, capsys, out, "--packages", packages)
    assert "holds no emoji of this script" in refused(emoji, capsys, packages, "--packages", packages)
    error = refused(emoji, capsys, tmp_path / "b", "--packages", packages, "--subgroups", "person-nap")
    assert "it has person-activity, person-role, person-sport" in error
    assert "npm pack emojibase-data@17.0.0" in refused(emoji, capsys, tmp_path / "b", "--packages", tmp_path)
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for file in packages.iterdir():
        (damaged / file.name).write_bytes(file.read_bytes()[: 300 if "anim-3" in file.name else None])
    assert "anim-3-1.0.0.tgz: cannot be read" in refused(emoji, capsys, tmp_path / "b", "--packages", damaged)
    monkeypatch.setattr(emoji.shutil, "which", lambda name: None)
    assert "npm is not installed" in refused(emoji, capsys, tmp_path / "b", "--cache", tmp_path / "cache")
    with pytest.raises(SystemExit):
        emoji.main([str(out), "--background", "reddish"])
    assert "is a colour such as" in capsys.readouterr().err


NPM = """#!/bin/sh
name=$(echo "$2" | sed 's/^@//; s,/,-,; s/@/-/').tgz
echo "$name" >>"$FAKE/calls"
test -f "$FAKE/$name" || { echo "npm error 404 no $2" >&2; exit 1; }
cp "$FAKE/$name" "$5"
"""


@posix
def test_an_interrupted_fetch_takes_up_where_it_ended(packages, tmp_path, capsys, monkeypatch):
    fake, cache = tmp_path / "registry", tmp_path / "cache"
    fake.mkdir()
    (tmp_path / "npm").write_text(NPM)
    (tmp_path / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE", str(fake))
    files = sorted(packages.iterdir())
    late = next(file for file in files if "anim-3" in file.name)
    for file in files:
        if file != late:
            (fake / file.name).write_bytes(file.read_bytes())
    error = refused(emoji, capsys, tmp_path / "out", "--cache", cache)
    assert "npm error 404 no @lobehub/fluent-emoji-anim-3@1.0.0" in error
    assert len(list(cache.iterdir())) == 2  # and nothing half-fetched
    (fake / late.name).write_bytes(late.read_bytes())
    assert emoji.main([str(tmp_path / "out"), "--cache", str(cache)]) == 0
    assert sorted(file.name for file in cache.iterdir()) == [file.name for file in files]
    assert Counter((fake / "calls").read_text().split()) == {file.name: 1 + (file == late) for file in files}


def test_without_dm_control_its_extra_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "dm_control", None)
    error = refused(dm_control, capsys, tmp_path / "out")
    assert error == "error: dm_control is not installed; run: pip install 'dvdgan[dm-control]'"
    assert not (tmp_path / "out").exists()


def test_impossible_arguments_of_dm_control_are_named(tmp_path, capsys, monkeypatch):
    for arguments, message in [(["--size", "8"], "from 16 to 1024, not 8"), (["--frames", "many"], "from 2 to 10000")]:
        with pytest.raises(SystemExit):
            dm_control.main([str(tmp_path), *arguments])
        assert f"argument {arguments[0]}: is a whole number {message}" in capsys.readouterr().err
    monkeypatch.setattr(dm_control, "suite_tasks", lambda: {"cheetah": ["run"], "dog": ["stand"]})
    assert "there is no 'mouse'; there are cheetah, dog" in refused(
        dm_control, capsys, tmp_path, "--domains", "dog,mouse"
    )


def test_dm_control_goes_on_in_its_own_folders_only(tmp_path, capsys, monkeypatch):
    rendered = []

    def render(domain, index, *, seed, size, frames, fps):
        rendered.append((domain, index))
        return np.full((frames, size, size, 3), 10 * index + seed, np.uint8)

    monkeypatch.setattr(dm_control, "suite_tasks", lambda: {"cheetah": ["run"], "dog": ["stand"]})
    monkeypatch.setattr(dm_control, "render", render)
    out = tmp_path / "out"
    arguments = [out, "--size", 16, "--frames", 2]
    for count in (1, 2):
        assert dm_control.main([*map(str, arguments), "--clips-per-class", str(count)]) == 0
    assert rendered == [("cheetah", 0), ("dog", 0), ("cheetah", 1), ("dog", 1)]
    assert "2 classes, 4 clips (2 of them new" in capsys.readouterr().out
    assert sorted(file.name for file in (out / "dog").iterdir()) == ["000000.mp4", "000001.mp4"]
    assert "another seed; choose a new folder" in refused(dm_control, capsys, *arguments, "--seed", 1)
    assert "no clips of this script" in refused(dm_control, capsys, out / "dog")


def test_a_clip_of_dm_control_moves_and_is_the_same_again():
    pytest.importorskip("dm_control")
    settings = {"seed": 1, "size": 32, "frames": 2, "fps": 5}
    first, other = (dm_control.render("pendulum", index, **settings) for index in (0, 1))
    assert first.shape == (2, 32, 32, 3)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first, other)
    assert np.array_equal(dm_control.render("pendulum", 0, **settings), first)


def test_pass_rates_of_held_out_phenomena(capsys):
    assert behaviours.main(["--clips", "1", "--others", "0", "--failures"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| class | real | frozen | shuffled | reversed | other class |"
    assert len(lines[4:13]) == len([line for line in lines if line.startswith("| ")][1:]) == 9
    assert "| bounce | 100.0 [20.7, 100.0] | 0.0 [0.0, 79.3] |" in "\n".join(lines)
    assert behaviours.main(["--size", "16", "--clips", "1"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert behaviours.main(["--write", "3"]) == 2
