import math
import os
import socket
import tracemalloc
import zlib
from fractions import Fraction
from itertools import islice, pairwise

import av
import numpy as np
import pytest
from PIL import Image

from dvdgan.data.decode import pixels as decode_pixels
from dvdgan.data.decode import streams as decode_streams
from dvdgan.data.decode import video as decode_video
from dvdgan.data.decode.clip import CLIP_SUFFIXES, open_clip, read_header
from dvdgan.data.errors import ClipError
from support.clips import coded, cut_mp4, numbers, read_clip, turn_mp4, write_animation, write_frames, write_video
from support.errors import refused

QUICK = {"libx264": {"preset": "veryfast"}, "libvpx": {"deadline": "realtime", "cpu-used": "8"}}
QUICK["libvpx-vp9"] = QUICK["libvpx"]
INTRA = "keyint=1:log-level=none"
"""Of libx265, whose predicted frames now and then lack their residual: a decoder shows the frame before."""
MS = Fraction(1, 1000)


def refusal(path, **arguments):
    """The one line with which a file is refused, without its name."""
    with pytest.raises(ClipError) as caught:
        read_clip(path, **arguments)
    message = str(caught.value)
    assert "\n" not in message
    assert message == f"{caught.value.path}: {caught.value.reason}"
    assert message.startswith(str(path))
    return caught.value.reason


# ------------------------------------------------------------------------------------------------------------ time


FILM, NTSC = Fraction(24000, 1001), Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [("a.mp4", "libx264", rate) for rate in (12, FILM, NTSC, 60)]
    + [("a.mkv", "libx264", rate) for rate in (12, FILM, NTSC, 60)]
    + [("a.webm", "libvpx-vp9", rate) for rate in (12, FILM, NTSC, 60)]
    + [("a.avi", "mpeg4", FILM), ("a.avi", "mpeg4", 12), ("a.ts", "libx264", NTSC), ("a.flv", "flv", FILM)],
)
def test_a_constant_rate_file_gives_every_frame_once(tmp_path, name, codec, rate):
    frames = [coded(number, 32, 24) for number in range(520)]
    path = write_video(tmp_path / name, frames, rate, codec, options=QUICK.get(codec), gop=100)
    clip, fps = read_clip(path)
    assert numbers(clip) == list(range(520))
    assert fps == pytest.approx(float(rate), rel=1e-5)
    header = read_header(path)
    assert header.fps == fps
    assert not header.variable
    assert header.frames == 520
    assert header.seconds == pytest.approx(520 / rate, abs=0.01)
    assert (header.width, header.height, header.alpha) == (32, 24, False)


@pytest.mark.parametrize("rate", [12, FILM, 50, 60])
@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.apng"])
def test_delays_that_are_rounded_are_an_even_rate(tmp_path, name, rate):
    unit = 10 if name == "a.gif" else 1
    if rate == 60 and unit == 10:
        pytest.skip("has delays of 10 ms, which are a tenth of a second")
    ends = [unit * round(1000 * k / rate / unit) for k in range(61)]
    path = write_animation(tmp_path / name, 60, [b - a for a, b in pairwise(ends)])
    clip, fps = read_clip(path)
    assert numbers(clip) == list(range(60))
    assert fps == pytest.approx(float(rate), rel=2e-3)
    assert read_header(path).frames == 60


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.webm"])
def test_frames_that_were_dropped_are_repeated(tmp_path, name):
    kept = [0, 1, 2, 3, 7, 8, 9, 10, 11, 12, 13, 14, 20, 21, 22, 23]
    codec = "libvpx-vp9" if name == "a.webm" else "libx264"
    path = write_video(
        tmp_path / name,
        [coded(number) for number in kept],
        codec=codec,
        options=QUICK[codec],
        ticks=[40 * number for number in kept],
        time_base=MS,
    )
    clip, fps = read_clip(path)
    shown = [max(number for number in kept if number <= k) for k in range(24)]
    assert fps == 25
    assert numbers(clip) == shown
    header = read_header(path)
    assert header.variable
    assert header.frames == 24


def test_a_variable_rate_plays_at_even_speed(tmp_path):
    times = np.cumsum([0, 20, 60, 35, 45, 40, 40, 40, 100, 30, 30, 40, 40, 200, 40])
    frames = [coded(index) for index in range(len(times))]
    path = write_video(tmp_path / "a.mkv", frames, ticks=times.tolist(), time_base=MS)
    for rate in (5, 12, 25, 60):
        clip, fps = read_clip(path, fps=rate)
        early = np.minimum(np.diff(times, prepend=0), 1000 / read_header(path).fps) / 2
        wanted = [int(np.flatnonzero(times - early < 1000 * k / rate + 1e-9 * (k == 0))[-1]) for k in range(len(clip))]
        assert fps == rate
        assert numbers(clip) == wanted
        assert len(clip) == pytest.approx(0.8 * rate, abs=1)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.apng", "a.mkv"])
def test_a_hold_at_the_end_keeps_the_speed_of_the_rest(tmp_path, name):
    if name == "a.mkv":  # the pause is before its last frame
        ticks = [80 * index for index in range(11)] + [2800]
        path = write_video(tmp_path / name, 12, ticks=ticks, time_base=MS)
        held, last = 10, 11
    else:
        path = write_animation(tmp_path / name, 12, [80] * 11 + [2000])
        held, last = 11, 11
    clip, fps = read_clip(path)
    assert fps == 12.5
    shown = numbers(clip)
    assert shown[:10] == list(range(10))
    assert shown.count(held) == pytest.approx(25, abs=13 if name == "a.mkv" else 0)
    assert shown[-1] == last
    assert len(shown) == pytest.approx(36, abs=1)
    assert read_header(path).frames == len(shown)


