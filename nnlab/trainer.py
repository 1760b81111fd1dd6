"""train: networks trained to their end: one, many seeds of it, or several kinds side by side."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from nnlab.config import ExperimentConfig
from nnlab.datasets import Data
from nnlab.engine import covers
from nnlab.member import Member, OnRecord, begin
from nnlab.run import Run, StepRecord
from nnlab.stop import Stop
from nnlab.threads import one_thread
from nnlab.training import Training, unwarned
from nnlab.trajectory import Plan, Trajectory

# Numbers a layer up to which stacked networks beat single ones on two threads, which hand Python over to each
# other after every product (benchmarks seeds).
LARGEST_STACKED = 8_192


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
    listener = None if on_record is None else _one_at_a_time(on_record)
    with one_thread():
        members = [begin(Plan(config.replace(seed=seed), data), listener) for seed in seeds]
        return _train_to_the_end(members, stop or threading.Event(), _give_up_at(time_limit), threads)


def train_ends(
    config: ExperimentConfig, seeds: Sequence[int], stop: Stop | None = None, threads: int = 1
) -> tuple[Run, ...]:
    """Train as `train_seeds` does, to the same numbers, recording no more than a sweep asks for.

    A run then has its last record, without histograms; and before it, of the first probe record where the
    test accuracy was high, that accuracy.
    """
    with one_thread():
        members = [begin(Plan(config.replace(seed=seed))) for seed in seeds]
        for member in members:
            member.ends_only = True
        return _train_to_the_end(members, stop or threading.Event(), _give_up_at(None), threads)


def _train_to_the_end(
    members: Sequence[Member], stop: Stop, give_up_at: float, threads: int
) -> tuple[Run, ...]:
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
        for _ in _in_turn(_together([[member] for member in members], stop, give_up_at)):
            if on_progress is not None:
                on_progress([member.trajectory() for member in members])
        return tuple(member.trajectory() for member in members)


def _together(groups: Sequence[Sequence[Member]], stop: Stop, give_up_at: float) -> list[Training]:
    """Give trainings that end together: they share the time that last records may take."""
    trainings = [Training(group, stop, give_up_at) for group in groups]
    for training in trainings:
        training.together = trainings
    return trainings


def _in_turn(trainings: Sequence[Training]) -> Iterator[None]:
    """Take a step of each in turn to their ends; gives way after every round that recorded something."""
    walks = [training.walk() for training in trainings]
    members = [member for training in trainings for member in training.members]
    recorded = 0
    while walks:
        walks = [walk for walk in walks if next(walk, None) is not None]
        now = sum(len(member.records) for member in members)
        if now > recorded:
            yield
        recorded = now


def _begun(groups: Sequence[Sequence[Plan]], stop: Stop) -> list[list[Member]]:
    """Begin all plans by group; of a stop on the way, since sixty take seconds, those up to it."""
    begun: list[list[Member]] = []
    for plans in groups:
        begun.append([])
        for plan in plans:
            begun[-1].append(begin(plan))
            if stop.is_set():
                return begun
    return begun


def train_groups(
    groups: Sequence[Sequence[Plan]],
    on_progress: Callable[[Sequence[Run]], None] | None = None,
    stop: Stop | None = None,
    time_limit: float | None = None,
) -> tuple[Run, ...]:
    """Train several configurations in turn, a step of each; the seeds of one at once where the engine can.

    Each run comes out bit for bit as if trained alone.

    Args:
        groups: the plans of every configuration, which differ in the seed only.
        on_progress: called with all runs as they stand, after every round that recorded something.
        stop: when set, all end within a layer's work, with the status "stopped"; those not begun are missing.
        time_limit: seconds of wall clock, for all together, after which the status is "timed_out".

    Raises:
        ValueError: a dataset or a network cannot be used.
    """
    stop, give_up_at = stop or threading.Event(), _give_up_at(time_limit)
    with one_thread(), unwarned():
        begun = _begun(groups, stop)
        members = [member for group in begun for member in group]
        stacked = [part for group in begun for part in _groups(group, threads=1)]
        for _ in _in_turn(_together(stacked, stop, give_up_at)):
            if on_progress is not None:
                on_progress([member.snapshot() for member in members])
        return tuple(member.snapshot() for member in members)
