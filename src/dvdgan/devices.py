"""Which device to use. Nothing else in dvdgan names one."""

from __future__ import annotations

import torch


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
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise DeviceError(f"device {name}: not usable here ({str(error).splitlines()[0]})") from None
    return device
