"""jobs: runs in the background, first come first served, stopped, abandoned, refused and forgotten."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from waiting import wait_until

import nnlab.trainer
from nnlab import failure, footprint, hosting, job_board, jobs, memory
from nnlab.config import ExperimentConfig
from nnlab.datasets import Data, prepare
from nnlab.job_board import JobBoard
from nnlab.jobs import GroupJob, Refused, RunJob
from nnlab.trajectory import Plan, Trajectory

PATIENCE = 30.0  # seconds; far more than anything here takes
SHORT = ExperimentConfig(dataset="iris", depth=2, width=4, batch_size=16, steps=5)
ENDLESS = SHORT.replace(steps=20_000, record_every=1)  # minutes, so never over by itself
MEGABYTES = job_board.HOSTED_MEMORY_LIMIT // 1_000_000


def has_records(job: RunJob) -> bool:
    return job.run is not None and len(job.run.records) > 0


def started(board: JobBoard, config: ExperimentConfig = ENDLESS) -> RunJob:
    job = board.submit(RunJob(config=config))
    wait_until(lambda: has_records(job))
    return job


@pytest.fixture(autouse=True)
def _not_hosted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(hosting.HOSTED_VARIABLE, raising=False)


@pytest.fixture
def hosted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(hosting.HOSTED_VARIABLE, "1")


@pytest.fixture
def board() -> Iterator[JobBoard]:
    board = JobBoard()
    yield board
    left = board.jobs()
    for job in left:
        job.stop()
    for job in left:
        assert job.wait(PATIENCE)


@pytest.fixture
def busy(board: JobBoard) -> list[RunJob]:
    """Fill every place at which a run can be trained."""
    return [started(board) for _ in range(job_board.MAX_RUNNING)]


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give the seeds of all runs in the order in which their training began."""
    seeds: list[int] = []
    real = nnlab.trainer.train

    def train(config: ExperimentConfig, **options: object) -> nnlab.Run:
        seeds.append(config.seed)
        return real(config, **options)

    monkeypatch.setattr(nnlab.trainer, "train", train)
    return seeds


def broken(message: Exception) -> Callable[..., nnlab.Run]:
    def train(config: ExperimentConfig, **options: object) -> nnlab.Run:
        raise message

    return train


# Running


def test_a_submitted_run_is_trained_to_its_end(board: JobBoard) -> None:
    job = board.submit(RunJob(config=SHORT))
    assert job.wait(PATIENCE)
    assert job.status == "completed"
    assert [record.step for record in job.run.records] == list(range(SHORT.steps + 1))


def test_submitting_does_not_wait_for_the_training(board: JobBoard) -> None:
    job = board.submit(RunJob(config=ENDLESS))
    assert job.is_active
    assert not job.wait(0)


def test_training_happens_in_a_daemon_thread_that_cannot_keep_the_process_alive(
    board: JobBoard, busy: list[RunJob]
) -> None:
    workers = [thread for thread in threading.enumerate() if thread.name == "nnlab-run"]
    assert len(workers) >= job_board.MAX_RUNNING
    assert all(worker.daemon for worker in workers)


def test_the_records_of_a_running_job_can_be_read_while_it_runs(board: JobBoard) -> None:
    job = started(board)
    first = len(job.run.records)
    wait_until(lambda: len(job.run.records) > first)
    assert job.run.status == "running"


def test_progress_counts_the_steps_done_of_all_steps(board: JobBoard) -> None:
    job = board.submit(RunJob(config=SHORT))
    assert job.wait(PATIENCE)
    assert (job.progress.step, job.progress.steps, job.progress.share) == (5, 5, 1.0)


def test_progress_of_a_running_job_tells_speed_and_time_left(board: JobBoard) -> None:
    job = started(board)
    wait_until(lambda: job.progress.step > 10)
    now = job.progress
    assert 0 < now.share < 1
    assert now.seconds_left == pytest.approx((now.steps - now.step) / now.steps_per_second)


