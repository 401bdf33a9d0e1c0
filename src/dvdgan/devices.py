"""Which device to use, which nothing else in dvdgan names, and at what precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from dvdgan.capacity import free_memory, machine_memory


class DeviceError(ValueError):
    """A device that PyTorch does not know, or that is not there."""


def pick_device(name: torch.device | str | None) -> torch.device:
    """The named device; for None the accelerator that PyTorch finds, else the CPU.

    Raises:
        DeviceError: the device is not usable here.
    """
    if name is None:
        found = torch.accelerator.current_accelerator(check_available=True)
        return found if found is not None else torch.device("cpu")
    try:
        device = torch.device(name)
        torch.zeros((), device=device).item()  # a device without values, such as meta, is none
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        raise DeviceError(f"device {name}: not usable here ({str(error).splitlines()[0]})") from None
    return device


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """Autocast to bfloat16 for precision ``bf16``; nothing for ``fp32``."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


@contextmanager
def full_fp32() -> Iterator[None]:
    """Convolve and multiply fp32 in fp32: accelerators otherwise shorten it to TF32, and batches differ by 1e-3."""
    before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    try:
        torch.backends.cudnn.allow_tf32 = False
        torch.set_float32_matmul_precision("highest")
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before[0]
        torch.set_float32_matmul_precision(before[1])


def memory_of(device: torch.device) -> float:
    """Bytes of memory of a device, in all; infinite where neither the system nor PyTorch says."""
    if device.type == "cpu":
        return machine_memory()
    return _memory_info(device)[1]


def free_memory_of(device: torch.device) -> float:
    """Bytes of memory of a device that nobody uses; infinite where neither the system nor PyTorch says."""
    if device.type == "cpu":
        return free_memory()
    return _memory_info(device)[0]


def _memory_info(device: torch.device) -> tuple[float, float]:
    """Free bytes and all bytes of an accelerator."""
    try:
        return torch.accelerator.get_memory_info(device)
    except (AttributeError, RuntimeError):  # not before PyTorch 2.9
        return float("inf"), float("inf")
