"""Decoding in processes of their own: a decoder may hang, eat memory or crash, and then it costs one clip, not the run.

The processes are those of pebble's pool. What is added here: limits that count from the last frame, a second try where
the machine rather than the clip may be at fault, and one line that says why a clip cannot be used.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import TimeoutError as NotYet
from concurrent.futures.process import BrokenProcessPool
from itertools import cycle
from multiprocessing import active_children
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import Any

from pebble import ProcessExpired, ProcessPool
from rich.filesize import decimal

from dvdgan.capacity import machine_memory
from dvdgan.data.errors import DataError
from dvdgan.data.worker_process import HAS_TIMERS, SPENT, Limits, Result, attempt, enter, work

_MOST_WORKERS = 61  # Windows waits for no more
_PROCESS_BYTES = 80 << 20  # of memory that a process has of its own, with nothing decoded yet
_AHEAD = 4  # tasks per process that are sent to the pool, running ones included
_SLOTS = 4096  # more than ever wait
_POLL = 1.0  # seconds after which it is checked whether the process of an awaited task still lives
_TRIES = 3  # of a task whose pool broke, maybe because of another task
_ALONE = "decoding in this process, where neither time nor memory is limited, since others could not be started (%s)"

_log = logging.getLogger(__name__)


class _Process(SpawnProcess):
    """A process that knows nothing of the script: it neither imports what that does nor needs a main guard in it."""

    _starting = threading.Lock()

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        with _Process._starting:
            script = sys.modules["__main__"]
            sys.modules["__main__"] = ModuleType("__main__")  # has no file that the new process could run
            try:
                return SpawnProcess._Popen(process_obj)  # type: ignore[attr-defined]
            finally:
                sys.modules["__main__"] = script


class _Context(SpawnContext):
    Process = _Process  # type: ignore[assignment]


class Workers:
    """A pool of processes; use it as a context manager, or close it. They start with the first task.

    Functions and arguments must be picklable, and lie in modules that can be imported, not in a script. An error of the
    data (`DataError`, OSError, ValueError), a limit that is exceeded and a crash become the `Result.reason` of their
    task, and the others go on. Other exceptions are errors of the program and are raised. Where processes
    cannot be started, tasks run in this process, and a warning says so.

    Args:
        count: how many processes; None is one for each core that this process may use.
        limits: what a task may take.

    Attributes:
        count: how many processes there are at most.
        ahead: how many tasks `run` takes before it gives the first result.

    Raises:
        DataError: so many processes do not fit into memory.
    """

    def __init__(self, count: int | None, limits: Limits) -> None:
        self.count = usable_cores() if count is None else count
        if (needed := self.count * _PROCESS_BYTES) > machine_memory():
            raise DataError(
                f"data.workers: {self.count} processes need about {decimal(needed)} of this machine's "
                f"{decimal(int(machine_memory()))}; set it lower"
            )
        self.limits = limits
        self.ahead = _AHEAD * self.count
        self._pool: ProcessPool | None = None
        self._alone = self._closed = False
        self._running: Any = None  # process ids of the tasks, by their slots
        self._slots = cycle(range(_SLOTS))
        self._lock = threading.RLock()

    def run(self, function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]]) -> Iterator[Result]:
        """``function(*task)`` for each task: the results in the order of the tasks, of which few are taken ahead."""
        begun: deque[Pending] = deque()
        try:
            for task in tasks:
                begun.append(self.submit(function, *task))
                if len(begun) >= self.ahead:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for pending in begun:
                pending.cancel()

    def submit(self, function: Callable[..., Any], *args: Any) -> Pending:
        """Begin ``function(*args)`` in a process that is free. Any thread may call this, and wait for the result."""
        return Pending(self, function, args)

    def close(self) -> None:
        """End the processes, whatever they do; more than once does no harm."""
        with self._lock:
            self._closed, pool, self._pool = True, self._pool, None
        if pool is not None:
            _stop(pool)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _send(self, call: tuple[Any, ...]) -> tuple[ProcessPool | None, Any, int]:
        """Give a call to the pool: the pool (None for this process), the future, and the slot of its process id."""
        with self._lock:
            if self._closed:
                raise RuntimeError("these workers are closed")
            if self._pool is not None and not self._pool.active:
                self._drop(self._pool)
            if self._pool is None and not self._alone:
                self._pool = self._start()
                self._alone = self._pool is None
            if self._pool is None:
                return None, None, 0
            slot = next(self._slots)
            self._running[slot] = 0
            pool, task = self._pool, (pickle.dumps(call), self.limits, slot)
            try:
                return pool, pool.schedule(work, task), slot
            except RuntimeError:  # it broke just now
                self._drop(pool)
                return self._send(call)

    def _drop(self, pool: ProcessPool) -> None:
        """Forget a pool that broke; the next task starts another one."""
        with self._lock:
            if self._pool is pool:
                self._pool = None
                _stop(pool)

    def _start(self) -> ProcessPool | None:
        try:
            context = _Context()
            self._running = context.RawArray("q", _SLOTS)
            pool = ProcessPool(self.count, initializer=enter, initargs=(self._running,), context=context)
            try:
                pool.schedule(os.getpid).result()  # what keeps processes from starting fails here, not in a task
            except BaseException:
                _stop(pool)
                raise
            return pool
        except (BrokenProcessPool, OSError, ValueError, ImportError, NotImplementedError) as error:
            _log.warning(_ALONE, error)
            return None


class Pending:
    """A task that was submitted."""

    def __init__(self, workers: Workers, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._workers, self._call = workers, (function, args)
        self._result: Result | None = None
        self._tries = 1
        self._send()

    def result(self) -> Result:
        """Wait for the result.

        Raises:
            RuntimeError: the workers were closed.
            Exception: what the function raised, unless it is an error of the data.
        """
        if self._result is None:
            self._result = self._outcome()
        return self._result

    def _outcome(self) -> Result:
        while self._pool is not None:
            try:
                return self._wait()
            except ProcessExpired as error:
                if error.exitcode == SPENT:  # no process does so at its first task: a new one has the last word
                    self._send()
                    continue
                if self._tries > 1 or not _may_be_chance(error.exitcode):
                    return Result(None, _how_it_ended(error.exitcode, self._workers.limits), ended=True)
            except BrokenProcessPool:
                self._workers._drop(self._pool)
                if self._tries == _TRIES:
                    return Result(None, "the decoder crashed", ended=True)
            self._tries += 1
            self._send()
        return attempt(*self._call, "needs more memory than there is")

    def cancel(self) -> None:
        """Leave it undone; its process is ended if it has begun."""
        if self._future is not None:
            self._future.cancel()

    def _send(self) -> None:
        self._pool, self._future, self._slot = self._workers._send(self._call)

    def _wait(self) -> Result:
        """Wait for the pool's answer, and check now and then whether one can still come.

        The pool forgets a task if it finds its process dead before it has read the process's note that it has the task,
        or if the process ends as if all were well.
        """
        gone = 0
        while gone < 2:
            if self._workers._pool is not self._pool and not self._future.done():
                raise BrokenProcessPool("replaced by another pool")
            try:
                return self._future.result(timeout=_POLL)
            except NotYet:
                process = self._workers._running[self._slot]
                gone = gone + 1 if process and process not in {child.pid for child in active_children()} else 0
        raise ProcessExpired("ended", code=0)


def usable_cores() -> int:
    """The cores that this process may use, as far as a pool can use them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MOST_WORKERS)


def _stop(pool: ProcessPool) -> None:
    pool.stop()
    pool.join()


def _may_be_chance(code: int) -> bool:
    """Whether a process may have ended so because of the machine, which was suspended or short of memory."""
    return code in (0, -getattr(signal, "SIGALRM", 0), -getattr(signal, "SIGKILL", 0))


def _how_it_ended(code: int, limits: Limits) -> str:
    if code == (-signal.SIGALRM if HAS_TIMERS else 1):
        return f"the decoder gave no frame for {limits.seconds:g} s"
    if code == 0:
        return "the decoder ended its process"
    if code == -getattr(signal, "SIGKILL", 0):
        return "the decoder was killed (signal 9), as happens where memory runs out"
    return f"the decoder crashed ({f'signal {-code}' if code < 0 else f'exit code {code}'})"
