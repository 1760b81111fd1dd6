"""jobs: runs in the background, for pages that come and go. Admission, queue, stop, lease."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import re
import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from nnlab.config import ExperimentConfig
from nnlab.datasets import DATASETS, Data
from nnlab.run import Run, StepRecord, is_probe_record
from nnlab.trajectory import Plan, Trajectory

log = logging.getLogger(__name__)

MAX_RUNNING = 2  # as many as a shared host has cores
MAX_QUEUED = 20
KEEP_FINISHED = 20  # for a reload or a second visitor with the same link; the oldest is forgotten
# Browsers wake the timers of a hidden tab once a minute, so a shorter lease would stop watched runs.
LEASE_SECONDS = 120.0
LOOK_SECONDS = 0.05  # how often a page that waits for a quick run looks how far it is
HOSTED_TIME_LIMIT = 60.0  # seconds a run may take on a public server
HOSTED_MEMORY_LIMIT = 64_000_000  # bytes a run may take there
HOSTED_VARIABLE = "NNLAB_HOSTED"


_JOB_ID = re.compile(r"[A-Za-z0-9_-]{12}", re.ASCII)  # as secrets.token_urlsafe(9) makes them


def is_job_id(text: str) -> bool:
    """Whether a text, from a link for instance, looks like the id of a job."""
    return _JOB_ID.fullmatch(text) is not None


class Refused(ValueError):
    """The job cannot be taken; the message says why and what would be."""


def is_hosted() -> bool:
    """Whether the limits of a public server apply (environment variable NNLAB_HOSTED)."""
    return os.environ.get(HOSTED_VARIABLE, "") not in ("", "0", "false")


def probe_records(config: ExperimentConfig) -> int:
    """Count the records that take the costly diagnostics too."""
    count = len(config.recorded_steps)
    return sum(is_probe_record(number, last=number == count - 1) for number in range(count))


def estimated_bytes(config: ExperimentConfig, data: Data | None = None) -> int:
    """Estimate the memory of a run: weights with optimizer state, activations, the record, a file's data."""
    # float32: weight, gradient, two moments, one copy
    weights = 4 * 5 * config.count_weights(0 if data is None else data.ends)
    # z, h and their gradients of the batch are kept; z and h of the probe set (at most 1,024 examples) and
    # the float64 copies that one layer's metrics take come on top.
    activations = 4 * config.width * config.depth * (4 * config.batch_size + 2 * 1024)
    activations += 4 * 8 * max(config.batch_size, 1024) * config.width
    # Counts are int32, 340 a layer, and metrics float64.
    record = (config.depth + 1) * (4 * 340 * probe_records(config) + 8 * 25 * len(config.recorded_steps))
    # A file's numbers, their copies for torch, and the test split on its way from one layer to the next.
    examples = 0 if data is None else 2 * data.nbytes + 4 * 2 * len(data.x_test) * config.width
    return weights + activations + record + examples


NO_FILE = "The file is not here any more. Upload it again."


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
    first_record: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _renewed: float = field(default_factory=time.monotonic)
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

    @abstractmethod
    def _train(self, time_limit: float | None) -> str:
        """Do the work and give its status."""

    @property
    def is_active(self) -> bool:
        """Whether the job waits or runs."""
        return self.status in ("queued", "running")

    def stop(self) -> None:
        """Ask the job to stop; it does within one layer's work and keeps its records."""
        self._stop.set()
        if self.status == "queued":
            self.status = "stopped"
            self._changed.set()

    def renew(self) -> None:
        """Say that somebody is still watching."""
        self._renewed = time.monotonic()

    def is_set(self) -> bool:
        """Whether the job must stop: asked to, or nobody has watched for LEASE_SECONDS."""
        return self._stop.is_set() or time.monotonic() - self._renewed > LEASE_SECONDS

    def wait(self, timeout: float) -> bool:
        """Wait until the job has ended; tell whether it has."""
        return self._changed.wait(timeout)

    def wait_if_quick(self, patience: float) -> bool:
        """Wait until the job has ended, if it will within `patience` seconds; tell whether it has."""
        give_up_at = time.monotonic() + patience
        while not self.wait(LOOK_SECONDS):
            left = self.progress.seconds_left
            remaining = give_up_at - time.monotonic()
            if remaining <= 0 or (left is not None and left > remaining):
                return False
        return True

    @property
    def progress(self) -> Progress:
        """How far the job is."""
        # Counted from the first record on: loading torch is no training.
        elapsed = time.monotonic() - self.first_record if self.first_record else 0.0
        done = self.steps_done
        speed = done / elapsed if elapsed > 0 else 0.0
        left = (self.steps - done) / speed if speed > 0 else None
        return Progress(done, self.steps, speed, left)

    def _mark_first_record(self) -> None:
        self.first_record = self.first_record or time.monotonic()

    def execute(self) -> None:
        """Train; called once, by a worker."""
        if self.status != "queued" or self.is_set():
            self.status = "stopped"
            return
        self.status = "running"
        try:
            self.status = self._train(HOSTED_TIME_LIMIT if is_hosted() else None)
        except ValueError as error:
            self.error, self.status = str(error), "failed"
        except Exception as error:
            log.exception("job %s failed", self.id)
            self.error, self.status = f"{type(error).__name__}: {error}", "failed"


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

    def _on_record(self, run: Run, record: StepRecord) -> None:
        self._mark_first_record()
        self.run = run

    def _train(self, time_limit: float | None) -> str:
        # torch loads here, in the worker, so that pages are drawn without it.
        from nnlab.trainer import train

        own = {} if self.data is None else {"data": self.data}
        try:
            self.run = train(self.config, on_record=self._on_record, stop=self, time_limit=time_limit, **own)
        finally:
            self.data = None  # up to ten MB, which nobody needs any more
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
        kept = sum(4 * probe_records(plan.config) * plan.config.weight_count for plan in self.plans)
        return kept + sum(estimated_bytes(plan.config, plan.data) for plan in self.plans)

    def _on_progress(self, trajectories: Sequence[Trajectory]) -> None:
        self._mark_first_record()
        self.trajectories = tuple(trajectories)

    def _train(self, time_limit: float | None) -> str:
        from nnlab.trainer import train_together

        self.trajectories = train_together(
            self.plans, on_progress=self._on_progress, stop=self, time_limit=time_limit
        )
        statuses = {trajectory.run.status for trajectory in self.trajectories}
        return next((s for s in ("stopped", "timed_out") if s in statuses), "completed")


