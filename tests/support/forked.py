"""A child process that is a program of its own, forked from one that has imported what it needs. POSIX only."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path


def fork(work: Callable[[], None], log: Path | str, longest: int) -> int:
    """Do some work in a child, and end it with the exit code of the work, which is 1 where that raises.

    Args:
        work: what the child does.
        log: the file, made if missing, to which the child's output is added.
        longest: seconds until a SIGALRM ends the child.

    Returns:
        The child's number.
    """
    if child := os.fork():
        return child
    signal.alarm(longest)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    code = 0
    try:
        work()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
