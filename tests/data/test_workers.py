import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import dvdgan.data.workers as workers_module
from dvdgan.data.errors import ClipError, DataError
from dvdgan.data.worker_process import heartbeat
from dvdgan.data.workers import Limits, Workers, usable_cores

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals of POSIX are looked at")

MIB = 1 << 20


def double(number):
    return 2 * number


def process():
    return os.getpid()


def surroundings():
    return os.environ["OMP_NUM_THREADS"], signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def fill(mebibytes):
    return int(np.ones(mebibytes * MIB, np.uint8).sum()) // MIB


_kept = []


def keep(mebibytes):
    """As an allocator does after large clips."""
    _kept.append(b"x" * (mebibytes << 20))
    return mebibytes


def fill_or_damaged(mebibytes):
    """As decoders do that get no memory."""
    try:
        return fill(mebibytes)
    except MemoryError:
        raise ClipError("clip.mp4", "truncated or damaged") from None


def spin():
    while True:
        pass


def frames(number, seconds):
    for _ in range(number):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pass
        heartbeat()
    return number


def count_calls(path):
    with open(path, "a") as file:
        file.write("x")
    return os.path.getsize(path)


def die_first(path, signal_number):
    if count_calls(path) == 1:
        os.kill(os.getpid(), signal_number)
    return "alive"


def leave(code):
    os._exit(code)


def segfault():
    os.kill(os.getpid(), signal.SIGSEGV)


def fail_for_memory(kind):
    try:
        raise MemoryError if kind == "python" else OSError(12, "Cannot allocate memory")
    except (MemoryError, OSError):
        raise ClipError("clip.mp4", "truncated or damaged") from None


def fail(kind):
    errors = {
        "clip": ClipError("clip.mp4", "no frames"),
        "data": DataError("some data: no good\nat all"),
        "os": FileNotFoundError(2, "No such file or directory", "clip.mp4"),
        "value": ValueError(),
        "memory": MemoryError(),
        "bug": ZeroDivisionError("a bug"),
    }
    raise errors[kind]


@pytest.fixture(scope="module")
def two():
    with Workers(2, Limits(seconds=20, gib=0.5)) as workers:
        yield workers


def test_results_come_in_the_order_of_the_tasks(two):
    assert [result.value for result in two.run(double, ((number,) for number in range(100)))] == [
        2 * number for number in range(100)
    ]


def test_few_tasks_are_taken_ahead(two):
    taken = []
    tasks = ((taken.append(number) or number,) for number in range(1000))
    results = two.run(double, tasks)
    for number in range(20):
        assert next(results).value == 2 * number
    assert len(taken) <= 20 + 4 * two.count
    results.close()


def test_tasks_run_elsewhere_with_one_thread_each_and_leave_ctrl_c_to_the_parent(two):
    assert two.submit(process).result().value != os.getpid()
    assert two.submit(surroundings).result().value == ("1", True)


def test_errors_of_the_data_become_reasons_of_one_line(two):
    reasons = [result.reason for result in two.run(fail, [(kind,) for kind in ("clip", "data", "os", "value")])]
    assert reasons == [
        "no frames",
        "some data: no good at all",
        "[Errno 2] No such file or directory: 'clip.mp4'",
        "ValueError",
    ]


def test_errors_of_the_program_are_raised_and_the_pool_goes_on(two):
    with pytest.raises(ZeroDivisionError, match="a bug"):
        list(two.run(fail, [("bug",)]))
    assert two.submit(double, 4).result().value == 8


class OnlyHere:
    """Its pickle can be read in this process only."""

    def __reduce__(self):
        return reread, (os.getpid(),)


def reread(process_id):
    if os.getpid() != process_id:
        raise ImportError("no such module here")


def test_what_a_process_cannot_import_is_an_error_of_the_program(two):
    with pytest.raises(ImportError, match="no such module here"):
        two.submit(double, OnlyHere()).result()
    assert two.submit(double, 4).result().value == 8


def test_a_crash_costs_one_task(two):
    tasks = [(double, 1), (segfault,), (leave, 3), (double, 2)]
    results = [pending.result() for pending in [two.submit(*task) for task in tasks]]
    assert [result.value for result in results] == [2, None, None, 4]
    assert [result.reason for result in results[1:3]] == [
        "the decoder crashed (signal 11)",
        "the decoder crashed (exit code 3)",
    ]


def test_a_process_that_ends_as_if_all_were_well_is_noticed(two, monkeypatch):
    monkeypatch.setattr(workers_module, "_POLL", 0.2)
    assert two.submit(leave, 0).result().reason == "the decoder ended its process"
    assert two.submit(double, 3).result().value == 6


def test_a_task_whose_process_was_killed_by_chance_is_tried_again(two, tmp_path):
    for number in (signal.SIGKILL, signal.SIGALRM):
        assert two.submit(die_first, tmp_path / str(number), number).result().value == "alive"


def test_a_task_that_eats_memory_is_stopped(two):
    assert two.submit(fill, 100).result().value == 100
    assert two.submit(fill, 1000).result().reason == "needs more than 0.5 GiB of memory"
    assert two.submit(fail, "memory").result().reason == "needs more than 0.5 GiB of memory"
    for kind in ("python", "C"):
        assert two.submit(fail_for_memory, kind).result().reason == "needs more than 0.5 GiB of memory"
    assert two.submit(fill, 100).result().value == 100


