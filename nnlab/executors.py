"""executors: what a sweep's cells are trained on: this process, processes beside it, or a Dask cluster."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

from nnlab.worker_pool import WorkerPool

EXECUTORS = ("threads", "processes", "dask")
# Below this, processes would load torch for longer than they help.
WORTH_PROCESSES = 15.0  # seconds


def processors() -> int:
    """Count the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class ThreadExecutor(Executor):
    """Runs one task after the other in this process: a task's seeds stacked, or large ones on threads."""

    workers = 1

    def __init__(self, threads: int = 1) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="nnlab-sweep")
        self._threads, self._stop = threads, threading.Event()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queue a call of a function that takes `stop` and `threads`."""
        return self._pool.submit(fn, *args, stop=self._stop, threads=self._threads, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End after what is queued, or with `cancel_futures` at the next layer of what runs."""
        if cancel_futures:
            self._stop.set()
        self._pool.shutdown(wait, cancel_futures=cancel_futures)


def make_executor(name: str, workers: int | None = None, scheduler: str | None = None) -> Executor:
    """Make an executor for `run_sweep`; use it as a context manager.

    Args:
        name: threads (this process, seeds stacked), processes, or dask.
        workers: how many at a time; as many as there are processors if None.
        scheduler: a Dask scheduler's address; a local cluster is started if None.

    Raises:
        ValueError: the name is unknown, dask is not installed, or nobody answers at the address.
    """
    if name not in EXECUTORS:
        raise ValueError(f"executor: {name[:40]!r} is not allowed; allowed: {', '.join(EXECUTORS)}")
    if name == "dask":
        from nnlab.dask_executor import DaskExecutor

        return DaskExecutor(scheduler, workers or processors())
    if scheduler is not None:
        raise ValueError(f"scheduler: {scheduler[:80]!r} goes with the executor dask only")
    return (
        WorkerPool(workers or processors())
        if name == "processes"
        else ThreadExecutor(workers or processors())
    )


def best_executor(seconds: float, tasks: int, workers: int | None = None) -> str:
    """Name the local executor that is quickest for so many seconds of work."""
    is_worth = seconds >= WORTH_PROCESSES and min(tasks, workers or processors()) > 1
    return "processes" if is_worth else "threads"
