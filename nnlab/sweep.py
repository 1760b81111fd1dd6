"""sweep: trains every cell of a grid, on any executor, each once, to the same numbers as alone."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from nnlab.cell_training import train_cells
from nnlab.config import ExperimentConfig
from nnlab.datasets import DATASETS, Data, load_dataset
from nnlab.executors import make_executor
from nnlab.grid import Grid
from nnlab.stop import Stop
from nnlab.sweep_cost import Progress, work
from nnlab.sweep_row import Row, failed_row, to_frame
from nnlab.sweep_store import cell_key

if TYPE_CHECKING:
    import pandas as pd

# A process may be lost to the machine's other work; one that ends three times is ended by its cell.
MAX_ATTEMPTS = 3
# Activations of one kind that stacked seeds keep: 16 MB a buffer, of which there are about five.
MAX_STACKED_NUMBERS = 4_000_000
# More seeds together are no quicker, and a task shows nothing and is lost as a whole until it is done.
MAX_STACKED = 16
MAX_TASK_SECONDS = 60.0
# Tasks a worker, so that all end at about the same time.
TASKS_PER_WORKER = 2
STOP_SECONDS = 0.1  # between two looks at stop

OnRow = Callable[[Row, Progress], None]


class FinishedCells(Protocol):
    """Where finished cells are kept by their keys: a `SweepStore` on disk, or a `SweepMemory`."""

    def __contains__(self, key: str) -> bool:
        """Whether a cell is finished."""
        ...

    def __getitem__(self, key: str) -> Row:
        """Give a finished cell's row."""
        ...

    def add(self, key: str, row: Row) -> None:
        """Keep a finished cell."""
        ...


