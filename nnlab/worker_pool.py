"""WorkerPool: an executor of processes that notices which one died, and leaves none behind.

Beside ProcessPoolExecutor: one dead process takes one task with it, not the pool; what runs can be broken
off; the processes end with the one that started them, however that ended; and it works from a notebook, a
script without a main guard, and under Streamlit, since the processes never import what started them.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from pathlib import Path
from typing import Any

_Task = tuple["Future[Any]", bytes]


class WorkerLost(BrokenExecutor):
    """The process that worked on a task ended without an answer; the pool goes on with another one."""


class WorkerPool(Executor):
    """Runs functions of importable modules, of arguments and results that JSON can say, in processes."""

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise ValueError(f"workers: {workers} is not allowed; allowed: a whole number >= 1")
        self.workers = workers
        self._tasks: queue.Queue[_Task | None] = queue.Queue()
        self._lock = threading.Lock()
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._is_closed = self._is_abandoned = False
        self._threads = [
            threading.Thread(target=self._serve, args=(number,), name=f"nnlab-worker-{number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queue a call; its future raises WorkerLost where the process dies, RuntimeError where it raises."""
        if kwargs:
            raise TypeError("a WorkerPool passes no keyword arguments")
        request = {"call": f"{fn.__module__}:{fn.__qualname__}", "arguments": args}
        task: _Task = (Future(), json.dumps(request).encode() + b"\n")
        with self._lock:
            if self._is_closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._tasks.put(task)
        return task[0]

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End all processes: after what is queued, or at once with `cancel_futures`, which breaks it off."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                for _ in self._threads:
                    self._tasks.put(None)
            if cancel_futures:
                self._is_abandoned = True
                for process in self._processes.values():
                    process.kill()  # it holds nothing that would be lost
        if wait:
            for thread in self._threads:
                thread.join()

    @property
    def pids(self) -> tuple[int, ...]:
        """The numbers of the processes that are running."""
        with self._lock:
            return tuple(process.pid for process in self._processes.values())

    def _serve(self, number: int) -> None:
        """Hand tasks to one process after the other, and start another one where it dies."""
        try:
            while (task := self._tasks.get()) is not None:
                future, request = task
                if self._is_abandoned:
                    future.cancel()
                if not future.set_running_or_notify_cancel():
                    continue
                try:
                    future.set_result(self._call(number, request))
                except Exception as error:
                    future.set_exception(error)
        finally:
            self._end(number)

    def _call(self, number: int, request: bytes) -> Any:
        process = self._process(number)
        assert process.stdin is not None
        assert process.stdout is not None
        line = b""
        with contextlib.suppress(OSError):  # it died before it was asked
            process.stdin.write(request)
            process.stdin.flush()
            line = process.stdout.readline()
        if not line.endswith(b"\n"):
            raise WorkerLost(f"the worker process {_ending(self._end(number))}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def _process(self, number: int) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._is_abandoned:
                raise WorkerLost("the pool is shut down")
            if number not in self._processes:
                self._processes[number] = _start()
            return self._processes[number]

    def _end(self, number: int) -> int | None:
        """Let a process go; give its exit code."""
        with self._lock:
            process = self._processes.pop(number, None)
        if process is None:
            return None
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.stdout.close()
        return process.wait()


def _start() -> subprocess.Popen[bytes]:
    # The package may be importable only because of where its parent process was started.
    path = [str(Path(__file__).resolve().parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-m", "nnlab.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        # Ctrl-C in a terminal goes to every process of the group; the pool's owner decides what ends.
        start_new_session=True,
    )


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was ended by signal {-code}" + (" (out of memory?)" if code == -9 else "")
    return f"ended with exit code {code}"
