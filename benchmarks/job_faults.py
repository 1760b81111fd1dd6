"""Faults of jobs: every kind of job fails, is stopped or abandoned at the k-th call that it makes."""

from __future__ import annotations

import dataclasses
import errno
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks import invariants
from benchmarks.calls import Calls
from benchmarks.invariants import Outcome
from nnlab import threads
from nnlab.config import ExperimentConfig
from nnlab.datasets import load_dataset
from nnlab.grid import make_grid
from nnlab.job_board import JobBoard
from nnlab.jobs import GroupJob, Job, RunJob
from nnlab.lease import NOBODY
from nnlab.overlay_job import OverlayJob, seeds_plans
from nnlab.paper_job import PaperJob
from nnlab.papers import PAPERS
from nnlab.run import Run, StepRecord
from nnlab.sweep import Sweep, run_sweep
from nnlab.sweep_job import SweepJob
from nnlab.sweep_memory import SweepMemory
from nnlab.sweep_row import Row
from nnlab.trajectory import Plan
from nnlab.worker_pool import WorkerPool

TINY = ExperimentConfig(dataset="iris", depth=2, width=4, batch_size=16, steps=4, record_every=1)
GRID = make_grid(TINY, {"activation": ("relu", "tanh")}, 2)
LONG_GRID = make_grid(TINY.replace(steps=300), {"activation": ("relu", "tanh"), "depth": (2, 3, 4)}, 4)
PATIENCE = 60.0  # seconds
SECRET = "/somebody/secret.csv"


def _errors() -> tuple[BaseException, ...]:
    """Make what may be raised anywhere, anew: a raised error holds on to all that it came through."""
    return (
        MemoryError(),
        RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"
        ),
        OSError(errno.EIO, "Input/output error", SECRET),
        KeyError(SECRET),
        RecursionError("maximum recursion depth exceeded"),
        SystemExit(1),
    )


@dataclass(frozen=True)
class Kind:
    """A kind of job: how one is made, the runs and rows it shows, and what tells it of progress."""

    name: str
    make: Callable[[], Job]
    runs: Callable[[Any], Sequence[Run]]
    rows: Callable[[Any], Sequence[Row]] = lambda job: ()
    keeps: Callable[[StepRecord], StepRecord] = lambda record: record


def _paper() -> Job:
    settings = {"draws": 200, "widths": (2, 3), "hidden_layers": (2, 5), "seed": 0}
    return PaperJob(paper=dataclasses.replace(PAPERS["lu_born_dead"], small=settings))


def _of_run(job: RunJob) -> Sequence[Run]:
    return () if job.run is None else (job.run,)


def _of_group(job: GroupJob) -> Sequence[Run]:
    return tuple(trajectory.run for trajectory in job.trajectories)


KINDS = (
    Kind("run", lambda: RunJob(config=TINY), _of_run),
    Kind(
        "run on own data, by autograd",
        lambda: RunJob(config=TINY.replace(normalization="batch"), data=load_dataset(TINY)),
        _of_run,
    ),
    Kind("lesson", lambda: GroupJob(plans=(Plan(TINY), Plan(TINY.replace(activation="relu")))), _of_group),
    Kind(
        "comparison",
        lambda: OverlayJob(plans=seeds_plans([TINY, TINY.replace(activation="relu")], 2)),
        _of_group,
        keeps=lambda record: dataclasses.replace(record, histograms={}),  # no comparison draws them
    ),
    Kind("sweep", lambda: SweepJob(grid=GRID, memory=SweepMemory()), lambda job: (), lambda job: job.rows),
    Kind("paper", _paper, lambda job: ()),
)


@dataclass
class Ended:
    """A job that has ended, with what pages could see of it on the way."""

    job: Job
    seen: list[tuple[Run, ...]]
    count: int


def _execute(kind: Kind, calls: Calls, prepare: Callable[[Job], None] = lambda job: None) -> Ended:
    """Execute a job in this thread, as a board's worker does; calls are counted within its work alone."""
    job = kind.make()
    seen: list[tuple[Run, ...]] = []
    work = job._train

    def train(time_limit: float | None) -> str:
        with calls:
            return work(time_limit)

    mark = job._mark_first_record

    def marked() -> None:
        seen.append(tuple(kind.runs(job)))  # as it was before this record: that much is acknowledged
        mark()

    job._train, job._mark_first_record = train, marked  # type: ignore[method-assign]
    prepare(job)
    job.execute()
    return Ended(job, seen, calls.count)


