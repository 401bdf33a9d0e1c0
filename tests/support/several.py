"""Several processes that train as one, as ``torchrun`` starts them, but forked: dvdgan is imported once.

``python several.py`` starts some for every JSON line on stdin, each with one thread, and answers with their exit codes,
negative for a signal. At generator step ``step``, process 1 may have a ``fault``: it kills itself (``dead``), stops for
ever (``hanging``), or gets a SIGTERM (``stopped``); or a SIGINT (``unready``) as it opens the clips. POSIX only.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import dvdgan.cli
import dvdgan.training.loop
import dvdgan.training.step
from support.forked import fork

FAULTS = {"dead": signal.SIGKILL, "hanging": signal.SIGSTOP, "stopped": signal.SIGTERM}
LONGEST = 100  # seconds

Start = Callable[..., tuple[list[int], str]]


@contextmanager
def several_starts(log: Path) -> Iterator[Start]:
    """Give ``start(arguments, processes=2, fault=None, step=0)``: runs dvdgan in several processes.

    It returns their exit codes, and what all said, which goes to the file `log`.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
    with subprocess.Popen([sys.executable, __file__], **pipes) as server:

        def start(
            arguments: list[str], processes: int = 2, fault: str | None = None, step: int = 0
        ) -> tuple[list[int], str]:
            order = {"arguments": arguments, "processes": processes, "fault": fault, "step": step, "log": str(log)}
            server.stdin.write(json.dumps(order) + "\n")
            server.stdin.flush()
            return json.loads(server.stdout.readline()), log.read_text("utf-8")

        yield start
        server.stdin.close()


def serve() -> None:
    """Start processes for every line on stdin."""
    import torch._dynamo  # noqa: F401 (two seconds, which the first optimiser of each process would take)

    for line in sys.stdin:
        order = json.loads(line)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            order["port"] = str(free.getsockname()[1])
        Path(order["log"]).write_bytes(b"")
        children = [fork(partial(_train, rank, order), order["log"], LONGEST) for rank in range(order["processes"])]
        codes: dict[int, int] = {}
        while len(codes) < len(children):
            child, status = os.wait()
            codes[child] = os.waitstatus_to_exitcode(status)
            for other in set(children) - set(codes) if order["fault"] == "hanging" else ():
                os.kill(other, signal.SIGKILL)  # as torchrun does once one has failed
        print(json.dumps([codes[child] for child in children]), flush=True)


def _train(rank: int, order: dict[str, Any]) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": order["port"], "WORLD_SIZE": str(order["processes"])}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    if rank == 1 and order["fault"] == "unready":
        _interrupt_opening()
    elif rank == 1 and order["fault"]:
        _break_at(order["step"], FAULTS[order["fault"]])
    sys.argv = ["dvdgan", *order["arguments"]]
    dvdgan.cli.main()


def _break_at(step: int, fault: int) -> None:
    module: Any = dvdgan.training.step
    real = module.generator_step

    def faulty(state: Any, *rest: Any) -> Any:
        if state.step == step:
            os.kill(os.getpid(), fault)
        return real(state, *rest)

    module.generator_step = faulty


def _interrupt_opening() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a program in the background may ignore it
    module: Any = dvdgan.training.loop
    module.open_dataset = lambda *arguments, **options: os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    serve()
