import os
from itertools import islice

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dvdgan.data.decode.clip import open_clip, read_header
from dvdgan.data.errors import ClipError
from support.clips import coded, numbers, read_clip, write_animation, write_frames, write_video

SMALL = {"libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"}}
MOST_FRAMES = 300  # that a damaged file is read for


def write(path, count=10):
    """A valid small file of the kind that its suffix names."""
    if path.suffix in (".gif", ".webp", ".apng"):
        return write_animation(path, count, 40)
    codec = {".webm": "libvpx-vp9", ".avi": "mpeg4", ".ogv": "libvpx", ".mpg": "mpeg2video"}.get(path.suffix, "libx264")
    return write_video(path, count, 25, codec, options=SMALL.get(codec), gop=5)


@st.composite
def changes_of(draw, size):
    """Changes of a file of `size` bytes: what is done, to which part of it, and with which bytes."""
    many = []
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["flip", "zero", "cut", "repeat", "insert", "end"]))
        # the header as often as all the rest
        begin = draw(st.one_of(st.integers(0, min(size, 400) - 1), st.integers(0, size - 1)))
        many.append((kind, begin, draw(st.integers(1, 64)), draw(st.binary(min_size=1, max_size=24))))
    return many


def damaged(data, changes):
    for kind, begin, length, noise in changes:
        part = data[begin : begin + length]
        if kind == "flip":
            part = bytes(byte ^ noise[index % len(noise)] for index, byte in enumerate(part))
        new = {"zero": bytes(len(part)), "cut": b"", "repeat": part + part, "insert": noise + part}.get(kind, part)
        data = data[:begin] + new + (b"" if kind == "end" else data[begin + length :])
    return data


def outcome(read):
    """Frames, or the line of a refusal; nothing else may come of a file."""
    try:
        return read()
    except ClipError as error:
        refused = error
    assert "\n" not in str(refused)
    assert str(refused) == f"{refused.path}: {refused.reason}"
    assert refused.reason
    return str(refused)


