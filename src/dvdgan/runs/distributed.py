"""Several processes that train as one, over `torch.distributed`. In a single process nothing here does anything.

``torchrun``, or whatever else sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT, starts them. Process 0 is
the main one: it alone packs, writes, logs and speaks. Tensors on CPUs travel over gloo, those on GPUs over NCCL.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from dvdgan.runs.directory import TrainingError, TrainingFailed
from dvdgan.runs.signals import Interrupted

T = TypeVar("T")

_PATIENCE = timedelta(days=30)  # for what the main process does before a training: packing takes hours
_LOST = re.compile(r"gloo|nccl|ProcessGroup|TCPStore|closed by peer|connection reset|wait timeout", re.IGNORECASE)
_preparing: dist.ProcessGroup | None = None  # the same processes, with patience


def rank() -> int:
    """This process's number, from 0."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """How many processes train as one."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def is_main() -> bool:
    """Whether this is the process that writes."""
    return rank() == 0


@contextmanager
def joined(seconds: float, resumption: Callable[[], str]) -> Iterator[None]:
    """Join the other processes, if this one was started as one of several, and leave them at the end.

    Whatever ends one of them ends all. The first that fails speaks: of its own error, or of the loss of another.

    Args:
        seconds: how long a process waits for the others before it gives them up.
        resumption: what can be done after a loss, in words.

    Raises:
        TrainingFailed: another process ended without a word, or did not answer in time.
        SystemExit: with code 1, where another process has already said why.
    """
    global _preparing
    if int(os.environ.get("WORLD_SIZE", 1)) == 1 or not dist.is_available() or dist.is_initialized():
        yield
        return
    store, number, count = next(dist.rendezvous("env://"))
    dist.init_process_group(store=store, rank=number, world_size=count, timeout=timedelta(seconds=seconds))
    _preparing = dist.new_group(backend="gloo", timeout=_PATIENCE)
    if number > 0:
        logging.getLogger("dvdgan").setLevel(logging.ERROR)  # the main process gives the same warnings
    pass_on = False  # as after Ctrl-C before the first step, too
    try:
        yield
    except Interrupted:
        pass_on = True
        raise
    except Exception as error:
        first = True
        with contextlib.suppress(RuntimeError):  # the store went with its process
            first = store.add("dvdgan: failures", 1) == 1
        if not first:
            raise SystemExit(1) from None
        if isinstance(error, RuntimeError) and _LOST.search(str(error)):
            raise TrainingFailed(
                f"process {number} of {count}: another process ended, or did not answer for {seconds:g} s "
                f"(training.timeout); {resumption()}"
            ) from error
        raise
    else:
        pass_on = True
    finally:
        if pass_on:  # after a failure, nothing waits for what is under way: the end of the process closes it
            dist.destroy_process_group()
        _preparing = None


def own_device(device: torch.device) -> torch.device:
    """The accelerator of this process among those of its machine; a CPU is shared.

    Raises:
        TrainingError: the device is a single one.
    """
    if world_size() == 1 or device.type == "cpu":
        return device
    if device.index not in (None, torch.accelerator.current_device_index()):
        raise TrainingError(
            f"device {device}: each process takes its own; name no number, as in --device {device.type}"
        )
    index = int(os.environ.get("LOCAL_RANK", rank()))
    torch.accelerator.set_device_index(index)
    return torch.device(device.type, index)


def main_first(work: Callable[[], T]) -> T:
    """Do some work in the main process, then in the others; they wait as long as it takes."""
    if is_main():
        result = work()
    wait()
    return result if is_main() else work()


def from_main(work: Callable[[], T]) -> T:
    """Do some work in the main process only, and give all its result; they wait as long as it takes."""
    if world_size() == 1:
        return work()
    results = [work() if is_main() else None]
    dist.broadcast_object_list(results, 0, group=_preparing)
    return results[0]  # type: ignore[return-value]


def wait() -> None:
    """Wait until all processes are here, as long as it takes."""
    if world_size() > 1:
        dist.barrier(group=_preparing)


def gathered(rows: Tensor) -> Tensor:
    """The rows ``[n, …]`` of all processes in turn, ``[processes * n, …]``; each has as many."""
    if world_size() == 1:
        return rows
    parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(world_size())]
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts)


def take_from_main(tensors: Iterable[Tensor]) -> None:
    """Set tensors, in place, to those of the main process."""
    for tensor in tensors if world_size() > 1 else ():
        dense = tensor.detach().contiguous()
        dist.broadcast(dense, 0)
        tensor.detach().copy_(dense)