@pytest.mark.parametrize(("name", "gap"), [("a.mkv", 3_600_000), ("a.ts", 12_000)])
def test_a_jump_of_the_clock_is_no_still(tmp_path, name, gap):
    ticks = [40 * index + (gap if index >= 8 else 0) for index in range(16)]
    path = write_video(tmp_path / name, 16, ticks=ticks, time_base=MS, b_frames=0)
    clip, fps = read_clip(path)
    assert fps == 25
    assert numbers(clip) == list(range(16))
    header = read_header(path)
    assert (header.frames, header.seconds) == (16, pytest.approx(gap / 1000 + 0.64, abs=0.02))
    late = read_clip(path, start=gap / 1000 + 9 * 0.04)[0]  # seconds of the file's own clock
    assert numbers(late)[-4:] == [12, 13, 14, 15]
    assert "timestamps jump" in refusal(path, start=2.0, end=2.2)
    assert header.length.numbers(Fraction(25)) == [range(8), range(8 + gap // 40, 16 + gap // 40)]
    for rate in (7, 25, 60):
        assert header.length.frames(Fraction(rate)) == len(read_clip(path, fps=rate)[0])


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.webm", "a.gif", "a.webp"])
def test_a_gap_that_is_no_jump_is_held(tmp_path, name):
    """A screen recording that stands still for eight seconds."""
    ticks = [40 * index + (8000 if index >= 8 else 0) for index in range(16)]
    if name in ("a.gif", "a.webp"):
        path = write_animation(tmp_path / name, 16, [40] * 7 + [8040] + [40] * 8)
    else:
        codec = "libvpx" if name == "a.webm" else "libx264"
        path = write_video(tmp_path / name, 16, codec=codec, options=QUICK[codec], ticks=ticks, time_base=MS)
    shown = numbers(read_clip(path)[0])
    header = read_header(path)
    assert len(shown) == header.frames == 216
    assert (shown[:8], shown[-7:]) == (list(range(8)), list(range(9, 16)))
    assert header.seconds == pytest.approx(8.64, abs=0.002)
    assert numbers(read_clip(path, start=3.0, end=5.0)[0]) == [7] * 50


@pytest.mark.parametrize(("rate", "wanted"), [(12, range(0, 60, 5)), (120, np.repeat(range(60), 2)), (60, range(60))])
def test_a_rate_that_is_asked_for_is_given(tmp_path, rate, wanted):
    path = write_video(tmp_path / "a.mp4", 60, 60)
    clip, fps = read_clip(path, fps=rate)
    assert fps == rate
    assert len(clip) == len(wanted)
    assert np.abs(np.array(numbers(clip)) - list(wanted)).max() <= (0.5 if rate <= 60 else 1)


@pytest.mark.parametrize(
    ("name", "delay"), [("a.gif", 0), ("a.gif", 10), ("a.webp", 10), ("a.webp", 4), ("a.apng", 10)]
)
def test_delays_of_ten_milliseconds_and_less_are_a_tenth_of_a_second(tmp_path, name, delay):
    path = write_animation(tmp_path / name, 20, delay)
    clip, _ = read_clip(path, fps=10)
    assert (numbers(clip), read_header(path).fps) == (list(range(20)), 10)


@pytest.mark.parametrize(("name", "delay"), [("a.gif", 20), ("a.webp", 11)])
def test_delays_of_more_are_what_they_are(tmp_path, name, delay):
    assert read_header(write_animation(tmp_path / name, 20, delay)).fps == pytest.approx(1000 / delay)


def test_reordered_frames_in_avi_come_in_order(tmp_path):
    """AVI has no times of presentation, and FFmpeg makes wrong ones up for H.264 in it."""
    path = write_video(tmp_path / "a.avi", 60, b_frames=3)
    assert numbers(read_clip(path)[0]) == list(range(60))


def test_a_clock_that_is_set_back_goes_on(tmp_path):
    one = write_video(tmp_path / "one.mpg", 20, 25, "mpeg2video").read_bytes()
    path = tmp_path / "two.mpg"
    path.write_bytes(one + one)
    assert numbers(read_clip(path)[0]) == 2 * list(range(20))


# --------------------------------------------------------------------------------------------------------- windows


def _windowed(tmp_path, name):
    """A file of at least 50 frames of each kind, by the name of its kind."""
    if name == "folder":
        return write_frames(tmp_path / name, 50)
    path = tmp_path / name
    if path.suffix in (".gif", ".webp", ".apng"):
        return write_animation(path, 50, [40, 40, 120] * 16 + [40, 40])
    if name == "variable.mkv":
        ticks = np.cumsum(np.random.default_rng(0).choice([20, 40, 40, 90, 300], 120)).tolist()
        return write_video(path, 120, ticks=ticks, time_base=MS, b_frames=2, gop=30)
    if name == "open.mkv":
        return write_video(path, 120, options={"x264-params": "open-gop=1:keyint=20:bframes=3"})
    if name == "trimmed.mp4":
        cut_mp4(write_video(tmp_path / "a.mp4", 150, 25, gop=25, b_frames=3), path, 33)
        assert numbers(read_clip(path)[0]) == list(range(33, 150))
        return path
    if name == "torn.ts":  # as recordings from the air: it begins between two keyframes
        data = write_video(tmp_path / "a.ts", 120, 25, gop=25).read_bytes()
        path.write_bytes(data[len(data) // 3 // 188 * 188 :])
        assert numbers(read_clip(path)[0]) == list(range(50, 120))
        return path
    if name == "hevc.mp4":
        return write_video(path, 120, codec="libx265", options={"x265-params": "keyint=30:log-level=none"})
    if name == "interlaced.ts":
        options = {"flags": "+ildct+ilme", "field_order": "tt"}
        return write_video(path, 120, 25, "mpeg2video", options=options, gop=12, b_frames=2)
    codec = {".webm": "libvpx-vp9", ".avi": "mpeg4", ".mpg": "mpeg2video", ".flv": "flv"}.get(path.suffix, "libx264")
    b_frames = {"libx264": 3, "mpeg2video": 2}.get(codec)
    return write_video(path, 150, 30, codec, options=QUICK.get(codec), gop=60, b_frames=b_frames)


WINDOWED = ["a.mp4", "a.mkv", "a.webm", "a.avi", "a.ts", "a.mpg", "a.flv", "variable.mkv", "open.mkv", "hevc.mp4"]
WINDOWED += ["trimmed.mp4", "torn.ts", "interlaced.ts", "a.gif", "a.webp", "a.apng", "folder"]


@pytest.mark.parametrize("name", WINDOWED)
def test_a_window_is_the_slice_of_the_whole(tmp_path, name):
    path = _windowed(tmp_path, name)
    for fps in (None, 9.5):
        whole, rate = read_clip(path, fps=fps)
        length, begins = len(whole) / rate, read_header(path).begins
        assert (begins > 0) == (name == "torn.ts")
        windows = [(0.0, 0.31), (length - 0.31, None), (0.85 * length, length + 9)]
        windows += [(share * length, share * length + 0.4) for share in (0.23, 0.51, 0.64, 0.76)]
        for start, end in windows:
            window, same = read_clip(path, fps=fps, start=begins + start, end=None if end is None else begins + end)
            assert same == rate
            first, last = (math.floor(round(time * rate, 6) + 0.5) for time in (start, end or length))
            assert np.array_equal(window, whole[first:][: len(window)])
            assert len(window) == min(len(whole), last) - first


def test_windows_of_interlaced_frames_may_begin_at_any_frame(tmp_path):
    """Whole ones are made of their neighbours too, which may lie before a keyframe, or be progressive."""
    moving = [np.roll(coded(0xA5A), 3 * number, axis=0) for number in range(60)]
    path = tmp_path / "a.mkv"
    parts = []
    for part, flags in enumerate(("+ildct+ilme", "", "+ildct+ilme")):
        frames = moving[20 * part : 20 * part + 20]
        options = {"flags": flags} if flags else {}
        parts.append(write_video(tmp_path / f"{part}.mkv", frames, 25, "mpeg2video", options=options, gop=8))
    with av.open(str(parts[0])) as given, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(given.streams.video[0])
        for part, file in enumerate(parts):
            with av.open(str(file)) as source:
                for packet in source.demux(video=0):
                    if packet.size:
                        packet.pts = packet.dts = packet.pts + 800 * part
                        packet.stream = stream
                        container.mux(packet)
    with av.open(str(path)) as container:
        kinds = [frame.interlaced_frame for frame in container.decode(video=0)]
    assert all(kinds[:18] + kinds[-18:])
    assert not any(kinds[21:38])
    whole, rate = read_clip(path)
    assert len(whole) == 60
    for first in range(4, 58):
        window, _ = read_clip(path, start=first / rate, end=(first + 2) / rate)
        assert np.array_equal(window, whole[first : first + 2]), first


def _zero(path, begin, end):
    """Write zeros over a part of a file."""
    with open(path, "r+b") as file:
        file.seek(begin)
        file.write(bytes(end - begin))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.ts"])
def test_only_what_a_window_needs_is_read(tmp_path, name):
    codec = "libvpx-vp9" if name == "a.webm" else "libx264"
    ticks = [400_000 + 40 * number for number in range(600)]  # a clock that has run for long
    path = write_video(tmp_path / name, 600, 25, codec, options=QUICK[codec], gop=50, ticks=ticks, time_base=MS)
    whole, _ = read_clip(path)
    with av.open(str(path)) as container:
        at = {p.pts * p.time_base: p.pos for p in container.demux(video=0) if p.size}
    start = min(at)
    _zero(path, at[start + 12], at[start + 13])  # past what is read to learn the rate, before the window
    late, _ = read_clip(path, start=21, end=22)
    assert np.array_equal(late, whole[525:550])
    early, _ = read_clip(path, start=1, end=2)
    assert np.array_equal(early, whole[25:50])
    if name == "a.mp4":  # a stream of packets says nothing of those that are gone
        assert "damaged after 29" in refusal(path)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.apng"])
def test_damage_behind_a_window_of_an_animation_does_no_harm(tmp_path, name):
    path = write_animation(tmp_path / name, 30, 40)
    whole, _ = read_clip(path)
    data = bytearray(path.read_bytes())
    data[len(data) * 2 // 3 : len(data) * 3 // 4] = bytes(len(data) * 3 // 4 - len(data) * 2 // 3)
    path.write_bytes(data)
    assert "damaged" in refusal(path) or "not an" in refusal(path)
    if name == "a.gif":  # what is read to learn the rate of the others goes further
        return
    assert len(whole) == 30


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "folder", "a.jpg"])
def test_a_start_beyond_the_end_says_how_long_the_clip_is(tmp_path, name):
    if name == "a.jpg":
        path = tmp_path / name
        Image.fromarray(coded(3)).save(path)
        length = "0.1 s"
    elif name == "folder":
        path, length = write_frames(tmp_path / name, 6), "0.5 s"
    elif name == "a.gif":
        path, length = write_animation(tmp_path / name, 12, 80), "0.96 s"
    else:
        path, length = write_video(tmp_path / name, 48), "2 s"
    assert refusal(path, start=7.0) == f"ends before 7 s: it is {length} long"
    assert length in refusal(path, start=7.0, end=8.0)


@pytest.mark.parametrize(
    ("start", "end"), [(-1.0, None), (1.0, 1.0), (1.0, 0.5), (float("nan"), None), (0.5, 0.501), (1e308, None)]
)
def test_an_empty_window_is_refused_at_once(tmp_path, start, end):
    path = write_video(tmp_path / "a.mp4", 48)
    with refused(ClipError, r"no clip lies|less than a frame"):
        open_clip(path, start=start, end=end)


@pytest.mark.parametrize("wrong", [{"fps": 0}, {"fps": -3.0}, {"size": 0}, {"folder_fps": float("nan")}])
def test_rates_and_sizes_above_zero_are_asked_for(tmp_path, wrong):
    with pytest.raises(ValueError, match=rf"{next(iter(wrong))} must be a number above 0"):
        open_clip(write_frames(tmp_path / "a"), **wrong)


# ---------------------------------------------------------------------------------------------------------- pixels

TURNS = {
    (1, 0, 0, 1): lambda frame: frame,
    (0, 1, -1, 0): lambda frame: np.rot90(frame, -1),  # a phone held upright
    (-1, 0, 0, -1): lambda frame: np.rot90(frame, 2),
    (0, -1, 1, 0): lambda frame: np.rot90(frame, 1),
    (-1, 0, 0, 1): lambda frame: frame[:, ::-1],
    (1, 0, 0, -1): lambda frame: frame[::-1],
    (0, 1, 1, 0): lambda frame: frame.swapaxes(0, 1),
    (0, -1, -1, 0): lambda frame: np.rot90(frame, 2).swapaxes(0, 1),
}


@pytest.mark.parametrize("matrix", TURNS)
def test_a_video_is_turned_as_its_header_says(tmp_path, matrix):
    path = write_video(tmp_path / "a.mp4", [coded(0x2C5, 80, 48)] * 3)
    upright = read_clip(path)[0]
    turn_mp4(path, *matrix)
    turned = read_clip(path)[0]
    assert np.array_equal(turned, [TURNS[matrix](frame) for frame in upright])
    header = read_header(path)
    assert (header.height, header.width) == turned.shape[1:3]
    assert min(read_clip(path, 24)[0].shape[1:3]) == 24


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_a_photo_is_turned_as_its_camera_says(tmp_path, suffix, orientation):
    path = tmp_path / f"a{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = coded(0x2C5, 80, 48)
    Image.fromarray(stored).save(path, exif=exif, **({"lossless": True} if suffix == ".webp" else {}))
    turn = list(TURNS.values())[[0, 4, 2, 5, 6, 1, 7, 3][orientation - 1]]
    clip, _ = read_clip(path)
    assert clip.shape[1:] == turn(stored).shape
    assert np.abs(clip[0].astype(int) - turn(stored)).mean() < 4
    assert (read_header(path).height, read_header(path).width) == clip.shape[1:3]


@pytest.mark.parametrize(("pixel", "shape"), [((4, 3), (48, 107)), ((1, 2), (96, 80)), ((1, 1), (48, 80))])
def test_pixels_come_out_square(tmp_path, pixel, shape):
    def tag(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(*pixel)

    frame = coded(0x2C5, 80, 48)
    path = write_video(tmp_path / "a.mp4", [frame] * 2, tag=tag)
    plain = read_clip(write_video(tmp_path / "b.mp4", [frame] * 2))[0][0]
    clip, _ = read_clip(path)
    assert clip.shape[1:3] == shape
    assert (read_header(path).height, read_header(path).width) == shape
    small, _ = read_clip(path, 24)
    scale = 24 / min(shape)
    width, height = round(80 * max(1, pixel[0] / pixel[1]) * scale), round(48 * max(1, pixel[1] / pixel[0]) * scale)
    once = Image.fromarray(plain).resize((width, height), Image.Resampling.BICUBIC)
    assert np.array_equal(small[0], once)  # one resize, not two
    turned = read_clip(turn_mp4(path, 0, 1, -1, 0))[0]
    assert np.array_equal(turned[0], np.rot90(clip[0], -1))


COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (200, 120, 40), (128, 128, 128)]
MATRICES = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}  # red's and blue's share of the luma


def _in_yuv(colour, matrix, full, bits):
    red, blue = MATRICES[matrix]
    r, g, b = (value / 255 for value in colour)
    y = red * r + (1 - red - blue) * g + blue * b
    u, v = (b - y) / 2 / (1 - blue), (r - y) / 2 / (1 - red)
    top, step = 2**bits - 1, 2 ** (bits - 8)
    if full:
        return [round(y * top)] + [min(top, round(c * top + 128 * step)) for c in (u, v)]
    return [round((16 + 219 * y) * step)] + [round((128 + 224 * c) * step) for c in (u, v)]


def _plain(colour, pix_fmt, matrix, full, bits):
    frame = av.VideoFrame(32, 32, pix_fmt)
    y, u, v = _in_yuv(colour, matrix, full, bits)
    kind, shift = (np.uint8, 0) if bits == 8 else (np.uint16, 6 if pix_fmt == "p010le" else 0)
    values = [[y], [u, v]] if pix_fmt == "p010le" else [[y], [u], [v]]
    for plane, value in zip(frame.planes, values):
        filled = np.resize(np.array(value, np.uint16) << shift, plane.buffer_size // np.dtype(kind).itemsize)
        plane.update(filled.astype(kind).tobytes())
    frame.colorspace, frame.color_range = matrix, 2 if full else 1
    return frame


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("codec", "pix_fmt", "bits", "suffix"),
    [
        ("libx264", "yuv420p", 8, ".mp4"),
        ("libx264", "yuv420p10le", 10, ".mp4"),
        ("libx265", "yuv420p10le", 10, ".mp4"),
        ("ffv1", "yuv444p12le", 12, ".mkv"),
        ("ffv1", "yuv422p", 8, ".mkv"),
    ],
)
def test_colours_follow_the_tags_and_the_depth(tmp_path, codec, pix_fmt, bits, suffix, full, matrix):
    options = {"libx264": {"crf": "1"}, "libx265": {"x265-params": f"crf=1:{INTRA}"}}.get(codec)

    def tag(stream):
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 2 if full else 1

    frames = [_plain(colour, pix_fmt, matrix, full, bits) for colour in COLOURS]
    clip, _ = read_clip(write_video(tmp_path / f"a{suffix}", frames, 24, codec, pix_fmt, options, tag=tag))
    assert np.abs(clip[:, 16, 16].astype(int) - COLOURS).max() <= (2 if bits == 8 else 1)


SCENE = np.array([(255,) * 3, (180,) * 3, (64,) * 3, (0,) * 3, (200, 40, 40), (40, 160, 40), (40, 60, 200)]) / 255
TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])  # BT.2087