class Reference:
    """What a kind of job gives undisturbed."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        ended = _execute(kind, Calls())
        assert ended.job.status == "completed", ended.job.error
        self.runs, self.count = tuple(kind.runs(ended.job)), ended.count
        self.rows = {_cell(row): _bare(row) for row in kind.rows(ended.job)}

    def judge(self, ended: Ended, allowed: Sequence[str]) -> list[str]:
        job, runs = ended.job, self.kind.runs(ended.job)
        problems = invariants.of_ended_runs(runs, job.status, allowed)
        if job.status == "failed":
            problems += invariants.of_words(job.error) or (
                [] if job.error else ["nothing says why it failed"]
            )
        for number, run in enumerate(runs):
            shown = next((s[number].records for s in reversed(ended.seen) if len(s) > number), ())
            problems += invariants.of_records(self._kept(run.records), self._kept(shown))
            problems += self._of_numbers(number, run)
        for row in self.kind.rows(job):
            if row["status"] != "failed" and _bare(row) != self.rows[_cell(row)]:
                problems.append("a finished cell has other numbers")
            problems += invariants.of_words(str(row["reason"]))
        return problems + _of_this_process()

    def _kept(self, records: Sequence[StepRecord]) -> list[StepRecord]:
        return [self.kind.keeps(record) for record in records]

    def _of_numbers(self, number: int, run: Run) -> list[str]:
        """All records are those of the undisturbed run, but for one that a run which breaks off ends in."""
        taken = self._kept(run.records if run.status == "completed" else run.records[:-1])
        whole = {record.step: record for record in self._kept(self.runs[number].records)}
        other = [r.step for r in taken if r.step not in whole or not invariants.is_same(whole[r.step], r)]
        return [f"records have other numbers: steps {other[:5]}"] if other else []


def _cell(row: Row) -> str:
    return f"{row['activation']} {row['depth']} {row['seed']}"


def _bare(row: Row) -> str:
    return repr({name: value for name, value in row.items() if name not in ("seconds", "reason")})


_SETTINGS = (torch.get_num_threads(), np.geterr())


def _of_this_process() -> list[str]:
    """What is set for the whole process or thread is as it was."""
    problems = [] if threads._state["runs"] == 0 else ["the count of trainings under way is wrong"]
    if not torch.is_grad_enabled():
        problems.append("gradients are switched off")
    if (torch.get_num_threads(), np.geterr()) != _SETTINGS:
        problems.append("threads or NumPy's errors are set otherwise")
    return problems


def spread(total: int, times: int) -> list[int]:
    """Give so many places among the calls, the first and the last ones too."""
    return sorted({1 + round(place) for place in np.linspace(0, total - 1, min(times, total))})


def failing(reference: Reference, times: int) -> Iterator[Outcome]:
    """Let a job fail at the k-th call that it makes."""
    before = threading.enumerate()
    for number, at in enumerate(spread(reference.count, times)):
        error = _errors()[number % len(_errors())]

        def strike(error: BaseException = error) -> None:
            raise error

        ended = _execute(reference.kind, Calls(at, strike))
        problems = reference.judge(ended, ("failed", "completed"))  # some errors nobody needs to hear of
        problems += invariants.of_threads(before)
        yield Outcome(f"{reference.kind.name}: an error at a call", f"{error!r} at {at}", tuple(problems))


def stopped(reference: Reference, times: int) -> Iterator[Outcome]:
    """Stop or abandon a job at the k-th call that it makes."""
    for number, at in enumerate(spread(reference.count, times)):
        is_stop = number % 2 == 0
        held: list[Job] = []

        def strike(held: list[Job] = held, is_stop: bool = is_stop) -> None:
            if is_stop:
                held[0].stop()
            else:
                held[0].leave(NOBODY)

        ended = _execute(reference.kind, Calls(at, strike), held.append)
        problems = reference.judge(ended, ("stopped", "completed"))
        what = "Stop" if is_stop else "the lease's end"
        yield Outcome(f"{reference.kind.name}: {what} at a call", f"at {at}", tuple(problems))


def clock_jumps(references: Sequence[Reference], times: int) -> Iterator[Outcome]:
    """Let the clock on the wall jump at every look at it; the monotonic one goes on."""
    real, draw = time.time, np.random.default_rng(0)
    for number in range(times):
        reference = references[number % len(references)]
        time.time = lambda: real() + float(draw.choice([-1e9, -86_400, 86_400, 1e9]))
        try:
            ended = _execute(reference.kind, Calls())
        finally:
            time.time = real
        problems = reference.judge(ended, ("completed",))
        yield Outcome(f"{reference.kind.name}: the clock jumps", f"round {number}", tuple(problems))


def on_a_board(reference: Reference, times: int) -> Iterator[Outcome]:
    """Let a job on a board fail, and see that the board trains the next one."""
    before = threading.enumerate()
    for number, at in enumerate(spread(reference.count, times)):
        board = JobBoard()
        broken, sound = reference.kind.make(), reference.kind.make()
        error = _errors()[number % len(_errors())]

        def strike(error: BaseException = error) -> None:
            raise error

        with Calls(at, strike, below="_train"):
            board.submit(broken)
            is_over = broken.wait(PATIENCE)
        board.submit(sound)
        is_over = sound.wait(PATIENCE) and is_over
        problems = [] if is_over else ["a job never ends"]
        problems += reference.judge(Ended(sound, [], 0), ("completed",)) if is_over else []
        problems += invariants.of_ended_runs(
            reference.kind.runs(broken), broken.status, ("failed", "completed")
        )
        problems += invariants.of_words(broken.error) + invariants.of_threads(before)
        yield Outcome(f"{reference.kind.name}: an error on a board", f"{error!r} at {at}", tuple(problems))


class FaultyPool(WorkerPool):
    """Its processes fail at every so many calls."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return super().submit(train_cells_badly, *args, **kwargs)


