"""train: the one place that loops, for one network or many seeds, with an end for every way to end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np

from nnlab.autograd_learner import AutogradLearner
from nnlab.config import ExperimentConfig
from nnlab.datasets import DATASETS, Data
from nnlab.engine import covers
from nnlab.environment import describe_environment
from nnlab.learner import EngineLearner, Learner
from nnlab.member import PROBE_EXAMPLES, Member, OnRecord, begin
from nnlab.optimizer import UpdateOverflow
from nnlab.recorder import Scores, accuracy
from nnlab.run import Run, StepRecord
from nnlab.threads import one_thread
from nnlab.trajectory import DATA_NOTES, Plan, Trajectory

# A few hundredths of a second on a slow core, so that Stop keeps its half second.
CHEAP_PROBE_FLOP = 1e9
# Numbers a layer up to which stacked networks beat single ones on two threads, which hand Python over to each
# other after every product (benchmarks seeds).
LARGEST_STACKED = 8_192


class Stop(Protocol):
    """Something that can be asked whether to stop: a threading.Event, or a job with a lease."""

    def is_set(self) -> bool:
        """Whether to stop."""
        ...


def unwarned() -> np.errstate:
    """Let NumPy compute with what is not finite: here that is a result, looked for and not warned of."""
    # Around whole trainings: around every step it would take three hundredths of a small network's time.
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


class Halt(Exception):
    """Leaves the loop, or a long measurement, with a status."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class Training:
    """Networks of one shape that take every step together; each ends when it must."""

    def __init__(self, members: Sequence[Member], stop: Stop, give_up_at: float) -> None:
        self.members, self.config = members, members[0].config
        self._stop, self._give_up_at = stop, give_up_at
        self._learner = _make_learner(members)
        self._recorded_steps = frozenset(self.config.recorded_steps)
        self._is_over = self._was_still = False
        self._loaded_step: int | None = None
        self._running = dict(enumerate(members))
        for member in members:
            member.environment = {
                **describe_environment(self._learner.name),
                "dataset_sha256": member.data.sha256,
                **_file_notes(member),
            }

    def check(self) -> None:
        """Raise Halt where the run must end now; never again once it has begun to."""
        if self._is_over:
            return
        if self._stop.is_set():
            raise Halt("stopped")
        if time.monotonic() > self._give_up_at:
            raise Halt("timed_out")

    def walk(self) -> Iterator[int]:
        """Train to the end, giving the step after each one; every member's status then says how it ended."""
        step = 0
        try:
            for step in range(self.config.steps + 1):
                self.check()
                self._step(step)
                yield step
                if not self._running:
                    return
        except Halt as halt:
            self._record_the_end(step)
            self._end_all(halt.status)
            return
        self._end_all("completed")

    def _end(self, number: int, status: str) -> None:
        self._learner.release(number)
        self._running.pop(number).status = status

    def _end_all(self, status: str) -> None:
        for number in tuple(self._running):
            self._end(number, status)

    def _record_the_end(self, step: int) -> None:
        """Let runs that are broken off end in a probe record of their last weights, where that is cheap."""
        is_cheap = 2 * PROBE_EXAMPLES * self.config.weight_count <= CHEAP_PROBE_FLOP
        unrecorded = [n for n, m in self._running.items() if m.records and m.records[-1].step != step]
        if not is_cheap or not unrecorded:
            return
        self._is_over = True
        self._load(step)
        self._learner.forward_backward(watched=True, check=self.check)
        self._record(step, unrecorded, last=True)

    def _load(self, step: int) -> None:
        """Load a step's batch, once: a run may be broken off in the midst of the step."""
        if self._loaded_step == step:
            return
        self._loaded_step = step
        for number, member in self._running.items():
            self._learner.load(number, member.x, member.y, next(member.batches))

    def _pass(self, *, watched: bool) -> None:
        self._learner.forward_backward(watched=watched, check=self.check)

    def _step(self, step: int) -> None:
        last = step == self.config.steps
        is_recorded = step in self._recorded_steps
        self._load(step)
        self._pass(watched=is_recorded)
        broken = {} if self._learner.is_sound() else self._offenders()
        if is_recorded:
            self._record(step, [number for number in self._running if number not in broken], last=last)
        if broken:
            self._break_off(step, broken, is_recorded=False)
        if not last:
            self._end_stalled()
            self._update(step, is_recorded=is_recorded)

    def _offenders(self) -> dict[int, str]:
        """Name what was first not finite in each network where something was."""
        found = {number: self._offender(number) for number in self._running}
        return {number: offender for number, offender in found.items() if offender is not None}

    def _offender(self, number: int) -> str | None:
        weight = self._learner.bad_weight(number)
        if weight is not None:
            return f"weights: {weight}"
        if not self._learner.has_finite_loss(number):
            return "loss"
        gradient = self._learner.bad_gradient(number)
        return None if gradient is None else f"gradient: {gradient}"

    def _record(self, step: int, numbers: Sequence[int], *, last: bool) -> None:
        """Add the record of a watched pass to some of the networks."""
        if not numbers:
            return
        measured = self._learner.measure()
        for number in numbers:
            member = self.members[number]
            member.infos = member.infos or self._learner.infos()
            scores = Scores(self._learner.loss(number), accuracy(*self._learner.scored(number)))
            member.record(step, measured[number], scores, self.check, last=last)

    def _break_off(self, step: int, offenders: Mapping[int, str], *, is_recorded: bool) -> None:
        """End the networks that diverged, with a record of the offending step if there is none yet."""
        for number, offender in offenders.items():
            self.members[number].notes.append(
                f"step {step}: the first non-finite number was in the {offender}"
            )
        if not is_recorded:
            self._pass(watched=True)
            self._record(step, list(offenders), last=True)
        for number in offenders:
            self._end(number, "diverged")

    def _end_stalled(self) -> None:
        all_move = self._learner.all_move()
        if all_move and not self._was_still:
            return
        self._was_still = not all_move
        for number, member in tuple(self._running.items()):
            # A loss of exactly 0 has a gradient of 0 because everything is learned.
            is_still = self._learner.is_still(number) and self._learner.loss(number) != 0
            if member.count_still_steps(is_still=is_still):
                self._end(number, "stalled")

    def _update(self, step: int, *, is_recorded: bool) -> None:
        if not self._running:
            return
        try:
            self._learner.update(watched=step + 1 in self._recorded_steps)
        except UpdateOverflow:
            offender = "update, which is too large for float32"
            self._break_off(step, dict.fromkeys(self._running, offender), is_recorded=is_recorded)


