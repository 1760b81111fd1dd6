"""DaskExecutor: a Dask cluster behind the interface of an executor; distributed is an optional package."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from nnlab.dask_task import run_until_released

NOT_INSTALLED = (
    "executor: dask is not installed, and a sweep on a cluster takes it: pip install distributed, "
    "here and on every worker"
)
CONNECT_SECONDS = 10


class DaskExecutor(Executor):
    """Runs a sweep's tasks on a Dask scheduler, or on a local cluster of its own.

    nnlab must be installed on the workers, and a CSV file lie there under the same path.

    Raises:
        ValueError: distributed is not installed, or nobody answers at the address.
    """

    def __init__(self, scheduler: str | None = None, workers: int = 1) -> None:
        try:
            import distributed
        except ImportError:
            raise ValueError(NOT_INSTALLED) from None
        self._cluster: Any = None
        if scheduler is None:
            self._cluster = distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                dashboard_address=None,
                silence_logs=logging.CRITICAL,  # that workers come and go is no news
                preload=[run_until_released.__module__],
            )
        try:
            self._client = distributed.Client(
                scheduler or self._cluster, timeout=CONNECT_SECONDS, set_as_default=False
            )
        except (OSError, ValueError, TimeoutError) as error:
            raise ValueError(f"scheduler: no answer from {str(scheduler)[:80]!r}: {_line(error)}") from None
        self._executor = self._client.get_executor(pure=False)

    @property
    def workers(self) -> int:
        """Tasks that run at the same time now; workers may come and go."""
        return max(1, sum(self._client.nthreads().values()))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Send a call of a function that takes a keyword `stop`; lost workers are replaced by Dask."""
        if kwargs:
            raise TypeError("a DaskExecutor passes no keyword arguments")
        return self._executor.submit(run_until_released, f"{fn.__module__}:{fn.__qualname__}", args)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the cluster go; with `cancel_futures`, what is queued and what runs is broken off."""
        self._executor.shutdown(wait=wait and not cancel_futures)
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
