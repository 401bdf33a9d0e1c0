"""Clips: read whole, smooth, or with frames that show their own number and timestamps of one's choice."""

import struct
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image

from dvdgan.data.decode.clip import open_clip

BITS = 12
DARK, LIGHT = 30, 225


def read_clip(path, size=None, **options):
    """All frames that `open_clip` gives, uint8 ``[T, H, W, 3 or 4]``, and their rate in frames per second."""
    rate, frames = open_clip(path, size, **options)
    return np.stack(list(frames)), rate


def smooth(frames=12, height=32, width=48, seed=0):
    """Smooth colours that move, uint8 ``[T, H, W, 3]``."""
    y, x = np.mgrid[:height, :width] / height
    waves = [[np.sin(k * x + (seed + 1) * y + 0.3 * t + k) for k in (1, 2, 3)] for t in range(frames)]
    return (128 + 100 * np.moveaxis(waves, 1, -1)).astype(np.uint8)


def coded(number, width=64, height=48):
    """A frame that shows a number: 4 x 3 blocks, dark or light by its bits, uint8 ``[height, width, 3]``."""
    bits = np.array([number >> bit & 1 for bit in range(BITS)], bool).reshape(3, 4)
    blocks = np.where(bits, LIGHT, DARK).astype(np.uint8)
    rows, columns = np.arange(height) * 3 // height, np.arange(width) * 4 // width
    return np.repeat(blocks[rows][:, columns, None], 3, axis=-1)


def numbers(clip):
    """The numbers that frames show, from the middle of each block."""
    clip = np.asarray(clip)
    height, width = clip.shape[1:3]
    rows, columns = (2 * np.arange(3) + 1) * height // 6, (2 * np.arange(4) + 1) * width // 8
    bits = clip[:, rows][:, :, columns, 0].reshape(len(clip), BITS) > 128
    return (bits << np.arange(BITS)).sum(axis=1).tolist()


def write_video(
    path,
    frames=24,
    rate=24,
    codec="libx264",
    pix_fmt="yuv420p",
    options=None,
    gop=None,
    b_frames=None,
    ticks=None,
    time_base=None,
    tag=None,
    container_options=None,
):
    """Encode frames (a count of coded ones, uint8 RGB or RGBA arrays, or VideoFrames), at even times or at `ticks`.

    `tag` is called with the stream before the first frame.
    """
    frames = [coded(number) for number in range(frames)] if isinstance(frames, int) else frames
    convert = VideoReformatter().reformat
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=Fraction(rate).limit_denominator(1001), options=options or {})
        first = frames[0]
        size = (first.width, first.height) if isinstance(first, av.VideoFrame) else first.shape[1::-1]
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        stream.codec_context.thread_count = 1
        if gop is not None:
            stream.gop_size = gop
        if b_frames is not None:
            stream.max_b_frames = b_frames
        if time_base is not None:
            stream.codec_context.time_base = time_base
        if tag is not None:
            tag(stream)
        for index, frame in enumerate(frames):
            if not isinstance(frame, av.VideoFrame):
                rgb = av.VideoFrame.from_ndarray(
                    np.ascontiguousarray(frame), format="rgba" if frame.shape[-1] == 4 else "rgb24"
                )
                frame = convert(rgb, format=pix_fmt, threads=1)
            if ticks is not None:
                frame.pts, frame.time_base = ticks[index], time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def cut_mp4(source, path, frames):
    """An MP4 as phones trim it: an edit list hides what is before the cut, so many frames of a whole rate."""
    with av.open(str(source)) as given, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                packet.pts, packet.dts = packet.pts - 512 * frames, packet.dts - 512 * frames
                container.mux(packet)
    return path


def write_late(path, frames, late, rate=30):
    """Coded frames at a rate, H.264, that begin so many seconds after a tone."""
    second = 48000
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt, video.gop_size = 64, 48, "yuv420p", 30
        audio = container.add_stream("aac", rate=second)
        audio.layout = "mono"
        packets = []
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(coded(number), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = late * rate + number, Fraction(1, rate)
            packets += video.encode(frame)
        for block in range((late + frames // rate) * second // 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = second, 1024 * block, Fraction(1, second)
            packets += audio.encode(frame)
        packets += video.encode(None) + audio.encode(None)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def write_animation(path, frames=12, delays=80, **options):
    """An animated GIF, WebP or PNG by Pillow; `frames` is a count of coded ones, or arrays; delays in milliseconds."""
    frames = [coded(number) for number in range(frames)] if isinstance(frames, int) else frames
    images = [Image.fromarray(frame) for frame in frames]
    if path.suffix == ".webp":
        options = {"lossless": True, "exact": True, "minimize_size": False, "kmin": 1, "kmax": 1} | options
    images[0].save(path, save_all=True, append_images=images[1:], duration=delays, loop=0, **options)
    return path


def write_frames(folder, count=6, name="frame_{:04}.png", first=1, step=1):
    """A folder of numbered coded frames."""
    folder.mkdir()
    for index in range(count):
        Image.fromarray(coded(index)).save(folder / name.format(first + step * index))
    return folder


def turn_mp4(path, a, b, c, d):
    """Write the matrix that turns the picture into the header of an MP4's only track."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4
    at += 40 if data[at] == 0 else 52  # of a header with short or with long times
    data[at : at + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path
