"""How much clips move, measured beside the losses, which do not show frozen clips."""

from __future__ import annotations

import torch
from torch import Tensor

_LUMA = (0.2126, 0.7152, 0.0722)  # Rec. 709


def frame_differences(clips: Tensor) -> Tensor:
    """Mean absolute luma difference of successive frames, ``[B, T − 1]``, of clips ``[B, T, 3, H, W]`` in [−1, 1].

    In units of the full luma range: 1 is black to white everywhere.
    """
    weights = torch.tensor(_LUMA, device=clips.device).view(3, 1, 1)
    luma = (clips.detach().float() * weights).sum(2) / 2
    return (luma[:, 1:] - luma[:, :-1]).abs().mean((2, 3))


def motion(clips: Tensor) -> Tensor:
    """Median over time of `frame_differences`, ``[B]``: a wrong first frame does not fool it."""
    return frame_differences(clips).quantile(0.5, dim=1)


def first_frame_jump(clips: Tensor) -> Tensor:
    """The step from frame 0 to frame 1 in units of the clip's median step, ``[B]``; about 1 for even motion."""
    steps = frame_differences(clips)
    return steps[:, 0] / steps.quantile(0.5, dim=1).clamp_min(1e-4)
