"""Generated clips in files: what ``dvdgan generate`` writes, and anyone's folder, list or packed store."""

from __future__ import annotations

import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from dvdgan.config import DataConfig
from dvdgan.data.dataset import ClipDataset
from dvdgan.data.decode.clip import CLIP_SUFFIXES
from dvdgan.data.decode.pixels import resize
from dvdgan.data.errors import DataError
from dvdgan.data.sources import open_dataset
from dvdgan.data.store.clip_store import ClipStore, same_store
from dvdgan.data.store.writer import StoreWriter
from dvdgan.data.windows import Window
from dvdgan.evaluation.errors import EvaluationError
from dvdgan.evaluation.features.weights import file_sha256
from dvdgan.evaluation.real_clips import RealClips, middle_windows, real_clips

_WRITTEN = re.compile(r"\d{4,}-(.+)-seed\d+")  # the name of a clip that `dvdgan generate --out FOLDER` writes
_ANIMATED = (".gif", ".webp", ".png", ".apng")  # files whose last picture is often held for long
_ARRAYS = ".npz"


def open_folder(path: Path, size: int, frames: int, cache: Path) -> RealClips:
    """Clips in a folder (or list, packed store or .npz), such as another model's samples; see `open_dataset`.

    Where ``dvdgan generate`` wrote them, their classes are in their names or, of .npz, in an array. A last picture that
    a GIF holds counts once.

    Args:
        path: the folder; class folders in it give the clips their classes.
        size: height and width, in pixels; the short side is resized to it, and the middle cut out.
        frames: frames per clip; of a longer clip, the middle ones.
        cache: directory of the packed store that is made, outside the folder.

    Raises:
        DataError: there is no such folder, or nothing in it can be used.
        EvaluationError: all clips are shorter than `frames`, or a .npz file holds none.
    """
    arrays = _arrays_in(path)
    source = _packed(arrays, path, size, cache) if arrays else path
    try:
        store = open_dataset(
            DataConfig(source=str(source), split="all", short="loop"), size, min(frames, 2), cache
        ).store
    except DataError as error:  # of the packed store, which users do not know
        raise DataError(str(error).replace(f"{cache}:", f"{path}:", 1)) from None
    assert isinstance(store, ClipStore)
    longest = int(store.lengths.max())
    if longest < frames:
        raise EvaluationError(
            f"{path}: its longest clip has {longest} frames, but {frames} are compared; give frames={longest}"
        )
    dataset = ClipDataset(store, DataConfig(split="all"), size, frames)
    clips = middle_windows(dataset, "all", fps=DataConfig().fps, name=str(path))
    windows = [_moving(dataset, member, window) for member, window in enumerate(clips.windows)]
    clips = real_clips(dataset, windows, clips.labels, clips.name, clips.fps)
    return clips if clips.classes else _named(clips)


def _moving(dataset: ClipDataset, member: int, middle: Window) -> Window:
    """The middle window of a clip whose last picture, if a GIF or the like holds it, counts once.

    The clip counts as no shorter for that than a window, so that one that stands still as a whole stays.
    """
    store, frames = dataset.store, dataset.frames
    assert isinstance(store, ClipStore)
    spare = int(store.lengths[middle.clip]) - frames
    if not spare or not store.sources[middle.clip].lower().endswith(_ANIMATED):
        return middle
    clip = store.clip(middle.clip)
    moving = np.flatnonzero((clip[:-1] != clip[-1]).any((1, 2, 3)))
    length = int(moving[-1]) + 2 if len(moving) else 1
    start = max(0, length - frames) // 2
    return dataset.fixed_window(member, (start + 0.5) / spare) if start < spare else middle


def _named(clips: RealClips) -> RealClips:
    """Clips with the classes that stand in their names, if all are named as ``dvdgan generate`` names them."""
    sources = [Path(clips.dataset.store.sources[window.clip]).stem for window in clips.windows]
    found = [_WRITTEN.fullmatch(name) for name in sources]
    labels = [match[1] for match in found if match]
    if len(labels) < len(sources):
        return clips
    classes = sorted(set(labels))
    return replace(clips, classes=classes, labels=np.array([classes.index(label) for label in labels], np.int64))


def _arrays_in(path: Path) -> list[Path]:
    """The .npz files that a path is or holds; none where there are clips of other formats, too."""
    if path.is_file():
        return [path] if path.suffix.lower() == _ARRAYS else []
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else []
    if any(file.suffix.lower() in CLIP_SUFFIXES for file in files):
        return []
    return [file for file in files if file.suffix.lower() == _ARRAYS]


def _packed(files: list[Path], path: Path, size: int, cache: Path) -> Path:
    """The packed store of .npz files, made where it is not there."""
    about = {"source": "arrays", "files": [file_sha256(file) for file in files], "short_side": size}
    if same_store(cache, about) is not None:
        return cache
    loaded = [(file.name if path == file else str(file.relative_to(path)), *_loaded(file)) for file in files]
    if any(label is None for _, _, labels, _ in loaded for label in labels):
        loaded = [(name, video, [None] * len(video), fps) for name, video, _, fps in loaded]
    classes = sorted({label for _, _, labels, _ in loaded for label in labels if label is not None})
    with StoreWriter(cache, size, classes, about) as writer:
        for name, video, labels, fps in loaded:
            height, width = video.shape[2:4]
            shape = round(height * size / min(height, width)), round(width * size / min(height, width))
            for number, (clip, label) in enumerate(zip(video, labels)):
                frames = clip if shape == (height, width) else np.stack([resize(frame, shape) for frame in clip])
                writer.add(frames, 0 if label is None else classes.index(label), f"{name}, clip {number}", fps)
    return cache


def _loaded(file: Path) -> tuple[np.ndarray, list[str | None], float]:
    """Clips uint8 ``[N, T, H, W, 3]``, their classes, if they have any, and frames per second."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            video = arrays["video"] if "video" in arrays else arrays["clip"][None]
            labels: list[str | None] = [None] * len(video)
            if "labels" in arrays:
                labels = [str(label) or None for label in arrays["labels"]]
            fps = float(arrays["fps"]) if "fps" in arrays else DataConfig().fps
        if video.dtype != np.uint8 or video.ndim != 5 or video.shape[-1] != 3 or 0 in video.shape:
            raise ValueError(f"its clips are {video.dtype} {list(video.shape)}")
        if len(labels) != len(video) or not 0 < fps < 1e4:
            raise ValueError("its labels or its fps do not fit its clips")
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        mend = "it needs an array video, uint8 [N, T, H, W, 3], as dvdgan generate --out NAME.npz writes it"
        raise EvaluationError(f"{file}: cannot be read as clips ({error}); {mend}") from None
    return video, labels, fps