def _file_notes(member: Member) -> dict[str, str]:
    """Give what a file's data went through, where no configuration can tell it again."""
    is_file = DATASETS[member.config.dataset].needs_file
    return {DATA_NOTES: "; ".join(member.notes)} if is_file and member.notes else {}


def _make_learner(members: Sequence[Member]) -> Learner:
    config = members[0].config
    if covers(config):
        return EngineLearner([member.model for member in members], config, members[0].batch)
    (member,) = members
    return AutogradLearner(member.model, config)


def _give_up_at(time_limit: float | None) -> float:
    return time.monotonic() + (float("inf") if time_limit is None else time_limit)


def train(
    config: ExperimentConfig,
    on_record: OnRecord | None = None,
    stop: Stop | None = None,
    time_limit: float | None = None,
    data: Data | None = None,
) -> Run:
    """Train the network of an experiment and record it on the way.

    Args:
        config: the experiment.
        on_record: called as on_record(run_so_far, record) after every record.
        stop: when set, training ends within a layer's work, with the status "stopped".
        time_limit: seconds of wall clock after which the status is "timed_out".
        data: stands in for the experiment's dataset, such as a file that is already read.

    Raises:
        ValueError: the dataset is a CSV file that cannot be used.
    """
    (run,) = train_seeds(config, [config.seed], on_record, stop, time_limit, data=data)
    return run


