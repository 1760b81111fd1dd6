"""`python -m benchmarks faults --small`, but for its pages: after every fault, what must hold holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from benchmarks import file_faults, job_faults
from benchmarks.app_faults import app_faults
from benchmarks.faults import SMALL, faults_of_files
from benchmarks.invariants import Outcome, of_words
from benchmarks.job_faults import KINDS, Reference, failing
from benchmarks.kill_faults import kill_faults
from nnlab.hosting import HOSTED_VARIABLE
from nnlab.jobs import RunJob
from nnlab.runwriter import RunWriter

TIERS: dict[str, tuple[int, Callable[[], Iterable[Outcome]]]] = {
    "files": (30, lambda: faults_of_files(SMALL)),
    "killed processes and full disks": (15, lambda: kill_faults(*SMALL.kills)),
    "jobs": (25, lambda: job_faults.job_faults(*SMALL.jobs)),
    "the app": (6, lambda: app_faults(*SMALL.app)),
}


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HOSTED_VARIABLE, raising=False)


@pytest.mark.parametrize("tier", TIERS)
def test_after_every_fault_what_must_hold_holds(tier: str) -> None:
    least, inject = TIERS[tier]
    outcomes = list(inject())
    assert [outcome for outcome in outcomes if outcome.problems] == []
    assert len(outcomes) >= least


# That the judge sees what it is there to see.


def test_a_writer_that_leaves_pieces_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunWriter, "_mend", lambda writer: None)
    story = file_faults.STORIES[0]
    fault = file_faults.DiskFault(9, "ENOSPC", "half")
    outcome = file_faults.judged(story, "an operation fails", file_faults.Disk(fault))
    assert any("lost" in problem for problem in outcome.problems)


def test_a_job_that_goes_on_saying_that_it_runs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = Reference(KINDS[0])
    monkeypatch.setattr(RunJob, "_end_records", lambda job, status: None)
    problems = [problem for outcome in failing(reference, 3) for problem in outcome.problems]
    assert "a run of an ended job says running" in problems


@pytest.mark.parametrize(
    "text",
    ["KeyError: 'k'", "Traceback (most recent call last)", "no file /home/me/x.csv", "line 3 of trainer.py"],
)
def test_words_for_programmers_are_found(text: str) -> None:
    assert of_words(text)
    assert not of_words("Error signal at each layer, 1/2 of it in layer 3.")
