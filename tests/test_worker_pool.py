"""The pool of processes: one dies, the others go on; none outlives its owner."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, wait
from pathlib import Path

import pytest

from nnlab.worker_pool import WorkerLost, WorkerPool

ROOT = Path(__file__).resolve().parents[1]


def is_alive(pid: int) -> bool:
    """Whether a process runs, or has at least not been ended: a zombie is ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition) -> None:
    give_up_at = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def test_calls_go_to_other_processes_and_come_back():
    with WorkerPool(1) as pool:
        futures = [pool.submit(math.sqrt, number) for number in (4, 9)] + [pool.submit(os.getpid)]
        assert [future.result() for future in futures[:2]] == [2.0, 3.0]
        assert (futures[2].result(),) == pool.pids != (os.getpid(),)
        pids = pool.pids
    assert not any(map(is_alive, pids))
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(os.getpid)


def test_an_error_is_said_and_ends_nothing():
    with WorkerPool(1) as pool:
        pid = pool.submit(os.getpid).result()
        with pytest.raises(RuntimeError, match="ValueError"):
            pool.submit(math.sqrt, -1).result()
        assert pool.submit(os.getpid).result() == pid


def test_a_dead_process_takes_one_task_with_it():
    with WorkerPool(2) as pool:
        first, second = (pool.submit(time.sleep, 60) for _ in range(2))
        wait_until(lambda: len(pool.pids) == 2 and first.running() and second.running())
        killed, left = pool.pids
        os.kill(killed, signal.SIGKILL)
        with pytest.raises(WorkerLost, match="signal 9"):
            wait([first, second], return_when="FIRST_COMPLETED").done.pop().result()
        assert left in pool.pids
        assert pool.submit(math.sqrt, 4).result() == 2.0
        with pytest.raises(WorkerLost, match="exit code 3"):
            pool.submit(os._exit, 3).result()
        pool.shutdown(cancel_futures=True)
    assert not is_alive(left)


def test_what_runs_and_what_waits_can_be_broken_off():
    pool = WorkerPool(1)
    running, waiting = (pool.submit(time.sleep, 60) for _ in range(2))
    wait_until(lambda: bool(pool.pids))
    pids = pool.pids
    pool.shutdown(cancel_futures=True)
    assert isinstance(running.exception(), WorkerLost)
    with pytest.raises(CancelledError):
        waiting.result()
    assert not any(map(is_alive, pids))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("nnlab-worker")]


def test_processes_end_with_their_owner_however_it_ends():
    # No main guard: the processes never import what started them.
    code = """
import time
from nnlab.worker_pool import WorkerPool
pool = WorkerPool(2)
futures = [pool.submit(time.sleep, 60) for _ in range(2)]
while len(pool.pids) < 2: time.sleep(0.01)
print(*pool.pids, flush=True)
time.sleep(60)
"""
    owner = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pids = [int(word) for word in owner.stdout.readline().split()]
    assert len(pids) == 2
    assert all(map(is_alive, pids))
    owner.kill()
    owner.communicate()
    wait_until(lambda: not any(map(is_alive, pids)))
