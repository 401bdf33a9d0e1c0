"""The configuration of the data: which clips, how they are read, and how windows are cut from them."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from dvdgan.config.model import FrozenModel
from dvdgan.mirroring import with_opposites

LayoutName = Literal["auto", "folders", "flat", "frames", "list", "ucf101", "kinetics", "something-something"]

PHENOMENA = "phenomena"
"""The source that dvdgan renders itself."""

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


class PackSettings(FrozenModel):
    """What `dvdgan data pack` and `dvdgan data inspect` have beside the `DataConfig`."""

    size: int = Field(64, ge=32, le=512)
    """Short side of the packed frames, in pixels."""


class RenderSettings(FrozenModel):
    """Which of the phenomena `dvdgan data render` writes."""

    size: int = Field(64, ge=32, le=256)
    """Height and width, in pixels."""
    frames: int = Field(16, ge=2, le=4096)
    """Frames per clip."""
    clips_per_class: int = Field(20, ge=1, le=1_000_000)
    """Clips of each class."""
    seed: int = Field(0, ge=0, le=2**62)
    """Seed of the scenes."""
    split: Literal["train", "heldout"] = "train"
    """Which scenes; the two splits share none."""


class DataConfig(FrozenModel):
    """Which clips, how files are read, and how windows are cut from them."""

    source: str | None = None
    """`phenomena`, or the path of a folder of clips, of a list (.csv, .jsonl) or of a packed store. Set by --data."""
    layout: LayoutName = "auto"
    """How a folder is laid out: `folders` (one per class), `flat` (no classes), `frames` (folders of numbered frames,
    like BAIR), `list` (CSV or JSON: path, label, start, end, split, group), `ucf101` (with its official train/test
    lists), `kinetics` (CSVs and the usual file names), `something-something` (its JSON lists). auto detects it."""
    list_file: str | None = None
    """The list of clips: CSV, JSON or JSON lines; UCF-101's folder of lists; Kinetics' CSV or the folder of its CSVs.
    null: it is searched for in the source."""
    parts: bool = True
    """Folders named train, test or val, also as part of a name (sky_train), at any level, are parts of a split, not
    classes. false: they are ordinary folders."""
    class_depth: int | None = Field(None, ge=1, le=100)
    """Which folder level names the class: 1 is the first below the source, parts not counted. null: the first that not
    all clips share; folders of source videos are not classes."""
    fold: int = Field(1, ge=1, le=3)
    """Which of UCF-101's three official splits."""
    split: Literal["train", "test", "all"] = "train"
    """Which part of the clips is used, as the source or test_fraction divides them. Clips of neither part count as
    train."""
    test_fraction: float = Field(0.0, ge=0, lt=1)
    """Share of each class that is held out as the test part, where the source has none; 0 is none."""
    group: str | None = None
    """Regular expression on a clip's path. Clips with the same match (of its first group, or of all of it), such as
    near copies, are never on both sides of a split. Example: `(g[0-9]+)_c[0-9]+`. null: the source's own groups."""
    split_seed: int = Field(0, ge=0, le=2**63 - 1)
    """Seed of the choice of clips that test_fraction holds out."""
    target_fps: float | None = Field(None, gt=0, le=1000)
    """Read files at this many frames per second, by their timestamps: mixed sources then have one speed. null: each at
    its own rate."""
    folder_fps: float = Field(12.0, gt=0, le=1000)
    """Frames per second of folders of numbered frames, which have no rate of their own."""
    background: str = "#ffffff"
    """Background of transparent pixels: a colour as #rrggbb, or `random`, another colour each time that a clip is used
    (the store then has the transparency, too)."""
    max_seconds: float | None = Field(None, gt=0, le=1e6)
    """When packing, files longer than this are cut, by seeking, into `windows` clips of this length. null: none."""
    windows: int = Field(1, ge=1, le=10_000)
    """How many clips, evenly spread, are cut from a file longer than max_seconds."""
    short: Literal["skip", "loop", "ping_pong"] = "skip"
    """Clips shorter than a window: leave them out, repeat them from the start, or play them forwards and backwards
    (which shows time reversed: not where motion has a direction)."""
    pack: bool = True
    """Decode a folder once, before training, into a packed store in the run; false decodes while training."""
    shards: int | None = Field(None, ge=1, le=100_000)
    """When packing, write this many WebDataset tar shards, with clips in random order. null: one file."""
    shuffle_buffer: int | None = Field(None, ge=1, le=10**9)
    """Read tar shards one after another, in a random order for each epoch, and shuffle among this many clips: for disks
    that are slow at seeking. null: shuffle all clips of an epoch."""
    workers: int | None = Field(None, ge=1, le=1024)
    """Processes that decode; null is one per core."""
    decode_seconds: float = Field(20.0, gt=0, le=1e6)
    """A file whose decoder gives no frame for this many seconds is reported and skipped. What is packed already, in
    part or whole, keeps its skips under a higher limit: pack it to another place."""
    decode_gib: float = Field(4.0, gt=0, le=1e4)
    """A file whose decoding needs more memory than this, in GiB, is reported and skipped. As for decode_seconds, what
    is packed already keeps its skips."""
    stride: int = Field(1, ge=1, le=10_000)
    """Take every stride-th frame. Paper: 2 for Kinetics-600 synthesis."""
    crop: Literal["center", "random"] = "center"
    """Where the square is cut from a frame whose short side was resized to size."""
    flip: bool = False
    """Mirror clips left to right at random. Where a class has a direction, set flip_labels."""
    flip_labels: dict[str, str | None] = Field(default_factory=dict)
    """The class that a mirrored clip of each class shows, such as {pan-left: pan-right}, which includes the reverse.
    null: clips of this class are never mirrored. A class that is not named stays the same. The phenomena have such a
    map built in, which entries here override. Only with flip. Names that YAML reads as something else (yes, on, 01) go
    in quotes: {"yes": "no"}."""
    sampling: Literal["by_clip", "by_class"] = "by_clip"
    """Sample each clip equally often, or each class. Generated clips get their labels from the same distribution."""
    fps: float = Field(12.0, ge=0.1, le=1000)
    """Frames per second at which samples are written."""
    seed: int = Field(0, ge=0, le=2**63 - 1)
    """Seed of the rendered data (phenomena)."""
    clips_per_class: int = Field(400, ge=1, le=1_000_000)
    """How many clips of each class of the rendered data are made before training (phenomena)."""

    @field_validator("flip_labels", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        """Refuse names that YAML has read as other types: yes, no, on, off, null, 01, 3.10."""
        for name in (name for pair in value.items() for name in pair) if isinstance(value, dict) else ():
            if not isinstance(name, str) and (name is not None or None in value):
                raise ValueError(f'YAML reads a name here as {name}; put it in quotes, such as {{"yes": "no"}}')
        return value

    @model_validator(mode="after")
    def _check(self) -> DataConfig:
        if self.flip_labels and not self.flip:
            raise ValueError("flip_labels says what mirrored clips show: set data.flip=true, or data.flip_labels={}")
        try:
            with_opposites(self.flip_labels)
        except ValueError as error:
            raise ValueError(f"flip_labels: {error}") from None
        if self.background != "random" and not _COLOUR.fullmatch(self.background):
            raise ValueError(f"background is a colour such as #ffffff, or random, not {self.background!r}")
        if self.shards is not None and (not self.pack or self.source == PHENOMENA):
            raise ValueError("shards says how a folder of clips is packed: set data.shards=null")
        if self.shuffle_buffer is not None and self.sampling == "by_class":
            raise ValueError(
                "shuffle_buffer goes through all clips: set data.sampling=by_clip, or data.shuffle_buffer=null"
            )
        if self.windows > 1 and self.max_seconds is None:
            raise ValueError("windows says how many clips are cut from long files: set data.max_seconds, too")
        if self.split == "test" and self.source == PHENOMENA:
            raise ValueError("split=test has no clips here: the phenomena that train are all of the train part")
        return self

    @property
    def background_colour(self) -> tuple[int, int, int] | None:
        """The background as red, green and blue from 0 to 255; None where it is random."""
        if self.background == "random":
            return None
        red, green, blue = bytes.fromhex(self.background[1:])
        return red, green, blue
