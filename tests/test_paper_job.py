"""Paper jobs: they run on the board, can be stopped, and keep to a public server's time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_papers import counting

from nnlab import hosting, job_board, jobs
from nnlab.job_board import JobBoard
from nnlab.paper_job import PaperJob

PATIENCE = 30.0


def test_a_finished_job_has_a_result_and_has_said_how_far_it_was():
    job = JobBoard().submit(PaperJob(paper=counting()))
    assert job.wait(PATIENCE)
    assert job.status == "completed"
    assert job.result is not None
    assert len(job.result.columns["step"]) == 3
    assert (job.steps_done, job.steps, job.progress.share) == (3, 3, 1.0)


def test_a_stopped_job_has_none():
    job = JobBoard().submit(PaperJob(paper=counting(steps=0)))
    assert not job.wait(0.05)
    job.stop()
    assert job.wait(PATIENCE)
    assert (job.status, job.result) == ("stopped", None)


def test_a_public_server_ends_it_in_time(monkeypatch):
    monkeypatch.setenv(hosting.HOSTED_VARIABLE, "1")
    monkeypatch.setattr(jobs, "HOSTED_TIME_LIMIT", 0.05)
    job = JobBoard().submit(PaperJob(paper=counting(steps=0)))
    assert job.wait(PATIENCE)
    assert (job.status, job.result) == ("timed_out", None)


def test_an_error_is_said_and_ends_the_job():
    def broken(settings, report, stop):
        raise ValueError("width: 0 is not allowed")

    job = JobBoard().submit(PaperJob(paper=replace(counting(), measure=broken)))
    assert job.wait(PATIENCE)
    assert (job.status, job.error) == ("failed", "width: 0 is not allowed")


def test_a_job_fits_a_public_server():
    assert PaperJob(paper=counting()).estimated_bytes <= job_board.HOSTED_MEMORY_LIMIT


@pytest.mark.parametrize("done", [0, 3])
def test_progress_is_a_share_before_the_first_report_too(done):
    job = PaperJob(paper=counting())
    if done:
        job._report(done, 4)
    assert 0 <= job.progress.share <= 1