@dataclass(frozen=True)
class Sweep:
    """A grid with the rows of its finished cells, in the grid's order.

    `status` is completed or stopped. `reused` counts the cells that were finished before.
    """

    grid: Grid
    rows: tuple[Row, ...]
    status: str
    reused: int = 0

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The table: a row a finished cell, every field, status, and what it came to."""
        return to_frame(self.rows)

    @property
    def failed(self) -> int:
        """How many cells could not be trained."""
        return sum(row["status"] == "failed" for row in self.rows)


@dataclass(frozen=True)
class _Task:
    """Cells, by their number in the grid, that one worker trains together."""

    numbers: tuple[int, ...]
    attempts: int = 0


def run_sweep(
    grid: Grid,
    *,
    executor: Executor | None = None,
    store: FinishedCells | None = None,
    on_row: OnRow | None = None,
    stop: Stop | None = None,
) -> Sweep:
    """Train the cells of a grid that the store does not have.

    Args:
        grid: the experiments.
        executor: what trains them, this process if None. Of other executors than those of `make_executor`,
            a stop must wait for the cells in flight. A sweep that is stopped or fails shuts it down.
        store: finished cells; new ones are added, failed ones are not and so are tried again next time.
        on_row: called as on_row(row, progress) for every cell as it is finished.
        stop: when set, the sweep ends; cells in flight are lost.

    Raises:
        ValueError: a CSV file cannot be used.
    """
    if executor is None:
        with make_executor("threads") as own:
            return run_sweep(grid, executor=own, store=store, on_row=on_row, stop=stop)
    sweeping = _Sweeping(grid, executor, store, on_row)
    try:
        status = sweeping.work_off(stop or threading.Event())
    except BaseException:
        executor.shutdown(wait=True, cancel_futures=True)
        raise
    rows = tuple(sweeping.rows[number] for number in sorted(sweeping.rows))
    return Sweep(grid, rows, status, sweeping.reused)


def cell_keys(grid: Grid) -> list[str]:
    """Give what the store knows each cell by; raises ValueError where a CSV file cannot be used."""
    files = check_files(grid.cells)
    return [cell_key(cell, files.get(cell, "")) for cell in grid.cells]


def unfinished(grid: Grid, store: FinishedCells) -> list[ExperimentConfig]:
    """List the cells that are still to be trained, to say what they cost before they are."""
    return [cell for cell, key in zip(grid.cells, cell_keys(grid), strict=True) if key not in store]


def check_files(cells: Sequence[ExperimentConfig]) -> dict[ExperimentConfig, str]:
    """Give the SHA-256 of what cells read from CSV files; raises ValueError where one cannot be used."""
    read: dict[tuple[Any, ...], Data] = {}
    digests: dict[ExperimentConfig, str] = {}
    for cell in cells:
        if not DATASETS[cell.dataset].needs_file:
            continue
        file = (cell.csv_path, cell.target, cell.features, cell.loss)
        data = read[file] = read[file] if file in read else load_dataset(cell)
        if data.task == "regression" and cell.loss != "mse":
            raise ValueError("loss: 'cross_entropy' is not allowed for a regression; allowed: mse")
        cell.check_work(data.ends)
        digests[cell] = data.sha256
    return digests


class _Sweeping:
    """A sweep on its way."""

    def __init__(
        self, grid: Grid, executor: Executor, store: FinishedCells | None, on_row: OnRow | None
    ) -> None:
        self._cells, self._executor, self._store, self._on_row = grid.cells, executor, store, on_row
        self._keys = cell_keys(grid)
        finished = {} if store is None else {key: store[key] for key in self._keys if key in store}
        self.rows = {number: finished[key] for number, key in enumerate(self._keys) if key in finished}
        self.reused, self._failed = len(self.rows), 0
        groups = [tuple(n for n in group if n not in self.rows) for group in grid.groups]
        self._queue = deque(self._tasks([group for group in groups if group]))
        self._work_total = sum(self._work(task) for task in self._queue)
        self._work_done = 0.0
        self._start = time.monotonic()
        self._flying: dict[Future[Any], _Task] = {}

    def _work(self, task: _Task) -> float:
        return sum(work(self._cells[number]) for number in task.numbers)

    def _workers(self) -> int:
        # A Dask cluster's own number changes; Python's pools keep theirs to themselves.
        known: int = getattr(self._executor, "workers", 0) or getattr(self._executor, "_max_workers", 1)
        return known

    def _tasks(self, groups: Sequence[tuple[int, ...]]) -> Iterator[_Task]:
        """Share the cells out, seeds of one experiment together, the longest tasks first."""
        workers = self._workers()
        parts = 1 if workers == 1 else -(-TASKS_PER_WORKER * workers // max(1, len(groups)))
        tasks = [_Task(part) for group in groups for part in self._parts(group, parts)]
        yield from tasks if workers == 1 else sorted(tasks, key=self._work, reverse=True)

    def _parts(self, group: tuple[int, ...], parts: int) -> Iterator[tuple[int, ...]]:
        cell = self._cells[group[0]]
        fitting = MAX_STACKED_NUMBERS // (cell.depth * cell.width * cell.batch_size)
        in_time = int(MAX_TASK_SECONDS / work(cell))
        size = max(1, min(fitting, in_time, MAX_STACKED, -(-len(group) // parts)))
        for start in range(0, len(group), size):
            yield group[start : start + size]

    def work_off(self, stop: Stop) -> str:
        """Train all cells; give how it ended."""
        while self._queue or self._flying:
            if stop.is_set():
                self._executor.shutdown(wait=True, cancel_futures=True)
                self._land(wait(self._flying, STOP_SECONDS).done, is_over=True)
                return "stopped"
            self._submit()
            done, _ = wait(self._flying, STOP_SECONDS, FIRST_COMPLETED)
            self._land(done)
        return "completed"

    def _submit(self) -> None:
        """Keep as many tasks in flight as keep all workers busy: what flies is lost at a stop."""
        most = 2 * self._workers() if self._queue else 0
        while self._queue and len(self._flying) < most:
            task = self._queue.popleft()
            cells = [self._cells[number].to_dict() for number in task.numbers]
            self._flying[self._executor.submit(train_cells, cells)] = task

    def _land(self, done: set[Future[Any]], *, is_over: bool = False) -> None:
        for future in done:
            task = self._flying.pop(future)
            error = CancelledError("it was cancelled") if future.cancelled() else future.exception()
            if error is not None:
                if not is_over:
                    self._retry(task, _said(error))
                continue
            self._work_done += self._work(task)
            for number, row in zip(task.numbers, future.result()["rows"], strict=True):
                self._finish(number, row)

    def _retry(self, task: _Task, reason: str) -> None:
        """Train each cell of a lost task alone, so that only the one that is to blame is given up."""
        if task.attempts + 1 < MAX_ATTEMPTS:
            self._queue.extendleft(_Task((number,), task.attempts + 1) for number in task.numbers)
            return
        self._work_done += self._work(task)
        for number in task.numbers:
            self._finish(number, failed_row(self._cells[number], f"{reason}; tried {MAX_ATTEMPTS} times"))

    def _finish(self, number: int, row: Row) -> None:
        self.rows[number] = row
        if row["status"] == "failed":
            self._failed += 1
        elif self._store is not None:
            self._store.add(self._keys[number], row)
        if self._on_row is not None:
            self._on_row(row, self._progress())

    def _progress(self) -> Progress:
        return Progress(
            done=len(self.rows),
            total=len(self._cells),
            reused=self.reused,
            failed=self._failed,
            work_done=self._work_done,
            work_total=self._work_total,
            seconds=time.monotonic() - self._start,
        )


def _said(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