BAD_EVERY = 9_001  # calls; a few cells get through between two


def train_cells_badly(cells: Sequence[Any]) -> Any:
    """Train cells in a worker process where memory runs out now and then."""
    from nnlab.cell_training import train_cells

    def strike() -> None:
        raise MemoryError

    with Calls(BAD_EVERY, strike, again=True):
        return train_cells(cells)


def in_processes(kills: int) -> Iterator[Outcome]:
    """Kill worker processes at any instant of a sweep, and let memory run out in them."""
    expected = {_cell(row): _bare(row) for row in run_sweep(LONG_GRID).rows}
    draw = np.random.default_rng(0)
    for number in range(kills):
        pool = WorkerPool(2)
        killer = threading.Timer(float(draw.uniform(0, 4)), _kill_one, (pool, draw))
        killer.start()
        problems = _swept_on(pool, expected, is_whole=True)
        killer.cancel()
        yield Outcome("sweep: a worker process killed", f"round {number}", problems)
    if kills:
        problems = _swept_on(FaultyPool(2), expected, is_whole=False)
        yield Outcome("sweep: memory runs out in worker processes", f"every {BAD_EVERY} calls", problems)


def _swept_on(pool: WorkerPool, expected: dict[str, str], *, is_whole: bool) -> tuple[str, ...]:
    pids: set[int] = set()
    with pool:
        sweep = run_sweep(LONG_GRID, executor=pool, on_row=lambda row, far: pids.update(pool.pids))
    return _of_sweep(sweep, expected, pids, is_whole=is_whole)


def _kill_one(pool: WorkerPool, draw: np.random.Generator) -> None:
    pids = pool.pids
    if pids:
        os.kill(int(draw.choice(pids)), signal.SIGKILL)


def _of_sweep(sweep: Sweep, expected: dict[str, str], pids: set[int], *, is_whole: bool) -> tuple[str, ...]:
    problems = [] if len(sweep.rows) == len(expected) else ["cells are missing"]
    for row in sweep.rows:
        if row["status"] == "failed":
            problems += ["a cell is given up"] if is_whole or not row["reason"] else []
        elif _bare(row) != expected[_cell(row)]:
            problems.append("a finished cell has other numbers")
    return (*problems, *invariants.of_processes(pids))


def job_faults(times: int, jumps: int, kills: int) -> Iterator[Outcome]:
    """Let every kind of job fail, be stopped and be abandoned so many times each."""
    references = [Reference(kind) for kind in KINDS]
    for reference in references:
        yield from failing(reference, times)
        yield from stopped(reference, times)
    yield from on_a_board(references[0], times)
    yield from clock_jumps(references, jumps)
    yield from in_processes(kills)
