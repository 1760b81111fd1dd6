"""SweepJob: a sweep in the background of a page: its limits, its cells as they are finished, its stop."""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from nnlab.courtesy import Courteous
from nnlab.datasets import DATASETS
from nnlab.executors import ThreadExecutor, processors
from nnlab.footprint import together_bytes
from nnlab.grid import Grid
from nnlab.hosting import HOSTED_TIME_LIMIT, is_hosted
from nnlab.jobs import Job, Refused
from nnlab.pace import pace
from nnlab.sweep import MAX_STACKED, MAX_STACKED_NUMBERS, cell_keys, run_sweep, unfinished
from nnlab.sweep_cost import Progress, estimate, spoken_seconds
from nnlab.sweep_memory import SweepMemory
from nnlab.sweep_row import Row
from nnlab.sweep_summary import SweptRuns, swept_runs

# More cells cannot be told apart on a screen; the command line takes more.
MAX_CELLS, HOSTED_MAX_CELLS = 2_000, 400
MAX_SECONDS = 3_600.0  # of one core; longer work is for `python -m nnlab sweep`, which outlives a page
ROW_BYTES = 4_500


@dataclass(frozen=True)
class Cost:
    """What a sweep asks for: its cells, how many of them are finished, the seconds that the others take.

    `seconds` are of a core for itself; what is said is how long they take at the `pace` of the moment.
    """

    cells: int
    finished: int
    seconds: float
    pace: float = 1.0

    @property
    def words(self) -> str:
        """The cost in one sentence."""
        runs = f"{self.cells:,} run{'s' * (self.cells != 1)}"
        left = self.cells - self.finished
        if not left:
            return f"{runs}, all finished already."
        kept = f", {self.finished:,} of them finished already" if self.finished else ""
        return f"{runs}{kept}: about {spoken_seconds(self.seconds * self.pace)}."


def cost_of(grid: Grid, memory: SweepMemory) -> Cost:
    """Guess what a sweep takes here.

    Raises:
        Refused: it is more than a page takes; the message says how much, and what is allowed.
    """
    most = HOSTED_MAX_CELLS if is_hosted() else MAX_CELLS
    if len(grid.cells) > most:
        raise Refused(f"grid: {len(grid.cells):,} cells; allowed on this page: at most {most:,}")
    left = unfinished(grid, memory)
    seconds = estimate(left)
    limit = HOSTED_TIME_LIMIT if is_hosted() else MAX_SECONDS
    if seconds > limit:
        raise Refused(
            f"grid: {len(left):,} cells would take about {spoken_seconds(seconds)}; allowed on this page: at "
            f"most {spoken_seconds(limit)} (leave out values or seeds, or take fewer steps)"
        )
    return Cost(len(grid.cells), len(grid.cells) - len(left), seconds, pace() if left else 1.0)


@dataclass
class _Until:
    """A job's stop that a time limit sets too."""

    job: Job
    end: float | None

    @property
    def is_over(self) -> bool:
        return self.end is not None and time.monotonic() > self.end

    def is_set(self) -> bool:
        return self.job.is_set() or self.is_over


@dataclass(kw_only=True)
class SweepJob(Job):
    """One sweep; cells that `memory` has are not trained again, and new ones are added to it."""

    grid: Grid
    memory: SweepMemory
    rows: list[Row] = field(default_factory=list)
    sweep_progress: Progress | None = None
    estimated_seconds: float = 0.0
    _swept: SweptRuns | None = None

    def __post_init__(self) -> None:
        self.estimated_seconds = estimate(unfinished(self.grid, self.memory))
        self.rows += [self.memory[key] for key in self.keys if key in self.memory]

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """What its memory knows the cells by."""
        return tuple(cell_keys(self.grid))

    @property
    def steps(self) -> int:
        """All cells."""
        return len(self.grid.cells)

    @property
    def steps_done(self) -> int:
        """The cells that are done, those that were finished before among them."""
        return len(self.rows)

    @property
    def needs_file(self) -> bool:
        """Whether it would read a file of this machine."""
        return any(DATASETS[cell.dataset].needs_file for cell in self.grid.cells)

    @property
    def estimated_bytes(self) -> int:
        """The memory it will take: the largest stack of seeds, and a row a cell."""
        stacks = [self._stack_bytes(group) for group in self.grid.groups]
        return max(stacks, default=0) + ROW_BYTES * len(self.grid.cells)

    def _stack_bytes(self, group: Sequence[int]) -> int:
        cell = self.grid.cells[group[0]]
        fitting = max(1, MAX_STACKED_NUMBERS // (cell.depth * cell.width * cell.batch_size))
        # Of a run, a sweep keeps the ends only.
        stacked = min(len(group), fitting, MAX_STACKED)
        return together_bytes([(cell.replace(record_every=cell.steps), None)] * stacked)

    @property
    def kept_bytes(self) -> int:
        """The memory that its rows take when it has ended."""
        return ROW_BYTES * len(self.rows)

    @property
    def key(self) -> Hashable:
        """The cells."""
        return self.grid.cells

    def parted(self) -> Self:
        """Give what a visitor keeps who leaves while others go on watching."""
        own = super().parted()
        own.rows = list(self.rows)
        return own

    @property
    def swept(self) -> SweptRuns:
        """What is finished by now; the same object until there is more."""
        known = self._swept
        if known is None or len(known.rows) != len(self.rows):
            known = self._swept = swept_runs(self.grid, self.rows)
        return known

    def _on_row(self, row: Row, progress: Progress) -> None:
        self._mark_first_record()
        self.rows.append(row)
        self.sweep_progress = progress

    def _train(self, time_limit: float | None) -> str:
        until = _Until(self, None if time_limit is None else time.monotonic() + time_limit)
        with ThreadExecutor(1 if is_hosted() else processors()) as executor:
            sweep = run_sweep(
                self.grid, executor=executor, store=self.memory, on_row=self._on_row, stop=Courteous(until)
            )
        return "timed_out" if sweep.status == "stopped" and until.is_over else sweep.status