def _as_pq(light):
    """Light in units of diffuse white, 203 nits, as a signal: BT.2100, table 4."""
    power = np.clip(203 * light / 10000, 0, 1) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def _as_hlg(light):
    """The same for a display of 1000 nits: BT.2100, table 5."""
    display = 0.203 * light
    luminance = display @ np.array([0.2627, 0.6780, 0.0593])
    scene = display * np.where(luminance > 0, luminance, 1)[:, None] ** (-0.2 / 1.2)
    upper = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), upper)


@pytest.mark.parametrize(
    ("name", "signal", "matrix", "primaries", "transfer"),
    [
        ("HLG", lambda light: _as_hlg(light @ TO_2020.T), 9, 9, 18),
        ("PQ", lambda light: _as_pq(light @ TO_2020.T), 9, 9, 16),
        ("BT.2020", lambda light: (light @ TO_2020.T) ** (1 / 2.4), 9, 9, 14),
        ("linear", lambda light: light, 1, 1, 8),
        ("SDR", lambda light: light ** (1 / 2.4), 1, 1, 1),
        ("sRGB", lambda light: light ** (1 / 2.4), 1, 1, 13),
        ("no matrix", lambda light: _as_pq(light @ TO_2020.T), 2, 9, 16),
    ],
)
def test_transfer_and_primaries_are_followed(tmp_path, name, signal, matrix, primaries, transfer):
    """One scene, however it is coded, has the colours of its recording in standard range."""
    frames = [_plain(255 * rgb, "yuv420p10le", 9 if matrix == 2 else matrix, False, 10) for rgb in signal(SCENE**2.4)]
    for frame in frames:
        frame.colorspace = matrix
    tag = _tagged(matrix, primaries, transfer)
    path = write_video(tmp_path / "a.mkv", frames, 24, "ffv1", "yuv420p10le", tag=tag)
    shown = read_clip(path)[0][:, 16, 16].astype(int)
    wrong = np.abs(shown - 255 * SCENE).max(axis=1)
    assert wrong[:4].max() <= 9, shown
    assert wrong[4:].max() <= 10, shown
    assert np.abs(read_clip(path, 16)[0][:, 8, 8].astype(int) - shown).max() <= 1
    assert read_header(path).hdr == (name if name in ("HLG", "PQ") else "PQ" if name == "no matrix" else "")


