"""dask_task: a sweep's task on a Dask worker, which ends when nobody waits for it any more."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from importlib import import_module
from typing import Any


def dask_setup(worker: Any) -> None:
    """Leave Ctrl-C to the process that started a local cluster: a terminal sends it to all."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


class Released:
    """Set once a task was cancelled, the process that asked for it is gone, or its worker is to close."""

    def __init__(self) -> None:
        import distributed

        self._worker = distributed.get_worker()
        self._key = self._worker.get_current_task()

    def is_set(self) -> bool:
        """Whether to stop."""
        task = self._worker.state.tasks.get(self._key)
        is_wanted = task is not None and task.state == "executing"
        return not is_wanted or self._worker.status.name.startswith("clos")


def run_until_released(call: str, arguments: Sequence[Any]) -> Any:
    """Call "module:function", which takes a keyword `stop`."""
    module, _, name = call.partition(":")
    return getattr(import_module(module), name)(*arguments, stop=Released())
