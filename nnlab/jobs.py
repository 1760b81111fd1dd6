"""jobs: work in the background, for pages that come and go: what it is, who watches it, how it ends."""

from __future__ import annotations

import contextlib
import copy
import re
import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

from nnlab import courtesy, failure, joblog, lease
from nnlab.config import ExperimentConfig
from nnlab.datasets import DATASETS, Data
from nnlab.footprint import estimated_bytes, estimated_seconds, kept_bytes, probe_records, together_bytes
from nnlab.hosting import HOSTED_TIME_LIMIT, is_hosted
from nnlab.lease import NOBODY, Leases
from nnlab.run import Run, StepRecord
from nnlab.trajectory import Plan, Trajectory

# Browsers wake the timers of a hidden tab once a minute, so a shorter lease would stop watched runs.
LEASE_SECONDS = 120.0
LOOK_SECONDS = 0.05  # how often a page that waits for a quick run looks how far it is
TAKEN_SECONDS = 0.15  # until a job that no worker has taken stands behind others


_JOB_ID = re.compile(r"[A-Za-z0-9_-]{12}", re.ASCII)  # as secrets.token_urlsafe(9) makes them


def is_job_id(text: str) -> bool:
    """Whether a text, from a link for instance, looks like the id of a job."""
    return _JOB_ID.fullmatch(text) is not None


class Refused(ValueError):
    """The job cannot be taken; the message says why and what would be, `reason` says why to the log."""

    def __init__(self, message: str, reason: str = "other") -> None:
        super().__init__(message)
        self.reason = reason


class NoPlace(Refused):
    """The job cannot be taken now, since its visitor has one waiting already."""


@dataclass(frozen=True)
class Progress:
    """How far a run is: steps done, of how many, how fast, and the seconds left (None: unknown)."""

    step: int
    steps: int
    steps_per_second: float
    seconds_left: float | None

    @property
    def share(self) -> float:
        """The part of the steps that is done, from 0 to 1."""
        return self.step / self.steps


