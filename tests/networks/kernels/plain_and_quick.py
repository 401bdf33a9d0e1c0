"""The plain and the quick form of the same call, side by side."""

from unittest.mock import patch

import torch

from dvdgan.networks import kernels, power_iterate, use_channels_last

LAYOUTS = [torch.contiguous_format, torch.channels_last]
TYPES = [torch.float64, torch.float32, torch.bfloat16]
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5, torch.bfloat16: 0.1}
"""Largest norm of the difference of two tensors, in units of the norm of the plain one. In bf16 a ReLU clips about one
value of 500 in one form and not in the other, which alone makes 0.05 for gradients."""


def assert_forms_agree(run, inputs, dtype):
    """Outputs of ``run()`` and their gradients with respect to inputs: quick form against plain form.

    In bf16 the call runs under autocast, whatever the type of the inputs.
    """
    quick, plain = outcome(run, inputs, dtype, enabled=True), outcome(run, inputs, dtype, enabled=False)
    assert len(quick) == len(plain) > len(inputs)
    for index, (ours, theirs) in enumerate(zip(quick, plain)):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype), index
        error = (ours.double() - theirs.double()).norm() / theirs.double().norm().clamp_min(1e-12)
        assert error <= TOLERANCE[dtype], (index, float(error))


def outcome(run, inputs, dtype, enabled):
    """A call's output and gradients, in one form."""
    with patch.object(kernels, "enabled", enabled):
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            y = run()
        weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(9)).to(y.dtype)
        return [y.detach(), *torch.autograd.grad((y * weights).sum(), inputs)]


def randomised(module, dtype, layout):
    """A module with random parameters in a type (fp32 for bf16, as in training) and in a memory layout."""
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    for name, buffer in module.named_buffers():
        if name.endswith(("u", "v")):
            torch.nn.init.normal_(buffer)
    module.to(torch.float64 if dtype == torch.float64 else torch.float32)
    if layout == torch.channels_last:
        use_channels_last(module)
    power_iterate(module, 5)
    return module


def activations(*shape, dtype, layout):
    """``[N, C, H, W]`` that wants a gradient."""
    return torch.randn(shape).to(dtype).contiguous(memory_format=layout).requires_grad_()