AnyJob = TypeVar("AnyJob", bound=Job)


class JobBoard:
    """All jobs of a process: a few run, some wait, the latest finished ones are kept."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._queue: deque[Job] = deque()
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._workers = 0

    def submit(self, job: AnyJob) -> AnyJob:
        """Queue a job and give it back.

        Raises:
            Refused: the queue is full, the job is too large for a public server, or its data are missing.
        """
        if job.needs_file:
            raise Refused(NO_FILE)
        if is_hosted() and job.estimated_bytes > HOSTED_MEMORY_LIMIT:
            raise Refused(
                f"This run would take about {job.estimated_bytes / 1e6:.0f} MB; here at most "
                f"{HOSTED_MEMORY_LIMIT / 1e6:.0f} MB are allowed. Make depth or width smaller, or run "
                "nnlab on your own machine."
            )
        with self._lock:
            if len(self._waiting()) >= MAX_QUEUED:
                raise Refused(
                    f"{MAX_QUEUED} runs are waiting already, which is all that fit. Try again in a minute."
                )
            self._jobs[job.id] = job
            self._queue.append(job)
            self._forget_oldest()
            if self._workers < MAX_RUNNING:
                self._workers += 1
                threading.Thread(target=self._work, name="nnlab-run", daemon=True).start()
        return job

    def get(self, job_id: str) -> Job | None:
        """Give a job by its id, None if it was never here or is forgotten."""
        with self._lock:
            return self._jobs.get(job_id)

    def jobs(self) -> list[Job]:
        """List the jobs in memory, oldest first."""
        with self._lock:
            return list(self._jobs.values())

    def position(self, job: Job) -> int:
        """Give a waiting job's place in the queue from 1, 0 if it does not wait."""
        with self._lock:
            waiting = self._waiting()
            return waiting.index(job) + 1 if job in waiting else 0

    def _waiting(self) -> list[Job]:
        # One that nobody waits for any more takes no place from those who do.
        return [job for job in self._queue if job.is_active and not job.is_set()]

    def _forget_oldest(self) -> None:
        finished = [job for job in self._jobs.values() if not job.is_active]
        for job in finished[: max(0, len(finished) - KEEP_FINISHED)]:
            del self._jobs[job.id]

    def _work(self) -> None:
        """Run jobs until none is waiting."""
        while True:
            with self._lock:
                if not self._queue:
                    self._workers -= 1
                    return
                job = self._queue.popleft()
            job.execute()
            job._changed.set()
            give_memory_back()


def give_memory_back() -> None:
    """Return what the C library keeps of freed memory to the system: 20 to 40 MB after a run.

    Only glibc keeps that much, and only glibc can be asked.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


BOARD = JobBoard()

# Importing torch holds the interpreter for a second: not while the first page is being drawn.
WARM_UP_DELAY = 3.0

_warm_lock = threading.Lock()
_warming: list[threading.Timer] = []


def warm_up() -> None:
    """Import torch and the trainer in the background, once: the first Train then starts at once."""
    with _warm_lock:
        if _warming:
            return
        timer = threading.Timer(WARM_UP_DELAY, _import_trainer)
        timer.daemon = True
        _warming.append(timer)
        timer.start()


def _import_trainer() -> None:
    import nnlab.trainer

    log.debug("loaded %s", nnlab.trainer.__name__)
    # What is imported stays: full collections, which hold up training and pages for a fifth of a second
    # while they walk all of torch, pass over it from now on.
    gc.freeze()
    give_memory_back()
