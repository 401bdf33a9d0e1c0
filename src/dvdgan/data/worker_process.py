"""Inside a process that decodes: the limits of its task, and the reason if the task cannot be done.

Imports little, since each process that starts imports it.
"""

from __future__ import annotations

import errno
import faulthandler
import math
import os
import pickle
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import parent_process
from typing import Any

from dvdgan.data.errors import ClipError

try:
    import resource
except ImportError:  # Windows: memory is not limited
    resource = None  # type: ignore[assignment]

HAS_TIMERS = hasattr(signal, "setitimer")
"""Whether the system has timers that need nothing of the process; Windows has none."""

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")

_running: Any = None  # process ids of the tasks, by their slots
_seconds: float | None = None  # of the task at hand, if it is limited
_before: int | None = None  # bytes of memory that the process had before its first task, when it was limited
_nowhere: Any = None  # where faulthandler writes


SPENT = 200
"""Exit code of a process that failed at a task while it still held memory of earlier ones: another one is to try."""

_SPENT_SHARE = 1 / 8  # of its limit: so much memory of earlier tasks can be why one fails


@dataclass(frozen=True)
class Limits:
    """What a task may take."""

    seconds: float = 20.0  # without a heartbeat, which each decoded frame gives; infinite is no limit
    # memory beyond what the process had before its first task, in GiB; infinite is no limit. Linux only
    gib: float = 4.0


@dataclass(frozen=True)
class Result:
    """What became of a task."""

    value: Any = None  # what its function returned
    reason: str | None = None  # why there is no value, in one line; None if there is one
    ended: bool = False  # whether its process was ended for it, or crashed


def heartbeat() -> None:
    """Say, in a task, that it goes on: `Limits.seconds` count anew. Outside of a task it does nothing."""
    if _seconds is not None:
        _arm(_seconds)


def enter(running: Any) -> None:
    """Prepare a process: one thread for each library, behind the training, Ctrl-C is the parent's, it ends with it."""
    global _running, _nowhere
    _running = running
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if HAS_TIMERS:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process even where C code never comes back
    else:
        _nowhere = open(os.devnull, "w", encoding="ascii")  # noqa: SIM115 (for as long as the process lives)
    if hasattr(os, "nice"):
        os.nice(5)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


def work(call: bytes, limits: Limits, slot: int) -> Result:
    """Do a task within its limits."""
    global _seconds, _before
    _running[slot] = os.getpid()
    function, args = pickle.loads(call)  # here, where a module that cannot be imported is an error like others
    if _before is None:  # now that the modules of the first task are there
        _before = _memory()
        _limit_memory(limits.gib)
    spent = _memory() - _before > _SPENT_SHARE * limits.gib * 2**30
    _seconds = limits.seconds if math.isfinite(limits.seconds) else None
    try:
        heartbeat()
        result = attempt(function, args, f"needs more than {limits.gib:g} GiB of memory")
    finally:
        _arm(0)
        _seconds = None
    if spent and result.reason is not None:  # decoders call it damage, too, when they get no memory
        os._exit(SPENT)
    return result


def attempt(function: Callable[..., Any], args: tuple[Any, ...], too_much: str) -> Result:
    """Call a function; an error of the data becomes the reason."""
    try:
        return Result(value=function(*args))
    except (MemoryError, OSError, ValueError) as error:
        if _lacks_memory(error):
            return Result(reason=too_much)
        reason = " ".join((error.reason if isinstance(error, ClipError) else str(error)).split())
        return Result(reason=reason or type(error).__name__)


def _lacks_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that it was made of, says that there is no more memory."""
    while error is not None:
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            return True
        error = error.__cause__ or error.__context__
    return False


def _limit_memory(gib: float) -> None:
    """Let this process have so much more memory than it has now; on Linux only, where /proc says how much that is."""
    if resource is None or not math.isfinite(gib) or not (now := _memory()):
        return
    wanted = now + int(gib * 2**30)
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    known = [wanted, *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(known), hard))


def _memory() -> int:
    """Bytes of this process that its limit counts; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[5]) * (resource.getpagesize() if resource else 0)
    except FileNotFoundError:
        return 0


def _arm(seconds: float) -> None:
    """End this process in so many seconds, whatever it does then; 0 is never."""
    if HAS_TIMERS:
        signal.setitimer(signal.ITIMER_REAL, seconds)
    elif seconds:
        faulthandler.dump_traceback_later(seconds, exit=True, file=_nowhere)
    else:
        faulthandler.cancel_dump_traceback_later()
