"""The board: fair between visitors, equal work shared, leases of several, memory guarded."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from waiting import wait_until

from nnlab import hosting, job_board, jobs, lease, memory
from nnlab.config import ExperimentConfig
from nnlab.job_board import JobBoard
from nnlab.jobs import Job, Refused, RunJob
from nnlab.run import Run

PATIENCE = 30.0
MB = 1_000_000
SHORT = ExperimentConfig(dataset="iris", depth=2, width=4, batch_size=16, steps=5)


@dataclass
class Gated(Job):
    """Work that goes on until its gate is opened, or it is stopped and does not linger."""

    size: int = 0
    seconds: float = 1.0
    name: Hashable = None
    kept: int = 0
    lingers: bool = False
    gate: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    steps = 10
    steps_done = 0
    needs_file = False

    @property
    def estimated_bytes(self) -> int:
        return self.size

    @property
    def estimated_seconds(self) -> float:
        return self.seconds

    @property
    def kept_bytes(self) -> int:
        return self.kept

    @property
    def key(self) -> Hashable:
        return self.name

    def _train(self, time_limit: float | None) -> str:
        self._mark_first_record()
        self.begun.set()
        while not self.gate.wait(0.002):
            if self.is_set() and not self.lingers:
                return "stopped"
        return "stopped" if self.is_set() else "completed"


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Memory:
    """A process's memory that is what the test says; None is a system that does not tell."""

    def __init__(self) -> None:
        self.resident: int | None = 300 * MB

    def __call__(self) -> int | None:
        return self.resident


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(lease, "now", clock)
    return clock


@pytest.fixture
def process() -> Memory:
    return Memory()


@pytest.fixture
def board(process: Memory, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobBoard]:
    monkeypatch.setattr(job_board, "GUARD_SECONDS", 0.002)
    board = JobBoard(process)
    yield board
    left = board.jobs()
    for job in left:
        job.stop()
    for job in left:
        assert job.wait(PATIENCE)
    wait_until(lambda: not board._running)


@pytest.fixture(autouse=True)
def hosted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(hosting.HOSTED_VARIABLE, "1")


def running(board: JobBoard, owner: str, **options: object) -> Gated:
    job = board.submit(Gated(**options), owner)  # type: ignore[arg-type]
    assert job.begun.wait(PATIENCE)
    return job


def finished(board: JobBoard, owner: str, **options: object) -> Gated:
    job = running(board, owner, **options)
    job.gate.set()
    assert job.wait(PATIENCE)
    wait_until(lambda: job not in board._running)
    return job


# Fair between visitors


def test_one_run_and_one_that_waits_is_all_that_a_visitor_can_have(board: JobBoard) -> None:
    first = running(board, "me")
    second = board.submit(Gated(), "me")
    assert (first.status, second.status) == ("running", "queued")
    with pytest.raises(Refused, match=r"^You have a run waiting already"):
        board.submit(Gated(), "me")
    assert running(board, "you").status == "running"
    first.gate.set()
    assert second.begun.wait(PATIENCE)


def test_a_refused_job_is_nowhere(board: JobBoard) -> None:
    first, second = running(board, "me"), board.submit(Gated(), "me")
    with pytest.raises(Refused):
        board.submit(Gated(), "me")
    assert board.jobs() == [first, second]