def test_highlights_keep_some_detail(tmp_path):
    light = np.array([[1.0] * 3, [1.5] * 3, [4.0] * 3])
    frames = [_plain(255 * rgb, "yuv420p10le", 9, False, 10) for rgb in _as_pq(light)]
    path = write_video(tmp_path / "a.mkv", frames, 24, "ffv1", "yuv420p10le", tag=_tagged(9, 9, 16))
    white, bright, brightest = read_clip(path)[0][:, 16, 16, 1].tolist()
    assert 245 <= white < bright < brightest <= 255


def _tagged(matrix, primaries, transfer):
    def tag(stream):
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = matrix, primaries, transfer
        context.color_range = 1

    return tag


@pytest.mark.parametrize(
    ("size", "matrix"), [((720, 576), 6), ((1024, 576), 6), ((1280, 544), 1), ((640, 640), 1), ((576, 1024), 1)]
)
def test_files_without_tags_have_the_matrix_that_players_take(tmp_path, size, matrix):
    y, u, v = _in_yuv((200, 60, 40), matrix, False, 8)
    frame = av.VideoFrame(*size, "yuv420p")
    for plane, value in zip(frame.planes, (y, u, v)):
        plane.update(bytes([value]) * plane.buffer_size)
    path = write_video(tmp_path / "a.mkv", [frame] * 2, 24, "ffv1")
    assert np.abs(read_clip(path)[0][0, 16, 16].astype(int) - (200, 60, 40)).max() <= 2


