"""How quick clips are read: decoding by format, packing in processes, and drawing batches for training.

    python bench/reading.py                    # a minute or two on two cores
    python bench/reading.py --out reading.json

Makes its own files: H.264 in MP4 (320x240, 10 s at 24 fps, 64x64 px wanted), VP9 in WebM, animated WebP with
transparency (256x256, 72 frames, as the emoji of `scripts/fetch_fluent_emoji.py`), GIF, and folders of PNG frames. All
figures are clips per second and frames per second of one run, with the ratio to decoding in one process; medians with
half the range in percent. Writes JSON beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

from dvdgan.config import DataConfig
from dvdgan.data.decode.clip import open_clip
from dvdgan.data.sources import open_dataset, pack_source
from dvdgan.data.write.encode import write_clip
from timing import BUSY, OtherLoad, Timing, measure

SIZE, FRAMES, BATCH = 64, 16, 16
COPIES = 24  # files of a data set


def frames_of(width: int, height: int, count: int) -> list[np.ndarray]:
    """Frames of FFmpeg's Mandelbrot zoom, uint8 ``[H, W, 3]``."""
    with av.open(f"mandelbrot=s={width}x{height}:r=24", format="lavfi") as container:
        return [frame.to_ndarray(format="rgb24") for frame, _ in zip(container.decode(video=0), range(count))]


def make_files(folder: Path) -> dict[str, Path]:
    """One file of each kind."""
    wide, square = np.stack(frames_of(320, 240, 240)), np.stack(frames_of(256, 256, 72))
    files = {
        "mp4, H.264, 320x240, 240 frames": write_clip(folder / "a.mp4", wide, 24),
        "webm, VP9, 320x240, 240 frames": _webm(folder / "a.webm", wide),
        "webp, RGBA, 256x256, 72 frames": _webp(folder / "a.webp", square),
        "gif, 256x256, 72 frames": write_clip(folder / "a.gif", square, 24),
    }
    (folder / "numbered").mkdir()
    for number, frame in enumerate(square):
        Image.fromarray(frame).save(folder / "numbered" / f"{number:04d}.png")
    return files | {"folder of PNG, 256x256, 72 frames": folder / "numbered"}


def _webm(path: Path, clip: np.ndarray) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=24, options={"deadline": "realtime", "cpu-used": "8"})
        stream.height, stream.width, stream.pix_fmt = clip.shape[1], clip.shape[2], "yuv420p"
        for frame in clip:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def _webp(path: Path, clip: np.ndarray) -> Path:
    y, x = np.mgrid[: clip.shape[1], : clip.shape[2]] / clip.shape[1] - 0.5
    alpha = np.where(x**2 + y**2 < 0.2, 255, 0).astype(np.uint8)[..., None]
    first, *rest = (Image.fromarray(np.concatenate([frame, alpha], -1)) for frame in clip)
    first.save(path, save_all=True, append_images=rest, duration=42, loop=0, quality=80, method=0)
    return path


def decode(path: Path) -> int:
    """Read a whole file at the size that training wants; the number of its frames."""
    return sum(1 for _ in open_clip(path, SIZE)[1])


def data_set(folder: Path, file: Path) -> Path:
    """A folder of two classes with many copies of a file."""
    data = file.read_bytes()
    for index in range(COPIES):
        place = folder / "ab"[index % 2] / f"{index}{file.suffix}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return folder


def figures(name: str, call: Callable[[], Any], clips: int, frames: int, seconds: float) -> dict[str, float]:
    """Clips and frames per second of a call that reads so many."""
    timing: Timing = measure(call, seconds, least=2)
    found = {"clips/s": clips / timing.median, "frames/s": frames / timing.median, "spread": timing.spread}
    print(
        f"  {name:46} {found['clips/s']:9.1f} clips/s {found['frames/s']:9.0f} frames/s (±{100 * timing.spread:.0f} %)"
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="how long to time each thing for")
    parser.add_argument("--out", type=Path, default=Path("reading.json"), help="the JSON file")
    options = parser.parse_args()
    load, found = OtherLoad(), {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = make_files(folder)
        print(f"decoding whole files in one process, short side to {SIZE} px")
        for name, path in files.items():
            found[name] = figures(name, lambda path=path: decode(path), 1, decode(path), options.seconds)
        mp4 = next(iter(files))
        source = data_set(folder / "clips", files[mp4])

        print(f"{COPIES} such MP4 files, two classes; batches of {BATCH} clips of {FRAMES} frames at {SIZE} px")
        config = DataConfig(source=str(source))
        every = 240 * COPIES
        again = iter(range(10**6))
        pack = lambda: pack_source(config, folder / f"store-{next(again)}", SIZE)  # noqa: E731
        found["packing"] = figures("packing, with the start of its processes", pack, COPIES, every, options.seconds)
        steps = iter(range(10**6))
        for what, settings in {"from a packed store": {"pack": True}, "decoded when drawn": {"pack": False}}.items():
            data = open_dataset(config.model_copy(update=settings), SIZE, FRAMES, folder / "cache", seed=0)
            draw = lambda data=data: data.batch(next(steps), 0, BATCH, 1)  # noqa: E731
            found[what] = figures(f"batches {what}", draw, BATCH, BATCH * FRAMES, options.seconds)
            data.store.close()
        ratio = found["from a packed store"]["clips/s"] / found["decoded when drawn"]["clips/s"]
        found["packed over decoded"] = ratio
        print(f"  a packed store gives {ratio:.0f} times as many clips per second")
    share = load.share()
    found["load of others"] = share
    if share is not None and share > BUSY:
        print(f"warning: other processes used {100 * share:.0f} % of the processors: these figures are too slow")
    options.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(options.out)


if __name__ == "__main__":
    main()