def train_seeds(
    config: ExperimentConfig,
    seeds: Sequence[int],
    on_record: OnRecord | None = None,
    stop: Stop | None = None,
    time_limit: float | None = None,
    threads: int = 1,
    data: Data | None = None,
) -> tuple[Run, ...]:
    """Train one experiment from several seeds, at once where the engine can; each as if alone, bit for bit.

    Args:
        config: the experiment; its own seed is not used.
        seeds: a run each.
        on_record: called as on_record(run_so_far, record) after every record of any of them, one at a time.
        stop: when set, all end within a layer's work, with the status "stopped".
        time_limit: seconds of wall clock, for all, after which the status is "timed_out".
        threads: how many to train on; more than one pays for large layers only, and is used for them.
        data: stands in for the experiment's dataset.

    Raises:
        ValueError: a seed is out of range, or the dataset is a CSV file that cannot be used.
    """
    give_up_at, stop = _give_up_at(time_limit), stop or threading.Event()
    listener = None if on_record is None else _one_at_a_time(on_record)
    with one_thread():
        members = [begin(Plan(config.replace(seed=seed), data), listener) for seed in seeds]
        groups = _groups(members, threads)
        if threads == 1 or len(groups) < 2:
            for group in groups:
                _walk_to_the_end(Training(group, stop, give_up_at))
        else:
            _train_side_by_side(groups, stop, give_up_at, threads)
        return tuple(member.snapshot() for member in members)


def _groups(members: Sequence[Member], threads: int) -> list[Sequence[Member]]:
    """Stack networks whose products are short, or which have only one thread; leave the others single."""
    if not members:
        return []
    config, batch = members[0].config, members[0].batch
    is_large = batch * config.width > LARGEST_STACKED
    if not covers(config) or (threads > 1 and is_large):
        return [[member] for member in members]
    return [members]


def _one_at_a_time(on_record: OnRecord) -> OnRecord:
    lock = threading.Lock()

    def call(run: Run, record: StepRecord) -> None:
        with lock:
            on_record(run, record)

    return call


def _walk_to_the_end(training: Training) -> None:
    with unwarned():
        for _ in training.walk():
            pass


class _EitherStop:
    """Set when one of two is."""

    def __init__(self, one: Stop, other: Stop) -> None:
        self._one, self._other = one, other

    def is_set(self) -> bool:
        return self._one.is_set() or self._other.is_set()


def _train_side_by_side(
    groups: Sequence[Sequence[Member]], stop: Stop, give_up_at: float, threads: int
) -> None:
    """Train groups on several threads; an error of one of them, or Ctrl-C, ends all."""
    failed = threading.Event()

    def work(group: Sequence[Member]) -> None:
        with one_thread():
            _walk_to_the_end(Training(group, _EitherStop(stop, failed), give_up_at))

    with ThreadPoolExecutor(threads) as pool:
        try:
            for future in [pool.submit(work, group) for group in groups]:
                future.result()
        except BaseException:
            failed.set()
            raise


def train_together(
    plans: Sequence[Plan],
    on_progress: Callable[[Sequence[Trajectory]], None] | None = None,
    stop: Stop | None = None,
    time_limit: float | None = None,
) -> tuple[Trajectory, ...]:
    """Train several networks in turn, a step of each, so that they can be watched side by side.

    Each comes out bit for bit as if trained alone; the weights of every probe record are kept.

    Args:
        plans: the networks; none with a normalization or residual connections.
        on_progress: called with all of them as they stand, after every round that recorded something.
        stop: when set, all end within a layer's work, with the status "stopped".
        time_limit: seconds of wall clock, for all together, after which the status is "timed_out".

    Raises:
        ValueError: a dataset or a network cannot be used.
    """
    stop, give_up_at = stop or threading.Event(), _give_up_at(time_limit)
    with one_thread(), unwarned():
        members = [begin(plan) for plan in plans]
        for member in members:
            member.keep_weights = True
        walks = [Training([member], stop, give_up_at).walk() for member in members]
        recorded = 0
        while walks:
            walks = [walk for walk in walks if next(walk, None) is not None]
            now = sum(len(member.records) for member in members)
            if now > recorded and on_progress is not None:
                on_progress([member.trajectory() for member in members])
            recorded = now
        return tuple(member.trajectory() for member in members)
