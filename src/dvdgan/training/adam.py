"""Adam (Kingma and Ba 2015) that keeps no first moment where beta1 is 0: that is the gradient itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class Adam(torch.optim.Optimizer):
    """`torch.optim.Adam` with ``fused=True``, to the last bit; 4 bytes a parameter less with beta1 = 0.

    Its state has the same names, so that one's checkpoint is the other's, whatever beta1 was: a first moment that is
    not needed goes, one that is missing begins at 0.

    Args:
        parameters: of one device and type.
        lr: learning rate; in ``param_groups``, where it may change.
        betas: beta1 and beta2.
        eps: epsilon.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, betas: tuple[float, float], eps: float) -> None:
        super().__init__(parameters, {"lr": lr})
        self.betas, self.eps = betas, eps

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update all parameters that have a gradient."""
        beta1, beta2 = self.betas
        for group in self.param_groups:
            learned = [p for p in group["params"] if p.grad is not None]
            if not learned:
                continue
            gradients = [p.grad for p in learned]
            states = [self._state_of(p) for p in learned]
            first = [state["exp_avg"] for state in states] if beta1 else gradients
            steps = [state["step"] for state in states]
            torch._foreach_add_(steps, 1)
            torch._fused_adam_(
                learned,
                gradients,
                first,
                [state["exp_avg_sq"] for state in states],
                [],
                steps,
                lr=group["lr"],
                beta1=beta1,
                beta2=beta2,
                weight_decay=0.0,
                eps=self.eps,
                amsgrad=False,
                maximize=False,
            )

    def _state_of(self, parameter: Tensor) -> dict[str, Tensor]:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), device=parameter.device)
        names = ["exp_avg", "exp_avg_sq"] if self.betas[0] else ["exp_avg_sq"]
        for name in names:
            if name not in state:
                state[name] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        if not self.betas[0]:
            state.pop("exp_avg", None)
        return state