@dataclass
class Job(ABC):
    """Work on its way. All fields are written by its worker and read by pages."""

    id: str = field(default_factory=lambda: secrets.token_urlsafe(9))
    status: str = "queued"
    error: str = ""
    notice: str = ""  # why it was stopped, where no visitor asked for that
    began: float = 0.0
    first_record: float = 0.0
    seconds_taken: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _leases: Leases = field(default_factory=Leases)
    _made_at: float = field(default_factory=time.monotonic)
    _changed: threading.Event = field(default_factory=threading.Event)

    @property
    @abstractmethod
    def steps(self) -> int:
        """All steps there are to do."""

    @property
    @abstractmethod
    def steps_done(self) -> int:
        """The steps that are done."""

    @property
    @abstractmethod
    def needs_file(self) -> bool:
        """Whether it would read a file of this machine, as no visitor may make it."""

    @property
    @abstractmethod
    def estimated_bytes(self) -> int:
        """The memory it will take."""

    @property
    @abstractmethod
    def estimated_seconds(self) -> float:
        """The time it will take, on a core of its own of the machine that the guess was made for."""

    @property
    def kept_bytes(self) -> int:
        """The memory that its records take when it has ended."""
        return 0

    @property
    def key(self) -> Hashable:
        """What is equal where two jobs of a kind come to the same result; None where none of them does."""
        return None

    @abstractmethod
    def _train(self, time_limit: float | None) -> str:
        """Do the work and give its status."""

    @property
    def kind(self) -> str:
        """What kind of work it is, in a word for the log."""
        return type(self).__name__

    @property
    def ways_to_shrink(self) -> str:
        """What to do where it would take too much memory."""
        return "Make depth or width smaller"

    @property
    def is_active(self) -> bool:
        """Whether the job waits or runs."""
        return self.status in ("queued", "running")

    def stop(self, notice: str = "") -> None:
        """Ask the job to stop; it does within one layer's work and keeps its records.

        `notice` says why, where no visitor asked for it.
        """
        self.notice = self.notice or notice
        self._stop.set()
        if self.status == "queued":
            self.status = "stopped"
            self._changed.set()

    def renew(self, owner: str = NOBODY) -> None:
        """Say that somebody is still watching."""
        self._leases.renew(owner)

    def leave(self, owner: str) -> None:
        """Say that somebody watches no more; the job stops where nobody else does."""
        self._leases.end(owner)
        if not self.owners:
            self.stop()

    @property
    def owners(self) -> frozenset[str]:
        """Who watches it."""
        return self._leases.owners(LEASE_SECONDS)

    def was_watched_by(self, owner: str) -> bool:
        """Whether somebody watches it or did."""
        return self._leases.knew(owner)

    @property
    def last_watched(self) -> float:
        """When anybody last watched it, by the clock of `lease`."""
        return self._leases.latest

    @property
    def is_stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stop.is_set()

    def is_set(self) -> bool:
        """Whether the job must stop: asked to, or nobody has watched for LEASE_SECONDS."""
        return self._stop.is_set() or lease.now() - self._leases.latest > LEASE_SECONDS

    def parted(self) -> Self:
        """Give what a visitor keeps who leaves while others go on watching: a job of its own, at its end."""
        own = copy.copy(self)
        own.id, own.status = secrets.token_urlsafe(9), "stopped"
        own._stop, own._changed, own._leases = threading.Event(), threading.Event(), Leases()
        own._stop.set()
        own._changed.set()
        return own

    def wait(self, timeout: float) -> bool:
        """Wait until the job has ended; tell whether it has."""
        with courtesy.waiting():
            return self._changed.wait(timeout)

    def wait_if_quick(self, patience: float) -> bool:
        """Wait until the job has ended, if it will within `patience` seconds; tell whether it has."""
        begin = time.monotonic()
        while not self.wait(LOOK_SECONDS):
            left, waited = self.progress.seconds_left, time.monotonic() - begin
            if waited >= patience or (left is not None and left > patience - waited):
                return False
            if self.status == "queued" and waited >= TAKEN_SECONDS:
                return False
        return True

    @property
    def progress(self) -> Progress:
        """How far the job is."""
        # Counted from the first record on: loading torch is no training.
        elapsed = lease.now() - self.first_record if self.first_record else 0.0
        done = self.steps_done
        speed = done / elapsed if elapsed > 0 else 0.0
        left = (self.steps - done) / speed if speed > 0 else None
        return Progress(done, self.steps, speed, left)

    def _mark_first_record(self) -> None:
        self.first_record = self.first_record or lease.now()

    def execute(self) -> None:
        """Train, and tell the log; called once, by a worker."""
        begun = time.monotonic()
        joblog.started(self.id, self.kind, begun - self._made_at)
        self._execute()
        joblog.ended(self.id, self.kind, self.status, time.monotonic() - begun, self.steps_done)

    def _execute(self) -> None:
        if self.status != "queued" or self.is_set():
            self.status = "stopped"
            return
        self.status, self.began = "running", lease.now()
        try:
            self.status = self._train(HOSTED_TIME_LIMIT if is_hosted() else None)
        except BaseException as error:  # whatever it is, what has ended must not say that it runs
            self.fail(error)
        self.seconds_taken = lease.now() - (self.first_record or self.began)

    def fail(self, error: BaseException) -> None:
        """End it with words for what went wrong."""
        said = failure.UNKNOWN
        with contextlib.suppress(BaseException):  # where memory is out, this may need more of it
            self._end_records("failed")
            said = failure.words(error, self.kind)
        self.error, self.status = said, "failed"

    def _end_records(self, status: str) -> None:
        """Give what is recorded so far, and would say that it runs, a status."""
        return


