"""A sweep in the background of a page: the same cells as alone, none twice, its limits, its stop."""

from __future__ import annotations

import threading

import pytest

import nnlab
from nnlab import sweep_job
from nnlab.grid import make_grid
from nnlab.hosting import HOSTED_VARIABLE
from nnlab.job_board import JobBoard
from nnlab.jobs import Refused
from nnlab.sweep import run_sweep
from nnlab.sweep_cost import work
from nnlab.sweep_job import HOSTED_MAX_CELLS, MAX_CELLS, SweepJob, cost_of
from nnlab.sweep_memory import SweepMemory
from nnlab.sweep_presets import SUGGESTED_VALUES, SWEEP_PRESETS, load_sweep
from nnlab.sweep_row import to_frame
from nnlab.sweep_summary import SWEEPABLE, config_of
from nnlab.sweep_words import findings

BASE = nnlab.ExperimentConfig(dataset="iris", depth=2, width=8, batch_size=16, steps=20)
GRID = make_grid(BASE, {"activation": ("relu", "tanh")}, 2)
PATIENCE = 60.0


@pytest.fixture(autouse=True)
def _at_home(monkeypatch):
    monkeypatch.delenv(HOSTED_VARIABLE, raising=False)


def finished(grid, memory) -> SweepJob:
    job = JobBoard().submit(SweepJob(grid=grid, memory=memory))
    assert job.wait(PATIENCE)
    return job


def test_a_job_gives_the_rows_of_the_sweep_and_trains_none_twice(monkeypatch):
    memory = SweepMemory()
    job = finished(GRID, memory)
    assert (job.status, job.steps_done, job.steps, job.error) == ("completed", 4, 4, "")
    expected = to_frame(run_sweep(GRID).rows)
    assert to_frame(job.swept.ordered).equals(expected)
    assert cost_of(GRID, memory).words == "4 runs, all finished already."

    trained = []
    monkeypatch.setattr(
        "nnlab.sweep.train_cells", lambda cells, **_: trained.extend(cells) or {"rows": [], "seconds": 0.0}
    )
    again = finished(GRID, memory)
    assert (again.status, trained) == ("completed", [])
    assert to_frame(again.swept.ordered).equals(expected)


def test_a_stop_keeps_what_is_finished():
    memory, begun = SweepMemory(), threading.Event()
    grid = make_grid(BASE.replace(steps=20_000, depth=50), {"activation": ("relu", "tanh")}, 1)
    quick = make_grid(BASE, {"activation": ("relu",)}, 1)
    finished(quick, memory)
    both = type(grid)((*quick.cells, *grid.cells))
    job = SweepJob(grid=both, memory=memory)
    thread = threading.Thread(target=lambda: (begun.set(), job.execute()))
    thread.start()
    assert begun.wait(PATIENCE)
    job.stop()
    thread.join(PATIENCE)
    assert job.status == "stopped"
    assert [config_of(row) for row in job.swept.rows] == list(quick.cells)
    assert cost_of(both, memory).finished == 1


def test_on_a_public_server_time_ends_it(monkeypatch):
    monkeypatch.setenv(HOSTED_VARIABLE, "1")
    monkeypatch.setattr("nnlab.jobs.HOSTED_TIME_LIMIT", 0.0)
    job = SweepJob(grid=make_grid(BASE.replace(steps=20_000), {"depth": (50,)}, 1), memory=SweepMemory())
    job.execute()
    assert job.status == "timed_out"


def test_too_much_is_refused_with_its_count_and_the_limit(monkeypatch):
    many = make_grid(BASE, {"learning_rate": [0.001 * n for n in range(1, MAX_CELLS + 2)]}, 1)
    with pytest.raises(Refused, match="2,001 cells; allowed on this page: at most 2,000"):
        cost_of(many, SweepMemory())
    long = make_grid(BASE.replace(steps=20_000, depth=100, width=512), {"gain": (1.0, 2.0)}, 10)
    with pytest.raises(Refused, match=r"20 cells would take about .* at most 60 min"):
        cost_of(long, SweepMemory())
    monkeypatch.setenv(HOSTED_VARIABLE, "1")
    some = make_grid(BASE, {"learning_rate": [0.001 * n for n in range(1, HOSTED_MAX_CELLS + 2)]}, 1)
    with pytest.raises(Refused, match="401 cells; allowed on this page: at most 400"):
        cost_of(some, SweepMemory())


def test_memory_forgets_the_oldest():
    memory = SweepMemory(most=2)
    for key in "abc":
        memory.add(key, {"seed": key})
    assert [key for key in "abc" if key in memory] == ["b", "c"]
    assert memory["c"] == {"seed": "c"}
    assert len(memory) == 2


@pytest.mark.parametrize("name", SWEEP_PRESETS)
def test_every_question_fits_a_public_server(name, monkeypatch):
    monkeypatch.setenv(HOSTED_VARIABLE, "1")
    grid = SWEEP_PRESETS[name].grid
    assert cost_of(grid, SweepMemory()).seconds < sweep_job.HOSTED_TIME_LIMIT / 2
    assert SweepJob(grid=grid, memory=SweepMemory()).estimated_bytes < 64_000_000


def test_every_field_has_values_to_begin_with():
    from nnlab.grid import parse_axis

    assert set(SUGGESTED_VALUES) == set(SWEEPABLE)
    for name, text in SUGGESTED_VALUES.items():
        _, values = parse_axis(f"{name}={text}")
        assert len(make_grid(BASE, {name: values}).cells) >= 2


@pytest.mark.parametrize("question", SWEEP_PRESETS)
def test_every_question_has_an_answer_and_a_cell_of_it_trains_to_its_numbers(question):
    preset = SWEEP_PRESETS[question]
    kept = load_sweep(preset)
    assert [config_of(row) for row in kept.rows] == list(preset.grid.cells)
    assert "train" in findings(kept)[0]
    trained = [row for row in kept.rows if row["status"] == "completed"]
    row = min(trained, key=lambda row: work(config_of(row)))
    (again,) = run_sweep(make_grid(config_of(row), {}, 1)).rows
    assert again["test_accuracy"] == pytest.approx(row["test_accuracy"], abs=0.03)
    assert again["gradient_ratio"] == pytest.approx(row["gradient_ratio"], rel=0.05)
