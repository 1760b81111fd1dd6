"""Sweeps: the same numbers from every executor, no cell twice, and nothing lost but what was in flight."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from types import ModuleType, SimpleNamespace
from typing import Any

import pandas as pd
import pytest

import nnlab
from nnlab import pace, trainer
from nnlab.__main__ import main
from nnlab.cell_training import train_cells
from nnlab.executors import best_executor, make_executor
from nnlab.grid import list_grid, make_grid
from nnlab.job_board import JobBoard
from nnlab.jobs import RunJob
from nnlab.sweep import MAX_ATTEMPTS, run_sweep, unfinished
from nnlab.sweep_cost import estimate, work
from nnlab.sweep_job import Cost
from nnlab.sweep_row import sweep_row, to_frame
from nnlab.sweep_store import SweepStore
from nnlab.worker_pool import WorkerLost, WorkerPool

BASE = nnlab.ExperimentConfig(dataset="iris", depth=2, width=8, batch_size=16, steps=20)
GRID = make_grid(BASE, {"activation": ("relu", "tanh"), "learning_rate": (0.1, 1e39)}, 2)
# A cell that takes minutes.
LONG = make_grid(BASE.replace(steps=20_000, depth=100, width=64, batch_size=120), {})


class Inline(Executor):
    """Runs every task at once, here, and counts what it trains; loses the tasks that it is told to."""

    def __init__(self, lose=lambda cells: False, fail_after: int = 10**9) -> None:
        self.trained: list[tuple[Any, ...]] = []
        self.sizes: list[int] = []
        self._lose, self._left = lose, fail_after

    def submit(self, fn, /, *args, **kwargs):
        future: Future[Any] = Future()
        (cells,) = args
        self.sizes.append(len(cells))
        self._left -= 1
        if self._left < 0:
            raise OSError("the connection is gone")
        if self._lose(cells):
            future.set_exception(WorkerLost("the worker process was ended by signal 9"))
        else:
            self.trained += [tuple(map(str, cell.values())) for cell in cells]
            future.set_result(fn(*args))
        return future


@pytest.fixture(scope="module")
def expected() -> pd.DataFrame:
    return to_frame([sweep_row(nnlab.train(cell)) for cell in GRID.cells])


def wait_until(condition) -> None:
    give_up_at = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def assert_equal(got: pd.DataFrame, want: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(got, want, check_exact=True)


def test_cells_come_out_as_if_trained_alone(expected):
    sweep = run_sweep(GRID)
    assert_equal(sweep.frame, expected)
    assert (sweep.status, sweep.reused, sweep.failed) == ("completed", 0, 0)
    assert set(expected["status"]) == {"completed", "diverged"}


def test_the_lab_and_the_command_line_give_the_same(expected, tmp_path):
    lab, line = [], []
    for number, cell in enumerate(GRID.cells):
        job = JobBoard().submit(RunJob(config=cell))
        assert job.wait(60)
        lab.append(sweep_row(job.run))
        flags = [
            f"--{name.replace('_', '-')}={text}" for name, text in cell.to_query().items() if name in USED
        ]
        out = str(tmp_path / f"{number}.jsonl")
        assert main(["train", *flags, "--out", out]) == 0
        line.append(sweep_row(nnlab.load_run(out)))
    assert_equal(to_frame(lab), expected)
    assert_equal(to_frame(line), expected)


USED = ("dataset", "depth", "width", "activation", "learning_rate", "batch_size", "steps", "seed")


def test_any_executor_will_do(expected):
    with ThreadPoolExecutor(2) as executor:
        assert_equal(run_sweep(GRID, executor=executor).frame, expected)


def test_processes_give_the_same_and_a_killed_one_is_replaced(expected):
    killed: list[int] = []

    def kill(row: Any, progress: Any) -> None:
        if not killed:
            killed.extend(executor.pids)
            os.kill(killed[0], signal.SIGKILL)

    with WorkerPool(1) as executor:
        sweep = run_sweep(GRID, executor=executor, on_row=kill)
        assert executor.pids != tuple(killed)
    assert_equal(sweep.frame, expected)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Start two workers, processes of their own, as people who outgrow one machine have them."""
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with pytest.MonkeyPatch.context() as patch:
        # A tested page may have left its script as __main__, which new processes would run.
        patch.setitem(sys.modules, "__main__", ModuleType("__main__"))
        with (
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield client
    logging.getLogger("distributed").setLevel(logging.WARNING)


def test_a_stopped_sweep_leaves_nothing_running_on_dask(cluster):
    stop = threading.Event()

    def busy() -> int:
        return sum(cluster.run(lambda dask_worker: len(dask_worker.active_threads)).values())

    def stop_when_busy() -> None:
        try:
            wait_until(busy)
        finally:
            stop.set()

    thread = threading.Thread(target=stop_when_busy)
    thread.start()
    with make_executor("dask", scheduler=cluster.scheduler.address) as executor:
        sweep = run_sweep(LONG, executor=executor, stop=stop)
    thread.join()
    assert (sweep.status, sweep.rows) == ("stopped", ())
    wait_until(lambda: not busy())


def test_dask_gives_the_same_and_a_killed_worker_is_replaced(cluster, expected):
    killed: list[int] = []

    def kill(row: Any, progress: Any) -> None:
        if not killed:
            busy = [worker for worker, keys in cluster.processing().items() if keys]
            killed.extend(cluster.run(os.getpid, workers=busy[:1]).values())
            os.kill(killed[0], signal.SIGKILL)

    with make_executor("dask", scheduler=cluster.scheduler.address) as executor:
        sweep = run_sweep(GRID, executor=executor, on_row=kill)
    assert_equal(sweep.frame, expected)
    assert len(killed) == 1


def test_seeds_of_one_experiment_are_trained_together():
    executor = Inline()
    run_sweep(make_grid(BASE, {"depth": (1, 2)}, 3), executor=executor)
    assert executor.sizes == [3, 3]
    executor.workers = 2
    executor.sizes.clear()
    run_sweep(make_grid(BASE, {}, 8), executor=executor)
    assert executor.sizes == [2, 2, 2, 2]
    executor.workers = 1
    executor.sizes.clear()
    run_sweep(make_grid(BASE.replace(steps=1), {}, 40), executor=executor)
    assert executor.sizes == [16, 16, 8]


def test_no_cell_is_trained_twice(tmp_path, expected):
    first, second, third = Inline(fail_after=2), Inline(), Inline()
    with SweepStore(tmp_path / "cells") as store, pytest.raises(OSError, match="connection"):
        run_sweep(GRID, executor=first, store=store)
    with SweepStore(tmp_path / "cells") as store:
        assert len(store) == 4
        assert unfinished(GRID, store) == [cell for cell in GRID.cells if cell.activation == "tanh"]
        sweep = run_sweep(GRID, executor=second, store=store)
    assert_equal(sweep.frame, expected)
    assert sweep.reused == 4
    trained = first.trained + second.trained
    assert len(trained) == len(set(trained)) == len(GRID.cells)
    wider = make_grid(BASE, {"activation": ("tanh", "sigmoid")})
    with SweepStore(tmp_path / "cells") as store:
        sweep = run_sweep(wider, executor=third, store=store)
    assert (sweep.reused, sweep.frame["activation"].tolist()) == (1, ["tanh", "sigmoid"])
    assert len(third.trained) == 1


def test_every_row_is_reported_with_the_progress():
    seen: list[Any] = []
    run_sweep(GRID, executor=Inline(), on_row=lambda row, progress: seen.append((row, progress)))
    assert [progress.done for _, progress in seen] == list(range(1, 9))
    assert [row["activation"] for row, _ in seen] == [cell.activation for cell in GRID.cells]
    last = seen[-1][1]
    assert (last.total, last.seconds_left) == (8, 0.0)
    assert seen[0][1].seconds_left > 0


def test_a_cell_that_ends_its_worker_is_given_up_and_the_others_are_not(tmp_path, expected):
    executor = Inline(lose=lambda cells: any(c["seed"] == 1 and c["activation"] == "tanh" for c in cells))
    with SweepStore(tmp_path / "cells") as store:
        sweep = run_sweep(GRID, executor=executor, store=store)
        assert len(store) == 6
    failed = sweep.frame["status"] == "failed"
    assert (sweep.status, sweep.failed) == ("completed", 2)
    assert_equal(sweep.frame[~failed], expected[~failed])
    assert set(sweep.frame["reason"][failed]) == {"the worker process was ended by signal 9; tried 3 times"}
    assert executor.sizes.count(1) == 2 * (1 + MAX_ATTEMPTS - 1)


def test_an_error_in_a_cell_is_the_reason_of_its_row_alone(monkeypatch, expected):
    real = trainer.train_ends

    def train_ends(config, seeds, *rest):
        if 1 in seeds:
            raise MemoryError("no room")
        return real(config, seeds, *rest)

    monkeypatch.setattr(trainer, "train_ends", train_ends)
    frame = run_sweep(GRID).frame
    assert set(frame[frame["seed"] == 1]["reason"]) == {"MemoryError: no room"}
    assert_equal(frame[frame["seed"] == 0], expected[expected["seed"] == 0])


@pytest.mark.parametrize("name", ["threads", "processes"])
def test_a_stop_ends_a_cell_in_its_midst(name):
    stop = threading.Event()
    timer = threading.Timer(0.3, stop.set)
    timer.start()
    with make_executor(name, workers=1) as executor:
        sweep = run_sweep(LONG, executor=executor, stop=stop)
    assert (sweep.status, sweep.rows, sweep.frame.shape[0]) == ("stopped", (), 0)


def test_an_error_of_the_listener_ends_the_sweep():
    def fail(row: Any, progress: Any) -> None:
        raise KeyError("mine")

    with make_executor("threads") as executor:
        with pytest.raises(KeyError, match="mine"):
            run_sweep(GRID, executor=executor, on_row=fail)
        with pytest.raises(RuntimeError, match="after shutdown"):
            executor.submit(train_cells, [])


def test_a_changed_file_is_another_cell(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("a,y\n" + "".join(f"{i},{i % 2}\n" for i in range(40)))
    grid = list_grid([BASE.replace(dataset="csv", csv_path=str(table), target="y", steps=2)])
    with SweepStore(tmp_path / "cells") as store:
        assert [run_sweep(grid, store=store).reused for _ in range(2)] == [0, 1]
        table.write_text(table.read_text() + "40,1\n")
        assert run_sweep(grid, store=store).reused == 0
    with pytest.raises(ValueError, match="csv_path"):
        run_sweep(list_grid([grid.cells[0].replace(csv_path=str(tmp_path / "none.csv"))]))


def test_the_guess_grows_with_the_work_and_is_shared_out():
    assert work(BASE) < work(BASE.replace(depth=20)) < work(BASE.replace(depth=20, width=256))
    assert estimate([BASE] * 4, 2) == pytest.approx(2 * work(BASE))
    assert [best_executor(s, 9, 2) for s in (1.0, 600.0)] == ["threads", "processes"]
    assert best_executor(600.0, 9, 1) == best_executor(600.0, 1, 2) == "threads"


def test_a_busy_machine_is_said_to_take_longer(monkeypatch):
    looks = itertools.count()
    clock = SimpleNamespace(
        perf_counter=lambda: 3 * next(looks) * pace.PASSES * pace.REFERENCE_SECONDS,
        monotonic=lambda: 1e9,
    )
    monkeypatch.setattr(pace, "time", clock)
    assert pace.pace() == pytest.approx(3.0, rel=0.01)
    before = next(looks)
    assert pace.pace() == pytest.approx(3.0, rel=0.01)
    assert next(looks) == before + 1  # the figure of a moment ago will do
    assert Cost(9, 3, 100.0, pace=3.0).words == "9 runs, 3 of them finished already: about 5 min."


def test_unknown_executors_are_refused():
    with pytest.raises(ValueError, match="'cluster' is not allowed; allowed: threads, processes, dask"):
        make_executor("cluster")
    with pytest.raises(ValueError, match="goes with the executor dask only"):
        make_executor("threads", scheduler="localhost:1")
