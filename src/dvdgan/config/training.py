"""The training: losses, optimisers, regularisation, checkpoints, health.

Where the paper (Clark, Donahue, Simonyan 2019, arXiv 1907.06571v2) fixes a value, the field's help says so; where it is
silent, the help says what was chosen.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from dvdgan.config.model import FrozenModel


class EmaConfig(FrozenModel):
    """The exponential moving average (EMA) of G's weights, with which samples are made."""

    decay: float = Field(0.9999, ge=0, lt=1)
    """Decay per G step. Paper: 0.9999."""
    start: int = Field(0, ge=0, le=10**9)
    """G step until which the EMA is a copy of G. Paper: 20,000."""
    warmup: bool = True
    """Use min(decay, (1 + n) / (10 + n)) after n steps, so that short runs are usable."""


class RegularisationConfig(FrozenModel):
    """Options that the paper does not use; all off by default."""

    r1: float = Field(0.0, ge=0, le=1e6)
    """Weight gamma of the R1 gradient penalty on real clips, gamma / 2 * |grad|^2."""
    r2: float = Field(0.0, ge=0, le=1e6)
    """Weight gamma of the R2 gradient penalty on generated clips."""
    every: int = Field(16, ge=1, le=10**6)
    """Apply R1 and R2 at every n-th discriminator step, n times as strong (lazy regularisation)."""
    lecam: float = Field(0.0, ge=0, le=1e6)
    """Weight of the LeCam penalty, which pulls scores to the moving average of the other side's."""
    lecam_decay: float = Field(0.99, ge=0, lt=1)
    """Decay of LeCam's moving averages per discriminator step."""
    reconstruction: float = Field(0.0, ge=0, le=1e6)
    """Weight, in G's loss, of the mean absolute difference between made frames and those that really followed the given
    ones (as in DGMR, there of the mean of several samples). Only with network.first_frames."""
    augment: list[Literal["color", "translation", "cutout"]] = Field(default_factory=list)
    """DiffAugment's transforms, random for each clip, on real and generated clips."""
    noise: float = Field(0.0, ge=0, le=10)
    """Standard deviation of Gaussian noise on all clips that discriminators see, whose pixels are in [-1, 1]: they
    cannot rely on details too fine for G to learn from (instance noise, Sonderby et al. 2017)."""
    noise_on: Literal["all", "spatial", "temporal"] = "all"
    """Which discriminators get that noise: all of them, or one. D_T alone is left details that it must not rely on, and
    D_S still sees frames as they are."""
    noise_end: float | None = Field(None, ge=0, le=10)
    """Standard deviation of that noise at training.steps, to which it goes evenly from noise: less noise lets G learn
    finer details. null: noise throughout."""


class HealthConfig(FrozenModel):
    """The health checks, which warn when a run goes wrong. None of this changes what is learned."""

    clips: int = Field(128, ge=0, le=100_000)
    """Clips made at every sheet to measure diversity, classes and distance from real clips; 0 is off."""
    grace: int = Field(1000, ge=0, le=10**9)
    """G steps before the first alarms, except of gradients: early clips are still, blurred and all alike."""
    window: int = Field(100, ge=1, le=10**6)
    """G steps over which logged values are averaged before they are compared with the thresholds."""
    motion: float = Field(0.5, ge=0, le=1e6)
    """Alarm when the frame difference of a class's generated clips is below this share of its real clips'."""
    first_frame: float = Field(2.0, gt=0, le=1e6)
    """Alarm when the step from frame 0 to 1, in units of a clip's median step, is this many times the real clips'."""
    diversity: float = Field(0.5, ge=0, le=1e6)
    """Alarm when layouts of generated clips differ less than this share of the differences of real ones."""
    saturated: float = Field(0.998, gt=0.5, le=1)
    """Alarm when a discriminator ranks this share of real clips above generated ones, and its loss is near 0."""
    equal: float = Field(0.52, ge=0.5, lt=1)
    """Alarm when a discriminator ranks only this share of real clips above generated ones (0.5 is chance)."""
    explosion: float = Field(30.0, gt=1, le=1e9)
    """Alarm when a gradient's norm is this many times its mean over the last hundred steps."""
    never_right: float = Field(0.05, ge=0, lt=1)
    """Alarm when no more than this share of a class's clips is taken for that class, over three checks. With more
    classes than clips / 8, some are not checked."""


