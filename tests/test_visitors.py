"""Several visitors of one public server: what they share, what they do not, and what they are told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from boards import fresh_board
from streamlit.testing.v1 import AppTest
from waiting import wait_until

from nnlab import hosting, job_board
from nnlab.config import ExperimentConfig
from nnlab.grid import make_grid
from nnlab.job_board import JobBoard
from nnlab.jobs import GroupJob
from nnlab.sweep_job import SweepJob
from nnlab.sweep_memory import SweepMemory
from nnlab.trajectory import Plan

SCRIPT = Path(__file__).parent.parent / "dashboard.py"
PATIENCE = 60.0
SHORT = ExperimentConfig(dataset="iris", depth=2, width=4, batch_size=16, steps=5)
LONG = ExperimentConfig(depth=12, width=64, steps=20_000, record_every=100)  # half a minute of a core


@pytest.fixture(autouse=True)
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[JobBoard]:
    monkeypatch.setenv(hosting.HOSTED_VARIABLE, "1")
    board = fresh_board(monkeypatch)
    board._held = lambda: None  # the tests before have left their memory here
    yield board
    for job in board.jobs():
        job.stop()
        assert job.wait(PATIENCE)


def visit(config: ExperimentConfig, **query: str) -> AppTest:
    page = AppTest.from_file(SCRIPT, default_timeout=PATIENCE)
    page.query_params.update(config.to_query() | query)
    return page.run()


def press(page: AppTest, key: str) -> AppTest:
    page.button(key=key).click().run()
    assert not page.exception
    return page


def test_two_who_train_the_same_watch_one_run_and_each_stops_it_for_himself(board: JobBoard) -> None:
    one, other = press(visit(LONG), "train"), press(visit(LONG), "train")
    (job,) = board.jobs()
    assert one.session_state["visitor"] != other.session_state["visitor"]
    assert job.owners == {one.session_state["visitor"], other.session_state["visitor"]}
    wait_until(lambda: job.steps_done > 100)
    press(one, "stop")
    assert job.status == "running"
    assert one.query_params["run"] != job.id == other.query_params["run"]
    mine = board.get(one.query_params["run"])
    assert (mine.status, mine.run.status) == ("stopped", "stopped")
    assert 100 <= mine.steps_done <= job.steps_done
    press(other, "stop")
    assert job.wait(PATIENCE)
    assert job.status == "stopped"


def test_a_visitor_of_another_page_waits_for_his_own_run(board: JobBoard) -> None:
    one, other = press(visit(LONG), "train"), visit(SHORT)
    lesson = one.switch_page("pages/2_Why_nonlinearity.py").run()
    press(lesson, "train_xor")
    (bar,) = [bar.proto.text for bar in lesson.get("progress")]
    assert bar.startswith("Waiting for a free place: number 1 in the queue, about ")
    press(other, "train")
    first, mine, theirs = board.jobs()
    assert theirs.wait(PATIENCE)
    assert (first.status, mine.status, theirs.status) == ("running", "queued", "completed")


def test_who_waits_is_led_to_what_theory_knows_of_the_network(
    board: JobBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_board, "MAX_RUNNING", 0)
    page = press(visit(LONG.replace(depth=7, width=8, activation="relu")), "train")
    (link,) = [link for link in page.get("page_link") if "signal gets through" in link.proto.label]
    query = dict(parse_qsl(link.proto.query_string))
    assert (query["depth"], query["width"], query["activation"]) == ("7", "8", "relu")
    there = page.switch_page("pages/4_Initialization.py")
    there.query_params.update(query)
    assert not there.run().exception
    assert there.slider(key="initialization_depth").value == 7


def test_experiments_before_a_remedy_are_trained_one_after_the_other(
    board: JobBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_board, "MAX_RUNNING", 0)  # until all have asked
    page = visit(SHORT, run="AAAAAAAAAAAA", healed="activation:sigmoid;gain:2.0;activation:relu")
    assert [job.status for job in board.jobs()] == ["queued"]
    assert not page.error
    monkeypatch.setattr(job_board, "MAX_RUNNING", 2)
    board._start_what_may()
    end = time.monotonic() + PATIENCE
    while not (len(board.jobs()) == 4 and not any(job.is_active for job in board.jobs())):
        assert time.monotonic() < end, "waited in vain"
        page.run()
        assert not page.error
    assert not page.run().exception
    assert len({job.run.config for job in board.jobs()}) == 4


def test_a_run_that_had_to_make_room_says_why(board: JobBoard) -> None:
    page = press(visit(LONG), "train")
    (job,) = board.jobs()
    wait_until(lambda: job.steps_done > 100)
    board._held = lambda: job_board.STOP_ABOVE + 1
    board.relieve()
    assert job.wait(PATIENCE)
    page.run()
    assert job_board.MADE_ROOM in [warning.value for warning in page.warning]
    assert page.button(key="train")
    refused = press(visit(LONG.replace(seed=1)), "train")
    assert [error.value for error in refused.error] == [job_board.SHORT_OF_MEMORY]


def test_caches_of_pages_can_be_cleared_from_another_thread(board: JobBoard) -> None:
    visit(SHORT)
    assert set(board._caches) == {"resources", "data", "errands"}
    board.make_room()
    assert not visit(SHORT).exception


def test_who_leaves_a_group_or_a_sweep_keeps_what_is_there() -> None:
    group = GroupJob(plans=(Plan(SHORT), Plan(SHORT.replace(seed=1))))
    group.execute()
    mine = group.parted()
    assert {trajectory.run.status for trajectory in mine.trajectories} == {"stopped"}
    assert {trajectory.run.status for trajectory in group.trajectories} == {"completed"}
    sweep = SweepJob(grid=make_grid(SHORT, {"activation": ("relu", "tanh")}, 1), memory=SweepMemory())
    mine = sweep.parted()
    sweep.execute()
    assert (len(mine.rows), len(sweep.rows)) == (0, 2)


def test_the_cells_of_a_shared_sweep_are_kept_by_all_who_watched_it() -> None:
    sweep = SweepJob(grid=make_grid(SHORT, {"activation": ("relu", "tanh")}, 1), memory=SweepMemory())
    sweep.execute()
    own = SweepMemory()
    own.take(sweep.memory, sweep.keys[:1])
    assert [key in own for key in sweep.keys] == [True, False]
    again = SweepJob(grid=sweep.grid, memory=own)
    assert again.key == sweep.key
    assert again.estimated_seconds < SweepJob(grid=sweep.grid, memory=SweepMemory()).estimated_seconds
