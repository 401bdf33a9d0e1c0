"""The configuration: one tree of typed models. `dvdgan.config_files` reads it from YAML and overrides it.

Every check names the field it is about. Where the paper (Clark, Donahue, Simonyan 2019, arXiv 1907.06571v2) fixes a
value, the field's help says so; where it is silent, the help says what was chosen.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import yaml
from pydantic import Field, field_validator, model_validator

from dvdgan.mirroring import with_opposites
from dvdgan.network_config import FrozenModel, NetworkConfig

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


class DataConfig(FrozenModel):
    """Which clips, how files are read, and how windows are cut from them."""

    source: str | None = None
    """`phenomena`, or the path of a folder of clips, of a list (.csv, .jsonl) or of a packed store. Set by --data."""
    layout: Literal["auto", "folders", "flat", "frames", "list", "ucf101", "kinetics", "something-something"] = "auto"
    """How a folder is laid out: `folders` (one per class), `flat` (no classes), `frames` (folders of numbered frames,
    like BAIR), `list` (CSV or JSON: path, label, start, end, split, group), `ucf101` (with its official train/test
    lists), `kinetics` (CSVs and the usual file names), `something-something` (its JSON lists). auto looks."""
    list_file: str | None = None
    """The list of clips: CSV, JSON or JSON lines; UCF-101's folder of lists; Kinetics' CSV or the folder of its CSVs.
    null: it is looked for in the source."""
    parts: bool = True
    """Folders named train, test or val, also with something before or behind it (sky_train), at any level, are parts of
    a split and no classes. false: they are folders like others."""
    class_depth: int | None = Field(None, ge=1, le=100)
    """Which folder names the class: 1 is the first below the source, parts not counted. null: the first that not all
    clips share; folders of source videos are no classes."""
    fold: int = Field(1, ge=1, le=3)
    """Which of UCF-101's three official splits."""
    split: Literal["train", "test", "all"] = "train"
    """Which part of the clips is used, as the source or test_fraction divides them. Clips of neither part train."""
    test_fraction: float = Field(0.0, ge=0, lt=1)
    """Share of each class that is held out as the test part, where the source does not say; 0 is none."""
    group: str | None = None
    """Regular expression that finds, in a clip's path, what near copies share (its first group, or all that matches);
    such clips never lie on both sides of a split. Example: `(g[0-9]+)_c[0-9]+`. null: the source's own groups."""
    split_seed: int = Field(0, ge=0, le=2**63 - 1)
    """Seed of the choice that test_fraction makes."""
    target_fps: float | None = Field(None, gt=0, le=1000)
    """Read files at this many frames per second, by their timestamps: mixed sources then move at one speed. null: each
    at its own rate."""
    folder_fps: float = Field(12.0, gt=0, le=1000)
    """Frames per second of folders of numbered frames, which do not say it."""
    background: str = "#ffffff"
    """What shows through transparent pixels: a colour as #rrggbb, or `random`, another colour each time that a clip is
    drawn (the store then keeps the transparency)."""
    max_seconds: float | None = Field(None, gt=0, le=1e6)
    """When packing, files longer than this are cut, by seeking, into `windows` clips of this length. null: none."""
    windows: int = Field(1, ge=1, le=10_000)
    """How many clips, evenly spread, are cut from a file longer than max_seconds."""
    short: Literal["skip", "loop", "ping_pong"] = "skip"
    """Clips shorter than a window: leave them out, play them again from the start, or forwards and backwards (which
    shows time reversed: not where movement has a direction)."""
    pack: bool = True
    """Decode a folder once, before training, into a packed store in the run; false decodes while training."""
    shards: int | None = Field(None, ge=1, le=100_000)
    """When packing, write this many WebDataset tar shards, with clips in random order. null: one file."""
    shuffle_buffer: int | None = Field(None, ge=1, le=10**9)
    """Read tar shards one after another, in an order drawn for each epoch, and shuffle among so many clips: for disks
    that are slow at seeking. null: shuffle all clips of an epoch."""
    workers: int | None = Field(None, ge=1, le=1024)
    """Processes that decode; null is one per core."""
    decode_seconds: float = Field(20.0, gt=0, le=1e6)
    """A file whose decoder gives no frame for so many seconds is reported and skipped."""
    decode_gib: float = Field(4.0, gt=0, le=1e4)
    """A file whose decoding needs more memory than this, in GiB, is reported and skipped."""
    stride: int = Field(1, ge=1, le=10_000)
    """Take every stride-th frame. Paper: 2 for Kinetics-600 synthesis."""
    crop: Literal["center", "random"] = "center"
    """Where the square is cut from a frame whose short side was resized to size."""
    flip: bool = False
    """Mirror clips left to right at random. Where a class has a direction, say in flip_labels what becomes of it."""
    flip_labels: dict[str, str | None] = Field(default_factory=dict)
    """Which class a mirrored clip of a class shows, such as {pan-left: pan-right}, which says the reverse as well.
    null: clips of this class are never mirrored. A class that is not named stays itself. The phenomena have such a map
    built in, and entries here go over it. Only with flip. Names that YAML reads as something else (yes, on, 01) go in
    quotes: {"yes": "no"}."""
    sampling: Literal["by_clip", "by_class"] = "by_clip"
    """Draw each clip equally often, or each class. Fakes get their labels from the same distribution."""
    fps: float = Field(12.0, gt=0, le=1000)
    """Frames per second at which samples are written."""
    seed: int = Field(0, ge=0, le=2**63 - 1)
    """Seed of the rendered data (phenomena)."""
    clips_per_class: int = Field(400, ge=1, le=1_000_000)
    """How many clips of each class of the rendered data are made before training (phenomena)."""

    @field_validator("flip_labels", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        """Refuse names that YAML has read as something else: yes, no, on, off, null, 01, 3.10."""
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
        if self.shards is not None and (not self.pack or self.source == "phenomena"):
            raise ValueError("shards says how a folder of clips is packed: set data.shards=null")
        if self.shuffle_buffer is not None and self.sampling == "by_class":
            raise ValueError(
                "shuffle_buffer goes through all clips: set data.sampling=by_clip, or data.shuffle_buffer=null"
            )
        if self.windows > 1 and self.max_seconds is None:
            raise ValueError("windows says how many clips are cut from long files: set data.max_seconds, too")
        if self.split == "test" and self.source == "phenomena":
            raise ValueError("split=test has no clips here: the phenomena that train are all of the train part")
        return self

    @property
    def background_colour(self) -> tuple[int, int, int] | None:
        """The background as red, green and blue from 0 to 255; None where it is random."""
        if self.background == "random":
            return None
        red, green, blue = bytes.fromhex(self.background[1:])
        return red, green, blue


class EmaConfig(FrozenModel):
    """The moving average of G's weights, which is what samples."""

    decay: float = Field(0.9999, ge=0, lt=1)
    """Decay per G step. Paper: 0.9999."""
    start: int = Field(0, ge=0, le=10**9)
    """G step until which the average is a copy of G. Paper: 20,000."""
    warmup: bool = True
    """Use min(decay, (1 + n) / (10 + n)) after n steps, so that short runs are usable."""


class RegularisationConfig(FrozenModel):
    """Options that the paper does not use; all off by default."""

    r1: float = Field(0.0, ge=0, le=1e6)
    """Weight gamma of the R1 gradient penalty on real clips, gamma / 2 * |grad|^2."""
    r2: float = Field(0.0, ge=0, le=1e6)
    """Weight gamma of the R2 gradient penalty on generated clips."""
    every: int = Field(16, ge=1, le=10**6)
    """Apply R1 and R2 at every n-th discriminator step, n times as strong (lazily)."""
    lecam: float = Field(0.0, ge=0, le=1e6)
    """Weight of the LeCam penalty, which pulls scores to the moving average of the other side's."""
    lecam_decay: float = Field(0.99, ge=0, lt=1)
    """Decay of LeCam's moving averages per discriminator step."""
    reconstruction: float = Field(0.0, ge=0, le=1e6)
    """Weight, in G's loss, of the mean absolute difference between made frames and those that really followed the given
    ones (as in DGMR, there of the mean of several samples). Only with network.first_frames."""
    augment: list[Literal["color", "translation", "cutout"]] = Field(default_factory=list)
    """DiffAugment's transforms, one draw per clip, on real and generated clips."""


class HealthConfig(FrozenModel):
    """When a run says that something goes wrong with it. None of this changes what is learned."""

    clips: int = Field(128, ge=0, le=100_000)
    """Clips that are made at every sheet to measure variety, classes and distance from real clips; 0 is off."""
    grace: int = Field(1000, ge=0, le=10**9)
    """G steps before alarms, but for gradients: young clips are still, blurred and all alike."""
    window: int = Field(100, ge=1, le=10**6)
    """G steps over which logged values are averaged before they are compared with the thresholds."""
    motion: float = Field(0.5, ge=0, le=1e6)
    """Alarm when the frame difference of a class's generated clips is below this share of its real clips'."""
    first_frame: float = Field(2.0, gt=0, le=1e6)
    """Alarm when the step from frame 0 to 1, in units of a clip's median step, is this many times the real clips'."""
    diversity: float = Field(0.5, ge=0, le=1e6)
    """Alarm when the layouts of generated clips differ less than this share of how much real clips' do."""
    saturated: float = Field(0.998, gt=0.5, le=1)
    """Alarm when a discriminator ranks this share of real clips above generated ones, and its loss is near 0."""
    equal: float = Field(0.52, ge=0.5, lt=1)
    """Alarm when a discriminator ranks only this share of real clips above generated ones (0.5 is chance)."""
    explosion: float = Field(30.0, gt=1, le=1e9)
    """Alarm when a gradient's norm is this many times its mean over the last hundred steps."""
    never_right: float = Field(0.05, ge=0, lt=1)
    """Alarm when no more than this share of a class's clips is taken for that class, over three checks. With more
    classes than clips / 8, some are not looked at."""


class TrainingConfig(FrozenModel):
    """The training loop (paper, section 4)."""

    seed: int = Field(0, ge=0, le=2**63 - 1)
    """Seed of the initialisation and of every draw in training."""
    steps: int = Field(300_000, ge=1, le=10**9)
    """Generator steps. Paper: about 300,000 for synthesis."""
    batch_size: int = Field(512, ge=1, le=65_536)
    """Clips per step. Paper: 512."""
    d_steps: int = Field(2, ge=1, le=100)
    """Discriminator steps per generator step. Paper: 2."""
    start_from: str | None = None
    """A run's directory, a model directory, or the name of a built-in model (`dvdgan models`): a new run starts from
    its weights where names and shapes agree. So a run at a smaller size is grown, and one on other clips taught yours.
    Optimisers and counters start anew. null: from the initialisation."""
    discriminators_first: int = Field(0, ge=0, le=10**9)
    """G steps at the start of a run in which only the discriminators learn: some hundred with start_from, until they
    know the clips that new layers of G make."""
    reuse_fakes: bool = False
    """G learns from the clips that the last discriminator step scored, not from new ones: a forward pass of G less per
    step, about a fifth of a step's time with one discriminator step. The paper does not say."""
    loss: Literal["hinge", "relativistic"] = "hinge"
    """Hinge loss (paper), or R3GAN's relativistic pairing loss (wants r1 and r2)."""
    lr_g: float = Field(1e-4, gt=0, le=1)
    """Adam's learning rate for G. Paper: 1e-4."""
    lr_d: float = Field(5e-4, gt=0, le=1)
    """Adam's learning rate for both discriminators. Paper: 5e-4."""
    beta1: float = Field(0.0, ge=0, lt=1)
    """Adam's beta1. Paper's predecessor BigGAN: 0."""
    beta2: float = Field(0.999, ge=0, lt=1)
    """Adam's beta2. Paper's predecessor BigGAN: 0.999."""
    adam_eps: float = Field(1e-6, gt=0, le=1)
    """Adam's epsilon. BigGAN: 1e-6."""
    lr_warmup: int = Field(0, ge=0, le=10**9)
    """G steps over which the learning rates rise from 0: some hundred with start_from, whose optimisers start anew."""
    lr_decay: Literal["none", "linear", "cosine"] = "none"
    """How the learning rates go to zero between decay_start and the last step."""
    decay_start: int = Field(0, ge=0, le=10**9)
    """G step from which learning rates decay."""
    ema: EmaConfig = Field(default_factory=EmaConfig)
    """The moving average of G's weights."""
    regularisation: RegularisationConfig = Field(default_factory=RegularisationConfig)
    """R1, R2, LeCam and DiffAugment."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """bf16 autocast or fp32; auto takes the quicker one on this device, measured at the start of a run."""
    memory_format: Literal["auto", "channels_last", "contiguous"] = "auto"
    """Layout of convolutions; auto takes the quicker one on this device, measured at the start of a run."""
    accumulate: int = Field(1, ge=1, le=65_536)
    """Parts of each process's share of a batch, worked on one after the other, whose gradients make one step: for
    batches that do not fit into memory. It is no larger batch for batch norm, which sees one part at a time (of all
    processes); LeCam's averages move at every part. Not with reuse_fakes."""
    checkpointing: Literal["auto", "none", "stages", "chunks"] = "auto"
    """What the backward pass computes again, which then need not be kept: less memory, about a quarter more time.
    stages: all but the inputs of residual blocks, recurrences and attentions; the same results to the last bit. chunks:
    G makes clips by chunks of time, an eighth of a clip each, and keeps only its states in between; least memory, and
    gradients that are the same to rounding; like stages where statistics or attention see several frames. auto: the
    first of none, stages and chunks that fits into memory_gib, chosen when a run starts. true is stages, false none."""
    memory_gib: float | None = Field(None, gt=0, le=1e6)
    """Memory of each process, in GiB, by which checkpointing=auto chooses; what needs more is refused. null: what the
    device has free, and has in all."""
    log_every: int = Field(10, ge=1, le=10**9)
    """Steps between lines of the log."""
    sample_every: int = Field(250, ge=1, le=10**9)
    """Steps between sample sheets and clips."""
    checkpoint_every: int = Field(250, ge=1, le=10**9)
    """Steps between checkpoints."""
    keep_checkpoints: int = Field(2, ge=1, le=10**6)
    """How many of the newest checkpoints are kept."""
    keep_every: int = Field(0, ge=0, le=10**9)
    """Keep the checkpoint of every step that is a multiple of this, too; 0 is off."""
    keep_best: int = Field(1, ge=0, le=10**6)
    """Keep so many checkpoints whose samples came closest to real clips, too: by evaluation.distance of the log where
    there is a classifier, else by check.score."""
    checkpoint_gib: float = Field(100.0, gt=0, le=1e9)
    """Room for a run's checkpoints, in GiB: beyond it, all but the newest go, those of keep_every first. While one is
    written it needs room besides."""
    sample_clips: int = Field(2, ge=1, le=64)
    """Clips per class on the sample sheets (at most 32 classes are shown)."""
    statistics_batches: int = Field(16, ge=1, le=10_000)
    """Batches over which the batch statistics of a finished model are re-estimated."""
    timeout: float = Field(600.0, gt=0, le=1e6)
    """Where several processes train as one: a process that does not hear from another for so many seconds ends. Longer
    than what the main one does alone: samples, checks and a checkpoint."""
    classifier: str | None = None
    """Directory of a classifier, made by `dvdgan train-classifier --data ... --out DIRECTORY` on clips of these
    classes. At every sheet it measures health.clips samples: how many it takes for their class, and their
    classifier Frechet distance from training clips, by which the best checkpoints are then chosen (keep_best). Nothing
    that is learned changes."""
    tensorboard: bool = False
    """Write the log to RUN/tensorboard as well; needs `pip install 'dvdgan[tensorboard]'`."""
    health: HealthConfig = Field(default_factory=HealthConfig)
    """When a run says that something goes wrong with it."""

    @field_validator("checkpointing", mode="before")
    @classmethod
    def _stages_or_none(cls, value: Any) -> Any:
        return {True: "stages", False: "none"}.get(value, value) if isinstance(value, bool) else value

    @model_validator(mode="after")
    def _check(self) -> TrainingConfig:
        reg = self.regularisation
        if self.keep_every % self.checkpoint_every:
            raise ValueError(
                f"keep_every ({self.keep_every}) must be a multiple of checkpoint_every ({self.checkpoint_every})"
            )
        if self.classifier is not None and self.health.clips < 2:
            raise ValueError(
                "classifier looks at health.clips samples: set training.health.clips=2 or more, or classifier=null"
            )
        if self.accumulate > 1 and self.reuse_fakes:
            raise ValueError(
                "reuse_fakes keeps the whole batch's graph, which accumulate is to avoid: set "
                "training.reuse_fakes=false, or training.accumulate=1"
            )
        if self.loss == "relativistic" and (reg.r1 == 0 or reg.r2 == 0 or reg.every != 1):
            raise ValueError(
                "loss=relativistic is stable only with both gradient penalties at every step: set "
                "training.regularisation.r1 and .r2 above 0 and .every=1"
            )
        if self.loss == "relativistic" and reg.lecam:
            raise ValueError("regularisation.lecam goes with loss=hinge: set training.regularisation.lecam=0")
        if self.lr_decay != "none" and self.decay_start >= self.steps:
            raise ValueError(f"decay_start ({self.decay_start}) must be below steps ({self.steps})")
        return self


class Config(FrozenModel):
    """A whole configuration: what `dvdgan train` reads and what a model directory keeps."""

    name: str = "custom"
    """Name of the preset."""
    description: str = ""
    """One line that says what it is for."""
    network: NetworkConfig = Field(default_factory=NetworkConfig)
    """The networks."""
    data: DataConfig = Field(default_factory=DataConfig)
    """The clips."""
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    """The training."""

    def to_yaml(self) -> str:
        """The whole tree as YAML text; `dvdgan.config_files.load_config` reads it back to an equal configuration."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, width=120)

    @model_validator(mode="after")
    def _check(self) -> Config:
        if self.training.regularisation.reconstruction and not self.network.first_frames:
            raise ValueError(
                "training.regularisation.reconstruction compares with what followed given frames: set "
                "network.first_frames, or training.regularisation.reconstruction=0"
            )
        size, group, parts = self.training.batch_size, self.network.group, self.training.accumulate
        if size % group:
            raise ValueError(
                f"training.batch_size ({size}) must be a multiple of the discriminators' group ({group}), clips of one "
                f"class that are scored together: set training.batch_size={max(size // group, 1) * group}, or "
                "network.spatial.group=1 and network.temporal.group=1"
            )
        if size % (group * parts):
            of = f" of groups of {group} clips" if group > 1 else ""
            least = group * parts
            raise ValueError(
                f"training.batch_size ({size}) cannot be cut into training.accumulate ({parts}) equal parts{of}: set "
                f"training.batch_size={-(-size // least) * least}, or training.accumulate=1"
            )
        return self