class TrainingConfig(FrozenModel):
    """The training loop (paper, section 4)."""

    seed: int = Field(0, ge=0, le=2**63 - 1)
    """Seed of the initialisation and of everything random in training."""
    steps: int = Field(300_000, ge=1, le=10**9)
    """Generator steps. Paper: about 300,000 for synthesis."""
    batch_size: int = Field(512, ge=1, le=65_536)
    """Clips per step. Paper: 512."""
    d_steps: int = Field(2, ge=1, le=100)
    """Discriminator steps per generator step. Paper: 2."""
    start_from: str | None = None
    """A run's directory, a model directory, or the name of a built-in model (`dvdgan models`): a new run starts from
    its weights where names and shapes agree, to continue at a larger size, or on other clips. Optimisers and counters
    start anew. null: from the initialisation."""
    discriminators_first: int = Field(0, ge=0, le=10**9)
    """G steps at the start of a run in which only the discriminators learn: a few hundred with start_from, until they
    know the clips that new layers of G make."""
    reuse_fakes: bool = False
    """G learns from the clips that the last discriminator step scored, not from new ones: one forward pass of G less
    per step, about a fifth of a step's time with one discriminator step. Not in the paper."""
    long_clips: float = Field(0.0, ge=0, le=1)
    """Share of batches of generated clips that begin at a random later frame instead of the first, so that clips hold
    beyond network.frames: G makes the frames before without gradients, and the discriminators compare what follows with
    the same real clips, which are windows at random places of files that are longer. 0: clips longer than
    network.frames are never scored (paper). With per_step statistics, and without attention over time."""
    long_clips_until: int = Field(4, ge=2, le=1000)
    """Where such clips end at the latest, in multiples of network.frames. A time encoding repeats after 4."""
    loss: Literal["hinge", "relativistic"] = "hinge"
    """Hinge loss (paper), or R3GAN's relativistic pairing loss (wants r1 and r2)."""
    lr_g: float = Field(1e-4, gt=0, le=1)
    """Adam's learning rate for G. Paper: 1e-4."""
    lr_d: float = Field(5e-4, gt=0, le=1)
    """Adam's learning rate for the discriminators. Paper: 5e-4."""
    beta1: float = Field(0.0, ge=0, lt=1)
    """Adam's beta1. Paper's predecessor BigGAN: 0."""
    beta2: float = Field(0.999, ge=0, lt=1)
    """Adam's beta2. Paper's predecessor BigGAN: 0.999."""
    adam_eps: float = Field(1e-6, gt=0, le=1)
    """Adam's epsilon. BigGAN: 1e-6."""
    lr_warmup: int = Field(0, ge=0, le=10**9)
    """G steps over which the learning rates rise from 0, G's once discriminators_first are over: a few hundred with
    start_from, whose optimisers start anew."""
    lr_decay: Literal["none", "linear", "cosine"] = "none"
    """How the learning rates go to zero between decay_start and the last step."""
    decay_start: int = Field(0, ge=0, le=10**9)
    """G step from which learning rates decay."""
    ema: EmaConfig = Field(default_factory=EmaConfig)
    """The EMA of G's weights."""
    regularisation: RegularisationConfig = Field(default_factory=RegularisationConfig)
    """R1, R2, LeCam, reconstruction, DiffAugment and instance noise."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """bf16 autocast or fp32; auto takes the faster one on this device, measured at the start of a run."""
    memory_format: Literal["auto", "channels_last", "contiguous"] = "auto"
    """Layout of convolutions; auto takes the faster one on this device, measured at the start of a run."""
    accumulate: int = Field(1, ge=1, le=65_536)
    """Parts of each process's share of a batch, worked on one after the other, whose gradients make one step: for
    batches that do not fit into memory. Batch norm sees one part at a time (of all processes), not a larger batch;
    LeCam's averages move at every part. Not with reuse_fakes."""
    checkpointing: Literal["auto", "none", "stages", "chunks"] = "auto"
    """What the backward pass computes again instead of keeping it: less memory, about a quarter more operations.
    stages: all but the inputs of residual blocks, recurrences and attentions; the same results to the last bit. chunks:
    G makes clips by chunks of time, an eighth of a clip each, and keeps only its states in between; least memory, and
    gradients that are the same to rounding; like stages where statistics or attention see several frames. auto: the
    first of none, stages and chunks that fits into memory_gib, chosen when a run starts."""
    memory_gib: float | None = Field(None, gt=0, le=1e6)
    """Memory of each process, in GiB, by which checkpointing=auto chooses; what needs more is refused. null: by what
    the device has free; refused is what needs more than it has in all."""
    log_every: int = Field(10, ge=1, le=10**9)
    """Steps between lines of the log."""
    sample_every: int = Field(250, ge=1, le=10**9)
    """Steps between sample sheets and clips."""
    checkpoint_every: int = Field(250, ge=1, le=10**9)
    """Steps between checkpoints."""
    keep_checkpoints: int = Field(2, ge=1, le=10**6)
    """How many of the newest checkpoints are kept."""
    keep_every: int = Field(0, ge=0, le=10**9)
    """Also keep the checkpoint of every step that is a multiple of this; 0 is off."""
    keep_best: int = Field(1, ge=0, le=10**6)
    """Also keep this many checkpoints whose samples came closest to real clips: by evaluation.distance of the log where
    there is a classifier, else by check.score. Chosen anew where a run goes on with another classifier, other data or
    another health.clips, since scores then do not compare."""
    checkpoint_gib: float = Field(100.0, gt=0, le=1e9)
    """Disk space for a run's checkpoints, in GiB: beyond it all but the newest are removed, those of keep_every first.
    A checkpoint that is being written needs space besides."""
    sample_clips: int = Field(2, ge=1, le=64)
    """Clips per class on the sample sheets (at most 32 classes are shown)."""
    statistics_batches: int = Field(16, ge=1, le=10_000)
    """Batches over which the batch statistics of a finished model are re-estimated."""
    timeout: float = Field(600.0, gt=0, le=1e6)
    """Where several processes train as one: a process that does not hear from another for this many seconds ends. It
    must be longer than what the main one does alone: samples, checks and a checkpoint."""
    classifier: str | None = None
    """Directory of a classifier, made by `dvdgan train-classifier --data ... --out DIRECTORY` on clips of these
    classes. At every sheet it measures health.clips samples: how many it takes for their class, and their
    classifier Frechet distance from training clips, by which the best checkpoints are then chosen (keep_best). Nothing
    that is learned changes."""
    tensorboard: bool = False
    """Write the log to RUN/tensorboard as well; needs `pip install 'dvdgan[tensorboard]'`."""
    health: HealthConfig = Field(default_factory=HealthConfig)
    """The health checks."""

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
