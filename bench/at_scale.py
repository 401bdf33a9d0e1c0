"""What a data set of Kinetics-600's size costs: decoding, packing, reading from the disk, and opening its index.

    python bench/at_scale.py                    # some minutes, and 5 GiB in the folder for temporary files
    python bench/at_scale.py --out at-scale.json

Makes its own files: H.264 in MP4 as Kinetics' copies are, 340x256, 10 s at 25 frames per second, of FFmpeg's Mandelbrot
zoom, and shards of noise. Decoding, packing and opening are given in seconds of one core (processor time, which others
on the machine disturb little); reading in clips and MB per second of one process, with the files first dropped from the
system's cache and without the time that it waits for a processor, and then in seconds of a core, with the files in the
cache. Linux only. Writes JSON beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from dvdgan.config import DataConfig
from dvdgan.data.dataset import ClipDataset
from dvdgan.data.decode.clip import open_clip
from dvdgan.data.sources import pack_source
from dvdgan.data.store.clip_store import ClipStore
from dvdgan.data.store.index import Clip, shard_name
from dvdgan.data.store.writer import StoreWriter
from dvdgan.data.write.encode import write_clip
from reading import data_set, frames_of
from timing import undisturbed

FPS, SECONDS, HEIGHT, WIDTH = 25, 10, 256, 340
COPIES = 24  # of the file, when packing
CLIPS = 500_000  # of Kinetics-600
FRAMES = 125  # of a clip at 12.5 per second
BATCH = 64
PARTS = ["index", "decoding", "reading"]
Tell = Callable[[str, dict[str, float]], None]
OPEN = """
import sys, time
from dvdgan.data.store.clip_store import ClipStore
peak = lambda: int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0]) / 1024
before, start = peak(), time.process_time()
ClipStore.open(sys.argv[1]).identity
print(time.process_time() - start, peak() - before)
"""


def processor_seconds(call: Callable[[], object]) -> float:
    """Of this process and its ended children."""
    before = sum(os.times()[:4])
    call()
    return sum(os.times()[:4]) - before


def decoding(path: Path, size: int, **cut: float) -> float:
    """Seconds of a core for a file, or a part of it: the least of three times five."""

    def five() -> None:
        for _ in range(5):
            for _frame in open_clip(path, size, **cut)[1]:
                pass

    return min(processor_seconds(five) for _ in range(3)) / 5


def packing(config: DataConfig, out: Path, size: int) -> dict[str, float]:
    """Seconds of a core for each of the files, the start of the decoder's process included."""
    before = os.times()
    pack_source(config, out, size)
    user, system, decoding_user, decoding_system = (now - then for now, then in zip(os.times()[:4], before))
    writer, decoder = (user + system) / COPIES, (decoding_user + decoding_system) / COPIES
    return {"s of a core a clip": writer + decoder, "s of these in the one writer": writer}