def test_memory_of_earlier_tasks_costs_no_later_one():
    with Workers(1, Limits(seconds=20, gib=0.3)) as workers:
        for task in (fill, fill_or_damaged):
            assert workers.submit(keep, 200).result().value == 200
            assert workers.submit(task, 200).result().value == 200
        assert workers.submit(keep, 200).result().value == 200
        result = workers.submit(fill, 400).result()
        assert (result.reason, result.ended) == ("needs more than 0.3 GiB of memory", False)


def test_a_hanging_task_is_stopped_and_one_with_a_heartbeat_is_not():
    with Workers(2, Limits(seconds=1.0)) as workers:
        hanging = workers.submit(spin)
        assert workers.submit(frames, 12, 0.1).result().value == 12
        assert hanging.result().reason == "the decoder gave no frame for 1 s"


def test_closing_ends_hanging_tasks():
    workers = Workers(1, Limits(seconds=600))
    process_id = workers.submit(process).result().value
    hanging = workers.submit(spin)
    failure = []

    def wait():
        try:
            hanging.result()
        except RuntimeError as error:
            failure.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    workers.close()
    workers.close()
    thread.join()
    assert failure == ["these workers are closed"]
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)
    with pytest.raises(RuntimeError, match="closed"):
        workers.submit(double, 1)


def test_a_pool_whose_idle_process_is_killed_is_replaced():
    with Workers(1, Limits()) as workers:
        os.kill(workers.submit(process).result().value, signal.SIGKILL)
        assert [result.value for result in workers.run(double, [(number,) for number in range(20)])] == [
            2 * number for number in range(20)
        ]


def test_without_processes_tasks_run_here_and_a_warning_says_so(monkeypatch, caplog):
    class NoSemaphores:
        def __init__(self, *args, **options):
            raise ImportError("this platform lacks a functioning sem_open implementation")

    monkeypatch.setattr(workers_module, "ProcessPool", NoSemaphores)
    with Workers(2, Limits()) as workers:
        assert workers.submit(process).result().value == os.getpid()
        assert [result.value for result in workers.run(double, [(1,), (2,)])] == [2, 4]
        assert workers.submit(fail, "clip").result().reason == "no frames"
        assert workers.submit(fail, "memory").result().reason == "needs more memory than there is"
        assert workers.submit(frames, 2, 0).result().value == 2
    warnings = [record.message for record in caplog.records]
    assert len(warnings) == 1
    assert "decoding in this process" in warnings[0]
    assert "sem_open" in warnings[0]


def script(tmp_path, text, **modules):
    for name, source in {"script": text, **modules}.items():
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
    command, paths = [sys.executable, tmp_path / "script.py"], os.pathsep.join([str(tmp_path), *sys.path])
    env = os.environ | {"PYTHONPATH": paths}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=env)


def test_a_script_needs_no_main_guard_and_is_run_once(tmp_path):
    ended = script(
        tmp_path,
        """
        import os, sys
        from dvdgan.data.workers import Limits, Workers
        print("begun", flush=True)
        with Workers(1, Limits()) as workers:
            print(workers.submit(os.getpid).result().value != os.getpid())
        print(sys.modules["__main__"].__file__ == __file__)
        """,
    )
    assert ended.stdout == "begun\nTrue\nTrue\n"
    assert ended.stderr == ""


def test_systems_without_timers_stop_hanging_tasks_too(tmp_path):
    ended = script(
        tmp_path,
        """
        from dvdgan.data.workers import Limits, Workers
        from tasks import spin
        with Workers(1, Limits(seconds=0.3)) as workers:
            print(workers.submit(spin, 10).result().reason, workers.submit(abs, -1).result().value)
        """,
        tasks="""
        from dvdgan.data.worker_process import heartbeat
        def spin(beats):
            while True:
                if beats:
                    heartbeat()
                    beats -= 1
        """,
        sitecustomize="""
        import signal
        del signal.setitimer
        """,
    )
    assert ended.stdout == "the decoder gave no frame for 0.3 s 1\n", ended.stderr


def test_processes_end_when_their_parent_is_killed(tmp_path):
    ended = script(
        tmp_path,
        """
        import os, signal, time
        from dvdgan.data.workers import Limits, Workers
        workers = Workers(1, Limits(seconds=600))
        print(workers.submit(os.getpid).result().value, flush=True)
        workers.submit(time.sleep, 600)
        os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    assert ended.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 30
    while is_running(int(ended.stdout)):
        assert time.monotonic() < deadline


def is_running(process_id):
    try:
        os.kill(process_id, 0)
        with open(f"/proc/{process_id}/stat") as file:
            return file.read().split()[2] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_importing_is_quick():
    code = "import sys, dvdgan.data.workers as _; print([m for m in ('torch', 'numpy', 'av') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_there_is_a_core_to_use():
    assert 1 <= usable_cores() <= 61
    assert Workers(None, Limits()).count == usable_cores()
