"""JobBoard: which jobs are taken, which of them run, which wait for whom, and which results are kept."""

from __future__ import annotations

import atexit
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from nnlab import joblog, lease
from nnlab.hosting import HOSTED_MEMORY_LIMIT, HOSTED_TIME_LIMIT, HOSTED_WORK_LIMIT, is_hosted
from nnlab.jobs import Job, NoPlace, Refused
from nnlab.lease import NOBODY
from nnlab.memory import give_memory_back, held_bytes, let_code_go
from nnlab.schedule import LONG_SECONDS, Place, Ticket, next_to_start, places
from nnlab.sweep_cost import spoken_seconds

MAX_RUNNING = 2  # as many as a shared host has cores
MAX_QUEUED = 20
MAX_QUEUED_EACH = 1  # of one visitor on a public server, where one more may run
# For a reload or a second visitor with the same link. Those that nobody has looked at for longest are
# forgotten, on a public server as many as keep the others within their share of its memory.
KEEP_FINISHED = 20
HOSTED_KEEP_FINISHED, HOSTED_KEPT_BYTES = 60, 30_000_000
# A host ends the process somewhere above 690 MB. Two runs may grow by 64 MB each after they were taken, and
# pages need some for themselves: nothing new from here on ...
REFUSE_ABOVE = 520_000_000
# ... and from here on somebody's run has to go before everybody's does.
STOP_ABOVE = 600_000_000
# What runs again comes back page by page, some thousand of them: not after every run of a busy class.
CODE_SECONDS = 20.0
# A thread that computes while the interpreter goes ends the whole process with an error. Jobs stop within
# half a second, and then take their last record.
END_SECONDS = 3.0
GUARD_SECONDS = 0.25  # between two looks at the memory: a run allocates 64 MB in about a second
# How much of the latest job's pace goes into the pace that waiting times are told with.
PACE_SHARE = 0.3
SLOWEST_PACE, SHORTEST_TIMED = 50.0, 0.1

# How a job ends that would come to the same again.
RESULTS = ("completed", "diverged", "stalled")

NO_THREAD = "This server has no room to begin a run now. Try again in a minute."
NO_FILE = "The file is not here any more. Upload it again."
ONE_WAITS = (
    "You have a run waiting already, which is all that one visitor can have here. It begins when a place is "
    "free; stop it, or wait for it."
)
SHORT_OF_MEMORY = (
    "This server is short of memory just now, so it takes no new runs. Try again in a minute, or run nnlab "
    "on your own machine."
)
MADE_ROOM = (
    "This server ran short of memory, so its newest run was stopped: this one. What it recorded until then "
    "is kept. Try a smaller network, or try again in a minute."
)

AnyJob = TypeVar("AnyJob", bound=Job)