def test_progress_of_a_job_without_records_knows_no_time_left(board: JobBoard, busy: list[RunJob]) -> None:
    assert board.submit(RunJob(config=ENDLESS)).progress.seconds_left is None


def test_an_idle_board_trains_again(board: JobBoard) -> None:
    for _ in range(2):
        job = board.submit(RunJob(config=SHORT))
        assert job.wait(PATIENCE)
        wait_until(lambda: board._workers == 0)
        assert job.status == "completed"


def test_ids_never_repeat(board: JobBoard) -> None:
    assert len({RunJob(config=SHORT).id for _ in range(1000)}) == 1000


def test_equal_experiments_are_jobs_of_their_own(board: JobBoard) -> None:
    one, other = board.submit(RunJob(config=SHORT)), board.submit(RunJob(config=SHORT))
    assert one.id != other.id
    assert board.get(one.id) is one
    assert board.get(other.id) is other


def test_a_job_is_found_by_its_id(board: JobBoard) -> None:
    job = board.submit(RunJob(config=SHORT))
    assert board.get(job.id) is job


def test_an_id_that_never_was_gives_none(board: JobBoard) -> None:
    assert board.get("../../etc/passwd") is None


# The queue


def test_no_more_runs_than_places_are_trained_at_once(board: JobBoard, busy: list[RunJob]) -> None:
    waiting = board.submit(RunJob(config=SHORT))
    assert [job.status for job in busy] == ["running"] * job_board.MAX_RUNNING
    assert waiting.status == "queued"
    assert not waiting.wait(0.2)


def test_waiting_jobs_have_places_from_one(board: JobBoard, busy: list[RunJob]) -> None:
    waiting = [board.submit(RunJob(config=SHORT)) for _ in range(3)]
    assert [board.position(job) for job in waiting] == [1, 2, 3]


def test_a_running_job_has_place_zero(board: JobBoard, busy: list[RunJob]) -> None:
    assert [board.position(job) for job in busy] == [0] * job_board.MAX_RUNNING


def test_the_queue_moves_up_when_a_run_ends(board: JobBoard, busy: list[RunJob]) -> None:
    first, second = board.submit(RunJob(config=ENDLESS)), board.submit(RunJob(config=ENDLESS))
    busy[0].stop()
    wait_until(lambda: has_records(first))
    assert board.position(second) == 1


@pytest.mark.usefixtures("busy")
def test_waiting_jobs_are_trained_first_come_first_served(board: JobBoard, order: list[int]) -> None:
    waiting = [board.submit(RunJob(config=SHORT.replace(seed=seed))) for seed in range(1, 7)]
    board.jobs()[0].stop()  # one place only, so that the order shows
    assert all(job.wait(PATIENCE) for job in waiting)
    assert order == [1, 2, 3, 4, 5, 6]


def test_a_job_that_is_stopped_while_it_waits_is_never_trained(
    board: JobBoard, busy: list[RunJob], order: list[int]
) -> None:
    waiting = board.submit(RunJob(config=SHORT))
    waiting.stop()
    busy[0].stop()
    assert waiting.wait(PATIENCE)
    assert (waiting.status, waiting.run, order) == ("stopped", None, [])


