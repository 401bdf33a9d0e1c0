"""The two parts of a data set: what is learned from, and held-out clips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dvdgan.config import DataConfig
from dvdgan.config.data import PHENOMENA
from dvdgan.data.dataset import ClipDataset
from dvdgan.data.layouts.listing import TEST
from dvdgan.data.rendering import packed_phenomena
from dvdgan.data.sources import list_source, open_dataset
from dvdgan.data.store.clip_store import ClipStore
from dvdgan.data.store.index import is_store
from dvdgan.evaluation.real_clips import RealClips, middle_windows


@dataclass(frozen=True)
class Parts:
    """Both parts of the data.

    Attributes:
        train: the clips to learn from.
        held_out: other clips, which nothing is learned from: one window in the middle of each.
        how: how the held-out clips came to be held out, in words.
        chosen_here: whether neither the source nor ``data.test_fraction`` holds any out: a training by the same
            configuration learns from them.
    """

    train: ClipDataset
    held_out: RealClips
    how: str
    chosen_here: bool = False

    def close(self) -> None:
        """End the processes that decode, if any."""
        self.train.store.close()
        self.held_out.dataset.store.close()


def open_parts(
    data: DataConfig,
    size: int,
    frames: int,
    folder: Path,
    held_out_fraction: float = 0.2,
    held_out_clips: int = 1000,
    seed: int = 0,
    keep: bool = False,
    say: Callable[[str], None] | None = None,
) -> Parts:
    """Open the training part and the held-out part of the clips that a configuration names.

    Held out are: of the phenomena, scenes of their other split, which are rendered; else the source's own test part
    (``data.test_fraction`` and ``data.group`` count); else, by whole groups, a fraction of each class.

    Args:
        data: the source and how it is read and divided; its ``split`` makes no difference.
        size: height and width, in pixels.
        frames: frames per clip.
        folder: where packed stores are made.
        held_out_fraction: what is held out of a source that has no test part, 0 to 1.
        held_out_clips: at most so many held-out phenomena, about, are rendered; other clips are all there.
        seed: of what is drawn in training.
        keep: use the stores that are there as they stand.
        say: where lines for the user go.

    Raises:
        DataError: the clips cannot be used, or there are not two groups of any class.
        StoreError: a packed store is damaged.
    """
    cache = folder / "data"
    divided = _is_divided(data, cache, keep, frames)
    chosen_here = data.test_fraction == 0 and not divided and not _is_rendered(data)
    fraction = held_out_fraction if chosen_here else data.test_fraction
    config = data.model_copy(update={"split": "train", "test_fraction": fraction})
    train = open_dataset(config, size, frames, cache, seed, keep, say)
    about = train.store.about
    if about.get("source") == PHENOMENA and not any(train.store.splits) and fraction == 0:
        other = "train" if about["split"] == "heldout" else "heldout"
        per_class = max(1, min(about["clips_per_class"], held_out_clips // len(train.classes)))
        place, settings = folder / "heldout", (about["size"], about["frames"], per_class, about["seed"])
        store = packed_phenomena(place, *settings, other)
        dataset = ClipDataset(store, DataConfig(split="all", stride=data.stride, short=data.short), size, frames, seed)
        return Parts(train, middle_windows(dataset, "test", fps=data.fps), f"scenes of the phenomena's {other} split")
    config = config.model_copy(update={"flip": False, "flip_labels": {}, "crop": "center", "split": "test"})
    dataset = open_dataset(config, size, frames, cache, seed, True, say)
    held_out = middle_windows(dataset, "test", fps=data.fps)
    how = "the source's test part"
    if fraction and not divided:
        how = f"{fraction:.0%} of each class, by whole groups (data.test_fraction)"
    return Parts(train, held_out, how, chosen_here)


def _is_rendered(data: DataConfig) -> bool:
    """Whether the clips are phenomena, of which there are always more scenes."""
    if data.source is None or data.source == PHENOMENA:
        return True
    return is_store(data.source) and ClipStore.open(data.source).about.get("source") == PHENOMENA


def _is_divided(data: DataConfig, cache: Path, keep: bool, frames: int) -> bool:
    """Whether the source has a test part of its own."""
    if data.source is None or data.source == PHENOMENA:
        return False
    store = Path(data.source) if is_store(data.source) else cache
    if store != cache or (keep and data.pack and is_store(cache)):
        return TEST in ClipStore.open(store).splits
    return any(entry.split == TEST for entry in list_source(data, pictures=frames == 1).entries)