@dataclass(kw_only=True)
class RunJob(Job):
    """One run, as the lab trains it; `data` stands in for the experiment's dataset, until the run ends."""

    config: ExperimentConfig
    data: Data | None = None
    run: Run | None = None
    data_sha256: str = ""

    def __post_init__(self) -> None:
        self.data_sha256 = "" if self.data is None else self.data.sha256

    @property
    def needs_file(self) -> bool:
        """Whether it would read a file of this machine."""
        return self.data is None and DATASETS[self.config.dataset].needs_file

    @property
    def steps(self) -> int:
        """All steps there are to do."""
        return self.config.steps

    @property
    def steps_done(self) -> int:
        """The steps that are done."""
        return self.run.records[-1].step if self.run is not None and self.run.records else 0

    @property
    def estimated_bytes(self) -> int:
        """The memory it will take."""
        return estimated_bytes(self.config, self.data)

    @cached_property
    def estimated_seconds(self) -> float:
        """The time it will take."""
        return estimated_seconds(self.config)

    @property
    def kept_bytes(self) -> int:
        """The memory that its records take when it has ended."""
        return kept_bytes(self.config) if self.run is not None else 0

    @property
    def key(self) -> Hashable:
        """The experiment and the data: they are all that a run depends on."""
        return self.config, self.data_sha256

    def parted(self) -> Self:
        """Give what a visitor keeps who leaves while others go on watching."""
        own = super().parted()
        own.data = None
        own.run = None if own.run is None else replace(own.run, status="stopped")
        return own

    def _on_record(self, run: Run, record: StepRecord) -> None:
        self._mark_first_record()
        self.run = run

    def _end_records(self, status: str) -> None:
        self.run = None if self.run is None else replace(self.run, status=status)

    def _train(self, time_limit: float | None) -> str:
        # torch loads here, in the worker, so that pages are drawn without it.
        from nnlab.trainer import train

        own = {} if self.data is None else {"data": self.data}
        try:
            self.run = train(
                self.config,
                on_record=self._on_record,
                stop=courtesy.Courteous(self),
                time_limit=time_limit,
                **own,
            )
        finally:
            self.data = None  # up to ten MB, which nobody needs any more
        if self.notice:
            self.run = replace(self.run, notes=(*self.run.notes, self.notice))
        return self.run.status


@dataclass(kw_only=True)
class GroupJob(Job):
    """Several networks trained side by side, as the lessons show them."""

    plans: tuple[Plan, ...]
    trajectories: tuple[Trajectory, ...] = ()

    @property
    def steps(self) -> int:
        """All steps of all networks."""
        return sum(plan.config.steps for plan in self.plans)

    @property
    def steps_done(self) -> int:
        """The steps that are done, of all networks."""
        return sum(t.run.records[-1].step for t in self.trajectories if t.run.records)

    @property
    def needs_file(self) -> bool:
        """Whether it would read a file of this machine."""
        return any(plan.data is None and DATASETS[plan.config.dataset].needs_file for plan in self.plans)

    @property
    def estimated_bytes(self) -> int:
        """The memory it will take, kept weights included."""
        return self._weight_bytes + together_bytes([(plan.config, plan.data) for plan in self.plans])

    @property
    def _weight_bytes(self) -> int:
        """The memory of the weights at every probe record."""
        return sum(4 * probe_records(plan.config) * plan.config.weight_count for plan in self.plans)

    @cached_property
    def estimated_seconds(self) -> float:
        """The time it will take."""
        return sum(estimated_seconds(plan.config) for plan in self.plans)

    @property
    def kept_bytes(self) -> int:
        """The memory that its records take when it has ended."""
        return self._weight_bytes + sum(kept_bytes(plan.config) for plan in self.plans)

    @property
    def key(self) -> Hashable:
        """The plans, with the data they bring."""
        return tuple(
            (plan.config, plan.bias, "" if plan.data is None else plan.data.sha256) for plan in self.plans
        )

    def parted(self) -> Self:
        """Give what a visitor keeps who leaves while others go on watching."""
        own = super().parted()
        own.trajectories = tuple(
            replace(known, run=replace(known.run, status="stopped")) for known in own.trajectories
        )
        return own

    def _end_records(self, status: str) -> None:
        self.trajectories = tuple(
            replace(trajectory, run=replace(trajectory.run, status=status))
            if trajectory.run.status == "running"
            else trajectory
            for trajectory in self.trajectories
        )

    def _on_progress(self, trajectories: Sequence[Trajectory]) -> None:
        self._mark_first_record()
        self.trajectories = tuple(trajectories)

    def _train(self, time_limit: float | None) -> str:
        from nnlab.trainer import train_together

        self.trajectories = train_together(
            self.plans, on_progress=self._on_progress, stop=courtesy.Courteous(self), time_limit=time_limit
        )
        statuses = {trajectory.run.status for trajectory in self.trajectories}
        return next((s for s in ("stopped", "timed_out") if s in statuses), "completed")