def test_a_full_queue_refuses_with_its_length(
    board: JobBoard, busy: list[RunJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_board, "MAX_QUEUED", 2)
    for _ in range(2):
        board.submit(RunJob(config=SHORT))
    with pytest.raises(Refused, match=r"^2 runs are waiting already, which is all that fit\. Try again"):
        board.submit(RunJob(config=SHORT))


def test_a_refused_job_leaves_no_trace(
    board: JobBoard, busy: list[RunJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_board, "MAX_QUEUED", 0)
    with pytest.raises(Refused):
        board.submit(RunJob(config=SHORT))
    assert board.jobs() == busy


def test_a_full_queue_takes_jobs_again_once_it_has_moved(
    board: JobBoard, busy: list[RunJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_board, "MAX_QUEUED", 1)
    waiting = board.submit(RunJob(config=SHORT))
    busy[0].stop()
    assert waiting.wait(PATIENCE)
    assert board.submit(RunJob(config=SHORT)).wait(PATIENCE)


# Stopping


def test_a_big_network_stops_within_the_patience_of_a_visitor(board: JobBoard) -> None:
    job = started(board, ExperimentConfig(depth=20, width=256, batch_size=256, steps=20_000))
    job.stop()
    assert job.wait(2.0)  # half a second alone on a core; four times that beside other work
    assert job.status == "stopped"


def test_a_stopped_run_keeps_its_records(board: JobBoard) -> None:
    job = started(board)
    wait_until(lambda: len(job.run.records) > 5)
    job.stop()
    assert job.wait(PATIENCE)
    assert len(job.run.records) > 5
    assert job.run.status == "stopped"


def test_a_waiting_job_that_is_stopped_leaves_the_queue_at_once(board: JobBoard, busy: list[RunJob]) -> None:
    waiting = board.submit(RunJob(config=SHORT))
    waiting.stop()
    assert waiting.wait(1.0)
    assert (waiting.status, board.position(waiting)) == ("stopped", 0)


def test_stopping_one_job_leaves_the_others_running(board: JobBoard, busy: list[RunJob]) -> None:
    busy[0].stop()
    assert busy[0].wait(PATIENCE)
    step = busy[1].progress.step
    wait_until(lambda: busy[1].progress.step > step)
    assert busy[1].status == "running"


def test_stopping_a_finished_job_changes_nothing(board: JobBoard) -> None:
    job = board.submit(RunJob(config=SHORT))
    assert job.wait(PATIENCE)
    job.stop()
    assert (job.status, job.run.status) == ("completed", "completed")


# The lease


def test_a_run_that_nobody_watches_stops(board: JobBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    job = started(board)
    monkeypatch.setattr(jobs, "LEASE_SECONDS", 0.05)
    assert job.wait(PATIENCE)
    assert (job.status, job.run.status) == ("stopped", "stopped")


def test_a_run_that_is_watched_goes_on_past_its_lease(
    board: JobBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = 1.0
    job = started(board)
    job.renew()
    monkeypatch.setattr(jobs, "LEASE_SECONDS", lease)
    end = time.monotonic() + 1.5 * lease
    while time.monotonic() < end:
        job.renew()
        assert not job.wait(lease / 20)
    assert job.status == "running"


def test_a_job_that_nobody_waits_for_is_not_trained(
    board: JobBoard, busy: list[RunJob], order: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    abandoned = board.submit(RunJob(config=SHORT))
    monkeypatch.setattr(jobs, "LEASE_SECONDS", 0.5)
    while not abandoned.is_set():
        for job in busy:
            job.renew()
            assert not job.wait(0.01)
    busy[0].stop()
    assert abandoned.wait(PATIENCE)
    assert (abandoned.status, order) == ("stopped", [])


# Forgetting


def test_the_oldest_finished_jobs_are_forgotten(board: JobBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_board, "KEEP_FINISHED", 2)
    done = []
    for seed in range(4):
        done.append(board.submit(RunJob(config=SHORT.replace(seed=seed))))
        assert done[-1].wait(PATIENCE)
    latest = board.submit(RunJob(config=SHORT))  # forgetting happens on arrival
    assert [board.get(job.id) for job in done] == [None, None, done[2], done[3]]
    assert board.get(latest.id) is latest


def test_active_jobs_are_never_forgotten(
    board: JobBoard, busy: list[RunJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_board, "KEEP_FINISHED", 0)
    waiting = [board.submit(RunJob(config=SHORT)) for _ in range(3)]
    assert board.jobs() == [*busy, *waiting]


# Failing


def test_a_failed_job_keeps_the_message_and_no_traceback(
    board: JobBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nnlab.trainer, "train", broken(RuntimeError("out of luck")))
    job = board.submit(RunJob(config=SHORT))
    assert job.wait(PATIENCE)
    assert job.status == "failed"
    assert re.fullmatch(rf"{failure.UNKNOWN} \(error [0-9a-f]{{8}}\)", job.error)


def test_bad_input_found_by_the_worker_is_said_in_its_own_words(
    board: JobBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nnlab.trainer, "train", broken(ValueError("target: 'y' is no column")))
    job = board.submit(RunJob(config=SHORT))
    assert job.wait(PATIENCE)
    assert (job.status, job.error) == ("failed", "target: 'y' is no column")


def test_the_worker_goes_on_after_a_failed_job(board: JobBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(nnlab.trainer, "train", broken(MemoryError("no room")))
        failed = board.submit(RunJob(config=SHORT))
        assert failed.wait(PATIENCE)
    after = board.submit(RunJob(config=SHORT))
    assert after.wait(PATIENCE)
    assert (failed.status, after.status) == ("failed", "completed")


def test_a_failure_halfway_keeps_the_records_so_far(board: JobBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    real = nnlab.trainer.train

    def train(config: ExperimentConfig, **options: object) -> nnlab.Run:
        real(config, **options)
        raise RuntimeError("the power went out")

    monkeypatch.setattr(nnlab.trainer, "train", train)
    job = board.submit(RunJob(config=SHORT))
    assert job.wait(PATIENCE)
    assert job.status == "failed"
    assert len(job.run.records) == SHORT.steps + 1
    assert job.run.status == "failed"  # and the file of it, and the report


def test_the_networks_of_a_failed_group_say_that_they_failed(
    board: JobBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train_together(plans: object, on_progress: Callable[..., None], **options: object) -> None:
        ended = nnlab.train(SHORT)
        on_progress([Trajectory(run, {}) for run in (ended, ended.until(2))])
        raise RuntimeError("the power went out")

    monkeypatch.setattr(nnlab.trainer, "train_together", train_together)
    job = board.submit(GroupJob(plans=(Plan(SHORT), Plan(SHORT))))
    assert job.wait(PATIENCE)
    assert [trajectory.run.status for trajectory in job.trajectories] == ["completed", "failed"]
    assert [len(trajectory.run.records) for trajectory in job.trajectories] == [6, 3]


@pytest.mark.parametrize("place", ["nnlab.failure.words", "nnlab.joblog.ended", "nnlab.joblog.started"])
def test_whatever_goes_wrong_around_a_job_it_ends_and_the_worker_goes_on(
    place: str, board: JobBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(nnlab.trainer, "train", broken(MemoryError()))
        patch.setattr(place, fail)
        job = board.submit(RunJob(config=SHORT))
        assert job.wait(PATIENCE)
        wait_until(lambda: board._workers == 0)
    assert (job.is_active, bool(job.error)) == (False, True)
    after = [
        board.submit(RunJob(config=SHORT.replace(seed=seed))) for seed in range(job_board.MAX_RUNNING + 1)
    ]
    assert all(job.wait(PATIENCE) for job in after)
    assert {job.status for job in after} == {"completed"}


def test_where_no_thread_can_be_started_a_job_is_refused_and_the_next_one_is_not(
    board: JobBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(Refused, match="no room"):
            board.submit(RunJob(config=SHORT))
    assert board.jobs() == []
    job = board.submit(RunJob(config=SHORT))
    assert job.wait(PATIENCE)
    assert job.status == "completed"


def test_a_job_that_another_worker_will_take_is_not_refused_for_want_of_a_thread(
    board: JobBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = started(board)

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        job = board.submit(RunJob(config=SHORT))
    running.stop()
    assert job.wait(PATIENCE)
    assert job.status == "completed"


# A public server


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_the_environment_variable_says_whether_the_server_is_public(
    value: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(hosting.HOSTED_VARIABLE, value)
    assert hosting.is_hosted() is expected


def test_without_the_variable_the_server_is_private() -> None:
    assert hosting.is_hosted() is False


@pytest.mark.usefixtures("hosted")
def test_a_public_server_refuses_a_run_that_needs_too_much_memory(board: JobBoard) -> None:
    big = ExperimentConfig(depth=20, width=512)
    needed = f"{footprint.estimated_bytes(big) / 1e6:.0f}"
    words = rf"^This run would take about {needed} MB; here at most {MEGABYTES} MB are allowed\. Make depth"
    with pytest.raises(Refused, match=words):
        board.submit(RunJob(config=big))


def test_a_private_server_takes_the_same_run(board: JobBoard) -> None:
    job = board.submit(RunJob(config=ExperimentConfig(depth=20, width=512)))
    assert job.is_active


@pytest.mark.usefixtures("hosted")
def test_a_public_server_takes_the_default_experiment(board: JobBoard) -> None:
    assert board.submit(RunJob(config=ExperimentConfig())).is_active


@pytest.mark.parametrize("change", [{"depth": 12}, {"width": 128}, {"batch_size": 2048}])
def test_larger_networks_are_estimated_to_take_more_memory(change: dict[str, int]) -> None:
    config = ExperimentConfig()
    assert footprint.estimated_bytes(config.replace(**change)) > footprint.estimated_bytes(config)


@pytest.mark.usefixtures("hosted")
def test_a_public_server_ends_a_run_that_takes_too_long(
    board: JobBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "HOSTED_TIME_LIMIT", 0.2)
    job = board.submit(RunJob(config=ENDLESS))
    assert job.wait(PATIENCE)
    assert (job.status, job.run.status) == ("timed_out", "timed_out")


def test_a_private_server_sets_no_time_limit(board: JobBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "HOSTED_TIME_LIMIT", 0.0)
    job = board.submit(RunJob(config=SHORT))
    assert job.wait(PATIENCE)
    assert job.status == "completed"


# A visitor's own data


def table(rows: int = 40, columns: int = 2) -> Data:
    draw = np.random.default_rng(rows)
    names = tuple(f"c{number}" for number in range(columns))
    return prepare(
        draw.standard_normal((rows, columns)), np.arange(rows) % 2, "classification", ("a", "b"), names
    )


OWN = SHORT.replace(dataset="csv", csv_path="/etc/passwd", target="y")


def test_a_run_on_own_data_trains_on_them_and_keeps_only_their_fingerprint(board: JobBoard) -> None:
    own = table()
    job = board.submit(RunJob(config=OWN, data=own))
    assert job.wait(PATIENCE)
    assert (job.status, job.data, job.data_sha256) == ("completed", None, own.sha256)
    assert job.run.environment["dataset_sha256"] == own.sha256
    want = nnlab.trainer.train_together([Plan(OWN, own)])[0].run
    assert job.run.metrics.equals(want.metrics)


def test_a_job_that_would_open_a_file_of_the_server_is_refused(board: JobBoard) -> None:
    for job in (RunJob(config=OWN), GroupJob(plans=(Plan(OWN, table()), Plan(OWN)))):
        with pytest.raises(Refused, match="Upload it again"):
            board.submit(job)
    assert not board.jobs()


def test_own_data_are_counted_in_the_memory_of_a_run() -> None:
    small, long, broad = (footprint.estimated_bytes(OWN, table(*s)) for s in ((40, 2), (4000, 2), (40, 200)))
    assert small < min(long, broad)
    assert long - small >= 2 * (table(4000).nbytes - table(40).nbytes)


def test_columns_of_own_data_are_counted_in_the_work_of_a_step(board: JobBoard) -> None:
    wide = OWN.replace(depth=4, width=1024, batch_size=1050)
    job = board.submit(RunJob(config=wide, data=table(40, 250)))
    assert job.wait(PATIENCE)
    assert job.status == "failed"
    assert "width: 1024 with depth 4 and batch_size 1050 needs 21 GFLOP" in job.error


# Several networks at once


def group(count: int = 2, steps: int = 5) -> GroupJob:
    return GroupJob(plans=tuple(Plan(SHORT.replace(seed=seed, steps=steps)) for seed in range(count)))


def test_a_group_is_trained_to_its_end(board: JobBoard) -> None:
    job = board.submit(group())
    assert job.wait(PATIENCE)
    assert job.status == "completed"
    assert [len(t.run.records) for t in job.trajectories] == [6, 6]
    assert (job.progress.step, job.progress.steps) == (10, 10)


def test_a_group_can_be_read_while_it_runs_and_is_stopped_as_one(board: JobBoard) -> None:
    job = board.submit(group(steps=20_000))
    wait_until(lambda: job.trajectories and len(job.trajectories[0].run.records) > 2)
    assert job.trajectories[1].run.status == "running"
    job.stop()
    assert job.wait(PATIENCE)
    assert job.status == "stopped"
    assert {t.run.status for t in job.trajectories} == {"stopped"}


def test_a_group_waits_in_the_same_queue(board: JobBoard, busy: list[RunJob]) -> None:
    job = board.submit(group())
    assert (board.position(job), job.status) == (1, "queued")
    busy[0].stop()
    assert job.wait(PATIENCE)
    assert job.status == "completed"


def test_a_group_that_cannot_be_trained_says_why(board: JobBoard) -> None:
    job = board.submit(GroupJob(plans=(Plan(SHORT.replace(residual=True)),)))
    assert job.wait(PATIENCE)
    assert job.status == "failed"
    assert "residual" in job.error


def test_a_group_runs_out_of_time_on_a_public_server(
    board: JobBoard, hosted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "HOSTED_TIME_LIMIT", 0.0)
    job = board.submit(group(steps=20_000))
    assert job.wait(PATIENCE)
    assert job.status == "timed_out"


def test_a_group_too_large_for_a_public_server_is_refused(board: JobBoard, hosted: None) -> None:
    wide = ExperimentConfig(depth=4, width=256)
    assert RunJob(config=wide).estimated_bytes < job_board.HOSTED_MEMORY_LIMIT
    with pytest.raises(Refused, match=f"{MEGABYTES} MB"):
        board.submit(GroupJob(plans=(Plan(wide),) * 10))


def test_a_quick_job_is_waited_for(board: JobBoard) -> None:
    job = board.submit(RunJob(config=SHORT))
    assert job.wait_if_quick(PATIENCE)
    assert job.status == "completed"


def test_a_long_job_is_not_waited_for_longer_than_it_takes_to_see_that_it_is_long(board: JobBoard) -> None:
    job = started(board)
    left = job.progress.seconds_left
    assert left is None or left > 1  # 20,000 steps
    begin = time.monotonic()
    assert not job.wait_if_quick(0.5)
    assert time.monotonic() - begin < PATIENCE / 10


def test_a_job_of_which_nothing_is_known_is_waited_for_with_patience() -> None:
    job = RunJob(config=SHORT, status="running")
    begin = time.monotonic()
    assert not job.wait_if_quick(0.4)
    assert 0.4 <= time.monotonic() - begin < 4


def test_a_job_that_stands_behind_others_is_not_waited_for() -> None:
    job = RunJob(config=SHORT)
    begin = time.monotonic()
    assert not job.wait_if_quick(PATIENCE)
    assert time.monotonic() - begin < PATIENCE / 10


def test_memory_can_be_given_back_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    memory.give_memory_back()

    def no_library(name: object) -> object:
        raise OSError("no C library of this name")

    monkeypatch.setattr(memory.ctypes, "CDLL", no_library)
    memory.give_memory_back()


def test_warming_up_loads_torch_and_neither_scikit_learn_nor_a_compiler() -> None:
    code = (
        "import sys, nnlab.warm_up\n"
        "nnlab.warm_up._import_trainer()\n"
        "assert 'nnlab.trainer' in sys.modules\n"
        "sys.exit(bool({'sklearn', 'scipy', 'sympy', 'torch._dynamo'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
