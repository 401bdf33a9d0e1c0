"""G: latent, class and perhaps first frames in, a whole clip out, in one forward pass (paper, section 3.1)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

from dvdgan.config import NetworkConfig
from dvdgan.networks import kernels
from dvdgan.networks.batch_norm import BatchNormReLU, LastStep
from dvdgan.networks.conditioning import ConditioningStack, CopyGiven
from dvdgan.networks.folding import unfold_time
from dvdgan.networks.kernels.layout import gradient_like
from dvdgan.networks.layers import Conv2d, Embedding, Linear, initialise
from dvdgan.networks.recomputed import recomputed
from dvdgan.networks.recurrent import spread_memory
from dvdgan.networks.stage import GeneratorStage

ATTENTION: dict[str, tuple[str, ...]] = {
    "none": (),
    "spatial": ("frame",),
    "full": ("clip",),
    "separable": ("height", "width", "time"),
}
"""The self-attention layers, in a row, of each choice of ``network.generator.attention``."""


class Generator(nn.Module):
    """G of DVD-GAN; with ``frames = 1`` it has no recurrence and is a generator of images (BigGAN).

    The latent z and the class embedding e(y) make the first tensor, ``[ch0, 4, 4]``. Each stage then unrolls a ConvGRU
    over time, and its residual blocks double the size: 4 stages for 64 px, 5 for 128, 6 for 256. Where first frames are
    given (DVD-GAN-FP), a conditioning stack makes the ConvGRUs' initial states from them, and G makes the next frames.

    Args:
        config: the networks' configuration.
        generator: random generator of the initialisation; None is PyTorch's global one.

    Attributes:
        chunk: in training mode clips are made by this many frames at a time, whose activations the backward pass
            computes again; None makes clips whole. Only where `chunks_are_exact`.
    """

    chunk: int | None = None

    def __init__(self, config: NetworkConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        g = config.generator
        self.config, self.frames, self.classes, self.z_dim = config, config.made_frames, config.classes, g.z_dim
        multipliers = config.generator_multipliers
        channels = [g.width * m for m in (g.stem_multiplier, *multipliers)]  # in and out of each stage

        # sizes of the condition c = [z; e(y)]; or of [e(y); chunk of z], in BigGAN's manner
        blocks = len(multipliers) * g.blocks_per_stage
        self.z_chunks = [g.z_dim // (blocks + 1)] * (blocks + 1) if g.hierarchical_z else None
        embed_dim = g.embed_dim if config.classes else 0
        condition_dim = embed_dim + (self.z_chunks[0] if self.z_chunks else g.z_dim)
        stem_dim = self.z_chunks[0] if self.z_chunks else condition_dim

        # class embedding and first layer
        self.embed = Embedding(config.classes, embed_dim, spectral_norm=False) if embed_dim else None
        self.stem = Linear(stem_dim, 4 * 4 * channels[0], bias=g.stem_bias, spectral_norm=g.spectral_norm)

        # stages, named by the pixels that they begin with: networks for other sizes agree in these names
        self.stages = nn.ModuleDict()
        moving = False  # whether a stage before has made the frames differ
        self._last_recurrent = 0  # index of a stage
        for index, (in_channels, out_channels) in enumerate(pairwise(channels)):
            size = 4 * 2**index
            recurrent = config.frames > 1 and (g.recurrent_at == "all" or size in g.recurrent_at)
            self.stages[f"stage_{size}"] = GeneratorStage(
                config,
                in_channels=in_channels,
                out_channels=out_channels,
                condition_dim=condition_dim,
                recurrent=recurrent,
                frames=self.frames if moving or recurrent else 1,
                time_channels=g.time_code if recurrent and not moving else 0,
                attend=ATTENTION[g.attention] if size == g.attention_at else (),
            )
            moving = moving or recurrent
            self._last_recurrent = index if recurrent else self._last_recurrent

        # output
        self.norm = BatchNormReLU(
            channels[-1],
            condition_dim if g.output_norm == "conditional" else 0,
            statistics_sets=self.frames if g.norm_statistics == "per_step" else 1,
            spectral_norm=g.spectral_norm,
        )
        self.to_rgb = Conv2d(channels[-1], 3, kernel_size=3, spectral_norm=g.spectral_norm)

        # conditioning on first frames
        self.conditioning = ConditioningStack(config) if config.first_frames else None
        self.copy_given = CopyGiven(channels[-1]) if g.copy_given else None

        initialise(self, generator)
        if g.gate_bias == "log_uniform":
            spread_memory(self, config.frames, generator)

    def forward(
        self,
        z: Tensor,
        labels: Tensor | None = None,
        frames: int | None = None,
        first: Tensor | None = None,
        after: int = 0,
    ) -> Tensor:
        """Make clips, or the continuation of first frames; or a window of longer clips.

        Args:
            z: latents ``[B, z_dim]``, from N(0, I).
            labels: classes ``[B]`` (integers), or mixtures of classes ``[B, classes]`` (floating); None when
                unconditional.
            frames: T, to be made; by default as in training. Another number works, too: the recurrence continues.
            first: the frames before, ``[B, D, 3, size, size]`` in [−1, 1], D being the configuration's
                ``first_frames``; None where that is 0.
            after: how many frames come before the T. They are not returned, and only their ConvGRU states are used,
                without gradient. With ``after``, steps beyond the trained length use the statistics of the last
                trained step in training mode, too, with gradient: a window is what a finished generator streams
                there.

        Returns:
            Clips ``[B, T, 3, size, size]`` in [−1, 1], without the first frames.

        Raises:
            ValueError: labels or first frames are missing, of another number, or given to a network without them;
                frames on an image network; after on one whose `chunks_are_exact` is false.
        """
        self._check_inputs(labels, first)
        frames = self.check_frames(frames)
        if after and not self.chunks_are_exact:
            raise ValueError("clips of this generator can only be made from their first frame on")
        states = self._first_states(first)
        last: LastStep | None = {} if after else None
        given = list(states.values()) if after else []
        if after:
            states = self._states_after(after, z, labels, states, last)
        if not (self.training and self.chunk):
            clips = self._make_frames(z, labels, after, frames, states=states or None, last=last)
        else:
            parts = []
            for start in range(after, after + frames, self.chunk):
                count = min(self.chunk, after + frames - start)
                part, states = recomputed(self._go_on, z, labels, start, count, states, last)
                parts.append(part)
            clips = torch.cat(parts, 1)
        for state in given:
            clips = clips + 0 * state.sum()  # a zero gradient: replicas need one for every weight
        return clips

    @torch.no_grad()
    def stream(
        self,
        z: Tensor,
        labels: Tensor | None = None,
        frames: int | None = None,
        chunk: int = 1,
        first: Tensor | None = None,
    ) -> Iterator[Tensor]:
        """Make clips some frames at a time, in order, keeping only the ConvGRUs' states: the frames of `forward`.

        Args:
            z: see `forward`.
            labels: see `forward`.
            frames: T.
            chunk: frames at a time; memory grows with it.
            first: see `forward`.

        Yields:
            ``[B, chunk, 3, size, size]`` in [−1, 1]; the last one may have fewer frames.

        Raises:
            ValueError: as `forward`; chunk is below 1, the network is in training mode, whose batch norm sees whole
                clips, or it attends over time.
        """
        self._check_inputs(labels, first)
        frames = self.check_frames(frames)
        if chunk < 1:
            raise ValueError(f"chunk must be 1 frame or more, not {chunk}")
        if self.training:
            raise ValueError("a generator in training mode cannot stream: call eval() first")
        if self.attends_over_time and chunk < frames:
            raise ValueError("this generator attends over time: its clips can only be made whole")
        states = self._first_states(first)
        for start in range(0, frames, chunk):
            yield self._make_frames(z, labels, start, min(chunk, frames - start), states)

    @property
    def attends_over_time(self) -> bool:
        """Whether frames depend on later ones, so that clips can only be made whole."""
        return bool({"clip", "time"} & set(ATTENTION[self.config.generator.attention]))

    @property
    def chunks_are_exact(self) -> bool:
        """Whether training by chunks of time gives the same clips: no batch norm or attention spans several frames."""
        return self.frames > 1 and self.config.generator.norm_statistics == "per_step" and not self.attends_over_time

    def _check_inputs(self, labels: Tensor | None, first: Tensor | None) -> None:
        given, wanted = 0 if first is None else first.shape[1], self.config.first_frames
        if given != wanted:
            raise ValueError(
                f"this generator takes {wanted} first frames, not {given}" if wanted else "it takes no first frames"
            )
        if (labels is None) != (self.classes == 0):
            raise ValueError(
                "this generator is unconditional: pass no labels" if labels is not None else "labels are missing"
            )

    def check_frames(self, frames: int | None) -> int:
        """A number of frames, by default the configuration's, if this network can make so many.

        Raises:
            ValueError: below 1, or more than 1 from an image network.
        """
        frames = self.frames if frames is None else frames
        if frames < 1 or (self.config.frames == 1 and frames > 1):
            raise ValueError(f"frames must be 1 for an image generator and at least 1 for clips, not {frames}")
        return frames

    def _first_states(self, first: Tensor | None) -> dict[str, Tensor]:
        """What goes on from first frames: the ConvGRUs' states by their stage's name, and the frame that is copied."""
        if self.conditioning is None or first is None:
            return {}
        copied = {} if self.copy_given is None else {"given": first[:, -1]}
        return self.conditioning(first) | copied

    def _states_after(
        self, frames: int, z: Tensor, labels: Tensor | None, states: dict[str, Tensor], last: LastStep | None
    ) -> dict[str, Tensor]:
        """The states after so many frames, without gradient; see `_make_frames`.

        In training mode the last trained step, if it is among them, is made with gradient, for its statistics: without
        it the gradient of weights would ignore that these statistics follow them.
        """
        states = {name: state.detach() for name, state in states.items()}
        start, once = 0, self.frames - 1  # number of the last trained step
        if self.training and frames > once:
            self._advance(z, labels, 0, once, states, last)
            _, states = self._go_on(z, labels, once, 1, states, last)
            states, start = {name: state.detach() for name, state in states.items()}, once + 1
        self._advance(z, labels, start, frames, states, last)
        return states

    @torch.no_grad()
    def _advance(
        self,
        z: Tensor,
        labels: Tensor | None,
        start: int,
        stop: int,
        states: dict[str, Tensor],
        last: LastStep | None,
    ) -> None:
        """Bring states from before frame ``start`` to before frame ``stop``, in place."""
        length = self.chunk or self.frames
        for begin in range(start, stop, length):
            self._make_frames(z, labels, begin, min(length, stop - begin), states=states, last=last, only_states=True)

    def _go_on(
        self,
        z: Tensor,
        labels: Tensor | None,
        start: int,
        frames: int,
        states: dict[str, Tensor],
        last: LastStep | None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """`_make_frames` that leaves ``states`` unchanged, and returns those after the last frame."""
        after = dict(states)
        return self._make_frames(z, labels, start, frames, after, last), after

    def _make_frames(
        self,
        z: Tensor,
        labels: Tensor | None,
        start: int,
        frames: int,
        states: dict[str, Tensor] | None = None,
        last: LastStep | None = None,
        only_states: bool = False,
    ) -> Tensor:
        """Frames ``start`` to ``start + frames`` of clips.

        Args:
            z: latents ``[B, z_dim]``.
            labels: see `forward`.
            start: number of the first frame.
            frames: how many, T here.
            states: of each stage's ConvGRU before the first frame, by the stage's name (absent ones are zero); those
                after the last frame replace them.
            last: see `BatchNormReLU.forward`.
            only_states: compute nothing that the states do not need.

        Returns:
            ``[B, T, 3, size, size]``; with ``only_states``, what the last ConvGRU makes.
        """
        batch = len(z)

        # condition -> affine -> [ch0, 4, 4], the input of the first recurrence at every time step
        stem_input, conditions = self._conditions(z, labels)
        x = self.config.generator.stem_gain * self.stem(stem_input)  # [B, 4 * 4 * ch0]
        x = x.view(batch, 4, 4, -1).permute(0, 3, 1, 2)  # [B, ch0, 4, 4], channels last

        # stages: ConvGRU over time, then residual blocks on each frame
        per_stage = self.config.generator.blocks_per_stage
        moving = False  # x is [B, C, S, S] until a recurrence makes it [T * B, C, S, S]
        for index, (name, stage) in enumerate(self.stages.items()):
            of_stage = conditions[index * per_stage : (index + 1) * per_stage]
            before = None if states is None else states.get(name)
            ends = only_states and index == self._last_recurrent
            x, state = stage(
                x, of_stage, frames, constant=not moving, start=start, state=before, last=last, only_state=ends
            )
            moving = moving or state is not None
            if states is not None and state is not None:
                states[name] = state.clone()  # a view would keep all of the ConvGRU's output
            if ends:
                return x
        if not moving:
            frames = 1

        # norm, ReLU, conv3, tanh
        features = self.norm(x, conditions[-1], frames, start=start, last=last)  # [T * B, C, size, size]
        x = self.to_rgb(features)  # [T * B, 3, size, size]
        if kernels.enabled:
            x = gradient_like(x)
        x = torch.tanh(x)
        # what is given, moved
        if self.copy_given is not None and states is not None:
            x = self.copy_given(features, x, states["given"], frames)
        return unfold_time(x, frames)  # [B, T, 3, size, size]

    def _conditions(self, z: Tensor, labels: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """The first layer's input, and each block's condition ``[B, D]``; the last one also serves the output norm."""
        embedded = [self.embed(labels)] if self.embed is not None else []
        if self.z_chunks is None:
            condition = torch.cat([z, *embedded], 1)
            return condition, [condition] * (len(self.stages) * self.config.generator.blocks_per_stage)
        first, *rest = z.split(self.z_chunks, 1)
        return first, [torch.cat([*embedded, chunk], 1) for chunk in rest]