def write_noise(path: Path, size: int, count: int, shards: int | None) -> ClipStore:
    """A store of clips of one noise, moved on by a byte for each."""
    noise = np.random.default_rng(0).integers(0, 256, (FRAMES, size, size * WIDTH // HEIGHT, 3), np.uint8)
    with StoreWriter(path, size, [], {}, shards=shards) as writer:
        for number in range(count):
            writer.begin_shard(number * (shards or 1) // count)
            noise.reshape(-1)[number] ^= 1
            writer.add(noise, 0, f"{number}", 12.5)
    return ClipStore.open(path)


def forget(store: ClipStore) -> None:
    """Drop a store's files from the system's cache."""
    for path in store.path.iterdir():
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read(store: ClipStore, size: int, frames: int, buffer: int | None) -> dict[str, float]:
    """One epoch, drawn in batches by one process: from the disk, and then some of it again, from the system's cache."""
    data = ClipDataset(store, DataConfig(split="all", shuffle_buffer=buffer), size, frames)
    window, steps = frames * size * int(store.widths[0]) * 3, len(data) // BATCH
    forget(store)
    start = undisturbed()
    for step in range(steps):
        data.batch(step, 0, BATCH, 1)
    rate = steps * BATCH / (undisturbed() - start)
    data.batch(0, 0, BATCH, 1)
    again = processor_seconds(lambda: [data.batch(0, 0, BATCH, 1) for _ in range(20)])
    return {"clips/s": rate, "MB/s": rate * window / 1e6, "s of a core a clip from the cache": again / 20 / BATCH}


def read_through(store: ClipStore) -> float:
    """MB per second of a plain program that reads all shards from their beginning to their end."""
    forget(store)
    start = undisturbed()
    for path in store.path.glob("*.tar"):
        with open(path, "rb", buffering=0) as file:
            while file.read(4 << 20):
                pass
    return store.bytes / 1e6 / (undisturbed() - start)


def write_index(path: Path, shards: int) -> None:
    """A store of Kinetics-600's size, in one file for no shards, as an index and files without content."""
    path.mkdir()
    rows = [
        Clip(number % 600, f"a class/{number:011x}_000010_000020.mp4", FRAMES, 64, 85, 3, 12.5, "train", "", "0" * 64)
        for number in range(CLIPS)
    ]
    rows = [clip._replace(sha256=f"{number:064x}") for number, clip in enumerate(rows)]
    length = sum(clip.bytes for clip in rows)
    index: dict[str, Any] = {
        "format": "dvdgan-store",
        "version": 2,
        "size": 64,
        "about": {},
        "bytes": length,
        "skipped": [],
    }
    index |= {"classes": [f"class {label}" for label in range(600)]}
    index["clips"] = dict(zip(Clip._fields, map(list, zip(*rows))))
    files = {"frames.u8": length}
    if shards:
        each, room = CLIPS // shards, rows[0].bytes + 4096
        files = {shard_name(number): each * room for number in range(shards)}
        index |= {"version": 3, "shards": [[each, each * room]] * shards}
        index["clips"]["offset"] = [1024 + number % each * room for number in range(CLIPS)]
    (path / "index.json").write_text(json.dumps(index), encoding="utf-8")
    for name, size in files.items():
        with open(path / name, "wb") as file:
            file.truncate(size)


def measure_index(folder: Path, tell: Tell) -> None:
    for shards in (0, 1000):
        path = folder / f"index-{shards}"
        write_index(path, shards)
        command = [sys.executable, "-c", OPEN, str(path)]
        seconds, peak = map(float, subprocess.run(command, check=True, capture_output=True).stdout.split())
        size = (path / "index.json").stat().st_size / 2**20
        name = f"index of {CLIPS:,} clips in {shards or 'no'} shards"
        tell(name, {"s of a core": seconds, "MiB of memory": peak, "MiB": size})


def measure_decoding(folder: Path, tell: Tell) -> None:
    path = write_clip(folder / "a.mp4", np.stack(frames_of(WIDTH, HEIGHT, FPS * SECONDS)), FPS)
    tell("file of 10 s", {"MB": path.stat().st_size / 1e6})
    cuts: dict[str, dict[str, float]] = {"all 250 frames": {}, "125 frames, at 12.5/s": {"fps": 12.5}}
    cuts["48 frames, at 12.5/s"] = {"fps": 12.5, "start": 3.0, "end": 6.84}
    for what, cut in cuts.items():
        for size in (64, 128, 256):
            tell(f"decoding {what}, short side {size} px", {"s of a core a clip": decoding(path, size, **cut)})
    config = DataConfig(source=str(data_set(folder / "clips", path)), target_fps=12.5, workers=1, shards=4)
    for size in (64, 128, 256):
        tell(f"packing 125 frames, short side {size} px", packing(config, folder / f"{size}", size))


def measure_reading(folder: Path, tell: Tell, gib: float) -> None:
    for size in (64, 128):
        count = int(gib * 2**30) // (FRAMES * size * (size * WIDTH // HEIGHT) * 3)
        store = write_noise(folder / f"noise-{size}", size, count, max(1, count // 100))
        tell(f"reading all shards of {size} px, one after another", {"MB/s": read_through(store)})
        for frames in (12, 48):
            for buffer in (None, 500):
                name = "all shuffled" if buffer is None else f"shards in turn, buffer {buffer}"
                tell(f"reading {frames} frames of {size} px, {name}", read(store, size, frames, buffer))
        shutil.rmtree(store.path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS, help="what to measure")
    parser.add_argument("--gib", type=float, default=4.0, help="size of the store that is read")
    parser.add_argument("--out", type=Path, default=Path("at-scale.json"), help="the JSON file")
    options = parser.parse_args()
    found: dict[str, dict[str, float]] = {}

    def tell(name: str, values: dict[str, float]) -> None:
        found[name] = values
        print(f"  {name:58} " + ", ".join(f"{number:.4g} {unit}" for unit, number in values.items()), flush=True)

    with tempfile.TemporaryDirectory() as temporary:
        if "index" in options.parts:
            measure_index(Path(temporary), tell)
        if "decoding" in options.parts:
            measure_decoding(Path(temporary), tell)
        if "reading" in options.parts:
            measure_reading(Path(temporary), tell, options.gib)
    options.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(options.out)


if __name__ == "__main__":
    main()
