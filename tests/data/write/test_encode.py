import os
import zipfile

import av
import numpy as np
import pytest
from PIL import Image

from dvdgan.data.decode.clip import open_clip
from dvdgan.data.errors import ClipError, DataError
from dvdgan.data.write.encode import signed_path, write_clip
from dvdgan.data.write.mark import check_free
from dvdgan.data.write.sheets import write_image
from support.clips import cut_mp4, read_clip, smooth, write_video
from support.errors import refused


def psnr(a, b):
    error = np.mean((a.astype(float) - b.astype(float)) ** 2)
    return 10 * np.log10(255**2 / max(error, 1e-9))


def lavfi(source, count):
    """Frames of one of FFmpeg's test sources, uint8 [T, H, W, 3]."""
    frames = []
    with av.open(source, format="lavfi") as container:
        for frame in container.decode(video=0):
            frames.append(frame.to_ndarray(format="rgb24"))
            if len(frames) == count:
                return np.stack(frames)
    raise AssertionError("the source ended")


def encode(path, count=48, codec="libx264", options=None):
    """A file made of one of FFmpeg's test sources, not by the writers under test."""
    return write_video(path, lavfi("testsrc2=s=128x96:r=24", count), 24, codec, container_options=options)


def sound(path):
    """A file of nothing but silence."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def clip():
    return smooth()


@pytest.mark.parametrize(("suffix", "least"), [(".mp4", 35), (".gif", 35), (".webp", 80)])
def test_clip_survives_writing_and_reading(tmp_path, clip, suffix, least):
    path = write_clip(tmp_path / "new" / f"clip{suffix}", clip, 12)
    back, fps = read_clip(path)
    assert back.shape == clip.shape
    assert psnr(back, clip) > least
    assert fps == pytest.approx(12, rel=0.01)
    assert os.listdir(path.parent) == [path.name]  # no temporary file left


def test_the_mark_is_where_the_formats_have_room_for_it(tmp_path, clip):
    sheets = [Image.open(write_image(tmp_path / f"sheet{suffix}", clip[0])) for suffix in (".png", ".jpg", ".webp")]
    for sheet in sheets:
        sheet.load()
        check_free(tmp_path / sheet.filename)
    assert sheets[0].text == {"Software": "made with dvdgan"}
    with Image.open(write_clip(tmp_path / "a.gif", clip, 12)) as image:
        image.seek(image.n_frames - 1)
        assert image.n_frames == len(clip)
    with signed_path(tmp_path / "a.npz") as path:
        np.savez(path, clip=clip)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert archive.comment == b"made with dvdgan"
        assert archive.testzip() is None
    webp = write_clip(tmp_path / "a.webp", clip, 12).read_bytes()
    assert int.from_bytes(webp[4:8], "little") + 8 == len(webp)
    with av.open(str(write_clip(tmp_path / "a.mp4", clip, 12))) as container:
        assert sum(packet.size > 0 for packet in container.demux(video=0)) == len(clip)


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webp"])
def test_a_still_clip_keeps_all_its_frames(tmp_path, clip, suffix):
    still = np.repeat(clip[:1], 7, axis=0)
    back, fps = read_clip(write_clip(tmp_path / f"still{suffix}", still, 10))
    assert back.shape == still.shape
    assert fps == pytest.approx(10, rel=0.01)


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webp"])
def test_a_clip_of_one_frame(tmp_path, clip, suffix):
    back, _ = read_clip(write_clip(tmp_path / f"one{suffix}", clip[:1], 12))
    assert back.shape == clip[:1].shape


def test_gif_with_few_colours_is_exact(tmp_path):
    clip = np.zeros((4, 16, 16, 3), np.uint8)
    for time in range(4):
        clip[time, :, : 4 * time] = (200, 30 + time, 90)
    back, _ = read_clip(write_clip(tmp_path / "a.gif", clip, 12))
    assert np.array_equal(back, clip)


@pytest.mark.parametrize(("suffix", "unit"), [(".gif", 10), (".webp", 1)])
def test_animations_loop_for_ever_with_delays_right_in_the_sum(tmp_path, clip, suffix, unit):
    image = Image.open(write_clip(tmp_path / f"a{suffix}", clip, 12))
    delays = []
    for index in range(image.n_frames):
        image.seek(index)
        image.load()
        delays.append(image.info["duration"])
    assert image.info["loop"] == 0
    assert np.abs(np.cumsum(delays) - np.arange(1, 13) * 1000 / 12).max() <= unit / 2 + 1e-6


@pytest.mark.parametrize("fps", [12, 23.976, 29.97, 7.5])
def test_mp4_keeps_the_rate(tmp_path, clip, fps):
    assert read_clip(write_clip(tmp_path / "a.mp4", clip, fps))[1] == pytest.approx(fps, rel=1e-3)


def test_mp4_is_tagged_and_starts_with_its_index(tmp_path, clip):
    path = write_clip(tmp_path / "a.mp4", clip, 12)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        codec = stream.codec_context
        assert (codec.name, codec.pix_fmt, stream.frames) == ("h264", "yuv420p", 12)
        assert (codec.color_range, codec.colorspace, codec.color_primaries, codec.color_trc) == (1, 1, 1, 1)


def test_mp4_is_the_same_each_time(tmp_path, clip):
    paths = [write_clip(tmp_path / f"{name}.mp4", clip, 12) for name in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_mp4_keeps_pure_colours(tmp_path):
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [0, 0, 0], [255, 255, 255], [200, 120, 40]], np.uint8)
    clip = np.broadcast_to(np.repeat(colours, 16, axis=0), (4, 16, 96, 3))
    back, _ = read_clip(write_clip(tmp_path / "a.mp4", clip, 12))
    assert np.abs(back[:, 8, 8::16].astype(int) - colours).max() <= 2


def test_mp4_pads_odd_sizes_by_repeating_the_edge(tmp_path, clip):
    odd = clip[:, :31, :33]
    back, _ = read_clip(write_clip(tmp_path / "a.mp4", odd, 12))
    assert back.shape == (12, 32, 34, 3)
    assert psnr(back[:, :31, :33], odd) > 36
    assert np.abs(back[:, 31].astype(int) - back[:, 30]).mean() < 6


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_animations_keep_odd_sizes(tmp_path, clip, suffix):
    assert read_clip(write_clip(tmp_path / f"a{suffix}", clip[:, :31, :33], 12))[0].shape == (12, 31, 33, 3)


@pytest.mark.parametrize(("colour_range", "white"), [(1, 235), (2, 255)])
def test_colour_range_of_the_file_is_followed(tmp_path, colour_range, white):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "0"})
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        stream.codec_context.color_range = colour_range
        planes = np.full((48, 32), 128, np.uint8)
        planes[:32] = white
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.color_range = colour_range
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert read_clip(path)[0].min() >= 253


@pytest.mark.parametrize(("suffix", "most"), [(".gif", 100), (".webp", 1000)])
def test_a_rate_that_the_format_cannot_time_is_refused(tmp_path, clip, suffix, most):
    assert read_clip(write_clip(tmp_path / f"a{suffix}", clip, most))[0].shape == clip.shape
    with refused(DataError, rf"fps to {most} "):
        write_clip(tmp_path / f"b{suffix}", clip, most + 1)
    assert os.listdir(tmp_path) == [f"a{suffix}"]


def test_sixteen_bits_of_grey_keep_their_brightness(tmp_path):
    grey = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    Image.fromarray(grey).save(tmp_path / "a.png")
    assert read_clip(tmp_path / "a.png")[0].tolist() == [[[[code] * 3 for code in (0, 1, 128, 255)]]]


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webp"])
def test_a_clip_that_is_not_read_holds_no_file(tmp_path, clip, suffix):
    path = write_clip(tmp_path / f"a{suffix}", clip, 12)
    _, frames = open_clip(path)
    path.unlink()  # the iterator opens it only now
    with pytest.raises(ClipError) as caught:
        next(frames)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("name", ["a.avi", "a", "a.mp3"])
def test_unknown_suffix_names_the_known_ones(tmp_path, clip, name):
    with pytest.raises(ValueError, match=r"\.mp4, \.gif, \.webp, not"):
        write_clip(tmp_path / name, clip, 12)


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webp"])
def test_what_is_no_clip_is_refused_and_leaves_the_old_file(tmp_path, clip, suffix):
    path = write_clip(tmp_path / f"a{suffix}", clip, 12)
    before = path.read_bytes()
    for wrong in (clip.astype(np.float32), clip[0], clip[:0]):
        with pytest.raises(ValueError, match="uint8"):
            write_clip(path, wrong, 12)
    with pytest.raises(ValueError, match="fps"):
        write_clip(path, clip, 0)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mov", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4")]
)
def test_files_of_other_makers_are_read(tmp_path, name, codec):
    path = encode(tmp_path / name, 10, codec)
    clip, fps = read_clip(path)
    assert clip.shape == (10, 96, 128, 3)
    assert fps == 24
    assert psnr(clip, lavfi("testsrc2=s=128x96:r=24", 10)) > 18  # the right pictures in the right order
    small = list(open_clip(path, 32)[1])
    assert len(small) == 10
    assert {frame.shape for frame in small} == {(32, 43, 3)}


@pytest.mark.parametrize("suffix", [".webp", ".png"])
def test_transparent_pixels_become_white(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:, :4] = (200, 10, 10, 255)
    pixels[:, 4:] = (1, 2, 3, 0)
    second = pixels.copy()
    second[0] = (0, 0, 255, 128)
    images = [Image.fromarray(p) for p in (pixels, second)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=50, lossless=True, exact=True, disposal=1)
    clip, fps = read_clip(path)
    assert fps == 20
    assert clip.shape == (2, 8, 8, 3)
    assert clip[0, 4].tolist() == [[200, 10, 10]] * 4 + [[255, 255, 255]] * 4


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm", "a.avi", "a.gif", "a.webp", "a.png"])
@pytest.mark.parametrize("content", [b"", b"not a video at all\n" * 50])
def test_what_is_no_video_is_named_in_one_line(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with refused(ClipError) as caught:
        read_clip(path)
    assert caught.value.path == path


def test_missing_file_folder_and_sound_only(tmp_path):
    for path in (tmp_path / "a.mp4", tmp_path, sound(tmp_path / "sound.mp4")):
        with refused(ClipError) as caught:
            open_clip(path)
        assert caught.value.path == path


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"),
        ("a.mov", "libx264"),
        ("a.mkv", "libx264"),
        ("a.avi", "mpeg4"),
        ("a.webp", ""),
        ("a.gif", ""),
    ],
)
@pytest.mark.parametrize("share", [0.9, 0.5])
def test_truncated_files_are_named(tmp_path, name, codec, share):
    path = tmp_path / name
    if codec:
        encode(path, 48, codec, options={"movflags": "+faststart"} if name == "a.mp4" else None)
        share -= 0.2  # the end of a Matroska file holds no frames, and losing a quarter of a second is forgiven
    else:
        write_clip(path, lavfi("testsrc2=s=64x64:r=24", 12), 12)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with refused(ClipError) as caught:
        read_clip(path)
    assert caught.value.path == path


def test_video_cut_by_an_edit_list_is_not_truncated(tmp_path):
    """Packets before the cut are in the file but not shown; fewer frames than packets is no fault."""
    clip, _ = read_clip(cut_mp4(encode(tmp_path / "a.mp4", 48), tmp_path / "b.mp4", 20))
    assert 20 <= len(clip) <= 48


def test_resize_keeps_aspect_and_averages_fine_patterns(tmp_path):
    checkerboard = (np.indices((256, 192)).sum(axis=0) % 2 * 255).astype(np.uint8)
    Image.fromarray(checkerboard).save(tmp_path / "a.png")
    (small,), _ = read_clip(tmp_path / "a.png", 32)
    assert small.shape == (43, 32, 3)
    assert np.abs(small.astype(int) - 128)[2:-2, 2:-2].max() <= 4
    (same,), _ = read_clip(tmp_path / "a.png", 192)
    assert np.array_equal(same[..., 0], checkerboard)
    assert read_clip(tmp_path / "a.png", 384)[0].shape == (1, 512, 384, 3)


def test_mp4_cut_between_two_frames_is_truncated(tmp_path):
    path = encode(tmp_path / "a.mp4", 48, options={"movflags": "+faststart"})
    with av.open(str(path)) as container:
        positions = sorted(packet.pos for packet in container.demux(video=0) if packet.size)
    os.truncate(path, positions[30])
    with pytest.raises(ClipError, match="truncated"):
        read_clip(path)


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_what_viewers_play_slower_is_said(tmp_path, clip, suffix, caplog):
    write_clip(tmp_path / f"a{suffix}", clip, 50)
    write_clip(tmp_path / "a.mp4", clip, 60)
    assert not caplog.records
    write_clip(tmp_path / f"b{suffix}", clip, 60)
    assert "b" + suffix in caplog.text
    assert "set fps to 50 or less" in caplog.text
