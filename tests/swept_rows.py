"""Made-up rows of a sweep, for tests of what is made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nnlab.config import ExperimentConfig
from nnlab.grid import make_grid
from nnlab.sweep_row import RESULT_COLUMNS, Row, failed_row
from nnlab.sweep_summary import SweptRuns, swept_runs

BASE = ExperimentConfig(steps=100, width=16)


def swept(
    axes: Mapping[str, tuple[Any, ...]],
    seeds: int,
    numbers: Callable[[ExperimentConfig], Mapping[str, float] | None],
) -> SweptRuns:
    """Give a finished sweep whose numbers a function makes up; None is a run that failed."""
    grid = make_grid(BASE, axes, seeds)
    return swept_runs(grid, [_row(cell, numbers(cell)) for cell in grid.cells])


def _row(cell: ExperimentConfig, numbers: Mapping[str, float] | None) -> Row:
    row = failed_row(cell, "it broke")
    if numbers is None:
        return row
    assert set(numbers) <= set(RESULT_COLUMNS)
    return {**row, **dict.fromkeys(RESULT_COLUMNS, 0.5), **numbers, "status": "completed", "last_step": 100}