def test_on_ones_own_machine_there_are_no_such_limits(
    board: JobBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(hosting.HOSTED_VARIABLE)
    both = [running(board, "me"), running(board, "me")]
    waiting = [board.submit(Gated(), "me") for _ in range(3)]
    assert [job.status for job in (*both, *waiting)] == ["running"] * 2 + ["queued"] * 3


def test_a_long_sweep_leaves_a_place_to_a_short_run(board: JobBoard) -> None:
    running(board, "one", seconds=40)
    second = board.submit(Gated(seconds=40), "two")
    assert running(board, "three", seconds=1).status == "running"
    assert second.status == "queued"


def test_the_end_of_a_run_lets_all_begin_that_may(board: JobBoard) -> None:
    long = running(board, "me", seconds=40)
    other, mine = board.submit(Gated(seconds=40), "you"), board.submit(Gated(), "me")
    assert (other.status, mine.status) == ("queued", "queued")
    long.gate.set()
    assert other.begun.wait(PATIENCE)
    assert mine.begun.wait(PATIENCE)


def test_a_place_tells_how_long_to_wait(board: JobBoard, clock: Clock) -> None:
    running(board, "a", seconds=8), running(board, "b", seconds=4)
    waiting = [board.submit(Gated(seconds=5), owner) for owner in "cde"]
    assert [board.position(job) for job in waiting] == [1, 2, 3]
    assert [board.place(job).seconds for job in waiting] == [4, 8, 9]
    clock.seconds += 3
    assert [board.place(job).seconds for job in waiting] == [1, 5, 6]


def test_waiting_times_follow_the_pace_of_what_was_trained(board: JobBoard, clock: Clock) -> None:
    first = running(board, "a", seconds=2)
    clock.seconds += 12  # six times what was guessed
    first.gate.set()
    assert first.wait(PATIENCE)
    wait_until(lambda: not board._running)
    running(board, "b", seconds=2), running(board, "c", seconds=2)
    told = board.place(board.submit(Gated(), "d"))
    assert told.seconds == pytest.approx(2 * (1 + job_board.PACE_SHARE * 5))


def test_no_waiting_time_is_longer_than_the_clock_allows(board: JobBoard, clock: Clock) -> None:
    running(board, "a", seconds=200), running(board, "b", seconds=1)
    told = board.place(board.submit(Gated(seconds=100), "c"))
    assert told.seconds == hosting.HOSTED_TIME_LIMIT
    assert clock.seconds == 1000.0


# What is equal is shared


def test_equal_work_under_way_is_shared(board: JobBoard) -> None:
    one = running(board, "me", name="same")
    assert board.submit(Gated(name="same"), "you") is one
    assert one.owners == {"me", "you"}
    assert board.jobs() == [one]
    assert board.submit(Gated(name="other"), "third") is not one


def test_a_double_click_begins_one_run(board: JobBoard) -> None:
    one = board.submit(Gated(name="same"), "me")
    assert board.submit(Gated(name="same"), "me") is one


def test_a_kept_result_is_shared_with_others_and_made_anew_for_who_has_seen_it(board: JobBoard) -> None:
    one = finished(board, "me", name="same")
    assert board.submit(Gated(name="same"), "you") is one
    again = running(board, "me", name="same")
    assert again is not one


@pytest.mark.parametrize("status", ["stopped", "failed", "timed_out"])
def test_what_came_to_no_end_is_not_shared(board: JobBoard, status: str) -> None:
    one = finished(board, "me", name="same")
    one.status = status
    assert board.submit(Gated(name="same"), "you") is not one


def test_work_of_nobody_and_work_without_a_key_are_not_shared(board: JobBoard) -> None:
    one = running(board, "", name="same")
    assert board.submit(Gated(name="same"), "") is not one
    bare = board.submit(Gated(), "me")
    assert board.submit(Gated(), "you") is not bare


def test_work_that_nobody_watches_any_more_is_not_shared(board: JobBoard, clock: Clock) -> None:
    one = board.submit(Gated(name="same"), "me")
    clock.seconds += jobs.LEASE_SECONDS + 1
    assert board.submit(Gated(name="same"), "you") is not one


def test_runs_are_equal_by_experiment_and_data_alone() -> None:
    assert RunJob(config=SHORT).key == RunJob(config=SHORT).key
    assert RunJob(config=SHORT).key != RunJob(config=SHORT.replace(seed=1)).key
    other = RunJob(config=SHORT)
    other.data_sha256 = "another file"
    assert other.key != RunJob(config=SHORT).key


def test_stop_of_one_visitor_stops_it_for_nobody_else(board: JobBoard) -> None:
    shared = running(board, "me", name="same")
    board.submit(Gated(name="same"), "you")
    mine = board.leave(shared, "me")
    assert (mine.status, shared.status) == ("stopped", "running")
    assert mine.id != shared.id
    assert board.get(mine.id) is mine
    assert shared.owners == {"you"}
    assert board.leave(shared, "you") is shared
    assert shared.wait(PATIENCE)
    assert shared.status == "stopped"


def test_who_leaves_keeps_the_records_until_then(board: JobBoard) -> None:
    shared = RunJob(config=SHORT)
    shared.status, shared.run = "running", Run(SHORT, "running", (), (), {})
    shared.renew("me")
    shared.renew("you")
    mine = board.leave(shared, "me")
    assert (mine.run.status, shared.run.status) == ("stopped", "running")
    shared.status = "stopped"


def test_who_did_not_know_of_it_cannot_stop_it(board: JobBoard) -> None:
    job = running(board, "me")
    board.leave(job, "a stranger")
    assert (job.status, job.is_stopping) == ("running", False)


# Leases


def test_an_abandoned_run_stops_when_its_last_lease_ends(board: JobBoard, clock: Clock) -> None:
    job = running(board, "me", name="same")
    board.submit(Gated(name="same"), "you")
    clock.seconds += jobs.LEASE_SECONDS - 1
    job.renew("you")
    clock.seconds += 2
    assert not job.is_set()
    assert job.owners == {"you"}
    clock.seconds += jobs.LEASE_SECONDS
    assert job.wait(PATIENCE)
    assert job.status == "stopped"


def test_a_reload_takes_the_lease_over(board: JobBoard, clock: Clock) -> None:
    job = running(board, "before the reload")
    clock.seconds += jobs.LEASE_SECONDS - 1
    board.get(job.id).renew("after it")
    clock.seconds += jobs.LEASE_SECONDS - 1
    assert not job.is_set()


def test_what_is_abandoned_in_the_queue_says_so_and_gives_its_place_away(
    board: JobBoard, clock: Clock
) -> None:
    both = [running(board, "a"), running(board, "b")]
    waiting = board.submit(Gated(), "c")
    clock.seconds += jobs.LEASE_SECONDS - 1
    for job, owner in zip(both, "ab", strict=True):
        job.renew(owner)
    clock.seconds += 2
    board.submit(Gated(), "d")
    assert waiting.wait(PATIENCE)
    assert waiting.status == "stopped"


# Memory


def test_work_that_needs_too_much_of_a_processor_is_refused(board: JobBoard) -> None:
    with pytest.raises(
        Refused, match=r"would take about 8 min of a processor; here it is stopped after 60 s"
    ):
        board.submit(Gated(seconds=500), "me")
    with pytest.raises(Refused, match=r"would take about 70 MB; here at most 64 MB"):
        board.submit(Gated(size=70 * MB), "me")


def test_where_memory_is_short_nothing_new_is_taken(board: JobBoard, process: Memory) -> None:
    process.resident = 521 * MB
    with pytest.raises(Refused, match=r"^This server is short of memory just now"):
        board.submit(Gated(), "me")
    process.resident = 519 * MB
    assert running(board, "me").status == "running"


def test_a_pages_own_work_is_refused_in_the_same_words(board: JobBoard, process: Memory) -> None:
    board.check_memory()
    process.resident = 521 * MB
    with pytest.raises(Refused, match=r"^This server is short of memory just now"):
        board.check_memory()


def test_room_is_made_before_anybody_is_refused(board: JobBoard, process: Memory) -> None:
    seen: list[str] = []

    def clear() -> None:
        seen.append("cleared")
        process.resident = 400 * MB

    board.add_cache("pictures", clear)
    process.resident = 521 * MB
    assert running(board, "me").status == "running"
    assert seen == ["cleared"]


def test_a_second_run_waits_while_memory_is_short(board: JobBoard, process: Memory) -> None:
    first, second = running(board, "a"), running(board, "b")
    third = board.submit(Gated(), "c")
    process.resident = 560 * MB
    second.gate.set()
    assert second.wait(PATIENCE)
    wait_until(lambda: second not in board._running)
    assert third.status == "queued"
    first.gate.set()  # nothing runs: it would wait for ever
    assert third.begun.wait(PATIENCE)


def test_where_the_host_would_end_the_process_the_newest_run_is_stopped(
    board: JobBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = running(board, "a"), running(board, "b")
    monkeypatch.setattr(board, "_held", lambda: (500 if new.is_stopping else 601) * MB)
    assert new.wait(PATIENCE)
    assert (new.status, new.notice) == ("stopped", job_board.MADE_ROOM)
    assert (old.status, old.notice) == ("running", "")


def test_one_run_at_a_time_is_stopped(board: JobBoard, process: Memory) -> None:
    process.resident = None
    old, new = running(board, "a"), running(board, "b")
    new.lingers = True
    process.resident = 601 * MB
    board.relieve()
    board.relieve()
    assert (new.is_stopping, old.is_stopping) == (True, False)
    new.gate.set()


def test_code_that_does_not_run_is_let_go_now_and_then_and_only_on_a_public_server(
    board: JobBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(job_board, "let_code_go", lambda: calls.append("went"))
    finished(board, "a")
    finished(board, "b")
    assert len(calls) == 1
    monkeypatch.setattr(job_board, "CODE_SECONDS", 0.0)
    finished(board, "c")
    assert len(calls) == 2
    monkeypatch.delenv(hosting.HOSTED_VARIABLE)
    finished(board, "d")
    assert len(calls) == 2


def test_caches_are_cleared_before_a_run_is_stopped(board: JobBoard, process: Memory) -> None:
    job = running(board, "a")

    def clear() -> None:
        process.resident = 500 * MB

    board.add_cache("pictures", clear)
    process.resident = 650 * MB
    wait_until(lambda: process.resident == 500 * MB)
    board.relieve()
    assert not job.is_stopping


def test_where_the_system_does_not_tell_nothing_is_stopped(board: JobBoard, process: Memory) -> None:
    process.resident = None
    job = running(board, "a")
    board.relieve()
    assert job.status == "running"


def test_on_ones_own_machine_memory_is_ones_own(
    board: JobBoard, process: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(hosting.HOSTED_VARIABLE)
    process.resident = 4_000 * MB
    assert running(board, "a").status == "running"
    assert not board._is_guarded


def test_the_notice_is_in_the_runs_notes(board: JobBoard, process: Memory) -> None:
    process.resident = None
    job = board.submit(RunJob(config=SHORT.replace(steps=20_000)), "me")
    wait_until(lambda: job.run is not None)
    process.resident = 601 * MB
    board.relieve()
    assert job.wait(PATIENCE)
    assert (job.status, job.run.status) == ("stopped", "stopped")
    assert job.run.notes[-1] == job_board.MADE_ROOM
    assert job.run.records


def test_kept_results_share_a_part_of_the_memory(board: JobBoard, clock: Clock) -> None:
    kept = []
    for owner in "abc":
        kept.append(finished(board, owner, kept=12 * MB))
        clock.seconds += 1
    board.get(kept[0].id).renew("a")  # looked at again
    running(board, "d")
    assert [board.get(job.id) is job for job in kept] == [True, False, True]


def test_room_is_not_made_by_forgetting_what_somebody_looks_at(board: JobBoard, clock: Clock) -> None:
    old, new = finished(board, "a"), None
    clock.seconds += jobs.LEASE_SECONDS + 1
    new = finished(board, "b")
    board.make_room()
    assert (board.get(old.id), board.get(new.id)) == (None, new)


def test_the_memory_of_this_process_is_told_in_bytes(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    statm = Path("/proc/self/statm")
    if statm.exists():
        monkeypatch.setattr(memory, "STATM", statm)
        held = memory.held_bytes()
        assert held is not None
        assert 10 * MB < held < 100_000 * MB
    monkeypatch.setattr(memory, "STATM", tmp_path / "absent")
    assert memory.held_bytes() is None
    (tmp_path / "absent").write_text("100 28 3\n")
    assert memory.held_bytes() == 25 * memory.os.sysconf("SC_PAGE_SIZE")
