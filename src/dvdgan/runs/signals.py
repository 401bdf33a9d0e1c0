"""Ctrl-C, SIGTERM and SIGHUP: they have a run finish its step, save and stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Interrupted(Exception):
    """A run that was stopped by a signal, and has saved; ``signal`` is the number of the signal."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signal = signum


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """Exit with 128 + its number at a SIGTERM or SIGHUP, so that files which are only begun are removed.

    Outside the main thread, where Python allows no handlers, and where a signal has a handler, nothing is changed.
    """

    def leave(signum: int, frame: Any) -> None:
        raise SystemExit(128 + signum)

    numbers = [number for name in ("SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None]
    here = threading.current_thread() is threading.main_thread()
    taken = [number for number in numbers if here and signal.getsignal(number) == signal.SIG_DFL]
    try:
        for number in taken:
            signal.signal(number, leave)
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def stop_signals(repeated: bool = False) -> Iterator[list[int]]:
    """A list that receives the number of a SIGINT, SIGTERM or SIGHUP (a closed terminal); a second one kills as usual.

    With ``repeated``, later ones do nothing: ``torchrun`` passes on what reached its processes already.

    Outside the main thread, where Python allows no handlers, the list stays empty.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def note(signum: int, frame: Any) -> None:
        received.append(signum)
        if not repeated:
            signal.signal(signum, before[signum])

    numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    handlers: dict[int, Any] = {number: signal.getsignal(number) for number in numbers}
    # what nohup ignores stays ignored; None is a handler that Python cannot put back
    before = {number: handler for number, handler in handlers.items() if handler not in (signal.SIG_IGN, None)}
    try:
        for number in before:
            signal.signal(number, note)
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