def test_colours_that_cannot_be_converted_are_refused(tmp_path):
    frames = [_plain((200, 60, 40), "yuv420p", 1, False, 8)] * 2
    path = write_video(tmp_path / "a.mp4", frames, tag=_tagged(8, 1, 1))
    assert "coded as YCgCo, which cannot be read" in refusal(path)


def test_colours_of_frames_as_graphics_cards_decode_them(tmp_path):
    show = decode_video._converter(tmp_path, decode_pixels.Shape(32, 32), decode_pixels.FrameFormat())
    for colour in COLOURS:
        assert np.abs(show(_plain(colour, "p010le", 9, False, 10)).astype(int) - colour).max() <= 1


@pytest.mark.parametrize("size", [(33, 31), (1, 1), (17, 64)])
def test_odd_sizes_are_kept(tmp_path, size):
    frames = list(np.random.default_rng(0).integers(0, 256, (3, size[1], size[0], 3), np.uint8))
    clip, _ = read_clip(write_video(tmp_path / "a.mkv", frames, codec="ffv1", pix_fmt="bgr0"))
    assert np.array_equal(clip, frames)


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_interlaced_frames_become_whole_ones(tmp_path, codec):
    """A bar that moves 6 pixels from field to field: woven, its edges are combs."""
    fields = []
    for time in range(48):
        field = np.full((48, 96, 3), 40, np.uint8)
        field[:, time + 20 : time + 40] = 210
        fields.append(field)
    woven = [np.where(np.arange(48)[:, None, None] % 2 == 0, a, b) for a, b in zip(fields[::2], fields[1::2])]
    options = {"x264-params": "tff=1", "crf": "10"} if codec == "libx264" else {"flags": "+ildct+ilme", "qmin": "1"}

    def tag(stream):
        if codec == "mpeg2video":
            stream.bit_rate = 2_000_000

    frames = []
    for array in woven:
        frame = av.VideoFrame.from_ndarray(array, format="rgb24").reformat(format="yuv420p")
        frames.append(frame)
    path = write_video(tmp_path / "a.ts", frames, 25, codec, options=options, tag=tag)
    with av.open(str(path)) as container:
        stored = [(f.interlaced_frame, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    assert all(interlaced for interlaced, _ in stored)
    clip, fps = read_clip(path)
    assert (len(clip), fps) == (24, 25)
    comb = [np.abs(2.0 * f[1:-1] - f[:-2] - f[2:])[4:-4].mean() for f in clip]
    before = [np.abs(2.0 * f[1:-1] - f[:-2] - f[2:])[4:-4].mean() for _, f in stored]
    assert np.mean(comb) < 0.3 * np.mean(before)
    centres = [(f[24, :, 0] > 125).nonzero()[0].mean() for f in clip[2:-2]]
    assert np.abs(np.diff(centres) - 2).max() <= 1  # no frame is lost or comes twice


def test_frames_that_change_size_are_refused(tmp_path):
    one = write_video(tmp_path / "one.mkv", 10, 24, "mjpeg", "yuvj420p")
    two = write_video(tmp_path / "two.mkv", [coded(n, 128, 96) for n in range(10)], 24, "mjpeg", "yuvj420p")
    path = tmp_path / "both.mkv"
    path.write_bytes(one.read_bytes() + two.read_bytes())
    assert refusal(path) == "frames change from 64 × 48 to 128 × 96 pixels after 10 frames"
    assert refusal(path, size=32) == refusal(path)
    assert numbers(read_clip(path, end=0.3)[0]) == list(range(7))


# ---------------------------------------------------------------------------------------------------- transparency


def _see_through():
    """Opaque red, green at half, and a strong blue that is invisible."""
    frame = np.zeros((48, 64, 4), np.uint8)
    frame[:, :16] = (200, 40, 40, 255)
    frame[:, 16:32] = (40, 200, 40, 128)
    frame[:, 32:] = (0, 0, 255, 0)
    return frame


WITH_ALPHA = [
    ("a.webm", "libvpx-vp9", "yuva420p"),
    ("b.webm", "libvpx", "yuva420p"),
    ("a.mov", "qtrle", "argb"),
    ("b.mov", "png", "rgba"),
    ("c.mov", "prores_ks", "yuva444p10le"),
    ("a.mkv", "ffv1", "yuva420p"),
    ("a.webp", None, None),
    ("a.apng", None, None),
    ("a.png", None, None),
]


def _write_see_through(path, codec, pix_fmt, count=4):
    if codec is None and path.suffix == ".png":
        Image.fromarray(_see_through()).save(path)
        return path
    if codec is None:
        other = _see_through()
        other[0, 0] = 9
        return write_animation(path, [_see_through(), other] * (count // 2), 40, **({"disposal": 1} if 0 else {}))
    options = {"auto-alt-ref": "0"} | QUICK.get(codec, {}) if "vpx" in codec else {}
    return write_video(path, [_see_through()] * count, 25, codec, pix_fmt, options)


@pytest.mark.parametrize(("name", "codec", "pix_fmt"), WITH_ALPHA)
def test_transparency_is_laid_on_the_background_or_kept(tmp_path, name, codec, pix_fmt):
    path = _write_see_through(tmp_path / name, codec, pix_fmt)
    near = 8 if codec and pix_fmt.startswith("yuva") else 1
    assert read_header(path).alpha
    for background in ((255, 255, 255), (10, 20, 30)):
        clip = read_clip(path, background=background)[0]
        assert clip.shape[-1] == 3
        half = (np.array((40, 200, 40)) * 128 + np.array(background) * 127) / 255
        for frame in clip.astype(int):
            assert np.abs(frame[24, 8] - (200, 40, 40)).max() <= near
            assert np.abs(frame[24, 24] - half).max() <= near
            assert np.abs(frame[24, 48] - background).max() <= near
    assert np.array_equal(read_clip(path)[0], read_clip(path, background=(255, 255, 255))[0])
    kept = read_clip(path, background=None)[0].astype(int)
    assert kept.shape[-1] == 4
    assert np.abs(kept[:, 24, [8, 24, 48], 3] - (255, 128, 0)).max() <= 2
    assert np.abs(kept[:, 24, 8, :3] - (200, 40, 40)).max() <= near
    small = read_clip(path, 24, background=None)[0]
    assert small.shape[1:] == (24, 32, 4)
    visible = small[small[..., 3] > 8].astype(int)
    assert visible[:, 2].max() <= 60 + near  # nothing of the invisible blue
    on_white = read_clip(path, 24)[0].astype(int)
    after = [decode_pixels.compose(frame, (255, 255, 255)) for frame in small]
    assert np.abs(on_white - after).max() <= 5


def test_transparency_of_a_gif(tmp_path):
    frames = [np.zeros((16, 16, 4), np.uint8) for _ in range(3)]
    for index, frame in enumerate(frames):
        frame[4 * index : 4 * index + 4] = (200, 10, 10, 255)
    path = write_animation(tmp_path / "a.gif", frames, 40, disposal=2)
    assert read_header(path).alpha
    clip = read_clip(path, background=(1, 2, 3))[0]
    kept = read_clip(path, background=None)[0]
    for index in range(3):
        assert (clip[index, 4 * index : 4 * index + 4] == (200, 10, 10)).all()
        assert (clip[index, 13:] == (1, 2, 3)).all()
        assert (kept[index, ..., 3] == frames[index][..., 3]).all()


def test_the_fourth_byte_of_raw_avi_is_no_transparency(tmp_path):
    frames = [np.dstack([coded(number), np.zeros((48, 64), np.uint8)]) for number in range(3)]
    path = write_video(tmp_path / "a.avi", frames, 24, "rawvideo", "bgra")
    assert not read_header(path).alpha
    assert numbers(read_clip(path)[0]) == [0, 1, 2]


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "a.jpg", "a.png"])
def test_files_without_transparency_have_three_channels(tmp_path, name):
    path = tmp_path / name
    if name == "a.mp4":
        write_video(path, 3)
    elif name == "a.gif":
        write_animation(path, 3)
    else:
        Image.fromarray(coded(1)).save(path)
    assert not read_header(path).alpha
    assert read_clip(path, background=None)[0].shape[-1] == 3


# ------------------------------------------------------------------------------------------------ pictures, folders


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"])
def test_a_picture_is_a_clip_of_one_frame_at_any_rate(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(coded(77)).save(path)
    for rate in (None, 1.0, 60.0):
        clip, fps = read_clip(path, fps=rate)
        assert numbers(clip) == [77]
        assert fps == (rate or 10)
    header = read_header(path)
    assert (header.frames, header.width, header.height, header.variable) == (1, 64, 48, False)
    assert suffix in CLIP_SUFFIXES


def test_grey_palette_and_print_colours_become_rgb(tmp_path):
    for mode, suffix in (("L", ".png"), ("1", ".png"), ("P", ".png"), ("CMYK", ".jpg"), ("L", ".jpg"), ("LA", ".png")):
        path = tmp_path / f"{mode}{suffix}"
        Image.fromarray(coded(77)).convert(mode, dither=Image.Dither.NONE, palette=Image.Palette.ADAPTIVE).save(path)
        assert numbers(read_clip(path)[0]) == [77]


@pytest.mark.parametrize(
    ("name", "first", "step"),
    [("{}.png", 0, 1), ("{:06}.jpg", 1, 1), ("clip2_f-{}.webp", 98, 1), ("f{}.bmp", 0, 5), ("12_{}_left.png", 7, 3)],
)
def test_a_folder_of_numbered_frames_is_a_clip(tmp_path, name, first, step):
    folder = write_frames(tmp_path / "frames", 12, name, first, step)
    (folder / "notes.txt").write_text("no frame")
    (folder / ".hidden.png").write_text("no frame")
    clip, fps = read_clip(folder)
    assert fps == 12
    assert numbers(clip) == list(range(12))
    assert read_clip(folder, folder_fps=7.5)[1] == 7.5
    assert numbers(read_clip(folder, fps=6)[0]) == [0, 2, 4, 6, 8, 10]
    header = read_header(folder, folder_fps=6)
    assert (header.fps, header.frames, header.seconds, header.kind) == (6, 12, 2, "frames")


def test_a_folder_that_is_no_clip_is_named_with_its_fault(tmp_path):
    folder = write_frames(tmp_path / "frames", 6)
    (folder / "frame_0004.png").rename(tmp_path / "aside.png")
    assert refusal(folder) == "number 4 is missing, between frame_0003.png and frame_0005.png"
    Image.fromarray(coded(3, 32, 24)).save(folder / "frame_0004.png")
    assert refusal(folder) == "frame_0004.png has 32 × 24 pixels, but the first frame 64 × 48"
    assert numbers(read_clip(folder, end=0.2)[0]) == [0, 1]
    (folder / "frame_0004.png").write_bytes((tmp_path / "aside.png").read_bytes()[:60])
    with pytest.raises(ClipError, match=r"frame_0004\.png"):
        read_clip(folder)
    (folder / "frame_0004.png").unlink()
    (folder / "frame_4.jpg").write_bytes(b"")
    (folder / "frame_03.png").write_bytes(b"")
    assert "have the same number" in refusal(folder)
    (folder / "frame_03.png").unlink()
    (folder / "other_0007.png").write_bytes(b"")
    assert "different series" in refusal(folder)
    (folder / "other_0007.png").rename(folder / "cover.png")
    assert "cover.png has no number" in refusal(folder)


def test_a_folder_keeps_transparency_that_its_first_frame_has(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    Image.fromarray(_see_through()).save(folder / "1.png")
    Image.fromarray(coded(5)).save(folder / "2.png")
    kept = read_clip(folder, background=None)[0]
    assert kept.shape == (2, 48, 64, 4)
    assert (kept[1, ..., 3] == 255).all()
    (folder / "1.png").rename(folder / "3.png")
    assert "3.png has transparency" in refusal(folder, background=None)
    assert read_clip(folder)[0].shape == (2, 48, 64, 3)


# ---------------------------------------------------------------------------------------------------------- kinds


@pytest.mark.parametrize(
    ("name", "codec", "kind"),
    [
        ("a.mp4", "libx264", "mp4/h264"),
        ("a.m4v", "mpeg4", "m4v/mpeg4"),
        ("a.mov", "mjpeg", "mov/mjpeg"),
        ("a.mkv", "libx265", "mkv/hevc"),
        ("a.webm", "libvpx", "webm/vp8"),
        ("a.avi", "mpeg4", "avi/mpeg4"),
        ("a.mpg", "mpeg2video", "mpeg/mpeg2video"),
        ("a.ts", "libx264", "mpegts/h264"),
        ("a.wmv", "wmv2", "asf/wmv2"),
        ("a.flv", "flv", "flv/flv1"),
        ("a.ogv", "libvpx", "ogg/vp8"),
        ("a.3gp", "mpeg4", "3gp/mpeg4"),
        ("a.webp", None, "webp"),
        ("a.gif", None, "gif"),
        ("a.apng", None, "apng"),
    ],
)
def test_kinds_of_files_that_people_have(tmp_path, name, codec, kind):
    path = tmp_path / name
    if codec is None:
        write_animation(path, 26, 40)
    else:
        options = {"x265-params": INTRA} if codec == "libx265" else QUICK.get(codec)
        write_video(path, 26, 25, codec, "yuvj420p" if codec == "mjpeg" else "yuv420p", options)
    header = read_header(path)
    assert header.kind == kind
    assert (header.frames, header.fps) == (26, 25)
    assert numbers(read_clip(path)[0]) == list(range(26))
    assert path.suffix in CLIP_SUFFIXES


def test_what_a_file_is_counts_more_than_its_name(tmp_path):
    """Pages serve MP4 as .gif, and WebP as .jpg."""
    for name, other, count in (("a.mp4", "b.gif", 8), ("a.webp", "b.jpg", 8), ("a.gif", "b.mp4", 8), ("a.png", "b", 8)):
        path = tmp_path / name
        write_video(path, count, 25) if name == "a.mp4" else write_animation(path, count, 40)
        path.rename(tmp_path / other)
        assert numbers(read_clip(tmp_path / other)[0]) == list(range(count))
        assert read_header(tmp_path / other).fps == 25


def test_jpegs_one_behind_the_other_are_a_film(tmp_path):
    for name in ("a.mjpeg", "a.MJPG"):
        path = write_video(tmp_path / "film.mjpeg", 8, 25, "mjpeg", "yuvj420p").rename(tmp_path / name)
        assert numbers(read_clip(path)[0]) == list(range(8))
        assert read_header(path).frames == 8


def test_a_photo_with_a_second_picture_is_one_frame(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(coded(7)).save(path, format="MPO", save_all=True, append_images=[Image.fromarray(coded(8))])
    assert numbers(read_clip(path)[0]) == [7]
    assert read_header(path).kind == "jpeg"


def test_names_that_are_not_utf8(tmp_path):
    name = os.fsdecode(b"\xff\xfe")
    write_animation(tmp_path / "a.gif", 3).rename(tmp_path / f"{name}.gif")
    assert len(read_clip(tmp_path / f"{name}.gif")[0]) == 3
    write_video(tmp_path / "a.mp4", 3).rename(tmp_path / f"{name}.mp4")
    assert refusal(tmp_path / f"{name}.mp4") == "its name is not valid UTF-8; rename it"


def test_names_that_ffmpeg_would_read_otherwise(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("12:30 %03d.mp4", "http:a.mp4", "-y.mp4", 'Überraschung \'n "mehr".mp4'):
        write_video(tmp_path / "a.mp4", 5).rename(tmp_path / name)
        assert len(read_clip(name)[0]) == 5


def test_a_png_that_hides_its_first_picture(tmp_path):
    path = tmp_path / "a.png"
    images = [Image.fromarray(coded(number)) for number in (99, 0, 1, 2)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=40, default_image=True)
    assert numbers(read_clip(path)[0]) == [0, 1, 2]
    assert read_header(path).frames == 3


def test_one_frame_at_a_time_is_in_memory(tmp_path):
    frames = [coded(number, 320, 240) for number in range(80)]
    path = write_video(tmp_path / "a.mp4", frames, options={"preset": "ultrafast"})
    one = frames[0].nbytes
    del frames
    tracemalloc.start()
    try:
        for _ in open_clip(path, fps=48)[1]:
            pass
        assert tracemalloc.get_traced_memory()[1] < 8 * one
    finally:
        tracemalloc.stop()


# --------------------------------------------------------------------------------------------------- what is no clip


def test_what_is_not_there(tmp_path):
    assert refusal(tmp_path / "a.mp4") == "no such file"
    (tmp_path / "link.mp4").symlink_to(tmp_path / "gone.mp4")
    assert refusal(tmp_path / "link.mp4") == f"broken link to {tmp_path / 'gone.mp4'}"
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("no frame")
    assert "is a folder without frames" in refusal(tmp_path / "folder")
    (tmp_path / "a.png").write_bytes(b"")
    assert refusal(tmp_path / "a.png") == "the file is empty"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.mp4")[-100:] if len(str(tmp_path)) > 90 else str(tmp_path / "s.mp4"))
        assert refusal(tmp_path / "s.mp4") == "is not a file"


@pytest.mark.skipif(os.geteuid() == 0, reason="everything is readable for root")
@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "folder"])
def test_what_may_not_be_read(tmp_path, name):
    path = tmp_path / name
    path.mkdir() if name == "folder" else path.write_bytes(b"x")
    path.chmod(0)
    assert refusal(path) == "cannot be read: permission denied"
    path.chmod(0o700)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".ts", ".gif", ".webp", ".png", ".jpg"])
@pytest.mark.parametrize(
    "content",
    [
        b"A text that says nothing of moving pictures.\n" * 40,
        b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n/etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile '/etc/hostname'\n",
        b"1\n00:00:01,000 --> 00:00:02,000\nA subtitle.\n\n",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
        bytes(5000),
    ],
)
def test_what_is_something_else_is_refused(tmp_path, suffix, content):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    assert "not a" in refusal(path) or "no video stream" in refusal(path)
    with pytest.raises(ClipError):
        read_header(path)


def test_a_cover_picture_is_no_video(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=44100)
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        samples.rate = 44100
        picture = av.VideoFrame.from_ndarray(coded(1), format="rgb24").reformat(format="yuvj420p")
        container.mux(cover.encode(picture))
        container.mux(sound.encode(samples))
        container.mux(cover.encode(None))
        container.mux(sound.encode(None))
    assert refusal(path) == "no video stream"


@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.mp4", "a.mkv", "a.webm", "a.avi", "folder"])
def test_absurd_sizes_are_refused_before_they_are_decoded(tmp_path, monkeypatch, name):
    for module in (decode_pixels, decode_streams):
        monkeypatch.setattr(module, "MOST_PIXELS", 2000)
    path = tmp_path / name
    if name == "folder":
        write_frames(path, 2)
    elif path.suffix in (".png", ".gif"):
        write_animation(path, 3)
    else:
        codec = {".mkv": "ffv1", ".webm": "libvpx", ".avi": "mpeg4"}.get(path.suffix, "libx264")
        write_video(path, 3, codec=codec)
    with pytest.raises(ClipError, match=r"frames of (64 × 48 pixels are|unknown size, or of) more than"):
        open_clip(path)


def test_a_bomb_is_refused(tmp_path):
    path = tmp_path / "a.png"
    Image.new("1", (9, 9)).save(path)
    data = bytearray(path.read_bytes())
    for side, reason in (
        (9000, "frames of 9000 × 9000 pixels are more than 64 megapixels"),
        (60000, "not an image that can be read, or truncated (Image size (3600000000 pixels) exceeds limit of"),
    ):
        data[16:24] = side.to_bytes(4, "big") * 2
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
        path.write_bytes(data)
        assert refusal(path).startswith(reason)


def test_a_strip_is_not_resized_to_an_endless_one(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (2100, 100)).save(path)
    assert refusal(path, size=64) == "a strip of 2100 × 100 pixels; no side may be 20 times the other"
    assert read_clip(path)[0].shape == (1, 100, 2100, 3)
    Image.new("RGB", (2000, 100)).save(path)
    assert read_clip(path, 10)[0].shape == (1, 10, 200, 3)


def test_the_iterator_can_be_left_and_begun_anew(tmp_path):
    path = write_video(tmp_path / "a.mp4", 60)
    for _ in range(3):
        assert numbers(list(islice(open_clip(path)[1], 5))) == list(range(5))
