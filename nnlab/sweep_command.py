"""sweep_command: the command line's sweep, from flags to a table, with its progress bar."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnlab.config import ExperimentConfig
from nnlab.executors import EXECUTORS, best_executor, make_executor, processors
from nnlab.field import Field
from nnlab.grid import Grid, make_grid, parse_axis
from nnlab.pace import pace
from nnlab.stop import Stop
from nnlab.sweep import Sweep, run_sweep, unfinished
from nnlab.sweep_cost import Progress, estimate, spoken_seconds
from nnlab.sweep_row import MEANINGS, Row
from nnlab.sweep_store import SweepStore, cells_path
from nnlab.whole_file import write_whole

MAX_WORKERS = 256
BAR_WIDTH = 30
_OTHER_TABLES = (".csv", ".json", ".jsonl", ".xlsx")
_WORDS = {"threads": "in this process", "processes": "on {} processes", "dask": "on a Dask cluster"}


@dataclass(frozen=True)
class SweepOrder:
    """What the flags ask for, as text; raises ValueError naming the flag where `read` cannot use it."""

    grid: Sequence[str]
    seeds: str
    executor: str | None = None
    scheduler: str | None = None
    workers: str | None = None

    def read_grid(self, base: ExperimentConfig) -> Grid:
        """Give the cells."""
        axes: dict[str, tuple[object, ...]] = {}
        for text in self.grid:
            name, values = parse_axis(text)
            if name in axes:
                raise ValueError(f"grid: {name} is there twice; write all its values in one --grid")
            axes[name] = values
        # Any number, so that a grid far too large is refused with its count.
        seeds = int(Field("seeds", "integer", "Seeds", "", low=1, high=10**17).parse(self.seeds))
        return make_grid(base, axes, seeds)

    def read_workers(self) -> int:
        """Give how many cells are to be trained at a time."""
        if self.workers is None:
            return processors()
        if self.scheduler is not None:
            raise ValueError("workers: a scheduler has workers of its own; leave one of the two flags out")
        return int(Field("workers", "integer", "Workers", "", low=1, high=MAX_WORKERS).parse(self.workers))

    def read_executor(self, seconds: float, tasks: int) -> str:
        """Give the executor's name: the one that is quickest, where none is asked for."""
        name = self.executor or (
            "dask" if self.scheduler else best_executor(seconds, tasks, self.read_workers())
        )
        if name not in EXECUTORS:
            raise ValueError(f"executor: {name[:40]!r} is not allowed; allowed: {', '.join(EXECUTORS)}")
        return name


class _Bar:
    """A progress bar on stderr, if that is a terminal."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()

    def update(self, row: Row, progress: Progress) -> None:
        if not self._is_shown:
            return
        done = BAR_WIDTH * progress.done // progress.total
        bar = "#" * done + "." * (BAR_WIDTH - done)
        left = spoken_seconds(progress.seconds_left)
        said = f"\r[{bar}] cell {progress.done}/{progress.total}  about {left} left   "
        print(said, end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._is_shown:
            print(file=sys.stderr)


def sweep_to_file(base: ExperimentConfig, order: SweepOrder, out: Path, stop: Stop) -> tuple[Sweep, str]:
    """Train what is asked for and write its table; give the sweep, and what went wrong in one sentence.

    Raises:
        ValueError: a flag or a file cannot be used.
        OSError: the table cannot be written; the finished cells are kept beside it.
    """
    if out.suffix in _OTHER_TABLES:
        raise ValueError(f"out: {out.name[:80]!r} would hold Parquet; end its name in .parquet")
    if out.exists() and not out.is_file():
        raise ValueError(f"out: {out.name[:80]!r} is no ordinary file; name a new one, or one to be replaced")
    grid = order.read_grid(base)
    workers = order.read_workers()
    with SweepStore(cells_path(out)) as store:
        left = unfinished(grid, store)
        name = order.read_executor(estimate(left), len(left))
        print(_said_before(grid, left, name, workers), flush=True)
        sweep = _run(grid, name, workers, order.scheduler, store, stop)
        try:
            write_table(sweep, out)
        except OSError as error:
            kept = store.trouble or f"the finished cells are kept in {cells_path(out).name}"
            raise OSError(error.errno, f"{error.strerror or error}; {kept}", str(out)) from None
        trouble = store.trouble
    print(_said_after(sweep, out))
    if sweep.failed and not trouble:
        reason = next(row["reason"] for row in sweep.rows if row["status"] == "failed")
        trouble = f"{sweep.failed:,} of {len(grid.cells):,} cells failed, the first because: {reason}"
    return sweep, trouble


def _run(grid: Grid, name: str, workers: int, scheduler: str | None, store: SweepStore, stop: Stop) -> Sweep:
    bar = _Bar()
    try:
        with make_executor(name, workers, scheduler) as executor:
            return run_sweep(grid, executor=executor, store=store, on_row=bar.update, stop=stop)
    finally:
        bar.close()


def write_table(sweep: Sweep, out: Path) -> None:
    """Write a sweep's rows as Parquet, whole or not at all."""
    from nnlab.tables import to_parquet

    about = f"{len(sweep.rows)} of {len(sweep.grid.cells)} cells of a sweep"
    content = to_parquet(sweep.frame, about, MEANINGS)
    write_whole(out, [content])


def _said_before(grid: Grid, left: Sequence[ExperimentConfig], name: str, workers: int) -> str:
    axes = " x ".join(f"{len(values)} {field}" for field, values in grid.axes.items())
    said = f"{len(grid.cells):,} cells" + (f" ({axes})" if axes else "")
    if not left:
        return f"{said}, all finished before"
    # Of a cluster's pace nobody here knows.
    slower = 1.0 if name == "dask" else pace()
    cost = spoken_seconds(slower * estimate(left, 1 if name == "threads" else workers))
    which = f", {len(left):,} of them still to be trained" if len(left) < len(grid.cells) else ""
    return f"{said}{which}: about {cost} {_WORDS[name].format(workers)}"


def _said_after(sweep: Sweep, out: Path) -> str:
    counts = Counter(row["status"] for row in sweep.rows)
    said = ", ".join(f"{count:,} {status}" for status, count in counts.most_common())
    reused = f"; {sweep.reused:,} were finished before" if sweep.reused else ""
    return f"{out}: {len(sweep.rows):,} of {len(sweep.grid.cells):,} cells: {said or 'none'}{reused}"
