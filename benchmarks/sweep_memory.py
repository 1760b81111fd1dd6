"""Memory over a long sweep: what this process holds, and what workers do, after more and more cells."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any

from benchmarks.app import resident
from benchmarks.ratios import save, show
from nnlab.config import ExperimentConfig
from nnlab.executors import ThreadExecutor, processors
from nnlab.grid import Grid, make_grid
from nnlab.sweep import run_sweep
from nnlab.sweep_cost import Progress
from nnlab.sweep_row import Row
from nnlab.worker_pool import WorkerPool

# Networks of several sizes, so that memory is freed and asked for in pieces that do not fit each other.
DEPTHS, WIDTHS = (2, 6, 12, 20), (16, 32, 64, 100)
CELLS_A_ROUND = 80
MARKS = (0.125, 0.5, 1.0)  # of all cells


def main(rounds: int) -> None:
    """Print and write the table: five rounds are 400 cells."""
    grid = _grid(CELLS_A_ROUND * rounds)
    with ThreadExecutor() as here:
        rows = [_row("this process", here, grid, lambda: [os.getpid()])]
    with WorkerPool(processors()) as pool:
        rows.append(_row(f"{processors()} worker processes", pool, grid, lambda: pool.pids))
    show(rows)
    save("sweep_memory", rows)


def _grid(cells: int) -> Grid:
    base = ExperimentConfig(steps=30)
    shapes = len(DEPTHS) * len(WIDTHS)
    rates = [0.001 * (1 + number) for number in range(cells // shapes)]
    return make_grid(base, {"learning_rate": rates, "depth": DEPTHS, "width": WIDTHS})


def _row(name: str, executor: Executor, grid: Grid, processes: Callable[[], Sequence[int]]) -> dict[str, Any]:
    """Sweep, and give the megabytes after each share of the cells."""
    marks = {round(share * len(grid.cells)) for share in MARKS}
    found: dict[str, Any] = {"in": name}

    def look(_row: Row, progress: Progress) -> None:
        if progress.done in marks:
            found[f"MB after {progress.done} cells"] = round(sum(map(resident, processes())), 1)

    run_sweep(grid, executor=executor, on_row=look)
    return found
