"""What this machine can hold: memory, and disks."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def machine_memory() -> float:
    """Bytes of memory; infinite where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return float("inf")


def free_memory() -> float:
    """Bytes of memory that new work can have; where the system does not say, all of the machine's."""
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024  # in kB, as the kernel calls 1024 bytes
    except (OSError, KeyError, ValueError):
        return machine_memory()


def free_disk(path: Path) -> float:
    """Bytes that are free on the disk of a place, which need not be there yet; infinite where the system is silent."""
    place = next(above for above in (path.absolute(), *path.absolute().parents) if above.exists())
    try:
        return shutil.disk_usage(place).free
    except OSError:
        return float("inf")


def gib(size: float) -> str:
    """Bytes, for people."""
    return f"{size / 2**30:,.1f} GiB"