class JobBoard:
    """All jobs of a process: a few run, some wait, the latest finished ones are kept.

    `held` tells how much memory the process holds; where it gives None, as where there is no /proc,
    nothing is refused or stopped for want of memory.
    """

    def __init__(self, held: Callable[[], int | None] = held_bytes) -> None:
        self._lock = threading.RLock()
        self._held = held
        self._waiting: list[Job] = []
        self._running: list[Job] = []
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._workers = 0
        self._is_guarded = False
        self._pace = 1.0
        self._code_went = -CODE_SECONDS
        self._caches: dict[str, Callable[[], None]] = {}

    def submit(self, job: AnyJob, owner: str = NOBODY) -> AnyJob:
        """Queue a job, and give it back; or the one that is queued, running or kept and comes to the same.

        `owner` names the visitor who asks for it. One who has seen the kept one already gets a new one.

        Raises:
            Refused: the queue is full, the job is too large for a public server, or its data are missing.
        """
        try:
            return self._admit(job, owner)
        except Refused as refusal:
            joblog.refused(job.kind, refusal.reason)
            raise

    def _admit(self, job: AnyJob, owner: str) -> AnyJob:
        _check_size(job)
        same = self._join(job, owner)
        if same is not None:
            return same
        self.check_memory()
        with self._lock:
            same = self._join(job, owner)
            if same is not None:
                return same
            self._check_room(owner)
            job.renew(owner)
            joblog.submitted(job.id, job.kind, job.estimated_bytes, job.steps)
            self._jobs[job.id] = job
            self._waiting.append(job)
            self._forget_oldest()
            if not self._start_what_may() and not self._workers:
                self._waiting.remove(job)
                del self._jobs[job.id]
                raise Refused(NO_THREAD, "no_thread")
        return job

    def _join(self, job: AnyJob, owner: str) -> AnyJob | None:
        """Watch a job that comes to the same, and give it; None where there is none."""
        with self._lock:
            self._drop_abandoned()
            same = self._same(job, owner)
            if same is not None:
                same.renew(owner)
            return same

    def _same(self, job: AnyJob, owner: str) -> AnyJob | None:
        """Give a job of another visitor, or this one's that is on its way, that comes to the same."""
        if owner == NOBODY or job.key is None:
            return None
        for found in reversed(self._jobs.values()):
            if type(found) is type(job) and found.key == job.key:
                is_under_way = found.is_active and not found.is_set()
                is_news = found.status in RESULTS and not found.was_watched_by(owner)
                if is_under_way or is_news:
                    return found
        return None

    def _check_room(self, owner: str) -> None:
        if len(self._waiting) >= MAX_QUEUED:
            raise Refused(
                f"{MAX_QUEUED} runs are waiting already, which is all that fit. Try again in a minute.",
                "queue_full",
            )
        if not is_hosted():
            return
        own = [job for job in self._waiting if owner != NOBODY and owner in job.owners]
        if len(own) >= MAX_QUEUED_EACH:
            raise NoPlace(ONE_WAITS, "one_waits")

    def check_memory(self) -> None:
        """Make room where a public server is short of memory, before a job or a page's own work begins.

        Raises:
            Refused: there is none to be made.
        """
        if not is_hosted() or not self._is_short():
            return
        self.make_room()
        if self._is_short():
            raise Refused(SHORT_OF_MEMORY, "memory")

    def leave(self, job: AnyJob, owner: str = NOBODY) -> AnyJob:
        """Stop a job for one visitor, and give what that visitor has of it from now on.

        Where others watch it, it goes on for them; the visitor gets one that ends where it is by now.
        """
        with self._lock:
            if not job.is_active or job.owners <= {owner}:
                job.stop()  # one that has ended stays as it is
                return job
            job.leave(owner)
            own = job.parted()
            own.renew(owner)
            self._jobs[own.id] = own
            return own

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
        place = self.place(job)
        return 0 if place is None else place.number

    def place(self, job: Job) -> Place | None:
        """Give where a waiting job stands and how long it will wait; None if it does not wait."""
        with self._lock:
            # One that nobody waits for any more takes no place from those who do.
            waiting = [self._ticket(one) for one in self._waiting if one.is_active and not one.is_set()]
            running = [self._ticket(one) for one in self._running]
        return places(waiting, running, MAX_RUNNING, is_fair=is_hosted()).get(job.id)

    def _ticket(self, job: Job) -> Ticket:
        seconds = self._pace * job.estimated_seconds
        is_long = seconds > LONG_SECONDS
        if is_hosted():
            seconds = min(seconds, HOSTED_TIME_LIMIT)
        if job.began:
            left = job.progress.seconds_left
            gone = lease.now() - job.began
            seconds = max(0.0, seconds - gone) if left is None else min(left, max(seconds, left))
            seconds = min(seconds, max(0.0, HOSTED_TIME_LIMIT - gone)) if is_hosted() else seconds
        return Ticket(job.id, seconds, job.owners - {NOBODY}, is_long)

    def _drop_abandoned(self) -> None:
        """Take out of the queue what nobody waits for any more."""
        for job in self._waiting:
            if job.is_active and job.is_set():
                job.stop()
        self._waiting = [job for job in self._waiting if job.is_active]

    def _forget_oldest(self) -> None:
        """Forget finished jobs, those first that nobody has looked at for longest."""
        finished = sorted((job for job in self._jobs.values() if not job.is_active), key=_last_watched)
        most, most_bytes = KEEP_FINISHED, float("inf")
        if is_hosted():
            most, most_bytes = HOSTED_KEEP_FINISHED, HOSTED_KEPT_BYTES
        total = sum(job.kept_bytes for job in finished)
        for number, job in enumerate(finished):
            if len(finished) - number <= most and total <= most_bytes:
                return
            total -= job.kept_bytes
            del self._jobs[job.id]

    # Running.

    def _start_what_may(self) -> bool:
        """Start the jobs whose turn it is; false where the system gives no thread to run one."""
        could = True
        while could and self._workers < MAX_RUNNING:
            job = self._take_next()
            if job is None:
                break
            could = self._begin_work(job)
            if not could:
                self._running.remove(job)
                self._waiting.insert(0, job)
        self._guard()
        return could

    def _begin_work(self, job: Job) -> bool:
        """Start one more worker, and tell whether the system let us."""
        try:
            threading.Thread(target=self._work, args=(job,), name="nnlab-run", daemon=True).start()
        except (RuntimeError, MemoryError):
            return False
        self._workers += 1
        return True

    def _take_next(self) -> Job | None:
        """Take the job whose turn it is out of the queue; None where none may begin now."""
        self._drop_abandoned()
        if self._running and is_hosted() and self._is_short():
            return None  # they end, and then it is tried again
        waiting = {job.id: job for job in self._waiting}
        running = [self._ticket(job) for job in self._running]
        tickets = [self._ticket(job) for job in self._waiting]
        ticket = next_to_start(tickets, running, is_fair=is_hosted())
        if ticket is None:
            return None
        job = waiting[ticket.name]
        self._waiting.remove(job)
        self._running.append(job)
        return job

    def _work(self, job: Job | None) -> None:
        """Run jobs until none may begin."""
        while job is not None:
            try:
                job.execute()
            except BaseException as error:  # a worker that it ended would leave its place empty for ever
                if job.is_active:
                    job.fail(error)
            job._changed.set()
            give_memory_back()
            self._let_code_go()
            with self._lock:
                self._running.remove(job)
                self._learn_pace(job)
                job = self._take_next()
                if job is None:
                    self._workers -= 1
                # Its end may let more than one begin.
                self._start_what_may()

    def break_off(self) -> None:
        """Stop all jobs, and wait until nothing runs."""
        with self._lock:
            left = [*self._waiting, *self._running]
            self._waiting.clear()
        for job in left:
            job.stop()
        give_up_at = time.monotonic() + END_SECONDS
        while self._workers and time.monotonic() < give_up_at:
            time.sleep(GUARD_SECONDS / 10)

    def _learn_pace(self, job: Job) -> None:
        if job.status == "completed" and job.seconds_taken > SHORTEST_TIMED and job.estimated_seconds > 0:
            pace = min(SLOWEST_PACE, job.seconds_taken / job.estimated_seconds)
            self._pace += PACE_SHARE * (pace - self._pace)

    # Memory.

    def _is_short(self) -> bool:
        held = self._held()
        return held is not None and held > REFUSE_ABOVE

    def add_cache(self, name: str, clear: Callable[[], None]) -> None:
        """Name something that can be emptied when memory is short, once."""
        self._caches[name] = clear

    def _let_code_go(self) -> None:
        """On a public server, now and then, hand back the code of libraries that does not run."""
        if is_hosted() and time.monotonic() - self._code_went >= CODE_SECONDS:
            self._code_went = time.monotonic()
            let_code_go()

    def make_room(self) -> None:
        """Give up what can be had again: caches, and finished jobs that nobody looks at."""
        with self._lock:
            for job in list(self._jobs.values()):
                if not job.is_active and not job.owners:
                    del self._jobs[job.id]
            clearers = list(self._caches.values())
        for clear in clearers:
            clear()
        give_memory_back()

    def relieve(self) -> None:
        """Where the host is about to end the process, make room, and stop the newest run if need be."""
        if not self._is_critical():
            return
        self.make_room()
        if not self._is_critical():
            return
        with self._lock:
            if self._running and not any(job.is_stopping for job in self._running):
                joblog.sacrificed(self._running[-1].id, self._running[-1].kind)
                self._running[-1].stop(MADE_ROOM)

    def _is_critical(self) -> bool:
        held = self._held()
        return held is not None and held > STOP_ABOVE

    def _guard(self) -> None:
        """Look after the memory of a public server while something runs."""
        if self._is_guarded or not self._running or not is_hosted() or self._held() is None:
            return
        self._is_guarded = True
        threading.Thread(target=self._look_after_memory, name="nnlab-guard", daemon=True).start()

    def _look_after_memory(self) -> None:
        while True:
            time.sleep(GUARD_SECONDS)
            self.relieve()
            with self._lock:
                if not self._running:
                    self._is_guarded = False
                    return


def _check_size(job: Job) -> None:
    """Refuse what lacks its data, or would take too much memory or time of a public server."""
    if job.needs_file:
        raise Refused(NO_FILE, "no_file")
    if not is_hosted():
        return
    if job.estimated_bytes > HOSTED_MEMORY_LIMIT:
        raise Refused(
            f"This run would take about {job.estimated_bytes / 1e6:.0f} MB; here at most "
            f"{HOSTED_MEMORY_LIMIT / 1e6:.0f} MB are allowed. {job.ways_to_shrink}, or run "
            "nnlab on your own machine.",
            "too_large",
        )
    if job.estimated_seconds > HOSTED_WORK_LIMIT:
        raise Refused(
            f"This run would take about {spoken_seconds(job.estimated_seconds)} of a processor; here it is "
            f"stopped after {HOSTED_TIME_LIMIT:.0f} s. Take fewer steps, make the network smaller, or run "
            "nnlab on your own machine.",
            "too_long",
        )


def _last_watched(job: Job) -> float:
    return job.last_watched


BOARD = JobBoard()
atexit.register(BOARD.break_off)