def check_any_file(path):
    header = outcome(lambda: read_header(path))
    for arguments in ({}, {"fps": 10, "start": 0.2, "size": 16}, {"background": None}):
        frames = outcome(lambda a=arguments: list(islice(open_clip(path, **a)[1], MOST_FRAMES)))
        if isinstance(frames, str) or isinstance(header, str):  # whether FFmpeg sees damage may depend on its threads
            continue
        assert len(frames) >= 1
        channels = 4 if header.alpha and "background" in arguments else 3
        assert {(f.dtype, f.shape) for f in frames} == {(np.dtype(np.uint8), (*frames[0].shape[:2], channels))}
        assert min(frames[0].shape[:2]) == arguments.get("size", min(header.height, header.width))


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    folder = tmp_path_factory.mktemp("valid")
    made = {}

    def file(suffix):
        if suffix not in made:
            made[suffix] = write(folder / f"a{suffix}").read_bytes()
        return made[suffix]

    return file


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".avi", ".gif", ".webp", ".apng"])
def test_any_damage_gives_frames_or_one_line(tmp_path_factory, valid, suffix):
    data = valid(suffix)
    path = tmp_path_factory.mktemp("damaged") / f"a{suffix}"

    @settings(max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(changes=changes_of(len(data)))
    def examine(changes):
        path.write_bytes(damaged(data, changes) or b"\0")
        check_any_file(path)

    examine()


def test_the_undamaged_files_are_read(tmp_path, valid):
    for suffix in (".mp4", ".mkv", ".webm", ".avi", ".gif", ".webp", ".apng"):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(valid(suffix))
        check_any_file(path)
        assert numbers(read_clip(path)[0]) == list(range(10))


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webp", ".apng", ".png", ".jpg"])
def test_a_file_cut_anywhere_is_refused(tmp_path, suffix):
    """Formats whose headers or end marks tell what belongs to them."""
    path = tmp_path / f"a{suffix}"
    if suffix == ".mp4":
        write_video(path, 10, 25, container_options={"movflags": "+faststart"})
    elif suffix in (".png", ".jpg"):
        Image.fromarray(coded(5)).save(path)
    else:
        write(path)
    data = path.read_bytes()
    for size in {*np.linspace(1, len(data) - 1, 60, dtype=int).tolist(), len(data) - 1}:
        path.write_bytes(data[:size])
        refused = outcome(lambda: read_clip(path)[0])
        assert isinstance(refused, str), size


@pytest.mark.parametrize(("suffix", "mark"), [(".gif", b"\x21\xf9\x04"), (".apng", b"fcTL"), (".webp", b"ANMF")])
def test_an_animation_cut_between_two_frames_is_refused(tmp_path, suffix, mark):
    path = write(tmp_path / f"a{suffix}")
    data = path.read_bytes()
    begins = [at for at in range(len(data)) if data.startswith(mark, at)]
    for begin in begins[1:]:
        path.write_bytes(data[: begin - (4 if suffix == ".apng" else 0)])
        assert isinstance(outcome(lambda: read_clip(path)), str)


def test_a_window_before_the_damage_is_read(tmp_path):
    path = write_video(tmp_path / "a.mp4", 100, 25, gop=10, container_options={"movflags": "+faststart"})
    whole, _ = read_clip(path)
    os.truncate(path, path.stat().st_size * 9 // 10)
    assert np.array_equal(read_clip(path, start=1, end=2)[0], whole[25:50])
    for arguments in ({}, {"start": 3}, {"start": 3.4, "end": 3.9}, {"start": 99}):
        assert "truncated" in outcome(lambda a=arguments: read_clip(path, **a))


def test_it_is_said_after_how_many_frames_a_file_is_damaged(tmp_path):
    path = write_video(tmp_path / "a.mp4", 100, 25, b_frames=0, container_options={"movflags": "+faststart"})
    os.truncate(path, path.stat().st_size * 9 // 10)
    frames = open_clip(path)[1]
    seen = []

    def read_on():
        while True:
            seen.append(next(frames))

    with pytest.raises(ClipError, match=r"truncated.* after \d+ frames") as caught:
        read_on()
    assert len(seen) > 50
    assert numbers(seen) == list(range(len(seen)))
    assert f"after {len(seen) + 1} frames" in str(caught.value)  # the last one waits for what comes after it


def test_a_damaged_frame_of_a_folder_is_named(tmp_path):
    folder = write_frames(tmp_path / "frames", 5)
    third = folder / "frame_0003.png"
    third.write_bytes(third.read_bytes()[:-30])
    assert outcome(lambda: read_clip(folder)).startswith(f"{third}: ")
    assert len(read_clip(folder, end=0.1)[0]) == 1


def test_pictures_that_are_cut_in_a_gif_do_not_pass_for_one(tmp_path):
    path = write(tmp_path / "a.gif", 2)
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"\x21\xf9\x04") + 12])
    assert "truncated" in outcome(lambda: read_clip(path))


def test_a_frame_that_the_decoder_patched_is_damage(tmp_path):
    """FFmpeg hides errors by what is around them, and marks such frames."""
    noise = np.random.default_rng(0)
    tiles = np.kron(noise.integers(0, 256, (40, 40, 1), np.uint8), np.ones((4, 4, 3), np.uint8))
    path = write_video(tmp_path / "a.avi", [np.roll(tiles, shift, axis=0) for shift in range(12)], 25, "mpeg4")
    with av.open(str(path)) as container:
        begin, size = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size][6]
    data = bytearray(path.read_bytes())
    data[begin + size // 2 : begin + size // 2 + 12] = noise.bytes(12)
    path.write_bytes(data)
    assert "damaged after 6 frames" in outcome(lambda: read_clip(path))
    assert len(read_clip(path, end=0.2)[0]) == 5


def test_matroska_that_has_lost_its_last_frames_is_truncated(tmp_path):
    path = write_video(tmp_path / "a.mkv", 12, 25, b_frames=0)
    with av.open(str(path)) as container:
        positions = [packet.pos for packet in container.demux(video=0) if packet.size]
    data = path.read_bytes()
    path.write_bytes(data[: positions[7]] + bytes(len(data) - positions[7]))
    assert "truncated" in outcome(lambda: read_clip(path))


def test_bytes_between_the_frames_of_a_gif(tmp_path):
    path = write(tmp_path / "a.gif")
    data = path.read_bytes()
    at = data.rindex(b"\x21\xf9\x04")
    path.write_bytes(data[:at] + b"\x07" + data[at:])
    assert "belong to no frame" in outcome(lambda: read_clip(path))
    path.write_bytes(data[:at] + b"\0\0" + data[at:])  # as some writers pad
    assert numbers(read_clip(path)[0]) == list(range(10))
